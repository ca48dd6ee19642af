//! The pcapng capture file (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces, enhanced, simple and obsolete packet
//! blocks, statistics. Names, secrets and custom blocks are skipped: they hold no frames.

use super::error::Damage;
use super::window::{Order, Window};
use super::{Interface, Source, SourceError};
use crate::event::{Direction, Offload, Record};
use crate::value::{Outside, Timestamp};
use crate::wire::LinkType;

/// The longest block that is read: libpcap's limit. A longer one is damage.
const LONGEST: u32 = 16 << 20;
const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// A pcapng file.
pub struct Pcapng {
    path: Outside,
    window: Window,
    order: Order,
    interfaces: Vec<Interface>,
    clocks: Vec<Clock>,
    /// Index of the section's first interface.
    base: usize,
    blocks: u64,
    number: u64,
    /// Bytes of the block at the window's beginning.
    current: usize,
    packet: Packet,
}

/// The packet of the current block.
#[derive(Clone, Copy, Debug)]
struct Packet {
    interface: usize,
    time: Timestamp,
    wire_len: u32,
    direction: Direction,
    start: usize,
    len: usize,
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    resolution: u8,
    offset: i64,
    /// Frames that packet blocks say were lost, beside what statistics say.
    lost: u64,
}

/// Whether a file that begins so is pcapng.
pub fn is_magic(magic: [u8; 4]) -> bool {
    u32::from_be_bytes(magic) == SECTION
}

