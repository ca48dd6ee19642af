//! UDP (RFC 768). The checksum is not verified: network cards fill it in late.

use std::fmt;

use super::stop::Why;
use super::window::Window;

/// A UDP header.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; 8],
    payload: u32,
}

impl<'a> Udp<'a> {
    /// The header, the window of its payload, and what is wrong with its length. The first of several fragments promises the length of all.
    #[inline]
    pub(super) fn parse(window: Window<'a>, is_fragment: bool) -> Result<(Self, Window<'a>, Option<Why>), Why> {
        let (header, rest) = window.take::<8>()?;
        let mut udp = Self { header, payload: 0 };
        let length = usize::from(udp.length());
        if length != 0 && length < 8 {
            return Err(Why::Bad("UDP length is less than 8"));
        }
        // Length 0 stands in jumbograms (RFC 2675 clause 4) and where segmentation was left to the network card.
        let (rest, fault) = match length.checked_sub(8) {
            Some(payload) if payload <= rest.wire => rest.narrow(payload),
            Some(_) if !is_fragment => (rest, Some(Why::Short { need: length, have: window.wire })),
            _ => (rest, None),
        };
        udp.payload = u32::try_from(rest.wire).unwrap_or(u32::MAX);
        Ok((udp, rest, fault))
    }

    /// The source port.
    #[inline]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// The destination port.
    #[inline]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The length field: header and payload in bytes.
    #[inline]
    pub const fn length(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The checksum field; 0 where there is none.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Payload bytes on the wire, by the lengths of IP and UDP; in a fragment those of the fragment.
    #[inline]
    pub const fn payload_len(&self) -> u32 {
        self.payload
    }
}

impl fmt::Display for Udp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UDP {} > {}, len {}", self.src_port(), self.dst_port(), self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_rules_the_payload() {
        // Written by hand after RFC 768: four bytes of payload, then padding.
        let bytes = [0x12, 0x34, 0, 53, 0, 12, 0xab, 0xcd, 1, 2, 3, 4, 0, 0];
        let (udp, rest, fault) = Udp::parse(Window::new(&bytes, 14), false).unwrap();
        assert_eq!((udp.to_string().as_str(), udp.checksum()), ("UDP 4660 > 53, len 4", 0xabcd));
        assert_eq!((rest.bytes, fault), (&[1, 2, 3, 4][..], None));
        let (_, rest, fault) = Udp::parse(Window::new(&bytes[..10], 10), false).unwrap();
        assert_eq!((rest.wire, fault), (2, Some(Why::Short { need: 12, have: 10 })));
        assert_eq!(Udp::parse(Window::new(&bytes[..10], 10), true).unwrap().2, None);
        assert_eq!(
            Udp::parse(Window::new(&[0, 1, 0, 2, 0, 7, 0, 0], 8), false).unwrap_err(),
            Why::Bad("UDP length is less than 8")
        );
    }
}
