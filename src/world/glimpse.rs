//! A frame that may have to be cited later: its beginning, kept without an allocation until somebody knows whether it matters.

use std::sync::Arc;

use crate::event::{Frame, FrameRef};
use crate::finding::Cited;
use crate::value::{TagStack, Timestamp};
use crate::wire::{LinkType, decode};

/// Bytes that are kept: an ARP packet, an echo, the headers of a segment, behind two tags and more, or in a tunnel.
const GLIMPSED: usize = 128;

/// The beginning of a frame that may have to be cited: most never are, and what is not cited costs no allocation.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// Which frame.
    pub at: FrameRef,
    /// When, by its own stamp.
    pub time: Timestamp,
    link: LinkType,
    tags: TagStack,
    wire_len: u32,
    len: u8,
    bytes: [u8; GLIMPSED],
    whole: Option<Arc<Cited>>,
}

impl Glimpse {
    /// The beginning of `frame`; all of it where its headers go on behind that.
    pub fn of(frame: &Frame<'_>) -> Self {
        let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
        if headers > GLIMPSED { Self::whole(frame) } else { Self::begun(frame) }
    }

    /// The same of a frame that says nothing by its beginning.
    pub fn whole(frame: &Frame<'_>) -> Self {
        Self { whole: Some(Arc::new(Cited::of(frame))), ..Self::begun(frame) }
    }

    fn begun(frame: &Frame<'_>) -> Self {
        let mut bytes = [0; GLIMPSED];
        let len = frame.bytes.len().min(GLIMPSED);
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), frame.bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        Self {
            at: frame.at,
            time: frame.time,
            link: frame.link,
            tags: frame.layers.tags(),
            wire_len: frame.wire_len,
            len: u8::try_from(len).unwrap_or(0),
            bytes,
            whole: None,
        }
    }

    /// The frame as a finding quotes it.
    pub fn cited(&self) -> Cited {
        if let Some(whole) = &self.whole {
            return Cited::clone(whole);
        }
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or(&[]);
        Cited {
            at: self.at,
            time: self.time,
            tags: self.tags,
            line: decode(self.link, bytes, self.wire_len).summary().to_string(),
            wire_len: self.wire_len,
            bytes: bytes.into(),
        }
    }
}
