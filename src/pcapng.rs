//! The pcapng format (draft-ietf-opsawg-pcapng): the numbers that its reader and its writers share, and writing blocks, little-endian.
//! Not handled: writing sections in the other byte order, and stamps before 1970, which become 1970.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

use crate::event::{Direction, Offload};
use crate::value::Timestamp;
use crate::wire::LinkType;

/// Section header (4.1): the same in both byte orders.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// 4.1: tells the byte order of a section.
pub const ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Interface description (4.2).
pub const INTERFACE: u32 = 1;
/// Interface statistics (4.6).
pub const STATISTICS: u32 = 5;
/// Enhanced packet (4.3).
pub const ENHANCED_PACKET: u32 = 6;

/// `epb_flags`, bits 0 and 1 (4.3.1): received, sent.
pub const FLAGS_WAY: u32 = 3;
/// `epb_flags`: received.
pub const FLAGS_IN: u32 = 1;
/// `epb_flags`: sent.
pub const FLAGS_OUT: u32 = 2;
/// `epb_flags`, bit 9: the checksum was not yet filled in.
pub const FLAGS_UNSUMMED: u32 = 1 << 9;
/// `epb_flags`, bit 11: several segments in one frame.
pub const FLAGS_SEGMENTED: u32 = 1 << 11;

/// A custom option with bytes, which may be copied (3.5.1).
pub const CUSTOM_BYTES: u16 = 2989;
/// The enterprise number before our custom options: the one that RFC 5612 sets aside for examples, since netdiag has none of its own. What
/// follows is ours only where it begins with `OURS`.
const ENTERPRISE: u32 = 32_473;
/// The first bytes of our custom options, behind the enterprise number.
const OURS: &[u8; 8] = b"netdiag\0";
/// In an interface block: whether the kernel told of the offloads of its frames. In a packet block: of this frame, where it is not as its
/// interface has it.
const TAG_TOLD: u16 = 1;
/// In a packet block: bytes of payload in each segment of a super-frame.
const TAG_SEGMENT: u16 = 2;

/// What netdiag itself says in an option: the format has no place for it. 16 bytes: the enterprise number, `netdiag` and a zero, a tag of 16 bits
/// and a value of 16 bits, both in the byte order of the section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Own {
    /// Whether the kernel told of offloads: a frame of which nothing else is said then is as it was on the wire.
    Told(bool),
    /// Bytes of payload in each segment.
    Segment(u16),
}

impl Own {
    /// What a custom option says, where it is one of ours; `number` reads 16 bits and `word` 32 bits in the byte order of the section.
    pub fn read(value: &[u8], number: impl Fn([u8; 2]) -> u16, word: impl Fn([u8; 4]) -> u32) -> Option<Self> {
        let (enterprise, rest) = value.split_first_chunk::<4>()?;
        let (ours, rest) = rest.split_first_chunk::<8>()?;
        let (tag, rest) = rest.split_first_chunk::<2>()?;
        let told = number(*rest.first_chunk::<2>()?);
        if word(*enterprise) != ENTERPRISE || ours != OURS {
            return None;
        }
        match number(*tag) {
            TAG_TOLD => Some(Self::Told(told != 0)),
            TAG_SEGMENT => Some(Self::Segment(told)),
            _ => None,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        let (tag, told) = match self {
            Self::Told(is_told) => (TAG_TOLD, u16::from(is_told)),
            Self::Segment(bytes) => (TAG_SEGMENT, bytes),
        };
        let [e0, e1, e2, e3] = ENTERPRISE.to_le_bytes();
        let ([t0, t1], [v0, v1]) = (tag.to_le_bytes(), told.to_le_bytes());
        let [n0, n1, n2, n3, n4, n5, n6, n7] = *OURS;
        option(out, CUSTOM_BYTES, &[e0, e1, e2, e3, n0, n1, n2, n3, n4, n5, n6, n7, t0, t1, v0, v1]);
    }
}

/// An interface, as its block describes it.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// `if_name`; none where empty.
    pub name: &'a str,
    /// `if_description`; none where empty.
    pub description: &'a str,
    /// How its frames begin.
    pub link: LinkType,
    /// The most bytes kept of a frame; 0 for no limit.
    pub snap_len: u32,
    /// `if_filter`, as text; none where empty.
    pub filter: &'a str,
    /// Whether the kernel tells of offloads.
    pub tells_offload: bool,
}

/// A frame, as its block holds it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its interface in the section, from 0.
    pub interface: u32,
    /// When it was captured.
    pub time: Timestamp,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What the kernel told about offloads.
    pub offload: Offload,
    /// Whether the block of its interface says that the kernel tells of offloads.
    pub tells_offload: bool,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// A comment each.
    pub comments: &'a [String],
}

