//! Spanning tree: frames that a switch port with BPDU guard answers by shutting down.

use super::super::stp::{Bridge, tcn};
use super::super::{GUEST, Link, NODE, Pcapng, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, case, echo};
use std::net::Ipv4Addr;

/// What a Linux bridge in a guest says: the default priority, its own address.
const GUEST_BRIDGE: Bridge = Bridge { priority: 0x8000, mac: GUEST };
const TAP: u32 = 0;
const BOND: u32 = 1;

pub fn cases() -> Vec<Case> {
    vec![
        case("stp/guest-bpdu-on-bond0", "bond0.pcap", pcap(every_hello(&GUEST_BRIDGE.config(), &[]))),
        case("stp/guest-bpdu-on-tap-and-bond0", "node.pcapng", node(true)),
        case("stp/guest-bpdu-contained", "node.pcapng", node(false)),
        Case { folder: "stp/guest-bpdu-with-host-facts", files: apart() },
        case("stp/guest-bpdu-inside-vxlan", "eth0.pcap", pcap(in_overlay())),
        case("stp/guest-bpdu-from-another-node", "bond0.pcapng", from_another_node()),
        case("stp/guest-rst-bpdu", "bond0.pcap", pcap(every_hello(&GUEST_BRIDGE.rst(), &[]))),
        case("stp/guest-mst-bpdu", "bond0.pcap", pcap(every_hello(&GUEST_BRIDGE.mst("lab-region"), &[]))),
        case("stp/guest-tcn", "bond0.pcap", pcap(beside_life(vec![at(0.5, guest(&[]).bpdu(&tcn()))]))),
        case("stp/guest-pvst", "bond0.pcap", pcap(pvst())),
        case("stp/guest-bpdu-in-vlan", "bond0.pcap", pcap(every_hello(&GUEST_BRIDGE.config(), &[100]))),
    ]
}

fn guest(tags: &[u16]) -> Link {
    frame().from(GUEST).tags(tags)
}

/// A BPDU at 0.5 s and every 2 s after it, three in all, in a bond's ordinary traffic.
fn every_hello(body: &[u8], tags: &[u16]) -> Vec<Shot> {
    beside_life((0..3).map(|i| at(0.5 + 2.0 * f64::from(i), guest(tags).bpdu(body))).collect())
}

/// With a ping that is answered before and one after.
fn beside_life(shots: Vec<Shot>) -> Vec<Shot> {
    [life(0.0), shots, life(6.0)].concat()
}

/// The node pings its gateway.
fn life(t: f64) -> Vec<Shot> {
    let ip = Ipv4Addr::new(10, 20, 0, 40);
    let asked = frame().from(NODE).to(SERVER).ipv4(ip, SERVER_IP).ping(1, 100);
    let answered = frame().from(SERVER).to(NODE).ipv4(SERVER_IP, ip).pong(1, 100);
    vec![at(t, asked).outward(), at(t + 0.001, answered).inward()]
}

fn pvst() -> Vec<Shot> {
    let bridge = Bridge { priority: 0x8000 + 100, mac: GUEST };
    beside_life((0..3).map(|i| at(0.5 + 2.0 * f64::from(i), guest(&[100]).pvst_bpdu(&bridge.pvst(100)))).collect())
}

/// One file with the guest's tap and the bond, directions told. In: from the guest; out: to the switch, 20 µs later, if the bridge lets it pass.
fn node(leaves: bool) -> Vec<u8> {
    let bpdu = guest(&[]).bpdu(&GUEST_BRIDGE.config());
    let mut shots: Vec<Shot> = life(0.0).into_iter().map(|s| s.on(BOND)).collect();
    // The guest's ping: asked from outside, seen coming in at the bond and going out at the tap; answered the other way round.
    let [asked, answered] = <[Shot; 2]>::try_from(echo(0.2, &[], 1, 100)).unwrap();
    shots.extend([asked.clone().on(BOND), asked.later(20).outward().on(TAP)]);
    shots.extend([answered.clone().inward().on(TAP), answered.later(20).on(BOND)]);
    for i in 0..3 {
        let seen = at(0.5 + 2.0 * f64::from(i), bpdu.clone());
        shots.push(seen.clone().inward().on(TAP));
        if leaves {
            shots.push(seen.later(20).outward().on(BOND));
        }
    }
    shots.extend(life(6.0).into_iter().map(|s| s.on(BOND)));
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames(shots).bytes()
}

/// Two classic files without directions; what the tap is and whose, the host tells.
fn apart() -> Vec<(&'static str, Vec<u8>)> {
    let bpdus = every_hello(&GUEST_BRIDGE.config(), &[100]);
    let on_tap: Vec<Shot> =
        (0..3).map(|i| at(0.49998 + 2.0 * f64::from(i), guest(&[]).bpdu(&GUEST_BRIDGE.config()))).collect();
    vec![("bond0.pcap", pcap(bpdus)), ("tap3f2a91c0-5d.pcap", pcap(on_tap))]
}

/// A guest's bridge speaks in its overlay, which carries it to another node.
fn in_overlay() -> Vec<Shot> {
    let (here, there) = (Ipv4Addr::new(172, 16, 0, 11), Ipv4Addr::new(172, 16, 0, 12));
    let inner = guest(&[]).bpdu(&GUEST_BRIDGE.config());
    let link = || frame().from(NODE).to(SERVER);
    (0..3).map(|i| at(2.0 * f64::from(i), link().ipv4(here, there).udp(49_152, 4_789).vxlan(7_000, &inner))).collect()
}

/// An instance somewhere else: its BPDU arrives here from the switch.
fn from_another_node() -> Vec<u8> {
    let arrived = every_hello(&GUEST_BRIDGE.config(), &[]);
    let shots = arrived.into_iter().map(|s| if s.source() == GUEST { s.inward() } else { s }).collect();
    Pcapng::with_interfaces(&["bond0"]).frames(shots).bytes()
}
