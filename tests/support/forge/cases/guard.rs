//! Links that fall silent: a guard that shuts a port for a guest's BPDU, a link that fails on its own, and what only looks like it.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::discover;
use super::super::frame::Segment;
use super::super::stp::Bridge;
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, Pcapng, SECOND, SECOND_IP, SERVER, SERVER_IP, SWITCH, Shot, at,
    frame, pcap,
};
use super::{Case, case};

/// A third guest of the node, which has no address yet.
const NEWCOMER: Mac = Mac([0xfa, 0x16, 0x3e, 0x33, 0x00, 0x03]);
/// The gateway of the network, behind the uplink.
const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const GUEST_BRIDGE: Bridge = Bridge { priority: 0x8000, mac: GUEST };
const INTERFACES: &[&str] = &["tap3f2a91c0-5d", "tap77be0d14-a2", "br100", "bond0", "eth2", "eth3"];
const TAP: u32 = 0;
const OTHER_TAP: u32 = 1;
const BRIDGE: u32 = 2;
const BOND: u32 = 3;
const SLAVES: [u32; 2] = [4, 5];

pub fn cases() -> Vec<Case> {
    vec![
        case("stp/guard-shuts-the-port", "node.pcapng", valentine()),
        case("stp/seven-guests-of-one-image", "bond0.pcapng", seven_guests()),
        case("stp/guard-shuts-the-port-bond0", "bond0.pcapng", seen_on_the_bond_only()),
        case("stp/guard-shuts-the-port-for-five-minutes", "bond0.pcapng", shut_for_five_minutes()),
        case("stp/guard-shuts-the-port-then-capture-ends", "bond0.pcapng", ends_too_soon()),
        case("stp/nothing-stops-a-guests-bpdu", "bond0.pcapng", busy(0.0, 10.0)),
        case("stp/filter-against-bpdus-put-in-place", "bond0.pcapng", busy(0.0, 10.0)),
        case("healthy/filter-stops-bpdus", "bond0.pcapng", busy(0.0, 10.0)),
        case("healthy/tc-stops-bpdus", "bond0.pcapng", busy(0.0, 10.0)),
        case("stp/filters-that-do-not-tell", "bond0.pcapng", busy(0.0, 10.0)),
        case("host/link-silent-of-one-peer", "bond0.pcapng", one_peer_silent()),
        case("host/link-silent-then-back", "node.pcapng", silent_then_back(Vec::new())),
        case("host/link-silent-and-a-server-gone-before", "node.pcapng", silent_then_back(gone_before())),
        case("host/both-members-silent-and-one-is-back-first", "node.pcapng", back_one_by_one(Some(61))),
        case("host/both-members-silent-and-one-stays-so", "node.pcapng", back_one_by_one(None)),
        case("host/one-member-without-carrier", "bond0.pcapng", busy(0.0, 20.0)),
        case("host/carrier-of-a-quiet-bond-gone-for-a-second", "bond0.pcapng", now_and_then()),
        case("healthy/bond-failover-by-an-operator", "node.pcapng", failover()),
        case("healthy/link-quiet-by-nature", "bond0.pcapng", quiet()),
        Case { folder: "healthy/capture-of-the-uplink-ends-first", files: one_ends_first() },
    ]
}

/// Two servers stream to a group, five datagrams a second: what arrives as long as the link lives.
pub fn stream(from: f64, to: f64) -> Vec<Shot> {
    stream_of(&[(SERVER, SERVER_IP), (SECOND, SECOND_IP)], from, to)
}

/// The same of these, in turn.
fn stream_of(senders: &[(Mac, Ipv4Addr)], from: f64, to: f64) -> Vec<Shot> {
    let group = Ipv4Addr::new(239, 1, 1, 1);
    let send = |i: u32| {
        let (mac, ip) = senders[i as usize % senders.len()];
        let link = frame().from(mac).to(Mac([0x01, 0x00, 0x5e, 1, 1, 1]));
        at(f64::from(i) / 5.0, link.ipv4(ip, group).udp(5_000, 5_000).bytes(&i.to_be_bytes())).inward()
    };
    ((from * 5.0) as u32..(to * 5.0) as u32).map(send).collect()
}

