//! Whole spanning trees: roots that change, split, age and fall silent, topologies that change too often; and trees as they should be.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::stp::{Bridge, Hello, tcn};
use super::super::{BRIDGE, GUEST, Link, NODE, Pcapng, SECOND, SECOND_IP, SERVER, SERVER_IP, SWITCH, Shot, at, frame};
use super::guard::{by_time, stream};
use super::{Case, case};

/// The root of every story, until something happens to it.
const ROOT: Bridge = Bridge { priority: 0x8000, mac: BRIDGE };
/// A second switch, which hears the first or does not.
const SECOND_SWITCH: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x51]);
const SECOND_BRIDGE: Bridge = Bridge { priority: 0x8000, mac: Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x50]) };
/// An older switch: an address below that of the root.
const OLDER_SWITCH: Mac = Mac([0x00, 0x0b, 0xfd, 0x00, 0x00, 0x01]);
const OLDER_BRIDGE: Bridge = Bridge { priority: 0x8000, mac: Mac([0x00, 0x0b, 0xfd, 0x00, 0x00, 0x00]) };
const GUEST_ROOT: Bridge = Bridge { priority: 0x1000, mac: GUEST };

pub fn cases() -> Vec<Case> {
    vec![
        case("stp/root-taken-over-by-a-guest", "node.pcapng", taken_by_guest()),
        case("stp/root-claimed-by-a-new-switch", "bond0.pcapng", taken_by_switch(false)),
        case("stp/root-taken-over-by-a-new-switch", "bond0.pcapng", taken_by_switch(true)),
        case("stp/two-roots-in-one-network", "bond0.pcapng", bond(two_roots(0, 40))),
        case("stp/two-roots-and-a-loop", "bond0.pcapng", bond([two_roots(0, 40), multiplied(60, 12)].concat())),
        case("stp/topology-changes-each-minute", "bond0.pcapng", bond(changes(7, 85))),
        case("stp/topology-changes-each-ten-seconds", "bond0.pcapng", bond(changes(12, 10))),
        case(
            "stp/root-not-heard-any-more",
            "bond0.pcapng",
            bond([hellos(0, 10, Hello::of(ROOT)), stream(0.0, 60.0)].concat()),
        ),
        case("stp/bpdus-too-old", "bond0.pcapng", bond(hellos(0, 12, Hello { age: 20, cost: 80, ..Hello::of(ROOT) }))),
        case("healthy/root-priority-changed-by-its-operator", "bond0.pcapng", bond(priority_changed())),
        case("healthy/tree-settles-in-six-seconds", "bond0.pcapng", bond(settles())),
        case("healthy/one-topology-change", "bond0.pcapng", bond(one_change())),
        case("healthy/trunk-with-all-a-switch-says", "eth2.pcapng", trunk()),
    ]
}

