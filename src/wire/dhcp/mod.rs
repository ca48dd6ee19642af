//! DHCP and BOOTP (RFC 2131, RFC 951): the fixed part; options are in `options`. Only Ethernet hardware addresses are told.

mod kind;
mod options;

use std::fmt;
use std::net::Ipv4Addr;

pub use kind::DhcpKind;
use options::Held;
pub use options::{Area, DhcpOption, OptionValue, Options};

use super::stop::Why;
use super::window::{Window, field, piece};
use crate::value::{Mac, Outside};

/// Bytes of the fixed part: from `op` to the end of `file` (RFC 951 section 3).
const FIXED: usize = 236;
/// Bytes up to the end of `chaddr`: with less captured there is nothing to tell.
const HEAD: usize = 44;

/// A DHCP or BOOTP message, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Dhcp<'a> {
    head: &'a [u8; HEAD],
    behind: &'a [u8],
    /// Which options it holds, and whether they end as they should: a message is asked for twenty of them, and most are not there.
    held: Held,
    wire: u32,
}

impl<'a> Dhcp<'a> {
    /// Whether servers or clients are at `port`; 1067 and 1068 stand in for 67 and 68 where a test may not use low ports, as tshark has it.
    #[inline]
    pub(super) const fn is_port(port: u16) -> bool {
        matches!(port, 67 | 68 | 1067 | 1068)
    }

    /// Whether this is a message by its first byte, where it was captured, and its length on the wire.
    pub(super) fn is_here(window: &Window<'_>) -> bool {
        window.wire >= FIXED && matches!(window.bytes.first(), None | Some(1 | 2))
    }

    /// Reads all there is; what was not captured is a fault. `whole` is its length by UDP: more than the window in the first of several fragments.
    pub(super) fn parse(window: &mut Window<'a>, whole: usize) -> Result<Self, Why> {
        let wire = u32::try_from(window.wire.max(whole)).unwrap_or(u32::MAX);
        let head = window.take()?;
        let behind = window.take_some(HEAD, window.wire);
        let message = Self { head, behind, held: Held::default(), wire };
        Ok(Self { held: Held::of(message.options()), ..message })
    }

    /// 1 from a client, 2 from a server.
    pub const fn op(&self) -> u8 {
        self.head[0]
    }

    /// Hardware type; 1 is Ethernet.
    pub const fn htype(&self) -> u8 {
        self.head[1]
    }

    /// Length of the hardware address.
    pub const fn hlen(&self) -> u8 {
        self.head[2]
    }

    /// Relays passed.
    pub const fn hops(&self) -> u8 {
        self.head[3]
    }

    /// The number that joins question and answer.
    pub fn xid(&self) -> u32 {
        u32::from_be_bytes(field(self.head, 4))
    }

    /// Seconds since the client began.
    pub fn secs(&self) -> u16 {
        u16::from_be_bytes(field(self.head, 8))
    }

