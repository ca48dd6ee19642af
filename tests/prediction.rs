//! Header prediction changes nothing: of two worlds that hear the same frames, one takes in by prediction what it can, and the other lays out every
//! frame. What follows from each frame, and what is known in the end, must be the same; and nearly all that can be predicted must have been.

mod support;

use std::collections::BTreeSet;

use netdiag::engine::Engine;
use netdiag::event::{Direction, Frame, Offload, Placed, Record, Vantage, VantageId};
use netdiag::settings::Settings;
use netdiag::source::{Step, open};
use netdiag::value::{Mac, Span, Timestamp};
use netdiag::wire::LinkType;
use netdiag::world::{Derived, DomainId, Seen, World};

/// Two worlds, and how many frames the first took in by prediction.
struct Twins {
    predicting: World,
    plain: World,
    passed: usize,
    frames: usize,
    order: Timestamp,
    /// Who sent anything, in which network.
    senders: BTreeSet<(Mac, DomainId)>,
}

impl Twins {
    fn at(vantages: &[(VantageId, Vantage)]) -> Self {
        let world = || {
            let mut world = World::new(&Settings::default());
            vantages.iter().for_each(|(id, vantage)| world.add_vantage(*id, vantage.clone()));
            world
        };
        Self {
            predicting: world(),
            plain: world(),
            passed: 0,
            frames: 0,
            order: Timestamp::MIN,
            senders: BTreeSet::new(),
        }
    }

    fn hear(&mut self, record: Record<'_>, link: LinkType) {
        self.order = self.order.max(record.time);
        self.frames += 1;
        let vantage = VantageId { lane: 0, interface: record.interface };
        let placed = Placed { record, vantage, link, order: self.order };
        let mut outs = [Vec::new(), Vec::new()];
        for (world, out) in [&mut self.predicting, &mut self.plain].into_iter().zip(&mut outs) {
            advance(world, self.order, out);
        }
        let [predicting, plain] = &mut outs;
        if self.predicting.pass(&placed, predicting) {
            self.passed += 1;
        } else {
            see(&mut self.predicting, &placed, predicting);
        }
        self.senders.extend(see(&mut self.plain, &placed, plain));
        assert_eq!(format!("{predicting:?}"), format!("{plain:?}"), "frame {}", record.number);
        assert_eq!(self.predicting.due(), self.plain.due(), "frame {}", record.number);
    }

    /// What is known in the end.
    fn compare(mut self) {
        let known = |world: &mut World| {
            let mut out = Vec::new();
            advance(world, self.order.after(Span::secs(600)), &mut out);
            world.conclude(self.order.after(Span::secs(600)), &mut out);
            let domains = &world.domains;
            let stacks: Vec<_> = domains.stacks().collect();
            let of = |(mac, domain): &(Mac, DomainId)| world.stations.station(*mac, *domain, domains).cloned();
            let stations: Vec<_> = self.senders.iter().map(of).collect();
            let views: Vec<_> = world.vantages().iter().map(|(id, _)| world.flows.view(*id).copied()).collect();
            let latest: Vec<_> = world.vantages().iter().map(|(id, _)| world.arrivals.latest(*id)).collect();
            let disordered = world.clocks.disordered();
            format!("{out:?}\n{:?}\n{stacks:?}\n{stations:#?}\n{views:?}\n{latest:?}\n{disordered}", world.tally())
        };
        let [one, other] = [&mut self.predicting, &mut self.plain].map(known);
        assert_eq!(one, other);
    }
}

/// Lays the frame out; who sent it, in which network.
fn see(world: &mut World, placed: &Placed<'_>, out: &mut Vec<Derived>) -> Option<(Mac, DomainId)> {
    let frame = Frame::decode(placed.record, placed.vantage, placed.link, placed.order);
    let mut seen = Seen::new(&frame);
    world.see(&mut seen, out);
    Some((frame.layers.inner_src()?, seen.domain))
}

fn advance(world: &mut World, time: Timestamp, out: &mut Vec<Derived>) {
    while let Some(due) = Some(world.next_deadline()).filter(|due| *due < time) {
        world.expire(due, out);
    }
}

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// One connection: how far its ends are, and how it looks on the wire.
struct Talk {
    next: [u32; 2],
    host: u8,
    vid: Option<u8>,
    /// The service VLAN around it.
    service: Option<u8>,
    /// Segments of the handshake that are still to come.
    opening: usize,
}

