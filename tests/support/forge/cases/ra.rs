//! IPv6 routers: a guest that says it is one, and those that are.

use std::net::{Ipv4Addr, Ipv6Addr};

use netdiag::value::Mac;

use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, Pcapng, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::dhcp::{in_order, others};
use super::{Case, case};

const INTERFACES: &[&str] = &["tap3f2a91c0-5d", "bond0"];
const TAP: u32 = 0;
const BOND: u32 = 1;
/// The instance's card has a global prefix of its own behind it, and the network's is another.
const OWN: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0x99, 0, 0, 0, 0);
const MEANT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0x20, 0, 0, 0, 0);
/// Ports of routers have guests' prefixes.
const ROUTERS: [Mac; 2] = [Mac([0xfa, 0x16, 0x3e, 0xaa, 0, 1]), Mac([0xfa, 0x16, 0x3e, 0xaa, 0, 2])];
/// How long its neighbours are to believe it: radvd's own choice.
const LIFETIME: u16 = 1_800;

pub fn cases() -> Vec<Case> {
    let leaves = |lifetime| node(in_order(vec![both(lifetime, 5), talk()]));
    let on_the_bond = |lifetime| pcap(in_order(vec![others(4.0), advertised(GUEST, lifetime, OWN, 5)]));
    vec![
        case("ra/guest-advertises", "node.pcapng", node(in_order(vec![both(LIFETIME, 5), meant(BOND), talk()]))),
        case("ra/guest-is-the-only-router", "node.pcapng", leaves(LIFETIME)),
        case("ra/guest-hands-out-addresses", "node.pcapng", leaves(0)),
        case("ra/guest-advertises-and-is-held", "node.pcapng", node(in_order(vec![at_the_tap(LIFETIME, 5), talk()]))),
        case(
            "ra/guest-advertises-heard-at-its-tap",
            "tap3f2a91c0-5d.pcapng",
            tap(in_order(vec![at_the_tap(LIFETIME, 5), meant(TAP)])),
        ),
        case("ra/guest-advertises-heard-on-the-bond", "bond0.pcap", pcap(clients(LIFETIME))),
        case("ra/guest-hands-out-addresses-heard-on-the-bond", "bond0.pcap", pcap(clients(0))),
        case(
            "ra/guest-advertised-until-it-was-stopped",
            "node.pcapng",
            node(in_order(vec![both(LIFETIME, 5), meant(BOND), late()])),
        ),
        case("healthy/a-tenants-own-router", "node.pcapng", node(in_order(vec![overlaid(), talk()]))),
        case("healthy/routers-advertise", "node.pcapng", node(in_order(vec![routers(), talk()]))),
        case("healthy/somebody-with-a-guests-prefix-advertises", "bond0.pcap", on_the_bond(LIFETIME)),
    ]
}

fn node(shots: Vec<Shot>) -> Vec<u8> {
    Pcapng::with_interfaces(INTERFACES).frames(shots).bytes()
}

fn tap(shots: Vec<Shot>) -> Vec<u8> {
    Pcapng::with_interfaces(&INTERFACES[..1]).frames(shots).bytes()
}

fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}

/// So many advertisements to all nodes, eight seconds apart.
fn advertised(mac: Mac, lifetime: u16, prefix: Ipv6Addr, times: u8) -> Vec<Shot> {
    let all = Mac([0x33, 0x33, 0, 0, 0, 1]);
    let body = frame().from(mac).to(all).prefix_advertisement(link_local(mac), lifetime, prefix);
    (0..times).map(|i| at(5.0 + 8.0 * f64::from(i), body.clone())).collect()
}

/// The guest's, as they come in at its tap.
fn at_the_tap(lifetime: u16, times: u8) -> Vec<Shot> {
    advertised(GUEST, lifetime, OWN, times).into_iter().map(|shot| shot.inward().on(TAP)).collect()
}

