//! A frame that may have to be cited later: its beginning, kept until somebody knows whether it matters.

use std::sync::Arc;

use crate::event::{Frame, FrameRef};
use crate::finding::{Cited, KEPT};
use crate::value::Timestamp;
use crate::wire::{LinkType, decode};

/// Bytes that are kept at most: an ARP packet, an echo, the headers of a segment, behind two tags and more, or in a tunnel.
const GLIMPSED: usize = 128;

/// The beginning of a frame that may have to be cited. Most never are, and what it says is put into words only then; whoever else remembers the
/// frame shares it.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// Which frame.
    pub at: FrameRef,
    /// When, by its own stamp.
    pub time: Timestamp,
    link: LinkType,
    wire_len: u32,
    bytes: Arc<[u8]>,
}

impl Glimpse {
    /// The beginning of `frame`; as much as a finding quotes where its headers go on behind that.
    pub fn of(frame: &Frame<'_>) -> Self {
        let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
        Self::begun(frame, if headers > GLIMPSED { KEPT } else { GLIMPSED })
    }

    /// The same of a frame that says nothing by its beginning.
    pub fn whole(frame: &Frame<'_>) -> Self {
        Self::begun(frame, KEPT)
    }

    fn begun(frame: &Frame<'_>, most: usize) -> Self {
        let bytes = frame.bytes.get(..most).unwrap_or(frame.bytes).into();
        Self { at: frame.at, time: frame.time, link: frame.link, wire_len: frame.wire_len, bytes }
    }

    /// The frame as a finding quotes it.
    pub fn cited(&self) -> Cited {
        let layers = decode(self.link, &self.bytes, self.wire_len);
        Cited {
            at: self.at,
            time: self.time,
            tags: layers.tags(),
            line: layers.summary().to_string(),
            wire_len: self.wire_len,
            bytes: Arc::clone(&self.bytes),
        }
    }
}
