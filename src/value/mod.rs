//! Words of the trade: times, addresses, tags, outside text, bounded tables. Knows nothing else of the program.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod bounded;
mod bytes;
mod deadlines;
mod few;
mod fingerprint;
mod index;
mod mac;
mod order;
mod places;
mod ports;
mod prefetch;
mod text;
mod time;
mod timed;
mod vlan;
mod words;

pub use bounded::{BoundedMap, Spot};
pub use bytes::Bytes;
pub use deadlines::Deadlines;
pub use few::Few;
pub use fingerprint::Fingerprint;
pub use index::Index;
pub use mac::{Mac, MacPrefix};
pub use ports::PortSet;
pub use prefetch::prefetch;
pub use text::{Outside, spelled_out};
pub use time::{Span, Timestamp};
pub use timed::TimedMap;
pub use vlan::{Tag, TagStack, Tpid, Vid};
