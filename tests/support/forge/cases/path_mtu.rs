//! Path MTU: what routers say about sizes, and what senders make of it.

use std::net::Ipv4Addr;

use super::super::frame::pattern;
use super::super::tcp::{End, Talk, Who};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SECOND, SERVER, SERVER_IP, Shot, at, frame, pcap,
};
use super::{Case, c_tags, case};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SSHD: End = End { mac: GUEST, ip: GUEST_IP, port: 22 };
/// A host beyond the router.
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
/// The router, as it appears on the guest's network.
const ROUTER_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

pub fn cases() -> Vec<Case> {
    vec![
        case("mtu/path-mtu-reduced", "eth0.pcap", pcap(reduced())),
        case("mtu/path-mtu-not-told", "eth0.pcap", pcap(not_told())),
        case("mtu/path-mtu-message-ignored", "eth0.pcap", pcap(ignored())),
        case("mtu/path-mtu-message-ignored-by-the-guest", "guest.pcapng", ignored_by_guest()),
        case("mtu/path-mtu-message-ignored-in-a-file-called-guest", "guest.pcap", pcap(ignored_beside_others())),
        case("mtu/path-mtu-message-ignored-at-tap-and-bond", "node.pcapng", ignored_at_both()),
        case("mtu/path-mtu-message-heeded-late", "eth0.pcap", pcap(heeded_late())),
        case("mtu/mss-in-two-tags", "bond0.pcap", pcap(mss_in_two_tags())),
        case("mtu/mss-in-vxlan", "eth0.pcap", pcap(mss_in_vxlan())),
        case("mtu/recovered-by-smaller-segments", "eth0.pcap", pcap(recovered())),
        case("healthy/double-vlan-mss-fits", "bond0.pcap", pcap(mss_fits())),
    ]
}

/// A datagram of L = `length` from the guest to the far host, which must not be parted.
fn datagram(length: usize) -> Vec<u8> {
    frame().from(GUEST).to(SECOND).ipv4(GUEST_IP, FAR).udp(5_000, 6_000).bytes(&pattern(0, length - 28))
}

/// The router says that `lost` was too large.
fn message(seconds: f64, mtu: u16, lost: &[u8]) -> Shot {
    at(seconds, frame().from(SECOND).to(GUEST).ipv4(ROUTER_IP, GUEST_IP).too_big(mtu, lost)).inward()
}

fn sent(seconds: f64, length: usize) -> Shot {
    at(seconds, datagram(length)).outward()
}

/// One packet is too large, the router says 1450, and from then on they fit.
fn reduced() -> Vec<Shot> {
    let rest = (0..10).map(|i| sent(0.1 + f64::from(i), 1_450));
    [sent(0.0, 1_500), message(0.002, 1_450, &datagram(1_500))].into_iter().chain(rest).collect()
}

/// The router does not say what would fit; the sender guesses.
fn not_told() -> Vec<Shot> {
    let rest = (0..4).map(|i| sent(0.1 + f64::from(i), 1_006));
    [sent(0.0, 1_500), message(0.002, 0, &datagram(1_500))].into_iter().chain(rest).collect()
}

/// The router says 1450 each time, and the sender goes on as before.
fn ignored() -> Vec<Shot> {
    (0..8).flat_map(|i| [sent(f64::from(i), 1_500), message(f64::from(i) + 0.002, 1_450, &datagram(1_500))]).collect()
}

/// The same, seen inside the guest.
fn ignored_by_guest() -> Vec<u8> {
    Pcapng::with_interfaces(&["guest"]).frames(ignored()).bytes()
}

/// The same, and two others talk: nobody's own port shows that.
fn ignored_beside_others() -> Vec<Shot> {
    let to = frame().from(NEIGHBOUR).to(SERVER).ipv4(NEIGHBOUR_IP, SERVER_IP).ping(1, 100);
    let back = frame().from(SERVER).to(NEIGHBOUR).ipv4(SERVER_IP, NEIGHBOUR_IP).pong(1, 100);
    [at(-0.1, to), at(-0.099, back)].into_iter().chain(ignored()).collect()
}

/// The same, seen at the guest's tap and, in VLAN 20, at the bond.
fn ignored_at_both() -> Vec<u8> {
    let tagged = |shot: &Shot| {
        let tag = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 20], &frame[12..]].concat();
        shot.clone().inside(tag).on(1)
    };
    let both = (0..8).flat_map(|i| {
        let (out, back) = (sent(f64::from(i), 1_500), message(f64::from(i) + 0.002, 1_450, &datagram(1_500)));
        let (out_there, back_there) = (tagged(&out).later(20).outward(), tagged(&back).inward());
        [out.inward(), out_there, back_there, back.later(20).outward()]
    });
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames(both.collect()).bytes()
}

/// The same; then somebody opens the firewall, and the packets fit.
fn heeded_late() -> Vec<Shot> {
    ignored().into_iter().chain((0..20).map(|i| sent(10.0 + f64::from(i), 1_450))).collect()
}

/// Three connections in 20.100 that announce 1460 and carry little.
fn mss_in_two_tags() -> Vec<Shot> {
    (0..3).flat_map(|i| small_talk(i, 1_460, &c_tags(&[20, 100]))).collect()
}

/// The same with a size that fits.
fn mss_fits() -> Vec<Shot> {
    (0..3).flat_map(|i| small_talk(i, 1_456, &c_tags(&[20, 100]))).collect()
}

fn small_talk(i: u16, mss: u16, tags: &[(u16, u16)]) -> Vec<Shot> {
    let t = 2.0 * f64::from(i);
    let mut talk = Talk::new(End { port: 51_000 + i, ..CLIENT }, SSHD, tags);
    talk.handshake(t, mss).exchange(t + 0.1, Who::Caller, 36).exchange(t + 0.2, Who::Called, 120);
    talk.shots()
}

/// Three connections through a tunnel whose ends have an MTU of 1500 as well.
fn mss_in_vxlan() -> Vec<Shot> {
    let (here, there) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));
    let wrap = |shot: Shot| {
        let (from, to) = if shot.source() == GUEST { (here, there) } else { (there, here) };
        shot.inside(|inner| frame().from(SECOND).to(SERVER).ipv4(from, to).udp(49_152, 4_789).vxlan(7_000, inner))
    };
    (0..3).flat_map(|i| small_talk(i, 1_460, &[])).map(wrap).collect()
}

/// A segment of L = 1500 is sent four times in vain, then in two pieces, which arrive; from then on no packet is larger than 1040 bytes.
fn recovered() -> Vec<Shot> {
    let mut talk = Talk::new(CLIENT, SSHD, &[]);
    talk.handshake(0.0, 1_460).exchange(0.5, Who::Caller, 36).exchange(0.6, Who::Called, 120);
    let lost = talk.next(Who::Called);
    talk.lose(1.0, Who::Called, 1_460);
    for (typed, again) in [(1.1, 1.2), (1.5, 1.6), (2.2, 2.4), (3.9, 4.4)] {
        talk.exchange(typed, Who::Caller, 36).resend(again, Who::Called, lost, 1_460);
    }
    talk.resend(8.0, Who::Called, lost, 1_000).resend(8.001, Who::Called, lost + 1_000, 460);
    talk.arrived(8.002, Who::Caller);
    for i in 0..15 {
        talk.exchange(8.5 + f64::from(i), Who::Called, 1_000);
    }
    talk.shots()
}
