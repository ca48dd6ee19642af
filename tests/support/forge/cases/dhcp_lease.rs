//! DHCP leases: renewals that nobody answers, answers that nobody heeds, addresses that are kept too long; and the same going well.
//! Leases last 600 s, so that T1 is 300 s, T2 525 s, and no rule about short leases stirs.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, offer, release, renew, select};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, frame, pcap,
};
use super::dhcp::in_order;
use super::{Case, case};

const XID: u32 = 0x4c45_0001;
const VLAN: &[u16] = &[100];
const LEASE: u32 = 600;

pub fn cases() -> Vec<Case> {
    vec![
        case("dhcp/renewal-unanswered", "bond0.pcap", pcap(unanswered(&[300.0, 304.0], 320.0))),
        case("dhcp/renewal-unanswered-by-anybody", "bond0.pcap", pcap(unanswered_by_anybody())),
        case("dhcp/lease-ended-unanswered", "bond0.pcap", pcap(ended_unanswered())),
        case("dhcp/server-renews-nobody", "bond0.pcap", pcap(renews_nobody())),
        case("dhcp/server-renews-nobody-and-another-does", "bond0.pcap", pcap(another_renews())),
        case("dhcp/nobody-renews-by-broadcast", "bond0.pcap", pcap(renews_nobody_by_broadcast())),
        case("dhcp/request-unanswered", "bond0.pcap", pcap(in_order(vec![taken_in_vain(), others(20.0)]))),
        case("dhcp/request-unanswered-then-starts-over", "bond0.pcap", pcap(starts_over())),
        case("healthy/dhcp-renewal-answer-lost-once", "bond0.pcap", pcap(ignored(&[300.0, 304.0], 330.0))),
        case("dhcp/renewal-answers-ignored", "bond0.pcap", pcap(ignored(&[300.0, 304.0, 311.0], 330.0))),
        Case {
            folder: "dhcp/renewal-answers-lost-on-this-host",
            files: vec![
                ("bond0.pcap", pcap(ignored(&[300.0, 304.0, 311.0, 319.0], 330.0))),
                ("tap3f2a91c0-5d.pcap", pcap(on_the_tap())),
            ],
        },
        case("dhcp/lease-expired-in-use", "bond0.pcap", pcap(expired(&[590.0, 612.0, 640.0]))),
        case("dhcp/lease-expired-and-given-away", "bond0.pcap", pcap(given_away())),
        case("dhcp/released-and-still-used", "bond0.pcap", pcap(released(GUEST, &[9.5, 12.0, 22.0]))),
        case("dhcp/released-by-the-cloud-and-still-used", "bond0.pcap", pcap(released(NODE, &[12.0, 22.0]))),
        case("dhcp/listed-lease-ended-unanswered", "bond0.pcap", pcap(listed_and_unanswered())),
        case("dhcp/listed-lease-expired-in-use", "bond0.pcap", pcap(listed(&[590.0, 655.0, 671.0]))),
        case("healthy/dhcp-listed-lease-renewed-unseen", "bond0.pcap", pcap(listed(&[590.0, 655.0, 671.0]))),
        case("healthy/dhcp-listed-lease-renewed", "bond0.pcap", pcap(listed_and_renewed())),
        case("healthy/dhcp-release-at-shutdown", "bond0.pcap", pcap(released(GUEST, &[10.4, 11.9]))),
        case("healthy/dhcp-release-of-a-deleted-instance", "bond0.pcap", pcap(released(NODE, &[9.0]))),
        case("healthy/dhcp-lease-ended-and-left", "bond0.pcap", pcap(expired(&[590.0]))),
        case("healthy/dhcp-ack-after-five-seconds", "bond0.pcap", pcap(late_grant())),
        case("healthy/dhcp-renewals-by-broadcast", "bond0.pcap", pcap(broadcast_by_habit())),
        case("healthy/host-slept-through-the-answers", "bond0.pcap", pcap(slept())),
        case("healthy/dhcp-renewals", "bond0.pcap", pcap(renewals())),
        case("healthy/dhcp-renewal-lost-once", "bond0.pcap", pcap(lost_once())),
    ]
}

