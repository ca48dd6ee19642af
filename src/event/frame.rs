//! A frame as one vantage captured it, before (`Record`) and after (`Frame`) decoding.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::VantageId;
use crate::value::Timestamp;
use crate::wire::{Layers, LinkType};

/// A frame by its vantage and its number there: the number that Wireshark shows for the same file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct FrameRef {
    /// Where it was captured.
    pub vantage: VantageId,
    /// Its number in the file, from 1, over all interfaces of the file.
    pub number: u64,
}

/// Which way a frame went through the capturing interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Received by the interface.
    In,
    /// Sent by the interface.
    Out,
    /// The capture does not tell.
    #[default]
    Unknown,
}

/// What the kernel told about work that the network card was to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offload {
    /// The capture does not tell.
    #[default]
    Unknown,
    /// The frame is as it was on the wire.
    None,
    /// One frame, whose checksum was still to be filled in.
    Unsummed,
    /// A super-frame of segments with `segment` bytes of payload each; 0 where the kernel did not say.
    Segmented {
        /// Payload bytes of each segment.
        segment: u16,
    },
}

/// A frame as a source read it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Index into the interfaces of its source.
    pub interface: u32,
    /// Its number in the source, from 1.
    pub number: u64,
    /// When it was captured; a block without a time has that of the frame before it.
    pub time: Timestamp,
    /// Bytes it had on the wire; never less than `bytes.len()`.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What the kernel told about offloads.
    pub offload: Offload,
    /// The captured bytes, from the link header on.
    pub bytes: &'a [u8],
}

impl Record<'_> {
    /// Whether the capture holds less than the wire carried.
    #[inline]
    pub const fn is_cut(&self) -> bool {
        self.bytes.len() < self.wire_len as usize
    }
}

/// A record at its place in the order, not decoded.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// As it was read.
    pub record: Record<'a>,
    /// Where it was captured.
    pub vantage: VantageId,
    /// How it begins.
    pub link: LinkType,
    /// Its place: its time, or the latest of its lane where time runs back.
    pub order: Timestamp,
}

impl Placed<'_> {
    /// Which vantage, which number.
    #[inline]
    pub const fn at(&self) -> FrameRef {
        FrameRef { vantage: self.vantage, number: self.record.number }
    }
}

/// A decoded frame. Its lifetime is the guard: nobody can keep one, only its `FrameRef`.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Which vantage, which number.
    pub at: FrameRef,
    /// As captured, plus the vantage's clock offset: what is shown.
    pub time: Timestamp,
    /// Its place in the order: `time`, or the latest of its lane where `time` runs back. What waits is timed by this.
    pub order: Timestamp,
    /// How it begins.
    pub link: LinkType,
    /// Bytes on the wire; `bytes.len()` may be less where the snap length cut it.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What the kernel told about offloads.
    pub offload: Offload,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// What they mean.
    pub layers: Layers<'a>,
    /// The bytes once somebody remembers them, and the beginning of a longer frame: whoever else does shares them.
    remembered: OnceCell<Arc<[u8]>>,
    beginning: OnceCell<Arc<[u8]>>,
}

impl<'a> Frame<'a> {
    /// What a source read at `vantage`, whose link type is `link`; `order` is its place in the order. Not decoded yet.
    #[inline]
    pub const fn new(record: Record<'a>, vantage: VantageId, link: LinkType, order: Timestamp) -> Self {
        Self {
            at: FrameRef { vantage, number: record.number },
            time: record.time,
            order,
            link,
            wire_len: record.wire_len,
            direction: record.direction,
            offload: record.offload,
            bytes: record.bytes,
            layers: Layers::new(),
            remembered: OnceCell::new(),
            beginning: OnceCell::new(),
        }
    }

    /// The same, decoded.
    pub fn decode(record: Record<'a>, vantage: VantageId, link: LinkType, order: Timestamp) -> Self {
        let mut frame = Self::new(record, vantage, link, order);
        frame.read();
        frame
    }

    /// Decodes it where it lies: its layers are large, and bulk traffic should not move them.
    #[inline]
    pub fn read(&mut self) {
        self.layers.read(self.link, self.bytes, self.wire_len);
        if self.direction == Direction::Unknown {
            self.direction = Direction::from_cooked(&self.layers);
        }
    }

    /// The captured bytes, to be remembered: the same for all who do.
    pub(super) fn remembered(&self) -> Arc<[u8]> {
        Arc::clone(self.remembered.get_or_init(|| self.bytes.into()))
    }

    /// The first captured bytes, of which all who remember a beginning want equally many.
    pub(super) fn beginning(&self, first: &[u8]) -> Arc<[u8]> {
        Arc::clone(self.beginning.get_or_init(|| first.into()))
    }

    /// Whether the capture holds less than the wire carried.
    #[inline]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < u64::from(self.wire_len)
    }
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
            Self::Unknown => Self::Unknown,
        }
    }

    /// The packet type of a cooked header tells: 4 is outgoing, 0 to 3 came in (LINKTYPE_LINUX_SLL).
    fn from_cooked(layers: &Layers<'_>) -> Self {
        match layers.cooked_packet_type() {
            Some(4) => Self::Out,
            Some(0..=3) => Self::In,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Unknown => "unknown",
        })
    }
}
