//! Reaching many, and many reaching one: a network of dead addresses, a broker that is silent to all, and answers that a bond throws away.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::{Segment, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, Pcapng, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::in_order;
use super::guard::by_time;
use super::{Case, case};

const BROKER: u16 = 5_672;
/// A machine behind the gateway.
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const INTERFACES: &[&str] = &["tap3f2a91c0-5d", "bond0", "eth2", "eth3"];
const TAP: u32 = 0;
const BOND: u32 = 1;
const ACTIVE: u32 = 2;
const STANDBY: u32 = 3;

pub fn cases() -> Vec<Case> {
    vec![
        case("tcp/eight-addresses-of-a-dead-network", "bond0.pcap", pcap(eight_addresses())),
        case("tcp/tries-whom-it-has-heard-of", "bond0.pcap", pcap(tries_many(24, 6))),
        case("tcp/five-sites-are-silent", "bond0.pcap", pcap(tries_many(5, 6))),
        case("tcp/one-of-five-silent-sites-lives", "bond0.pcap", pcap(one_lives())),
        case("tcp/nobody-beyond-the-gateway", "bond0.pcap", pcap(tries_many(6, 0))),
        case("tcp/six-clients-of-a-silent-broker", "bond0.pcap", pcap(six_clients())),
        case("tcp/refused-by-whom-it-has-heard-of", "bond0.pcap", pcap(refused_by(24))),
        case("tcp/refused-at-five-sites", "bond0.pcap", pcap(refused_by(5))),
        case("tcp/refused-to-clients-behind-the-router", "bond0.pcap", pcap(refused_behind(2, 6))),
        case("healthy/reach-strangers-knock-and-go", "bond0.pcap", pcap(refused_behind(12, 2))),
        case("healthy/metadata-fetched-at-boot", "bond0.pcap", pcap(metadata())),
        case("tcp/answers-come-to-the-standby-member", "node.pcapng", answers_to(STANDBY)),
        case("healthy/answers-come-to-the-active-member", "node.pcapng", answers_to(ACTIVE)),
    ]
}

fn opens(seq: u32, ack: u32) -> Segment {
    Segment { seq, ack, syn: Some(1_460), ..Segment::default() }
}

fn meets(mac: Mac, ip: Ipv4Addr, t: f64) -> Vec<Shot> {
    vec![
        at(t, frame().from(mac).arp_request(ip, SERVER_IP)),
        at(t + 0.0003, frame().from(SERVER).to(mac).arp_reply(SERVER_IP, ip)),
    ]
}

/// A SYN through the gateway, again after 1, 3 and 7 s.
fn tries(t: f64, from: (Mac, Ipv4Addr), whom: Ipv4Addr, ports: (u16, u16)) -> Vec<Shot> {
    let asked = opens(u32::from(ports.0) * 1_000, 0);
    let ask = |wait: &f64| at(t + wait, frame().from(from.0).to(SERVER).ipv4(from.1, whom).tcp(ports, asked, &[]));
    [0.0, 1.0, 3.0, 7.0].iter().map(ask).collect()
}

/// Nothing behind the gateway answers, and the gateway has no reason to say anything: whose network is dead cannot be told.
fn eight_addresses() -> Vec<Shot> {
    let tried = (0..8_u8).map(|i| {
        let whom = Ipv4Addr::new(10, 200, 20, 10 + i);
        tries(20.0 + 0.2 * f64::from(i), (GUEST, GUEST_IP), whom, (50_000 + u16::from(i), 6_868))
    });
    in_order(std::iter::once(meets(GUEST, GUEST_IP, 0.0)).chain(tried).collect())
}

/// A connection through the gateway that opens, and ends at once.
fn reaches(t: f64, from: (Mac, Ipv4Addr), whom: Ipv4Addr, ports: (u16, u16)) -> Vec<Shot> {
    let ask = |t: f64, s| at(t, frame().from(from.0).to(SERVER).ipv4(from.1, whom).tcp(ports, s, &[]));
    let back = (ports.1, ports.0);
    let told = |t: f64, s| at(t, frame().from(SERVER).to(from.0).ipv4(whom, from.1).hops(52).tcp(back, s, &[]));
    let says = |seq, ack| Segment { seq, ack, ..Segment::default() };
    let ends = |seq, ack| Segment { seq, ack, fin: true, ..Segment::default() };
    vec![
        ask(t, opens(1_000, 0)),
        told(t + 0.08, opens(7_000, 1_001)),
        ask(t + 0.081, says(1_001, 7_001)),
        ask(t + 0.2, ends(1_001, 7_001)),
        told(t + 0.28, ends(7_001, 1_002)),
        ask(t + 0.281, says(1_002, 7_002)),
    ]
}

