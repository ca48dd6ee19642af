//! DHCP that works, in the ways that tempt a reader to call it broken.

use super::super::dhcp::{Message, ack, discover, offer, proxy_offer, renew, select};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, frame, pcap, pcap_cut,
};
use super::dhcp::{asking, in_order, others};
use super::{Case, case};
use std::net::Ipv4Addr;

use netdiag::value::Mac;

const XID: u32 = 0x51ee_9001;
const VLAN: &[u16] = &[100];

pub fn cases() -> Vec<Case> {
    vec![
        case("healthy/dhcp-offer-of-another-server-taken", "bond0.pcap", pcap(two_offers())),
        case("healthy/dhcp-offer-after-another-was-taken", "bond0.pcap", pcap(offered_too_late())),
        case("healthy/dhcp-rapid-commit", "bond0.pcap", pcap(rapid_commit())),
        case("healthy/dhcp-pxe-with-proxy", "bond0.pcap", pcap(pxe())),
        case(
            "healthy/dhcp-discover-pending",
            "bond0.pcap",
            pcap(in_order(vec![asking(GUEST, &[0.0, 4.2]), others(6.0)])),
        ),
        case("healthy/dhcp-offer-pending", "bond0.pcap", pcap(offer_pending())),
        case("healthy/dhcp-broadcasts-only", "eth0.pcap", pcap(broadcasts_only())),
        case("healthy/dhcp-slow-offer", "bond0.pcap", pcap(slow_offer())),
        case("healthy/dhcp-cut-at-96", "bond0.pcap", pcap_cut(96, exchange())),
        case("healthy/dhcp-questions-only", "mirror.pcap", pcap(one_direction(true))),
        case("healthy/dhcp-answers-only", "mirror.pcap", pcap(one_direction(false))),
        case("healthy/dhcp-begun-in-the-middle", "bond0.pcap", pcap(begun_in_the_middle())),
        case("healthy/dhcp-failover-pair", "bond0.pcap", pcap(failover_pair())),
    ]
}

fn offered(t: f64) -> Shot {
    at(t, offer(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP))
}

fn granted(t: f64) -> Shot {
    at(t, ack(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP))
}

fn exchange() -> Vec<Shot> {
    vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        offered(0.01),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        granted(0.03),
    ]
}

/// The second of two servers looks for three seconds whether what it would offer is free; by then the guest has taken what the first offered.
fn offered_too_late() -> Vec<Shot> {
    let theirs = Ipv4Addr::new(10, 20, 0, 17);
    let second = offer(XID, GUEST, SECOND_IP, theirs).router(SERVER_IP).told(VLAN, SECOND, SECOND_IP);
    in_order(vec![exchange(), vec![at(3.01, second)], others(20.0)])
}

/// Two servers of one network offer; the guest names the second, the first hears it and steps back. Then 15 s of calm.
fn two_offers() -> Vec<Shot> {
    let theirs = Ipv4Addr::new(10, 20, 0, 17);
    // The same router in both: two agents of one network, not a stranger.
    let second = offer(XID, GUEST, SECOND_IP, theirs).router(SERVER_IP).told(VLAN, SECOND, SECOND_IP);
    let taken = vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        offered(0.01),
        at(0.012, second),
        at(0.02, select(XID, GUEST, SECOND_IP, theirs).asked(VLAN)),
        at(0.03, ack(XID, GUEST, SECOND_IP, theirs).router(SERVER_IP).told(VLAN, SECOND, SECOND_IP)),
    ];
    in_order(vec![taken, others(15.0)])
}

/// Option 80 in both messages: two messages make a lease (RFC 4039).
fn rapid_commit() -> Vec<Shot> {
    let asked = discover(XID, GUEST).option(80, &[]).asked(VLAN);
    let told = ack(XID, GUEST, SERVER_IP, GUEST_IP).option(80, &[]).told(VLAN, SERVER, SERVER_IP);
    in_order(vec![vec![at(0.0, asked), at(0.01, told)], others(15.0)])
}

/// A boot ROM collects offers: it asks at 0, 4 and 12 s, hears the lease server and the boot server (which offers no address), and takes the lease at 16 s.
fn pxe() -> Vec<Shot> {
    let rom = b"PXEClient:Arch:00000:UNDI:002001";
    let proxy = || proxy_offer(XID, GUEST, SECOND_IP);
    let mut shots = Vec::new();
    for t in [0.0, 4.0, 12.0] {
        shots.push(at(t, discover(XID, GUEST).option(60, rom).secs(t as u16).asked(VLAN)));
        shots.push(offered(t + 0.01));
        shots.push(at(t + 0.02, proxy().told_all(VLAN, SECOND, SECOND_IP)));
    }
    shots.push(at(16.0, select(XID, GUEST, SERVER_IP, GUEST_IP).option(60, rom).asked(VLAN)));
    shots.push(granted(16.01));
    in_order(vec![shots, others(30.0)])
}

/// The capture ends 0.2 s after the offer.
fn offer_pending() -> Vec<Shot> {
    vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        offered(0.01),
        at(0.2, frame().from(NEIGHBOUR).tags(VLAN).arp_request(GUEST_IP, SERVER_IP)),
    ]
}