/// The node reports to a collector that never answers, once a second: what leaves whether or not the link lives.
fn reports(from: u32, to: u32) -> Vec<Shot> {
    let own = Ipv4Addr::new(10, 20, 0, 40);
    let send = |i: u32| {
        let link = frame().from(NODE).to(SERVER);
        at(f64::from(i) + 0.05, link.ipv4(own, SERVER_IP).udp(6_000, 514).bytes(b"all is well")).outward()
    };
    (from..to).map(send).collect()
}

/// The same frames at the bond and, 3 µs before (in) or after (out), at a member.
fn through(shots: Vec<Shot>, member: u32) -> Vec<Shot> {
    shots.into_iter().flat_map(|s| [s.clone().on(BOND), s.beside().on(member)]).collect()
}

pub fn by_time(mut shots: Vec<Shot>) -> Vec<Shot> {
    shots.sort_by_key(Shot::nanos);
    shots
}

/// Half of a stream comes through each member of a bond. From 30 s on nothing does for half a minute, while the node reports; at 59 s the first
/// member's half is back, and that of the other at the second told, or not at all.
fn back_one_by_one(second: Option<u32>) -> Vec<u8> {
    let end = if second.is_some() { 75 } else { 92 };
    let lived = |back: Option<u32>| {
        [stream(15.0, 30.0), back.map(|at| stream(f64::from(at), f64::from(end))).unwrap_or_default()].concat()
    };
    let through_second = lived(second).into_iter().map(|s| s.later(70_000)).collect();
    let through_first = lived(Some(59));
    let shots =
        [through(through_first, SLAVES[0]), through(through_second, SLAVES[1]), through(reports(15, end), SLAVES[0])];
    Pcapng::with_interfaces(INTERFACES).frames(by_time(shots.concat())).bytes()
}

fn hello(t: f64) -> Shot {
    at(t, frame().from(GUEST).bpdu(&GUEST_BRIDGE.config()))
}

fn asks(t: f64, mac: Mac, own: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).arp_request(own, GATEWAY_IP)).inward()
}

/// LACP both ways on both members, each second.
pub fn lacp(from: u32, to: u32) -> Vec<Shot> {
    let each = |t: u32, member: u32| {
        let t = f64::from(t) + 0.3 + f64::from(member) / 1_000.0;
        let theirs = at(t, frame().from(SWITCH).lacp_from(port_of(SWITCH, member), port_of(NODE, member))).inward();
        let ours = at(t + 0.01, frame().from(NODE).lacp_from(port_of(NODE, member), port_of(SWITCH, member))).outward();
        [theirs.on(member), ours.on(member)]
    };
    (from..to).flat_map(|t| SLAVES.into_iter().flat_map(move |member| each(t, member))).collect()
}

fn port_of(mac: Mac, member: u32) -> super::super::stp::Port {
    super::super::stp::Port::in_step(mac, member as u16)
}

