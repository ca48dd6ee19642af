//! A frame that a finding quotes, or may come to quote: its first bytes. Most are never shown, and what they say is put into words only then.

use std::sync::Arc;

use super::{Frame, FrameRef};
use crate::value::{TagStack, Timestamp};
use crate::wire::{Layers, LinkType, decode};

/// Bytes of a cited frame that are kept: a jumbo frame whole, a super-frame by its beginning.
const KEPT: usize = 9_216;
/// Bytes of a beginning: an ARP packet, an echo, the headers of a segment, behind two tags and more, or in a tunnel.
const BEGINNING: usize = 128;

/// A frame that proves something, by its beginning. Whoever else remembers the frame may share it.
#[derive(Clone, Debug)]
pub struct Cited {
    /// Which frame.
    pub at: FrameRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Its length on the wire.
    pub wire_len: u32,
    /// Its first bytes, for the evidence file.
    pub bytes: Arc<[u8]>,
    link: LinkType,
}

impl Cited {
    /// Quotes `frame`.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self::first(frame, KEPT)
    }

    /// Quotes the headers of `frame`, for one that will most likely not be shown.
    pub fn beginning(frame: &Frame<'_>) -> Self {
        let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
        match frame.bytes.get(..BEGINNING) {
            Some(first) if headers <= BEGINNING && first.len() < frame.bytes.len() => {
                Self::quoting(frame, frame.beginning(first))
            }
            _ => Self::of(frame),
        }
    }

    /// Quotes at most `most` bytes of `frame`.
    pub fn first(frame: &Frame<'_>, most: usize) -> Self {
        let bytes = match frame.bytes.get(..most) {
            Some(first) if first.len() < frame.bytes.len() => first.into(),
            // A question by ARP is remembered by half a dozen at once.
            _ => frame.remembered(),
        };
        Self::quoting(frame, bytes)
    }

    const fn quoting(frame: &Frame<'_>, bytes: Arc<[u8]>) -> Self {
        Self { at: frame.at, time: frame.time, wire_len: frame.wire_len, bytes, link: frame.link }
    }

    /// What its first bytes mean.
    pub fn layers(&self) -> Layers<'_> {
        decode(self.link, &self.bytes, self.wire_len)
    }

    /// Its tags, outermost first.
    pub fn tags(&self) -> TagStack {
        self.layers().tags()
    }

    /// One line that says what it is; safe for a terminal.
    pub fn line(&self) -> String {
        self.layers().summary().to_string()
    }
}
