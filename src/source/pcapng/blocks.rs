//! The bodies of pcapng blocks (draft-ietf-opsawg-pcapng, 4): sections, interfaces, frames, statistics.
//! Not handled, but skipped: name resolution, decryption secrets, custom blocks, and every type that is not known.

use super::super::Interface;
use super::super::error::Trouble;
use super::super::window::Order;
use super::options::{Clock, Options, text};
use super::{BODY, MOST};
use crate::event::{Direction, Offload, Record};
use crate::pcapng::{
    CUSTOM_BYTES, ENHANCED_PACKET, FLAGS_IN, FLAGS_OUT, FLAGS_SEGMENTED, FLAGS_UNSUMMED, FLAGS_WAY, INTERFACE, Own,
    SECTION, STATISTICS,
};
use crate::value::{Outside, Timestamp};
use crate::wire::LinkType;

/// The obsolete packet block.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
/// Name resolution, whose names are not used.
const NAMES: u32 = 4;
/// Decryption secrets, which are not used.
const SECRETS: u32 = 10;
/// An entry of systemd's journal.
const JOURNAL: u32 = 9;
/// A custom block that may be copied, and one that may not.
const CUSTOM: [u32; 2] = [0xbad, 0x4000_0bad];
/// Events of sysdig: first and second version, and the second with large parameters. Wireshark does not number those with flags.
const SYSDIG: [u32; 3] = [0x204, 0x216, 0x221];

/// Bytes of a block around its body: type, and length twice.
const FRAME: usize = 12;
/// Bytes of the fixed fields of a packet, the enhanced and the obsolete: five words.
const FIXED: usize = 20;
/// Interfaces that are kept of one file. A host with a tap for each of a thousand guests has 5,000 links.
const MOST_INTERFACES: usize = 65_536;

/// Whether a block that is no frame has a frame number all the same. Wireshark 4.0 numbers these, as trials with it showed, and our numbers are to be its numbers.
pub(super) fn is_numbered(kind: u32) -> bool {
    kind == JOURNAL || CUSTOM.contains(&kind) || SYSDIG.contains(&kind)
}

/// What the blocks so far have said.
pub(super) struct Sections {
    /// The byte order of the present section.
    pub(super) order: Order,
    /// The interfaces of all sections.
    pub(super) interfaces: Vec<Interface>,
    /// For each interface: how to read its stamps, and the frames lost as its own frames told.
    ledgers: Vec<Ledger>,
    /// The first interface of the present section.
    first: usize,
    /// The time of the latest frame.
    last: Timestamp,
    /// A fault in the latest block that spoils no frame.
    pub(super) flaw: Option<Trouble>,
    /// Frames lost, over all interfaces: a file may have tens of thousands of those.
    pub(super) dropped: u64,
}

/// What is remembered of an interface beside its description.
#[derive(Clone, Copy, Default)]
struct Ledger {
    clock: Clock,
    /// Frames lost, summed over `epb_dropcount`, which tells only those since the frame before.
    dropped: u64,
}

/// A frame in the body of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Index into the interfaces of the file.
    pub(super) interface: u32,
    /// When it was captured.
    pub(super) time: Timestamp,
    /// Bytes on the wire.
    pub(super) wire_len: u32,
    /// Which way it went.
    pub(super) direction: Direction,
    /// What the kernel told about offloads.
    pub(super) offload: Offload,
    /// Where it begins in the body.
    pub(super) start: usize,
    /// Its bytes that are there.
    pub(super) captured: usize,
}

impl Found {
    /// The record in `body`.
    #[inline]
    pub(super) fn record<'a>(&self, number: u64, body: &'a [u8]) -> Record<'a> {
        let bytes = body.get(self.start..).and_then(|bytes| bytes.get(..self.captured));
        Record {
            interface: self.interface,
            number,
            time: self.time,
            wire_len: self.wire_len,
            direction: self.direction,
            offload: self.offload,
            bytes: bytes.unwrap_or_default(),
        }
    }
}

