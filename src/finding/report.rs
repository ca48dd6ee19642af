//! The report: everything that is said, before anybody decides how it looks.

use serde::Serialize;

use super::{Exchange, Finding, KnownNeighbour, KnownTree, LeaseClock, Severity, Tally};
use crate::event::{Vantage, VantageId};
use crate::value::{Outside, Span, Timestamp};

/// The whole answer to "what is wrong here".
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was read.
    pub inputs: Vec<Input>,
    /// Where frames were seen.
    pub vantages: Vec<(VantageId, Vantage)>,
    /// What was counted.
    pub tally: Tally,
    /// What was found: roots first by severity, each followed by what it explains.
    pub findings: Vec<Finding>,
    /// What was still waiting when the capture ended.
    pub pending: Vec<Pending>,
    /// DHCP exchanges, where they are wanted one by one and were not handed out before; in order of their beginning.
    pub exchanges: Option<Vec<Exchange>>,
    /// The leases that clients held as the capture ended, where exchanges are wanted.
    pub leases: Vec<LeaseClock>,
    /// Who is at the other end of links.
    pub neighbours: Vec<KnownNeighbour>,
    /// Spanning trees over time.
    pub trees: Vec<KnownTree>,
    /// Codes that were checked.
    pub checked: Vec<&'static str>,
    /// What could not be checked, and why.
    pub not_checked: Vec<NotChecked>,
    /// What was lost on the way.
    pub lost: Lost,
}

/// One input.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    /// How it is called in the report.
    pub name: Outside,
    /// Its path.
    pub path: Outside,
    /// Its format.
    pub format: String,
    /// Link types of its interfaces.
    pub link_types: Vec<String>,
    /// Frames read from it.
    pub frames: u64,
    /// Frames that were lost before they could be read from it.
    pub dropped: u64,
    /// Frames that its card lost before they could be captured.
    #[serde(skip_serializing_if = "is_none")]
    pub missed: u64,
    /// What was added to its stamps, where its clock differs from the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Time of its first frame.
    pub first: Option<Timestamp>,
    /// Time of its last frame.
    pub last: Option<Timestamp>,
    /// What stopped the reading before the end, as one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// Whether there is nothing to count.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A clock that was put right by packets that were seen elsewhere, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// What was added to its stamps.
    pub offset: Span,
    /// By how many packets.
    pub packets: u64,
    /// How far off that may be.
    pub within: Span,
}

/// Something that waited for an answer when the capture ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// The code that would have been raised.
    pub code: &'static str,
    /// What was waiting, in one sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
}

/// A rule that was not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotChecked {
    /// Its code.
    pub code: &'static str,
    /// Why not.
    pub why: String,
}

/// What did not reach a judgement.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lost {
    /// Frames that the kernel or an interface dropped, as the capture tells.
    pub kernel: u64,
    /// Frames that network cards lost before they could be captured, as live captures and their recordings tell.
    #[serde(skip_serializing_if = "is_none")]
    pub card: u64,
    /// Frames that our ring had no room for.
    pub ring: u64,
    /// Frames that we dropped ourselves.
    pub us: u64,
    /// Frames that came with a stamp earlier than the one before them in their file.
    pub disordered: u64,
    /// Frames that came too late for their place.
    pub late: u64,
    /// Seconds for which the host slept, and nobody listened.
    #[serde(skip_serializing_if = "is_none")]
    pub asleep_s: u64,
    /// Frames over which our own code failed.
    pub internal_errors: u64,
    /// Entries forgotten because a table was full, by table.
    pub forgotten: Vec<(&'static str, u64)>,
    /// Inputs that could not be read to their end.
    pub damaged_inputs: u64,
}

impl Report {
    /// The vantage that a frame was seen at.
    pub fn vantage(&self, id: VantageId) -> Option<&Vantage> {
        self.vantages.iter().find(|(v, _)| *v == id).map(|(_, vantage)| vantage)
    }

    /// The worst severity among roots: what the exit code goes by. What another finding explains does not count.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().filter(|f| f.explained_by.is_none()).map(|f| f.severity).max()
    }
}
