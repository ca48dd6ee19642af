//! By what a connection is known at a vantage.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::event::VantageId;
use crate::wire::{Ip, Tcp};

/// Both ends, the lower first, and the vantage: in words that are quick to compare and to hash, which is done for every segment.
#[derive(Clone, Copy, Debug)]
pub struct FlowKey {
    /// Of IPv6 two words an address; of IPv4 one word for both.
    addresses: [u64; 4],
    ports: [u16; 2],
    lane: u16,
    is_v6: bool,
    interface: u32,
}

impl PartialEq for FlowKey {
    /// Word by word, which is quicker than to call for it.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.addresses, other.addresses);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) | u64::from(self.interface ^ other.interface) == 0
            && (self.ports, self.lane, self.is_v6) == (other.ports, other.lane, other.is_v6)
    }
}

impl Eq for FlowKey {}

impl FlowKey {
    /// The connection that a segment belongs to, and whether its sender is the lower end.
    pub fn of(vantage: VantageId, ip: &Ip<'_>, tcp: &Tcp<'_>) -> (Self, bool) {
        let (from, to) = (tcp.src_port(), tcp.dst_port());
        let (is_low, addresses) = match ip {
            Ip::V4(ip) => return Self::of_ipv4(vantage, (ip.src().to_bits(), from), (ip.dst().to_bits(), to)),
            Ip::V6(ip) => {
                let (src, dst) = (ip.src().to_bits(), ip.dst().to_bits());
                let is_low = (src, from) <= (dst, to);
                let (low, high) = if is_low { (src, dst) } else { (dst, src) };
                (is_low, [(low >> 64) as u64, low as u64, (high >> 64) as u64, high as u64])
            }
        };
        let ports = if is_low { [from, to] } else { [to, from] };
        (Self { addresses, ports, lane: vantage.lane, is_v6: true, interface: vantage.interface }, is_low)
    }

    /// The same over IPv4, each end an address and a port.
    #[inline]
    pub fn of_ipv4(vantage: VantageId, from: (u32, u16), to: (u32, u16)) -> (Self, bool) {
        let is_low = from <= to;
        let (low, high) = if is_low { (from, to) } else { (to, from) };
        let addresses = [u64::from(low.0) << 32 | u64::from(high.0), 0, 0, 0];
        let (lane, interface) = (vantage.lane, vantage.interface);
        (Self { addresses, ports: [low.1, high.1], lane, is_v6: false, interface }, is_low)
    }

    /// The same connection at another vantage.
    pub const fn at(self, vantage: VantageId) -> Self {
        Self { lane: vantage.lane, interface: vantage.interface, ..self }
    }

    /// The connection between two ends by address and port, and whether the first is the lower.
    pub fn between(vantage: VantageId, from: (IpAddr, u16), to: (IpAddr, u16)) -> (Self, bool) {
        if let (IpAddr::V4(one), IpAddr::V4(other)) = (from.0, to.0) {
            return Self::of_ipv4(vantage, (one.to_bits(), from.1), (other.to_bits(), to.1));
        }
        let is_low = from <= to;
        let (low, high) = if is_low { (from, to) } else { (to, from) };
        let [one, other] = [low.0, high.0].map(|address| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        });
        let addresses = [(one >> 64) as u64, one as u64, (other >> 64) as u64, other as u64];
        let (lane, interface) = (vantage.lane, vantage.interface);
        (Self { addresses, ports: [low.1, high.1], lane, is_v6: true, interface }, is_low)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let [low, high] = self.ports;
        let place = self.interface ^ u32::from(self.lane) << 16;
        let ports = u64::from(low) << 48 | u64::from(high) << 32 | u64::from(place);
        let both = |one: u64, other: u64| u128::from(one) << 64 | u128::from(other);
        let [first, second, third, fourth] = self.addresses;
        to.write_u128(both(ports, first));
        if self.is_v6 {
            to.write_u128(both(second, third));
            to.write_u64(fourth);
        }
    }
}
