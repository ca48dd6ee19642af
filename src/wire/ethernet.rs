//! The Ethernet header (IEEE 802.3-2018 clause 3.2). The frame check sequence is not in captures and not handled.

use std::fmt;

use super::stop::Why;
use super::window::Window;
use crate::value::Mac;

/// An Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    header: &'a [u8; 14],
}

impl<'a> Ethernet<'a> {
    /// That of a header which is known to be one.
    #[inline]
    pub(super) const fn of(header: &'a [u8; 14]) -> Self {
        Self { header }
    }

    #[inline]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()? })
    }

    /// The destination.
    #[inline]
    pub const fn dst(&self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.header;
        Mac([a, b, c, d, e, f])
    }

    /// The source.
    #[inline]
    pub const fn src(&self) -> Mac {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.header;
        Mac([a, b, c, d, e, f])
    }

    /// The EtherType if it is 1536 or more, the length of the payload if it is at most 1500.
    #[inline]
    pub const fn ethertype_or_length(&self) -> u16 {
        let [.., a, b] = *self.header;
        u16::from_be_bytes([a, b])
    }
}

impl fmt::Display for Ethernet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ethernet {} > {}, type 0x{:04x}", self.src(), self.dst(), self.ethertype_or_length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_type() {
        // Written by hand: a broadcast ARP from an OpenStack guest.
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x16, 0x3e, 0x24, 0xe7, 0x22, 0x08, 0x06];
        let mut window = Window::new(&bytes, 60);
        let header = Ethernet::parse(&mut window).unwrap();
        assert_eq!(header.to_string(), "Ethernet fa:16:3e:24:e7:22 > ff:ff:ff:ff:ff:ff, type 0x0806");
        assert_eq!((window.wire, window.at), (46, 14));
        assert!(Ethernet::parse(&mut Window::new(&bytes[..13], 13)).is_err());
    }
}
