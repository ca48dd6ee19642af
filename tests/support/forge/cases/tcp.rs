//! TCP: what is sent again, and what only looks like it.

use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, SERVER, SERVER_IP, Shot, pcap};
use super::{Case, case};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 8_080 };

pub fn cases() -> Vec<Case> {
    vec![
        case("tcp/one-in-ten-lost", "eth0.pcap", pcap(lossy(10))),
        case("tcp/nobody-there", "eth0.pcap", pcap(nobody_there())),
        case("healthy/a-segment-lost-now-and-then", "eth0.pcap", pcap(lossy(100))),
        case("healthy/mirror-shows-every-segment-twice", "span.pcap", pcap(twice())),
        case("healthy/segments-overtaken", "eth0.pcap", pcap(overtaken())),
    ]
}

fn open() -> Talk {
    let mut talk = Talk::new(CLIENT, SERVICE, &[]);
    talk.handshake(0.0, 1_460).exchange(0.1, Who::Caller, 81);
    talk
}

/// 300 segments of every size in 15 s; one in `each` is lost, sent again after 20 ms, and arrives then.
fn lossy(each: u32) -> Vec<Shot> {
    let mut talk = open();
    for i in 0..300 {
        let (t, length) = (1.0 + 0.05 * f64::from(i), [1_460, 200, 900, 40][i as usize % 4]);
        if i % each == 3 {
            let lost = talk.next(Who::Called);
            talk.lose(t, Who::Called, length).resend(t + 0.02, Who::Called, lost, length);
            talk.arrived(t + 0.021, Who::Caller);
        } else {
            talk.exchange(t, Who::Called, length);
        }
    }
    talk.shots()
}

/// The caller's machine is switched off; its peer goes on asking for an answer, in small segments and in vain.
fn nobody_there() -> Vec<Shot> {
    let mut talk = open();
    talk.exchange(1.0, Who::Called, 300);
    let lost = talk.next(Who::Called);
    talk.lose(2.0, Who::Called, 1_460);
    for again in [2.2, 2.6, 3.4, 5.0, 8.2, 14.6] {
        talk.resend(again, Who::Called, lost, 1_460);
    }
    talk.shots()
}

/// A mirror of both directions of a port shows each frame as it comes in and as it goes out.
fn twice() -> Vec<Shot> {
    let talk = transfer();
    talk.into_iter().flat_map(|shot| [shot.clone(), shot.later(40)]).collect()
}

/// Of every ten segments the fifth is overtaken by the two behind it.
fn overtaken() -> Vec<Shot> {
    let mut talk = open();
    for i in 0..300 {
        let t = 1.0 + 0.01 * f64::from(i);
        talk.say(if i % 10 == 4 { t + 0.0003 } else { t }, Who::Called, 1_460);
        talk.say(t + 0.0001, Who::Called, 1_460).say(t + 0.0002, Who::Called, 1_460);
        talk.acknowledge(t + 0.001, Who::Caller);
    }
    let mut shots = talk.shots();
    shots.sort_by_key(Shot::nanos);
    shots
}

/// 400 segments, each acknowledged.
fn transfer() -> Vec<Shot> {
    let mut talk = open();
    for i in 0..400 {
        talk.exchange(1.0 + 0.002 * f64::from(i), Who::Called, 600);
    }
    talk.shots()
}
