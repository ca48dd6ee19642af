//! By what attempts are known: in words that are quick to hash, which is done several times for each. It is done in line, where the hasher is
//! known to be empty, which spares about fifty instructions each time.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use super::target::Prefix;
use crate::world::DomainId;

/// One in a network: a client, or a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Party {
    pub domain: DomainId,
    pub ip: IpAddr,
}

/// A network, a client in it, and a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pair {
    pub domain: DomainId,
    pub client: IpAddr,
    pub server: IpAddr,
}

/// A network, a client in it, and the network that a server lies in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Reach {
    pub domain: DomainId,
    pub client: IpAddr,
    pub prefix: Prefix,
}

/// A pair, and the port of its server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Door {
    pub pair: Pair,
    pub port: u16,
}

impl Pair {
    /// The client.
    pub const fn client(&self) -> Party {
        Party { domain: self.domain, ip: self.client }
    }

    /// The server.
    pub const fn server(&self) -> Party {
        Party { domain: self.domain, ip: self.server }
    }

    /// The client, and the network that the server lies in.
    pub const fn reach(&self) -> Reach {
        Reach { domain: self.domain, client: self.client, prefix: Prefix::of(self.server) }
    }

    /// A port of the server.
    pub const fn door(self, port: u16) -> Door {
        Door { pair: self, port }
    }
}

impl Reach {
    /// The client.
    pub const fn client(&self) -> Party {
        Party { domain: self.domain, ip: self.client }
    }
}

impl Hash for Party {
    #[inline(always)]
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.domain.hash(to);
        match self.ip {
            IpAddr::V4(ip) => to.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => to.write_u128(ip.to_bits()),
        }
    }
}

impl Hash for Pair {
    #[inline(always)]
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.domain.hash(to);
        match (self.client, self.server) {
            // Of IPv4 one word for both.
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                to.write_u64(u64::from(one.to_bits()) << 32 | u64::from(other.to_bits()))
            }
            (one, other) => [one, other].into_iter().for_each(|ip| match ip {
                IpAddr::V4(ip) => to.write_u32(ip.to_bits()),
                IpAddr::V6(ip) => to.write_u128(ip.to_bits()),
            }),
        }
    }
}

impl Hash for Reach {
    #[inline(always)]
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.client().hash(to);
        to.write_u64(self.prefix.bits());
    }
}