/// What an interface counted, from `start` on.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The interface in the section, from 0.
    pub interface: u32,
    /// When it was counted.
    pub time: Timestamp,
    /// When counting began.
    pub start: Timestamp,
    /// When the capture ended; `None` in the middle of it.
    pub end: Option<Timestamp>,
    /// Frames that were delivered.
    pub delivered: u64,
    /// Frames for which the system had no room.
    pub lost: u64,
    /// Frames that the interface itself lost before.
    pub missed: u64,
}

/// Writes the header of a section: by which program, with a comment unless it is empty.
pub fn section(out: &mut Vec<u8>, comment: &str) {
    block(out, SECTION, |out| {
        out.extend_from_slice(&ORDER_MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        // How long the section is, is not told.
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        if !comment.is_empty() {
            option(out, 1, comment.as_bytes());
        }
        option(out, 4, concat!("netdiag ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(out, 0, &[]);
    });
}

/// Writes the description of an interface; stamps of its frames count nanoseconds.
pub fn interface(out: &mut Vec<u8>, about: &Described<'_>) {
    block(out, INTERFACE, |out| {
        out.extend_from_slice(&u16::try_from(about.link.number()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&about.snap_len.to_le_bytes());
        for (code, text) in [(2, about.name), (3, about.description)] {
            if !text.is_empty() {
                option(out, code, text.as_bytes());
            }
        }
        // Nanoseconds: ten to the power of -9.
        option(out, 9, &[9]);
        if !about.filter.is_empty() {
            // 0: a text follows, as libpcap compiles it.
            option(out, 11, &[&[0], about.filter.as_bytes()].concat());
        }
        if about.tells_offload {
            Own::Told(true).write(out);
        }
        option(out, 0, &[]);
    });
}

/// Writes a frame.
pub fn packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    block(out, ENHANCED_PACKET, |out| {
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&packet.interface.to_le_bytes());
        out.extend_from_slice(&stamp(packet.time));
        out.extend_from_slice(&captured.to_le_bytes());
        out.extend_from_slice(&packet.wire_len.max(captured).to_le_bytes());
        out.extend_from_slice(packet.bytes);
        pad(out, packet.bytes.len());
        let before = out.len();
        for comment in packet.comments {
            option(out, 1, comment.as_bytes());
        }
        let flags = flags(packet.direction, packet.offload);
        if flags != 0 {
            option(out, 2, &flags.to_le_bytes());
        }
        let is_told = packet.offload != Offload::Unknown;
        let tells = packet.tells_offload || flags & (FLAGS_UNSUMMED | FLAGS_SEGMENTED) != 0;
        if is_told != tells {
            Own::Told(is_told).write(out);
        }
        if let Offload::Segmented { segment: 1.. } = packet.offload
            && let Offload::Segmented { segment } = packet.offload
        {
            Own::Segment(segment).write(out);
        }
        if out.len() > before {
            option(out, 0, &[]);
        }
    });
}

/// Writes what an interface counted.
pub fn statistics(out: &mut Vec<u8>, counted: &Counted) {
    block(out, STATISTICS, |out| {
        out.extend_from_slice(&counted.interface.to_le_bytes());
        out.extend_from_slice(&stamp(counted.time));
        option(out, 2, &stamp(counted.start));
        if let Some(end) = counted.end {
            option(out, 3, &stamp(end));
        }
        // isb_ifrecv, isb_ifdrop, isb_osdrop, isb_usrdeliv.
        let received = counted.delivered.saturating_add(counted.lost);
        for (code, count) in [(4, received), (5, counted.missed), (7, counted.lost), (8, counted.delivered)] {
            option(out, code, &count.to_le_bytes());
        }
        option(out, 0, &[]);
    });
}

/// What `epb_flags` says of a frame.
const fn flags(direction: Direction, offload: Offload) -> u32 {
    let way = match direction {
        Direction::In => FLAGS_IN,
        Direction::Out => FLAGS_OUT,
        Direction::Unknown => 0,
    };
    way | match offload {
        Offload::Unknown | Offload::None => 0,
        Offload::Unsummed => FLAGS_UNSUMMED,
        Offload::Segmented { .. } => FLAGS_SEGMENTED,
    }
}

/// A stamp in nanoseconds: the upper half comes first, whatever the byte order.
fn stamp(time: Timestamp) -> [u8; 8] {
    time.nanos().max(0).cast_unsigned().rotate_left(32).to_le_bytes()
}

/// One option, padded to four bytes; a value longer than the format's 65,535 bytes is cut.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// Fills up to a multiple of four what has `length` bytes.
fn pad(out: &mut Vec<u8>, length: usize) {
    let padding = length.wrapping_neg() & 3;
    out.extend_from_slice([0_u8; 3].get(..padding).unwrap_or_default());
}

/// One block: its type, its length, the body that `body` writes, its length again (3.1).
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len().saturating_sub(start).saturating_add(4)).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(at) = out.get_mut(start.saturating_add(4)..).and_then(<[u8]>::first_chunk_mut) {
        *at = length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn sent(offload: Offload, tells_offload: bool) -> Vec<u8> {
        let frame = Packet {
            interface: 0,
            time: Timestamp::from_nanos(0x0000_0001_0000_0002),
            wire_len: 60,
            direction: Direction::Out,
            offload,
            tells_offload,
            bytes: b"abc",
            comments: &[],
        };
        written(|out| packet(out, &frame))
    }

    #[test]
    fn a_section_names_the_program() {
        // 4.1, field by field: type, length, magic, 1.0, length not told, opt_comment, shb_userappl, end, length.
        let name = concat!("netdiag ", env!("CARGO_PKG_VERSION"));
        let padded = name.len().next_multiple_of(4);
        let length = (28 + 8 + 4 + padded + 4) as u8;
        let mut want = b"\x0a\x0d\x0d\x0a".to_vec();
        want.extend([length, 0, 0, 0]);
        want.extend(b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\x02\0hi\0\0\x04\0");
        want.extend([name.len() as u8, 0]);
        want.extend(name.as_bytes());
        want.resize(28 + 8 + 4 + padded - 4, 0);
        want.extend([0, 0, 0, 0, length, 0, 0, 0]);
        assert_eq!(written(|out| section(out, "hi")), want);
    }

    #[test]
    fn an_interface_has_nanoseconds() {
        let about = Described {
            name: "bond0",
            description: "",
            link: LinkType::Ethernet,
            snap_len: 96,
            filter: "arp",
            tells_offload: false,
        };
        // 4.2: Ethernet, 96; if_name, if_tsresol 9, if_filter with its 0 for text.
        let want: &[u8] = b"\x01\0\0\0\x34\0\0\0\x01\0\0\0\x60\0\0\0\x02\0\x05\0bond0\0\0\0\x09\0\x01\0\x09\0\0\0\x0b\0\x04\0\0arp\0\0\0\0\x34\0\0\0";
        assert_eq!(written(|out| interface(out, &about)), want);
    }

    #[test]
    fn a_frame_has_its_lengths_its_way_and_its_segments() {
        // 4.3: interface, upper and lower half of the stamp, captured, original; epb_flags 2, end.
        let start = b"\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x3c\0\0\0abc\0";
        let plain = sent(Offload::Unknown, false);
        assert_eq!(plain[..8], *b"\x06\0\0\0\x30\0\0\0");
        assert_eq!(plain[8..32], *start);
        assert_eq!(plain[32..], *b"\x02\0\x04\0\x02\0\0\0\0\0\0\0\x30\0\0\0");
        // Nothing more is said of a frame that is as its interface has it.
        assert_eq!(sent(Offload::None, true), plain);
        // Bit 11, and the segment size in 32,473's option: 0x7ed9.
        let large = sent(Offload::Segmented { segment: 1448 }, true);
        assert_eq!(
            large[32..],
            *b"\x02\0\x04\0\x02\x08\0\0\xad\x0b\x10\0\xd9\x7e\0\0netdiag\0\x02\0\xa8\x05\0\0\0\0\x44\0\0\0"
        );
        // Bit 9.
        assert_eq!(sent(Offload::Unsummed, true)[36..40], *b"\x02\x02\0\0");
    }

    #[test]
    fn counts_stand_where_the_draft_has_them() {
        let (start, end) = (Timestamp::from_nanos(1), Some(Timestamp::from_nanos(9)));
        let time = Timestamp::from_nanos(8);
        let counted = Counted { interface: 0, time, start, end, delivered: 3, lost: 4, missed: 2 };
        // 4.6: interface, stamp; isb_starttime, isb_endtime, isb_ifrecv, isb_ifdrop, isb_osdrop, isb_usrdeliv, end.
        let want = b"\x05\0\0\0\x64\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\
            \x02\0\x08\0\0\0\0\0\x01\0\0\0\x03\0\x08\0\0\0\0\0\x09\0\0\0\
            \x04\0\x08\0\x07\0\0\0\0\0\0\0\x05\0\x08\0\x02\0\0\0\0\0\0\0\x07\0\x08\0\x04\0\0\0\0\0\0\0\x08\0\x08\0\x03\0\0\0\0\0\0\0\0\0\0\0\x64\0\0\0";
        assert_eq!(written(|out| statistics(out, &counted)), want);
    }
}
