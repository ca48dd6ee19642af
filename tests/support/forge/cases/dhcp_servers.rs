//! DHCP servers: two that contradict each other, one that should not be there, one that has nothing left; and pairs that go well.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{Message, ack, decline, discover, nak, offer, renew, select};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, frame, pcap,
};
use super::dhcp::{in_order, leased, others};
use super::{Case, case};

const XID: u32 = 0x5e52_0001;
const VLAN: &[u16] = &[100];
/// A guest that runs a DHCP server of its own, the address that it gives itself, and one that it gives away.
pub const ROGUE: Mac = Mac([0xfa, 0x16, 0x3e, 0x99, 0x00, 0x01]);
pub const ROGUE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const FOREIGN_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

pub fn cases() -> Vec<Case> {
    let rogue_with_facts = Case { folder: "dhcp/rogue-server-in-a-guest", files: vec![("bond0.pcap", pcap(rogue()))] };
    vec![
        case("dhcp/granted-and-refused", "bond0.pcap", pcap(granted_and_refused())),
        case("dhcp/declined", "bond0.pcap", pcap(declined(false))),
        case("dhcp/declined-with-its-holder", "bond0.pcap", pcap(declined(true))),
        case("dhcp/declined-again-and-again", "bond0.pcap", pcap(proxy_arp())),
        case("dhcp/rogue-server", "bond0.pcap", pcap(rogue())),
        rogue_with_facts,
        case("dhcp/rogue-server-taken-away", "bond0.pcap", pcap(taken_away())),
        case("dhcp/pool-exhausted", "bond0.pcap", pcap(exhausted())),
        case("dhcp/no-leases-left", "bond0.pcap", pcap(no_leases_left())),
        case("dhcp/flood-of-made-up-clients", "tap3f2a91c0-5d.pcap", pcap(flood())),
        case("dhcp/two-routers-offered", "bond0.pcap", pcap(two_routers())),
        case("healthy/dhcp-two-agents", "bond0.pcap", pcap(two_agents())),
        case("healthy/dhcp-server-scan", "bond0.pcap", pcap(scan())),
    ]
}

/// What a server tells one client.
fn told(t: f64, message: &Message, by: (Mac, Ipv4Addr)) -> Shot {
    at(t, message.told(VLAN, by.0, by.1))
}

const RIGHT: (Mac, Ipv4Addr) = (SERVER, SERVER_IP);
const OTHER: (Mac, Ipv4Addr) = (SECOND, SECOND_IP);
const STRANGER: (Mac, Ipv4Addr) = (ROGUE, ROGUE_IP);

/// The guest takes the first server's offer and is granted it; the second, which believes that it is alone, refuses it.
fn granted_and_refused() -> Vec<Shot> {
    let refusal = nak(XID, GUEST, SECOND_IP, "wrong server-ID").told_all(VLAN, SECOND, SECOND_IP);
    in_order(vec![leased(0.0, XID), vec![at(0.032, refusal)], others(20.0)])
}

/// The guest is given an address, asks if it is free, and declines it, whether its holder was heard or not; ten seconds later it starts
/// over, and is not yet answered.
fn declined(is_holder_heard: bool) -> Vec<Shot> {
    let probe = |t: f64| at(t, frame().from(GUEST).tags(VLAN).arp_request(Ipv4Addr::UNSPECIFIED, GUEST_IP));
    let mut shots = leased(0.0, XID);
    shots.push(probe(0.1));
    if is_holder_heard {
        shots.push(at(0.101, frame().from(NEIGHBOUR).to(GUEST).tags(VLAN).arp_reply(GUEST_IP, Ipv4Addr::UNSPECIFIED)));
    }
    shots.push(at(0.2, decline(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)));
    shots.push(at(10.5, discover(XID + 1, GUEST).asked(VLAN)));
    in_order(vec![shots, others(14.0)])
}

