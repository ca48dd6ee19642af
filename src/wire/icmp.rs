//! ICMP for IPv4 (RFC 792, path MTU by RFC 1191) and for IPv6 (RFC 4443, neighbour discovery RFC 4861). Quoted packets are never decoded as layers.

use std::fmt;
use std::net::Ipv6Addr;

use super::stop::Why;
use super::window::{Window, piece};

/// An ICMP message of IPv4.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    header: &'a [u8; 8],
    quoted: &'a [u8],
}

/// An ICMP message of IPv6.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6<'a> {
    header: &'a [u8; 4],
    body: &'a [u8],
}

/// A range of IPv6 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Its first address; what stands behind the prefix may be anything.
    pub address: Ipv6Addr,
    /// How many bits all addresses of it share; 0 to 128, or whatever was sent.
    pub length: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl<'a> Icmp<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()?, quoted: window.bytes })
    }

    /// The type: 0 echo reply, 3 unreachable, 5 redirect, 8 echo request, 11 time exceeded.
    pub const fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The code within the type.
    pub const fn code(&self) -> u8 {
        self.header[1]
    }

    /// Whether it is an echo request.
    pub const fn is_echo_request(&self) -> bool {
        self.kind() == 8
    }

    /// Whether it is an echo reply.
    pub const fn is_echo_reply(&self) -> bool {
        self.kind() == 0
    }

    /// Whether it is an error that quotes the packet it is about.
    pub const fn is_error(&self) -> bool {
        matches!(self.kind(), 3 | 4 | 5 | 11 | 12)
    }

    /// The identifier of an echo.
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The sequence number of an echo.
    pub const fn seq(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// The MTU of the next hop, in "fragmentation needed" (type 3, code 4); 0 from routers older than RFC 1191.
    pub const fn next_hop_mtu(&self) -> Option<u16> {
        if self.kind() == 3 && self.code() == 4 { Some(self.seq()) } else { None }
    }

    /// What an error quotes of the packet it is about, as far as it was captured; empty otherwise.
    pub const fn quoted(&self) -> &'a [u8] {
        if self.is_error() { self.quoted } else { &[] }
    }
}

impl fmt::Display for Icmp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind(), self.code()) {
            (0, _) => write!(f, "ICMP echo reply, id {}, seq {}", self.id(), self.seq()),
            (8, _) => write!(f, "ICMP echo request, id {}, seq {}", self.id(), self.seq()),
            (3, 4) => write!(f, "ICMP fragmentation needed, next hop MTU {}", self.seq()),
            (3, code) => write!(f, "ICMP unreachable, code {code}"),
            (11, code) => write!(f, "ICMP time exceeded, code {code}"),
            (kind, code) => write!(f, "ICMP type {kind}, code {code}"),
        }
    }
}

impl<'a> Icmpv6<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()?, body: window.bytes })
    }

    /// The type: 1 unreachable, 2 packet too big, 128 and 129 echo, 133 to 137 neighbour discovery.
    pub const fn kind(&self) -> u8 {
        self.header[0]
    }

    /// The code within the type.
    pub const fn code(&self) -> u8 {
        self.header[1]
    }

    /// Whether it is an echo request.
    pub const fn is_echo_request(&self) -> bool {
        self.kind() == 128
    }

    /// Whether it is an echo reply.
    pub const fn is_echo_reply(&self) -> bool {
        self.kind() == 129
    }

    /// Whether it is an error that quotes the packet it is about: types below 128.
    pub const fn is_error(&self) -> bool {
        self.kind() < 128
    }

    /// The identifier of an echo; 0 where it was not captured.
    pub fn id(&self) -> u16 {
        piece(self.body, 0).map_or(0, u16::from_be_bytes)
    }

    /// The sequence number of an echo; 0 where it was not captured.
    pub fn seq(&self) -> u16 {
        piece(self.body, 2).map_or(0, u16::from_be_bytes)
    }

    /// The MTU in "packet too big" (type 2).
    pub fn packet_too_big(&self) -> Option<u32> {
        if self.kind() == 2 { piece(self.body, 0).map(u32::from_be_bytes) } else { None }
    }

    /// The address that a neighbour solicitation (135) asks for.
    pub fn solicitation_target(&self) -> Option<Ipv6Addr> {
        if self.kind() == 135 { self.target() } else { None }
    }

    /// The address that a neighbour advertisement (136) speaks of.
    pub fn advertisement_target(&self) -> Option<Ipv6Addr> {
        if self.kind() == 136 { self.target() } else { None }
    }

    /// For how many seconds the sender of a router advertisement (134) is a way out; 0 where it is none (RFC 4861 section 4.2).
    pub fn router_lifetime(&self) -> Option<u16> {
        if self.kind() == 134 { piece(self.body, 2).map(u16::from_be_bytes) } else { None }
    }

    /// The MTU that a router advertisement gives, if it gives one (RFC 4861 section 4.6.4).
    pub fn advertised_mtu(&self) -> Option<u32> {
        piece(self.advertised(5)?, 4).map(u32::from_be_bytes)
    }

    /// The first prefix of a router advertisement, if it names one (RFC 4861 section 4.6.2).
    pub fn advertised_prefix(&self) -> Option<Prefix> {
        let option = self.advertised(3)?;
        let address = piece::<16>(option, 16).map(Ipv6Addr::from)?;
        Some(Prefix { address, length: *option.get(2)? })
    }

    /// The first option of this kind in a router advertisement, and what follows it.
    fn advertised(&self, wanted: u8) -> Option<&'a [u8]> {
        let mut options = self.body.get(12..).filter(|_| self.kind() == 134)?;
        // Each is as long as its second byte says, in units of eight bytes.
        while let [kind, units @ 1..=u8::MAX, ..] = *options {
            if kind == wanted {
                return Some(options);
            }
            options = options.get(usize::from(units).saturating_mul(8)..)?;
        }
        None
    }

    /// What stands behind type, code and checksum, as far as it was captured.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// What an error quotes of the packet it is about, as far as it was captured; empty otherwise.
    pub fn quoted(&self) -> &'a [u8] {
        if self.is_error() { self.body.get(4..).unwrap_or(&[]) } else { &[] }
    }

    fn target(&self) -> Option<Ipv6Addr> {
        piece::<16>(self.body, 4).map(Ipv6Addr::from)
    }
}

