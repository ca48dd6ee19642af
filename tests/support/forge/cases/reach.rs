//! Reaching others: a network nobody can reach (a deployment that waits for machines which it was never meant to reach), servers that are
//! silent, servers that refuse.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::{Segment, frame};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::in_order;
use super::{Case, case};

const VLAN: &[u16] = &[100];
/// A network behind the gateway that answers.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 200, 11, 6);
/// The port of the agents that a deployment waits for.
const AGENT: u16 = 6_868;
const BROKER: u16 = 5_672;

pub fn cases() -> Vec<Case> {
    vec![
        case("ip/deployment-into-a-network-nobody-reaches", "bond0.pcap", pcap(deployment(None, 12))),
        case("ip/network-forbidden-by-the-router", "bond0.pcap", pcap(deployment(Some(13), 5))),
        case("ip/network-reached-at-last", "bond0.pcap", pcap(reached_at_last())),
        case(
            "tcp/syn-unanswered",
            "bond0.pcap",
            pcap(in_order(vec![life(), knocks(GUEST, GUEST_IP, 51_000, 20.0, 4)])),
        ),
        case("tcp/syn-unanswered-by-a-living-server", "bond0.pcap", pcap(lives())),
        case("tcp/syn-answered-after-seven-seconds", "bond0.pcap", pcap(answered_late())),
        case("tcp/refused-until-the-database-runs", "bond0.pcap", pcap(refused_for_a_while())),
        case("tcp/refused-to-four-clients", "bond0.pcap", pcap(refused_to_four())),
        case("tcp/refused-by-a-firewall", "bond0.pcap", pcap(refused_on_the_way())),
        case("healthy/reach-refused-now-and-then", "bond0.pcap", pcap(refused_now_and_then())),
        case("ip/one-dead-host", "bond0.pcap", pcap(one_dead_host())),
        case("ip/three-dead-hosts", "bond0.pcap", pcap(three_dead_hosts())),
        case("ip/told-from-all-over-the-world", "bond0.pcap", pcap(told_from_afar(24))),
        case("ip/told-from-five-sites", "bond0.pcap", pcap(told_from_afar(5))),
        case("ip/routing-loop", "bond0.pcap", pcap(routing_loop())),
        case("healthy/reach-told-now-and-then", "bond0.pcap", pcap(told_now_and_then())),
        case("healthy/reach-traced-through-a-trunk", "bond0.pcap", pcap(traced())),
        case("healthy/reach-scan", "bond0.pcap", pcap(scan())),
        case("healthy/reach-stranger-knocks", "bond0.pcap", pcap(stranger())),
        case("healthy/reach-one-way-only", "bond0.pcap", pcap(knocks(GUEST, GUEST_IP, 51_000, 20.0, 5))),
    ]
}

/// The guest finds its gateway, and a machine behind it answers: the way out is there.
fn life() -> Vec<Shot> {
    let mut shots = vec![
        at(0.0, frame().from(GUEST).tags(VLAN).arp_request(GUEST_IP, SERVER_IP)),
        at(0.0003, frame().from(SERVER).to(GUEST).tags(VLAN).arp_reply(SERVER_IP, GUEST_IP)),
    ];
    for i in 0..12 {
        shots.extend(polled(5.0 + 10.0 * f64::from(i), NEAR, 22, 40_000 + i));
    }
    shots
}

fn out(t: f64, from: (Mac, Ipv4Addr), to: Ipv4Addr, ports: (u16, u16), segment: Segment) -> Shot {
    at(t, frame().from(from.0).to(SERVER).tags(VLAN).ipv4(from.1, to).tcp(ports, segment, &[]))
}

fn back(t: f64, from: Ipv4Addr, to: (Mac, Ipv4Addr), ports: (u16, u16), segment: Segment) -> Shot {
    at(t, frame().from(SERVER).to(to.0).tags(VLAN).ipv4(from, to.1).hops(63).tcp(ports, segment, &[]))
}

