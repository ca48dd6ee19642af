//! What looks like a fault and is none: each of these raises nothing, or nothing above information.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::frame;
use super::super::stp::{BRIDGES, Bridge};
use super::super::tcp::{End, Talk, Who};
use super::super::{BRIDGE, GUEST, GUEST_IP, Link, NODE, SERVER, SERVER_IP, SWITCH, Shot, at, pcap, pcap_cut};
use super::cap::download_in;
use super::dhcp::in_order;
use super::{Case, c_tags, case, echo};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 8_080 };

pub fn cases() -> Vec<Case> {
    let service = [(0x88a8, 2_000), (0x8100, 100)];
    vec![
        case("healthy/full-size-in-one-tag", "bond0.pcap", pcap(both_ways(&c_tags(&[100]), 1_460))),
        case("healthy/double-vlan-1496", "bond0.pcap", pcap(both_ways(&c_tags(&[20, 100]), 1_456))),
        case("healthy/double-vlan-acknowledged", "bond0.pcap", pcap(both_ways(&c_tags(&[20, 100]), 1_460))),
        case("healthy/double-vlan-super-frames-mss-1456", "bond0.pcap", pcap(download_in(&c_tags(&[20, 100]), 1_456))),
        case("healthy/provider-bridging-jumbo", "bond0.pcap", pcap(both_ways(&service, 8_960))),
        case("healthy/begun-in-mid-connection", "bond0.pcap", pcap(begun_in_mid_connection())),
        case("healthy/two-taps-put-together", "span.pcap", pcap(two_taps())),
        Case { folder: "healthy/two-taps-in-two-files", files: two_files() },
        case("healthy/tcp-in-fragments", "bond0.pcap", pcap(tcp_in_fragments())),
        case("healthy/lacp-lldp-garp", "eth0.pcap", pcap(neighbours())),
        case("healthy/switch-pvst", "bond0.pcap", pcap(switch_pvst())),
        case("healthy/switch-bpdu-inside-vxlan", "eth0.pcap", pcap(bpdu_in_vxlan())),
        case("healthy/tenants-behind-gre-keys", "eth0.pcap", pcap(tenants_in_gre())),
        case("healthy/carries-what-is-not-read", "eth0.pcap", pcap(labelled_and_encrypted())),
        case("healthy/tag-inside-vxlan", "eth0.pcap", pcap(tag_in_vxlan())),
        case("healthy/vlan-devices-on-the-bond", "bond0.pcap", pcap(both_ways(&c_tags(&[100]), 1_460))),
        case("healthy/snap-length-cuts-payload-only", "bond0.pcap", pcap_cut(96, both_ways(&c_tags(&[100]), 1_460))),
    ]
}

/// Two nodes speak through IPsec behind address translation, and two routers in labels; between them a frame is mirrored that asks in vain.
fn labelled_and_encrypted() -> Vec<Shot> {
    let asks = frame().from(GUEST).arp_request(GUEST_IP, SERVER_IP);
    let pairs = [(SERVER, SERVER_IP, GUEST, GUEST_IP), (GUEST, GUEST_IP, SERVER, SERVER_IP)];
    let both = (0..20).flat_map(|n| {
        pairs.map(move |(mac, ip, to, peer)| {
            let link = frame().from(mac).to(to);
            let sealed = [&[0, 0, 0x10, 1, 0, 0, 0, n][..], &[0xa5; 120]].concat();
            (
                f64::from(n),
                link.clone().ethertype(0x8847, &[0, 0x01, 0x01, 64, 0x45]),
                link.ipv4(ip, peer).udp(4_500, 4_500).bytes(&sealed),
            )
        })
    });
    let shots = both.flat_map(|(t, labelled, encrypted)| [at(t, labelled), at(t + 0.1, encrypted)]);
    let mirrored = (0..5).map(|n| at(0.5 + f64::from(n), frame().ethertype(0x88e5, &asks)));
    in_order(vec![shots.collect(), mirrored.collect()])
}

