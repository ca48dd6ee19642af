//! The VLAN tag (IEEE 802.1Q-2018 clause 9.6), one layer each, whatever its TPID and depth.

use std::fmt;

use super::stop::Why;
use super::window::Window;
use crate::value::{Tag, Tpid};

/// A tag: the TPID stands in the header before, so it is kept beside the four bytes.
#[derive(Clone, Copy, Debug)]
pub struct Vlan<'a> {
    tpid: u16,
    header: &'a [u8; 4],
}

impl<'a> Vlan<'a> {
    #[inline]
    pub(super) fn parse(tpid: u16, window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { tpid, header: window.take()? })
    }

    /// The EtherType that announced this tag.
    #[inline]
    pub const fn tpid(&self) -> Tpid {
        Tpid(self.tpid)
    }

    /// Priority, drop eligibility, VID.
    #[inline]
    pub const fn tag(&self) -> Tag {
        let [a, b, ..] = *self.header;
        Tag::from_tci(self.tpid, u16::from_be_bytes([a, b]))
    }

    /// The EtherType or length behind the tag.
    #[inline]
    pub const fn next(&self) -> u16 {
        let [.., a, b] = *self.header;
        u16::from_be_bytes([a, b])
    }
}

impl fmt::Display for Vlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag();
        write!(f, "VLAN {} ({}), priority {}", tag.vid, tag.tpid, tag.pcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_its_tpid() {
        // Written by hand: service tag 2000, priority 5, a customer tag behind it.
        let mut window = Window::new(&[0xa7, 0xd0, 0x81, 0x00, 0xff], 5);
        let vlan = Vlan::parse(0x88a8, &mut window).unwrap();
        assert_eq!(vlan.to_string(), "VLAN 2000 (0x88a8), priority 5");
        assert_eq!((vlan.next(), window.bytes), (0x8100, &[0xff][..]));
    }
}