/// A guest's bridge speaks at 20 s: tap, bridge, bond, member. At 20.4 s nothing arrives any more; two guests ask in vain, a third wants an address.
fn valentine() -> Vec<u8> {
    let mut shots = through(stream(0.0, 20.4), SLAVES[0]);
    shots.extend(lacp(0, 20));
    for i in 0..12 {
        let seen = hello(20.0 + 2.0 * f64::from(i));
        shots.extend([seen.clone().inward().on(TAP), seen.clone().later(8).inward().on(BRIDGE)]);
        shots.push(seen.clone().later(15).outward().on(OTHER_TAP));
        if i == 0 {
            shots.extend([seen.clone().later(20).outward().on(BOND), seen.later(23).outward().on(SLAVES[0])]);
        }
    }
    for i in 0..3 {
        let t = 22.5 + f64::from(i);
        shots.push(asks(t, NEIGHBOUR, NEIGHBOUR_IP).on(OTHER_TAP));
        shots.push(asks(t + 0.2, GUEST, GUEST_IP).on(TAP));
    }
    for t in [23.0, 27.1, 35.3] {
        let asked = at(t, discover(0x3903_f326, NEWCOMER).asked(&[]));
        shots.extend([asked.clone().inward().on(BRIDGE), asked.later(7).outward().on(OTHER_TAP)]);
    }
    Pcapng::with_interfaces(INTERFACES).frames(by_time(shots)).bytes()
}

/// Only one server was ever heard on the bond; then nothing arrives, and the node goes on reporting.
fn one_peer_silent() -> Vec<u8> {
    let shots = [stream_of(&[(SERVER, SERVER_IP)], 0.0, 20.4), reports(0, 40)].concat();
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// The same with the bond alone: what arrives stops, what leaves goes on.
fn seen_on_the_bond_only() -> Vec<u8> {
    let mut shots = [stream(0.0, 20.4), reports(0, 40)].concat();
    shots.extend((0..10).map(|i| hello(20.0 + 2.0 * f64::from(i)).outward()));
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// The port is shut 0.4 s after the BPDU; the node's own reports go out for some seconds more. Then nothing at all is captured, until the switch opens
/// the port again by itself after five minutes.
fn shut_for_five_minutes() -> Vec<u8> {
    let shots =
        [stream(0.0, 50.4), reports(0, 75), vec![hello(50.0).outward()], stream(350.4, 380.0), reports(351, 380)];
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots.concat())).bytes()
}

