//! Who hears, frame by frame: ARP of RFC 826 and TCP of RFC 9293 made byte by byte, time in milliseconds.

use super::*;
use crate::event::{Direction, Frame, Offload, Record};
use crate::value::Span;
use crate::wire::LinkType;
use crate::world::{Flows, Hearing};

const GUEST: u8 = 1;
const PEER: u8 = 2;
const OTHER: u8 = 3;

fn mac(last: u8) -> [u8; 6] {
    [0xfa, 0x16, 0x3e, 0, 0, last]
}

/// An ARP packet of station `from`: a request to all, or a reply to one.
fn arp(op: u8, from: u8, about: u8) -> Vec<u8> {
    let to = if op == 1 { [0xff; 6] } else { mac(about) };
    let head = [&to[..], &mac(from), &[8, 6, 0, 1, 8, 0, 6, 4, 0, op], &mac(from)].concat();
    [&head[..], &[10, 0, 0, from], &mac(about), &[10, 0, 0, about]].concat()
}

/// A TCP segment with acknowledgement: `length` bytes from `seq` on.
fn tcp(from: u8, to: u8, seq: u32, ack: u32, length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(40 + length).unwrap().to_be_bytes();
    let ip = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
    let ports = [0x10, from, 0x10, to];
    let rest = [0x50, 0x10, 1, 0, 0, 0, 0, 0];
    let mut frame =
        [&mac(to)[..], &mac(from), &[8, 0], &ip, &ports, &seq.to_be_bytes(), &ack.to_be_bytes(), &rest].concat();
    frame.resize(frame.len() + length, 0x2e);
    frame
}

/// A world of stations and connections, seen on a bond.
struct Scene {
    stations: Stations,
    flows: Flows,
    domains: Domains,
    out: Vec<Derived>,
    domain: Option<DomainId>,
}

impl Scene {
    fn new(settings: &Settings) -> Self {
        let mut stations = Stations::new(settings);
        let bond = Vantage::called("bond0", LinkType::Ethernet);
        stations.add_vantage(VantageId::default(), &bond);
        let (flows, domains) = (Flows::new(settings), Domains::new(settings));
        Self { stations, flows, domains, out: Vec::new(), domain: None }
    }

    fn hear(&mut self, ms: i64, bytes: &[u8]) {
        let time = Timestamp::from_parts(1_000_000, 0).after(Span::millis(ms));
        self.pass(time);
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let (direction, offload) = (Direction::Unknown, Offload::Unknown);
        let record = Record { interface: 0, number: 1, time, wire_len, direction, offload, bytes };
        let frame = Frame::decode(record, VantageId::default(), LinkType::Ethernet, time);
        let domain = self.domains.note(&frame);
        self.domain = Some(domain);
        let mut seen = Seen {
            frame: &frame,
            domain,
            packet: None,
            hearing: Hearing::default(),
            is_at_member: false,
            was_at_member: false,
            is_at_once: false,
        };
        seen.hearing = self.flows.hear(&seen, &mut Vec::new());
        self.stations.apply(&Observation::Packet(&seen), &self.domains, &mut self.out);
    }

    fn pass(&mut self, time: Timestamp) {
        while let Some(due) = self.stations.next_deadline().filter(|due| *due < time) {
            self.stations.expire(due, &mut self.out);
        }
    }

    fn wait(&mut self, ms: i64) {
        self.pass(Timestamp::from_parts(1_000_000, 0).after(Span::millis(ms)));
    }

    /// What was said so far, one line each.
    fn said(&mut self) -> Vec<String> {
        let line = |derived: Derived| match derived {
            Derived::Lapsed(lapse) => {
                let still = if lapse.is_still_sending(Span::secs(1)) { "deaf" } else { "mute" };
                format!("{} {still}: {} of {} kinds by {}", lapse.mac, lapse.count(), lapse.kinds(), lapse.askers())
            }
            Derived::Revived(revived) => format!("{} hears", revived.mac),
            other => format!("{other:?}"),
        };
        self.out.drain(..).map(line).collect()
    }
}

