//! One packet, everywhere it was seen. A frame is the first of a packet, or another sighting of one already known: same content
//! behind the tags, another vantage, within the window. Two vantages that show the same packets with the same tags are one link.
//! Costs nothing with one vantage; else at most `tables.packets` packets are held.

use super::link::Links;
use super::order::Order;
use super::{DomainId, Host};
use crate::event::{Frame, Sighting, Vantage, VantageId};
use crate::finding::{Look, Stop, Way};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Span};

/// Sightings that are kept of one packet; a packet seen at more places loses the later ones.
const MOST: usize = 12;

/// Packets under recognition, and what they taught about vantages.
pub struct Sightings {
    window: Span,
    /// By what a packet is known again.
    identity: fn(&Frame<'_>) -> Fingerprint,
    links: Links,
    order: Order,
    packets: BoundedMap<Fingerprint, Packet>,
    forgotten: u64,
}

#[derive(Clone, Debug, Default)]
struct Packet {
    seen: Vec<Sighting>,
    domain: DomainId,
}

/// What a frame is among the sightings of its packet.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// By what the packet is known; `None` where there is one vantage only.
    pub packet: Option<Fingerprint>,
    /// Where it was seen before: first, and the network of the sighting before this one; `None` if this is the first.
    pub before: Option<(VantageId, DomainId)>,
    /// Whether it has the stamp of the first: a bridge shows a frame in the instant in which it came in at a port.
    pub is_at_once: bool,
}

