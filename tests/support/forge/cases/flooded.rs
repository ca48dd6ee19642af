//! What a bridge sends to guests that is meant for others; and what only looks like it.

use netdiag::value::Mac;

use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SERVER, SERVER_IP, Shot, at, frame};
use super::guard::by_time;
use super::l2::gz;
use super::{Case, case};

const TAP: u32 = 0;
const OTHER_TAP: u32 = 1;
const BOND: u32 = 2;
const INTERFACES: &[&str] = &["tap3f2a91c0-5d", "tap77be0d14-a2", "bond0"];

pub fn cases() -> Vec<Case> {
    vec![
        case("l2/bridge-floods-for-twelve-seconds", "node.pcapng.gz", node(flooded(12))),
        case("healthy/bridge-floods-until-it-has-learned", "node.pcapng.gz", node(learned())),
        case("healthy/mirror-to-a-guest-that-only-listens", "node.pcapng.gz", node(mirrored())),
        case("healthy/container-that-only-listens", "node.pcapng.gz", node(sink())),
    ]
}

fn node(shots: Vec<Shot>) -> Vec<u8> {
    gz(&Pcapng::with_interfaces(INTERFACES).frames(by_time(shots)).bytes())
}

/// The neighbour's words to the server and its answers, twelve a second each, as the neighbour's tap and the uplink show them.
fn talk(seconds: u32) -> Vec<[Shot; 2]> {
    let say = |i: u32| {
        let t = f64::from(i) / 12.0;
        let asked = frame().from(NEIGHBOUR).to(SERVER).ipv4(NEIGHBOUR_IP, SERVER_IP).udp(7_000, 7_000);
        let answer = frame().from(SERVER).to(NEIGHBOUR).ipv4(SERVER_IP, NEIGHBOUR_IP).udp(7_000, 7_000);
        let (asked, answer) = (at(t, asked.bytes(&i.to_be_bytes())), at(t + 0.01, answer.bytes(&i.to_be_bytes())));
        [
            [asked.clone().inward().on(OTHER_TAP), asked.later(20).outward().on(BOND)],
            [answer.clone().inward().on(BOND), answer.later(20).outward().on(OTHER_TAP)],
        ]
    };
    (0..seconds * 12).flat_map(say).collect()
}

/// The guest and the server say something to each other, twice a second.
fn own(seconds: u32) -> Vec<Shot> {
    let say = |i: u32| {
        let t = 0.003 + f64::from(i) / 2.0;
        let asked = frame().from(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(7_001, 7_001);
        let answer = frame().from(SERVER).to(GUEST).ipv4(SERVER_IP, GUEST_IP).udp(7_001, 7_001);
        let (asked, answer) = (at(t, asked.bytes(&i.to_be_bytes())), at(t + 0.01, answer.bytes(&i.to_be_bytes())));
        [
            asked.clone().inward().on(TAP),
            asked.later(20).outward().on(BOND),
            answer.clone().inward().on(BOND),
            answer.later(20).outward().on(TAP),
        ]
    };
    (0..seconds * 2).flat_map(say).collect()
}

/// Both talk; for that long the guest is sent what is said to and by the neighbour; then all goes on without.
fn flooded(seconds: u32) -> Vec<Shot> {
    let until = at(f64::from(seconds), Vec::new()).nanos();
    let copied = |pair: [Shot; 2]| {
        let copy = (pair[0].nanos() < until).then(|| pair[1].clone().later(4).outward().on(TAP));
        pair.into_iter().chain(copy).collect::<Vec<_>>()
    };
    let mut shots: Vec<Shot> = talk(seconds + 4).into_iter().flat_map(copied).collect();
    shots.extend(own(seconds + 80));
    shots
}

/// The server streams to the neighbour, which says nothing in the first 0.8 s: until then the guest is sent it as well, two hundred frames a second.
fn learned() -> Vec<Shot> {
    let stream = |i: u32| {
        let frame = frame().from(SERVER).to(NEIGHBOUR).ipv4(SERVER_IP, NEIGHBOUR_IP).udp(5_000, 5_000);
        let shot = at(1.0 + f64::from(i) / 200.0, frame.bytes(&i.to_be_bytes()));
        let copy = (i < 160).then(|| shot.clone().later(24).outward().on(TAP));
        [shot.clone().inward().on(BOND), shot.later(20).outward().on(OTHER_TAP)].into_iter().chain(copy)
    };
    let mut shots: Vec<Shot> = (0..240).flat_map(stream).collect();
    let thanks = frame().from(NEIGHBOUR).to(SERVER).ipv4(NEIGHBOUR_IP, SERVER_IP).udp(5_000, 5_000);
    let thanks = at(1.8, thanks.bytes(b"thanks"));
    shots.extend([thanks.clone().inward().on(OTHER_TAP), thanks.later(20).outward().on(BOND)]);
    shots.extend(own(8));
    shots
}

/// All that the neighbour says and hears is shown to the guest as well, which says nothing itself.
fn mirrored() -> Vec<Shot> {
    talk(35).into_iter().flat_map(|pair| [pair[1].clone().later(4).outward().on(TAP)].into_iter().chain(pair)).collect()
}

/// Beside the guest a container lives behind its tap, which takes a stream and says nothing.
fn sink() -> Vec<Shot> {
    let container = Mac([0x02, 0x42, 0xac, 0x11, 0x00, 0x02]);
    let stream = |i: u32| {
        let frame = frame().from(SERVER).to(container).ipv4(SERVER_IP, GUEST_IP).udp(5_000, 514);
        let shot = at(f64::from(i) / 20.0, frame.bytes(&i.to_be_bytes()));
        [shot.clone().inward().on(BOND), shot.later(20).outward().on(TAP)]
    };
    let mut shots: Vec<Shot> = (0..35 * 20).flat_map(stream).collect();
    shots.extend(own(35));
    shots
}