/// A health check that is well: opened, and closed at once.
fn polled(t: f64, whom: Ipv4Addr, port: u16, own: u16) -> Vec<Shot> {
    let (guest, seq) = ((GUEST, GUEST_IP), u32::from(own) * 1_000);
    let opens = |seq, ack| Segment { seq, ack, syn: Some(1_460), ..Segment::default() };
    let closes = |seq, ack| Segment { seq, ack, fin: true, ..Segment::default() };
    let says = |seq, ack| Segment { seq, ack, ..Segment::default() };
    vec![
        out(t, guest, whom, (own, port), opens(seq, 0)),
        back(t + 0.001, whom, guest, (port, own), opens(7_000, seq + 1)),
        out(t + 0.002, guest, whom, (own, port), says(seq + 1, 7_001)),
        out(t + 0.003, guest, whom, (own, port), closes(seq + 1, 7_001)),
        back(t + 0.004, whom, guest, (port, own), closes(7_001, seq + 2)),
        out(t + 0.005, guest, whom, (own, port), says(seq + 2, 7_002)),
    ]
}

/// One attempt: a SYN, again after 1, 3 and 7 s, so often.
fn tries(t: f64, from: (Mac, Ipv4Addr), whom: Ipv4Addr, ports: (u16, u16), times: usize) -> Vec<Shot> {
    let segment = Segment { seq: u32::from(ports.0) * 1_000, syn: Some(1_460), ..Segment::default() };
    [0.0, 1.0, 3.0, 7.0, 15.0][..times].iter().map(|wait| out(t + wait, from, whom, ports, segment)).collect()
}

/// A client in the guest's network tries the broker behind the gateway.
fn knocks(mac: Mac, ip: Ipv4Addr, own: u16, t: f64, times: usize) -> Vec<Shot> {
    tries(t, (mac, ip), Ipv4Addr::new(192, 0, 2, 7), (own, BROKER), times)
}

/// A director polls the agents of so many new machines each 10 s, in a network that its router does not know.
fn deployment(refusal: Option<u8>, machines: u8) -> Vec<Shot> {
    let mut stories = vec![life()];
    for round in 0..10_u16 {
        for i in 0..machines {
            let whom = Ipv4Addr::new(10, 200, 20, 10 + i);
            let (t, own) = (20.0 + 10.0 * f64::from(round) + 0.2 * f64::from(i), 50_000 + 100 * round + u16::from(i));
            // Who is told so at once does not send it again.
            let times = if refusal.is_some() { 1 } else { 3 };
            let asked = tries(t, (GUEST, GUEST_IP), whom, (own, AGENT), times);
            if let (Some(code), Some(first)) = (refusal, asked.first()) {
                let link = frame().from(SERVER).to(GUEST).tags(VLAN);
                stories.push(vec![at(t + 0.001, link.ipv4(SERVER_IP, GUEST_IP).unreachable(code, first.bytes()))]);
            }
            stories.push(asked);
        }
    }
    in_order(stories)
}

/// After two minutes the router gets its missing interface.
fn reached_at_last() -> Vec<Shot> {
    let polls = (0..4).flat_map(|i| {
        polled(135.0 + 0.2 * f64::from(i), Ipv4Addr::new(10, 200, 20, 10 + i), AGENT, 61_000 + u16::from(i))
    });
    in_order(vec![deployment(None, 4), polls.collect()])
}

/// The server's other port answers the same client all along.
fn lives() -> Vec<Shot> {
    let whom = Ipv4Addr::new(192, 0, 2, 7);
    let polls = (0..5).flat_map(|i| polled(18.0 + 2.0 * f64::from(i), whom, 22, 42_000 + i as u16));
    in_order(vec![life(), knocks(GUEST, GUEST_IP, 51_000, 20.0, 4), polls.collect()])
}