/// Small and full segments in both directions, every one acknowledged.
fn both_ways(tags: &[(u16, u16)], full: u16) -> Vec<Shot> {
    let mut talk = Talk::new(CLIENT, SERVICE, tags);
    talk.handshake(0.0, full).exchange(0.1, Who::Caller, 81);
    for i in 0..4 {
        let t = 0.2 + 0.1 * f64::from(i);
        talk.exchange(t, Who::Called, full.into()).exchange(t + 0.05, Who::Caller, full.into());
    }
    talk.shots()
}

/// The capture begins while segments are on their way, among them some sent again and some acknowledged before; then it shows all.
fn begun_in_mid_connection() -> Vec<Shot> {
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(&[100]));
    for i in 0..12 {
        talk.say(0.0, Who::Called, 1_000).uncaptured();
        let t = 0.01 * f64::from(i);
        talk.acknowledge(t, Who::Caller).resend(t + 0.005, Who::Called, 5_000 + 1_000 * i, 1_000);
    }
    download_on(&mut talk, 0.2, 20);
    talk.shots()
}

/// So many segments, 10 ms apart, each acknowledged; and two seconds later one more.
fn download_on(talk: &mut Talk, start: f64, segments: u32) {
    for i in 0..segments {
        talk.exchange(start + 0.01 * f64::from(i), Who::Called, 1_000);
    }
    talk.exchange(start + 3.0, Who::Called, 1_000);
}

/// One tap a direction, their clocks 40 ms apart, put together in the order of the file: what is acknowledged comes behind.
fn two_taps() -> Vec<Shot> {
    let mut talk = Talk::new(CLIENT, SERVICE, &c_tags(&[100]));
    talk.handshake(0.0, 1_460);
    download_on(&mut talk, 0.1, 60);
    let is_late = |shot: &Shot| shot.source() == GUEST;
    let mut shots: Vec<Shot> =
        talk.shots().into_iter().map(|s| if is_late(&s) { s.later(40_000) } else { s }).collect();
    shots.sort_by_key(Shot::nanos);
    shots
}

/// One tap a direction, a file each: together they show both.
fn two_files() -> Vec<(&'static str, Vec<u8>)> {
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(&[100]));
    for i in 0..210 {
        talk.exchange(0.01 * f64::from(i), Who::Called, 16).exchange(0.01 * f64::from(i) + 0.005, Who::Caller, 16);
    }
    let (up, down) = talk.shots().into_iter().partition(|shot| shot.source() == GUEST);
    vec![("span-down.pcap", pcap(down)), ("span-up.pcap", pcap(up))]
}

/// A sender that lets its packets be fragmented: each segment travels in two, and both arrive.
fn tcp_in_fragments() -> Vec<Shot> {
    let mut talk = Talk::new(CLIENT, SERVICE, &[]);
    talk.handshake(0.0, 1_460);
    download_on(&mut talk, 0.1, 30);
    talk.shots()
        .into_iter()
        .flat_map(|shot| if shot.source() == GUEST { shot.in_fragments(600) } else { vec![shot] })
        .collect()
}

/// LACP both ways, LLDP to its own group and to the bridges' group, GVRP behind the same LLC header as STP.
fn neighbours() -> Vec<Shot> {
    let switch = || frame().from(SWITCH);
    let each_second = |i: u8| {
        let t = f64::from(i);
        vec![at(t, switch().lacp(NODE)), at(t + 0.1, frame().from(NODE).lacp(SWITCH))]
    };
    let mut shots: Vec<Shot> = (0..5).flat_map(each_second).collect();
    shots.push(at(5.0, switch().lldp(netdiag::value::Mac([0x01, 0x80, 0xc2, 0, 0, 0x0e]))));
    shots.push(at(5.1, switch().lldp(BRIDGES)));
    shots.push(at(5.2, switch().gvrp()));
    shots.extend(echo(6.0, &c_tags(&[100]), 1, 100));
    shots
}

