//! Packets in pieces: all of them there, some of them lost.

use std::net::Ipv4Addr;

use super::super::frame::pattern;
use super::super::{GUEST, GUEST_IP, NODE, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, case, echo};

pub fn cases() -> Vec<Case> {
    vec![
        case("mtu/first-pieces-lost", "eth0.pcap", pcap(lost(20, 1))),
        case("mtu/few-pieces-lost", "eth0.pcap", pcap(few())),
        case("mtu/later-pieces-blocked", "eth0.pcap", pcap(lost(12, 0))),
        case("mtu/later-pieces-blocked-or-filtered", "eth0.pcap", pcap(only_by_port())),
        case("mtu/later-pieces-blocked-from-everywhere", "eth0.pcap", pcap(from_everywhere())),
        case("mtu/pieces-lost-then-whole", "eth0.pcap", pcap(then_whole())),
        case("mtu/tunnel-in-pieces", "bond0.pcap", pcap([tunnelled(5, 1_500, 2), silence(5.0)].concat())),
        case("mtu/tunnel-loses-pieces", "bond0.pcap", pcap([tunnelled(6, 1_500, 1), silence(6.0)].concat())),
        case("healthy/tunnel-of-1450", "bond0.pcap", pcap(tunnelled(5, 1_450, 2))),
        case("healthy/tunnel-with-room", "bond0.pcap", pcap(tunnel_with_room())),
        case("healthy/headers-damaged-in-a-capture", "eth0.pcap", pcap(damaged())),
        case("healthy/pieces-out-of-order", "eth0.pcap", pcap(out_of_order())),
        case("healthy/pieces-begun-before-the-capture", "eth0.pcap", pcap(begun_before())),
    ]
}

/// A datagram of 2000 bytes from the guest, in two pieces.
fn pieces(id: u16) -> Vec<Vec<u8>> {
    frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp_in_pieces((2_049, 700), id, 2_000, 1_500)
}

/// One datagram a second, of which only piece `kept` is there; afterwards pings for a minute, so that the wait is over.
fn lost(datagrams: u16, kept: usize) -> Vec<Shot> {
    let sent = (0..datagrams).map(|i| at(f64::from(i), pieces(i + 1)[kept].clone()));
    sent.chain(silence(f64::from(datagrams))).collect()
}

/// The same as a capture with the filter `port 700` shows it: nothing but first pieces, and short datagrams for a minute.
fn only_by_port() -> Vec<Shot> {
    let short = |i: u16| {
        frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(2_049, 700).bytes(&pattern(u32::from(i), 100))
    };
    let first = (0..12).map(|i| at(f64::from(i), pieces(i + 1)[0].clone()));
    first.chain((0..60).map(|i| at(12.0 + f64::from(i), short(i)))).collect()
}

/// A resolver behind a firewall: six servers all over the world answer it in two pieces, twice each, and only the first pieces come.
fn from_everywhere() -> Vec<Shot> {
    let answer = |i: u16| {
        let server = Ipv4Addr::new(203, 0, 113, 10 + (i % 6) as u8);
        let link = frame().from(SERVER).to(GUEST).ipv4(server, GUEST_IP);
        at(f64::from(i), link.udp_in_pieces((53, 40_000 + i), i + 1, 2_000, 1_500)[0].clone())
    };
    (0..12).map(answer).chain(silence(12.0)).collect()
}

/// Twelve datagrams, of which three lack their second piece.
fn few() -> Vec<Shot> {
    let whole = |i: u16| pieces(i + 1).into_iter().map(move |piece| at(f64::from(i), piece));
    let sent = (0..12).flat_map(|i| whole(i).take(if i % 4 == 1 { 1 } else { 2 }).collect::<Vec<_>>());
    sent.chain(silence(12.0)).collect()
}

/// Twelve datagrams without their first piece; then somebody mends the path, and all that follow are whole.
fn then_whole() -> Vec<Shot> {
    let mended = (0..150).flat_map(|i| pieces(i + 100).into_iter().map(move |piece| at(50.0 + f64::from(i), piece)));
    lost(12, 1).into_iter().filter(|shot| shot.nanos() < at(50.0, Vec::new()).nanos()).chain(mended).collect()
}

/// Datagrams whose headers were damaged afterwards, as by a program that tests others: they look like pieces, and their checksums tell.
fn damaged() -> Vec<Shot> {
    let whole = |i: u16| {
        let mut bytes =
            frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(2_049, 700).bytes(&pattern(7, 100));
        bytes[14 + 5] = 1 + i as u8;
        bytes[14 + 6] = if i.is_multiple_of(2) { 0x20 } else { 0x01 };
        at(f64::from(i), bytes)
    };
    (0..12).map(whole).chain(silence(12.0)).collect()
}

/// Each datagram is whole, its last piece before its first.
fn out_of_order() -> Vec<Shot> {
    let swapped = |i: u16| {
        let [first, last] = pieces(i + 1).try_into().unwrap();
        [at(f64::from(i), last), at(f64::from(i) + 0.01, first)]
    };
    (0..20).flat_map(swapped).chain(silence(20.0)).collect()
}

/// The first pieces that are seen belong to datagrams whose beginning was before the capture; all others are whole.
fn begun_before() -> Vec<Shot> {
    let tails = (0..4).map(|i| at(0.1 * f64::from(i), pieces(i + 1)[1].clone()));
    let whole = (0..4).flat_map(|i| pieces(i + 10).into_iter().map(move |piece| at(2.0 + f64::from(i), piece)));
    tails.chain(whole).chain(silence(6.0)).collect()
}

fn silence(start: f64) -> Vec<Shot> {
    (0..9).flat_map(|i| echo(start + 5.0 * f64::from(i), &[], 900 + i, 100)).collect()
}

/// The two nodes between which the tunnel goes.
const NODES: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));

/// The guest's datagram of L = `length`, as it is inside the tunnel.
fn inside(i: u16, length: usize) -> Vec<u8> {
    let link = frame().from(GUEST).to(SERVER);
    link.ipv4(GUEST_IP, SERVER_IP).udp(5_000, 6_000).bytes(&pattern(u32::from(i), length - 28))
}

/// One packet of L = `length` a second through VXLAN 42 over a network that takes 1500, of which the first `kept` pieces come.
fn tunnelled(packets: u16, length: usize, kept: usize) -> Vec<Shot> {
    let outer = || frame().from(NODE).to(SERVER).ipv4(NODES.0, NODES.1);
    let pieces = |i: u16| outer().vxlan_in_pieces(42, &inside(i, length), i + 1, 1_500);
    (0..packets).flat_map(|i| pieces(i).into_iter().take(kept).map(move |piece| at(f64::from(i), piece))).collect()
}

/// The same packets whole: the network below takes 1600.
fn tunnel_with_room() -> Vec<Shot> {
    let outer =
        |i| frame().from(NODE).to(SERVER).ipv4(NODES.0, NODES.1).udp(49_152, 4_789).vxlan(42, &inside(i, 1_500));
    (0..5).map(|i| at(f64::from(i), outer(i))).collect()
}
