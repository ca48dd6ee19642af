//! The ways of packets through several vantages: where each was seen with which tags, and how long it took from one to the next.
//! Holds a packet for the window of `sightings`, and at most `MOST_FLOWS` flows with `MOST_SETS` sets of vantages each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use hdrhistogram::Histogram;

use super::order::in_line;
use super::sightings::{Noted, Sightings};
use super::{DomainId, Host};
use crate::event::{Fact, Frame, Offload, Sighting, Stamped, Vantage, VantageId};
use crate::finding::{self, Cell, FlowPath, LeftOut, Row, Verdict};
use crate::settings::Settings;
use crate::value::{Fingerprint, Mac, Outside, Span, TagStack, Timestamp};
use crate::wire::{Ip, Kind};

/// Flows that are held; packets of further ones are counted.
const MOST_FLOWS: usize = 10_000;
/// Sets of vantages that are told apart in one flow.
const MOST_SETS: usize = 64;
/// Kinds of tags that are told apart in a cell.
const MOST_TAGS: usize = 3;
/// Vantages that are told apart.
const MOST_VANTAGES: usize = 32;
/// The largest layer-3 packet of a jumbo network (findings.md 2.6): what is larger no wire carries.
const LARGEST_JUMBO: u32 = 9_216;
/// The largest layer-3 packet of an ordinary network (IEEE 802.3-2018 clause 3.2.7).
const ORDINARY: u32 = 1_500;
/// The longest time on one hop that is told apart, in nanoseconds: a minute.
const LONGEST: u64 = 60_000_000_000;

/// The ways of packets, while they are followed.
pub struct Paths {
    sightings: Sightings,
    host: Host,
    window: Span,
    places: Vec<Place>,
    open: VecDeque<Open>,
    flows: BTreeMap<FlowKey, Flow>,
    hops: BTreeMap<(usize, usize), Histogram<u32>>,
    left_out: LeftOut,
}

/// A vantage, and when it is known to have captured.
struct Place {
    id: VantageId,
    name: Outside,
    captured: Option<(Timestamp, Timestamp)>,
}

/// A packet whose sightings may still come.
struct Open {
    packet: Fingerprint,
    first: Sighting,
    key: FlowKey,
    size: u32,
    /// Whether it is TCP that is larger than an ordinary network takes.
    is_large: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FlowKey {
    from: End,
    to: End,
    protocol: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Ip(IpAddr),
    Mac(Mac),
}

#[derive(Default)]
struct Flow {
    packets: u64,
    /// How often one vantage, the first, came before another, the second.
    before: BTreeMap<(usize, usize), u64>,
    sets: BTreeMap<Set, Seen>,
}

/// Vantages as bits: where packets were seen, and which were captured then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Set {
    seen: u32,
    captured: u32,
    /// TCP that is larger than an ordinary network takes.
    is_large: bool,
}

/// Packets that were seen at the same vantages.
#[derive(Default)]
struct Seen {
    packets: u64,
    smallest: u32,
    largest: u32,
    looks: BTreeMap<usize, Look>,
}

/// How they looked at one of them.
struct Look {
    number: u64,
    wire_len: u32,
    tags: Vec<TagStack>,
}

