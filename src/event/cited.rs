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

/// The beginning of a frame in place: for one that will most likely be forgotten before anybody quotes it, and costs no allocation.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Which frame.
    pub at: FrameRef,
    time: Timestamp,
    wire_len: u32,
    link: LinkType,
    bytes: Held,
}

/// Bytes in place, or those of headers that are longer.
#[derive(Clone, Debug)]
enum Held {
    Here { len: u8, bytes: [u8; BEGINNING] },
    Shared(Arc<[u8]>),
}

impl Beginning {
    /// The beginning of `frame`.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self { at: frame.at, time: frame.time, wire_len: frame.wire_len, link: frame.link, bytes: Held::of(frame) }
    }

    /// Quotes the frame by it, as [`Cited::beginning`] would have done.
    pub fn cited(&self) -> Cited {
        let bytes = match &self.bytes {
            Held::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes).into(),
            Held::Shared(bytes) => Arc::clone(bytes),
        };
        Cited { at: self.at, time: self.time, wire_len: self.wire_len, bytes, link: self.link }
    }
}

impl Held {
    fn of(frame: &Frame<'_>) -> Self {
        let first = first(frame);
        let mut bytes = [0; BEGINNING];
        match (u8::try_from(first.len()), bytes.get_mut(..first.len())) {
            (Ok(len), Some(here)) => {
                here.copy_from_slice(first);
                Self::Here { len, bytes }
            }
            _ => Self::Shared(Cited::of(frame).bytes),
        }
    }
}

/// The first bytes of `frame`, all of its headers among them: it whole, where these are long or there is no more.
fn first<'a>(frame: &Frame<'a>) -> &'a [u8] {
    let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
    frame.bytes.get(..BEGINNING).filter(|_| headers <= BEGINNING).unwrap_or(frame.bytes)
}

impl Cited {
    /// Quotes `frame`.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self::first(frame, KEPT)
    }

    /// Quotes the headers of `frame`, for one that will most likely not be shown.
    pub fn beginning(frame: &Frame<'_>) -> Self {
        let first = first(frame);
        if first.len() < frame.bytes.len() { Self::quoting(frame, frame.beginning(first)) } else { Self::of(frame) }
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
