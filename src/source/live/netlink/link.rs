//! Links as the kernel tells them (rtnetlink(7), linux/if_link.h): what a device is, what carries it, what it belongs to, whether it is up.
//! Not read: statistics, queues, virtual functions, and what only Open vSwitch knows.

use super::message::{Attribute, attributes, u16_at, u32_at};
use crate::event::LinkKind;
use crate::source::live::Device;
use crate::value::{Mac, Outside};

/// Bytes of `struct ifinfomsg`.
const FIXED: usize = 16;
/// `AF_BRIDGE`: not news of a device but of its place in a bridge.
pub(super) const BRIDGE_FAMILY: u8 = 7;
/// `IFF_UP`.
const UP: u32 = 1;
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// The type of 802.1ad tags.
const S_TAG: u16 = 0x88a8;

// Attributes of a link (linux/if_link.h).
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const LOWER: u16 = 5;
const MASTER: u16 = 10;
const WIRELESS: u16 = 11;
const PORT: u16 = 12;
const KIND: u16 = 18;
const ALIAS: u16 = 20;
const CARRIER: u16 = 33;
const LOWER_ELSEWHERE: u16 = 37;

/// A port of a bridge, as the bridge tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Port {
    /// The number of the port's device.
    pub device: u32,
    /// The number of the bridge.
    pub bridge: u32,
    /// Spanning tree state.
    pub state: u8,
}

/// The family of a link message, and the number of its device.
pub(super) fn head(body: &[u8]) -> Option<(u8, u32)> {
    Some((*body.first()?, u32_at(body, 4)?))
}

/// The device that the body of an `RTM_NEWLINK` tells; `None` where it tells something else, such as news of a radio.
pub(super) fn device(body: &[u8]) -> Option<Device> {
    let (_, index) = head(body)?;
    let (hardware, flags) = (u16_at(body, 2)?, u32_at(body, 8)?);
    let mut device = Device {
        index,
        name: Outside::default(),
        kind: LinkKind::Other,
        hardware,
        is_up: flags & UP != 0,
        has_carrier: None,
        mtu: None,
        mac: None,
        master: None,
        lower: None,
        is_lower_elsewhere: false,
        vid: None,
        tpid: None,
        stp: None,
        vlan_filtering: None,
        ageing_s: None,
        mode: None,
        active: None,
        alias: None,
        driver: Outside::default(),
        port_state: None,
    };
    let mut type_of_tun = None;
    for attribute in attributes(body.get(FIXED..)?) {
        match attribute.kind {
            // News of a radio has a name and nothing else of a device.
            WIRELESS => return None,
            ADDRESS => device.mac = attribute.array().map(Mac).filter(|mac| *mac != Mac::ZERO),
            NAME => device.name = attribute.text(),
            MTU => device.mtu = attribute.u32(),
            LOWER => device.lower = attribute.u32().filter(|lower| *lower != 0),
            MASTER => device.master = attribute.u32().filter(|master| *master != 0),
            ALIAS => device.alias = Some(attribute.text()).filter(|alias| !alias.is_empty()),
            CARRIER => device.has_carrier = attribute.u8().map(|carrier| carrier != 0),
            LOWER_ELSEWHERE => device.is_lower_elsewhere = true,
            KIND => type_of_tun = device.describe(attribute),
            _ => {}
        }
    }
    device.kind = kind(device.driver.raw(), hardware, type_of_tun);
    // The kernel uses one attribute for what carries a device and for the other end of a pair.
    if device.kind == LinkKind::Veth {
        (device.lower, device.is_lower_elsewhere) = (None, false);
    }
    if device.is_lower_elsewhere {
        // A number of another namespace means another device here.
        device.lower = None;
    }
    (!device.name.is_empty()).then_some(device)
}

/// The port that the body of an `RTM_NEWLINK` of the bridge's family tells.
pub(super) fn port(body: &[u8]) -> Option<Port> {
    let (_, device) = head(body)?;
    let (mut bridge, mut state) = (None, None);
    for attribute in attributes(body.get(FIXED..)?) {
        match attribute.kind {
            MASTER => bridge = attribute.u32(),
            PORT => state = attribute.nested().find(|a| a.kind == PORT_STATE).and_then(|a| a.u8()),
            _ => {}
        }
    }
    Some(Port { device, bridge: bridge?, state: state? })
}