    /// The flags word; only its highest bit means anything.
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes(field(self.head, 10))
    }

    /// Whether the client asks for an answer by broadcast.
    pub fn is_broadcast(&self) -> bool {
        self.flags() & 0x8000 != 0
    }

    /// The address the client has and uses.
    pub fn ciaddr(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// The address the server gives.
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.address(16)
    }

    /// The server to boot from.
    pub fn siaddr(&self) -> Ipv4Addr {
        self.address(20)
    }

    /// The relay.
    pub fn giaddr(&self) -> Ipv4Addr {
        self.address(24)
    }

    /// The client's hardware address: the first six bytes of its field.
    pub fn chaddr(&self) -> Mac {
        Mac(field(self.head, 28))
    }

    /// Bytes of the whole message on the wire.
    pub const fn wire_len(&self) -> u32 {
        self.wire
    }

    /// The sum of all its 16-bit words with carries added in (RFC 1071), for UDP's checksum; `None` where it is not here whole.
    pub fn sum(&self) -> Option<u16> {
        if self.is_cut() {
            return None;
        }
        // Four bytes at a time and as this machine reads them, as a carry is added in wherever it comes out, and the order of bytes changes the
        // sum's and nothing else (RFC 1071 section 2); the head is a multiple of four.
        let add = |sum: u64, words: &[[u8; 4]]| {
            words.iter().fold(sum, |sum, word| sum.wrapping_add(u32::from_ne_bytes(*word).into()))
        };
        let (words, rest) = self.behind.as_chunks::<4>();
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        let sum = add(add(add(0, self.head.as_chunks().0), words), &[last]);
        // A message is far too short for its sum to wrap: twice to 32 bits, twice to 16.
        let sum = [32, 32, 16, 16].into_iter().fold(sum, |sum, bits| (sum >> bits).wrapping_add(sum & !(!0 << bits)));
        u16::try_from(sum).ok().map(u16::to_be)
    }

    /// Whether only the beginning of the message is here: cut by the capture, or the first of several fragments.
    pub fn is_cut(&self) -> bool {
        self.behind.len().saturating_add(HEAD) < self.wire as usize
    }

    /// Whether options follow that are DHCP's (RFC 2131 section 3: 63 82 53 63).
    pub fn has_magic(&self) -> bool {
        // The fixed part and the cookie, less the head.
        piece(self.behind, 192) == Some([0x63, 0x82, 0x53, 0x63])
    }

    /// The options in order: those of the option field, then of `file`, then of `sname` where option 52 says so.
    pub fn options(&self) -> Options<'a> {
        let options = if self.has_magic() { self.behind.get(196..).unwrap_or(&[]) } else { &[] };
        let (sname, file) = (self.behind.get(..64).unwrap_or(&[]), self.behind.get(64..192).unwrap_or(&[]));
        Options::new(options, file, sname)
    }

    /// The value of an option, whole even where it was split (RFC 3396).
    #[inline]
    pub fn option(&self, code: u8) -> Option<OptionValue<'a>> {
        if self.held.may_hold(code) { OptionValue::find(self.options(), code) } else { None }
    }

    /// The first piece of an option; the whole value unless it was split.
    fn first(&self, code: u8) -> Option<&'a [u8]> {
        if !self.held.may_hold(code) {
            return None;
        }
        let field = self.behind.get(196..).unwrap_or(&[]);
        options::first_of(field, code).or_else(|| Some(self.option(code)?.first()))
    }

    /// The first `N` bytes of an option.
    fn fixed<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        let first = self.first(code)?;
        first.first_chunk().copied().or_else(|| self.option(code)?.fixed())
    }

    fn word(&self, code: u8) -> Option<u32> {
        self.fixed(code).map(u32::from_be_bytes)
    }

    fn ip(&self, code: u8) -> Option<Ipv4Addr> {
        self.fixed::<4>(code).map(Ipv4Addr::from)
    }

    /// The message type; `None` in BOOTP, and where the capture does not reach so far.
    pub fn message_type(&self) -> Option<DhcpKind> {
        self.fixed(53).map(|[kind]| DhcpKind::from_number(kind))
    }

    /// Whether it has a message type; BOOTP has none.
    pub fn has_message_type(&self) -> bool {
        self.message_type().is_some()
    }

    /// The server that speaks, or that the client chose (54).
    pub fn server_id(&self) -> Option<Ipv4Addr> {
        self.ip(54)
    }

    /// The address the client asks for (50).
    pub fn requested(&self) -> Option<Ipv4Addr> {
        self.ip(50)
    }

    /// How long the address may be used, in seconds; 0xffffffff is for ever (51).
    pub fn lease(&self) -> Option<u32> {
        self.word(51)
    }

    /// When the client asks its own server again, in seconds (58).
    pub fn t1(&self) -> Option<u32> {
        self.word(58)
    }

    /// When the client asks any server, in seconds (59).
    pub fn t2(&self) -> Option<u32> {
        self.word(59)
    }

    /// The subnet mask (1).
    pub fn subnet_mask(&self) -> Option<Ipv4Addr> {
        self.ip(1)
    }

    /// The routers (3).
    pub fn routers(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let value = self.first(3).unwrap_or(&[]);
        value.chunks_exact(4).filter_map(|c| piece::<4>(c, 0)).map(Ipv4Addr::from)
    }

    /// By what the client wants to be known; the first piece where it is split (61).
    pub fn client_id(&self) -> Option<&'a [u8]> {
        self.first(61)
    }

    /// What the server says in words, mostly in a NAK (56).
    pub fn message(&self) -> Option<Outside> {
        self.first(56).map(Outside::from_bytes)
    }

    /// What kind of client it is (60).
    pub fn vendor_class(&self) -> Option<Outside> {
        self.first(60).map(Outside::from_bytes)
    }

    /// Whether the client is a boot ROM, or the answer is for one, by its kind (60).
    pub fn is_pxe(&self) -> bool {
        self.first(60).is_some_and(|class| class.starts_with(b"PXEClient"))
    }

    /// The client's name for itself (12).
    pub fn host_name(&self) -> Option<Outside> {
        self.first(12).map(Outside::from_bytes)
    }

    /// The interface MTU that the server gives (26).
    pub fn mtu(&self) -> Option<u16> {
        self.fixed(26).map(u16::from_be_bytes)
    }

    /// The options the client wants (55), in its order.
    pub fn parameter_list(&self) -> &'a [u8] {
        self.first(55).unwrap_or(&[])
    }

    /// What a relay added (82, RFC 3046): sub-option and value; 1 circuit, 2 remote.
    pub fn relay(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.option(82).map_or(&[][..], |v| v.first());
        std::iter::from_fn(move || {
            let (&code, behind) = rest.split_first()?;
            let (&len, behind) = behind.split_first()?;
            let value = behind.get(..usize::from(len))?;
            rest = behind.get(usize::from(len)..)?;
            Some((code, value))
        })
    }

    /// Whether the options end, and none runs over its field, as far as they were captured.
    pub fn has_sound_options(&self) -> bool {
        self.held.is_sound() || self.is_cut()
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from(field::<4>(self.head, at))
    }
}

impl fmt::Display for Dhcp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message_type() {
            Some(kind) => write!(f, "DHCP {}", kind.spoken())?,
            None if self.is_cut() => f.write_str("DHCP or BOOTP, cut")?,
            None => f.write_str(if self.op() == 1 { "BOOTP request" } else { "BOOTP reply" })?,
        }
        write!(f, ", xid 0x{:08x}", self.xid())?;
        let given = [self.yiaddr(), self.requested().unwrap_or(Ipv4Addr::UNSPECIFIED), self.ciaddr()];
        match given.into_iter().find(|ip| !ip.is_unspecified()) {
            Some(ip) => write!(f, ", {ip}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