fn answered_late() -> Vec<Shot> {
    let (guest, whom) = ((GUEST, GUEST_IP), Ipv4Addr::new(192, 0, 2, 7));
    let accepted = Segment { seq: 7_000, ack: 51_000_001, syn: Some(1_460), ..Segment::default() };
    let settled = Segment { seq: 51_000_001, ack: 7_001, ..Segment::default() };
    let late = vec![
        back(27.002, whom, guest, (BROKER, 51_000), accepted),
        out(27.003, guest, whom, (51_000, BROKER), settled),
    ];
    in_order(vec![life(), knocks(GUEST, GUEST_IP, 51_000, 20.0, 4), late])
}

/// The router says this of a packet to the guest.
fn told(t: f64, code: u8, about: &Shot) -> Shot {
    at(t, frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(SERVER_IP, GUEST_IP).unreachable(code, about.bytes()))
}

/// The guest asks one machine in each of so many networks four times, and the router before it says each time that it is not there.
fn told_from_afar(networks: u8) -> Vec<Shot> {
    let asked = (0..networks).flat_map(|i| {
        let (whom, router) = (Ipv4Addr::new(31 + i, 7 * i, 3 * i, 20 + i), Ipv4Addr::new(31 + i, 7 * i, 0, 1));
        (0..4_u16).flat_map(move |n| {
            let (t, own) = (20.0 + 0.3 * f64::from(i) + 8.0 * f64::from(n), 50_000 + 100 * n + u16::from(i));
            let asked = tries(t, (GUEST, GUEST_IP), whom, (own, 20_000 + 333 * u16::from(i)), 1);
            let told = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(router, GUEST_IP).hops(50);
            let told = at(t + 0.2, told.unreachable(1, asked[0].bytes()));
            asked.into_iter().chain([told])
        })
    });
    in_order(vec![life(), asked.collect()])
}

/// One machine is polled ten times, and the router says each time that it is not there.
fn polled_in_vain(start: f64, dead: Ipv4Addr) -> Vec<Shot> {
    let polls = (0..10_u16).flat_map(|i| {
        let t = start + 10.0 * f64::from(i);
        let asked = tries(t, (GUEST, GUEST_IP), dead, (50_000 + i, 22), 1);
        let told = told(t + 0.5, 1, &asked[0]);
        asked.into_iter().chain([told])
    });
    polls.collect()
}

/// One machine of a network is dead and is polled for long; the others of the same network answer. A router says so each time.
fn one_dead_host() -> Vec<Shot> {
    in_order(vec![life(), polled_in_vain(10.0, Ipv4Addr::new(10, 200, 11, 9))])
}

fn three_dead_hosts() -> Vec<Shot> {
    let dead = (0..3).map(|i| polled_in_vain(10.0 + f64::from(i), Ipv4Addr::new(10, 200, 11, 9 + i)));
    in_order([life()].into_iter().chain(dead).collect())
}

/// A program's UDP port is closed before late answers come, a trace of a route ends, and a monitor asks each of many once.
fn told_now_and_then() -> Vec<Shot> {
    let resolver = Ipv4Addr::new(192, 0, 2, 53);
    let mut stories = vec![life()];
    for i in 0..6_u16 {
        let t = 10.0 + 5.0 * f64::from(i);
        let late = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(resolver, GUEST_IP).udp(53, 41_000).bytes(b"late");
        let closed = frame().from(GUEST).to(SERVER).tags(VLAN).ipv4(GUEST_IP, resolver).unreachable(3, &late);
        stories.push(vec![at(t, late), at(t + 0.0002, closed)]);
        let probe = frame().from(GUEST).to(SERVER).tags(VLAN).ipv4(GUEST_IP, NEAR).udp(42_000, 33_434 + i);
        let probe = at(t + 1.0, probe.bytes(b"trace"));
        stories.push(vec![told(t + 1.001, 3, &probe), probe]);
        let asked = tries(t + 2.0, (GUEST, GUEST_IP), Ipv4Addr::new(10, 200, 40, i as u8), (52_000 + i, 22), 1);
        stories.push(vec![told(t + 2.5, 1, &asked[0])]);
        stories.push(asked);
    }
    in_order(stories)
}

