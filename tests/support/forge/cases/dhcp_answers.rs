//! DHCP answers that come late, or that nobody can use; and others that look so and are well.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, offer, renew, select};
use super::super::{GUEST, GUEST_IP, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::dhcp::in_order;
use super::{Case, case};

const XID: u32 = 0x14a5_0001;
const VLAN: &[u16] = &[100];

pub fn cases() -> Vec<Case> {
    vec![
        case("dhcp/server-takes-five-seconds", "bond0.pcap", pcap(clients(4.7, None))),
        case("healthy/dhcp-first-try-lost", "bond0.pcap", pcap(clients(0.02, Some(4.2)))),
        case("healthy/dhcp-server-behind-its-systems-back", "bond0.pcap", pcap(behind_the_back())),
    ]
}

/// A server that reads frames from the card: its system refuses what it grants a millisecond later. And two refusals that are not about
/// servers: of a late answer by a client's system, and of a name query.
fn behind_the_back() -> Vec<Shot> {
    let to_guest = || frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(SERVER_IP, GUEST_IP);
    let to_server = || frame().from(GUEST).to(SERVER).tags(VLAN).ipv4(GUEST_IP, SERVER_IP);
    let renewal = renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP);
    let granted = ack(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP);
    let query = to_server().udp(40_000, 53).bytes(&[0; 24]);
    vec![
        at(0.0, renewal.clone()),
        at(0.0005, to_guest().nobody_there(&renewal)),
        at(0.001, granted.clone()),
        at(0.5, to_server().nobody_there(&granted)),
        at(1.0, query.clone()),
        at(1.001, to_guest().nobody_there(&query)),
        at(20.0, to_server().ping(1, 84)),
        at(20.001, to_guest().pong(1, 84)),
    ]
}

/// The guest of this number, and its address.
fn client(i: u8) -> (Mac, Ipv4Addr) {
    (Mac([0xfa, 0x16, 0x3e, 0x66, 0x00, i]), Ipv4Addr::new(10, 20, 2, i))
}

/// Two dozen guests, one every twelve seconds: each is offered an address so long after it asked; where its first try is lost, it asks
/// again after `again`, and that is answered.
fn clients(took: f64, again: Option<f64>) -> Vec<Shot> {
    let boot = |i: u8| {
        let ((mac, ip), xid, t) = (client(i), XID + u32::from(i), 12.0 * f64::from(i));
        let asked = again.map(|wait| at(t + wait, discover(xid, mac).secs(4).asked(VLAN)));
        let t = t + again.unwrap_or(0.0);
        let mut shots = vec![at(t - again.unwrap_or(0.0), discover(xid, mac).asked(VLAN))];
        shots.extend(asked);
        shots.push(at(t + took, offer(xid, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)));
        shots.push(at(t + took + 0.01, select(xid, mac, SERVER_IP, ip).asked(VLAN)));
        shots.push(at(t + took + 0.02, ack(xid, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)));
        shots
    };
    in_order((1..=24).map(boot).collect())
}