impl Sections {
    /// Before the first section.
    pub(super) const fn new() -> Self {
        let last = Timestamp::from_nanos(0);
        Self {
            order: Order::Little,
            interfaces: Vec::new(),
            ledgers: Vec::new(),
            first: 0,
            last,
            flaw: None,
            dropped: 0,
        }
    }

    /// Takes a block's body; gives the frame that it holds.
    pub(super) fn take(&mut self, kind: u32, body: &[u8]) -> Result<Option<Found>, Trouble> {
        match kind {
            SECTION => self.section(body).map(|()| None),
            INTERFACE => self.interface(body).map(|()| None),
            STATISTICS => self.statistics(body).map(|()| None),
            SIMPLE_PACKET => self.simple_packet(body).map(Some),
            ENHANCED_PACKET => {
                let (words, rest) = fixed::<5>(self.order, kind, body)?;
                let [number, high, low, captured, original] = words;
                self.packet(number, (high, low), captured, original, rest).map(Some)
            }
            PACKET => {
                let (words, rest) = fixed::<5>(self.order, kind, body)?;
                let [word, high, low, captured, original] = words;
                let (number, drops) = self.order.halves(word);
                let found = self.packet(u32::from(number), (high, low), captured, original, rest)?;
                // 4.5 of the drafts that had it: all ones where the count is not known.
                if drops != u16::MAX {
                    self.lose(found.interface, u64::from(drops));
                }
                Ok(Some(found))
            }
            NAMES => {
                self.flaw = names(self.order, body).err();
                Ok(None)
            }
            SECRETS => {
                self.flaw = secrets(self.order, body).err();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The body of the block at the beginning of `bytes` and what lies behind the block, where that holds a frame of a known interface and nothing
    /// else, so that no fault can be in it: nearly every block of most files.
    #[inline]
    pub(super) fn plain<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let [kind, length, number, _, _, captured] = self.order.words(bytes)?;
        // What follows the frame would be options.
        let is_all = (captured as usize).checked_next_multiple_of(4)?.checked_add(FIXED + FRAME)? == length as usize;
        let (block, behind) = bytes.split_at_checked(length as usize)?;
        let (block, last) = block.split_last_chunk()?;
        let is_whole = kind == ENHANCED_PACKET && is_all && self.order.u32(*last) == length;
        (is_whole && length <= MOST && self.index(number).is_ok()).then_some((block.get(BODY..)?, behind))
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let ([_, version, _, _], rest) = fixed::<4>(self.order, SECTION, body)?;
        let (major, minor) = self.order.halves(version);
        if major != 1 {
            return Err(Trouble::Version { major, minor, known: 1 });
        }
        self.first = self.interfaces.len();
        Options::new(self.order, rest).try_for_each(|option| option.map(|_| ()))
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let ([link, snap_len], rest) = fixed::<2>(self.order, INTERFACE, body)?;
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Trouble::TooManyInterfaces(MOST_INTERFACES));
        }
        let link = LinkType::from_pcap(u32::from(self.order.halves(link).0));
        let (tells_offload, dropped, missed) = (false, 0, 0);
        let (name, description, filter) = (None, None, None);
        let mut described =
            Interface { name, description, link, snap_len, filter, tells_offload, dropped, missed, end: None };
        let mut ledger = Ledger::default();
        for option in Options::new(self.order, rest) {
            match option? {
                (2, value) => described.name = text(value),
                (3, value) => described.description = text(value),
                (9, [resolution, ..]) => ledger.clock.resolution = *resolution,
                (11, value) => described.filter = filter_text(value),
                (14, value) => ledger.clock.offset = self.number(value).unwrap_or_default().cast_signed(),
                (CUSTOM_BYTES, value) => described.tells_offload |= self.own(value) == Some(Own::Told(true)),
                _ => {}
            }
        }
        self.interfaces.push(described);
        self.ledgers.push(ledger);
        Ok(())
    }

