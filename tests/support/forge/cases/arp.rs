//! ARP that nobody answers: a host that is gone, an address nobody has, a gateway that has fallen silent.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, renew};
use super::super::frame::frame;
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::{in_order, others};
use super::{Case, case};

const VLAN: &[u16] = &[100];
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 99);

pub fn cases() -> Vec<Case> {
    vec![
        case("arp/host-gone", "bond0.pcap", pcap(in_order(vec![found(0.1), asked(&[60.0, 61.0, 62.0]), others(70.0)]))),
        case("arp/host-gone-and-back", "bond0.pcap", pcap(gone_and_back())),
        case("arp/nobody-has-it", "bond0.pcap", pcap(nobody_has_it(1))),
        case("arp/three-ask-for-nobody", "bond0.pcap", pcap(nobody_has_it(3))),
        case("arp/gateway-silent", "bond0.pcap", pcap(gateway_silent(3))),
        case("arp/gateway-silent-to-twelve", "bond0.pcap", pcap(gateway_silent(12))),
        case("arp/gateway-silent-to-one", "bond0.pcap", pcap(gateway_silent(1))),
        case("arp/gateway-silent-until-the-second-router", "bond0.pcap", pcap(second_router())),
        case("healthy/arp-between-guests-of-one-host", "bond0.pcap", pcap(between_guests())),
        case("healthy/arp-gateway-answers-late", "bond0.pcap", pcap(answers_late())),
        case("healthy/questions-in-a-file-called-bond0", "bond0.pcap", pcap(questions_only())),
    ]
}

fn asks(t: f64, mac: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).tags(VLAN).arp_request(own, wanted))
}

fn answers(t: f64, mac: Mac, own: Ipv4Addr, to: Mac, asker: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).to(to).tags(VLAN).arp_reply(own, asker))
}

/// The server asks for the guest at these times.
fn asked(times: &[f64]) -> Vec<Shot> {
    times.iter().map(|t| asks(*t, SERVER, SERVER_IP, GUEST_IP)).collect()
}

fn found(t: f64) -> Vec<Shot> {
    [asked(&[t]), vec![answers(t + 0.0004, GUEST, GUEST_IP, SERVER, SERVER_IP)]].concat()
}

fn gone_and_back() -> Vec<Shot> {
    let announced = [80.0, 82.0].map(|t| asks(t, GUEST, GUEST_IP, GUEST_IP));
    in_order(vec![found(0.1), asked(&[60.0, 61.0, 62.0, 65.0]), announced.to_vec(), found(85.0), others(90.0)])
}

/// A start script of one guest looks three times whether another of the same host is there; that one answers from tap to tap.
fn between_guests() -> Vec<Shot> {
    let asked = [60.0, 61.0, 62.0].map(|t| asks(t, NEIGHBOUR, NEIGHBOUR_IP, GUEST_IP));
    in_order(vec![found(0.1), asked.to_vec(), others(70.0)])
}

pub fn guest(i: u8) -> (Mac, Ipv4Addr) {
    (Mac([0xfa, 0x16, 0x3e, 0x66, 0x00, i]), Ipv4Addr::new(10, 20, 0, 100 + i))
}

/// So many guests ask three times each for an address that nobody has.
fn nobody_has_it(askers: u8) -> Vec<Shot> {
    let ask = |i: u8| {
        let (mac, ip) = guest(i);
        (0..3).map(move |n| asks(10.0 + 0.2 * f64::from(i) + 1.01 * f64::from(n), mac, ip, NOBODY))
    };
    in_order(vec![(0..askers).flat_map(ask).collect(), others(20.0)])
}

/// So many guests were given leases that name the server as the way out; from 30 s on it answers none of them.
pub fn gateway_silent(askers: u8) -> Vec<Shot> {
    let mut shots = others(8.0);
    for i in 0..askers {
        let ((mac, ip), t) = (guest(i), 10.0 + f64::from(i));
        shots.push(at(t, renew(0x66, mac, ip).asked_of(VLAN, SERVER, SERVER_IP)));
        shots.push(at(t + 0.002, ack(0x66, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)));
        let start = 30.0 + 0.3 * f64::from(i);
        shots.extend((0..3).map(|n| asks(start + 1.01 * f64::from(n), mac, ip, SERVER_IP)));
    }
    // Inside the network all is well.
    let (mac, ip) = guest(0);
    shots.push(asks(40.0, mac, ip, NEIGHBOUR_IP));
    shots.push(answers(40.0005, NEIGHBOUR, NEIGHBOUR_IP, mac, ip));
    in_order(vec![shots])
}

/// The second router of the pair takes the address over after 8 s.
fn second_router() -> Vec<Shot> {
    let taken = [38.0, 38.5, 39.0].map(|t| asks(t, SECOND, SERVER_IP, SERVER_IP));
    in_order(vec![gateway_silent(3), taken.to_vec()])
}

/// The gateway answers the second request of each, 1.4 s after the first.
fn answers_late() -> Vec<Shot> {
    let mut shots = gateway_silent(0);
    for i in 0..5 {
        let ((mac, ip), t) = (guest(i), 20.0 + 0.3 * f64::from(i));
        shots.push(at(t - 5.0, renew(0x66, mac, ip).asked_of(VLAN, SERVER, SERVER_IP)));
        shots.push(at(t - 4.998, ack(0x66, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)));
        shots.extend([asks(t, mac, ip, SERVER_IP), asks(t + 1.01, mac, ip, SERVER_IP)]);
        shots.push(answers(t + 1.4, SERVER, SERVER_IP, mac, ip));
    }
    in_order(vec![shots])
}

/// What an access port hears of five guests that are served, in one direction: their questions, and what their server tells all.
fn questions_only() -> Vec<Shot> {
    let boots = |i: u8| {
        let ((mac, ip), t) = (guest(i), 3.0 * f64::from(i));
        let xid = 0x66 + u32::from(i);
        let granted = ack(xid, mac, SERVER_IP, ip).by_broadcast().lasting(600).router(SERVER_IP);
        let mut shots = vec![at(t, discover(xid, mac).by_broadcast().asked(VLAN))];
        shots.push(at(t + 0.02, granted.told_all(VLAN, SERVER, SERVER_IP)));
        // As start scripts look whether the network is there: `arping -c 3`.
        shots.extend((0..3).map(|n| asks(t + 0.5 + 1.01 * f64::from(n), mac, ip, SERVER_IP)));
        shots.extend([300.0, 600.0].map(|wait| at(t + wait, renew(xid, mac, ip).asked_of(VLAN, SERVER, SERVER_IP))));
        shots
    };
    in_order((0..5).map(boots).collect())
}