/// A switch with a tree a VLAN on a trunk: VLANs 20 and 30, tagged as PVST+ is.
fn switch_pvst() -> Vec<Shot> {
    let hello = |i: u8| {
        [20_u16, 30].map(|vlan| {
            let bridge = Bridge { priority: 0x8000 + vlan, mac: BRIDGE };
            at(
                2.0 * f64::from(i) + f64::from(vlan) / 1_000.0,
                frame().from(SWITCH).tag(vlan).pvst_bpdu(&bridge.pvst(vlan)),
            )
        })
    };
    [(0..3).flat_map(hello).collect(), echo(6.0, &c_tags(&[20]), 1, 100)].concat()
}

/// A tunnel end sends this to another.
fn tunnelled(t: f64, inner: &[u8]) -> Shot {
    let (here, there) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));
    at(t, frame().from(NODE).to(SERVER).ipv4(here, there).udp(49_152, 4_789).vxlan(7_000, inner))
}

/// A virtual switch speaks STP in its overlay: no switch of this network hears it.
fn bpdu_in_vxlan() -> Vec<Shot> {
    let inner = frame().from(SWITCH).bpdu(&Bridge { priority: 0x8000, mac: BRIDGE }.config());
    (0..3).map(|i| tunnelled(2.0 * f64::from(i), &inner)).collect()
}

/// Two tenants have the same addresses, each its own guest and gateway; a virtual switch of one of them speaks STP. A GRE key tells them apart.
fn tenants_in_gre() -> Vec<Shot> {
    let (here, there) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));
    let send = |t: f64, key, inner: Vec<u8>| at(t, frame().from(NODE).to(SERVER).ipv4(here, there).gre(key, &inner));
    let back = |t: f64, key, inner: Vec<u8>| at(t, frame().from(SERVER).to(NODE).ipv4(there, here).gre(key, &inner));
    let tenant = |i: u8| {
        let (guest, gateway) = (Mac([0xfa, 0x16, 0x3e, 0x44, i, 5]), Mac([0xfa, 0x16, 0x3e, 0x44, i, 1]));
        let (t, key) = (3.0 * f64::from(i), 10 + u32::from(i));
        let meet = move |n: u8| {
            let t = t + 8.0 * f64::from(n);
            [
                send(t, key, frame().from(guest).arp_request(GUEST_IP, SERVER_IP)),
                back(t + 0.0005, key, frame().from(gateway).to(guest).arp_reply(SERVER_IP, GUEST_IP)),
                back(t + 1.0, key, frame().from(gateway).arp_request(SERVER_IP, GUEST_IP)),
                send(t + 1.0005, key, frame().from(guest).to(gateway).arp_reply(GUEST_IP, SERVER_IP)),
            ]
        };
        (0..8).flat_map(meet).collect::<Vec<Shot>>()
    };
    let switch = frame().from(SWITCH).bpdu(&Bridge { priority: 0x8000, mac: BRIDGE }.config());
    let hellos = (0..30).map(|i| back(2.0 * f64::from(i), 11, switch.clone())).collect();
    in_order(vec![tenant(0), tenant(1), hellos])
}

/// One tag outside the tunnel, one inside: two links, one tag each.
fn tag_in_vxlan() -> Vec<Shot> {
    let (here, there) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));
    let inner = |seq| frame().from(GUEST).to(SERVER).tag(100).ipv4(GUEST_IP, SERVER_IP).ping(seq, 100);
    let outer: Link = frame().from(NODE).to(SERVER).tag(20);
    let send = |i: u16| at(f64::from(i), outer.clone().ipv4(here, there).udp(49_152, 4_789).vxlan(7_000, &inner(i)));
    (0..4).map(send).collect()
}
