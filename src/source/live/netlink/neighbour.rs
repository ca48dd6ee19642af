//! Addresses of devices, and what bridges have learned, as the kernel tells them (rtnetlink(7), linux/neighbour.h, linux/if_addr.h).
//! Not read: ARP and neighbour discovery, and where a tunnel's far ends live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::link::BRIDGE_FAMILY;
use super::message::{attributes, u16_at, u32_at};
use crate::value::Mac;

/// Bytes of `struct ndmsg`.
const FIXED: usize = 12;
/// Bytes of `struct ifaddrmsg`.
const FIXED_ADDRESS: usize = 8;
/// `NUD_PERMANENT`: an address of the port itself.
const PERMANENT: u16 = 0x80;
/// `AF_INET`, `AF_INET6`.
const INET: u8 = 2;
const INET6: u8 = 10;

// Attributes of a neighbour (linux/neighbour.h) and of an address (linux/if_addr.h).
const LINK_ADDRESS: u16 = 2;
const VLAN: u16 = 5;
const BRIDGE: u16 = 9;
const FAR: u16 = 1;
const LOCAL: u16 = 2;

/// What a bridge knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the bridge.
    pub bridge: u32,
    /// The number of the port behind which the address lives.
    pub port: u32,
    /// The VLAN, where the bridge tells them apart.
    pub vlan: Option<u16>,
    /// The address.
    pub mac: Mac,
    /// Whether it is an address of the port itself: nobody lives behind it.
    pub is_own: bool,
}

/// The entry that the body of an `RTM_NEWNEIGH` or `RTM_DELNEIGH` tells; `None` where it is not one of a bridge about a station.
pub(super) fn entry(body: &[u8]) -> Option<Entry> {
    if *body.first()? != BRIDGE_FAMILY {
        return None;
    }
    let (port, state) = (u32_at(body, 4)?, u16_at(body, 8)?);
    let (mut bridge, mut vlan, mut mac) = (None, None, None);
    for attribute in attributes(body.get(FIXED..)?) {
        match attribute.kind {
            LINK_ADDRESS => mac = attribute.array().map(Mac),
            VLAN => vlan = attribute.u16().filter(|vlan| *vlan != 0),
            BRIDGE => bridge = attribute.u32(),
            _ => {}
        }
    }
    let mac = mac.filter(|mac| mac.is_station())?;
    // A card's own list of addresses comes in the same answer, without a bridge.
    Some(Entry { bridge: bridge?, port, vlan, mac, is_own: state & PERMANENT != 0 })
}

/// The number of a device and an address of it, from the body of an `RTM_NEWADDR` or `RTM_DELADDR`.
pub(super) fn address(body: &[u8]) -> Option<(u32, IpAddr)> {
    let (family, device) = (*body.first()?, u32_at(body, 4)?);
    let (mut far, mut local) = (None, None);
    for attribute in attributes(body.get(FIXED_ADDRESS..)?) {
        let address = match family {
            INET => attribute.array::<4>().map(|a| IpAddr::V4(Ipv4Addr::from(a))),
            INET6 => attribute.array::<16>().map(|a| IpAddr::V6(Ipv6Addr::from(a))),
            _ => return None,
        };
        match attribute.kind {
            FAR => far = address,
            LOCAL => local = address,
            _ => {}
        }
    }
    // On a link between two the first is the other's address.
    Some((device, local.or(far)?))
}
