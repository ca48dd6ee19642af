//! A packet as nearly all are, by one look: IPv4 without options over Ethernet with one tag at most, or a customer's tag in a service tag (IEEE
//! 802.1Q-2018 clause 9.5), and in it a segment of TCP that neither opens nor ends anything, or a datagram that nobody reads here. The headers of
//! one end are the same from packet to packet but for a few words (header prediction: V. Jacobson, 1990), so that what the walk found in one is
//! known of the next.

use super::ethernet::Ethernet;
use super::tcp::Tcp;
use super::udp::Udp;
use super::{Kind, Kinds, LinkType, stream};

/// Bytes at the beginning of a frame in which all lies that such headers have in common, behind two tags at most.
const HEAD: usize = 48;
/// Where IPv4 begins: behind an Ethernet header, and behind one tag more, and two.
const UNTAGGED: usize = 14;
const TAGGED: usize = 18;
const SERVICED: usize = 22;

/// A number whose multiples are spread well: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What of the second and the third sixteen bytes is the same in all packets of one end: length and identification are not, nor are the checksum
/// and what lies behind the ports.
const SAME_UNTAGGED: [[u8; 16]; 2] = [
    [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const SAME_TAGGED: [[u8; 16]; 2] = [
    [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0],
];
const SAME_SERVICED: [[u8; 16]; 2] = [
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
];

/// What the headers that one end sends to another have in common: from the address of the receiver to the ports, without length, identification
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

/// A packet whose headers are those of another one, but for what is told here.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// The link header.
    pub ethernet: Ethernet<'a>,
    /// The header of IPv4.
    ip: &'a [u8; 20],
    /// The segment; `None` where it is a datagram.
    pub tcp: Option<Tcp<'a>>,
}

impl Heading {
    /// That of a frame which began as `link` says; a number that most headings of one capture have for themselves; and where IPv4 begins.
    /// `None` where it is no frame of IPv4 with such tags.
    #[inline(always)]
    pub fn of(link: LinkType, bytes: &[u8]) -> Option<(Self, u32, usize)> {
        let head = bytes.first_chunk::<HEAD>().filter(|_| link == LinkType::Ethernet)?;
        let (same, ip) = match (head[12], head[13], head[16], head[17]) {
            (0x08, 0x00, ..) => (SAME_UNTAGGED, UNTAGGED),
            (0x81, 0x00, 0x08, 0x00) => (SAME_TAGGED, TAGGED),
            (0x88, 0xa8, 0x81, 0x00) if [head[20], head[21]] == [0x08, 0x00] => (SAME_SERVICED, SERVICED),
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
        // From where the uppermost bits of the product are now: all of the heading tells on those.
        Some((Self(words), (trace >> 16) as u32, ip))
    }

    /// How many tags stand before IPv4 where that begins at `ip`.
    #[inline]
    pub const fn tags(ip: usize) -> usize {
        ip.saturating_sub(UNTAGGED) / 4
    }
}

impl<'a> Plain<'a> {
    /// What the walk finds in such a frame at most, and in one that carries it.
    pub const KINDS: Kinds = Kinds::of(&[
        Kind::Ethernet,
        Kind::Vlan,
        Kind::Ipv4,
        Kind::Tcp,
        Kind::Udp,
        Kind::Vxlan,
        Kind::Geneve,
        Kind::Cut,
    ]);

    /// The packet in `bytes`, which are `wire_len` on the wire, and in which IPv4 begins at `ip`. The heading is that of a plain one; `None` where
    /// the rest of its headers leaves a doubt.
    #[inline(always)]
    pub fn look(bytes: &'a [u8], wire_len: u32, ip: usize) -> Option<Self> {
        let (link, (packet, behind)) = (bytes.first_chunk()?, bytes.get(ip..)?.split_first_chunk::<20>()?);
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let len = total.checked_sub(20)?;
        // Of the payload the snap length may have cut any part.
        let is_cut = bytes.len() < wire_len as usize;
        let is_whole = len <= behind.len() || (is_cut && total.saturating_add(ip) <= wire_len as usize);
        let behind = behind.get(..len).unwrap_or(behind);
        // Version 4 without options.
        let tcp = match packet[9] {
            _ if packet[0] != 0x45 || !is_whole => return None,
            6 => Some(segment(behind, len)?),
            17 if is_datagram(behind, len) => None,
            _ => return None,
        };
        Some(Self { ethernet: Ethernet::of(link), ip: packet, tcp })
    }

    /// Bytes of the packet.
    #[inline]
    pub const fn packet_len(&self) -> u16 {
        u16::from_be_bytes([self.ip[2], self.ip[3]])
    }

    /// Hops left.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        self.ip[8]
    }

    /// Who sent it.
    #[inline]
    pub const fn src(&self) -> u32 {
        u32::from_be_bytes([self.ip[12], self.ip[13], self.ip[14], self.ip[15]])
    }

    /// Whom it is for.
    #[inline]
    pub const fn dst(&self) -> u32 {
        u32::from_be_bytes([self.ip[16], self.ip[17], self.ip[18], self.ip[19]])
    }
}

/// The segment that is captured in `bytes`, of `len` on the wire, if its header was captured whole and tells no more than that the connection goes on.
#[inline(always)]
fn segment(bytes: &[u8], len: usize) -> Option<Tcp<'_>> {
    let (header, behind) = bytes.split_first_chunk::<20>()?;
    let options = usize::from(header[12] >> 4).saturating_mul(4).checked_sub(20)?;
    let (options, payload) = behind.split_at_checked(options)?;
    let tcp = Tcp::of(header, options, len.checked_sub(options.len().saturating_add(20))? as u32);
    // Of SYN, FIN, RST and ACK only the last.
    let is_quiet = tcp.flags() & 0x17 == 0x10 && tcp.window() > 0 && !tcp.may_have_blocks();
    (is_quiet && !stream::begins(payload)).then_some(tcp)
}

/// Whether what is captured in `bytes`, of `len` on the wire, is a datagram whose header fits its packet, and whose payload says nothing to us.
#[inline(always)]
fn is_datagram(bytes: &[u8], len: usize) -> bool {
    let udp = bytes.first_chunk().map(|header| Udp::of(header, 0));
    udp.is_some_and(|udp| usize::from(udp.length()) == len && udp.is_opaque())
}