/// The same, and 20 µs later on the uplink.
fn both(lifetime: u16, times: u8) -> Vec<Shot> {
    let twice = |shot: Shot| [shot.clone().inward().on(TAP), shot.later(20).outward().on(BOND)];
    advertised(GUEST, lifetime, OWN, times).into_iter().flat_map(twice).collect()
}

/// The network's own router, which lives elsewhere: what it says comes in by the bond, and goes to the guest at its tap.
fn meant(interface: u32) -> Vec<Shot> {
    let shots = advertised(ROUTERS[1], LIFETIME, MEANT, 5).into_iter().map(|shot| shot.later(700_000).on(interface));
    shots.map(|shot| if interface == TAP { shot.outward() } else { shot.inward() }).collect()
}

/// A tenant's instance is the router of the tenant's network, which travels in VXLAN.
fn overlaid() -> Vec<Shot> {
    let [here, there] = [Ipv4Addr::new(172, 16, 0, 1), Ipv4Addr::new(172, 16, 0, 2)];
    let wrap = |bytes: &[u8]| frame().from(NODE).to(SERVER).ipv4(here, there).udp(40_000, 4_789).vxlan(7, bytes);
    let leaves =
        advertised(GUEST, LIFETIME, OWN, 5).into_iter().map(|shot| shot.later(20).inside(wrap).outward().on(BOND));
    leaves.collect()
}

/// The node's own network goes on: a neighbour and a server find each other.
fn talk() -> Vec<Shot> {
    let asks = |t: f64| {
        let question = frame().from(NEIGHBOUR).arp_request(NEIGHBOUR_IP, SERVER_IP);
        let answer = frame().from(SERVER).to(NEIGHBOUR).arp_reply(SERVER_IP, NEIGHBOUR_IP);
        [at(t, question).outward().on(BOND), at(t + 0.0004, answer).inward().on(BOND)]
    };
    [2.0, 30.0, 60.0].into_iter().flat_map(asks).collect()
}

/// Half an hour and more after the last of five advertisements.
fn late() -> Vec<Shot> {
    let asks = |t: f64| at(t, frame().from(NEIGHBOUR).arp_request(NEIGHBOUR_IP, SERVER_IP)).outward().on(BOND);
    let answers =
        |t: f64| at(t, frame().from(SERVER).to(NEIGHBOUR).arp_reply(SERVER_IP, NEIGHBOUR_IP)).inward().on(BOND);
    vec![asks(1_900.0), answers(1_900.001), asks(1_960.0), answers(1_960.001)]
}

/// A guest gets its address by DHCP, as others do, and advertises.
fn clients(lifetime: u16) -> Vec<Shot> {
    use super::super::dhcp::{ack, discover, offer, select};
    let dora = vec![
        at(1.0, discover(0x51, GUEST).asked(&[])),
        at(1.003, offer(0x51, GUEST, SERVER_IP, GUEST_IP).told(&[], SERVER, SERVER_IP)),
        at(1.01, select(0x51, GUEST, SERVER_IP, GUEST_IP).asked(&[])),
        at(1.012, ack(0x51, GUEST, SERVER_IP, GUEST_IP).told(&[], SERVER, SERVER_IP)),
    ];
    let meant = advertised(ROUTERS[1], LIFETIME, MEANT, 5).into_iter().map(|shot| shot.later(700_000));
    in_order(vec![dora, advertised(GUEST, lifetime, OWN, 5), meant.collect()])
}

/// Two routers of one network, whose ports live on this node: the one comes in at a tap and leaves, the other came from elsewhere.
fn routers() -> Vec<Shot> {
    let [here, there] = ROUTERS.map(|mac| advertised(mac, LIFETIME, MEANT, 5));
    let twice = |shot: Shot| [shot.clone().inward().on(TAP), shot.later(20).outward().on(BOND)];
    let elsewhere = there.into_iter().map(|shot| shot.later(700_000).inward().on(BOND));
    here.into_iter().flat_map(twice).chain(elsewhere).collect()
}
