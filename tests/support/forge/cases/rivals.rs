//! Two stations with one address, and what only looks like it.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::frame;
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::{in_order, others};
use super::{Case, case};

const VLAN: &[u16] = &[100];
/// The second one with the guest's address.
const TWIN: Mac = Mac([0xfa, 0x16, 0x3e, 0x99, 0x00, 0x01]);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

pub fn cases() -> Vec<Case> {
    vec![
        case("arp/two-guests-with-one-address", "bond0.pcap", pcap(in_turn())),
        case("arp/two-answers-to-one-question", "bond0.pcap", pcap(both_answer())),
        case("arp/address-taken-for-a-while", "bond0.pcap", pcap(taken_for_a_while())),
        case("arp/address-defended", "bond0.pcap", pcap(defended())),
        case("arp/two-answers-of-which-one-is-a-proxys", "bond0.pcap", pcap(proxy(25.0))),
        case("healthy/arp-handed-over-and-back", "bond0.pcap", pcap(handed_over())),
        case("healthy/arp-bond-with-two-faces", "bond0.pcap", pcap(two_faces())),
        case("healthy/arp-proxy-answers", "bond0.pcap", pcap(proxy(5.0))),
        case("healthy/arp-probe-answered", "bond0.pcap", pcap(probed())),
        case("healthy/arp-instance-replaced", "bond0.pcap", pcap(replaced())),
    ]
}

fn asks(t: f64, mac: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).tags(VLAN).arp_request(own, wanted))
}

fn answers(t: f64, mac: Mac, own: Ipv4Addr, to: Mac, asker: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).to(to).tags(VLAN).arp_reply(own, asker))
}

/// The server asks for the guest's address, and these answer.
fn found(t: f64, who: &[Mac]) -> Vec<Shot> {
    let replies = (1..).zip(who).map(|(n, mac)| answers(t + 0.0004 * f64::from(n), *mac, GUEST_IP, SERVER, SERVER_IP));
    [asks(t, SERVER, SERVER_IP, GUEST_IP)].into_iter().chain(replies).collect()
}

/// The guest and its twin look for the gateway in turn.
fn in_turn() -> Vec<Shot> {
    let turns = (0..6).flat_map(|i| {
        let (t, mac) = (10.0 + 8.0 * f64::from(i), if i % 2 == 0 { GUEST } else { TWIN });
        [asks(t, mac, GUEST_IP, SERVER_IP), answers(t + 0.0003, SERVER, SERVER_IP, mac, GUEST_IP)]
    });
    in_order(vec![turns.collect(), others(60.0)])
}

/// Three questions are answered by both; then the twin is switched off, and the guest alone answers for six minutes.
fn both_answer() -> Vec<Shot> {
    let mut stories = vec![found(5.0, &[GUEST])];
    stories.extend((0..3).map(|i| found(10.0 + 10.0 * f64::from(i), &[GUEST, TWIN])));
    stories.extend((0..12).map(|i| found(40.0 + 30.0 * f64::from(i), &[GUEST])));
    in_order(stories)
}

fn taken_for_a_while() -> Vec<Shot> {
    in_order(vec![found(5.0, &[GUEST]), found(20.0, &[TWIN]), found(40.0, &[GUEST]), others(50.0)])
}

/// The twin comes up and announces its address; the guest, which has it, announces it at once.
fn defended() -> Vec<Shot> {
    let announced = vec![asks(30.0, TWIN, GUEST_IP, GUEST_IP), asks(30.2, GUEST, GUEST_IP, GUEST_IP)];
    in_order(vec![found(5.0, &[GUEST]), announced, found(40.0, &[GUEST]), others(50.0)])
}

/// A gateway's address moves to the second router and, as that is updated, back; each announces it and answers for it.
fn handed_over() -> Vec<Shot> {
    let mut shots = others(90.0);
    for (start, router) in [(5.0, SERVER), (30.0, SECOND), (55.0, SERVER)] {
        shots.extend([0.0, 0.1, 5.0].map(|wait| asks(start + wait, router, GATEWAY, GATEWAY)));
        for (wait, mac, ip) in [(6.0, GUEST, GUEST_IP), (7.0, NEIGHBOUR, NEIGHBOUR_IP)] {
            shots.extend([
                asks(start + wait, mac, ip, GATEWAY),
                answers(start + wait + 0.0004, router, GATEWAY, mac, ip),
            ]);
        }
    }
    in_order(vec![shots])
}

/// A storage server balances what it receives over two cards: the guest hears one, the neighbour the other, again and again.
fn two_faces() -> Vec<Shot> {
    let storage = Ipv4Addr::new(10, 20, 0, 60);
    let rounds = (0..5).flat_map(|i| {
        let t = 5.0 + 10.0 * f64::from(i);
        [
            asks(t, GUEST, GUEST_IP, storage),
            answers(t + 0.0004, SERVER, storage, GUEST, GUEST_IP),
            asks(t + 3.0, NEIGHBOUR, NEIGHBOUR_IP, storage),
            answers(t + 3.0004, SECOND, storage, NEIGHBOUR, NEIGHBOUR_IP),
            asks(t + 5.0, SERVER, storage, GUEST_IP),
            answers(t + 5.0004, GUEST, GUEST_IP, SERVER, storage),
        ]
    });
    in_order(vec![rounds.collect(), others(60.0)])
}

/// A router answers for every address behind it, and for the guest's too, which answers for itself; those behind it are asked for from `begins` on.
fn proxy(begins: f64) -> Vec<Shot> {
    let mut stories = vec![others(60.0)];
    for i in 0..6 {
        let behind = Ipv4Addr::new(10, 20, 0, 200 + i);
        let t = begins + f64::from(i);
        let asked = asks(t, NEIGHBOUR, NEIGHBOUR_IP, behind);
        stories.push(vec![asked, answers(t + 0.0004, SECOND, behind, NEIGHBOUR, NEIGHBOUR_IP)]);
    }
    stories.extend((0..3).map(|i| found(20.0 + 10.0 * f64::from(i), &[GUEST, SECOND])));
    in_order(stories)
}

/// A newcomer asks whether the guest's address is free, hears that it is not, and takes another.
fn probed() -> Vec<Shot> {
    let other = Ipv4Addr::new(10, 20, 0, 77);
    let probe = |t: f64, ip| asks(t, TWIN, Ipv4Addr::UNSPECIFIED, ip);
    let refused = vec![probe(20.0, GUEST_IP), answers(20.0004, GUEST, GUEST_IP, TWIN, Ipv4Addr::UNSPECIFIED)];
    let taken = [21.0, 22.5, 24.0].map(|t| probe(t, other)).into_iter();
    let announced = [26.0, 28.0].map(|t| asks(t, TWIN, other, other));
    in_order(vec![found(5.0, &[GUEST]), refused, taken.chain(announced).collect(), found(35.0, &[GUEST]), others(50.0)])
}

/// An instance is deleted; ninety seconds later a new one has its address.
fn replaced() -> Vec<Shot> {
    let fresh = [100.0, 102.0].map(|t| asks(t, TWIN, GUEST_IP, GUEST_IP)).to_vec();
    in_order(vec![
        found(5.0, &[GUEST]),
        found(10.0, &[GUEST]),
        fresh,
        found(110.0, &[TWIN]),
        found(120.0, &[TWIN]),
        others(130.0),
    ])
}