/// A machine that answers ARP for every address: each that the server gives is declined.
fn proxy_arp() -> Vec<Shot> {
    let turn = |i: u8| {
        let (t, xid, ip) = (11.0 * f64::from(i), XID + u32::from(i), Ipv4Addr::new(10, 20, 0, 80 + i));
        vec![
            at(t, discover(xid, GUEST).asked(VLAN)),
            told(t + 0.01, &offer(xid, GUEST, SERVER_IP, ip), RIGHT),
            at(t + 0.02, select(xid, GUEST, SERVER_IP, ip).asked(VLAN)),
            told(t + 0.03, &ack(xid, GUEST, SERVER_IP, ip), RIGHT),
            at(t + 0.1, frame().from(GUEST).tags(VLAN).arp_request(Ipv4Addr::UNSPECIFIED, ip)),
            at(t + 0.101, frame().from(NODE).to(GUEST).tags(VLAN).arp_reply(ip, Ipv4Addr::UNSPECIFIED)),
            at(t + 0.2, decline(xid, GUEST, SERVER_IP, ip).asked(VLAN)),
        ]
    };
    (0..3).flat_map(turn).collect()
}

/// Two guests boot; the second is faster served by a third guest, which hands out addresses of its own.
pub fn rogue() -> Vec<Shot> {
    let xid = XID + 1;
    let theirs = vec![
        at(65.0, discover(xid, NEIGHBOUR).asked(VLAN)),
        told(65.001, &offer(xid, NEIGHBOUR, ROGUE_IP, FOREIGN_IP), STRANGER),
        told(65.01, &offer(xid, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP), RIGHT),
        at(65.02, select(xid, NEIGHBOUR, ROGUE_IP, FOREIGN_IP).asked(VLAN)),
        told(65.021, &ack(xid, NEIGHBOUR, ROGUE_IP, FOREIGN_IP), STRANGER),
    ];
    [leased(0.0, XID), theirs].concat()
}

/// The same; then a guest is offered something by the stranger alone and does not want it, the stranger is taken away, and that guest and three
/// more are served in peace.
fn taken_away() -> Vec<Shot> {
    let client = |i: u8| Mac([0xfa, 0x16, 0x3e, 0x77, 0x00, i]);
    let served = |i: u8, t: f64| {
        let (xid, ip) = (XID + 16 + u32::from(i), Ipv4Addr::new(10, 20, 0, 100 + i));
        vec![
            at(t, discover(xid, client(i)).asked(VLAN)),
            told(t + 0.01, &offer(xid, client(i), SERVER_IP, ip), RIGHT),
            at(t + 0.02, select(xid, client(i), SERVER_IP, ip).asked(VLAN)),
            told(t + 0.03, &ack(xid, client(i), SERVER_IP, ip), RIGHT),
        ]
    };
    let xid = XID + 16;
    let unwanted = |t: f64| {
        let ask = discover(xid, client(0)).secs((t - 70.0) as u16);
        [at(t, ask.asked(VLAN)), told(t + 0.001, &offer(xid, client(0), ROGUE_IP, FOREIGN_IP), STRANGER)]
    };
    let mut shots = rogue();
    shots.extend([70.0, 74.0].map(unwanted).concat());
    shots.extend([served(0, 82.0), served(1, 85.0), served(2, 90.0), served(3, 120.0)].concat());
    in_order(vec![shots, others(125.0)])
}

/// Three old clients renew and are granted; four new ones ask twice and are offered nothing.
fn exhausted() -> Vec<Shot> {
    let client = |i: u8| Mac([0xfa, 0x16, 0x3e, 0x77, 0x00, i]);
    let kept = |i: u8| {
        let (t, xid, ip) = (15.5 + 2.0 * f64::from(i), XID + u32::from(i), Ipv4Addr::new(10, 20, 0, 240 + i));
        vec![
            at(t, renew(xid, client(i), ip).asked_of(VLAN, SERVER, SERVER_IP)),
            told(t + 0.002, &ack(xid, client(i), SERVER_IP, ip), RIGHT),
        ]
    };
    let asked = |i: u8| {
        let start = 4.0 + f64::from(i);
        [0.0, 4.1, 12.0]
            .map(|t| at(start + t, discover(XID + u32::from(i), client(i)).secs(t as u16).asked(VLAN)))
            .into()
    };
    in_order([(0..3).map(kept).collect::<Vec<_>>(), (10..14).map(asked).collect()].concat())
}

