//! DHCP answers that come late, or that nobody can use; and others that look so and are well.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{Message, ack, discover, offer, renew, select};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, frame, pcap,
};
use super::dhcp::{in_order, leased, others};
use super::{Case, case};

const XID: u32 = 0x14a5_0001;
const VLAN: &[u16] = &[100];

pub fn cases() -> Vec<Case> {
    vec![
        case("dhcp/server-takes-five-seconds", "bond0.pcap", pcap(clients(4.7, None))),
        case("healthy/dhcp-first-try-lost", "bond0.pcap", pcap(clients(0.02, Some(4.2)))),
        case("healthy/dhcp-server-behind-its-systems-back", "bond0.pcap", pcap(behind_the_back())),
        case("dhcp/offer-does-not-name-its-server", "bond0.pcap", pcap(unheard(|offer| offer.without(54)))),
        case("dhcp/identifier-not-repeated", "bond0.pcap", pcap(in_order(vec![named(), others(15.0)]))),
        case("healthy/dhcp-identifier-not-repeated", "bond0.pcap", pcap(named_and_taken())),
        case("healthy/dhcp-one-address-with-routes", "bond0.pcap", pcap(one_address())),
        case("dhcp/checksum-left-unfilled", "tap3f2a91c0-5d.pcap", pcap(unfilled(&[0.0, 4.2, 12.1]))),
        case("dhcp/checksum-left-unfilled-then-silence", "tap3f2a91c0-5d.pcap", pcap(unfilled(&[0.0]))),
        case("dhcp/checksum-left-unfilled-in-a-file-called-tap0", "tap0.pcap", pcap(unfilled_beside_others())),
        case("dhcp/offer-to-a-client-with-a-lease", "bond0.pcap", pcap(with_a_lease())),
    ]
}

/// The guest's question, with an identifier made from a machine's, not from its hardware address (RFC 4361).
fn question() -> Message {
    discover(XID, GUEST).option(61, &[255, 0x3e, 0x12, 0x34, 0x56, 0, 2, 0, 0, 0xab, 0x11, 7, 7, 7, 7])
}

/// Three questions, each answered at once by an offer with something wrong.
fn unheard(wrong: impl Fn(Message) -> Message) -> Vec<Shot> {
    let turn = |t: f64| {
        let offered = wrong(offer(XID, GUEST, SERVER_IP, GUEST_IP)).told(VLAN, SERVER, SERVER_IP);
        vec![at(t, discover(XID, GUEST).secs(t as u16).asked(VLAN)), at(t + 0.01, offered)]
    };
    in_order(vec![turn(0.0), turn(4.2), turn(12.1), others(14.0)])
}

/// A question with an identifier, and an offer without one; the guest says no more.
fn named() -> Vec<Shot> {
    let offered = offer(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP);
    vec![at(0.0, question().asked(VLAN)), at(0.01, offered)]
}

/// The same, and the guest takes what it is offered: it does not mind.
fn named_and_taken() -> Vec<Shot> {
    let taken = select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN);
    let granted = ack(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP);
    in_order(vec![named(), vec![at(0.02, taken), at(0.03, granted)], others(15.0)])
}

/// An address without a subnet, whose gateway is reached by a route of its own (RFC 3442), offered and taken.
fn one_address() -> Vec<Shot> {
    let routes = [32, 169, 254, 169, 254, 10, 20, 0, 2, 0, 10, 20, 0, 2];
    let alone = offer(XID, GUEST, SERVER_IP, GUEST_IP).without(1).option(1, &[255; 4]).option(121, &routes);
    let granted = ack(XID, GUEST, SERVER_IP, GUEST_IP).without(1).option(1, &[255; 4]).option(121, &routes);
    let shots = vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        at(0.01, alone.told(VLAN, SERVER, SERVER_IP)),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        at(0.03, granted.told(VLAN, SERVER, SERVER_IP)),
    ];
    in_order(vec![shots, others(20.0)])
}

/// `frame`, untagged, with the sum of addresses, protocol and length where the UDP checksum belongs: as the kernel leaves it for the card.
pub fn unsummed(mut frame: Vec<u8>) -> Vec<u8> {
    let word = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let sum = word(26) + word(28) + word(30) + word(32) + 17 + word(38);
    let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// On the guest's tap: it asks at these times, and the server on the same host answers each time, as frames that no card has seen.
fn unfilled(times: &[f64]) -> Vec<Shot> {
    let turn = |t: &f64| {
        let asked = discover(XID, GUEST).secs(*t as u16).asked(&[]);
        let offered = offer(XID, GUEST, SERVER_IP, GUEST_IP).told(&[], SERVER, SERVER_IP);
        vec![at(*t, asked), at(*t + 0.01, unsummed(offered))]
    };
    let last = at(14.0, frame().from(NEIGHBOUR).arp_request(NEIGHBOUR_IP, SERVER_IP));
    in_order(vec![times.iter().flat_map(turn).collect(), vec![last]])
}

/// The same, and two others talk: nobody's own port shows that, and elsewhere a card still fills the sum in.
fn unfilled_beside_others() -> Vec<Shot> {
    let to = frame().from(NEIGHBOUR).to(SECOND).ipv4(NEIGHBOUR_IP, SECOND_IP).ping(1, 100);
    let back = frame().from(SECOND).to(NEIGHBOUR).ipv4(SECOND_IP, NEIGHBOUR_IP).pong(1, 100);
    in_order(vec![unfilled(&[0.0, 4.2, 12.1]), vec![at(1.0, to), at(1.001, back)]])
}

/// A guest that was given an address for a day looks once more what is offered, and leaves it at that.
fn with_a_lease() -> Vec<Shot> {
    let look = vec![
        at(600.0, discover(XID + 1, GUEST).asked(VLAN)),
        at(600.01, offer(XID + 1, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP)),
    ];
    in_order(vec![leased(0.0, XID), look, others(620.0)])
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
