//! Headers that stand in the place of a link header: Linux cooked v1 and v2 (LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2 of tcpdump.org), and the
//! address family of loopback captures (LINKTYPE_NULL, LINKTYPE_LOOP).

use std::fmt;

use super::stop::Why;
use super::window::Window;
use crate::value::Mac;

/// A Linux cooked header, version 1.
#[derive(Clone, Copy, Debug)]
pub struct Sll<'a> {
    header: &'a [u8; 16],
}

/// A Linux cooked header, version 2.
#[derive(Clone, Copy, Debug)]
pub struct Sll2<'a> {
    header: &'a [u8; 20],
}

/// A loopback header: an address family.
#[derive(Clone, Copy, Debug)]
pub struct Null {
    family: u32,
    last: u16,
}

/// Hardware types of Linux whose address is a MAC: Ethernet, and loopback, which has zeroes (if_arp.h).
const fn has_mac(arphrd: u16) -> bool {
    matches!(arphrd, 1 | 772)
}

impl<'a> Sll<'a> {
    #[inline]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()? })
    }

    /// 0 to us, 1 broadcast, 2 multicast, 3 to another station, 4 sent by us.
    pub const fn packet_type(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// The hardware type of the device (ARPHRD_ of Linux).
    pub const fn hardware(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The sender's MAC address, where the device has one.
    pub const fn src(&self) -> Option<Mac> {
        let [_, _, _, _, _, len, a, b, c, d, e, f, ..] = *self.header;
        if len == 6 && has_mac(self.hardware()) { Some(Mac([a, b, c, d, e, f])) } else { None }
    }

    /// The EtherType; 1 and 4 mean 802.3 frames without and with LLC.
    #[inline]
    pub const fn protocol(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }
}

impl fmt::Display for Sll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linux cooked v1, packet type {}, type 0x{:04x}", self.packet_type(), self.protocol())
    }
}

impl<'a> Sll2<'a> {
    #[inline]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()? })
    }

    /// The EtherType; 1 and 4 mean 802.3 frames without and with LLC.
    #[inline]
    pub const fn protocol(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// The index of the device on the capturing host.
    pub const fn interface(&self) -> u32 {
        u32::from_be_bytes([self.header[4], self.header[5], self.header[6], self.header[7]])
    }

    /// The hardware type of the device (ARPHRD_ of Linux).
    pub const fn hardware(&self) -> u16 {
        u16::from_be_bytes([self.header[8], self.header[9]])
    }

    /// 0 to us, 1 broadcast, 2 multicast, 3 to another station, 4 sent by us.
    pub const fn packet_type(&self) -> u16 {
        self.header[10] as u16
    }

    /// The sender's MAC address, where the device has one.
    pub const fn src(&self) -> Option<Mac> {
        let [_, _, _, _, _, _, _, _, _, _, _, len, a, b, c, d, e, f, ..] = *self.header;
        if len == 6 && has_mac(self.hardware()) { Some(Mac([a, b, c, d, e, f])) } else { None }
    }
}

impl fmt::Display for Sll2<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packet, interface) = (self.packet_type(), self.interface());
        write!(f, "Linux cooked v2, interface {interface}, packet type {packet}, type 0x{:04x}", self.protocol())
    }
}

impl Null {
    /// `is_network_order` for OpenBSD's loopback; otherwise the order that gives a small number, for families are small.
    #[inline]
    pub(super) fn parse(window: &mut Window<'_>, is_network_order: bool) -> Result<Self, Why> {
        let header = window.take::<4>()?;
        let (big, little) = (u32::from_be_bytes(*header), u32::from_le_bytes(*header));
        let [.., a, b] = *header;
        let family = if is_network_order { big } else { big.min(little) };
        Ok(Self { family, last: u16::from_be_bytes([a, b]) })
    }

    /// The address family.
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// The EtherType of the family: 2 is IPv4 everywhere, IPv6 is 24, 28 or 30 on the BSDs and 10 on Linux.
    /// Some drivers put an EtherType itself into the last two bytes.
    #[inline]
    pub const fn ethertype(&self) -> Option<u16> {
        match self.family {
            2 => Some(0x0800),
            10 | 24 | 28 | 30 => Some(0x86dd),
            _ if matches!(self.last, 0x0800 | 0x86dd) => Some(self.last),
            _ => None,
        }
    }
}

impl fmt::Display for Null {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loopback, address family {}", self.family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooked_v1_tells_the_sender_and_the_way() {
        // Written by hand after the layout at tcpdump.org: outgoing, Ethernet, six address bytes, IPv4.
        let bytes = [0, 4, 0, 1, 0, 6, 0xfa, 0x16, 0x3e, 0, 0, 1, 0, 0, 0x08, 0x00];
        let sll = Sll::parse(&mut Window::new(&bytes, 16)).unwrap();
        assert_eq!((sll.packet_type(), sll.protocol()), (4, 0x0800));
        assert_eq!(sll.src().unwrap().to_string(), "fa:16:3e:00:00:01");
    }

    #[test]
    fn cooked_v2_tells_the_interface() {
        // Written by hand after the layout at tcpdump.org: 802.2, interface 7, Ethernet, multicast.
        let bytes = [0, 4, 0, 0, 0, 0, 0, 7, 0, 1, 2, 6, 0x00, 0x1c, 0x73, 0, 0, 1, 0, 0];
        let sll = Sll2::parse(&mut Window::new(&bytes, 20)).unwrap();
        assert_eq!(sll.to_string(), "Linux cooked v2, interface 7, packet type 2, type 0x0004");
        assert_eq!(sll.src(), Some(Mac([0x00, 0x1c, 0x73, 0, 0, 1])));
    }

    #[test]
    fn a_family_comes_in_either_order() {
        // Written by hand: AF_INET of a little-endian and of a big-endian host.
        for bytes in [[2, 0, 0, 0], [0, 0, 0, 2]] {
            let null = Null::parse(&mut Window::new(&bytes, 4), false).unwrap();
            assert_eq!(null.ethertype(), Some(0x0800));
        }
        let wrong = Null::parse(&mut Window::new(&[2, 0, 0, 0], 4), true).unwrap();
        assert_eq!(wrong.ethertype(), None);
        // The third frame of null_loopback.pcap of PcapPlusPlus (Unlicense) begins so, and an IPv4 header follows.
        let typed = Null::parse(&mut Window::new(&[0x0f, 0x00, 0x08, 0x00], 4), false).unwrap();
        assert_eq!(typed.ethertype(), Some(0x0800));
    }
}
