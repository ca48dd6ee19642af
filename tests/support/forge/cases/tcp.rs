//! TCP: what is sent again, and what only looks like it.

use std::net::Ipv4Addr;

use super::super::frame::{Segment, frame, pattern};
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, SERVER, SERVER_IP, Shot, at, pcap};
use super::arp::guest;
use super::dhcp::in_order;
use super::{Case, case};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 8_080 };

pub fn cases() -> Vec<Case> {
    vec![
        case("tcp/one-in-ten-lost", "eth0.pcap", pcap(lossy(10))),
        case("tcp/nobody-there", "eth0.pcap", pcap(nobody_there())),
        case("tcp/six-peers-hear-nothing-more", "eth0.pcap", pcap(six_peers(false))),
        case("tcp/six-peers-hear-it-at-last", "eth0.pcap", pcap(six_peers(true))),
        case("tcp/receiver-takes-no-more", "eth0.pcap", pcap(full(&[0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4], None))),
        case("tcp/receiver-takes-no-more-for-a-while", "eth0.pcap", pcap(full(&[0.2, 0.6, 1.4, 3.0, 6.2], Some(9.0)))),
        case("tcp/receiver-takes-no-more-of-anybody", "eth0.pcap", pcap(full_for_six(Probe::Old, None))),
        case(
            "tcp/receiver-takes-no-more-of-anybody-for-a-while",
            "eth0.pcap",
            pcap(full_for_six(Probe::Old, Some(9.0))),
        ),
        case("tcp/receiver-takes-no-more-and-is-asked-with-data", "eth0.pcap", pcap(full_for_six(Probe::New, None))),
        case("tcp/receiver-takes-no-more-and-is-sent-it-again", "eth0.pcap", pcap(full_for_six(Probe::All, None))),
        case("tcp/six-receivers-take-no-more", "eth0.pcap", pcap(six_are_full())),
        case("tcp/receiver-takes-no-more-until-its-sender-gives-up", "eth0.pcap", pcap(given_up())),
        case("healthy/receiver-full-for-a-moment", "eth0.pcap", pcap(full(&[0.2, 0.6], Some(0.9)))),
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

/// A client behind a router has a connection to each of six servers in six networks; from two seconds on what it says is dropped by a firewall that
/// does not know the protocol, or until somebody allows it.
fn six_peers(is_allowed: bool) -> Vec<Shot> {
    let with = |i: u8| {
        let client = End { mac: GUEST, ip: GUEST_IP, port: 51_000 + u16::from(i) };
        let server = End { mac: SERVER, ip: Ipv4Addr::new(203, 0, 113, 10 + i), port: 5_222 };
        let mut talk = Talk::new(client, server, &[]);
        let start = 0.25 * f64::from(i);
        talk.handshake(start, 1_460).exchange(start + 0.1, Who::Caller, 96).exchange(start + 0.3, Who::Called, 72);
        let lost = talk.next(Who::Caller);
        talk.lose(start + 2.0, Who::Caller, 8);
        for again in [2.3, 2.9, 4.1, 6.5, 11.3, 20.9] {
            talk.resend(start + again, Who::Caller, lost, 8);
        }
        if is_allowed {
            talk.resend(start + 40.1, Who::Caller, lost, 8).arrived(start + 40.11, Who::Called);
            talk.exchange(start + 41.0, Who::Caller, 200).exchange(start + 42.0, Who::Called, 200);
        }
        talk.shots()
    };
    let mut shots: Vec<Shot> = (0..6).flat_map(with).collect();
    shots.sort_by_key(Shot::nanos);
    shots
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

/// The receiver's buffer is full from two seconds on; it says so whenever it is asked, after these waits, until it has room again.
fn full(probes: &[f64], room: Option<f64>) -> Vec<Shot> {
    full_for(CLIENT, Probe::Old, probes, room)
}

/// What a sender asks with whether there is room.
#[derive(Clone, Copy)]
enum Probe {
    /// Nothing, before what was acknowledged long ago, as Linux does.
    Old,
    /// The first byte that waits, as RFC 9293 section 3.8.6.1 has it.
    New,
    /// All that waits, as if it had been lost.
    All,
}

/// The same of one of its clients.
fn full_for(client: End, probe: Probe, probes: &[f64], room: Option<f64>) -> Vec<Shot> {
    full_between(client, SERVICE, probe, probes, room)
}

/// The same of any two.
fn full_between(sender: End, receiver: End, probe: Probe, probes: &[f64], room: Option<f64>) -> Vec<Shot> {
    let says = |t: f64, seq, ack, payload: &[u8]| {
        let segment = Segment { seq, ack, ..Segment::default() };
        let link = frame().from(sender.mac).to(receiver.mac);
        at(t, link.ipv4(sender.ip, receiver.ip).tcp((sender.port, receiver.port), segment, payload))
    };
    let answers = |t: f64, ack, full| {
        let segment = Segment { seq: 7_000, ack, full, ..Segment::default() };
        let link = frame().from(receiver.mac).to(sender.mac);
        at(t, link.ipv4(receiver.ip, sender.ip).tcp((receiver.port, sender.port), segment, &[]))
    };
    let mut shots = vec![says(1.0, 1_000, 7_000, &pattern(0, 500)), answers(1.001, 1_500, false)];
    shots.extend([says(2.0, 1_500, 7_000, &pattern(500, 1_000)), answers(2.001, 2_500, true)]);
    for wait in probes {
        let (seq, payload) = match probe {
            Probe::Old => (2_499, vec![]),
            Probe::New => (2_500, pattern(1_500, 1)),
            Probe::All => (2_500, pattern(1_500, 700)),
        };
        shots.extend([says(2.0 + wait, seq, 7_000, &payload), answers(2.0005 + wait, 2_500, true)]);
    }
    if let Some(room) = room {
        shots.extend([answers(2.0 + room, 2_500, false), says(2.001 + room, 2_500, 7_000, &pattern(1_500, 700))]);
        shots.push(answers(2.002 + room, 3_200, false));
    }
    shots
}

/// A program that serves six clients hangs, so that the buffers of all six connections fill up, one a tenth of a second after the other.
fn full_for_six(probe: Probe, room: Option<f64>) -> Vec<Shot> {
    let of_one = |i: u8| {
        let (mac, ip) = guest(i);
        let late = |wait: f64| wait + 0.1 * f64::from(i);
        full_for(
            End { mac, ip, port: 40_000 + u16::from(i) },
            probe,
            &[0.2, 0.6, 1.4, 3.0, 6.2].map(late),
            room.map(late),
        )
    };
    in_order((0..6).map(of_one).collect())
}

/// The sender's machine is switched off while it waits; others go on for ten minutes.
fn given_up() -> Vec<Shot> {
    let asks = |t: f64| {
        let (mac, ip) = guest(1);
        let question = frame().from(mac).arp_request(ip, GUEST_IP);
        [at(t, question), at(t + 0.0004, frame().from(GUEST).to(mac).arp_reply(GUEST_IP, ip))]
    };
    let others = (0..10).flat_map(|i| asks(60.0 * f64::from(i) + 30.0)).collect();
    in_order(vec![full(&[0.2, 0.6, 1.4, 3.0, 6.2, 12.6], None), others])
}

/// One server sends to six clients more than any of them reads.
fn six_are_full() -> Vec<Shot> {
    let of_one = |i: u8| {
        let (mac, ip) = guest(i);
        let receiver = End { mac, ip, port: 40_000 + u16::from(i) };
        full_between(SERVICE, receiver, Probe::Old, &[0.2, 0.6, 1.4, 3.0, 6.2], None)
    };
    in_order((0..6).map(of_one).collect())
}