    fn packet(
        &mut self,
        number: u32,
        (high, low): (u32, u32),
        captured: u32,
        original: u32,
        rest: &[u8],
    ) -> Result<Found, Trouble> {
        let interface = self.index(number)?;
        let length = captured as usize;
        if length > rest.len() {
            return Err(Trouble::FrameOverBlock { room: rest.len() as u64, length: captured });
        }
        let clock = self.ledgers.get(interface).map(|ledger| ledger.clock).unwrap_or_default();
        let tells_offload = self.interfaces.get(interface).is_some_and(|described| described.tells_offload);
        let interface = u32::try_from(interface).unwrap_or(u32::MAX);
        let padded = length.checked_next_multiple_of(4).unwrap_or(length);
        let (mut flags, mut is_told, mut segment) = (0, None, 0);
        for option in Options::new(self.order, rest.get(padded..).unwrap_or_default()) {
            match option? {
                // epb_flags and pack_flags (4.3.1).
                (2, value) => [flags] = self.order.words(value).unwrap_or_default(),
                // epb_dropcount.
                (4, value) => self.lose(interface, self.number(value).unwrap_or_default()),
                (CUSTOM_BYTES, value) => match self.own(value) {
                    Some(Own::Told(told)) => is_told = Some(told),
                    Some(Own::Segment(bytes)) => segment = bytes,
                    None => {}
                },
                _ => {}
            }
        }
        let direction = match flags & FLAGS_WAY {
            FLAGS_IN => Direction::In,
            FLAGS_OUT => Direction::Out,
            _ => Direction::Unknown,
        };
        let offload = match is_told.unwrap_or(tells_offload) {
            _ if flags & FLAGS_SEGMENTED != 0 => Offload::Segmented { segment },
            _ if flags & FLAGS_UNSUMMED != 0 => Offload::Unsummed,
            true => Offload::None,
            false => Offload::Unknown,
        };
        self.last = clock.time(high, low);
        self.go_on(interface);
        Ok(Found {
            interface,
            time: self.last,
            wire_len: original.max(captured),
            direction,
            offload,
            start: FIXED,
            captured: length,
        })
    }

    /// A frame of interface 0, without a time (4.4).
    fn simple_packet(&mut self, body: &[u8]) -> Result<Found, Trouble> {
        let ([original], rest) = fixed::<1>(self.order, SIMPLE_PACKET, body)?;
        let index = self.index(0)?;
        let limit = match self.interfaces.get(index).map(|described| described.snap_len) {
            None | Some(0) => u32::MAX,
            Some(limit) => limit,
        };
        let captured = (original.min(limit) as usize).min(rest.len());
        let interface = u32::try_from(index).unwrap_or(u32::MAX);
        let (direction, offload) = (Direction::Unknown, Offload::Unknown);
        Ok(Found { interface, time: self.last, wire_len: original, direction, offload, start: 4, captured })
    }

    fn statistics(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let ([number, _, _], rest) = fixed::<3>(self.order, STATISTICS, body)?;
        // A count for an interface that is not there spoils no frame.
        let index = match self.index(number) {
            Ok(index) => index,
            Err(flaw) => {
                self.flaw = Some(flaw);
                return Ok(());
            }
        };
        let (order, mut interface_drops, mut system_drops) = (self.order, None, None);
        for option in Options::new(order, rest) {
            match option? {
                (3, value) => {
                    let clock = self.ledgers.get(index).map(|ledger| ledger.clock).unwrap_or_default();
                    let end = order.words(value).map(|[high, low]| clock.time(high, low));
                    if let Some(described) = self.interfaces.get_mut(index) {
                        described.end = end.or(described.end);
                    }
                }
                (5, value) => interface_drops = self.number(value),
                (7, value) => system_drops = self.number(value),
                _ => {}
            }
        }
        // Who tells both tells them apart; dumpcap puts what the system dropped into the interface's count, the only one that it writes.
        let (missed, dropped) = match (interface_drops, system_drops) {
            (None, None) => return Ok(()),
            (Some(interface), Some(system)) => (interface, system),
            (interface, system) => (0, interface.or(system).unwrap_or(0)),
        };
        if let (Some(described), Some(ledger)) = (self.interfaces.get_mut(index), self.ledgers.get(index)) {
            count_dropped(&mut self.dropped, described, dropped.max(ledger.dropped));
            described.missed = missed;
        }
        Ok(())
    }