/// Two routers believe of each other that they know the way to a network: three pings go back and forth until no hop is left.
fn routing_loop() -> Vec<Shot> {
    let far = Ipv4Addr::new(10, 9, 0, 7);
    let circles = (0..3_u16).flat_map(|n| {
        (0..61_u8).map(move |i| {
            let (from, to) = if i % 2 == 0 { (SERVER, SECOND) } else { (SECOND, SERVER) };
            let link = frame().from(from).to(to).tags(VLAN);
            at(20.0 + f64::from(n) + 0.0004 * f64::from(i), link.ipv4(GUEST_IP, far).hops(62 - i).ping(n, 84))
        })
    });
    in_order(vec![life(), circles.collect()])
}

/// A route is traced through two routers that join three VLANs of one trunk: each probe passes three times, each time with one hop less.
fn traced() -> Vec<Shot> {
    let far = Ipv4Addr::new(198, 51, 100, 9);
    let probes = (0..12_u8).flat_map(|i| {
        let t = 20.0 + 0.05 * f64::from(i);
        let probe = |from, to, vlan: u16, hops| {
            let ip = frame().from(from).to(to).tags(&[vlan]).ipv4(GUEST_IP, far).hops(hops);
            ip.udp(42_000, 33_434 + u16::from(i)).bytes(b"trace")
        };
        let hops = 3 + i / 3;
        [
            at(t, probe(GUEST, SERVER, 100, hops)),
            at(t + 0.0003, probe(SERVER, SECOND, 200, hops - 1)),
            at(t + 0.0006, probe(SECOND, NEIGHBOUR, 300, hops - 2)),
        ]
    });
    in_order(vec![life(), probes.collect()])
}

/// A monitor looks through a network behind the gateway, 25 addresses a second, each twice.
fn scan() -> Vec<Shot> {
    let mut stories = vec![life()];
    for round in 0..2_u16 {
        for last in 1..=250_u16 {
            let whom = Ipv4Addr::new(10, 200, 30, last as u8);
            let t = 20.0 + 40.0 * f64::from(round) + 0.04 * f64::from(last);
            stories.push(tries(t, (GUEST, GUEST_IP), whom, (52_000 + last, 22), 1));
        }
    }
    in_order(stories)
}

/// Somebody from outside tries closed ports of two guests, whose filter is silent as it should be.
fn stranger() -> Vec<Shot> {
    let stranger = Ipv4Addr::new(198, 51, 100, 77);
    let knock = |t: f64, to: (Mac, Ipv4Addr), ports: (u16, u16)| {
        let segment = Segment { seq: 9_000, syn: Some(1_460), ..Segment::default() };
        let ip = frame().from(SERVER).to(to.0).tags(VLAN).ipv4(stranger, to.1).hops(51);
        [0.0, 1.0, 3.0].map(|wait| at(t + wait, ip.tcp(ports, segment, &[])))
    };
    let first = knock(20.0, (GUEST, GUEST_IP), (40_001, 23));
    let second = knock(30.0, (NEIGHBOUR, NEIGHBOUR_IP), (40_002, 3_389));
    in_order(vec![life(), first.to_vec(), second.to_vec()])
}

const DATABASE: u16 = 3_306;

/// One attempt and its refusal, which comes from so many hops away.
fn refused(t: f64, client: (Mac, Ipv4Addr), whom: Ipv4Addr, ports: (u16, u16), hops: u8) -> Vec<Shot> {
    let seq = u32::from(ports.0) * 1_000;
    let rst = Segment { ack: seq + 1, rst: true, ..Segment::default() };
    let ip = frame().from(SERVER).to(client.0).tags(VLAN).ipv4(whom, client.1).hops(hops);
    let answer = at(t + 0.001, ip.tcp((ports.1, ports.0), rst, &[]));
    vec![out(t, client, whom, ports, Segment { seq, syn: Some(1_460), ..Segment::default() }), answer]
}

