//! Logical link control (IEEE 802.2-1998 clause 5.2) and SNAP (IEEE 802-2014 clause 9.5).

use std::fmt;

use super::stop::Why;
use super::window::Window;

/// An LLC header of three bytes, or four where the control field is of an information or supervisory frame.
#[derive(Clone, Copy, Debug)]
pub struct Llc<'a> {
    header: &'a [u8; 3],
}

/// A SNAP header: an organisation and its protocol.
#[derive(Clone, Copy, Debug)]
pub struct Snap<'a> {
    header: &'a [u8; 5],
}

impl<'a> Llc<'a> {
    #[inline]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let llc = Self { header: window.take()? };
        if llc.control() & 3 != 3 {
            window.take_more::<1>(3)?;
        }
        Ok(llc)
    }

    /// Destination service access point.
    pub const fn dsap(&self) -> u8 {
        self.header[0]
    }

    /// Source service access point.
    pub const fn ssap(&self) -> u8 {
        self.header[1]
    }

    /// The first byte of the control field; 0x03 is unnumbered information.
    pub const fn control(&self) -> u8 {
        self.header[2]
    }

    /// Whether a SNAP header follows.
    pub const fn is_snap(&self) -> bool {
        matches!(self.header, [0xaa, 0xaa, 0x03])
    }

    /// Whether a bridge protocol follows (a BPDU, or GARP by the same access points).
    pub const fn is_bridge(&self) -> bool {
        matches!(self.header, [0x42, 0x42, 0x03])
    }
}

impl fmt::Display for Llc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LLC 0x{:02x} > 0x{:02x}, control 0x{:02x}", self.ssap(), self.dsap(), self.control())
    }
}

impl<'a> Snap<'a> {
    #[inline]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()? })
    }

    /// The organisation.
    pub const fn oui(&self) -> [u8; 3] {
        let [a, b, c, ..] = *self.header;
        [a, b, c]
    }

    /// The organisation's protocol number.
    pub const fn pid(&self) -> u16 {
        let [.., a, b] = *self.header;
        u16::from_be_bytes([a, b])
    }

    /// The EtherType that the protocol number is, for encapsulated Ethernet (RFC 1042) and bridge tunnels (IEEE 802.1H).
    pub const fn ethertype(&self) -> Option<u16> {
        match self.oui() {
            [0, 0, 0] | [0, 0, 0xf8] => Some(self.pid()),
            _ => None,
        }
    }

    /// Whether a packet of Cisco's discovery protocol follows.
    pub const fn is_cdp(&self) -> bool {
        matches!(self.header, [0x00, 0x00, 0x0c, 0x20, 0x00])
    }

    /// Whether a BPDU of Cisco's per-VLAN spanning tree follows.
    pub const fn is_pvst(&self) -> bool {
        matches!(self.header, [0x00, 0x00, 0x0c, 0x01, 0x0b])
    }
}

impl fmt::Display for Snap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.oui();
        write!(f, "SNAP {a:02x}:{b:02x}:{c:02x}, protocol 0x{:04x}", self.pid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snap_of_per_vlan_spanning_tree() {
        // The encapsulation that Cisco documents for PVST+: AA AA 03, OUI 00:00:0c, protocol 0x010b.
        let bytes = [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x0c, 0x01, 0x0b];
        let mut window = Window::new(&bytes, 8);
        let llc = Llc::parse(&mut window).unwrap();
        let snap = Snap::parse(&mut window).unwrap();
        assert!(llc.is_snap() && snap.is_pvst() && snap.ethertype().is_none() && window.bytes.is_empty());
        assert_eq!(snap.to_string(), "SNAP 00:00:0c, protocol 0x010b");
    }

    #[test]
    fn information_frames_have_a_longer_control_field() {
        // Written by hand: a NetBIOS receive-ready.
        let mut window = Window::new(&[0xf0, 0xf0, 0x01, 0x05, 0x77], 5);
        let llc = Llc::parse(&mut window).unwrap();
        assert_eq!((llc.to_string().as_str(), window.bytes), ("LLC 0xf0 > 0xf0, control 0x01", &[0x77][..]));
        assert_eq!(Llc::parse(&mut Window::new(&[0xf0, 0xf0, 0x01], 60)).unwrap_err(), Why::Cut { need: 4, have: 3 });
    }
}
