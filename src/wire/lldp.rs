//! Link layer discovery (IEEE 802.1AB-2016 clause 8): its TLVs in order, and the three names that tell who is at the other end.

use std::fmt;

use super::window::{Window, piece};
use crate::value::{Mac, Outside};

/// An LLDPDU, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Lldp<'a> {
    body: &'a [u8],
}

/// One type-length-value of an LLDPDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LldpTlv<'a> {
    /// The type, 0 to 127.
    pub kind: u8,
    /// The value, 0 to 511 bytes.
    pub value: &'a [u8],
}

impl<'a> Lldp<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Self {
        Self { body: window.take_all() }
    }

    /// The TLVs up to the end mark, or to the first that is not whole.
    pub fn tlvs(&self) -> impl Iterator<Item = LldpTlv<'a>> + use<'a> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let word = u16::from_be_bytes(piece(rest, 0)?);
            let end = usize::from(word & 0x01ff).saturating_add(2);
            let tlv = LldpTlv { kind: (word >> 9) as u8, value: rest.get(2..end)? };
            rest = rest.get(end..)?;
            if tlv.kind == 0 { None } else { Some(tlv) }
        })
    }

    /// The sender's chassis: an address in its usual form, or a name.
    pub fn chassis(&self) -> Option<Outside> {
        let (subtype, id) = self.value(1)?.split_first()?;
        // Table 8-2: 4 is a MAC address.
        Some(name(*subtype == 4, id))
    }

    /// The sender's port: an address in its usual form, or a name.
    pub fn port(&self) -> Option<Outside> {
        let (subtype, id) = self.value(2)?.split_first()?;
        // Table 8-3: 3 is a MAC address.
        Some(name(*subtype == 3, id))
    }

    /// For how many seconds it holds; 0 says that the sender leaves.
    pub fn ttl(&self) -> Option<u16> {
        piece(self.value(3)?, 0).map(u16::from_be_bytes)
    }

    /// The sender's name.
    pub fn system_name(&self) -> Option<Outside> {
        self.value(5).map(Outside::from_bytes)
    }

    /// The sender's port VLAN (IEEE 802.1Q-2018 clause D.2.1: organisation 00:80:c2, subtype 1).
    pub fn port_vlan(&self) -> Option<u16> {
        self.organisation([0x00, 0x80, 0xc2, 1]).and_then(|v| piece(v, 0)).map(u16::from_be_bytes)
    }

    /// The largest frame the sender's port takes (IEEE 802.3-2018 clause 79.3.4: organisation 00:12:0f, subtype 4).
    pub fn max_frame(&self) -> Option<u16> {
        self.organisation([0x00, 0x12, 0x0f, 4]).and_then(|v| piece(v, 0)).map(u16::from_be_bytes)
    }

    fn value(&self, kind: u8) -> Option<&'a [u8]> {
        self.tlvs().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }

    /// The value behind organisation and subtype of the first such TLV of type 127.
    fn organisation(&self, wanted: [u8; 4]) -> Option<&'a [u8]> {
        self.tlvs().filter(|tlv| tlv.kind == 127).find_map(|tlv| tlv.value.strip_prefix(wanted.as_slice()))
    }
}

fn name(is_mac: bool, id: &[u8]) -> Outside {
    match <[u8; 6]>::try_from(id) {
        Ok(mac) if is_mac => Outside::from(Mac(mac).to_string().as_str()),
        _ => Outside::from_bytes(id),
    }
}

impl fmt::Display for Lldp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LLDP")?;
        if let Some(chassis) = self.system_name().or_else(|| self.chassis()) {
            write!(f, " from {chassis}")?;
        }
        match self.port() {
            Some(port) => write!(f, ", port {port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after IEEE 802.1AB-2016: chassis by MAC, port by name, 120 s, system name, port VLAN 100, frames of 9216.
    fn pdu() -> Vec<u8> {
        let mut bytes =
            vec![0x02, 7, 4, 0x00, 0x1c, 0x73, 0, 0, 1, 0x04, 5, 5, b'E', b't', b'h', b'1', 0x06, 2, 0, 120];
        bytes.extend([0x0a, 3, b's', b'w', 0x1b]);
        bytes.extend([0xfe, 6, 0x00, 0x80, 0xc2, 1, 0, 100]);
        bytes.extend([0xfe, 6, 0x00, 0x12, 0x0f, 4, 0x24, 0x00, 0, 0, 0xff, 0xff]);
        bytes
    }

    #[test]
    fn names_are_outside_text() {
        let bytes = pdu();
        let lldp = Lldp::parse(&mut Window::new(&bytes, 0));
        assert_eq!(lldp.to_string(), r"LLDP from sw\u{1b}, port Eth1");
        assert_eq!(lldp.chassis().unwrap().to_string(), "00:1c:73:00:00:01");
        assert_eq!((lldp.ttl(), lldp.port_vlan(), lldp.max_frame()), (Some(120), Some(100), Some(9216)));
        assert_eq!(lldp.tlvs().count(), 6);
    }

    #[test]
    fn a_tlv_that_is_not_whole_ends_the_list() {
        let bytes = pdu();
        let lldp = Lldp::parse(&mut Window::new(&bytes[..12], 60));
        assert_eq!((lldp.tlvs().count(), lldp.port()), (1, None));
    }
}
