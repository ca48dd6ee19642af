//! A frame that may have to be cited later: its beginning, kept until somebody knows whether it matters.

use std::sync::Arc;

use crate::event::{Frame, FrameRef};
use crate::finding::Cited;
use crate::value::Timestamp;
use crate::wire::{LinkType, decode};

/// Bytes that are kept: an ARP packet, an echo, the headers of a segment, behind two tags and more, or in a tunnel.
const GLIMPSED: usize = 128;

/// The beginning of a frame that may have to be cited. Most never are, and what it says is put into words only then; whoever else remembers the
/// frame shares it.
#[derive(Clone, Debug)]
pub struct Glimpse {
    /// Which frame.
    pub at: FrameRef,
    /// When, by its own stamp.
    pub time: Timestamp,
    shown: Arc<Shown>,
}

/// What is kept of a frame.
#[derive(Debug)]
enum Shown {
    Beginning { link: LinkType, wire_len: u32, len: u8, bytes: [u8; GLIMPSED] },
    Whole(Cited),
}

impl Glimpse {
    /// The beginning of `frame`; all of it where its headers go on behind that.
    pub fn of(frame: &Frame<'_>) -> Self {
        let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
        if headers > GLIMPSED {
            return Self::whole(frame);
        }
        let mut bytes = [0; GLIMPSED];
        let len = frame.bytes.len().min(GLIMPSED);
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), frame.bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        let len = u8::try_from(len).unwrap_or(0);
        Self::shown(frame, Shown::Beginning { link: frame.link, wire_len: frame.wire_len, len, bytes })
    }

    /// The same of a frame that says nothing by its beginning.
    pub fn whole(frame: &Frame<'_>) -> Self {
        Self::shown(frame, Shown::Whole(Cited::of(frame)))
    }

    fn shown(frame: &Frame<'_>, shown: Shown) -> Self {
        Self { at: frame.at, time: frame.time, shown: Arc::new(shown) }
    }

    /// The frame as a finding quotes it.
    pub fn cited(&self) -> Cited {
        match self.shown.as_ref() {
            Shown::Whole(cited) => cited.clone(),
            Shown::Beginning { link, wire_len, len, bytes } => {
                let bytes = bytes.get(..usize::from(*len)).unwrap_or(&[]);
                let layers = decode(*link, bytes, *wire_len);
                Cited {
                    at: self.at,
                    time: self.time,
                    tags: layers.tags(),
                    line: layers.summary().to_string(),
                    wire_len: *wire_len,
                    bytes: bytes.into(),
                }
            }
        }
    }
}
