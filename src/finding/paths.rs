//! The ways of packets through the vantages of a case: what an operator draws with a pencil, before anybody decides how it looks.

use serde::Serialize;

use super::Input;
use crate::value::{Outside, Span};

/// Where packets were seen, and where not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Paths {
    /// What was read.
    pub inputs: Vec<Input>,
    /// Those who sent and to whom, by packets, most first.
    pub flows: Vec<FlowPath>,
    /// Further flows, which are counted and not listed.
    pub more_flows: u64,
    /// How long packets took from one vantage to the next.
    pub hops: Vec<Hop>,
    /// Packets that were not followed.
    pub left_out: LeftOut,
}

/// Packets from one address to another.
#[derive(Clone, Debug, Serialize)]
pub struct FlowPath {
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// What they are: `TCP`, `UDP`, `ARP`, …
    pub protocol: String,
    /// How many.
    pub packets: u64,
    /// The vantages that saw any of them, in the order of the way.
    pub vantages: Vec<Outside>,
    /// Whether that order is known: stamps closer than clocks are certain tell nothing.
    pub is_ordered: bool,
    /// Packets that were seen at the same vantages, those seen at most of them first.
    pub rows: Vec<Row>,
    /// What follows from the sizes, where anything does.
    pub verdict: Option<Verdict>,
}

/// Packets that were seen at the same vantages.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The smallest of them, in bytes of layer 3 (of the whole frame where there is no IP).
    pub smallest: u32,
    /// The largest.
    pub largest: u32,
    /// How many.
    pub packets: u64,
    /// How they looked at each vantage of the flow.
    pub cells: Vec<Cell>,
}

/// How packets looked at one vantage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "seen")]
pub enum Cell {
    /// They were seen.
    Yes {
        /// Their tags, as `20.100`, with a word for more than one kind; empty where they had none.
        tags: String,
        /// The number of the first of them in its capture.
        number: u64,
        /// The longest of them on the wire, in bytes.
        wire_len: u32,
    },
    /// They were not, although the vantage was captured.
    No,
    /// Nobody captured there at that time.
    NotCaptured,
}

/// Between which vantages packets of which sizes were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Where they were still seen.
    pub seen_at: Outside,
    /// Where they were not.
    pub missing_at: Outside,
    /// The smallest packet that was lost.
    pub smallest_lost: u32,
    /// How many were.
    pub lost: u64,
    /// The largest packet that came through; 0 if none did.
    pub largest_passed: u32,
    /// How many came through.
    pub passed: u64,
}

/// How long packets took from one vantage to the next.
#[derive(Clone, Debug, Serialize)]
pub struct Hop {
    /// Where they were seen first.
    pub from: Outside,
    /// Where they were seen next.
    pub to: Outside,
    /// How many.
    pub packets: u64,
    /// The time that half of them took at most.
    pub p50: Span,
    /// The time that all but one in a hundred took at most.
    pub p99: Span,
    /// The longest time.
    pub max: Span,
}

/// What was not followed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Frames that no wire carries as they stand: what they were cut into was seen elsewhere.
    pub super_frames: u64,
    /// Packets so alike within the window that they could not be told apart.
    pub repeated: u64,
    /// Packets of flows for which there was no room.
    pub crowded: u64,
    /// Hops that were not timed: the clocks of their two ends are in doubt.
    pub untimed: u64,
}