impl Paths {
    /// Nothing followed yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            sightings: Sightings::of_ways(settings),
            host: Host::default(),
            window: settings.sightings.way(),
            places: Vec::new(),
            open: VecDeque::new(),
            flows: BTreeMap::new(),
            hops: BTreeMap::new(),
            left_out: LeftOut::default(),
        }
    }

    /// Another vantage is there; `captured` is when it is known to have captured, where anything tells.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage, captured: Option<(Timestamp, Timestamp)>) {
        self.sightings.add_vantage(id, vantage, &self.host);
        self.places.push(Place { id, name: vantage.name.clone(), captured });
    }

    /// Takes in what the host says of itself.
    pub fn learn(&mut self, fact: &Stamped<Fact>) {
        if self.host.learn(fact) {
            self.sightings.rearrange(&self.host);
        }
    }

    /// Follows a frame.
    pub fn note(&mut self, frame: &Frame<'_>) {
        while self.open.front().is_some_and(|open| frame.order.since(open.first.time) > self.window) {
            self.close_first();
        }
        let size = frame.layers.ip().map_or(frame.wire_len, |ip| ip.packet_len());
        let Noted { packet, before, .. } = self.sightings.note(frame, DomainId::default());
        let packet = packet.unwrap_or_else(|| Fingerprint::of(&[&frame.at.number.to_be_bytes()]));
        if is_super(frame, size) {
            self.left_out.super_frames = self.left_out.super_frames.saturating_add(1);
        } else if before.is_none() {
            let is_large = size > ORDINARY && frame.layers.has(Kind::Tcp);
            self.open.push_back(Open { packet, first: Sighting::of(frame), key: FlowKey::of(frame), size, is_large });
        }
    }

    /// The table; `inputs` are what was read.
    pub fn finish(mut self, inputs: Vec<finding::Input>, most: usize) -> finding::Paths {
        while !self.open.is_empty() {
            self.close_first();
        }
        let hops = self.hops.iter().filter_map(|((from, to), times)| self.hop(*from, *to, times)).collect();
        let mut flows: Vec<(FlowKey, Flow)> = std::mem::take(&mut self.flows).into_iter().collect();
        flows.sort_by_key(|(_, flow)| std::cmp::Reverse(flow.packets));
        let more_flows = flows.len().saturating_sub(most) as u64;
        let orders: Vec<(Vec<usize>, bool)> =
            flows.iter().take(most).map(|(key, flow)| self.order(key, flow, &flows)).collect();
        let shown = flows.into_iter().zip(orders);
        let flows = shown.map(|((key, flow), (order, is_ordered))| self.flow(&key, flow, &order, is_ordered)).collect();
        finding::Paths { inputs, flows, more_flows, hops, left_out: self.left_out }
    }

    /// Every sighting of the packet that waited longest is in.
    fn close_first(&mut self) {
        let Some(open) = self.open.pop_front() else { return };
        let alone = std::slice::from_ref(&open.first);
        let journey = match self.sightings.journey(open.packet) {
            [] => alone,
            journey if journey.first().is_some_and(|first| first.at == open.first.at) => journey,
            // The same content came again, so that the later sightings may belong to either.
            _ => {
                self.left_out.repeated = self.left_out.repeated.saturating_add(1);
                return;
            }
        };
        let known = self.sightings.along(journey);
        let is_ordered = known.is_some();
        let way: Vec<(usize, Sighting)> = known
            .unwrap_or_else(|| journey.to_vec())
            .into_iter()
            .filter_map(|s| Some((self.places.iter().position(|p| p.id == s.at.vantage)?, s)))
            .filter(|(place, _)| *place < MOST_VANTAGES)
            .collect();
        if self.flows.len() >= MOST_FLOWS && !self.flows.contains_key(&open.key) {
            self.left_out.crowded = self.left_out.crowded.saturating_add(1);
            return;
        }
        let captured =
            bits(self.places.iter().enumerate().filter(|(_, p)| p.has_captured(open.first.time)).map(|(at, _)| at));
        let set = Set { seen: bits(way.iter().map(|(place, _)| *place)), captured, is_large: open.is_large };
        let flow = self.flows.entry(open.key).or_default();
        flow.packets = flow.packets.saturating_add(1);
        for (next, (place, sighting)) in (1..).zip(&way).filter(|_| is_ordered) {
            for (later, _) in way.iter().skip(next) {
                let count = flow.before.entry((*place, *later)).or_default();
                *count = count.saturating_add(1);
            }
            let Some((next, then)) = way.get(next) else { continue };
            let Some(took) = self.sightings.took(sighting, then) else {
                self.left_out.untimed = self.left_out.untimed.saturating_add(1);
                continue;
            };
            let times = self.hops.entry((*place, *next)).or_insert_with(times);
            // The only refusal would be of what is past the longest.
            let _ = times.record(took.as_nanos().cast_unsigned().min(LONGEST));
        }
        if flow.sets.len() < MOST_SETS || flow.sets.contains_key(&set) {
            flow.sets.entry(set).or_default().merge(Seen::of(&way, open.size));
        }
    }

    fn hop(&self, from: usize, to: usize, times: &Histogram<u32>) -> Option<finding::Hop> {
        let span = |nanos: u64| Span::nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        Some(finding::Hop {
            from: self.places.get(from)?.name.clone(),
            to: self.places.get(to)?.name.clone(),
            packets: times.len(),
            p50: span(times.value_at_quantile(0.50)),
            p99: span(times.value_at_quantile(0.99)),
            max: span(times.max()),
        })
    }

    fn flow(&mut self, key: &FlowKey, flow: Flow, order: &[usize], is_ordered: bool) -> FlowPath {
        let everywhere = bits(order.iter().copied());
        let mut sets: BTreeMap<Set, Seen> = BTreeMap::new();
        for (set, seen) in flow.sets {
            // Where a packet was seen it was captured, and what is off the way is of no matter.
            let captured = (set.captured | set.seen) & everywhere;
            sets.entry(Set { captured, ..set }).or_default().merge(seen);
        }
        let mut rows: Vec<(Set, Row)> = Vec::new();
        for (set, seen) in sets {
            // Where one end shows what the kernel cuts only later, its super-frames and their pieces do not match.
            if set.is_large && set.seen != everywhere {
                self.left_out.super_frames = self.left_out.super_frames.saturating_add(seen.packets);
                continue;
            }
            rows.push((set, seen.row(set, order)));
        }
        rows.sort_by_key(|(set, row)| (std::cmp::Reverse(set.seen.count_ones()), row.smallest));
        // What is missed at one place and not at the other tells by itself which way it went.
        let reversed: Vec<usize> = order.iter().rev().copied().filter(|_| !is_ordered).collect();
        let verdict = self.verdict(&rows, order).or_else(|| self.verdict(&rows, &reversed));
        FlowPath {
            from: key.from.to_string(),
            to: key.to.to_string(),
            protocol: key.protocol.to_string(),
            packets: flow.packets,
            vantages: order.iter().filter_map(|at| Some(self.places.get(*at)?.name.clone())).collect(),
            is_ordered,
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            verdict,
        }
    }

    /// The vantages on the way of a flow and of its answers, each behind those that more packets passed before it than after it; and whether that
    /// holds of all that one packet passed.
    fn order(&self, key: &FlowKey, flow: &Flow, flows: &[(FlowKey, Flow)]) -> (Vec<usize>, bool) {
        let back = flows.iter().find(|(k, _)| k.from == key.to && k.to == key.from && k.protocol == key.protocol);
        let back = back.map(|(_, flow)| flow);
        let sets: Vec<u32> =
            flow.sets.keys().chain(back.into_iter().flat_map(|back| back.sets.keys())).map(|set| set.seen).collect();
        let seen = sets.iter().fold(0, |all, set| all | set);
        let places: Vec<usize> = (0..MOST_VANTAGES).filter(|at| seen & 1 << at != 0).collect();
        let count = |a: usize, b: usize| {
            let there = flow.before.get(&(a, b)).copied().unwrap_or(0);
            there.saturating_add(back.and_then(|back| back.before.get(&(b, a))).copied().unwrap_or(0))
        };
        let is_first = |a: usize, b: usize| count(a, b) > count(b, a);
        let mut line = self.outward(&places).unwrap_or_else(|| in_line(&places, is_first).0);
        let against = pairs(&line).filter(|(a, b)| is_first(*b, *a)).count();
        if against > pairs(&line).filter(|(a, b)| is_first(*a, *b)).count() {
            line.reverse();
        }
        let have_both = |a: usize, b: usize| sets.iter().any(|set| set & 1 << a != 0 && set & 1 << b != 0);
        let is_ordered = pairs(&line).all(|(a, b)| is_first(a, b) || !have_both(a, b));
        (line, is_ordered)
    }

    fn outward(&self, places: &[usize]) -> Option<Vec<usize>> {
        let ids: Vec<VantageId> = places.iter().filter_map(|at| Some(self.places.get(*at)?.id)).collect();
        let line = self.sightings.outward(&ids)?;
        Some(line.iter().filter_map(|id| self.places.iter().position(|place| place.id == *id)).collect())
    }

    /// Whether the packets that were last seen at one vantage are all larger than those that came on to the next.
    fn verdict(&self, rows: &[(Set, Row)], order: &[usize]) -> Option<Verdict> {
        for (at, next) in order.iter().zip(order.iter().skip(1)) {
            let (here, there) = (1_u32 << at, 1_u32 << next);
            let both = |set: &Set| set.captured & here != 0 && set.captured & there != 0;
            let lost: Vec<&Row> = rows
                .iter()
                .filter(|(set, _)| both(set) && set.seen & here != 0 && !is_later(set.seen, *at, order))
                .map(|(_, row)| row)
                .collect();
            let passed: Vec<&Row> = rows
                .iter()
                .filter(|(set, _)| set.seen & here != 0 && set.seen & there != 0)
                .map(|(_, row)| row)
                .collect();
            let smallest_lost = lost.iter().map(|row| row.smallest).min();
            let largest_passed = passed.iter().map(|row| row.largest).max().unwrap_or(0);
            if let Some(smallest_lost) =
                smallest_lost.filter(|smallest| *smallest > largest_passed && largest_passed > 0)
            {
                return Some(Verdict {
                    seen_at: self.places.get(*at)?.name.clone(),
                    missing_at: self.places.get(*next)?.name.clone(),
                    smallest_lost,
                    lost: lost.iter().fold(0, |sum, row| row.packets.saturating_add(sum)),
                    largest_passed,
                    passed: passed.iter().fold(0, |sum, row| row.packets.saturating_add(sum)),
                });
            }
        }
        None
    }
}

