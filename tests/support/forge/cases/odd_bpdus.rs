//! BPDUs that should not be where they are: in the wrong VLAN, of the host itself, come back, of a region that is not one.

use netdiag::value::Mac;

use super::super::stp::{Bridge, Hello};
use super::super::{BRIDGE, GUEST, NODE, Pcapng, SWITCH, Shot, at, frame};
use super::guard::{by_time, stream};
use super::{Case, case};

const ROOT: Bridge = Bridge { priority: 0x8000, mac: BRIDGE };
const OTHER_SWITCH: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x51]);
const OTHER_BRIDGE: Bridge = Bridge { priority: 0x8000, mac: Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x50]) };

pub fn cases() -> Vec<Case> {
    vec![
        case("stp/pvst-of-vlan-1-in-vlan-20", "bond0.pcapng", bond(pvst(Some(20), 1))),
        case("stp/pvst-untagged-against-the-neighbours-word", "bond0.pcapng", bond([pvst(None, 1), lldp(20)].concat())),
        case("healthy/pvst-untagged-in-the-native-vlan", "bond0.pcapng", bond([pvst(None, 20), lldp(20)].concat())),
        case("stp/host-speaks-spanning-tree", "bond0.pcapng", bond(of_host())),
        case("stp/host-bridge-with-spanning-tree-on", "bond0.pcapng", bond(stream(0.0, 10.0))),
        case("healthy/bridge-without-a-way-out-speaks", "virbr0.pcapng", in_virbr0()),
        case("stp/guest-bpdu-comes-back", "bond0.pcapng", bond(comes_back())),
        case("stp/guest-bpdu-flooded-to-the-standby-member", "node.pcapng", standby()),
        case("stp/one-region-two-tables", "bond0.pcapng", bond(regions("dc1", "dc1"))),
        case("healthy/two-regions", "bond0.pcapng", bond(regions("dc1", "dc2"))),
    ]
}

fn bond(shots: Vec<Shot>) -> Vec<u8> {
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// BPDUs of `vlan` in a tag, or without one, every two seconds.
fn pvst(tag: Option<u16>, vlan: u16) -> Vec<Shot> {
    let bridge = Bridge { priority: 0x8000 + vlan, ..ROOT };
    let link = tag.into_iter().fold(frame().from(SWITCH), |link, tag| link.tag(tag));
    (0..10).map(|i| at(2.0 * f64::from(i), link.clone().pvst_bpdu(&Hello::of(bridge).pvst(vlan))).inward()).collect()
}

/// The switch says which VLAN untagged frames are.
fn lldp(vlan: u16) -> Vec<Shot> {
    vec![at(0.5, frame().from(SWITCH).lldp_with_vlan("sw-1", "Ethernet35", vlan)).inward()]
}

/// The node's bridge speaks on bond0, with the bond's address.
fn of_host() -> Vec<Shot> {
    let bridge = Bridge { priority: 0x8000, mac: NODE };
    let say = |i: u32| at(2.0 * f64::from(i) + 0.1, frame().from(NODE).bpdu(&Hello::of(bridge).bytes())).outward();
    [stream(0.0, 12.0), (0..6).map(say).collect()].concat()
}

/// libvirt's bridge speaks to its guests: nobody else hears it.
fn in_virbr0() -> Vec<u8> {
    let own = Mac([0x52, 0x54, 0x00, 0x10, 0x00, 0x01]);
    let bridge = Bridge { priority: 0x8000, mac: own };
    let say = |i: u32| at(2.0 * f64::from(i), frame().from(own).bpdu(&Hello::of(bridge).bytes())).outward();
    Pcapng::with_interfaces(&["virbr0"]).frames((0..6).map(say).collect()).bytes()
}

fn of_guest(t: f64) -> Shot {
    at(t, frame().from(GUEST).bpdu(&Hello::of(Bridge { priority: 0x8000, mac: GUEST }).bytes()))
}

/// What leaves through one member the switch floods to the other: it arrives 120 µs later.
fn comes_back() -> Vec<Shot> {
    let pair = |i: u32| {
        let sent = of_guest(2.0 * f64::from(i) + 0.1);
        [sent.clone().outward(), sent.later(120).inward()]
    };
    [stream(0.0, 12.0), (0..5).flat_map(pair).collect()].concat()
}

/// Active-backup, and a guest that speaks: the switch's flood reaches the standby member, and the bond throws it away.
fn standby() -> Vec<u8> {
    let pair = |i: u32| {
        let sent = of_guest(2.0 * f64::from(i) + 0.1);
        [sent.clone().outward().on(0), sent.later(120).inward().on(1)]
    };
    Pcapng::with_interfaces(&["eth2", "eth3"]).frames((0..5).flat_map(pair).collect()).bytes()
}

/// Two bridges name a region each; the tables of the second differ from the default one.
fn regions(first: &str, second: &str) -> Vec<Shot> {
    let mut other = OTHER_BRIDGE.mst(second);
    other[73] ^= 0xff;
    let both = |i: u32| {
        let t = 2.0 * f64::from(i) + 0.1;
        let mut led = other.clone();
        // It has heard of the root: the same root for both, or the tree would be split.
        led[5..13].copy_from_slice(&ROOT.mst(first)[5..13]);
        [
            at(t, frame().from(SWITCH).bpdu(&ROOT.mst(first))).inward(),
            at(t + 0.5, frame().from(OTHER_SWITCH).bpdu(&led)).inward(),
        ]
    };
    (0..10).flat_map(both).collect()
}