fn no_leases_left() -> Vec<Shot> {
    let mut shots = leased(0.0, XID);
    shots.pop();
    shots.push(at(0.03, nak(XID, GUEST, SERVER_IP, "no leases left").told_all(VLAN, SERVER, SERVER_IP)));
    shots
}

/// One guest asks in the name of 120 others within six seconds; the server offers each of them something.
fn flood() -> Vec<Shot> {
    let ask = |i: u8| {
        let (t, client) = (0.05 * f64::from(i), Mac([0x02, 0x9a, 0x51, 0x0c, 0x7e, i]));
        let bytes = discover(XID + u32::from(i), client);
        at(t, frame().from(GUEST).ipv4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).udp(68, 67).dhcp(&bytes))
    };
    (0..120).map(ask).collect()
}

/// Two servers of one network offer the same subnet and different routers.
fn two_routers() -> Vec<Shot> {
    let theirs = Ipv4Addr::new(10, 20, 0, 17);
    let second = offer(XID, GUEST, SECOND_IP, theirs).router(Ipv4Addr::new(10, 20, 0, 254));
    let mut shots = leased(0.0, XID);
    shots.insert(2, told(0.012, &second, OTHER));
    in_order(vec![shots, others(20.0)])
}

/// Two agents serve one network with the same list: both offer the same address with the same router, each names itself for names.
fn two_agents() -> Vec<Shot> {
    let of = |message: Message, own: Ipv4Addr| message.router(SERVER_IP).option(6, &own.octets());
    let boot = |i: u32, client: Mac, address: Ipv4Addr| {
        let (t, xid) = (20.0 * f64::from(i), XID + i);
        vec![
            at(t, discover(xid, client).asked(VLAN)),
            told(t + 0.01, &of(offer(xid, client, SERVER_IP, address), SERVER_IP), RIGHT),
            told(t + 0.011, &of(offer(xid, client, SECOND_IP, address), SECOND_IP), OTHER),
            at(t + 0.02, select(xid, client, SERVER_IP, address).asked(VLAN)),
            told(t + 0.03, &of(ack(xid, client, SERVER_IP, address), SERVER_IP), RIGHT),
        ]
    };
    in_order(vec![boot(0, GUEST, GUEST_IP), boot(1, NEIGHBOUR, NEIGHBOUR_IP), others(50.0)])
}

/// A monitoring host looks for servers every minute: once under a made-up address (as nmap does), once under its own, which has an
/// address of its own; it never takes an offer.
fn scan() -> Vec<Shot> {
    let made_up = Mac([0xde, 0xad, 0xc0, 0xde, 0xca, 0xfe]);
    let look = |i: u32, client: Mac| {
        let (t, xid) = (60.0 * f64::from(i), XID + i);
        let asked = discover(xid, client);
        let link = frame().from(NODE).tags(VLAN);
        vec![
            at(t, link.ipv4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).udp(68, 67).dhcp(&asked)),
            told(t + 0.01, &offer(xid, client, SERVER_IP, GUEST_IP), RIGHT),
        ]
    };
    let own = |t: f64| at(t, frame().from(NODE).tags(VLAN).arp_request(Ipv4Addr::new(10, 20, 0, 5), SERVER_IP));
    in_order(vec![look(0, made_up), look(1, NODE), vec![own(5.0), own(75.0)], look(2, made_up), others(140.0)])
}