impl Place {
    fn has_captured(&self, at: Timestamp) -> bool {
        self.captured.is_none_or(|(first, last)| (first..=last).contains(&at))
    }
}

impl Seen {
    /// One packet.
    fn of(way: &[(usize, Sighting)], size: u32) -> Self {
        let look = |s: &Sighting| Look { number: s.at.number, wire_len: s.wire_len, tags: vec![s.tags] };
        let looks = way.iter().map(|(place, sighting)| (*place, look(sighting))).collect();
        Self { packets: 1, smallest: size, largest: size, looks }
    }

    fn merge(&mut self, other: Self) {
        self.smallest = if self.packets == 0 { other.smallest } else { self.smallest.min(other.smallest) };
        self.largest = self.largest.max(other.largest);
        self.packets = self.packets.saturating_add(other.packets);
        for (place, look) in other.looks {
            match self.looks.entry(place) {
                Entry::Vacant(vacant) => {
                    vacant.insert(look);
                }
                Entry::Occupied(mut own) => own.get_mut().merge(look),
            }
        }
    }

    fn row(self, set: Set, order: &[usize]) -> Row {
        let cell = |at: &usize| match self.looks.get(at) {
            Some(look) => {
                let tags: Vec<String> = look.tags.iter().map(ToString::to_string).collect();
                Cell::Yes { tags: tags.join(" or "), number: look.number, wire_len: look.wire_len }
            }
            None if set.captured & 1 << at == 0 => Cell::NotCaptured,
            None => Cell::No,
        };
        let cells = order.iter().map(cell).collect();
        Row { smallest: self.smallest, largest: self.largest, packets: self.packets, cells }
    }
}