fn bond(shots: Vec<Shot>) -> Vec<u8> {
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

fn from_switch() -> Link {
    frame().from(SWITCH)
}

/// Every two seconds from number `first` on, `count` times.
fn hellos(first: u32, count: u32, hello: Hello) -> Vec<Shot> {
    said(SWITCH, first, count, hello)
}

fn said(by: Mac, first: u32, count: u32, hello: Hello) -> Vec<Shot> {
    let say = |i: u32| at(2.0 * f64::from(i) + 0.1, frame().from(by).bpdu(&hello.bytes())).inward();
    (first..first.saturating_add(count)).map(say).collect()
}

/// The guest names itself at 21 s; from 22 s on the switch names it too.
fn taken_by_guest() -> Vec<u8> {
    let mut shots: Vec<Shot> = hellos(0, 11, Hello::of(ROOT)).into_iter().map(|s| s.on(1)).collect();
    for i in 0..5 {
        let seen = at(21.0 + 2.0 * f64::from(i), frame().from(GUEST).bpdu(&Hello::of(GUEST_ROOT).bytes()));
        shots.extend([seen.clone().inward().on(0), seen.later(20).outward().on(1)]);
    }
    let led = Hello { root: GUEST_ROOT, cost: 4, age: 1, ..Hello::of(ROOT) };
    shots.extend(hellos(11, 5, led).into_iter().map(|s| s.on(1)));
    // What a server streams comes in at the bond and is flooded to the tap: one network.
    shots.extend(stream(0.0, 32.0).into_iter().flat_map(|s| [s.clone().on(1), s.later(20).outward().on(0)]));
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames(by_time(shots)).bytes()
}

/// A switch with an older address speaks from 21 s on; the first does or does not take it for its root.
fn taken_by_switch(is_believed: bool) -> Vec<u8> {
    let after =
        if is_believed { Hello { root: OLDER_BRIDGE, cost: 4, age: 1, ..Hello::of(ROOT) } } else { Hello::of(ROOT) };
    bond(
        [hellos(0, 11, Hello::of(ROOT)), hellos(11, 5, after), said(OLDER_SWITCH, 10, 6, Hello::of(OLDER_BRIDGE))]
            .concat(),
    )
}

/// Two switches on one segment, each its own root.
fn two_roots(first: u32, count: u32) -> Vec<Shot> {
    let second: Vec<Shot> =
        said(SECOND_SWITCH, first, count, Hello::of(SECOND_BRIDGE)).into_iter().map(|s| s.later(500_000)).collect();
    [hellos(first, count, Hello::of(ROOT)), second].concat()
}

/// Two hosts in turn ask who has an address; each question comes three times, a millisecond apart.
fn multiplied(from: u32, questions: u32) -> Vec<Shot> {
    let ask = |i: u32| {
        let (mac, own) = if i.is_multiple_of(2) { (SERVER, SERVER_IP) } else { (SECOND, SECOND_IP) };
        let wanted = Ipv4Addr::new(10, 20, 0, 100 + i as u8);
        let asked = at(f64::from(from + i) + 0.4, frame().from(mac).arp_request(own, wanted));
        (0..3).map(move |n| asked.clone().later(n * 1_000).inward())
    };
    (0..questions).flat_map(ask).collect()
}

/// The second switch tells the first of a change, again and again.
fn changes(count: u32, each: u32) -> Vec<Shot> {
    let tell = |i: u32| at(f64::from(i * each) + 1.0, frame().from(SECOND_SWITCH).bpdu(&tcn())).inward();
    [hellos(0, count * each / 2 + 5, Hello::of(ROOT)), (0..count).map(tell).collect()].concat()
}

fn priority_changed() -> Vec<Shot> {
    let better = Bridge { priority: 0x1000, ..ROOT };
    [hellos(0, 10, Hello::of(ROOT)), hellos(10, 10, Hello::of(better))].concat()
}

/// For six seconds the second switch takes itself for the root; then it has heard of the first.
fn settles() -> Vec<Shot> {
    let led = Hello { root: ROOT, cost: 4, age: 1, ..Hello::of(SECOND_BRIDGE) };
    [
        hellos(0, 40, Hello::of(ROOT)),
        said(SECOND_SWITCH, 0, 3, Hello::of(SECOND_BRIDGE)),
        said(SECOND_SWITCH, 3, 37, led),
    ]
    .concat()
}

/// A host restarts once: the flag is set for 35 s, as the old protocol has it.
fn one_change() -> Vec<Shot> {
    let changed = Hello { flags: 1, ..Hello::of(ROOT) };
    [hellos(0, 10, Hello::of(ROOT)), hellos(10, 18, changed), hellos(28, 10, Hello::of(ROOT))].concat()
}

/// A trunk to a bond's member: RSTP, PVST+ of twelve VLANs, LLDP, CDP, LACP both ways, GVRP, and pause frames; and what a server streams.
fn trunk() -> Vec<u8> {
    let rapid = Hello { version: 2, flags: 0x3c, ..Hello::of(ROOT) };
    let mut shots = [hellos(0, 30, rapid), stream(0.0, 60.0)].concat();
    for i in 0..30 {
        for (n, vlan) in (1..=12_u16).map(|n| (n, n * 10)) {
            let root = Bridge { priority: 0x8000 + vlan, ..ROOT };
            let hello = Hello { root, bridge: root, ..rapid };
            let t = 2.0 * f64::from(i) + 0.2 + f64::from(n) / 1_000.0;
            shots.push(at(t, from_switch().tag(vlan).pvst_bpdu(&hello.pvst(vlan))).inward());
        }
        let native = Bridge { priority: 0x8001, ..ROOT };
        let hello = Hello { root: native, bridge: native, ..rapid };
        shots.push(at(2.0 * f64::from(i) + 0.2, from_switch().pvst_bpdu(&hello.pvst(1))).inward());
    }
    for i in 0..60 {
        let t = f64::from(i) + 0.3;
        shots.push(at(t, from_switch().lacp(NODE)).inward());
        shots.push(at(t + 0.01, frame().from(NODE).lacp(SWITCH)).outward());
    }
    for i in 0..2 {
        let t = 30.0 * f64::from(i) + 0.4;
        shots.push(at(t, from_switch().lldp(Mac([0x01, 0x80, 0xc2, 0, 0, 0x0e]))).inward());
        shots.push(at(t + 0.1, from_switch().cdp("sw-1", "Ethernet35")).inward());
        shots.push(at(t + 0.2, from_switch().gvrp()).inward());
        shots.push(at(t + 0.3, from_switch().to(Mac([0x01, 0x80, 0xc2, 0, 0, 1])).pause(100)).inward());
    }
    Pcapng::with_interfaces(&["eth2"]).frames(by_time(shots)).bytes()
}
