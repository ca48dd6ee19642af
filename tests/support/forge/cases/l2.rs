//! Frames that multiply, broadcasts without end, addresses that move, members that hear nothing; and what only looks like it.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use netdiag::value::Mac;

use super::super::stp::Port;
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, Pcapng, SECOND, SECOND_IP, SERVER, SERVER_IP, SWITCH, Shot, at,
    frame, pcap,
};
use super::guard::{by_time, stream};
use super::{Case, case};

const TAP: u32 = 0;
const BOND: u32 = 1;

pub fn cases() -> Vec<Case> {
    vec![
        case("l2/loop-of-three-copies", "bond0.pcapng", looped(3, 12)),
        case("l2/loop-of-many-copies", "bond0.pcapng", looped(37, 8)),
        case("healthy/repeats-that-are-no-loop", "node.pcapng", repeats()),
        case("l2/broadcast-storm", "bond0.pcap.gz", gz(&storm(1_500))),
        case("l2/broadcast-storm-of-ten-thousand", "bond0.pcap.gz", gz(&storm(10_500))),
        case("healthy/many-hosts-start-at-once", "bond0.pcap.gz", gz(&boot())),
        case("l2/address-comes-back", "node.pcapng", flapping(3)),
        case("l2/address-on-two-guests", "node.pcapng", flapping(14)),
        case("l2/guest-sends-as-its-neighbour", "node.pcapng", claimed(NEIGHBOUR, 2)),
        case("l2/guest-sends-as-its-neighbour-by-name", "node.pcapng", claimed(NEIGHBOUR, 10)),
        case("l2/guest-sends-as-the-node", "node.pcapng", claimed(NODE, 2)),
        case("healthy/nested-guests-behind-one-tap", "node.pcapng", nested()),
        case("healthy/guest-bonds-two-cards", "node.pcapng", claimed(NEIGHBOUR, 2)),
        case("healthy/live-migration", "node.pcapng", migration()),
        case("healthy/virtual-router-changes-hands", "node.pcapng", virtual_router()),
        case("host/member-hears-nothing", "node.pcapng", deaf_member(false)),
        case("host/member-hears-nothing-nor-lacp", "node.pcapng", deaf_member(true)),
    ]
}

/// gzip (RFC 1952) without a time.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn host(n: u16) -> (Mac, Ipv4Addr) {
    let [a, b] = n.to_be_bytes();
    (Mac([0xfa, 0x16, 0x3e, 0x70, a, b]), Ipv4Addr::new(10, 20, a + 1, b))
}

/// Two hosts in turn ask who has an address; each question comes `copies` times, a millisecond apart.
fn looped(copies: u32, questions: u32) -> Vec<u8> {
    let ask = |i: u32| {
        let (mac, own) = if i.is_multiple_of(2) { (SERVER, SERVER_IP) } else { (SECOND, SECOND_IP) };
        let asked =
            at(f64::from(i), frame().from(mac).tag(100).arp_request(own, Ipv4Addr::new(10, 20, 0, 100 + i as u8)));
        (0..copies).map(move |n| asked.clone().later(i64::from(n) * 1_000).inward())
    };
    Pcapng::with_interfaces(&["bond0"]).frames((0..questions).flat_map(ask).collect()).bytes()
}

/// Gratuitous ARP five times in a row, a discovery that its sender repeats three times, ARP retries each second; all at the bond and its member.
fn repeats() -> Vec<u8> {
    let mut shots = Vec::new();
    for i in 0..8 {
        let t = 2.0 * f64::from(i);
        for (mac, ip) in [(SERVER, SERVER_IP), (SECOND, SECOND_IP)] {
            shots.extend((0..5).map(|n| at(t + 0.002 * f64::from(n), frame().from(mac).arp_request(ip, ip)).inward()));
        }
        let group = (Ipv6Addr::LOCALHOST, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc));
        let segment = super::super::frame::Segment { seq: i as u32, ..Default::default() };
        let search = frame().from(SERVER).to(Mac([0x33, 0x33, 0, 0, 0, 0x0c])).tcp_over_ipv6(
            group,
            (1_900, 1_900),
            segment,
            b"search",
        );
        shots.extend((0..3).map(|n| at(t + 0.5 + 0.02 * f64::from(n), search.clone()).inward()));
        let asked = frame().from(SECOND).arp_request(SECOND_IP, Ipv4Addr::new(10, 20, 0, 99));
        shots.extend((0..2).map(|n| at(t + 0.7 + f64::from(n), asked.clone()).inward()));
    }
    let both = shots.into_iter().flat_map(|s| [s.clone().on(0), s.beside().on(1)]);
    Pcapng::with_interfaces(&["bond0", "eth2"]).frames(by_time(both.collect())).bytes()
}

