//! Packets that one vantage shows and a later one does not, although it shows smaller ones between the same two hosts: they are lost between
//! the two. Costs nothing with one vantage.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::detect::Context;
use crate::event::{Sighting, VantageId};
use crate::finding::Way;
use crate::value::{BoundedMap, Fingerprint, Timestamp};

/// Pairs of hosts at a vantage of which the latest small packet is remembered.
const MOST: usize = 1_024;
/// Large packets that wait until all their sightings are in; further ones are not looked at.
const MOST_WAITING: usize = 256;

/// Sender and receiver, where they were seen.
type Pair = (VantageId, IpAddr, IpAddr);

/// Packets on their way; `K` is what a large one belongs to.
pub struct Hops<K> {
    small: BoundedMap<Pair, (Fingerprint, u32)>,
    large: BoundedMap<Pair, K>,
    waiting: VecDeque<Large<K>>,
}

/// A large packet whose sightings may still come.
struct Large<K> {
    due: Timestamp,
    key: K,
    pair: Pair,
    packet: Option<Fingerprint>,
    packet_len: u32,
}

/// What became of a large packet.
pub enum Fate {
    /// Every later vantage that shows small packets shows it, too.
    Passed,
    /// It was seen at one vantage, and not at the next, where a small one was.
    Gone(Gone),
}

/// A packet that was seen at one vantage and not at the next.
pub struct Gone {
    /// Where it was seen last.
    pub seen_at: VantageId,
    /// Where it was not.
    pub missing_at: VantageId,
    /// When it was seen last.
    pub time: Timestamp,
    /// When the small one was seen where it was not.
    pub small_time: Timestamp,
    /// Bytes of layer 3 of it, and of the small one.
    pub sizes: (u32, u32),
    /// By what its sightings are found, and those of the small one.
    pub packets: (Fingerprint, Fingerprint),
}

impl<K> Default for Hops<K> {
    fn default() -> Self {
        Self { small: BoundedMap::new(MOST), large: BoundedMap::new(MOST), waiting: VecDeque::new() }
    }
}

impl<K: Copy> Hops<K> {
    /// A packet that fits was seen.
    pub fn fits(&mut self, pair: Pair, packet: Fingerprint, packet_len: u32) {
        self.small.insert(pair, (packet, packet_len));
    }

    /// A packet that does not fit was seen.
    pub fn exceeds(&mut self, key: K, pair: Pair, packet: Option<Fingerprint>, packet_len: u32, cx: &Context<'_>) {
        self.large.insert(pair, key);
        if packet.is_some() && self.waiting.len() < MOST_WAITING {
            let due = cx.now.after(cx.world.sightings.settle());
            self.waiting.push_back(Large { due, key, pair, packet, packet_len });
        }
    }

    /// What the latest packet of this pair that did not fit belongs to.
    pub fn key_of(&self, pair: Pair) -> Option<K> {
        self.large.peek(&pair).copied()
    }

    /// When the next large packet's sightings are in.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.front().map(|large| large.due)
    }

    /// The next large packet whose sightings are in at `until`, and what became of it, where that can be said.
    pub fn settled(&mut self, until: Timestamp, cx: &Context<'_>) -> Option<(K, Option<Fate>)> {
        self.waiting.front().filter(|large| large.due <= until)?;
        let large = self.waiting.pop_front()?;
        let fate = large.packet.and_then(|packet| self.fate(&large, packet, cx));
        Some((large.key, fate))
    }

    fn fate(&self, large: &Large<K>, packet: Fingerprint, cx: &Context<'_>) -> Option<Fate> {
        let (small, small_len) = *self.small.peek(&large.pair)?;
        let sightings = &cx.world.sightings;
        let (went, small_went) = (sightings.journey(packet), sightings.in_order(small)?);
        let at = |journey: &[Sighting], vantage| journey.iter().find(|s| s.at.vantage == vantage).copied();
        // What comes before this vantage may show what the kernel cuts only later.
        let further: Vec<&Sighting> = small_went.iter().skip_while(|s| s.at.vantage != large.pair.0).collect();
        let last = further.iter().rposition(|s| at(went, s.at.vantage).is_some())?;
        let seen = further.get(last).and_then(|s| at(went, s.at.vantage))?;
        let Some(missing) = further.get(last.saturating_add(1)) else {
            return (further.len() > 1).then_some(Fate::Passed);
        };
        Some(Fate::Gone(Gone {
            seen_at: seen.at.vantage,
            missing_at: missing.at.vantage,
            time: seen.time,
            small_time: missing.time,
            sizes: (large.packet_len, small_len),
            packets: (packet, small),
        }))
    }
}

impl Gone {
    /// The ways of both packets.
    pub fn ways(&self, cx: &Context<'_>) -> [Way; 2] {
        let way =
            |packet, len: u32, unseen: &[VantageId]| cx.world.sightings.way(format!("{len} bytes"), packet, unseen);
        [way(self.packets.0, self.sizes.0, &[self.missing_at]), way(self.packets.1, self.sizes.1, &[])]
    }
}
