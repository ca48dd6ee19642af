//! Packets in pieces: all of them there, some of them lost.

use super::super::{GUEST, GUEST_IP, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, case, echo};

pub fn cases() -> Vec<Case> {
    vec![
        case("mtu/first-pieces-lost", "eth0.pcap", pcap(lost(20, 1))),
        case("mtu/few-pieces-lost", "eth0.pcap", pcap(few())),
        case("mtu/later-pieces-blocked", "eth0.pcap", pcap(lost(12, 0))),
        case("mtu/pieces-lost-then-whole", "eth0.pcap", pcap(then_whole())),
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
