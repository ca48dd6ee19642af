//! IPv4 (RFC 791). Options are handed out as bytes; the header checksum is verified where somebody asks for it, because network cards fill it in late.

use std::fmt;
use std::net::Ipv4Addr;

use super::stop::Why;
use super::window::{Window, field};

/// An IPv4 header.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8; 20],
    options: &'a [u8],
    wire: u32,
}

impl<'a> Ipv4<'a> {
    /// Reads the header and narrows the window to what it carries.
    #[inline(always)]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let wire = window.wire_len();
        let header = window.take::<20>()?;
        let mut ip = Self { header, options: &[], wire };
        if header[0] >> 4 != 4 {
            return Err(Why::Bad("IP version is not 4"));
        }
        let (len, total) = (ip.header_len(), usize::from(ip.total_len()));
        let Some(options) = len.checked_sub(20) else {
            return Err(Why::Bad("IPv4 header length is less than 20"));
        };
        if total != 0 {
            if total < len {
                return Err(Why::Bad("IPv4 total length is less than the header length"));
            }
            window.narrow(20, total.saturating_sub(20));
        }
        if options != 0 {
            ip.options = window.take_some(20, options);
        }
        Ok(ip)
    }

    /// Length of the header with options, 20 to 60 bytes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        ((self.header[0] & 0x0f) as usize).saturating_mul(4)
    }

    /// The type of service byte: DSCP and ECN.
    pub const fn tos(&self) -> u8 {
        self.header[1]
    }

    /// Differentiated services code point, 0 to 63 (RFC 2474).
    pub const fn dscp(&self) -> u8 {
        self.tos() >> 2
    }

    /// Total length in bytes, header included; 0 where segmentation was left to the network card.
    #[inline]
    pub const fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Whether the header's checksum is right (RFC 1071), as far as that can be told: a card may have to fill it in, and options may be cut. Whoever gets
    /// a header that is not throws the packet away (RFC 1122 section 3.2.1.2).
    pub fn is_sound(&self) -> bool {
        let is_whole = self.options.len() == self.header_len().saturating_sub(20);
        let is_empty = self.header[10..12] == [0, 0];
        let words = self.header.iter().chain(self.options).zip([8, 0].into_iter().cycle());
        let sum = words.fold(0_u32, |sum, (byte, shift)| sum.saturating_add(u32::from(*byte) << shift));
        // At most thirty words: one carry makes another at most.
        let sum = (sum & 0xffff).saturating_add(sum >> 16);
        !is_whole || is_empty || (sum & 0xffff).saturating_add(sum >> 16) == 0xffff
    }

    /// Identification, which the fragments of a packet share.
    #[inline]
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Whether routers must not fragment it.
    #[inline]
    pub const fn dont_fragment(&self) -> bool {
        self.header[6] & 0x40 != 0
    }

    /// Whether more fragments follow.
    #[inline]
    pub const fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }

    /// Where this fragment's payload belongs, in bytes.
    #[inline]
    pub const fn fragment_offset(&self) -> u32 {
        ((u16::from_be_bytes([self.header[6], self.header[7]]) & 0x1fff) as u32).saturating_mul(8)
    }

    /// Whether it is a piece of a packet.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments() || self.fragment_offset() != 0
    }

    /// Time to live.
    pub const fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The protocol it carries (IANA protocol numbers).
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// The source.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from(field::<4>(self.header, 12))
    }

    /// The destination.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from(field::<4>(self.header, 16))
    }

    /// The options as far as they were captured.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }

    /// Bytes on the wire from this header on, whatever its length field says.
    #[inline]
    pub const fn wire_len(&self) -> u32 {
        self.wire
    }
}

impl fmt::Display for Ipv4<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv4 {} > {}, protocol {}, {} bytes", self.src(), self.dst(), self.protocol(), self.total_len())?;
        if self.is_fragment() {
            write!(f, ", fragment at {}", self.fragment_offset())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after RFC 791: a first fragment of 28 bytes, UDP.
    const HEADER: [u8; 28] =
        [0x45, 0xb8, 0, 28, 0x12, 0x34, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 5, 10, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn fields_and_payload() {
        let mut padded = HEADER.to_vec();
        padded.extend([0; 18]);
        let mut window = Window::new(&padded, 46);
        let ip = Ipv4::parse(&mut window).unwrap();
        assert_eq!(ip.to_string(), "IPv4 10.0.0.5 > 10.0.0.9, protocol 17, 28 bytes, fragment at 0");
        assert_eq!((ip.dscp(), ip.id(), ip.ttl(), ip.more_fragments(), ip.wire_len()), (46, 0x1234, 64, true, 46));
        assert_eq!((window.bytes, window.wire, window.fault), (&HEADER[20..], 8, None));
    }

    #[test]
    fn lengths_that_cannot_be() {
        let with = |at: usize, byte: u8| {
            let mut bytes = HEADER;
            bytes[at] = byte;
            let mut window = Window::new(&bytes, 28);
            Ipv4::parse(&mut window).map(|_| (window.wire, window.fault))
        };
        assert!(matches!(with(0, 0x44), Err(Why::Bad(_))));
        assert!(matches!(with(3, 19), Err(Why::Bad(_))));
        assert_eq!(with(3, 60), Ok((8, Some(Why::Short { need: 60, have: 28 }))));
        assert_eq!(with(3, 0), Ok((8, None)));
        assert_eq!(with(0, 0x46), Ok((4, None)));
    }
}