/// Seven instances of one image start one after the other; after the first BPDU of the seventh nothing arrives at the bond any more.
fn seven_guests() -> Vec<u8> {
    let mut shots = [stream(0.0, 20.4), reports(0, 40)].concat();
    for n in 0..7_u8 {
        let mac = Mac([0xfa, 0x16, 0x3e, 0x77, 0x00, n]);
        let bpdu = frame().from(mac).bpdu(&Bridge { priority: 0x8000, mac }.config());
        let say = |i: u32| at(14.0 + 1.001 * f64::from(n) + 2.0 * f64::from(i), bpdu.clone()).outward();
        shots.extend((0..10).map(say));
    }
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// The capture ends half a second after the BPDU.
fn ends_too_soon() -> Vec<u8> {
    let mut shots = [stream(0.0, 20.0), reports(0, 20)].concat();
    shots.extend([hello(20.0).outward(), at(20.4, frame().from(NODE).arp_request(NEIGHBOUR_IP, SERVER_IP)).outward()]);
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// No BPDU: the link fails at 20 s, two guests ask in vain, and at 50 s it is back.
fn silent_then_back(beside: Vec<Shot>) -> Vec<u8> {
    let mut shots: Vec<Shot> = [stream(0.0, 20.0), stream(50.0, 60.0), reports(0, 60)].concat();
    shots = shots.into_iter().map(|s| s.on(BOND)).chain(beside).collect();
    for i in 0..4 {
        let t = 21.5 + 3.0 * f64::from(i);
        for (tap, mac, ip) in [(OTHER_TAP, NEIGHBOUR, NEIGHBOUR_IP), (TAP, GUEST, GUEST_IP)] {
            let asked = asks(t + f64::from(tap), mac, ip);
            shots.extend([asked.clone().on(tap), asked.later(20).outward().on(BOND)]);
        }
    }
    Pcapng::with_interfaces(INTERFACES).frames(by_time(shots)).bytes()
}

/// A guest reaches one server at 5 s; another answers nobody from 8 s on, and once the link is silent the first does not either.
fn gone_before() -> Vec<Shot> {
    let (near, gone) = (Ipv4Addr::new(192, 0, 2, 6), Ipv4Addr::new(192, 0, 2, 7));
    let out = |t: f64, whom: Ipv4Addr, own: u16, segment: Segment| {
        let shot = at(t, frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, whom).tcp((own, 5_672), segment, &[]));
        [shot.clone().inward().on(TAP), shot.later(20).outward().on(BOND)]
    };
    let back = |t: f64, segment: Segment| {
        let link = frame().from(SERVER).to(GUEST).ipv4(near, GUEST_IP).hops(63);
        let shot = at(t, link.tcp((5_672, 40_000), segment, &[]));
        [shot.clone().inward().on(BOND), shot.later(20).outward().on(TAP)]
    };
    let opens = |seq, ack| Segment { seq, ack, syn: Some(1_460), ..Segment::default() };
    let ends = |seq, ack| Segment { seq, ack, fin: true, ..Segment::default() };
    let says = |seq, ack| Segment { seq, ack, ..Segment::default() };
    let mut shots = vec![
        out(5.0, near, 40_000, opens(1_000, 0)),
        back(5.001, opens(7_000, 1_001)),
        out(5.002, near, 40_000, says(1_001, 7_001)),
        out(5.003, near, 40_000, ends(1_001, 7_001)),
        back(5.004, ends(7_001, 1_002)),
        out(5.005, near, 40_000, says(1_002, 7_002)),
    ];
    for wait in [0.0, 1.0, 3.0, 7.0, 15.0] {
        shots.push(out(8.0 + wait, gone, 40_001, opens(2_000, 0)));
        shots.push(out(24.0 + wait, near, 40_002, opens(3_000, 0)));
    }
    shots.concat()
}

fn busy(from: f64, to: f64) -> Vec<u8> {
    let shots = [stream(from, to), reports(from as u32, to as u32)].concat();
    Pcapng::with_interfaces(&["bond0"]).frames(by_time(shots)).bytes()
}

/// Active-backup: at 20 s an operator switches the active member off, and the other carries on.
fn failover() -> Vec<u8> {
    let before = through([stream(0.0, 20.0), reports(0, 20)].concat(), SLAVES[0]);
    let after = through([stream(20.0, 40.0), reports(20, 40)].concat(), SLAVES[1]);
    Pcapng::with_interfaces(INTERFACES).frames(by_time([before, after].concat())).bytes()
}

/// A link on which something arrives now and then; between, the node only reports.
fn quiet() -> Vec<u8> {
    let now_and_then = (0..4).flat_map(|i| stream(25.0 * f64::from(i), 25.0 * f64::from(i) + 1.0)).collect();
    Pcapng::with_interfaces(&["bond0"]).frames(by_time([now_and_then, reports(0, 100)].concat())).bytes()
}

/// A link at which a datagram arrives each ten seconds; the one that was due a second after the carrier went is late.
fn now_and_then() -> Vec<u8> {
    let hears = [0.4, 10.4, 20.4, 31.4, 41.4].into_iter().flat_map(|t| stream(t, t + 0.3)).collect();
    Pcapng::with_interfaces(&["bond0"]).frames(by_time([hears, reports(0, 45)].concat())).bytes()
}

/// Two captures of one node, started together; that of the bond was stopped after 20 s.
fn one_ends_first() -> Vec<(&'static str, Vec<u8>)> {
    let bond = by_time([stream(0.0, 20.0), reports(0, 20)].concat());
    let tap = (0..60).map(|i| {
        at(
            f64::from(i) + 0.5,
            frame().from(GUEST).to(NEIGHBOUR).ipv4(GUEST_IP, NEIGHBOUR_IP).udp(7_000, 7_000).bytes(b"tick"),
        )
    });
    vec![("bond0.pcap", pcap(bond)), ("tap3f2a91c0-5d.pcap", pcap(tap.collect()))]
}