impl Talk {
    const fn mac(&self, end: usize) -> [u8; 6] {
        [0xfa, 0x16, 0x3e, 0, if end == 0 { 1 } else { 2 }, self.host]
    }

    /// The next segment of the end `from`, one in `oddity` of them with something odd about it.
    fn segment(&mut self, chance: &mut Chance, oddity: u64) -> Vec<u8> {
        if chance.below(400) == 0 {
            (self.opening, self.next) = (2, [chance.next() as u32, chance.next() as u32]);
        }
        let from = if self.opening > 0 { 2 - self.opening } else { chance.below(2) as usize };
        let (mut seq, mut ack) = (self.next[from], self.next[1 - from]);
        let (mut flags, mut window, mut ttl, mut fragment) = (0x10, 500_u16, 64, 0x4000_u16);
        let mut payload = vec![0x2e; chance.of(&[0, 0, 1, 100, 536, 1_300])];
        let stamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let mut options = if self.host.is_multiple_of(2) { Vec::new() } else { stamps.to_vec() };
        let odd = if chance.below(oddity) == 0 { 1 + chance.below(17) } else { 0 };
        match odd {
            1 => seq = seq.wrapping_sub(chance.below(3_000) as u32),
            2 => seq = seq.wrapping_add(chance.below(3_000) as u32),
            3 => ack = ack.wrapping_add(chance.below(3_000) as u32),
            4 => ack = ack.wrapping_sub(chance.below(3_000) as u32),
            5 => seq = chance.next() as u32,
            6 => flags = chance.of(&[0x02, 0x12, 0x11, 0x14, 0x04, 0x00, 0x18, 0x30]),
            7 => window = 0,
            8 => ttl = chance.of(&[63, 31, 1, 255]),
            9 => fragment = chance.of(&[0x2000, 0x0010, 0]),
            10 => payload.splice(0..0, *b"GET /v2/servers HTTP/1.1\r\nHost: api\r\n\r\n").for_each(drop),
            11 => options = [&[1, 1, 5, 10][..], &ack.to_be_bytes(), &ack.wrapping_add(900).to_be_bytes()].concat(),
            12 => options = stamps[..8].to_vec(),
            13 => payload = vec![0; 2_900],
            14 => (seq, payload) = (seq.wrapping_sub(1), vec![0; chance.below(2) as usize]),
            _ => {}
        }
        if self.opening > 0 {
            (flags, payload) = ([0x12, 0x02][self.opening - 1], Vec::new());
            self.next[from] = seq.wrapping_add(1);
            self.opening -= 1;
        }
        let tcp_len = 20 + options.len();
        let mut total = 20 + tcp_len + payload.len();
        if odd == 15 {
            total = chance.below(3_000) as usize;
        }
        let mut frame = self.packet(chance, from, total, (fragment, ttl, 6));
        frame.extend(self.ports(from, [0x01, 0xbb]));
        frame.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
        frame.extend([(tcp_len as u8 / 4) << 4, flags]);
        frame.extend([window.to_be_bytes(), [3, 4], [0, 0]].concat());
        frame.extend([options, payload.clone()].concat());
        if odd == 16 {
            frame.resize(frame.len() + 6, 0);
        }
        if odd < 5 || odd == 14 {
            let end = seq.wrapping_add(payload.len() as u32);
            if end.wrapping_sub(self.next[from]) < 1 << 20 {
                self.next[from] = end;
            }
        }
        frame
    }

