//! pcapng files (draft-ietf-opsawg-pcapng): several sections, each in its own byte order. What blocks mean stands in `pcapng/blocks.rs`.
//! Not handled: the length of a section, which is only a hint for skipping it.

mod blocks;
mod options;
#[cfg(test)]
mod tests;

use self::blocks::{Found, Sections, is_numbered, split};
use super::error::{Part, SourceError, Trouble};
use super::packing::{Packing, format_name};
use super::scout::Scout;
use super::unpack::Position;
use super::window::{Order, Window};
use super::{Interface, NO_RECORD, Source, Step, Told};
use crate::event::Record;
use crate::pcapng::{ENHANCED_PACKET, ORDER_MAGIC, SECTION};
use crate::value::{Outside, Timestamp};

/// Type, length, and the length again (3.1).
const LEAST: usize = 12;
/// Bytes between the beginning of a block and its body.
const BODY: usize = 8;
/// Longest block that is taken: 16 MiB, as in Wireshark.
const MOST: u32 = 16 << 20;

/// A pcapng file that is being read.
pub(super) struct Pcapng {
    path: Outside,
    window: Window,
    position: Position,
    packing: Option<Packing>,
    sections: Sections,
    blocks: u64,
    /// Bytes of the block at the beginning of the window; 0 before the first.
    span: usize,
    number: u64,
    found: Option<Found>,
    /// The first fault that spoiled no frame: it is told when all frames are read.
    flaw: Option<SourceError>,
    is_over: bool,
}

impl Pcapng {
    /// Whether these are the first bytes of a pcapng file.
    pub(super) fn is_magic(first: &[u8]) -> bool {
        Order::Big.words(first) == Some([SECTION])
    }

    /// A file that begins at the beginning of `window`.
    pub(super) const fn new(path: Outside, window: Window, packing: Option<Packing>, position: Position) -> Self {
        let sections = Sections::new();
        Self {
            path,
            window,
            position,
            packing,
            sections,
            blocks: 0,
            span: 0,
            number: 0,
            found: None,
            flaw: None,
            is_over: false,
        }
    }

    /// Moves to the next frame.
    fn step(&mut self) -> Result<Step, Trouble> {
        self.found = None;
        while let Some(kind) = self.block()? {
            let end = self.span.saturating_sub(LEAST.saturating_sub(BODY));
            let body = self.window.bytes().get(BODY..end).unwrap_or_default();
            self.found = self.sections.take(kind, body)?;
            if let Some(flaw) = self.sections.flaw.take() {
                self.forgive(flaw);
            }
            if self.found.is_some() || is_numbered(kind) {
                self.number = self.number.saturating_add(1);
            }
            if self.found.is_some() {
                return Ok(Step::Record);
            }
        }
        Ok(Step::End)
    }

    /// Moves to the next block, and sees that it is whole; its type, or nothing at the end.
    fn block(&mut self) -> Result<Option<u32>, Trouble> {
        self.window.skip(self.span);
        self.span = 0;
        if self.window.fill(LEAST) == 0 && !self.window.has_trouble() {
            return Ok(None);
        }
        self.blocks = self.blocks.saturating_add(1);
        let Some([section, _, magic]) = Order::Big.words(self.window.bytes()) else {
            return Err(self.window.cut("block header", LEAST));
        };
        if section == SECTION {
            self.sections.order = match magic {
                ORDER_MAGIC => Order::Big,
                _ if magic.swap_bytes() == ORDER_MAGIC => Order::Little,
                _ => return Err(Trouble::ByteOrder(magic)),
            };
        }
        let order = self.sections.order;
        let [kind, length] = order.words(self.window.bytes()).unwrap_or_default();
        // Some writers leave the padding out of the length but not out of the file; the length at the end then proves it.
        let span = (length as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX);
        if length < 12 {
            let is_aligned = length % 4 == 0;
            return Err(if is_aligned {
                Trouble::TooShort { kind, length, least: 12 }
            } else {
                Trouble::Unaligned(length)
            });
        }
        if length > MOST {
            return Err(Trouble::TooLong { what: "block", length: u64::from(length), most: u64::from(MOST) });
        }
        if self.window.fill(span) < span {
            return Err(self.window.cut("block", span));
        }
        let last = self.window.bytes().get(..span).and_then(<[u8]>::last_chunk).map(|bytes| order.u32(*bytes));
        match last {
            Some(last) if last != length && length % 4 != 0 => Err(Trouble::Unaligned(length)),
            Some(last) if last != length => Err(Trouble::Unequal { first: length, last }),
            _ => {
                self.span = span;
                if length % 4 != 0 {
                    self.forgive(Trouble::Unaligned(length));
                }
                Ok(Some(kind))
            }
        }
    }

    /// Goes on after a fault that spoils no frame, and remembers the first of them.
    fn forgive(&mut self, kind: Trouble) {
        let fault = self.fault(kind);
        self.flaw.get_or_insert(fault);
    }

    fn fault(&self, kind: Trouble) -> SourceError {
        SourceError { path: self.path.clone(), part: Part::Block(self.blocks), offset: self.window.offset(), kind }
    }
}

impl Source for Pcapng {
    fn advance(&mut self) -> Result<Step, SourceError> {
        if self.is_over {
            return Ok(Step::End);
        }
        let step = self.step();
        self.is_over = !matches!(step, Ok(Step::Record));
        match step {
            Ok(Step::End) => self.flaw.take().map_or(Ok(Step::End), Err),
            step => step.map_err(|kind| self.fault(kind)),
        }
    }

    fn record(&self) -> Record<'_> {
        let body = self.window.bytes().get(BODY..self.span).unwrap_or_default();
        let none = Record { number: self.number, ..NO_RECORD };
        self.found.map_or(none, |found| found.record(self.number, body))
    }

    fn run(&mut self, take: &mut dyn FnMut(Record<'_>, &[u8])) {
        if self.is_over {
            return;
        }
        self.found = None;
        self.window.skip(std::mem::take(&mut self.span));
        let (order, mut rest) = (self.sections.order, self.window.bytes());
        let mut scout = Scout::new(rest, |bytes| split(order, bytes));
        while let Some((body, behind)) = self.sections.plain(rest)
            && let Ok(Some(found)) = self.sections.take(ENHANCED_PACKET, body)
        {
            self.blocks = self.blocks.saturating_add(1);
            self.number = self.number.saturating_add(1);
            take(found.record(self.number, body), scout.next());
            rest = behind;
        }
        let left = rest.len();
        self.window.leave(left);
    }

    fn interfaces(&self) -> &[Interface] {
        &self.sections.interfaces
    }

    fn time(&self) -> Timestamp {
        self.found.map(|found| found.time).unwrap_or_default()
    }

    fn told(&self) -> Told {
        Told { interfaces: self.sections.interfaces.len(), dropped: self.sections.dropped }
    }

    fn format(&self) -> String {
        format_name("pcapng", self.packing)
    }

    fn position(&self) -> u64 {
        self.position.bytes()
    }
}