    /// Adds to the frames that an interface lost. Statistics count the same frames again, so the larger of both holds.
    fn lose(&mut self, interface: u32, count: u64) {
        let index = interface as usize;
        if let (Some(described), Some(ledger)) = (self.interfaces.get_mut(index), self.ledgers.get_mut(index)) {
            ledger.dropped = ledger.dropped.saturating_add(count);
            let dropped = described.dropped.max(ledger.dropped);
            count_dropped(&mut self.dropped, described, dropped);
        }
    }

    /// A frame that is later than the end its interface told: the statistics stood in the middle, and the capture went on.
    fn go_on(&mut self, interface: u32) {
        if let Some(described) = self.interfaces.get_mut(interface as usize)
            && described.end.is_some_and(|end| self.last > end)
        {
            described.end = None;
        }
    }

    /// What a custom option says, where it is one of ours.
    fn own(&self, value: &[u8]) -> Option<Own> {
        Own::read(value, |bytes| self.order.u16(bytes), |bytes| self.order.u32(bytes))
    }

    /// Where an interface of the present section stands among those of the file.
    fn index(&self, number: u32) -> Result<usize, Trouble> {
        let index = self.first.saturating_add(number as usize);
        if index < self.interfaces.len() {
            return Ok(index);
        }
        Err(Trouble::NoInterface { number, known: self.interfaces.len().saturating_sub(self.first) })
    }

    /// A 64-bit number that is the value of an option.
    fn number(&self, value: &[u8]) -> Option<u64> {
        value.first_chunk().map(|bytes| self.order.u64(*bytes))
    }
}

/// The frame in the block at the beginning of `bytes`, if that is one which holds a frame, and what lies behind the block.
#[inline]
pub(super) fn split(order: Order, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, length, _, _, _, captured] = order.words(bytes)?;
    let (block, behind) = bytes.split_at_checked(length as usize)?;
    Some((block.get(const { BODY + FIXED }..)?.get(..captured as usize)?, behind))
}

/// An interface has lost so many frames by now; `total` is what all have lost.
const fn count_dropped(total: &mut u64, described: &mut Interface, dropped: u64) {
    *total = total.saturating_sub(described.dropped).saturating_add(dropped);
    described.dropped = dropped;
}

/// Walks over name records (4.5), so that a lie about their length is told.
fn names(order: Order, body: &[u8]) -> Result<(), Trouble> {
    let mut rest = body;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let (code, length) = order.halves(order.u32(*head));
        if code == 0 {
            return Ok(());
        }
        let Some((_, after)) = after.split_at_checked(usize::from(length)) else {
            return Err(Trouble::OptionOverBlock { code, length, room: after.len() });
        };
        rest = after.get(usize::from(length.wrapping_neg() & 3)..).unwrap_or_default();
    }
    Ok(())
}

/// Looks whether secrets (4.7) are as long as they say.
fn secrets(order: Order, body: &[u8]) -> Result<(), Trouble> {
    let ([_, length], rest) = fixed::<2>(order, SECRETS, body)?;
    if length as usize > rest.len() {
        return Err(Trouble::TooLong { what: "secret", length: u64::from(length), most: rest.len() as u64 });
    }
    Ok(())
}

/// `if_filter` (4.2): 0 and a text; 1 and a program, which nobody reads.
fn filter_text(value: &[u8]) -> Option<Outside> {
    value.split_first().filter(|(kind, _)| **kind == 0).and_then(|(_, filter)| text(filter))
}

/// The fixed fields of a block, as words, and what follows them.
fn fixed<const N: usize>(order: Order, kind: u32, body: &[u8]) -> Result<([u32; N], &[u8]), Trouble> {
    let length = N.saturating_mul(4);
    let (Some(words), Some(rest)) = (order.words(body), body.get(length..)) else {
        let total = |length: usize| u32::try_from(length.saturating_add(FRAME)).unwrap_or(u32::MAX);
        return Err(Trouble::TooShort { kind, length: total(body.len()), least: total(length) });
    };
    Ok((words, rest))
}
