//! IPv6 (RFC 8200) and its extension headers, with the authentication header among them (RFC 4302). Jumbograms (RFC 2675) have no length field.

use std::fmt;
use std::net::Ipv6Addr;

use super::stop::Why;
use super::window::{Window, field};

/// Extension headers that are looked through for the fragment header and the upper protocol.
const MOST_EXTENSIONS: usize = 8;

/// An IPv6 header, with what its chain of extension headers says about fragments.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    header: &'a [u8; 40],
    wire: u32,
    fragment: Option<(u16, bool)>,
    upper: u8,
}

/// An extension header.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Extension<'a> {
    number: u8,
    header: &'a [u8; 8],
}

/// Whether a next-header number announces an extension header that is walked through.
#[inline]
pub(super) const fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60)
}

/// What the chain that begins with extension header `number` says: fragment offset in units of 8 bytes and whether more follow; upper protocol.
#[cold]
fn look_ahead(mut number: u8, mut window: Window<'_>) -> (Option<(u16, bool)>, u8) {
    let mut fragment = None;
    for _ in 0..MOST_EXTENSIONS {
        let Ok(extension) = Ipv6Extension::parse(number, &mut window) else { break };
        if extension.number == 44 {
            fragment = Some((extension.fragment_word() >> 3, extension.more_fragments()));
        }
        number = extension.next_header();
        if !is_extension(number) || fragment.is_some_and(|(offset, _)| offset != 0) {
            break;
        }
    }
    (fragment, number)
}

impl<'a> Ipv6<'a> {
    /// Reads the header and narrows the window to what it carries.
    #[inline(always)]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let wire = window.wire_len();
        let header = window.take::<40>()?;
        let mut ip = Self { header, wire, fragment: None, upper: header[6] };
        if header[0] >> 4 != 6 {
            return Err(Why::Bad("IP version is not 6"));
        }
        if ip.has_length() {
            window.narrow(40, usize::from(ip.payload_len()));
        }
        if is_extension(ip.upper) {
            (ip.fragment, ip.upper) = look_ahead(ip.upper, *window);
        }
        Ok(ip)
    }

    /// Traffic class: DSCP and ECN.
    pub const fn traffic_class(&self) -> u8 {
        (self.header[0] << 4) | (self.header[1] >> 4)
    }

    /// Bytes behind this header, extension headers included; 0 in jumbograms and where segmentation was left to the network card.
    #[inline]
    pub const fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The number of the header that follows, extension or upper protocol.
    #[inline]
    pub const fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// Hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// The source.
    #[inline]
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from(field::<16>(self.header, 8))
    }

    /// The destination.
    #[inline]
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from(field::<16>(self.header, 24))
    }

    /// The upper protocol behind the extension headers, as far as they were captured.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.upper
    }

    /// Whether the length field holds; 59 is "no next header", which carries nothing.
    #[inline]
    pub const fn has_length(&self) -> bool {
        self.payload_len() != 0 || self.next_header() == 59
    }

    /// Whether it has a fragment header that makes it a piece of a packet; an atomic fragment (RFC 6946) is whole.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        matches!(self.fragment, Some((offset, more)) if offset != 0 || more)
    }

    /// Where this fragment's payload belongs, in bytes.
    #[inline]
    pub const fn fragment_offset(&self) -> u32 {
        match self.fragment {
            Some((offset, _)) => (offset as u32).saturating_mul(8),
            None => 0,
        }
    }

    /// Whether more fragments follow.
    pub const fn more_fragments(&self) -> bool {
        matches!(self.fragment, Some((_, true)))
    }

    /// Bytes on the wire from this header on, whatever its length field says.
    #[inline]
    pub const fn wire_len(&self) -> u32 {
        self.wire
    }
}

impl fmt::Display for Ipv6<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv6 {} > {}, protocol {}, {} bytes", self.src(), self.dst(), self.protocol(), self.payload_len())?;
        if self.is_fragment() {
            write!(f, ", fragment at {}", self.fragment_offset())?;
        }
        Ok(())
    }
}

impl<'a> Ipv6Extension<'a> {
    pub(super) fn parse(number: u8, window: &mut Window<'a>) -> Result<Self, Why> {
        let header = window.take::<8>()?;
        let extension = Self { number, header };
        window.take_some(8, extension.header_len().saturating_sub(8));
        Ok(extension)
    }

    /// Its own number: 0 hop-by-hop, 43 routing, 44 fragment, 51 authentication, 60 destination.
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The number of the header behind it.
    pub const fn next_header(&self) -> u8 {
        self.header[0]
    }

    /// Its length in bytes (RFC 8200 clause 4.3, RFC 4302 clause 2.2).
    pub const fn header_len(&self) -> usize {
        let units = self.header[1] as usize;
        match self.number {
            44 => 8,
            51 => units.saturating_add(2).saturating_mul(4),
            _ => units.saturating_add(1).saturating_mul(8),
        }
    }

    /// Where a fragment's payload belongs, in bytes; 0 for other headers.
    pub const fn fragment_offset(&self) -> u32 {
        if self.number == 44 { (self.fragment_word() & 0xfff8) as u32 } else { 0 }
    }

    /// Whether more fragments follow.
    pub const fn more_fragments(&self) -> bool {
        self.number == 44 && self.header[3] & 1 == 1
    }

    /// The identification of a fragment header.
    pub const fn fragment_id(&self) -> Option<u32> {
        if self.number != 44 {
            return None;
        }
        let [.., a, b, c, d] = *self.header;
        Some(u32::from_be_bytes([a, b, c, d]))
    }

    const fn fragment_word(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }
}

impl fmt::Display for Ipv6Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fragment_id() {
            Some(id) => write!(f, "IPv6 fragment 0x{id:08x} at {}", self.fragment_offset()),
            None => write!(f, "IPv6 extension {}, {} bytes", self.number, self.header_len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after RFC 8200: a hop-by-hop header, then a first fragment of UDP.
    fn chained() -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 24, 0, 64];
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend([17, 0, 0x00, 0x01, 0, 0, 0xbe, 0xef]);
        bytes.extend([0x12, 0x34, 0, 53, 0, 8, 0, 0]);
        bytes
    }

    #[test]
    fn the_chain_tells_the_upper_protocol_and_the_fragment() {
        let bytes = chained();
        let mut window = Window::new(&bytes, 64);
        let ip = Ipv6::parse(&mut window).unwrap();
        assert_eq!(ip.to_string(), "IPv6 2001:db8::1 > 2001:db8::2, protocol 17, 24 bytes, fragment at 0");
        assert_eq!((ip.next_header(), ip.more_fragments(), window.wire, window.fault), (0, true, 24, None));
        let hop = Ipv6Extension::parse(0, &mut window).unwrap();
        assert_eq!((hop.next_header(), hop.fragment_id()), (44, None));
        let fragment = Ipv6Extension::parse(44, &mut window).unwrap();
        assert_eq!(fragment.to_string(), "IPv6 fragment 0x0000beef at 0");
        assert_eq!(window.wire, 8);
    }

    #[test]
    fn no_length_means_all_that_is_there() {
        let mut bytes = chained();
        bytes[5] = 0;
        let mut window = Window::new(&bytes, 70_000);
        let ip = Ipv6::parse(&mut window).unwrap();
        assert_eq!((ip.has_length(), ip.wire_len(), window.wire, window.fault), (false, 70_000, 69_960, None));
        bytes[4] = 1;
        let mut window = Window::new(&bytes, 64);
        Ipv6::parse(&mut window).unwrap();
        assert_eq!(window.fault, Some(Why::Short { need: 296, have: 64 }));
    }
}