impl fmt::Display for Icmpv6<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mtu) = self.packet_too_big() {
            return write!(f, "ICMPv6 packet too big, MTU {mtu}");
        }
        match (self.kind(), self.target()) {
            (128, _) => write!(f, "ICMPv6 echo request, id {}, seq {}", self.id(), self.seq()),
            (129, _) => write!(f, "ICMPv6 echo reply, id {}, seq {}", self.id(), self.seq()),
            (133, _) => f.write_str("ICMPv6 router solicitation"),
            (134, _) => f.write_str("ICMPv6 router advertisement"),
            (135, Some(target)) => write!(f, "ICMPv6 who has {target}"),
            (136, Some(target)) => write!(f, "ICMPv6 {target} is here"),
            (kind, _) => write!(f, "ICMPv6 type {kind}, code {}", self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragmentation_needed_tells_the_mtu() {
        // Written by hand after RFC 1191: next hop MTU 1400, the quoted packet begins 0x45.
        let bytes = [3, 4, 0, 0, 0, 0, 0x05, 0x78, 0x45, 0x00];
        let icmp = Icmp::parse(&mut Window::new(&bytes, 36)).unwrap();
        assert_eq!((icmp.next_hop_mtu(), icmp.quoted()), (Some(1400), &[0x45, 0x00][..]));
        assert_eq!(icmp.to_string(), "ICMP fragmentation needed, next hop MTU 1400");
    }

    #[test]
    fn an_echo_quotes_nothing() {
        // Written by hand after RFC 792.
        let icmp = Icmp::parse(&mut Window::new(&[8, 0, 0, 0, 0, 7, 0, 9, 1, 2], 10)).unwrap();
        assert_eq!((icmp.to_string().as_str(), icmp.quoted()), ("ICMP echo request, id 7, seq 9", &[][..]));
        assert_eq!(icmp.next_hop_mtu(), None);
    }

    #[test]
    fn packet_too_big_and_neighbours() {
        // Written by hand after RFC 4443 and RFC 4861.
        let icmp = Icmpv6::parse(&mut Window::new(&[2, 0, 0, 0, 0, 0, 0x05, 0x00, 0x60], 60)).unwrap();
        assert_eq!((icmp.packet_too_big(), icmp.quoted()), (Some(1280), &[0x60][..]));
        let mut bytes = vec![135, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0x80];
        bytes.resize(24, 0);
        let icmp = Icmpv6::parse(&mut Window::new(&bytes, 24)).unwrap();
        assert_eq!(icmp.solicitation_target().unwrap().to_string(), "fe80::");
        assert_eq!((icmp.advertisement_target(), icmp.packet_too_big(), icmp.quoted().len()), (None, None, 0));
    }

    #[test]
    fn a_router_advertisement_tells_how_long_and_which_addresses() {
        // Written by hand after RFC 4861 sections 4.2, 4.6.1 and 4.6.2: 1,800 s, its own address, then 2001:db8:0:20::/64.
        let mut bytes = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([1, 1, 0xfa, 0x16, 0x3e, 0, 0, 5]);
        bytes.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0]);
        bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0]);
        let whole = Icmpv6::parse(&mut Window::new(&bytes, 56)).unwrap();
        assert_eq!((whole.router_lifetime(), whole.advertised_mtu()), (Some(1_800), None));
        assert_eq!(whole.advertised_prefix().unwrap().to_string(), "2001:db8:0:20::/64");
        // Cut within the prefix; an option of no length; no advertisement.
        assert_eq!(Icmpv6::parse(&mut Window::new(&bytes[..50], 56)).unwrap().advertised_prefix(), None);
        bytes[17] = 0;
        assert_eq!(Icmpv6::parse(&mut Window::new(&bytes, 56)).unwrap().advertised_prefix(), None);
        bytes[0] = 133;
        assert_eq!(Icmpv6::parse(&mut Window::new(&bytes, 56)).unwrap().router_lifetime(), None);
    }
}
