//! What attempts are made at: networks of the size in which addresses are given out, and what was learned of one server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::value::{Few, Timestamp};

/// Ports of a server that are remembered.
const MOST_PORTS: usize = 16;
/// Clients without an answer that are remembered of a server.
const MOST_CLIENTS: usize = 16;

/// A network as large as addresses are mostly given out in: /24, or /64 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix(IpAddr);

impl Prefix {
    /// The network that `ip` lies in.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & !0xff))),
            IpAddr::V6(ip) => Self(IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64)))),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 64 })
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
