//! Neighbours of IPv6: two with one address, what only looks like it, and what a router says of itself.

use std::net::Ipv6Addr;

use netdiag::value::Mac;

use super::super::frame::frame;
use super::super::{GUEST, NEIGHBOUR, SERVER, Shot, at, pcap};
use super::dhcp::in_order;
use super::{Case, case};

/// The second one with the guest's address.
const TWIN: Mac = Mac([0xfa, 0x16, 0x3e, 0x99, 0x00, 0x01]);
/// Asked, and overriding what was known; the same unasked; asked, and overriding nobody (RFC 4861 section 4.4).
const ANSWER: u8 = 0x60;
const ANNOUNCEMENT: u8 = 0x20;
const PROXY: u8 = 0x40;

pub fn cases() -> Vec<Case> {
    vec![
        case("arp/two-answers-to-one-solicitation", "bond0.pcap", pcap(both_answer(ANSWER))),
        case("arp/two-neighbours-with-one-ipv6-address", "bond0.pcap", pcap(in_turn())),
        case("healthy/neighbour-proxies-answer-too", "bond0.pcap", pcap(both_answer(PROXY))),
        case("healthy/neighbour-probe-answered", "bond0.pcap", pcap(probed())),
        case("healthy/neighbour-hands-its-address-over", "bond0.pcap", pcap(handed_over())),
        case("healthy/router-and-its-neighbours", "bond0.pcap", pcap(router())),
    ]
}

const fn host(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

/// The group of all that may have `target` (RFC 4291 section 2.7.1), and its address on the link.
fn group(target: Ipv6Addr) -> (Mac, Ipv6Addr) {
    let [.., a, b, c] = target.octets();
    let last = u16::from_be_bytes([b, c]);
    (Mac([0x33, 0x33, 0xff, a, b, c]), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), last))
}

const ALL: (Mac, Ipv6Addr) = (Mac([0x33, 0x33, 0, 0, 0, 1]), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));

fn asks(t: f64, mac: Mac, own: Ipv6Addr, wanted: Ipv6Addr) -> Shot {
    let (to, all) = group(wanted);
    at(t, frame().from(mac).to(to).neighbour_solicitation((own, all), wanted))
}

fn answers(t: f64, mac: Mac, own: Ipv6Addr, (to, asker): (Mac, Ipv6Addr), flags: u8) -> Shot {
    at(t, frame().from(mac).to(to).neighbour_advertisement((own, asker), own, flags))
}

/// The server asks for the guest's address three times; the guest answers, and another, with these flags.
fn both_answer(other: u8) -> Vec<Shot> {
    let story = (0..3).flat_map(|i| {
        let t = 10.0 + 10.0 * f64::from(i);
        [
            asks(t, SERVER, host(2), host(15)),
            answers(t + 0.0004, GUEST, host(15), (SERVER, host(2)), ANSWER),
            answers(t + 0.0008, TWIN, host(15), (SERVER, host(2)), other),
        ]
    });
    story.collect()
}

/// The guest and its twin look for the router in turn, each from the same address.
fn in_turn() -> Vec<Shot> {
    let turns = (0..6).flat_map(|i| {
        let (t, mac) = (10.0 + 8.0 * f64::from(i), if i % 2 == 0 { GUEST } else { TWIN });
        [asks(t, mac, host(15), host(2)), answers(t + 0.0003, SERVER, host(2), (mac, host(15)), ANSWER)]
    });
    turns.collect()
}

/// The guest has the address; another looks whether it is free, is told that it is not, and takes another one.
fn probed() -> Vec<Shot> {
    let looks = |t: f64, wanted: Ipv6Addr| asks(t, TWIN, Ipv6Addr::UNSPECIFIED, wanted);
    vec![
        asks(5.0, SERVER, host(2), host(15)),
        answers(5.0004, GUEST, host(15), (SERVER, host(2)), ANSWER),
        looks(10.0, host(15)),
        answers(10.0005, GUEST, host(15), ALL, ANNOUNCEMENT),
        looks(11.0, host(16)),
        asks(13.0, TWIN, host(16), host(2)),
        answers(13.0004, SERVER, host(2), (TWIN, host(16)), ANSWER),
        asks(20.0, SERVER, host(2), host(15)),
        answers(20.0004, GUEST, host(15), (SERVER, host(2)), ANSWER),
    ]
}

/// A virtual address moves from one router to the other with an announcement, and back two minutes later with another.
fn handed_over() -> Vec<Shot> {
    let takes = |t: f64, mac: Mac| answers(t, mac, host(1), ALL, ANNOUNCEMENT);
    let found = |t: f64, mac: Mac| {
        [asks(t, GUEST, host(15), host(1)), answers(t + 0.0004, mac, host(1), (GUEST, host(15)), ANSWER)]
    };
    let stories = [
        vec![takes(1.0, SERVER)],
        found(5.0, SERVER).to_vec(),
        vec![takes(30.0, NEIGHBOUR)],
        [35.0, 80.0, 120.0].into_iter().flat_map(|t| found(t, NEIGHBOUR)).collect(),
        vec![takes(150.0, SERVER)],
        found(155.0, SERVER).to_vec(),
    ];
    in_order(stories.to_vec())
}

/// A router advertises itself every ten seconds; guests come up, look whether their addresses are free, and find it.
fn router() -> Vec<Shot> {
    let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let says = |t: f64| at(t, frame().from(SERVER).to(ALL.0).router_advertisement(own, 1_500));
    let comes = |i: u8| {
        let (mac, ip) = (Mac([0xfa, 0x16, 0x3e, 0x55, 0, i]), host(0x100 + u16::from(i)));
        let t = 1.0 + 0.05 * f64::from(i);
        [
            asks(t, mac, Ipv6Addr::UNSPECIFIED, ip),
            asks(t + 1.2, mac, ip, own),
            answers(t + 1.2004, SERVER, own, (mac, ip), ANSWER),
        ]
    };
    in_order(vec![(0..4).map(|i| says(10.0 * f64::from(i))).collect(), (0..50).flat_map(comes).collect()])
}
