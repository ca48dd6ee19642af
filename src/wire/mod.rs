//! Bytes become typed layers: never panics, never allocates, never fails as a whole. The walk is the one dispatch table; protocols do not know each other.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod arp;
mod cdp;
mod dhcp;
mod ethernet;
mod fragment;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod kind;
mod lacp;
mod layer;
mod layers;
mod link;
mod llc;
mod lldp;
mod next;
mod plain;
mod quoted;
mod sll;
mod stop;
mod stp;
pub mod stream;
mod summary;
mod tcp;
mod tunnel;
mod udp;
mod unopened;
mod vlan;
mod walk;
mod window;
mod wrapped;

pub use arp::Arp;
pub use cdp::Cdp;
pub use dhcp::{Area, Dhcp, DhcpKind, DhcpOption, OptionValue, Options};
pub use ethernet::Ethernet;
pub use fragment::Fragment;
pub use icmp::{Icmp, Icmpv6, Prefix};
pub use ip::Ip;
pub use ipv4::Ipv4;
pub use ipv6::{Ipv6, Ipv6Extension};
pub use kind::{Kind, Kinds, LOW_TTL};
pub use lacp::{Lacp, LacpEnd};
pub use layer::Layer;
pub use layers::{Layers, MOST_LAYERS};
pub use link::LinkType;
pub use llc::{Llc, Snap};
pub use lldp::{Lldp, LldpTlv};
pub use plain::{Heading, Plain};
pub use quoted::Quoted;
pub use sll::{Null, Sll, Sll2};
pub use stop::{Stop, Why};
pub use stp::{BpduKind, BridgeId, Msti, Stp, StpFamily};
pub use tcp::Tcp;
pub use tunnel::{Geneve, Gre, Overlay, Vxlan};
pub use udp::Udp;
pub use unopened::Unopened;
pub use vlan::Vlan;
pub use wrapped::{Within, Wrapped};

/// Decodes a frame that began as `link` says and had `wire_len` bytes on the wire, of which `bytes` were captured.
#[inline]
pub fn decode(link: LinkType, bytes: &[u8], wire_len: u32) -> Layers<'_> {
    let mut layers = Layers::new();
    layers.read(link, bytes, wire_len);
    layers
}

#[cfg(test)]
mod tests;
