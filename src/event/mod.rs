//! What the world may hear: frames, facts about the host, losses, and ends.

mod cited;
mod frame;
mod hidden;
mod host;
mod identity;
mod sighting;
mod vantage;

pub use cited::{Beginning, Cited};
pub use frame::{Direction, Frame, FrameRef, Offload, Placed, Record};
pub use hidden::Protocol;
pub use host::{Drop, Fact, Guest, LeaseEnd, LeftOpen, Link, LinkKind, Name, Stamped};
pub use sighting::Sighting;
pub use vantage::{Drops, Place, Vantage, VantageId};

use crate::value::Timestamp;

/// One thing that happened, in the one order of the merge.
#[derive(Debug)]
pub enum Event<'a> {
    /// A frame was captured.
    Frame(&'a Placed<'a>),
    /// The host said or became something.
    Host(&'a Stamped<Fact>),
    /// A vantage said how many frames it lost between two moments.
    Lost(&'a Drops),
    /// A lane has ended.
    Ended {
        /// Which.
        lane: u16,
        /// Until when its capture went on, where it tells.
        until: Option<Timestamp>,
    },
}
