//! Header prediction (V. Jacobson, 1990): nearly every frame is the next segment of a connection, and its headers are those of the segment
//! before but for a few words. What those led to is remembered: the network, the connection, the stations. A segment that goes on as it
//! should is taken in by that, without a layer laid out or a table searched; so is a datagram that nobody reads, which has no connection,
//! and either in a tunnel. What it changes it changes as in `see`, by the same functions; what may bring about more is left to that,
//! untouched. Some ten thousand headings are remembered, one over the other.

use super::stations::{Sent, Speaker};
use super::{Derived, DomainId, Seen, World, sooner};
use crate::event::Placed;
use crate::value::{Mac, Spot};
use crate::wire::{Heading, Kind, Kinds, Plain, Within, Wrapped};

/// Headings that are told apart: two mebibytes of them, of which only that is read that there is traffic of.
const PLACES: usize = 32_768;
/// Tunnels that are looked into.
const TUNNELS: Kinds = Kinds::of(&[Kind::Vxlan, Kind::Geneve]);

/// What headings led to.
#[derive(Default)]
pub(super) struct Predictions {
    /// Each by the trace of its heading; none before the first.
    places: Vec<Prediction>,
    /// What the frame there carries, where that is another one; none before the first of those.
    within: Vec<Within>,
    /// Of each place half the trace of the heading that was met there last and not predicted: many come once, and are not worth a place.
    met: Vec<u16>,
    /// Whether the heading of the frame that is seen now was met before.
    is_again: bool,
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

impl Predictions {
    #[inline]
    fn get(&self, trace: u32, heading: &Heading) -> Option<Goal> {
        self.places.get(trace as usize % PLACES).filter(|place| place.heading == *heading).map(|place| place.to)
    }

    /// The same for a frame that carries another one.
    fn get_within(&self, trace: u32, heading: &Heading, within: &Within) -> Option<Goal> {
        let is_it = self.within.get(trace as usize % PLACES).is_some_and(|held| held == within);
        self.get(trace, heading).filter(|_| is_it)
    }

    /// Notes that a heading was met and not predicted.
    #[inline]
    fn meet(&mut self, trace: u32) {
        if self.met.is_empty() {
            self.met = vec![0; PLACES];
        }
        if let Some(met) = self.met.get_mut(trace as usize % PLACES) {
            let half = (trace >> 16) as u16;
            self.is_again = std::mem::replace(met, half) == half;
        }
    }

    fn put(&mut self, trace: u32, prediction: Prediction, within: Option<Within>) {
        let at = trace as usize % PLACES;
        if self.places.is_empty() {
            self.places = vec![Prediction::default(); PLACES];
        }
        if within.is_some() && self.within.is_empty() {
            self.within = vec![Within::default(); PLACES];
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = prediction;
        }
        if let (Some(within), Some(place)) = (within, self.within.get_mut(at)) {
            *place = within;
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
        let is_plain = kinds.union(Plain::KINDS) == Plain::KINDS;
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
            || self.oversizes.may_exceed(record.wire_len);
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
        let wrapped = Wrapped::look(placed.record.bytes, placed.record.wire_len, ip).ok_or(trace)?;
        let trace = wrapped.trace(trace);
        let to = self.predictions.get_within(trace, heading, &wrapped.within).ok_or(trace)?;
        // Whether what is longer than an ordinary link takes arrives is watched.
        let plain = wrapped.plain().filter(|_| self.flows.is_ordinary(wrapped.packet_len));
        plain.map(|plain| (to, plain, wrapped.around.src())).ok_or(trace)
    }
}
