//! Tunnels that carry frames or packets: VXLAN (RFC 7348), GENEVE (RFC 8926), GRE (RFC 2784, 2890; version 1 RFC 2637). GENEVE options are skipped.

use std::fmt;

use super::stop::Why;
use super::window::{Window, piece};

/// A VXLAN header.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a> {
    header: &'a [u8; 8],
}

/// A GENEVE header.
#[derive(Clone, Copy, Debug)]
pub struct Geneve<'a> {
    header: &'a [u8; 8],
}

/// A GRE header.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    words: &'a [u8],
    flags: u16,
    protocol: u16,
}

/// The network that a tunnel carries Ethernet of, by its header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Overlay {
    /// Of VXLAN or GENEVE, 24 bits.
    Vni(u32),
    /// Of GRE: its key, where it has one (RFC 2890 section 2.1).
    Gre(Option<u32>),
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => write!(f, "VNI {vni}"),
            Self::Gre(Some(key)) => write!(f, "GRE key {key}"),
            Self::Gre(None) => f.write_str("GRE"),
        }
    }
}

/// Whether what goes to `port` over UDP is a tunnel of VXLAN or GENEVE.
#[inline]
pub(super) const fn is_port(port: u16) -> bool {
    matches!(port, Vxlan::PORT | Vxlan::LINUX_PORT | Geneve::PORT)
}

impl Vxlan<'_> {
    /// The port that it goes to.
    pub const PORT: u16 = 4789;
    /// The port that Linux took before that one was assigned.
    pub const LINUX_PORT: u16 = 8472;
}

impl Geneve<'_> {
    /// The port that it goes to.
    pub const PORT: u16 = 6081;
}

impl<'a> Vxlan<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { header: window.take()? })
    }

    /// Whether the flag that makes the VNI valid is set.
    pub const fn has_vni(&self) -> bool {
        self.header[0] & 0x08 != 0
    }

    /// The network, 24 bits.
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes([0, self.header[4], self.header[5], self.header[6]])
    }
}

impl fmt::Display for Vxlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VXLAN {}", self.vni())
    }
}

impl<'a> Geneve<'a> {
    /// That of a header which is known to be one.
    #[inline]
    pub(super) const fn of(header: &'a [u8; 8]) -> Self {
        Self { header }
    }

    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let geneve = Self { header: window.take()? };
        window.take_some(8, geneve.options_len());
        Ok(geneve)
    }

    /// The version; only 0 is known.
    pub const fn version(&self) -> u8 {
        self.header[0] >> 6
    }

    /// Length of the options in bytes, 0 to 252.
    pub const fn options_len(&self) -> usize {
        ((self.header[0] & 0x3f) as usize).saturating_mul(4)
    }

    /// The EtherType of what it carries; 0x6558 is Ethernet.
    pub const fn protocol(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The network, 24 bits.
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes([0, self.header[4], self.header[5], self.header[6]])
    }
}

impl fmt::Display for Geneve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GENEVE {}, protocol 0x{:04x}", self.vni(), self.protocol())
    }
}

impl<'a> Gre<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let [a, b, c, d] = *window.take::<4>()?;
        let mut gre = Self { words: &[], flags: u16::from_be_bytes([a, b]), protocol: u16::from_be_bytes([c, d]) };
        gre.words = window.take_some(4, gre.header_len().saturating_sub(4));
        Ok(gre)
    }

    /// The version: 0, or 1 for point-to-point tunnelling.
    pub const fn version(&self) -> u8 {
        (self.flags & 7) as u8
    }

    /// The EtherType of what it carries; 0x6558 is Ethernet.
    pub const fn protocol(&self) -> u16 {
        self.protocol
    }

    /// Whether source routes follow, whose length is not known beforehand (RFC 1701); what it carries is then not decoded.
    pub const fn has_routing(&self) -> bool {
        self.flags & 0x4000 != 0
    }

    /// The key, which tells tunnels between the same ends apart.
    pub fn key(&self) -> Option<u32> {
        if self.flags & 0x2000 == 0 {
            return None;
        }
        piece(self.words, self.checksum_len()).map(u32::from_be_bytes)
    }

    /// The sequence number.
    pub fn seq(&self) -> Option<u32> {
        if self.flags & 0x1000 == 0 {
            return None;
        }
        let key = if self.flags & 0x2000 == 0 { 0 } else { 4 };
        piece(self.words, self.checksum_len().saturating_add(key)).map(u32::from_be_bytes)
    }

    /// Length of the header without source routes, 4 to 16 bytes.
    pub const fn header_len(&self) -> usize {
        // One word each: key, sequence number, and in version 1 the acknowledgement number (0x0080).
        let words = (self.flags & 0x3000).count_ones();
        let words = if self.version() == 1 && self.flags & 0x0080 != 0 { words.saturating_add(1) } else { words };
        (words as usize).saturating_mul(4).saturating_add(4).saturating_add(self.checksum_len())
    }

    const fn checksum_len(&self) -> usize {
        if self.flags & 0xc000 != 0 { 4 } else { 0 }
    }
}

impl fmt::Display for Gre<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GRE version {}, protocol 0x{:04x}", self.version(), self.protocol())?;
        match self.key() {
            Some(key) => write!(f, ", key {key}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_24_bits() {
        // Written by hand after RFC 7348 and RFC 8926.
        let vxlan = Vxlan::parse(&mut Window::new(&[0x08, 0, 0, 0, 0x01, 0x02, 0x03, 0], 8)).unwrap();
        assert_eq!((vxlan.has_vni(), vxlan.to_string().as_str()), (true, "VXLAN 66051"));
        let bytes = [0x01, 0, 0x65, 0x58, 0, 0, 0x2a, 0, 9, 9, 9, 9, 7];
        let mut window = Window::new(&bytes, 13);
        let geneve = Geneve::parse(&mut window).unwrap();
        assert_eq!((geneve.vni(), geneve.options_len(), window.bytes, window.fault), (42, 4, &[7][..], None));
        let mut window = Window::new(&bytes[..10], 10);
        Geneve::parse(&mut window).unwrap();
        assert_eq!(window.fault, Some(Why::Short { need: 12, have: 10 }));
    }

    #[test]
    fn gre_grows_with_its_flags() {
        // Written by hand after RFC 2890: checksum, key and sequence number.
        let bytes = [0xb0, 0, 0x08, 0x00, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0x45];
        let mut window = Window::new(&bytes, 17);
        let gre = Gre::parse(&mut window).unwrap();
        assert_eq!((gre.key(), gre.seq(), window.bytes, window.fault), (Some(5), Some(6), &[0x45][..], None));
        assert_eq!(gre.to_string(), "GRE version 0, protocol 0x0800, key 5");
        let mut window = Window::new(&bytes[..9], 17);
        let gre = Gre::parse(&mut window).unwrap();
        assert_eq!((gre.key(), window.fault), (None, Some(Why::Cut { need: 16, have: 9 })));
    }
}
