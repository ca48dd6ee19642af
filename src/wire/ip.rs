//! Either IPv4 or IPv6: what both have.

use std::net::IpAddr;

use super::ipv4::Ipv4;
use super::ipv6::Ipv6;

/// An IP header of either version.
#[derive(Clone, Copy, Debug)]
pub enum Ip<'a> {
    /// Version 4.
    V4(Ipv4<'a>),
    /// Version 6.
    V6(Ipv6<'a>),
}

impl Ip<'_> {
    /// The source.
    #[inline]
    pub fn src(&self) -> IpAddr {
        match self {
            Self::V4(ip) => IpAddr::V4(ip.src()),
            Self::V6(ip) => IpAddr::V6(ip.src()),
        }
    }

    /// The destination.
    #[inline]
    pub fn dst(&self) -> IpAddr {
        match self {
            Self::V4(ip) => IpAddr::V4(ip.dst()),
            Self::V6(ip) => IpAddr::V6(ip.dst()),
        }
    }

    /// The packet's length with its IP header, in bytes, by the length field; where that is 0, what the wire had.
    #[inline]
    pub fn packet_len(&self) -> u32 {
        match self {
            Self::V4(ip) if self.has_length() => u32::from(ip.total_len()),
            Self::V6(ip) if self.has_length() => u32::from(ip.payload_len()).saturating_add(40),
            Self::V4(ip) => ip.wire_len(),
            Self::V6(ip) => ip.wire_len(),
        }
    }

    /// Whether the length field holds: not in jumbograms, nor where segmentation was left to the network card.
    #[inline]
    pub const fn has_length(&self) -> bool {
        match self {
            Self::V4(ip) => ip.total_len() != 0,
            Self::V6(ip) => ip.has_length(),
        }
    }

    /// The upper protocol, behind extension headers.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        match self {
            Self::V4(ip) => ip.protocol(),
            Self::V6(ip) => ip.protocol(),
        }
    }

    /// Whether it is a piece of a packet.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        match self {
            Self::V4(ip) => ip.is_fragment(),
            Self::V6(ip) => ip.is_fragment(),
        }
    }

    /// Whether it is the first piece of a packet, which has the transport header.
    #[inline]
    pub const fn is_first_fragment(&self) -> bool {
        self.is_fragment() && self.fragment_offset() == 0
    }

    /// Where this piece belongs, in bytes; 0 in a whole packet.
    #[inline]
    pub const fn fragment_offset(&self) -> u32 {
        match self {
            Self::V4(ip) => ip.fragment_offset(),
            Self::V6(ip) => ip.fragment_offset(),
        }
    }

    /// Whether routers must not fragment it; they never do in IPv6.
    #[inline]
    pub const fn dont_fragment(&self) -> bool {
        match self {
            Self::V4(ip) => ip.dont_fragment(),
            Self::V6(_) => true,
        }
    }

    /// Time to live, or hop limit.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        match self {
            Self::V4(ip) => ip.ttl(),
            Self::V6(ip) => ip.hop_limit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::Window;
    use super::*;

    #[test]
    fn a_length_of_zero_is_what_the_wire_had() {
        // Written by hand: a super-frame before segmentation, as captured on the sending host.
        let mut bytes = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 5, 10, 0, 0, 9];
        let v4 = Ipv4::parse(&mut Window::new(&bytes, 70_000)).unwrap();
        let ip = Ip::V4(v4);
        assert_eq!((ip.packet_len(), ip.has_length(), ip.dont_fragment(), ip.ttl()), (70_000, false, true, 64));
        bytes[3] = 20;
        bytes[6] = 0x20;
        let v4 = Ipv4::parse(&mut Window::new(&bytes, 46)).unwrap();
        let ip = Ip::V4(v4);
        assert_eq!((ip.packet_len(), ip.has_length(), ip.is_first_fragment()), (20, true, true));
        assert_eq!((ip.src().to_string().as_str(), ip.dst().to_string().as_str()), ("10.0.0.5", "10.0.0.9"));
    }
}
