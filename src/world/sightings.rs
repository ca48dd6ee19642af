//! One packet, everywhere it was seen. A frame is the first of a packet, or another sighting of one already known: same content
//! behind the tags, another vantage, within the window. Two vantages that show the same packets with the same tags are one link.
//! Costs nothing with one vantage; else at most `tables.packets` packets are held.

use super::DomainId;
use crate::event::{Direction, Frame, FrameRef, Place, Vantage, VantageId};
use crate::finding::{Look, Stop, Way};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Span, TagStack, Timestamp};

/// Sightings that are kept of one packet; a packet seen at more places loses the later ones.
const MOST: usize = 12;

/// A packet at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The frame.
    pub at: FrameRef,
    /// When.
    pub time: Timestamp,
    /// With which tags.
    pub tags: TagStack,
    /// Which way.
    pub direction: Direction,
    /// How long.
    pub wire_len: u32,
}

/// Packets under recognition, and what they taught about vantages.
pub struct Sightings {
    window: Span,
    /// By what a packet is known again.
    identity: fn(&Frame<'_>) -> Fingerprint,
    vantages: Vec<(VantageId, Place, VantageId)>,
    packets: BoundedMap<Fingerprint, Packet>,
}

#[derive(Clone, Debug, Default)]
struct Packet {
    seen: Vec<Sighting>,
    domain: Option<DomainId>,
}

impl Sightings {
    /// No packet yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            window: settings.sightings.window(),
            identity: |frame| frame.fingerprint(),
            vantages: Vec::new(),
            packets: BoundedMap::new(settings.tables.packets),
        }
    }

    /// The same for packets that are followed through routers, and for as long as a slow way takes.
    #[must_use]
    pub fn of_ways(settings: &Settings) -> Self {
        Self { window: settings.sightings.way(), identity: |frame| frame.routed_fingerprint(), ..Self::new(settings) }
    }

    /// Another vantage is there.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        if self.vantages.iter().all(|(v, ..)| *v != id) {
            self.vantages.push((id, vantage.place, id));
        }
    }

    /// How long to wait until all sightings of a packet are in: nothing with one vantage.
    pub fn settle(&self) -> Span {
        if self.vantages.len() > 1 { self.window } else { Span::ZERO }
    }

    /// Takes `frame` in: by what its packet is known, and whether this is the first sighting of it.
    pub fn note(&mut self, frame: &Frame<'_>) -> (Option<Fingerprint>, bool) {
        if self.vantages.len() < 2 {
            return (None, true);
        }
        let id = (self.identity)(frame);
        let sighting = Sighting::of(frame);
        let packet = self.packets.entry(&id, Packet::default);
        if !packet.is_sighting(&sighting, self.window) {
            packet.seen.clear();
            packet.domain = None;
            packet.seen.push(sighting);
            return (Some(id), true);
        }
        let twins: Vec<VantageId> =
            packet.seen.iter().filter(|s| s.is_same_link(&sighting)).map(|s| s.at.vantage).collect();
        if packet.seen.len() < MOST {
            packet.seen.push(sighting);
        }
        for twin in twins {
            self.join(twin, frame.at.vantage);
        }
        (Some(id), false)
    }

    /// Where `packet` was seen, in order of time; empty once it is forgotten.
    pub fn journey(&self, packet: Fingerprint) -> &[Sighting] {
        self.packets.peek(&packet).map_or(&[], |p| &p.seen)
    }

    /// The way of `packet`, which is `what`, as far as it was seen, and where it was not.
    pub fn way(&self, what: impl Into<String>, packet: Fingerprint, unseen: &[VantageId]) -> Way {
        let look = |s: &Sighting| Look { number: s.at.number, tags: s.tags, wire_len: s.wire_len };
        let seen = self.journey(packet).iter().map(|s| Stop { vantage: s.at.vantage, look: Some(look(s)) });
        let unseen = unseen.iter().map(|vantage| Stop { vantage: *vantage, look: None });
        Way { what: what.into(), stops: seen.chain(unseen).collect() }
    }

    /// The network of the sighting before this one, in `domain`, of the same packet.
    pub fn earlier_domain(&mut self, packet: Fingerprint, domain: DomainId) -> Option<DomainId> {
        self.packets.get_mut(&packet)?.domain.replace(domain)
    }

    /// The vantage that stands for the link that `id` shows: of all that show the same packets alike, the highest in rank.
    pub fn link_of(&self, id: VantageId) -> VantageId {
        let Some((.., class)) = self.vantages.iter().find(|(v, ..)| *v == id) else { return id };
        let alike = self.vantages.iter().filter(|(.., c)| c == class);
        alike.min_by_key(|(v, place, _)| (*place, *v)).map_or(id, |(v, ..)| *v)
    }

    /// Packets forgotten before their window had passed.
    pub fn forgotten(&self) -> u64 {
        // Old packets are forgotten by plan; only a window that does not fit the table would be a loss, and that is not counted yet.
        0
    }

    fn join(&mut self, a: VantageId, b: VantageId) {
        let class = |of| self.vantages.iter().find(|(v, ..)| *v == of).map(|(.., c)| *c);
        let (Some(a), Some(b)) = (class(a), class(b)) else { return };
        for (.., class) in &mut self.vantages {
            if *class == b {
                *class = a;
            }
        }
    }
}

impl Packet {
    fn is_sighting(&self, new: &Sighting, window: Span) -> bool {
        self.seen.first().is_some_and(|first| new.time.since(first.time).abs() <= window)
            && self.seen.iter().all(|s| s.at.vantage != new.at.vantage)
            && self.seen.iter().all(|s| s.tags.is_compatible(&new.tags))
    }
}

impl Sighting {
    /// The sighting that `frame` is.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self {
            at: frame.at,
            time: frame.time,
            tags: frame.layers.tags(),
            direction: frame.direction,
            wire_len: frame.wire_len,
        }
    }

    /// The same tags, going the same way through devices of one host: the two vantages show one link.
    fn is_same_link(&self, other: &Self) -> bool {
        self.tags == other.tags && self.direction == other.direction && self.wire_len == other.wire_len
    }
}