    /// A datagram from either end, one in `oddity` of them with something odd about it.
    fn datagram(&self, chance: &mut Chance, oddity: u64) -> Vec<u8> {
        let from = chance.below(2) as usize;
        let odd = if chance.below(oddity) == 0 { chance.below(7) } else { 7 };
        let payload = chance.of(if odd == 6 { &[0, 1] } else { &[20, 60, 1_200] });
        let (mut length, mut fragment, mut ttl, mut port) = (8 + payload, 0x4000, 64, [0, 53]);
        match odd {
            0 => length = chance.below(1_400) as usize,
            1 => fragment = chance.of(&[0x2000, 0x0010]),
            2 => ttl = chance.of(&[1, 31]),
            // VXLAN, GENEVE, GTP and DHCP, which begin as they should or not.
            3..6 => port = chance.of(&[4789_u16, 6081, 2152, 67]).to_be_bytes(),
            _ => {}
        }
        let mut frame = self.packet(chance, from, 28 + payload, (fragment, ttl, 17));
        frame.extend(self.ports(from, port));
        frame.extend([(length as u16).to_be_bytes(), [1, 2]].concat());
        frame.resize(frame.len() + payload, chance.of(&[0, 0x08, 0x30, 0xc0]));
        frame
    }

    /// `frame` as it travels between the hosts of both ends: in VXLAN or GENEVE where the talk is one of guests, one in `oddity` of them with something odd
    /// about what is around it.
    fn travels(&self, frame: Vec<u8>, chance: &mut Chance, oddity: u64) -> Vec<u8> {
        let (port, mut header) = match self.host {
            6.. if self.host.is_multiple_of(2) => (4789_u16, vec![8, 0, 0, 0, 0, 0, self.host, 0]),
            6.. => (6081, vec![2, 0, 0x65, 0x58, 0, 0, self.host, 0, 1, 2, 0x80, 1, 0, 0, 0, 7]),
            _ => return frame,
        };
        let carrier = Talk { next: [0; 2], host: 77, vid: Some(50), service: None, opening: 0 };
        let mut length = 8 + header.len() + frame.len();
        let (mut fragment, mut ttl, mut total) = (0, 64, 20 + length);
        match if chance.below(oddity) == 0 { chance.below(9) } else { 9 } {
            0 => header[6] = 99,
            1 => header[0] = chance.of(&[0, 0x42, 3]),
            2 => length = chance.below(2_000) as usize,
            3 => total = chance.below(2_000) as usize,
            4 => fragment = 0x2000,
            5 => ttl = 9,
            6 => header.truncate(6),
            8 => (length, total) = (length + 40, total + 40),
            7 => *header.last_mut().unwrap() = 5,
            _ => {}
        }
        let mut outer = carrier.packet(chance, 0, total, (fragment, ttl, 17));
        outer.extend([chance.of(&[0xc0, 0xc1]), 7]);
        outer.extend([port.to_be_bytes(), (length as u16).to_be_bytes(), [0, 0]].concat());
        outer.extend([header, frame].concat());
        outer
    }

    /// The headers of a packet of `total` bytes from the end `from`, up to that of IPv4.
    fn packet(&self, chance: &mut Chance, from: usize, total: usize, (flags, ttl, protocol): (u16, u8, u8)) -> Vec<u8> {
        let address = |end: usize| [10, 0, end as u8, self.host];
        let mut frame = [self.mac(1 - from), self.mac(from)].concat();
        frame.extend(self.service.map(|vid| [0x88, 0xa8, 7, vid]).iter().flatten());
        frame.extend(self.vid.map(|vid| [0x81, 0, 0, vid]).iter().flatten());
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((total as u16).to_be_bytes());
        frame.extend([chance.below(256) as u8, 7]);
        frame.extend(flags.to_be_bytes());
        frame.extend([ttl, protocol, chance.below(256) as u8, 9]);
        frame.extend([address(from), address(1 - from)].concat());
        frame
    }

    /// The ports that the end `from` sends from and to, where the second end is at `peer`.
    const fn ports(&self, from: usize, peer: [u8; 2]) -> [u8; 4] {
        let ([a, b], [c, d]) = ([0x80, self.host], peer);
        if from == 0 { [a, b, c, d] } else { [c, d, a, b] }
    }
}

