//! The way of one packet through the vantages of a case, as a finding tells it: how it looked at each, and where it was not seen although
//! others like it were.

use crate::event::VantageId;
use crate::value::TagStack;

/// One packet's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What it is, in a few words.
    pub what: String,
    /// Vantages in the order of the way.
    pub stops: Vec<Stop>,
    /// Whether that order is known: stamps closer than clocks are certain tell nothing.
    pub is_ordered: bool,
}

/// One vantage on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Which.
    pub vantage: VantageId,
    /// How the packet looked there; `None` where it was not seen.
    pub look: Option<Look>,
}

/// A packet at one vantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The number of the frame in its capture.
    pub number: u64,
    /// Its tags, outermost first.
    pub tags: TagStack,
    /// Its length on the wire, in bytes.
    pub wire_len: u32,
}
