//! A segment as nearly all are, by one look: TCP over IPv4 without options, over Ethernet with one tag at most, that neither opens nor ends anything.
//! The headers of one end of a connection are the same from segment to segment but for a few words (header prediction: V. Jacobson, 1990), so
//! that what the walk found in one is known of the next.

use super::{Kind, Kinds, LinkType, stream};
use crate::value::Mac;

/// Bytes at the beginning of a frame in which all lies that such headers have in common, behind one tag or none.
const HEAD: usize = 48;
/// Where IPv4 begins: behind an Ethernet header, and behind one tag more.
const UNTAGGED: usize = 14;
const TAGGED: usize = 18;
/// Bytes of the fixed headers of IPv4 and TCP.
const HEADERS: usize = 40;

/// A number whose multiples are spread well: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What of the second and the third sixteen bytes is the same in all segments of one end: length and identification are not, nor are the checksum
/// and what lies behind the ports.
const SAME_UNTAGGED: [[u8; 16]; 2] = [
    [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const SAME_TAGGED: [[u8; 16]; 2] = [
    [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0],
];

/// What the headers of one end of a connection have in common: from the address of the receiver to the ports, without length, identification
/// and checksum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heading([u128; 3]);

impl PartialEq for Heading {
    /// Word by word, which is quicker than to call for it.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.into_iter().zip(other.0).fold(0, |all, (one, other)| all | (one ^ other)) == 0
    }
}

impl Eq for Heading {}

/// A segment whose headers are those of another one, but for what is told here.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// The first bytes of the frame.
    head: &'a [u8; HEAD],
    /// The fixed headers of IPv4 and TCP.
    headers: &'a [u8; HEADERS],
    /// Whether it wears a tag.
    pub is_tagged: bool,
    /// Whether the capture holds less than the wire carried.
    pub is_cut: bool,
    /// Payload bytes on the wire.
    pub payload: u32,
    /// Bytes of TCP options, 0 to 40.
    pub options: u8,
}

impl Heading {
    /// That of a frame which began as `link` says; a number that most headings of one capture have for themselves; and where IPv4 begins.
    /// `None` where it is no frame of IPv4 with one tag at most.
    #[inline(always)]
    pub fn of(link: LinkType, bytes: &[u8]) -> Option<(Self, u32, usize)> {
        let head = bytes.first_chunk::<HEAD>().filter(|_| link == LinkType::Ethernet)?;
        let (same, ip) = match (head[12], head[13], head[16], head[17]) {
            (0x08, 0x00, ..) => (SAME_UNTAGGED, UNTAGGED),
            (0x81, 0x00, 0x08, 0x00) => (SAME_TAGGED, TAGGED),
            _ => return None,
        };
        let ([first, second, third], _) = head.as_chunks::<16>() else { return None };
        let [second_mask, third_mask] = same.map(u128::from_ne_bytes);
        let words = [
            u128::from_ne_bytes(*first),
            u128::from_ne_bytes(*second) & second_mask,
            u128::from_ne_bytes(*third) & third_mask,
        ];
        let trace = words.into_iter().fold(0_u64, |trace, word| {
            (trace ^ word as u64 ^ ((word >> 64) as u64).rotate_left(29)).wrapping_mul(SPREAD).rotate_left(31)
        });
        Some((Self(words), trace as u32, ip))
    }
}

impl<'a> Plain<'a> {
    /// What the walk finds in such a frame, at most.
    pub const KINDS: Kinds = Kinds::of(&[Kind::Ethernet, Kind::Vlan, Kind::Ipv4, Kind::Tcp, Kind::Cut]);

    /// The segment in `bytes`, which are `wire_len` on the wire, and in which IPv4 begins at `ip`. The heading is that of a plain one; `None` where
    /// the rest of its headers leaves a doubt.
    #[inline(always)]
    pub fn look(bytes: &'a [u8], wire_len: u32, ip: usize) -> Option<Self> {
        let packet = bytes.get(ip..)?;
        let (head, headers) = (bytes.first_chunk::<HEAD>()?, packet.first_chunk::<HEADERS>()?);
        let total = usize::from(u16::from_be_bytes([headers[2], headers[3]]));
        let header = usize::from(headers[32] >> 4).saturating_mul(4);
        let payload_len = total.checked_sub(header.saturating_add(20))?;
        // Of the payload the snap length may have cut any part, and of the headers none.
        let payload = packet.get(header.saturating_add(20)..total.min(packet.len()))?;
        let is_cut = bytes.len() < wire_len as usize;
        let is_whole = total <= packet.len() || (is_cut && total.saturating_add(ip) <= wire_len as usize);
        // Version 4 without options, and TCP in it.
        let is_tcp = headers[0] == 0x45 && headers[9] == 6;
        let has_room = headers[34] != 0 || headers[35] != 0;
        // Of SYN, FIN, RST and ACK only the last; and no options but timestamps, for there may be blocks among them (RFC 2018).
        let is_quiet = headers[33] & 0x17 == 0x10 && has_room;
        let has_no_blocks = matches!(header, 20..32) || (header == 32 && packet.get(42) == Some(&8));
        let is_plain = is_tcp && is_quiet && has_no_blocks && is_whole && !stream::begins(payload);
        is_plain.then_some(Self {
            head,
            headers,
            is_tagged: ip != UNTAGGED,
            is_cut,
            payload: payload_len as u32,
            options: header.saturating_sub(20) as u8,
        })
    }

    /// The destination of the link header.
    #[inline]
    pub const fn link_dst(&self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.head;
        Mac([a, b, c, d, e, f])
    }

    /// The source of the link header.
    #[inline]
    pub const fn link_src(&self) -> Mac {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.head;
        Mac([a, b, c, d, e, f])
    }

    /// Bytes of the packet.
    #[inline]
    pub const fn packet_len(&self) -> u16 {
        u16::from_be_bytes([self.headers[2], self.headers[3]])
    }

    /// Hops left.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        self.headers[8]
    }

    /// From which address and port.
    #[inline]
    pub const fn from(&self) -> (u32, u16) {
        (
            u32::from_be_bytes([self.headers[12], self.headers[13], self.headers[14], self.headers[15]]),
            u16::from_be_bytes([self.headers[20], self.headers[21]]),
        )
    }

    /// To which address and port.
    #[inline]
    pub const fn to(&self) -> (u32, u16) {
        (
            u32::from_be_bytes([self.headers[16], self.headers[17], self.headers[18], self.headers[19]]),
            u16::from_be_bytes([self.headers[22], self.headers[23]]),
        )
    }

    /// The sequence number of the first payload byte.
    #[inline]
    pub const fn seq(&self) -> u32 {
        u32::from_be_bytes([self.headers[24], self.headers[25], self.headers[26], self.headers[27]])
    }

    /// The acknowledgement number.
    #[inline]
    pub const fn ack(&self) -> u32 {
        u32::from_be_bytes([self.headers[28], self.headers[29], self.headers[30], self.headers[31]])
    }
}