/// Talks of a few pairs seen at an interface of this name, of each frame as much as `snap_len`, one segment in `oddity` odd.
fn chatter(interface: &str, snap_len: usize, oddity: u64) -> (usize, usize) {
    let mut chance = Chance(oddity);
    let mut twins = Twins::at(&[(VantageId::default(), Vantage::called(interface, LinkType::Ethernet))]);
    let mut talks: Vec<Talk> = (0..10)
        .map(|host| Talk {
            next: [host * 999, u32::MAX - 5_000],
            host: host as u8,
            vid: Some(20).filter(|_| host % 2 == 1 || host == 2),
            service: Some(200).filter(|_| [2, 7].contains(&host)),
            opening: 0,
        })
        .collect();
    let mut nanos = 1_760_000_000_000_000_000;
    for number in 1..30_000 {
        let at = chance.below(talks.len() as u64) as usize;
        let bytes = match chance.below(4) {
            0 => talks[at].datagram(&mut chance, oddity),
            _ => talks[at].segment(&mut chance, oddity),
        };
        let bytes = talks[at].travels(bytes, &mut chance, oddity);
        nanos += match chance.below(2_000) {
            0 => -20_000_000,
            1 => 8_000_000_000,
            _ => 1_000_000,
        };
        let kept = if chance.below(500) == 0 { chance.below(bytes.len() as u64) as usize } else { snap_len };
        let kept = kept.min(bytes.len());
        let record = Record {
            interface: 0,
            number,
            time: Timestamp::from_nanos(nanos),
            wire_len: bytes.len() as u32,
            direction: chance.of(&[Direction::In, Direction::Unknown, Direction::Unknown]),
            offload: if chance.below(900) == 0 { Offload::Segmented { segment: 500 } } else { Offload::Unknown },
            bytes: &bytes[..kept],
        };
        twins.hear(record, LinkType::Ethernet);
    }
    let counts = (twins.passed, twins.frames);
    twins.compare();
    counts
}

#[test]
fn whatever_ends_of_connections_send_it_is_the_same() {
    // Of what a tunnel carries, 70 bytes hold no heading: four of ten talks are of guests.
    for (interface, snap_len, share) in
        [("somewhere", usize::MAX, 100), ("bond0", usize::MAX, 100), ("bond0", 160, 100), ("somewhere", 70, 60)]
    {
        for (oddity, least) in [(2, 0), (20, 1), (200, 25), (100_000, 90)] {
            let (passed, frames) = chatter(interface, snap_len, oddity);
            assert!(passed * 10_000 >= frames * least * share, "{interface}: {passed} of {frames} were predicted");
        }
    }
}

#[test]
fn what_is_not_heard_of_in_two_tags_is_counted() {
    let (mut chance, vantage) = (Chance(7), VantageId::default());
    let talk = Talk { next: [0; 2], host: 3, vid: Some(20), service: Some(200), opening: 0 };
    let mut engine = Engine::new(Settings::default());
    engine.add_vantage(vantage, Vantage::called("bond0", LinkType::Ethernet));
    for number in 1..=2_000 {
        let bytes = talk.datagram(&mut chance, u64::MAX);
        let record = Record {
            interface: 0,
            number,
            // What is heard of has come before the first word is said.
            time: Timestamp::from_parts(1_760_000_000, number.max(100) as i64 * 1_000_000),
            wire_len: bytes.len() as u32,
            direction: Direction::Unknown,
            offload: Offload::Unknown,
            bytes: &bytes,
        };
        engine.frame(record, vantage, LinkType::Ethernet, record.time);
    }
    engine.close(None, false);
    let report = engine.finish(Vec::new());
    let found = report.findings.iter().find(|finding| finding.rule.code == "VLAN007").unwrap();
    assert_eq!((found.count, found.last), (2_000, Timestamp::from_parts(1_760_000_002, 0)));
}

#[test]
fn every_capture_of_the_project_is_the_same() {
    let (mut passed, mut all) = (0, 0);
    for file in support::files_below(&support::captures()) {
        let Ok(mut source) = open(&file) else { continue };
        let mut twins: Option<Twins> = None;
        while let Ok(Step::Record) = source.advance() {
            let vantages: Vec<(VantageId, Vantage)> = (0..)
                .zip(source.interfaces())
                .map(|(interface, of)| (VantageId { lane: 0, interface }, Vantage::called("bond0", of.link)))
                .collect();
            let [(_, Vantage { link, .. })] = vantages.as_slice() else { break };
            twins.get_or_insert_with(|| Twins::at(&vantages)).hear(source.record(), *link);
        }
        if let Some(twins) = twins {
            (passed, all) = (passed + twins.passed, all + twins.frames);
            twins.compare();
        }
    }
    assert!(passed > 5_000, "{passed} of {all} were predicted");
}
