//! Header prediction (V. Jacobson, 1990): nearly every frame is the next segment of a connection, and its headers are those of the segment
//! before but for a few words. What those led to is remembered: the network, the connection, the stations. A segment that goes on as it
//! should is taken in by that, without a layer laid out or a table searched; so is a datagram that nobody reads, which has no connection. What it changes it changes as in `see`, by the same
//! functions; what may bring about more is left to that, untouched. Some ten thousand headings are remembered, one over the other.

use super::stations::{Sent, Speaker};
use super::{Derived, DomainId, Seen, World, sooner};
use crate::event::Placed;
use crate::value::Spot;
use crate::wire::{Heading, Kind, Plain};

/// Headings that are told apart: two mebibytes of them, of which only that is read that there is traffic of.
const PLACES: usize = 32_768;

/// What headings led to.
#[derive(Default)]
pub(super) struct Predictions {
    /// Each by the trace of its heading; none before the first.
    places: Vec<Prediction>,
}

/// What one heading led to, in one cache line. Whose the spots are is looked at anew.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Prediction {
    heading: Heading,
    domain: DomainId,
    flow: Spot,
    stations: [Spot; 2],
}

impl Prediction {
    /// That of a heading which no frame has.
    fn none() -> Self {
        let (heading, domain) = (Heading::default(), DomainId::default());
        Self { heading, domain, flow: Spot::NOWHERE, stations: [Spot::NOWHERE; 2] }
    }
}

impl Predictions {
    #[inline]
    fn get(&self, trace: u32, heading: &Heading) -> Option<&Prediction> {
        self.places.get(trace as usize % PLACES).filter(|place| place.heading == *heading)
    }

    fn put(&mut self, trace: u32, prediction: Prediction) {
        if self.places.is_empty() {
            self.places = vec![Prediction::none(); PLACES];
        }
        if let Some(place) = self.places.get_mut(trace as usize % PLACES) {
            *place = prediction;
        }
    }
}

impl World {
    /// Remembers what the heading of `seen` led to, if what comes next may be as it was: of a connection, if that may go on as it should.
    #[inline]
    pub(super) fn predict(&mut self, seen: &Seen<'_>) {
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
    fn remember(&mut self, seen: &Seen<'_>, flow: Spot) {
        let (frame, domain) = (seen.frame, seen.domain);
        let Some((heading, trace, ip)) = Heading::of(frame.link, frame.bytes) else { return };
        let Some(plain) = Plain::look(frame.bytes, frame.wire_len, ip) else { return };
        let (src, dst) = (plain.ethernet.src(), plain.ethernet.dst());
        // Where there are too many networks it was counted in one that is not its own.
        let is_placed = self.domains.place(domain) == Some((frame.at.vantage, frame.layers.tags()));
        if src.is_station() && dst.is_station() && is_placed {
            let root = self.domains.root(domain);
            let stations = [src, dst].map(|mac| self.stations.spot(mac, root).unwrap_or(Spot::NOWHERE));
            self.predictions.put(trace, Prediction { heading, domain, flow, stations });
        }
    }

    /// Takes a frame in that is a segment of a connection which goes on as it should, or a datagram that nobody reads; `false` where nothing was done,
    /// and it must be seen.
    #[inline(always)]
    pub fn pass(&mut self, placed: &Placed<'_>, out: &mut Vec<Derived>) -> bool {
        let &Placed { ref record, vantage, link, order } = placed;
        let Some((heading, trace, ip)) = Heading::of(link, record.bytes) else { return false };
        let Some(&Prediction { domain, flow, stations, .. }) = self.predictions.get(trace, &heading) else {
            return false;
        };
        let is_heard = self.heard_by_few.intersects(Plain::KINDS)
            || self.path_mtus.is_watching(order)
            || self.oversizes.may_exceed(record.wire_len);
        if is_heard || !self.sightings.is_alone() || !self.arrivals.is_steady(vantage) {
            return false;
        }
        let Some(plain) = Plain::look(record.bytes, record.wire_len, ip) else { return false };
        let step = match &plain.tcp {
            Some(tcp) => match self.flows.step(flow, vantage, &plain, tcp, record.offload) {
                None => return false,
                step => step,
            },
            None => None,
        };
        // From here on all that is asked for is done.
        if !self.clocks.follows(vantage, record.time) {
            return false;
        }
        let src = plain.ethernet.src();
        self.tally.count_one(record.wire_len, usize::from(plain.is_tagged), plain.is_cut);
        self.domains.count(domain, record.direction, order);
        self.arrivals.pass(placed, src);
        let is_proof = step.is_some_and(|step| self.flows.follow(&step, vantage, order));
        let sent = Sent {
            src,
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
}
