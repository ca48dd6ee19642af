//! I/O in: captures, host logs and cases become records, facts and losses. The only place that may ask the clock or open a socket.
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

mod align;
mod case;
mod chain;
mod error;
mod filtered;
mod hostlog;
mod inventory;
mod lane;
mod leases;
pub mod live;
mod merge;
mod open;
mod packing;
mod pcap;
mod pcapng;
mod record;
mod scout;
mod state;
mod survey;
mod unpack;
mod window;

pub use align::{Aligned, align};
pub use case::{CASE_FILE, Case, CaseFile, CaseVantage, Occasion, lane};
pub use error::{Part, SourceError, Trouble};
pub use hostlog::HostLog;
pub use inventory::inventory;
pub use lane::{Lane, Outcome};
pub use leases::leases;
pub use merge::{Idle, Item, Merge};
pub use open::{open, open_reader};
pub use packing::Packing;
pub use record::{FlightRecorder, Keeping, Recorder, Rotation, Written};
pub use state::State;
pub use survey::{Survey, survey};

use std::os::fd::BorrowedFd;

use crate::event::{Direction, Offload, Record};
use crate::value::{Outside, Timestamp};
use crate::wire::LinkType;

/// One ordered stream of captured frames: a file, standard input, or a socket.
///
/// Two steps, because a merge must look at the heads of all lanes before it takes one: `advance` moves to the next
/// record, `record` shows it for as long as nobody advances.
pub trait Source: Send {
    /// Moves to the next record. After an error nothing more comes, and what came before it was whole.
    ///
    /// # Errors
    /// What is wrong with the source, with its path and offset.
    fn advance(&mut self) -> Result<Step, SourceError>;

    /// The record that `advance` moved to.
    fn record(&self) -> Record<'_>;

    /// The bytes of the frame three behind the next, where they are in memory already: a hint.
    fn ahead(&self) -> &[u8] {
        &[]
    }

    /// Moves past those of the next records that are in memory already and change nothing else, and gives each to `take`, with the bytes of the
    /// frame three behind it where these are there too. What is not so plain is left to `advance`, which goes on behind them.
    fn run(&mut self, _take: &mut dyn FnMut(Record<'_>, &[u8])) {}

    /// Its stamp, where only its turn is asked for.
    fn time(&self) -> Timestamp {
        self.record().time
    }

    /// How much it has told of itself. Asked at each step.
    fn told(&self) -> Told {
        let interfaces = self.interfaces();
        let dropped = interfaces.iter().fold(0, |sum: u64, interface| sum.saturating_add(interface.dropped));
        Told { interfaces: interfaces.len(), dropped }
    }

    /// The interfaces met so far; a record's `interface` is an index into them.
    fn interfaces(&self) -> &[Interface];

    /// What kind of source it is, for the report: `pcap`, `pcapng`, `pcap (gzip)`.
    fn format(&self) -> String;

    /// Bytes of the file that were read so far, for progress; before unpacking.
    fn position(&self) -> u64;

    /// Counts what was lost up to now, for the capture ends; files have counted already.
    fn take_stock(&mut self) {}

    /// What becomes readable when an idle source has more; `None` for files, which are never idle.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// How much a source has told of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// How many interfaces were met so far.
    pub interfaces: usize,
    /// Frames that were lost before they could be read, over all interfaces.
    pub dropped: u64,
}

/// What a source shows before its first record, and after its last.
const NO_RECORD: Record<'static> = Record {
    interface: 0,
    number: 0,
    time: Timestamp::MIN,
    wire_len: 0,
    direction: Direction::Unknown,
    offload: Offload::Unknown,
    bytes: &[],
};

/// What a source came to when it was asked to move on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// To a record.
    Record,
    /// Nothing is there now, and whatever comes will not be earlier than this. Only live sources say so.
    Idle(Timestamp),
    /// To its end.
    End,
}

/// One interface of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, where the source tells it.
    pub name: Option<Outside>,
    /// A description, where the source tells it.
    pub description: Option<Outside>,
    /// How its frames begin.
    pub link: LinkType,
    /// The most bytes it kept of a frame; 0 where there was no limit.
    pub snap_len: u32,
    /// The capture filter, where the source tells it.
    pub filter: Option<Outside>,
    /// Whether the kernel tells of the offloads of its frames.
    pub tells_offload: bool,
    /// Frames that the interface or the system lost, as counted when last told.
    pub dropped: u64,
    /// Frames that the card lost before anybody could capture them, as a live source or its recording tells.
    pub missed: u64,
    /// When the capture on this interface ended, where the source tells it.
    pub end: Option<Timestamp>,
}