/// A whole exchange in 30 ms, for ten minutes.
pub fn leased(t: f64, xid: u32, client: Mac, address: Ipv4Addr) -> Vec<Shot> {
    vec![
        at(t, discover(xid, client).asked(VLAN)),
        at(t + 0.01, offer(xid, client, SERVER_IP, address).lasting(LEASE).told(VLAN, SERVER, SERVER_IP)),
        at(t + 0.02, select(xid, client, SERVER_IP, address).asked(VLAN)),
        granted(t + 0.03, xid, client, address),
    ]
}

fn granted(t: f64, xid: u32, client: Mac, address: Ipv4Addr) -> Shot {
    at(t, ack(xid, client, SERVER_IP, address).lasting(LEASE).told(VLAN, SERVER, SERVER_IP))
}

/// The guest asks its server at `t` to keep its address, `secs` seconds after it began to ask.
fn renewing(t: f64, secs: f64) -> Shot {
    at(t, renew(XID, GUEST, GUEST_IP).secs(secs as u16).asked_of(VLAN, SERVER, SERVER_IP))
}

/// The same by broadcast.
fn rebinding(t: f64, secs: f64) -> Shot {
    at(t, renew(XID, GUEST, GUEST_IP).secs(secs as u16).asked(VLAN))
}

/// Everybody else is well until `until`: a ping of the neighbour is answered then.
fn others(until: f64) -> Vec<Shot> {
    let asked = frame().from(SERVER).to(NEIGHBOUR).tags(VLAN).ipv4(SERVER_IP, NEIGHBOUR_IP).ping(1, 100);
    let answered = frame().from(NEIGHBOUR).to(SERVER).tags(VLAN).ipv4(NEIGHBOUR_IP, SERVER_IP).pong(1, 100);
    vec![at(until, asked), at(until + 0.001, answered)]
}

fn unanswered(times: &[f64], until: f64) -> Vec<Shot> {
    let tries = times.iter().map(|t| renewing(*t, t - times[0])).collect();
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), tries, others(until)])
}

fn unanswered_by_anybody() -> Vec<Shot> {
    in_order(vec![unanswered(&[300.0, 304.0, 412.0], 540.0), vec![rebinding(525.0, 225.0), rebinding(529.0, 229.0)]])
}

/// The guest asks until its lease ends and starts over; the server comes back half a minute later.
fn ended_unanswered() -> Vec<Shot> {
    let starts_over = [601.0, 605.2].map(|t| at(t, discover(XID + 1, GUEST).secs((t - 601.0) as u16).asked(VLAN)));
    in_order(vec![unanswered_by_anybody(), starts_over.into(), others(606.5)])
}

/// Three guests that booted half a minute apart renew in vain, in that order.
fn renews_nobody() -> Vec<Shot> {
    let client = |i: u8| Mac([0xfa, 0x16, 0x3e, 0x66, 0x00, i]);
    let story = |i: u8| {
        let (start, ip, xid) = (20.0 * f64::from(i), Ipv4Addr::new(10, 20, 0, 60 + i), XID + u32::from(i));
        let ask = |t: f64| at(start + t, renew(xid, client(i), ip).asked_of(VLAN, SERVER, SERVER_IP));
        [leased(start, xid, client(i), ip), vec![ask(300.0), ask(304.0), ask(311.0)]].concat()
    };
    in_order((0..3).map(story).collect())
}