impl Clock {
    /// `ticks` of this clock as a moment.
    fn moment(self, ticks: u64) -> Timestamp {
        let exponent = u32::from(self.resolution & 0x7f);
        let ticks = u128::from(ticks).saturating_mul(1_000_000_000);
        let nanos = if self.resolution & 0x80 != 0 {
            ticks.checked_shr(exponent).unwrap_or(0)
        } else {
            10_u128.checked_pow(exponent).and_then(|unit| ticks.checked_div(unit)).unwrap_or(0)
        };
        Timestamp::from_parts(self.offset, i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

impl Pcapng {
    /// A reader at the beginning of `window`; nothing is read yet.
    pub fn open(path: Outside, window: Window) -> Self {
        Self {
            path,
            window,
            order: Order::Little,
            interfaces: Vec::new(),
            clocks: Vec::new(),
            base: 0,
            blocks: 0,
            number: 0,
            current: 0,
            packet: Packet {
                interface: 0,
                time: Timestamp::from_nanos(0),
                wire_len: 0,
                direction: Direction::Unknown,
                start: 0,
                len: 0,
            },
        }
    }

    fn damaged(&self, why: impl Into<String>) -> SourceError {
        let place = Damage { unit: "block", number: self.blocks, offset: self.window.offset() };
        SourceError::damaged(&self.path, place, why.into())
    }

    fn need(&mut self, bytes: usize) -> Result<bool, SourceError> {
        self.window.need(bytes).map_err(|e| self.damaged(Outside::from(e.to_string().as_str()).to_string()))
    }

    /// Brings the next block whole into the window: its type, or `None` at the end of the file.
    fn block(&mut self) -> Result<Option<u32>, SourceError> {
        self.window.skip(self.current);
        self.current = 0;
        self.blocks = self.blocks.saturating_add(1);
        if !self.need(12)? {
            return match self.window.bytes().len() {
                0 => Ok(None),
                have => Err(self.damaged(format!("the file ends {have} bytes into a block header of 12"))),
            };
        }
        let bytes = self.window.bytes();
        // The type of a section header reads the same in both orders; only then is the order of the rest known.
        if self.order.u32(bytes, 0) == SECTION {
            self.order = match (Order::Little.u32(bytes, 8), Order::Big.u32(bytes, 8)) {
                (BYTE_ORDER, _) => Order::Little,
                (_, BYTE_ORDER) => Order::Big,
                (found, _) => {
                    return Err(self.damaged(format!("a section header without a byte-order mark: {found:#010x}")));
                }
            };
        }
        let (kind, length) = (self.order.u32(bytes, 0), self.order.u32(bytes, 4));
        if self.blocks == 1 && kind != SECTION {
            return Err(self.damaged("the file does not begin with a section header"));
        }
        if length % 4 != 0 {
            return Err(self.damaged(format!("length {length} is not a multiple of 4")));
        }
        if !(12..=LONGEST).contains(&length) {
            return Err(self.damaged(format!("length {length} is out of range: a block has 12 to {LONGEST} bytes")));
        }
        let length = length as usize;
        if !self.need(length)? {
            let have = self.window.bytes().len();
            return Err(self.damaged(format!("the file ends {have} bytes into a block of {length}")));
        }
        let again = self.order.u32(self.window.bytes(), length.saturating_sub(4));
        if again as usize != length {
            return Err(self.damaged(format!("its length is {length} at its beginning and {again} at its end")));
        }
        self.current = length;
        Ok(Some(kind))
    }

    /// The body of the current block, without type and lengths.
    fn body(&self) -> &[u8] {
        self.window.bytes().get(8..self.current.saturating_sub(4)).unwrap_or(&[])
    }

    /// The options of the current block from `at` in its body on: code and value.
    fn options(&self, at: usize) -> Result<Vec<(u16, &[u8])>, SourceError> {
        let mut rest = self.body().get(at..).unwrap_or(&[]);
        let mut options = Vec::new();
        while rest.len() >= 4 {
            let (code, length) = (self.order.u16(rest, 0), usize::from(self.order.u16(rest, 2)));
            if code == 0 {
                break;
            }
            let end = length.saturating_add(4);
            let Some(value) = rest.get(4..end) else {
                let have = rest.len().saturating_sub(4);
                return Err(self.damaged(format!("option {code} claims {length} bytes, and the block has {have} left")));
            };
            options.push((code, value));
            rest = rest.get(end.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(options)
    }

    fn section(&mut self) -> Result<(), SourceError> {
        self.base = self.interfaces.len();
        let (major, minor) = (self.order.u16(self.body(), 4), self.order.u16(self.body(), 6));
        if major != 1 {
            return Err(self
                .damaged(format!("version {major}.{minor} of the format is unknown; 1.0 is what every tool writes")));
        }
        self.options(16).map(|_| ())
    }

    fn interface(&mut self) -> Result<(), SourceError> {
        let body = self.body();
        if body.len() < 8 {
            return Err(self.damaged(format!("an interface description of {} bytes; it has 8 at least", body.len())));
        }
        let mut interface = Interface {
            name: None,
            description: None,
            link: LinkType::from_pcap(u32::from(self.order.u16(body, 0))),
            snap_len: self.order.u32(body, 4),
            filter: None,
            dropped: 0,
            end: None,
        };
        // Microseconds, where the option does not say.
        let mut clock = Clock { resolution: 6, offset: 0, lost: 0 };
        for (code, value) in self.options(8)? {
            match code {
                2 => interface.name = Some(Outside::from_bytes(value)),
                3 => interface.description = Some(Outside::from_bytes(value)),
                9 => clock.resolution = value.first().copied().unwrap_or(6),
                // The first byte tells the kind of filter: 0 is an expression in words.
                11 if value.first() == Some(&0) => interface.filter = value.get(1..).map(Outside::from_bytes),
                14 => clock.offset = self.order.u64(value, 0).cast_signed(),
                _ => {}
            }
        }
        self.interfaces.push(interface);
        self.clocks.push(clock);
        Ok(())
    }

    /// The index of interface `number` of this section.
    fn interface_at(&self, number: usize) -> Result<usize, SourceError> {
        let index = self.base.saturating_add(number);
        if index < self.interfaces.len() {
            return Ok(index);
        }
        let described = self.interfaces.len().saturating_sub(self.base);
        Err(self.damaged(format!("a packet of interface {number}, and the section describes {described}")))
    }

    /// An enhanced packet block, or the obsolete one, whose first fields are shorter.
    fn packet(&mut self, is_obsolete: bool) -> Result<(), SourceError> {
        let body = self.body();
        let order = self.order;
        if body.len() < 20 {
            return Err(self.damaged(format!("a packet block of {} bytes; it has 20 at least", body.len())));
        }
        let number = if is_obsolete { usize::from(order.u16(body, 0)) } else { order.u32(body, 0) as usize };
        let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
        let (captured, original) = (order.u32(body, 12), order.u32(body, 16));
        let room = body.len().saturating_sub(20);
        let obsolete_drops = if is_obsolete { order.u16(body, 2) } else { 0 };
        if captured as usize > room {
            return Err(self.damaged(format!("a packet of {captured} bytes in a block with room for {room}")));
        }
        let interface = self.interface_at(number)?;
        let mut direction = Direction::Unknown;
        // The old block counts its losses in 16 bits, and all ones is "unknown".
        let mut lost = if obsolete_drops == u16::MAX { 0 } else { u64::from(obsolete_drops) };
        for (code, value) in self.options(20_usize.saturating_add((captured as usize).next_multiple_of(4)))? {
            match code {
                2 => {
                    direction = match order.u32(value, 0) & 3 {
                        1 => Direction::In,
                        2 => Direction::Out,
                        _ => Direction::Unknown,
                    };
                }
                4 if !is_obsolete => lost = order.u64(value, 0),
                _ => {}
            }
        }
        let mut time = self.packet.time;
        if let Some(clock) = self.clocks.get_mut(interface) {
            time = clock.moment(ticks);
            clock.lost = clock.lost.saturating_add(lost);
            if let (Some(interface), true) = (self.interfaces.get_mut(interface), lost > 0) {
                interface.dropped = interface.dropped.max(clock.lost);
            }
        }
        let wire_len = original.max(captured);
        self.packet = Packet { interface, time, wire_len, direction, start: 28, len: captured as usize };
        Ok(())
    }

    /// A simple packet block: interface 0, no time, as long as the snap length lets it be.
    fn simple_packet(&mut self) -> Result<(), SourceError> {
        let interface = self.interface_at(0)?;
        let body = self.body();
        let Some(room) = body.len().checked_sub(4) else {
            return Err(self.damaged(format!("a simple packet block of {} bytes; it has 4 at least", body.len())));
        };
        let original = self.order.u32(body, 0);
        let snap_len = self.interfaces.get(interface).map_or(0, |i| i.snap_len);
        let captured = if snap_len == 0 { original } else { original.min(snap_len) };
        if captured as usize > room {
            return Err(self.damaged(format!("a packet of {captured} bytes in a block with room for {room}")));
        }
        let time = self.packet.time;
        self.packet = Packet {
            interface,
            time,
            wire_len: original,
            direction: Direction::Unknown,
            start: 12,
            len: captured as usize,
        };
        Ok(())
    }

    fn statistics(&mut self) -> Result<(), SourceError> {
        let body = self.body();
        let interface = self.interface_at(self.order.u32(body, 0) as usize)?;
        let (mut dropped, mut end) = (0_u64, None);
        for (code, value) in self.options(12)? {
            match code {
                3 => end = Some((u64::from(self.order.u32(value, 0)) << 32) | u64::from(self.order.u32(value, 4))),
                5 | 7 => dropped = dropped.saturating_add(self.order.u64(value, 0)),
                _ => {}
            }
        }
        let end = end.and_then(|ticks| self.clocks.get(interface).map(|clock| clock.moment(ticks)));
        if let Some(interface) = self.interfaces.get_mut(interface) {
            interface.dropped = interface.dropped.max(dropped);
            interface.end = end.or(interface.end);
        }
        Ok(())
    }
}

impl Source for Pcapng {
    fn advance(&mut self) -> Result<bool, SourceError> {
        while let Some(kind) = self.block()? {
            match kind {
                SECTION => self.section()?,
                1 => self.interface()?,
                5 => self.statistics()?,
                2 | 3 | 6 => {
                    match kind {
                        3 => self.simple_packet()?,
                        _ => self.packet(kind == 2)?,
                    }
                    self.number = self.number.saturating_add(1);
                    return Ok(true);
                }
                // Custom blocks and journal entries hold no frame, but Wireshark gives them a number.
                0x0bad | 0x4000_0bad | 9 => self.number = self.number.saturating_add(1),
                // Names (4), secrets (10) and what nobody knows hold no frames.
                _ => {}
            }
        }
        Ok(false)
    }

    fn record(&self) -> Record<'_> {
        let Packet { interface, time, wire_len, direction, start, len } = self.packet;
        Record {
            interface: u32::try_from(interface).unwrap_or(u32::MAX),
            number: self.number,
            time,
            wire_len,
            direction,
            offload: Offload::Unknown,
            bytes: self.window.bytes().get(start..start.saturating_add(len)).unwrap_or(&[]),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn format(&self) -> String {
        "pcapng".to_owned()
    }

    fn position(&self) -> u64 {
        self.window.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap();
        let mut out = [kind.to_le_bytes(), length.to_le_bytes()].concat();
        out.extend(body);
        out.resize(length as usize - 4, 0);
        out.extend(length.to_le_bytes());
        out
    }

    fn section() -> Vec<u8> {
        block(SECTION, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255])
    }

    /// Ethernet, no snap length, named `bond0`, nanoseconds.
    fn interface() -> Vec<u8> {
        block(1, b"\x01\0\0\0\0\0\0\0\x02\0\x05\0bond0\0\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0")
    }

    fn enhanced(interface: u8, captured: u8, data: &[u8]) -> Vec<u8> {
        let mut body = vec![interface, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, captured, 0, 0, 0, 60, 0, 0, 0];
        body.extend(data);
        block(6, &body)
    }

    type Read = (Vec<(u32, i64, Vec<u8>)>, Vec<Interface>, Option<String>);

    fn read(bytes: Vec<u8>) -> Read {
        let mut source = Pcapng::open(Outside::from("f.pcapng"), Window::new(Box::new(std::io::Cursor::new(bytes))));
        let mut records = Vec::new();
        let error = loop {
            match source.advance() {
                Ok(true) => {
                    let r = source.record();
                    records.push((r.interface, r.time.nanos(), r.bytes.to_vec()));
                }
                Ok(false) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        (records, source.interfaces, error)
    }

    #[test]
    fn packets_names_and_nanoseconds() {
        let bytes = [section(), interface(), enhanced(0, 3, b"abc"), block(3, b"\x02\0\0\0xy")].concat();
        let (records, interfaces, error) = read(bytes);
        assert_eq!(error, None);
        let time = (1 << 32) + 2;
        assert_eq!(records, [(0, time, b"abc".to_vec()), (0, time, b"xy".to_vec())]);
        assert_eq!(interfaces[0].name, Some(Outside::from("bond0")));
    }

    #[test]
    fn interfaces_count_on_over_sections() {
        let one = [section(), interface(), enhanced(0, 1, b"a")].concat();
        let (records, interfaces, error) = read([one.clone(), one].concat());
        assert_eq!((records[1].0, interfaces.len(), error), (1, 2, None));
    }

    #[test]
    fn damage_is_told_by_block_and_offset() {
        let good = [section(), interface(), enhanced(0, 3, b"abc")].concat();
        let at = good.len();
        let (records, _, error) = read([good.clone(), enhanced(7, 3, b"abc")].concat());
        assert_eq!(records.len(), 1);
        assert_eq!(
            error,
            Some(format!("f.pcapng: block 4 at byte {at}: a packet of interface 7, and the section describes 1"))
        );
        let (records, _, error) = read([good, vec![6, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!(records.len(), 1);
        assert!(error.unwrap().ends_with("length 7 is not a multiple of 4"));
    }

    #[test]
    fn any_resolution_is_a_time() {
        let clock = |resolution| Clock { resolution, offset: 0, lost: 0 };
        assert_eq!(clock(0x80 | 10).moment(1024).nanos(), 1_000_000_000);
        assert_eq!(clock(0).moment(3).nanos(), 3_000_000_000);
        for resolution in 0..=255 {
            clock(resolution).moment(u64::MAX);
        }
    }
}