/// So many servers all over the world are silent to the guest, at ports of their own, and so many others answer, one every two seconds.
fn tries_many(silent: u8, answering: u8) -> Vec<Shot> {
    let whom = |i: u8| Ipv4Addr::new(31 + i, 7 * i, 3 * i, 20 + i);
    let ports = |i: u8| (50_000 + u16::from(i), 20_000 + 333 * u16::from(i));
    let all = silent + answering;
    let answered_before = |i: u8| u16::from(i) * u16::from(answering) / u16::from(all);
    let tried = (0..all).map(|i| {
        let t = 20.0 + 2.0 * f64::from(i);
        let shots = if answered_before(i + 1) > answered_before(i) { reaches } else { tries };
        shots(t, (GUEST, GUEST_IP), whom(i), ports(i))
    });
    in_order(std::iter::once(meets(GUEST, GUEST_IP, 0.0)).chain(tried).collect())
}

/// The first of five silent sites answers an echo, and no connection after that either; another one is tried again.
fn one_lives() -> Vec<Shot> {
    let (first, third) = (Ipv4Addr::new(31, 0, 0, 20), Ipv4Addr::new(33, 14, 6, 22));
    let alive = vec![
        at(50.0, frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, first).ping(1, 84)),
        at(50.08, frame().from(SERVER).to(GUEST).ipv4(first, GUEST_IP).hops(52).pong(1, 84)),
    ];
    let again = tries(52.0, (GUEST, GUEST_IP), first, (50_100, 20_000));
    let other = tries(65.0, (GUEST, GUEST_IP), third, (50_101, 20_666));
    in_order(vec![tries_many(5, 6), alive, again, other])
}

fn six_clients() -> Vec<Shot> {
    let client = |i: u8| (Mac([0xfa, 0x16, 0x3e, 0x44, 0, i]), Ipv4Addr::new(10, 20, 0, 40 + i));
    let tried = (0..6_u8).flat_map(|i| {
        let (mac, ip) = client(i);
        let t = 20.0 + 1.5 * f64::from(i);
        [meets(mac, ip, t - 1.0), tries(t, (mac, ip), FAR, (51_000, BROKER))]
    });
    in_order(tried.collect())
}

/// The guest opens a connection each ten seconds; from 30 s on the answers come in at this member, of which the bond takes in the active one's only.
fn answers_to(member: u32) -> Vec<u8> {
    let out = |t: f64, bytes: Vec<u8>| {
        let leaves = at(t, bytes).outward();
        vec![leaves.clone().inward().on(TAP), leaves.clone().later(20).on(BOND), leaves.later(20).beside().on(ACTIVE)]
    };
    let back = |t: f64, bytes: Vec<u8>, member: u32| {
        let comes = at(t, bytes).inward();
        let taken = [comes.clone().on(BOND), comes.clone().later(20).outward().on(TAP)];
        let mut shots = vec![comes.beside().on(member)];
        shots.extend(taken.into_iter().filter(|_| member == ACTIVE));
        shots
    };
    let ask = |seq| frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, FAR).tcp((40_000, BROKER), seq, &[]);
    let told = |seq| frame().from(SERVER).to(GUEST).ipv4(FAR, GUEST_IP).hops(63).tcp((BROKER, 40_000), seq, &[]);
    let says = |seq, ack| Segment { seq, ack, ..Segment::default() };
    let ends = |seq, ack| Segment { seq, ack, fin: true, ..Segment::default() };
    let opened = |t: f64, member: u32| {
        [
            out(t, ask(opens(1_000, 0))),
            back(t + 0.001, told(opens(7_000, 1_001)), member),
            out(t + 0.002, ask(says(1_001, 7_001))),
            out(t + 0.003, ask(ends(1_001, 7_001))),
            back(t + 0.004, told(ends(7_001, 1_002)), member),
            out(t + 0.005, ask(says(1_002, 7_002))),
        ]
    };
    let mut shots: Vec<Vec<Shot>> = vec![
        out(0.0, frame().from(GUEST).arp_request(GUEST_IP, SERVER_IP)),
        back(0.0005, frame().from(SERVER).to(GUEST).arp_reply(SERVER_IP, GUEST_IP), ACTIVE),
    ];
    // What is meant for all comes to both members.
    let looked_for = || frame().from(SERVER).arp_request(SERVER_IP, GUEST_IP);
    shots.extend([back(2.0, looked_for(), STANDBY), back(2.0, looked_for(), ACTIVE)]);
    shots.push(out(2.0003, frame().from(GUEST).to(SERVER).arp_reply(GUEST_IP, SERVER_IP)));
    shots.extend([5.0, 15.0].into_iter().flat_map(|t| opened(t, ACTIVE)));
    if member == ACTIVE {
        shots.extend([30.0, 40.0].into_iter().flat_map(|t| opened(t, ACTIVE)));
    } else {
        for wait in [0.0, 1.0, 3.0, 7.0] {
            shots.push(out(30.0 + wait, ask(opens(9_000, 0))));
            shots.push(back(30.001 + wait, told(opens(17_000, 9_001)), STANDBY));
        }
    }
    Pcapng::with_interfaces(INTERFACES).frames(by_time(shots.concat())).bytes()
}

