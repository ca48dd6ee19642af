//! DHCP answers that come late, or that nobody can use; and others that look so and are well.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, offer, select};
use super::super::{SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::in_order;
use super::{Case, case};

const XID: u32 = 0x14a5_0001;
const VLAN: &[u16] = &[100];

pub fn cases() -> Vec<Case> {
    vec![
        case("dhcp/server-takes-five-seconds", "bond0.pcap", pcap(clients(4.7, None))),
        case("healthy/dhcp-first-try-lost", "bond0.pcap", pcap(clients(0.02, Some(4.2)))),
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
