//! Header prediction (V. Jacobson, 1990): nearly every frame is the next segment of a connection, and its headers are those of the segment
//! before but for a few words. What those led to is remembered: the network, the connection, the stations. A segment that goes on as it
//! should is taken in by that, without a layer laid out or a table searched; so is a datagram that nobody reads, which has no connection,
//! and either in a tunnel, or in a service tag and a customer's. What it changes it changes as in `see`, by the same functions; what may
//! bring about more is left to that, untouched. At most 65,535 headings are remembered, one over the other in sets of a few.

use super::stations::{Sent, Speaker};
use super::{Derived, DomainId, Seen, World, sooner};
use crate::event::{Placed, VantageId};
use crate::value::{Mac, Spot, prefetch};
use crate::wire::{Heading, Kind, Kinds, LinkType, Plain, Within, Wrapped};

/// Sets of headings, each of `WAYS`.
const SETS: usize = 16_384;
/// Headings of one set that are told apart.
const WAYS: usize = 4;
/// What frames may hold whose headings are remembered: of two tags those of which `Heading` knows.
const REMEMBERED: Kinds = Plain::KINDS.union(Kinds::of(&[Kind::VlanStack]));
/// Tunnels that are looked into.
const TUNNELS: Kinds = Kinds::of(&[Kind::Vxlan, Kind::Geneve]);

/// What headings led to.
#[derive(Default)]
pub(super) struct Predictions {
    /// By the traces of headings; none before the first.
    sets: Vec<[Cell; WAYS]>,
    /// In the order in which they were first put, so that those of busy connections lie together.
    places: Vec<Prediction>,
    /// What the frame at each place carries, where that is another one; none before the first of those.
    within: Vec<Within>,
    /// Whether the heading of the frame that is seen now was met before.
    is_again: bool,
    awaited: Awaited,
}

/// What is known of the next frames, as far as it is looked up already.
#[derive(Clone, Copy, Default)]
struct Awaited {
    /// The trace of the one behind the next, and whether it carries another.
    trace: u32,
    is_around: bool,
    /// Where the heading of the next lies.
    place: usize,
}

/// A heading that was met. Many come once, and are not worth a place: what is new stands last in its set, and goes to the front with the second
/// time.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// Half its trace.
    met: u16,
    /// Where it lies, or may, counted from one; 0 where nothing does.
    place: u16,
}

/// A heading, and what it led to, in one cache line.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Prediction {
    heading: Heading,
    to: Goal,
}

/// What a heading led to. Whose the spots are is looked at anew.
#[derive(Clone, Copy, Default)]
struct Goal {
    domain: DomainId,
    flow: Spot,
    stations: [Spot; 2],
}

impl Cell {
    /// Whether it tells of a heading of this trace.
    #[inline]
    const fn is_of(self, trace: u32) -> bool {
        self.met == half(trace)
    }

    /// Where that lies; past all places where it has none.
    #[inline]
    fn place(self) -> usize {
        usize::from(self.place).wrapping_sub(1)
    }
}

/// The half of a trace that does not tell the set.
const fn half(trace: u32) -> u16 {
    (trace >> 16) as u16
}

impl Predictions {
    /// Where the heading of this trace may lie; past all places where it was not met.
    #[inline]
    fn place(&self, trace: u32) -> usize {
        let set = self.sets.get(trace as usize % SETS);
        set.and_then(|set| set.iter().find(|cell| cell.is_of(trace))).map_or(usize::MAX, |cell| cell.place())
    }

    #[inline]
    fn get(&self, trace: u32, heading: &Heading) -> Option<Goal> {
        self.places.get(self.place(trace)).filter(|place| place.heading == *heading).map(|place| place.to)
    }

    /// The same for a frame that carries another one.
    fn get_within(&self, trace: u32, heading: &Heading, within: &Within) -> Option<Goal> {
        let held = self.within.get(self.place(trace))?;
        self.get(trace, heading).filter(|_| held == within)
    }