/// The guest answered once, so that the way back is known and its address too.
fn met() -> Scene {
    let mut scene = Scene::new(&Settings::default());
    scene.hear(0, &arp(1, PEER, GUEST));
    scene.hear(1, &arp(2, GUEST, PEER));
    scene
}

#[test]
fn arp_alone_by_one_asker_is_not_enough_and_by_two_it_is() {
    let mut scene = met();
    for ms in [10_000, 11_000, 12_000, 13_000] {
        scene.hear(ms, &arp(1, PEER, GUEST));
    }
    scene.wait(20_000);
    assert_eq!(scene.said(), [""; 0]);
    for ms in [20_000, 21_000, 22_000] {
        scene.hear(ms, &arp(1, OTHER, GUEST));
    }
    scene.wait(30_000);
    assert_eq!(scene.said(), ["fa:16:3e:00:00:01 mute: 6 of 1 kinds by 2"]);
    scene.hear(31_000, &arp(1, GUEST, 9));
    assert_eq!(scene.said(), ["fa:16:3e:00:00:01 deaf: 7 of 1 kinds by 2"]);
    scene.hear(32_000, &arp(2, GUEST, PEER));
    assert_eq!(scene.said(), ["fa:16:3e:00:00:01 hears"]);
}

#[test]
fn data_sent_again_and_arp_are_two_kinds() {
    let mut scene = met();
    scene.hear(100, &tcp(PEER, GUEST, 1_000, 1, 100));
    scene.hear(101, &tcp(GUEST, PEER, 1, 1_100, 0));
    for ms in [5_000, 5_200, 5_600, 6_400, 8_000] {
        scene.hear(ms, &tcp(PEER, GUEST, 1_100, 1, 100));
    }
    assert_eq!(scene.said(), [""; 0]);
    for ms in [8_100, 9_100] {
        scene.hear(ms, &arp(1, PEER, GUEST));
    }
    scene.wait(10_200);
    assert_eq!(scene.said(), ["fa:16:3e:00:00:01 mute: 4 of 2 kinds by 1"]);
}

#[test]
fn an_acknowledgement_that_moves_is_a_proof_and_one_that_does_not_is_none() {
    let mut scene = met();
    scene.hear(100, &tcp(PEER, GUEST, 1_000, 1, 100));
    scene.hear(101, &tcp(GUEST, PEER, 1, 1_100, 0));
    let proof = |scene: &Scene| {
        let station = scene.stations.station(Mac(mac(GUEST)), scene.domain.unwrap(), &scene.domains).unwrap();
        station.proof.unwrap().time.since(Timestamp::from_parts(1_000_000, 0))
    };
    assert_eq!(proof(&scene), Span::millis(101));
    // It sends data of its own, and says again what it had acknowledged.
    scene.hear(500, &tcp(GUEST, PEER, 1, 1_100, 50));
    assert_eq!(proof(&scene), Span::millis(101));
    scene.hear(600, &tcp(PEER, GUEST, 1_100, 51, 10));
    scene.hear(601, &tcp(GUEST, PEER, 51, 1_110, 0));
    assert_eq!(proof(&scene), Span::millis(601));
}

#[test]
fn a_flood_of_invented_stations_says_nothing_and_stays_within_bounds() {
    let mut settings = Settings::default();
    (settings.tables.stations, settings.tables.lapses) = (256, 64);
    let mut scene = Scene::new(&settings);
    for i in 0..20_000_u32 {
        let [_, a, b, c] = i.to_be_bytes();
        let invented = [0x02, 0, 0, a, b, c];
        // Each announces an address, and asks for the one before it.
        let mut asks = arp(1, PEER, GUEST);
        asks[6..12].copy_from_slice(&invented);
        asks[22..28].copy_from_slice(&invented);
        asks[28..32].copy_from_slice(&[10, a, b, c]);
        let [_, d, e, f] = i.saturating_sub(1).to_be_bytes();
        asks[38..42].copy_from_slice(&[10, d, e, f]);
        scene.hear(i64::from(i) * 5, &asks);
    }
    scene.wait(1_000_000);
    assert_eq!(scene.said(), [""; 0]);
    assert!(scene.stations.forgotten() > 19_000);
}