impl Look {
    fn merge(&mut self, other: Self) {
        self.number = self.number.min(other.number);
        self.wire_len = self.wire_len.max(other.wire_len);
        for tags in other.tags {
            if self.tags.len() < MOST_TAGS && !self.tags.contains(&tags) {
                self.tags.push(tags);
            }
        }
    }
}

impl FlowKey {
    fn of(frame: &Frame<'_>) -> Self {
        let layers = &frame.layers;
        let protocols = [Kind::Tcp, Kind::Udp, Kind::Icmp, Kind::Icmpv6, Kind::Arp, Kind::Stp, Kind::Lldp, Kind::Lacp];
        let protocol = protocols.into_iter().find(|kind| layers.has(*kind));
        match layers.ip() {
            Some(ip) => Self {
                from: End::Ip(ip.src()),
                to: End::Ip(ip.dst()),
                protocol: protocol.unwrap_or(match ip {
                    Ip::V4(_) => Kind::Ipv4,
                    Ip::V6(_) => Kind::Ipv6,
                }),
            },
            None => Self {
                from: End::Mac(layers.link_src().unwrap_or(Mac::ZERO)),
                to: End::Mac(layers.link_dst().unwrap_or(Mac::ZERO)),
                protocol: protocol.unwrap_or(Kind::Ethernet),
            },
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

/// A frame that no wire carries as it stands.
fn is_super(frame: &Frame<'_>, size: u32) -> bool {
    matches!(frame.offload, Offload::Segmented { .. }) || size > LARGEST_JUMBO
}

/// Whether a set has a vantage that comes after `at` in the order.
fn is_later(seen: u32, at: usize, order: &[usize]) -> bool {
    order.iter().skip_while(|place| **place != at).skip(1).any(|place| seen & 1 << place != 0)
}

/// Each two of a line, in their order.
fn pairs(line: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    (1..).zip(line).flat_map(|(next, a)| line.iter().skip(next).map(move |b| (*a, *b)))
}

fn bits(places: impl Iterator<Item = usize>) -> u32 {
    places.filter(|at| *at < MOST_VANTAGES).fold(0, |all, at| all | 1 << at)
}

/// A histogram of nanoseconds with two digits, which grows with what it holds.
#[expect(clippy::expect_used, reason = "two significant digits are within what the crate allows")]
fn times() -> Histogram<u32> {
    Histogram::new(2).expect("two digits")
}