    /// Notes that a heading was met and not predicted.
    #[inline]
    fn meet(&mut self, trace: u32) {
        if self.sets.is_empty() {
            self.sets = vec![[Cell::default(); WAYS]; SETS];
        }
        if let Some(set) = self.sets.get_mut(trace as usize % SETS) {
            self.is_again = set.iter().any(|cell| cell.is_of(trace));
            if !self.is_again {
                set[WAYS - 1].met = half(trace);
            }
        }
    }

    fn put(&mut self, trace: u32, prediction: Prediction, within: Option<Within>) {
        let Some(set) = self.sets.get_mut(trace as usize % SETS) else { return };
        let Some(met) = set.iter_mut().position(|cell| cell.is_of(trace)).and_then(|at| set.get_mut(..=at)) else {
            return;
        };
        met.rotate_right(1);
        let Some(cell) = met.first_mut() else { return };
        if cell.place == 0 {
            let Ok(place) = u16::try_from(self.places.len().saturating_add(1)) else { return };
            self.places.push(prediction);
            cell.place = place;
        }
        let at = cell.place();
        if let Some(place) = self.places.get_mut(at) {
            *place = prediction;
        }
        if let Some(within) = within {
            self.within.resize(self.places.len().max(self.within.len()), Within::default());
            self.within.get_mut(at).into_iter().for_each(|place| *place = within);
        }
    }
}

impl World {
    /// Remembers what the heading of `seen` led to if it was met before, and what comes next may be as it was: of a connection, if that may go on as it should.
    #[inline]
    pub(super) fn predict(&mut self, seen: &Seen<'_>) {
        if !std::mem::take(&mut self.predictions.is_again) {
            return;
        }
        let kinds = seen.frame.layers.kinds();
        let flow = if kinds.contains(Kind::Tcp) {
            self.flows.calm()
        } else {
            Some(Spot::NOWHERE).filter(|_| kinds.contains(Kind::Udp))
        };
        let is_plain = kinds.union(REMEMBERED) == REMEMBERED;
        if let Some(flow) = flow.filter(|_| is_plain && self.sightings.is_alone()) {
            self.remember(seen, flow);
        }
    }

    #[inline(never)]
    fn remember(&mut self, seen: &Seen<'_>, flow: Spot) -> Option<()> {
        let (frame, domain) = (seen.frame, seen.domain);
        let (heading, trace, ip) = Heading::of(frame.link, frame.bytes)?;
        let (plain, sender, trace, within) = if frame.layers.kinds().intersects(TUNNELS) {
            let wrapped = Wrapped::look(frame.bytes, frame.wire_len, ip)?;
            (wrapped.plain()?, wrapped.around.src(), wrapped.trace(trace), Some(wrapped.within))
        } else {
            let plain = Plain::look(frame.bytes, frame.wire_len, ip)?;
            (plain, plain.ethernet.src(), trace, None)
        };
        let (src, dst) = (plain.ethernet.src(), plain.ethernet.dst());
        if src.is_station() && dst.is_station() && sender.is_station() && self.domains.is_of(domain, frame) {
            let root = self.domains.root(domain);
            let stations = [src, dst].map(|mac| self.stations.spot(mac, root).unwrap_or(Spot::NOWHERE));
            self.predictions.put(trace, Prediction { heading, to: Goal { domain, flow, stations } }, within);
        }
        Some(())
    }

    /// The frame three behind the next will most likely be of these `bytes`, and begin as `link` says. What is looked up for it is brought into the cache
    /// step by step, one with each frame: its set, where its heading lies, and what that led to.
    #[inline(always)]
    pub fn expect(&mut self, bytes: &[u8], link: LinkType) {
        let Predictions { sets, places, within, awaited, .. } = &self.predictions;
        let Awaited { trace, is_around, place } = *awaited;
        if let Some(Prediction { to, .. }) = places.get(place) {
            self.domains.prefetch(to.domain);
            self.flows.prefetch(to.flow);
            to.stations.into_iter().for_each(|spot| self.stations.prefetch(spot));
        }
        let place = self.predictions.place(trace);
        places.get(place).into_iter().for_each(prefetch);
        if is_around {
            within.get(place).into_iter().for_each(prefetch);
        }
        let mut next = Awaited { trace: 0, is_around: false, place };
        if let Some((_, around, ip)) = Heading::of(link, bytes) {
            let trace = if within.is_empty() { None } else { Wrapped::trace_in(bytes, ip, around) };
            (next.is_around, next.trace) = (trace.is_some(), trace.unwrap_or(around));
            sets.get(next.trace as usize % SETS).into_iter().for_each(prefetch);
        }
        self.predictions.awaited = next;
    }

