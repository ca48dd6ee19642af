//! A network device of this machine, as its kernel tells it; which of them are captured is decided by it.

use crate::event::LinkKind;
use crate::value::{Mac, Outside};

/// A network device of this machine, as the kernel told it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The kernel's number for it; a device that is deleted and made again has another.
    pub index: u32,
    /// Its name; not unique over time, and not always UTF-8 to the kernel.
    pub name: Outside,
    /// What it is.
    pub kind: LinkKind,
    /// How its frames begin, as `ARPHRD_…` of linux/if_arp.h counts it: 1 is Ethernet.
    pub hardware: u16,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether there is a carrier, where the driver tells.
    pub has_carrier: Option<bool>,
    /// The most bytes of a layer-3 packet that it takes.
    pub mtu: Option<u32>,
    /// Its address, where it has one of 48 bits.
    pub mac: Option<Mac>,
    /// The number of the bond, bridge or datapath it belongs to.
    pub master: Option<u32>,
    /// The number of the device that carries it: of a VLAN device and its like, not the other end of a veth pair.
    pub lower: Option<u32>,
    /// Whether what carries it lies in another network namespace, so that nothing more is known of it.
    pub is_lower_elsewhere: bool,
    /// For a VLAN device, its VLAN identifier.
    pub vid: Option<u16>,
    /// For a VLAN device, the type of its tags.
    pub tpid: Option<u16>,
    /// For a bridge, whether it takes part in spanning tree.
    pub stp: Option<bool>,
    /// For a bridge, whether it tells VLANs apart.
    pub vlan_filtering: Option<bool>,
    /// For a bridge, for how many seconds it remembers an address that is silent.
    pub ageing_s: Option<u32>,
    /// For a bond, its mode.
    pub mode: Option<u8>,
    /// For a bond, the number of the member that carries its traffic.
    pub active: Option<u32>,
    /// What an operator wrote on it.
    pub alias: Option<Outside>,
    /// The name that the kernel has for what it is: `vlan`, `bond`, …; empty for a network card.
    pub driver: Outside,
    /// For a port of a Linux bridge, its spanning tree state.
    pub(super) port_state: Option<u8>,
}