impl Sightings {
    /// No packet yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            window: settings.sightings.window(),
            identity: |frame| frame.fingerprint(),
            links: Links::default(),
            order: Order::default(),
            packets: BoundedMap::new(settings.tables.packets),
            forgotten: 0,
        }
    }

    /// The same for packets that are followed through routers, and for as long as a slow way takes.
    #[must_use]
    pub fn of_ways(settings: &Settings) -> Self {
        Self { window: settings.sightings.way(), identity: |frame| frame.routed_fingerprint(), ..Self::new(settings) }
    }

    /// Another vantage is there, of a host that says this of itself.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage, host: &Host) {
        self.links.add_vantage(id, vantage.place);
        self.order.add_vantage(id, vantage, host);
    }

    /// The host's devices are not what they were.
    pub fn rearrange(&mut self, host: &Host) {
        self.order.rearrange(host);
    }

    /// How long to wait until all sightings of a packet are in: nothing with one vantage.
    pub fn settle(&self) -> Span {
        if self.is_alone() { Span::ZERO } else { self.window }
    }

    /// Whether there is nowhere else that a packet could be seen.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        self.links.vantages() < 2
    }

    /// Takes `frame` in, which was seen in the network `domain`.
    pub fn note(&mut self, frame: &Frame<'_>, domain: DomainId) -> Noted {
        if self.is_alone() {
            return Noted { packet: None, before: None, is_at_once: false };
        }
        let id = (self.identity)(frame);
        let (sighting, window) = (Sighting::of(frame), self.window);
        let packet = self.packets.entry_after(&id, |old| {
            let Some(old) = old else { return Packet::default() };
            // Old packets are forgotten by plan.
            self.forgotten = self.forgotten.saturating_add(u64::from(old.is_within(&sighting, window)));
            Packet { seen: old.cleared(), domain }
        });
        let first = packet.seen.first().filter(|_| packet.is_sighting(&sighting, window));
        let is_at_once = first.is_some_and(|first| first.time == sighting.time);
        let before = first.map(|first| (first.at.vantage, packet.domain));
        packet.domain = domain;
        if before.is_none() {
            packet.seen.clear();
        }
        packet.seen.iter().for_each(|twin| self.links.note(twin, &sighting));
        if packet.seen.len() < MOST {
            packet.seen.push(sighting);
        }
        Noted { packet: Some(id), before, is_at_once }
    }

    /// Where `packet` was seen, in order of time; empty once it is forgotten.
    pub fn journey(&self, packet: Fingerprint) -> &[Sighting] {
        self.packets.peek(&packet).map_or(&[], |p| &p.seen)
    }

    /// The way of `packet`, which is `what`, as far as it was seen, and where it was not.
    pub fn way(&self, what: impl Into<String>, packet: Fingerprint, unseen: &[VantageId]) -> Way {
        let journey = self.journey(packet);
        let look = |s: &Sighting| Look { number: s.at.number, tags: s.tags, wire_len: s.wire_len };
        let (order, is_ordered) = self.order.along(journey, unseen);
        let seen_at = |vantage: VantageId| journey.iter().find(|s| s.at.vantage == vantage);
        let stops = order.into_iter().map(|vantage| Stop { vantage, look: seen_at(vantage).map(look) });
        Way { what: what.into(), stops: stops.collect(), is_ordered }
    }

    /// The sightings of `packet` in the order of its way; `None` where that is not known.
    pub fn in_order(&self, packet: Fingerprint) -> Option<Vec<Sighting>> {
        self.along(self.journey(packet))
    }

    /// The sightings `journey` of one packet in the order of its way; `None` where that is not known.
    pub(super) fn along(&self, journey: &[Sighting]) -> Option<Vec<Sighting>> {
        let (order, is_known) = self.order.along(journey, &[]);
        let seen_at = |vantage: VantageId| journey.iter().find(|s| s.at.vantage == vantage).copied();
        is_known.then(|| order.into_iter().filter_map(seen_at).collect())
    }

    /// How long a packet took from one place to the next; `None` where clocks are in doubt.
    pub(super) fn took(&self, one: &Sighting, next: &Sighting) -> Option<Span> {
        // Devices of one host stamp a packet when they come to it, which may be out of turn.
        (self.order.doubt(one, next) == Span::ZERO).then(|| next.time.since(one.time).max(Span::ZERO))
    }

    /// The vantages from the inside of a host to the outside, or from one end of the way that a case tells to the other; `None` where that is not
    /// known of all.
    pub(super) fn outward(&self, vantages: &[VantageId]) -> Option<Vec<VantageId>> {
        self.order.outward(vantages)
    }

    /// The vantage that stands for the link that `id` shows: of all that show the same packets alike, the highest in rank.
    pub fn link_of(&self, id: VantageId) -> VantageId {
        self.links.of(id)
    }

    /// Packets forgotten before their window had passed.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Packet {
    /// Its sightings, emptied for those of another packet: bulk traffic forgets one for each that it remembers.
    fn cleared(mut self) -> Vec<Sighting> {
        self.seen.clear();
        self.seen
    }

    fn is_within(&self, new: &Sighting, window: Span) -> bool {
        self.seen.first().is_some_and(|first| new.time.since(first.time).abs() <= window)
    }

    fn is_sighting(&self, new: &Sighting, window: Span) -> bool {
        self.is_within(new, window)
            && self.seen.iter().all(|s| s.at.vantage != new.at.vantage)
            && self.seen.iter().all(|s| s.tags.is_compatible(&new.tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Direction, Offload, Record};
    use crate::value::Timestamp;
    use crate::wire::LinkType;

    #[test]
    fn only_what_is_forgotten_before_its_time_is_a_loss() {
        let mut settings = Settings::default();
        settings.tables.packets = 2;
        let mut sightings = Sightings::new(&settings);
        let here = |lane| VantageId { lane, interface: 0 };
        let vantage = Vantage::called("eth0", LinkType::Ethernet);
        sightings.add_vantage(here(0), &vantage, &Host::default());
        sightings.add_vantage(here(1), &vantage, &Host::default());
        let mut note = |lane, content: u8, second| {
            let (direction, offload) = (Direction::Unknown, Offload::Unknown);
            let (bytes, time) = ([content; 60], Timestamp::from_parts(second, 0));
            let record = Record { interface: 0, number: 1, time, wire_len: 60, direction, offload, bytes: &bytes };
            let noted =
                sightings.note(&Frame::decode(record, here(lane), LinkType::Ethernet, time), DomainId::default());
            (noted.before.is_some(), sightings.forgotten())
        };
        assert_eq!([note(0, 1, 10), note(1, 1, 10)], [(false, 0), (true, 0)]);
        assert_eq!([note(0, 2, 10), note(0, 3, 10), note(1, 2, 10)], [(false, 0), (false, 1), (true, 1)]);
        assert_eq!([note(0, 4, 100), note(0, 5, 100)], [(false, 1), (false, 1)]);
    }
}