/// A database starts twelve seconds after its client.
fn refused_for_a_while() -> Vec<Shot> {
    let whom = Ipv4Addr::new(192, 0, 2, 7);
    let tries = (0..12).flat_map(|i| refused(20.0 + f64::from(i), (GUEST, GUEST_IP), whom, (51_000 + i, DATABASE), 63));
    in_order(vec![life(), tries.collect(), polled(32.0, whom, DATABASE, 51_100)])
}

/// Four clients of a database that does not run, each of which tries three times.
fn refused_to_four() -> Vec<Shot> {
    let whom = Ipv4Addr::new(192, 0, 2, 7);
    let mut stories = vec![life()];
    for i in 0..4 {
        let client = (Mac([0xfa, 0x16, 0x3e, 0x55, 0x00, i]), Ipv4Addr::new(10, 20, 0, 50 + i));
        let start = 20.0 + 0.3 * f64::from(i);
        stories.push(vec![
            at(start - 1.0, frame().from(client.0).tags(VLAN).arp_request(client.1, SERVER_IP)),
            at(start - 0.9997, frame().from(SERVER).to(client.0).tags(VLAN).arp_reply(SERVER_IP, client.1)),
        ]);
        stories.extend((0..3).map(|n| refused(start + f64::from(n), client, whom, (51_000 + n, DATABASE), 63)));
    }
    in_order(stories)
}

/// A server four hops away answers at one port; a firewall one hop away refuses the other in its name.
fn refused_on_the_way() -> Vec<Shot> {
    let (guest, whom) = ((GUEST, GUEST_IP), Ipv4Addr::new(192, 0, 2, 7));
    let accepted = Segment { seq: 7_000, ack: 42_000_001, syn: Some(1_460), ..Segment::default() };
    let far = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(whom, GUEST_IP).hops(60);
    let opened = vec![
        out(18.0, guest, whom, (42_000, 22), Segment { seq: 42_000_000, syn: Some(1_460), ..Segment::default() }),
        at(18.004, far.tcp((22, 42_000), accepted, &[])),
        out(18.005, guest, whom, (42_000, 22), Segment { seq: 42_000_001, ack: 7_001, ..Segment::default() }),
    ];
    let tries = (0..4).flat_map(|i| refused(20.0 + f64::from(i), guest, whom, (51_000 + i, DATABASE), 63));
    in_order(vec![life(), opened, tries.collect()])
}

/// Refusals that a network lives with: a mail server that asks for ident, a client that sends a refused SYN again, a stranger.
fn refused_now_and_then() -> Vec<Shot> {
    let (guest, whom, stranger) = ((GUEST, GUEST_IP), Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(198, 51, 100, 77));
    let ident = [20.0, 60.0].into_iter().zip(43_000..).flat_map(|(t, own)| refused(t, guest, whom, (own, 113), 63));
    let again = [30.0, 30.5, 31.0].into_iter().flat_map(|t| refused(t, guest, whom, (44_000, 8_080), 63));
    let knocks = (0..10).flat_map(|i| {
        let (t, own, seq) = (40.0 + f64::from(i), 45_000 + i, 9_000);
        let from = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(stranger, GUEST_IP).hops(51);
        let refusal = Segment { ack: seq + 1, rst: true, ..Segment::default() };
        [
            at(t, from.tcp((own, 23), Segment { seq, syn: Some(1_460), ..Segment::default() }, &[])),
            out(t + 0.0002, guest, stranger, (23, own), refusal),
        ]
    });
    in_order(vec![life(), ident.collect(), again.collect(), knocks.collect()])
}
