//! Frames from words, and captures from frames: what every forged case in `captures/` is made of. No clock, no chance: the same code gives the same bytes.
//! Not a model of a network: a story is told frame by frame, and what it means is written by hand in the case's `findings.toml`.

#![allow(dead_code, reason = "a vocabulary: each test that speaks it uses some of the words")]

use std::net::Ipv4Addr;

use netdiag::value::Mac;

pub mod cases;
pub mod dhcp;
pub mod frame;
pub mod pcap;
pub mod stp;
pub mod tcp;

pub use cases::{Case, cases};
pub use frame::{Link, frame};
pub use pcap::{Pcapng, Shot, at, pcap, pcap_cut};

/// The moment zero of every forged case, 2026-11-02T10:00:00Z, in nanoseconds since 1970.
pub const EPOCH: i64 = 1_793_613_600_000_000_000;

/// The guest that most stories are about; OpenStack's prefix.
pub const GUEST: Mac = Mac([0xfa, 0x16, 0x3e, 0x12, 0x34, 0x56]);
/// Another guest on the same node.
pub const NEIGHBOUR: Mac = Mac([0xfa, 0x16, 0x3e, 0x22, 0x00, 0x02]);
/// The controller: gateway and DHCP server of the tenant network.
pub const SERVER: Mac = Mac([0x0c, 0xc4, 0x7a, 0x20, 0x00, 0x01]);
/// A second DHCP server of the same network.
pub const SECOND: Mac = Mac([0x0c, 0xc4, 0x7a, 0x20, 0x00, 0x02]);
/// The compute node itself: the address of bond0.
pub const NODE: Mac = Mac([0x0c, 0xc4, 0x7a, 0x10, 0x00, 0x01]);
/// The switch port that the node hangs on; a prefix of a switch maker.
pub const SWITCH: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x01]);
/// The switch as a bridge: its identifier need not be its port's address.
pub const BRIDGE: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x00]);

/// The guest's address.
pub const GUEST_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 15);
/// The neighbour's address.
pub const NEIGHBOUR_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 16);
/// The server's address.
pub const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);
/// The second server's address.
pub const SECOND_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 3);