/// Ten quiet seconds, then six in which one router asks for address after address, `rate` times a second, in bursts of 10 ms.
fn storm(rate: u32) -> Vec<u8> {
    let asked: Vec<Vec<u8>> =
        (0..16).map(|i| frame().from(SERVER).arp_request(SERVER_IP, Ipv4Addr::new(10, 21, 0, i))).collect();
    let before = (0..20_u32).map(|i| (f64::from(i) / 2.0, i));
    let loud = (0..6 * rate).map(|i| (10.0 + f64::from(i / (rate / 100)) / 100.0, i));
    pcap(before.chain(loud).map(|(t, i)| at(t, asked[i as usize % 16].clone())).collect())
}

/// Ten quiet seconds, then six in which 400 hosts each ask four times a second, in bursts of 10 ms.
fn boot() -> Vec<u8> {
    let asked: Vec<Vec<u8>> =
        (0..400).map(host).map(|(mac, own)| frame().from(mac).arp_request(own, SERVER_IP)).collect();
    let before = (0..20_u32).map(|i| (f64::from(i) / 2.0, i));
    let start = (0..6 * 4 * 400_u32).map(|i| (10.0 + f64::from(i / 16) / 100.0, i));
    pcap(before.chain(start).map(|(t, i)| at(t, asked[i as usize % 400].clone())).collect())
}

/// The neighbour sends from its tap; each time the network sends the frame back, half a second later, `moves` being twice the times and less one.
fn flapping(moves: u32) -> Vec<u8> {
    let say = |i: u32| {
        let link = frame().from(NEIGHBOUR).to(Mac::BROADCAST);
        let body = link.ipv4(NEIGHBOUR_IP, Ipv4Addr::BROADCAST).udp(7_000, 7_000).bytes(&i.to_be_bytes());
        let t = 2.0 * f64::from(i);
        let (there, here) = (at(t, body.clone()), at(t + 1.0, body));
        [there.clone().inward().on(TAP), there.later(20).outward().on(BOND), here.inward().on(BOND)]
    };
    let shots: Vec<Shot> = (0..moves / 2 + 1).flat_map(say).collect();
    let shots = if moves.is_multiple_of(2) { shots[..shots.len() - 1].to_vec() } else { shots };
    Pcapng::with_interfaces(&["tap77be0d14-a2", "bond0"]).frames(by_time(shots)).bytes()
}

/// The guest and its neighbour say something each second; every third second the guest does with the address `mac`, so many seconds long.
fn claimed(mac: Mac, until: u32) -> Vec<u8> {
    let (guest, neighbour) = (0, 1);
    let say = |from: Mac, t: f64| {
        let body = ((t * 10.0) as u32).to_be_bytes();
        at(t, frame().from(from).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(7_000, 7_000).bytes(&body))
    };
    let each = |i: u32| {
        let mut shots = vec![
            say(GUEST, f64::from(i)).inward().on(guest),
            say(NEIGHBOUR, f64::from(i) + 0.4).inward().on(neighbour),
        ];
        if i % 3 == 2 && i <= 2 + until {
            shots.push(say(mac, f64::from(i) + 0.7).inward().on(guest));
        }
        shots
    };
    // The bridge leads each of them out.
    let led_out = |shot: Shot| [shot.clone(), shot.later(20).outward().on(2)];
    let shots: Vec<Shot> = (0..20).chain((20..320).step_by(3)).flat_map(each).flat_map(led_out).collect();
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "tap77be0d14-a2", "bond0"]).frames(by_time(shots)).bytes()
}

