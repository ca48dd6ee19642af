//! Address resolution (RFC 826), reverse ARP (RFC 903), gratuitous ARP and probes (RFC 5227).

use std::fmt;
use std::net::Ipv4Addr;

use super::stop::Why;
use super::window::{Window, field};
use crate::value::Mac;

/// An ARP packet; addresses other than Ethernet's and IPv4's are not told.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a> {
    fixed: &'a [u8; 8],
    addresses: Option<&'a [u8; 20]>,
}

impl<'a> Arp<'a> {
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let fixed = window.take::<8>()?;
        if matches!(fixed, [_, _, 0x08, 0x00, 6, 4, ..]) {
            return Ok(Self { fixed, addresses: Some(window.take_more(8)?) });
        }
        let len = usize::from(fixed[4]).saturating_add(usize::from(fixed[5])).saturating_mul(2);
        window.take_some(8, len);
        Ok(Self { fixed, addresses: None })
    }

    /// The hardware type; 1 is Ethernet.
    pub const fn hardware(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Whether the addresses are MAC and IPv4 addresses; the address accessors give zeroes otherwise.
    pub const fn is_ethernet_ipv4(&self) -> bool {
        self.addresses.is_some()
    }

    /// The operation: 1 request, 2 reply, 3 reverse request, 4 reverse reply.
    pub const fn op(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// The sender's MAC address.
    pub fn sender_mac(&self) -> Mac {
        Mac(self.address(0))
    }

    /// The sender's IPv4 address; 0.0.0.0 in a probe.
    pub fn sender_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.address(6))
    }

    /// The target's MAC address; zero or broadcast in a request, which asks for it.
    pub fn target_mac(&self) -> Mac {
        Mac(self.address(10))
    }

    /// The IPv4 address that is asked for, or answered to.
    pub fn target_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.address(16))
    }

    /// Whether it asks for a MAC address.
    pub const fn is_request(&self) -> bool {
        self.op() == 1
    }

    /// Whether it answers.
    pub const fn is_reply(&self) -> bool {
        self.op() == 2
    }

    /// Whether a station speaks of its own address, unasked: sender and target address are the same and not zero.
    pub fn is_gratuitous(&self) -> bool {
        let told = self.is_ethernet_ipv4() && (self.is_request() || self.is_reply());
        told && self.sender_ip() == self.target_ip() && !self.sender_ip().is_unspecified()
    }

    /// Whether a station asks if an address is free (RFC 5227 clause 1.1): a request whose sender has none.
    pub fn is_probe(&self) -> bool {
        let asked = self.is_ethernet_ipv4() && self.is_request();
        asked && self.sender_ip().is_unspecified() && !self.target_ip().is_unspecified()
    }

    fn address<const N: usize>(&self, at: usize) -> [u8; N] {
        self.addresses.map_or([0; N], |bytes| field(bytes, at))
    }
}

impl fmt::Display for Arp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_ethernet_ipv4() {
            return write!(f, "ARP operation {}, hardware type {}", self.op(), self.hardware());
        }
        let (sender, target) = (self.sender_ip(), self.target_ip());
        match self.op() {
            1 if self.is_gratuitous() => write!(f, "ARP {} announces {sender}", self.sender_mac()),
            1 if self.is_probe() => write!(f, "ARP {} probes {target}", self.sender_mac()),
            1 => write!(f, "ARP who has {target}, tell {sender} ({})", self.sender_mac()),
            2 => write!(f, "ARP {sender} is at {}", self.sender_mac()),
            3 => write!(f, "RARP who is {}, tell {}", self.target_mac(), self.sender_mac()),
            4 => write!(f, "RARP {} is {target}", self.target_mac()),
            op => write!(f, "ARP operation {op}, {sender} to {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after RFC 826: 10.0.0.5 asks for 10.0.0.1.
    const REQUEST: [u8; 28] =
        [0, 1, 8, 0, 6, 4, 0, 1, 0xfa, 0x16, 0x3e, 0, 0, 5, 10, 0, 0, 5, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];

    fn parse(bytes: &[u8]) -> Arp<'_> {
        Arp::parse(&mut Window::new(bytes, 0)).unwrap()
    }

    #[test]
    fn a_request_names_both() {
        let arp = parse(&REQUEST);
        assert_eq!(arp.to_string(), "ARP who has 10.0.0.1, tell 10.0.0.5 (fa:16:3e:00:00:05)");
        assert!(arp.is_request() && !arp.is_gratuitous() && !arp.is_probe());
        assert_eq!(arp.sender_mac().to_string(), "fa:16:3e:00:00:05");
        assert_eq!(arp.target_mac(), Mac::ZERO);
    }

    #[test]
    fn a_probe_has_no_sender_and_an_announcement_is_about_itself() {
        let mut probe = REQUEST;
        probe[14..18].fill(0);
        assert!(parse(&probe).is_probe() && !parse(&probe).is_gratuitous());
        let mut own = REQUEST;
        own[24..28].copy_from_slice(&[10, 0, 0, 5]);
        assert_eq!(parse(&own).to_string(), "ARP fa:16:3e:00:00:05 announces 10.0.0.5");
    }

    #[test]
    fn other_addresses_are_kept_as_a_layer() {
        // Written by hand: hardware type 32 (InfiniBand) with 20-byte addresses.
        let mut bytes = vec![0, 32, 8, 0, 20, 4, 0, 1];
        bytes.resize(56, 1);
        assert!(!parse(&bytes).is_ethernet_ipv4());
        assert_eq!(parse(&bytes).to_string(), "ARP operation 1, hardware type 32");
        assert_eq!(Arp::parse(&mut Window::new(&REQUEST[..20], 60)).unwrap_err(), Why::Cut { need: 28, have: 20 });
    }
}
