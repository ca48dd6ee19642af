//! Cisco discovery protocol, as its maker publishes it: the names of a device and its port, its native VLAN. Everything else is left unread.

use std::fmt;

use super::stop::Why;
use super::window::{Window, piece};
use crate::value::Outside;

/// A CDP packet, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Cdp<'a> {
    head: &'a [u8; 4],
    body: &'a [u8],
}

impl<'a> Cdp<'a> {
    /// Reads version, time to live and checksum; what follows are types with their lengths.
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        Ok(Self { head: window.take()?, body: window.take_all() })
    }

    /// For how many seconds it holds.
    pub const fn ttl(&self) -> u8 {
        self.head[1]
    }

    /// The sender's name.
    pub fn device(&self) -> Option<Outside> {
        self.value(0x0001).map(Outside::from_bytes)
    }

    /// The sender's port.
    pub fn port(&self) -> Option<Outside> {
        self.value(0x0003).map(Outside::from_bytes)
    }

    /// The VLAN of untagged frames at the sender's port.
    pub fn native_vlan(&self) -> Option<u16> {
        piece(self.value(0x000a)?, 0).map(u16::from_be_bytes)
    }

    /// The value of the first entry of this type.
    fn value(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.body;
        loop {
            let (kind, length) =
                (u16::from_be_bytes(piece(rest, 0)?), usize::from(u16::from_be_bytes(piece(rest, 2)?)));
            // The length counts its own four bytes; less would not get on.
            let value = rest.get(4..length)?;
            if kind == wanted {
                return Some(value);
            }
            rest = rest.get(length..)?;
        }
    }
}

impl fmt::Display for Cdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CDP")?;
        if let Some(device) = self.device() {
            write!(f, " from {device}")?;
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

    /// Written by hand after Cisco's description: version 2, 180 s, device `sw`, port `Et1`, native VLAN 20.
    const PACKET: [u8; 23] = [2, 180, 0, 0, 0, 1, 0, 6, b's', b'w', 0, 3, 0, 7, b'E', b't', b'1', 0, 10, 0, 6, 0, 20];

    #[test]
    fn names_and_native_vlan() {
        let cdp = Cdp::parse(&mut Window::new(&PACKET, 23)).unwrap();
        assert_eq!(cdp.to_string(), "CDP from sw, port Et1");
        assert_eq!((cdp.ttl(), cdp.native_vlan()), (180, Some(20)));
    }

    #[test]
    fn a_length_that_leads_nowhere_ends_the_search() {
        let mut bytes = PACKET;
        bytes[7] = 3;
        let cdp = Cdp::parse(&mut Window::new(&bytes, 23)).unwrap();
        assert_eq!((cdp.device(), cdp.port()), (None, None));
    }
}
