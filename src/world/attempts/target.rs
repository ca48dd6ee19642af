//! What attempts are made at: networks of the size in which addresses are given out, and what was learned of one server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::value::{Few, Timestamp};

/// Ports of a server that are remembered.
const MOST_PORTS: usize = 16;
/// Clients without an answer that are remembered of a server.
const MOST_CLIENTS: usize = 16;

/// A network as large as addresses are mostly given out in: /24, or /64 of IPv6. In a word, since it is compared more often than shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    is_v6: bool,
    /// The first address of IPv4, or the upper half of that of IPv6.
    bits: u64,
}

impl Prefix {
    /// The network that `ip` lies in.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { is_v6: false, bits: (ip.to_bits() & !0xff) as u64 },
            IpAddr::V6(ip) => Self { is_v6: true, bits: (ip.to_bits() >> 64) as u64 },
        }
    }

    /// It as a word; what family it is of is known where two are told apart by this.
    pub(super) const fn bits(self) -> u64 {
        self.bits
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v6 {
            write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(self.bits) << 64))
        } else {
            write!(f, "{}/24", Ipv4Addr::from_bits(self.bits as u32))
        }
    }
}

/// What is known of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    /// When it answered anybody last: with a connection, a refusal, or an echo.
    pub alive: Option<Timestamp>,
    /// The time to live with which its answers arrive, refusals left out.
    pub ttl: Option<u8>,
    /// Ports on which it accepted a connection.
    pub open: Few<u16>,
    /// Ports on which it refused one since.
    pub refusing: Vec<u16>,
    /// Clients that it owes an answer.
    pub failing: Vec<IpAddr>,
}

impl Server {
    /// It accepted a connection; whether it had refused one at this port before.
    pub fn accepts(&mut self, port: u16, at: Timestamp, ttl: u8) -> bool {
        (self.alive, self.ttl) = (Some(at), Some(ttl));
        if !self.open.contains(&port) && self.open.len() < MOST_PORTS {
            self.open.push(port);
        }
        let known = self.refusing.iter().position(|refusing| *refusing == port);
        known.map(|at| self.refusing.swap_remove(at)).is_some()
    }

    pub fn refuses(&mut self, port: u16) {
        if !self.refusing.contains(&port) && self.refusing.len() < MOST_PORTS {
            self.refusing.push(port);
        }
    }

    pub fn fails(&mut self, client: IpAddr) {
        if !self.failing.contains(&client) && self.failing.len() < MOST_CLIENTS {
            self.failing.push(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_named_by_its_first_address() {
        let prefix = |text: &str| Prefix::of(text.parse().unwrap()).to_string();
        assert_eq!(prefix("10.200.20.17"), "10.200.20.0/24");
        assert_eq!(prefix("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    }
}