/// Three guests renew in vain, and then ask everybody: a second server, which shares the list of leases, grants what they want.
fn another_renews() -> Vec<Shot> {
    let story = |i: u8| {
        let client = Mac([0xfa, 0x16, 0x3e, 0x66, 0x00, i]);
        let (start, ip, xid) = (20.0 * f64::from(i), Ipv4Addr::new(10, 20, 0, 60 + i), XID + u32::from(i));
        let grant = ack(xid, client, SECOND_IP, ip).router(SERVER_IP).lasting(LEASE).told(VLAN, SECOND, SECOND_IP);
        let asked = renew(xid, client, ip).secs(225).asked(VLAN);
        vec![at(start + 525.0, asked), at(start + 525.002, grant)]
    };
    in_order(vec![renews_nobody(), (0..3).flat_map(story).collect()])
}

/// Three guests whose leases are older than the capture ask everybody to keep their addresses, in vain; then the server is back, and all are granted.
fn renews_nobody_by_broadcast() -> Vec<Shot> {
    let client = |i: u8| (Mac([0xfa, 0x16, 0x3e, 0x66, 0x00, i]), Ipv4Addr::new(10, 20, 0, 60 + i), XID + u32::from(i));
    let story = |i: u8| {
        let (start, (mac, ip, xid)) = (20.0 + 0.5 * f64::from(i), client(i));
        let ask = |t: f64| at(start + t, renew(xid, mac, ip).asked(VLAN));
        vec![ask(0.0), ask(4.0), ask(11.0), ask(40.0), granted(start + 40.002, xid, mac, ip)]
    };
    in_order((0..3).map(story).chain([others(10.0), others(90.0)]).collect())
}

/// Five renewals, each half a lease after the one before, all answered; the transaction stays that of the beginning, as dhclient has it.
fn renewals() -> Vec<Shot> {
    let renewal = |i: u32| {
        let t = 299.7 * f64::from(i);
        vec![renewing(t, 0.0), granted(t + 0.002, XID, GUEST, GUEST_IP)]
    };
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), (1..6).flat_map(renewal).collect()])
}

/// The first renewal is lost; the second, seven seconds later, is answered.
fn lost_once() -> Vec<Shot> {
    let tries = vec![renewing(300.0, 0.0), renewing(307.0, 7.0), granted(307.002, XID, GUEST, GUEST_IP)];
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), tries, others(330.0)])
}

/// An offer that the guest takes three times, without an answer.
fn taken_in_vain() -> Vec<Shot> {
    let mut shots = leased(0.0, XID, GUEST, GUEST_IP);
    shots.pop();
    let again = |t: f64| at(t, select(XID, GUEST, SERVER_IP, GUEST_IP).secs(t as u16).asked(VLAN));
    shots.extend([again(4.1), again(12.3)]);
    shots
}

fn starts_over() -> Vec<Shot> {
    in_order(vec![taken_in_vain(), vec![at(20.0, discover(XID + 1, GUEST).asked(VLAN))], others(21.0)])
}

/// The first grant is lost, the second comes five seconds after the offer was taken.
fn late_grant() -> Vec<Shot> {
    let mut shots = taken_in_vain();
    shots.truncate(4);
    in_order(vec![shots, vec![granted(5.0, XID, GUEST, GUEST_IP)], others(20.0)])
}

/// The guest renews at these times, and 2 ms later is granted what it asks for.
fn ignored(times: &[f64], until: f64) -> Vec<Shot> {
    let tries = times.iter().flat_map(|t| [renewing(*t, t - times[0]), granted(t + 0.002, XID, GUEST, GUEST_IP)]);
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), tries.collect(), others(until)])
}

/// What of `ignored` the guest's tap shows: the beginning whole, then only what the guest sends, without the VLAN's tag.
fn on_the_tap() -> Vec<Shot> {
    let ask = |t: f64| at(t, renew(XID, GUEST, GUEST_IP).secs((t - 300.0) as u16).asked_of(&[], SERVER, SERVER_IP));
    let offered = offer(XID, GUEST, SERVER_IP, GUEST_IP).lasting(LEASE).told(&[], SERVER, SERVER_IP);
    let granted = ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(LEASE).told(&[], SERVER, SERVER_IP);
    let begun = vec![
        at(0.0, discover(XID, GUEST).asked(&[])),
        at(0.01, offered),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(&[])),
        at(0.03, granted),
    ];
    [begun, vec![ask(300.0), ask(304.0), ask(311.0), ask(319.0)]].concat()
}

