//! UDP (RFC 768). The checksum is not verified: network cards fill it in late.

use std::fmt;

use super::stop::Why;
use super::window::Window;
use super::{Dhcp, Unopened, tunnel};

/// A UDP header.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; 8],
    payload: u32,
}

impl<'a> Udp<'a> {
    /// That of a header which is known to be one, before so many bytes of payload.
    #[inline]
    pub(super) const fn of(header: &'a [u8; 8], payload: u32) -> Self {
        Self { header, payload }
    }

    /// Reads the header and narrows the window to its payload. The first of several fragments promises the length of all.
    #[inline(always)]
    pub(super) fn parse(window: &mut Window<'a>, is_fragment: bool) -> Result<Self, Why> {
        let header = window.take::<8>()?;
        let mut udp = Self { header, payload: 0 };
        match usize::from(udp.length()).checked_sub(8) {
            Some(payload) if payload <= window.wire || !is_fragment => window.narrow(8, payload),
            Some(_) => {}
            // Length 0 stands in jumbograms (RFC 2675 clause 4) and where segmentation was left to the network card.
            None if udp.length() == 0 => {}
            None => return Err(Why::Bad("UDP length is less than 8")),
        }
        udp.payload = window.wire_len();
        Ok(udp)
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

    /// Whether nobody who is read here speaks at either port, so that its payload says nothing to us whatever it is.
    #[inline]
    pub(super) const fn is_opaque(&self) -> bool {
        !(is_read(self.src_port()) || is_read(self.dst_port()))
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

/// Whether what is carried from or to `port` may be known by it.
const fn is_read(port: u16) -> bool {
    Dhcp::is_port(port) || tunnel::is_port(port) || Unopened::is_port(port)
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
        let mut window = Window::new(&bytes, 14);
        let udp = Udp::parse(&mut window, false).unwrap();
        assert_eq!((udp.to_string().as_str(), udp.checksum()), ("UDP 4660 > 53, len 4", 0xabcd));
        assert_eq!((window.bytes, window.fault), (&[1, 2, 3, 4][..], None));
        let mut window = Window::new(&bytes[..10], 10);
        assert_eq!(Udp::parse(&mut window, false).unwrap().payload_len(), 2);
        assert_eq!(window.fault, Some(Why::Short { need: 12, have: 10 }));
        let mut window = Window::new(&bytes[..10], 10);
        assert_eq!((Udp::parse(&mut window, true).unwrap().payload_len(), window.fault), (2, None));
        assert_eq!(
            Udp::parse(&mut Window::new(&[0, 1, 0, 2, 0, 7, 0, 0], 8), false).unwrap_err(),
            Why::Bad("UDP length is less than 8")
        );
    }
}