    /// Takes a frame in that is a segment of a connection which goes on as it should, or a datagram that nobody reads; `false` where nothing was done,
    /// and it must be seen.
    #[inline(always)]
    pub fn pass(&mut self, placed: &Placed<'_>, out: &mut Vec<Derived>) -> bool {
        let &Placed { ref record, vantage, link, order } = placed;
        let Some((heading, trace, ip)) = Heading::of(link, record.bytes) else { return false };
        let (Goal { domain, flow, stations }, plain, sender) = if let Some(to) = self.predictions.get(trace, &heading) {
            let Some(plain) = Plain::look(record.bytes, record.wire_len, ip) else { return false };
            (to, plain, plain.ethernet.src())
        } else {
            let within =
                if Wrapped::is_here(record.bytes, ip) { self.within(placed, &heading, trace, ip) } else { Err(trace) };
            match within {
                Ok(within) => within,
                Err(trace) => {
                    self.predictions.meet(trace);
                    return false;
                }
            }
        };
        let is_heard = self.heard_by_few.intersects(Plain::KINDS)
            || self.path_mtus.is_watching(order)
            || self.oversizes.may_exceed(record.wire_len)
            || (Heading::tags(ip) > 1 && !self.is_common(domain, vantage, plain.packet_len()));
        if is_heard || !self.sightings.is_alone() || !self.arrivals.is_steady(vantage) {
            return false;
        }
        let mut step = None;
        if let Some(tcp) = &plain.tcp {
            step = self.flows.step(flow, vantage, &plain, tcp, record.offload);
            if step.is_none() {
                return false;
            }
        }
        // From here on all that is asked for is done.
        if !self.clocks.follows(vantage, record.time) {
            return false;
        }
        self.tally.count_one(record.wire_len, Heading::tags(ip), record.is_cut());
        self.domains.count(domain, record.direction, order);
        self.arrivals.pass(placed, sender);
        let is_proof = match &step {
            Some(step) => self.flows.follow(step, vantage, order),
            None => false,
        };
        let sent = Sent {
            src: plain.ethernet.src(),
            to: Some(plain.ethernet.dst()),
            domain: self.domains.root(domain),
            at: placed.at(),
            time: order,
            wire_len: record.wire_len,
        };
        self.stations.pass(&sent, stations, is_proof.then(|| Speaker::plain(&plain)), out);
        sooner(&mut self.due, &self.stations);
        true
    }

    /// Whether a packet of `packet_len` bytes in two tags is no longer than one that was seen in them, and fits: rules follow what does not.
    #[inline(never)]
    fn is_common(&self, domain: DomainId, vantage: VantageId, packet_len: u16) -> bool {
        let carry = packet_len.saturating_add(4);
        u32::from(packet_len) <= self.domains.longest(domain)
            && self.flows.is_ordinary(carry)
            && self.mtu(vantage).is_none_or(|mtu| u32::from(carry) <= mtu)
    }

    /// What the headings of a frame led to that carries another one, with what that carries, and who sent it between the ends of the tunnel; by which
    /// trace it will be known if not.
    #[inline(never)]
    fn within<'a>(
        &self,
        placed: &Placed<'a>,
        heading: &Heading,
        trace: u32,
        ip: usize,
    ) -> Result<(Goal, Plain<'a>, Mac), u32> {
        if Heading::tags(ip) > 1 {
            return Err(trace);
        }
        let wrapped = Wrapped::look(placed.record.bytes, placed.record.wire_len, ip).ok_or(trace)?;
        let trace = wrapped.trace(trace);
        let to = self.predictions.get_within(trace, heading, &wrapped.within).ok_or(trace)?;
        // Whether what is longer than an ordinary link takes arrives is watched.
        let plain = wrapped.plain().filter(|_| self.flows.is_ordinary(wrapped.packet_len));
        plain.map(|plain| (to, plain, wrapped.around.src())).ok_or(trace)
    }
}