/// So many clients behind the router each try the guest's database so often, every five seconds, and are refused.
fn refused_behind(clients: u8, times: u8) -> Vec<Shot> {
    let tried = (0..clients).flat_map(|i| {
        let whom = Ipv4Addr::new(198, 51, 100, 20 + i);
        (0..times).flat_map(move |n| {
            let (t, own) = (10.0 + 0.3 * f64::from(i) + 5.0 * f64::from(n), 40_000 + 100 * u16::from(i) + u16::from(n));
            let seq = u32::from(own) * 1_000;
            let ask = frame().from(SERVER).to(GUEST).ipv4(whom, GUEST_IP).hops(57);
            let no = frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, whom);
            let refusal = Segment { seq: 0, ack: seq + 1, rst: true, ..Segment::default() };
            [at(t, ask.tcp((own, 3_306), opens(seq, 0), &[])), at(t + 0.0005, no.tcp((3_306, own), refusal, &[]))]
        })
    });
    in_order(vec![meets(GUEST, GUEST_IP, 0.0), tried.collect()])
}

/// So many servers all over the world refuse the guest at ports of their own, three times each, ten seconds apart.
fn refused_by(servers: u8) -> Vec<Shot> {
    let tried = (0..servers).flat_map(|i| {
        let whom = Ipv4Addr::new(31 + i, 7 * i, 3 * i, 20 + i);
        (0..3_u8).flat_map(move |n| {
            let t = 20.0 + 0.4 * f64::from(i) + 10.0 * f64::from(n);
            let ports = (40_000 + 100 * u16::from(n) + u16::from(i), 20_000 + 333 * u16::from(i));
            let seq = u32::from(ports.0) * 1_000;
            let ask = frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, whom).tcp(ports, opens(seq, 0), &[]);
            let refusal = Segment { seq: 0, ack: seq + 1, rst: true, ..Segment::default() };
            let no = frame().from(SERVER).to(GUEST).ipv4(whom, GUEST_IP).hops(52);
            [at(t, ask), at(t + 0.06, no.tcp((ports.1, ports.0), refusal, &[]))]
        })
    });
    in_order(vec![meets(GUEST, GUEST_IP, 0.0), tried.collect()])
}

/// Twenty guests boot and fetch their metadata from 169.254.169.254 through the gateway; each asks for two documents.
fn metadata() -> Vec<Shot> {
    let told = |i: u8| {
        let (mac, ip) = (Mac([0xfa, 0x16, 0x3e, 0x44, 0, i]), Ipv4Addr::new(10, 20, 0, 40 + i));
        let t = 1.0 + 0.2 * f64::from(i);
        let guest = End { mac, ip, port: 40_000 };
        let service = End { mac: SERVER, ip: Ipv4Addr::new(169, 254, 169, 254), port: 80 };
        let mut talk = Talk::new(guest, service, &[]);
        talk.handshake(t + 0.1, 1_460);
        for n in 0..2 {
            let t = t + 0.2 + 0.1 * f64::from(n);
            talk.say(t, Who::Caller, 120).say(t + 0.02, Who::Called, 900).acknowledge(t + 0.021, Who::Caller);
        }
        [meets(mac, ip, t), talk.shots()]
    };
    in_order((0..20).flat_map(told).collect())
}