/// Inside another guest of the same network: the questions are broadcast and come here, the answers are not and do not.
fn broadcasts_only() -> Vec<Shot> {
    let ask = |t: f64| at(t, discover(XID, GUEST).secs(t as u16).asked(&[]));
    let take = at(12.5, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(&[]));
    let other = |t: f64| at(t, discover(XID + 1, NEIGHBOUR).secs((t - 1.0) as u16).asked(&[]));
    in_order(vec![vec![ask(0.0), ask(4.2), ask(12.1), take], vec![other(1.0), other(5.1), other(13.0), other(29.2)]])
}

/// A mirror of one direction of a server's port: thirty guests boot and renew, and half of what they say to each other is there.
fn one_direction(of_clients: bool) -> Vec<Shot> {
    let guest = |i: u8| (Mac([0xfa, 0x16, 0x3e, 0x88, 0x00, i]), Ipv4Addr::new(10, 20, 0, 100 + i));
    let boots = |i: u8| {
        let ((mac, ip), xid, t) = (guest(i), XID + u32::from(i), 0.3 * f64::from(i));
        let short = |message: Message| message.lasting(600);
        let renewals = [300.0, 600.0, 900.0].map(|wait| t + wait);
        if of_clients {
            let mut shots =
                vec![at(t, discover(xid, mac).asked(VLAN)), at(t + 3.1, select(xid, mac, SERVER_IP, ip).asked(VLAN))];
            shots.extend(renewals.map(|t| at(t, renew(xid, mac, ip).asked_of(VLAN, SERVER, SERVER_IP))));
            return shots;
        }
        let told = |t: f64, message: Message| at(t, short(message).told(VLAN, SERVER, SERVER_IP));
        let mut shots =
            vec![told(t + 3.0, offer(xid, mac, SERVER_IP, ip)), told(t + 3.11, ack(xid, mac, SERVER_IP, ip))];
        shots.extend(renewals.map(|t| told(t + 0.002, ack(xid, mac, SERVER_IP, ip))));
        shots
    };
    in_order((1..=30).map(boots).collect())
}

/// The capture begins between an offer and its question: one guest takes what it was offered before, one is granted what it asked for
/// before, one renews a lease that nobody saw given.
fn begun_in_the_middle() -> Vec<Shot> {
    let third = (Mac([0xfa, 0x16, 0x3e, 0x88, 0x00, 0x09]), Ipv4Addr::new(10, 20, 0, 109));
    let shots = vec![
        at(0.0, ack(XID + 1, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP).told(VLAN, SERVER, SERVER_IP)),
        offered(0.01),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        granted(0.03),
        at(1.5, renew(XID + 2, third.0, third.1).asked_of(VLAN, SERVER, SERVER_IP)),
        at(1.502, ack(XID + 2, third.0, SERVER_IP, third.1).told(VLAN, SERVER, SERVER_IP)),
        at(2.9, discover(XID + 3, NEIGHBOUR).asked(VLAN)),
    ];
    in_order(vec![shots])
}

/// Two servers share one pool, each with its half (failover): both offer, each guest takes one, and the other is silent about its leases.
pub fn failover_pair() -> Vec<Shot> {
    let boot = |i: u8| {
        let (mac, xid, t) = (Mac([0xfa, 0x16, 0x3e, 0x99, 0x01, i]), XID + u32::from(i), 2.0 * f64::from(i));
        let (first, second) = (Ipv4Addr::new(10, 20, 0, 100 + i), Ipv4Addr::new(10, 20, 0, 200 + i));
        let told = |t: f64, message: Message, by: (Mac, Ipv4Addr)| {
            at(t, message.router(Ipv4Addr::new(10, 20, 0, 1)).lasting(3_600).told(VLAN, by.0, by.1))
        };
        let (a, b) = ((SERVER, SERVER_IP), (SECOND, SECOND_IP));
        let (taken, ip) = if i.is_multiple_of(2) { (a, first) } else { (b, second) };
        vec![
            at(t, discover(xid, mac).asked(VLAN)),
            told(t + 0.01, offer(xid, mac, a.1, first), a),
            told(t + 0.012, offer(xid, mac, b.1, second), b),
            at(t + 0.02, select(xid, mac, taken.1, ip).asked(VLAN)),
            told(t + 0.03, ack(xid, mac, taken.1, ip), taken),
            at(t + 1_800.0, renew(xid, mac, ip).asked_of(VLAN, taken.0, taken.1)),
            told(t + 1_800.002, ack(xid, mac, taken.1, ip), taken),
        ]
    };
    in_order((0..6).map(boot).collect())
}

/// The server pings an address for 3 s before it offers it: nobody answers, as nobody should.
fn slow_offer() -> Vec<Shot> {
    let ask = |t: f64| at(t, frame().from(SERVER).tags(VLAN).arp_request(SERVER_IP, GUEST_IP));
    vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        ask(0.01),
        ask(1.01),
        ask(2.01),
        offered(3.02),
        at(3.03, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        granted(3.04),
    ]
}