/// Four containers inside a guest, each with an address of its own, beside the guest itself; one of them moves there from another node.
fn nested() -> Vec<u8> {
    let inner = |n: u8| Mac([0x02, 0x42, 0xac, 0x11, 0x00, n]);
    let say = |from: Mac, t: f64| {
        let body = ((t * 10.0) as u32).to_be_bytes();
        at(t, frame().from(from).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(7_000, 7_000).bytes(&body))
    };
    let each = |i: u32| {
        let t = f64::from(i);
        let mut shots = vec![say(GUEST, t).inward().on(0)];
        shots.extend((2..5).map(|n| say(inner(n), t + 0.1 * f64::from(n)).inward().on(0)));
        shots = shots.into_iter().flat_map(|shot| [shot.clone(), shot.later(20).outward().on(2)]).collect();
        let newcomer = say(inner(9), t + 0.8).inward();
        shots.push(if i < 10 { newcomer.on(2) } else { newcomer.on(0) });
        shots
    };
    let shots: Vec<Shot> = (0..30).flat_map(each).collect();
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "tap77be0d14-a2", "bond0"]).frames(by_time(shots)).bytes()
}

/// A guest leaves for another node, which announces it there by RARP, three times; then it answers from there.
fn migration() -> Vec<u8> {
    let here = |i: u32| {
        let said =
            at(f64::from(i), frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(7_000, 7_000).bytes(b"here"));
        [said.clone().inward().on(TAP), said.later(20).outward().on(BOND)]
    };
    let mut shots: Vec<Shot> = (0..10).flat_map(here).collect();
    for i in 0..3 {
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 3];
        body.extend([&GUEST.0[..], &[0; 4], &GUEST.0, &[0; 4]].concat());
        shots.push(at(10.0 + 0.1 * f64::from(i), frame().from(GUEST).ethertype(0x8035, &body)).inward().on(BOND));
    }
    for i in 11..20 {
        let said = frame().from(GUEST).to(NEIGHBOUR).ipv4(GUEST_IP, NEIGHBOUR_IP).udp(7_000, 7_000).bytes(b"there");
        shots.push(at(f64::from(i), said).inward().on(BOND));
    }
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames(by_time(shots)).bytes()
}

/// VRRP: a virtual router's address is a guest's of this node, then a router's elsewhere, then the guest's again, and so on.
fn virtual_router() -> Vec<u8> {
    let router = Mac([0x00, 0x00, 0x5e, 0x00, 0x01, 0x0a]);
    let say = |i: u32| {
        let said = at(2.0 * f64::from(i), frame().from(router).arp_request(GUEST_IP, GUEST_IP));
        if i.is_multiple_of(2) { said.inward().on(TAP) } else { said.inward().on(BOND) }
    };
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames((0..12).map(say).collect()).bytes()
}

/// Both members hear a stream; from 30 s on the second hears nothing, and with `lacp` it had heard LACPDUs, too.
fn deaf_member(lacp: bool) -> Vec<u8> {
    let on = |shots: Vec<Shot>, member: u32| shots.into_iter().map(move |s| s.on(member)).collect::<Vec<_>>();
    let other = stream(0.0, 30.0).into_iter().map(|s| s.later(70_000)).collect();
    let mut shots = [on(stream(0.0, 80.0), 0), on(other, 1)].concat();
    for member in (0..2_u32).filter(|_| lacp) {
        let (near, far) = (Port::in_step(NODE, member as u16 + 1), Port::in_step(SWITCH, member as u16 + 35));
        for i in 0..80 {
            let t = f64::from(i) + 0.3;
            if member == 0 || i < 30 {
                shots.push(at(t, frame().from(SWITCH).lacp_from(far, near)).inward().on(member));
            }
            shots.push(at(t + 0.01, frame().from(NODE).lacp_from(near, far)).outward().on(member));
        }
    }
    Pcapng::with_interfaces(&["eth2", "eth3"]).frames(by_time(shots)).bytes()
}