/// A client that broadcasts every renewal, from half of its lease on, and is answered.
pub fn broadcast_by_habit() -> Vec<Shot> {
    let renewal = |i: u32| {
        let t = 300.0 * f64::from(i);
        vec![rebinding(t, 0.0), granted(t + 0.002, XID, GUEST, GUEST_IP)]
    };
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), (1..6).flat_map(renewal).collect()])
}

/// A guest has a lease of ten minutes, its neighbour asks for an address, the server looks for the guest; then the host sleeps for a quarter of an hour.
/// When it wakes, both have an address.
fn slept() -> Vec<Shot> {
    let asking = [95.0, 99.1].map(|t| at(t, discover(XID + 1, NEIGHBOUR).secs((t - 95.0) as u16).asked(VLAN)));
    let looked = [97.9, 98.9, 99.9].map(|t| at(t, frame().from(SERVER).tags(VLAN).arp_request(SERVER_IP, GUEST_IP)));
    let pings = [60.0, 1_001.0, 1_020.0, 1_040.0].map(ping).concat();
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), asking.into(), looked.into(), pings, others(1_003.0)])
}

/// The guest pings its server at `t` and is answered.
fn ping(t: f64) -> Vec<Shot> {
    let asked = frame().from(GUEST).to(SERVER).tags(VLAN).ipv4(GUEST_IP, SERVER_IP).ping(1, 100);
    let answered = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(SERVER_IP, GUEST_IP).pong(1, 100);
    vec![at(t, asked), at(t + 0.001, answered)]
}

/// A lease that is not renewed, and pings from its address.
pub fn expired(pings: &[f64]) -> Vec<Shot> {
    let pings = pings.iter().flat_map(|t| ping(*t)).collect();
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), pings, others(650.0)])
}

/// Pings of a guest whose lease was granted before the capture.
fn listed(pings: &[f64]) -> Vec<Shot> {
    in_order(vec![pings.iter().flat_map(|t| ping(*t)).collect(), others(700.0)])
}

/// Such a guest asks for half of its lease to keep its address, and goes on using it.
fn listed_and_unanswered() -> Vec<Shot> {
    let tries = [300.0, 304.0, 412.0].map(|t| renewing(t, t - 300.0)).into_iter();
    let tries = tries.chain([525.0, 529.0].map(|t| rebinding(t, t - 300.0))).collect();
    in_order(vec![tries, listed(&[120.0, 590.0, 603.0, 655.0, 671.0])])
}

/// Such a guest is granted what it asks for.
fn listed_and_renewed() -> Vec<Shot> {
    let renewal = vec![renewing(300.0, 0.0), granted(300.002, XID, GUEST, GUEST_IP)];
    in_order(vec![renewal, listed(&[120.0, 590.0, 655.0, 671.0])])
}

fn given_away() -> Vec<Shot> {
    in_order(vec![expired(&[590.0, 612.0, 640.0]), leased(620.0, XID + 1, NEIGHBOUR, GUEST_IP)])
}

/// A lease that `by` gives back at 10 s, and pings from its address.
pub fn released(by: Mac, pings: &[f64]) -> Vec<Shot> {
    let told = release(XID + 1, GUEST, SERVER_IP, GUEST_IP);
    let link = frame().from(by).to(SERVER).tags(VLAN);
    let told = at(10.0, link.ipv4(GUEST_IP, SERVER_IP).udp(68, 67).dhcp(&told));
    let pings = pings.iter().flat_map(|t| ping(*t)).collect();
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), vec![told], pings, others(30.0)])
}
