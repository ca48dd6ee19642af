//! A packet at one place: what is kept of a frame to know where else it was seen.

use super::{Direction, Frame, FrameRef};
use crate::value::{TagStack, Timestamp};

/// A packet at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The frame.
    pub at: FrameRef,
    /// When.
    pub time: Timestamp,
    /// With which tags.
    pub tags: TagStack,
    /// Which way.
    pub direction: Direction,
    /// How long.
    pub wire_len: u32,
}

impl Sighting {
    /// The sighting that `frame` is.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self {
            at: frame.at,
            time: frame.time,
            tags: frame.layers.tags(),
            direction: frame.direction,
            wire_len: frame.wire_len,
        }
    }

    /// The same tags, going the same way through devices of one host: the two vantages show one link.
    pub fn is_same_link(&self, other: &Self) -> bool {
        self.tags == other.tags && self.direction == other.direction && self.wire_len == other.wire_len
    }
}