// Inside KIND: what it is, what is special about it, of what kind its master is, and what that says of it.
const DRIVER: u16 = 1;
const SPECIAL: u16 = 2;
const MEMBER_KIND: u16 = 4;
const MEMBER: u16 = 5;
const VLAN_ID: u16 = 1;
const VLAN_PROTOCOL: u16 = 5;
const BOND_MODE: u16 = 1;
const BOND_ACTIVE: u16 = 2;
const BRIDGE_AGEING: u16 = 4;
const BRIDGE_STP: u16 = 5;
const BRIDGE_VLAN_FILTERING: u16 = 7;
const TUN_TYPE: u16 = 3;
const PORT_STATE: u16 = 1;

impl Device {
    /// Takes in what is special about its kind; comes back with the type of a tun device.
    fn describe(&mut self, about: Attribute<'_>) -> Option<u8> {
        let part = |kind| about.nested().find(|a| a.kind == kind);
        self.driver = part(DRIVER).map(|a| a.text()).unwrap_or_default();
        let special = |kind| part(SPECIAL)?.nested().find(|a| a.kind == kind);
        match self.driver.raw() {
            "vlan" => {
                self.vid = special(VLAN_ID).and_then(|a| a.u16());
                self.tpid = special(VLAN_PROTOCOL).and_then(|a| a.u16_of_network());
            }
            "bond" => {
                self.mode = special(BOND_MODE).and_then(|a| a.u8());
                self.active = special(BOND_ACTIVE).and_then(|a| a.u32()).filter(|active| *active != 0);
            }
            "bridge" => {
                self.stp = special(BRIDGE_STP).and_then(|a| a.u32()).map(|stp| stp != 0);
                // In hundredths of a second; less than one second is no longer never.
                self.ageing_s = special(BRIDGE_AGEING).and_then(|a| a.u32()).map(|ageing| ageing.div_ceil(100));
                self.vlan_filtering = special(BRIDGE_VLAN_FILTERING).and_then(|a| a.u8()).map(|on| on != 0);
            }
            _ => {}
        }
        if part(MEMBER_KIND).is_some_and(|a| a.text().raw() == "bridge") {
            self.port_state = part(MEMBER)?.nested().find(|a| a.kind == PORT_STATE)?.u8();
        }
        special(TUN_TYPE).filter(|_| self.driver.raw() == "tun").and_then(|a| a.u8())
    }
}

/// What a device is, by the kernel's name for it. Before Linux 4.16 a tun device does not tell its type, but only a tap has frames of Ethernet.
fn kind(driver: &str, hardware: u16, type_of_tun: Option<u8>) -> LinkKind {
    match driver {
        "" if hardware == ETHERNET => LinkKind::Nic,
        "bond" | "team" => LinkKind::Bond,
        "vlan" => LinkKind::Vlan,
        "bridge" | "openvswitch" => LinkKind::Bridge,
        "veth" => LinkKind::Veth,
        // IFF_TAP is 2 (linux/if_tun.h).
        "tun" if type_of_tun.map_or(hardware == ETHERNET, |type_of| type_of == 2) => LinkKind::Tap,
        "tun" | "vxlan" | "geneve" | "gre" | "gretap" | "ip6gre" | "ip6gretap" | "erspan" | "ip6erspan" | "ipip"
        | "sit" | "ip6tnl" | "vti" | "vti6" | "wireguard" | "bareudp" => LinkKind::Tunnel,
        "macvtap" | "ipvtap" => LinkKind::Tap,
        _ => LinkKind::Other,
    }
}

/// The name of a bond's mode (linux/if_bonding.h).
pub(super) fn mode(mode: u8) -> Outside {
    let name = match mode {
        0 => "balance-rr",
        1 => "active-backup",
        2 => "balance-xor",
        3 => "broadcast",
        4 => "802.3ad",
        5 => "balance-tlb",
        6 => "balance-alb",
        other => return Outside::from(other.to_string().as_str()),
    };
    Outside::from(name)
}

/// The name of a port's spanning tree state (linux/if_bridge.h).
pub(super) fn state(state: u8) -> Outside {
    let name = match state {
        0 => "disabled",
        1 => "listening",
        2 => "learning",
        3 => "forwarding",
        4 => "blocking",
        other => return Outside::from(other.to_string().as_str()),
    };
    Outside::from(name)
}

/// The name of a VLAN device's tags.
pub(super) fn protocol(tpid: u16) -> Outside {
    Outside::from(if tpid == S_TAG { "802.1ad" } else { "802.1Q" })
}
