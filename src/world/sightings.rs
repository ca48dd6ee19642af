//! One packet, everywhere it was seen. A frame is the first of a packet, or another sighting of one already known: same content
//! behind the tags, another vantage, within the window. Two vantages that show the same packets with the same tags are one link.
//! Costs nothing with one vantage; else at most `tables.packets` packets are held.

use super::DomainId;
use crate::event::{Direction, Frame, FrameRef, Place, Vantage, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Span, TagStack, Timestamp};
use crate::wire::Layer;

/// Sightings that are kept of one packet; a packet seen at more places loses the later ones.
const MOST: usize = 12;
/// Bytes behind the tags that must be equal (findings.md 2.2).
const COMPARED: usize = 256;

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
            vantages: Vec::new(),
            packets: BoundedMap::new(settings.tables.packets),
        }
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
        let id = fingerprint(frame);
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

/// What stays of a frame while it travels: source, protocol, and the packet behind the tags without what offloads change.
fn fingerprint(frame: &Frame<'_>) -> Fingerprint {
    let header = match frame.layers.as_slice().first() {
        Some(Layer::Ethernet(_)) => 14_usize,
        Some(Layer::Sll(_)) => 16,
        Some(Layer::Sll2(_)) => 20,
        Some(Layer::Null(_)) => 4,
        _ => 0,
    };
    let start = header.saturating_add(frame.layers.tag_depth().saturating_mul(4));
    let packet = frame.bytes.get(start..).unwrap_or(&[]);
    let whole = frame.layers.ip().map_or(packet.len(), |ip| packet.len().min(ip.packet_len() as usize));
    let packet = packet.get(..whole.min(COMPARED)).unwrap_or(packet);
    let length = frame.layers.ip().map_or(0, |ip| ip.packet_len()).to_be_bytes();
    let source = frame.layers.link_src().map(|mac| mac.0).unwrap_or_default();
    // A checksum that the network card was to fill in differs between the devices above and below it.
    let hole = checksum_at(packet);
    let (before, rest) = packet.split_at_checked(hole).unwrap_or((packet, &[]));
    Fingerprint::of(&[&source, &length, before, rest.get(2..).unwrap_or(&[])])
}

/// Where the TCP or UDP checksum of a packet stands; past its end where it has none.
fn checksum_at(packet: &[u8]) -> usize {
    let (header, protocol) = match packet.first().map(|b| b >> 4) {
        Some(4) => (packet.first().map_or(0, |b| usize::from(b & 0x0f).saturating_mul(4)), packet.get(9)),
        Some(6) => (40, packet.get(6)),
        _ => return usize::MAX,
    };
    match protocol {
        Some(6) => header.saturating_add(16),
        Some(17) => header.saturating_add(6),
        _ => usize::MAX,
    }
}
