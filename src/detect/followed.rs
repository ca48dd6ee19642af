//! What a detector follows, by key: each matter with the evidence seen of it so far, looked at once all vantages have had the time to
//! show it, and over once nothing more was seen for as long as the rule is patient.

use std::hash::Hash;

use super::Context;
use crate::event::{Cited, Frame};
use crate::finding::Claim;
use crate::value::{Span, TimedMap, Timestamp};

/// Matters that a detector follows; the one unseen for longest makes room.
pub struct Followed<K, V = ()> {
    /// Times that a matter must be seen before it is looked at, and times of which the frames are cited.
    enough: u64,
    cited: u64,
    matters: TimedMap<K, Matter<V>>,
}

/// One matter, and what was seen of it.
pub struct Matter<V = ()> {
    /// When its first frame was captured.
    pub first: Timestamp,
    /// When it was seen last, in engine time.
    pub last: Timestamp,
    /// How often it was seen.
    pub count: u64,
    /// What else the detector remembers of it.
    pub what: V,
    /// Frames that no claim has cited yet.
    fresh: Vec<Cited>,
    /// How often it had been seen when that was told.
    said: u64,
    is_claimed: bool,
}

/// What has become of a matter.
pub enum Due<K, V = ()> {
    /// It was seen often enough and every vantage has had the time to show it, or it was seen again since it was claimed: to be claimed
    /// now, if at all.
    Ripe(K),
    /// What was claimed of it was not seen for so long that it is over; it is no longer followed.
    Over(K, Matter<V>),
}

impl<K: Hash + Ord + Clone, V> Followed<K, V> {
    /// Follows at most `limit` matters, each looked at once it was seen `enough` times; what shows it the first `cited` times is its proof.
    pub fn new(limit: usize, enough: u64, cited: u64) -> Self {
        Self { enough, cited, matters: TimedMap::new(limit) }
    }

    /// `frame` shows the matter `key`, of which `make` says what else to remember if it is new.
    pub fn see(&mut self, key: &K, frame: &Frame<'_>, cx: &Context<'_>, make: impl FnOnce() -> V) -> &mut Matter<V> {
        self.note(key, frame.time, cx, make, || [Cited::of(frame)])
    }

    /// What was seen at `first` shows the matter `key`; `cite` gives the frames that do.
    pub fn note<C: IntoIterator<Item = Cited>>(
        &mut self,
        key: &K,
        first: Timestamp,
        cx: &Context<'_>,
        make: impl FnOnce() -> V,
        cite: impl FnOnce() -> C,
    ) -> &mut Matter<V> {
        let matter = self.matters.entry(key, || Matter::new(first, cx.now, make()));
        matter.count = matter.count.saturating_add(1);
        matter.last = cx.now;
        if matter.count <= self.cited {
            matter.fresh.extend(cite());
        }
        if matter.count == 1 || matter.count == self.enough {
            self.matters.wake(key, cx.now.after(cx.world.sightings.settle()));
        }
        // It was just put there: only the deadline lies between.
        match self.matters.get_mut(key) {
            Some(matter) => matter,
            None => unreachable!("what was just noted is followed"),
        }
    }

    /// The matter `key`, if it is followed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut Matter<V>> {
        self.matters.get_mut(key)
    }

    /// The matter `key`, if it is followed, to be read.
    pub fn get(&self, key: &K) -> Option<&Matter<V>> {
        self.matters.peek(key)
    }

    /// All that are followed, the one unseen for longest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Matter<V>)> {
        self.matters.by_age()
    }

    /// Follows no longer what `is_over`; what was claimed of that comes back.
    pub fn drop_where(&mut self, is_over: impl Fn(&K, &V) -> bool) -> Vec<K> {
        let over = self.matters.by_age().filter(|(key, matter)| is_over(key, &matter.what));
        let over: Vec<K> = over.map(|(key, _)| key.clone()).collect();
        let mut claimed = Vec::new();
        for key in over {
            if self.matters.remove(&key).is_some_and(|matter| matter.is_claimed) {
                claimed.push(key);
            }
        }
        claimed
    }

    /// The next moment at which something is due.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.matters.next_deadline()
    }

    /// What is due now, where `patience` without a sight of a matter means that it is over.
    pub fn due(&mut self, now: Timestamp, patience: Span) -> Option<Due<K, V>> {
        while let Some(key) = self.matters.due(now) {
            let Some(matter) = self.matters.get_mut(&key) else { continue };
            let over = matter.last.after(patience);
            if matter.is_unsaid(self.enough) {
                matter.said = matter.count;
                // Over it may be in the same moment, but what it was is told first.
                self.matters.wake(&key, over.max(now));
                return Some(Due::Ripe(key));
            }
            if over > now {
                self.matters.wake(&key, over);
            } else if let Some(matter) = self.matters.remove(&key).filter(|matter| matter.is_claimed) {
                return Some(Due::Over(key, matter));
            }
        }
        None
    }

    /// What the end of the capture must still claim: matters that were seen often enough, and since they were claimed.
    pub fn unsaid(&self) -> Vec<K> {
        let unsaid = self.matters.by_age().filter(|(_, matter)| matter.is_unsaid(self.enough));
        unsaid.map(|(key, _)| key.clone()).collect()
    }
}

impl<V> Matter<V> {
    const fn new(first: Timestamp, now: Timestamp, what: V) -> Self {
        Self { first, last: now, count: 0, what, fresh: Vec::new(), said: 0, is_claimed: false }
    }

    /// `claim` with what was seen: since when and until when, how often, and the frames that prove it.
    pub fn prove(&mut self, claim: Claim) -> Claim {
        (self.said, self.is_claimed) = (self.count, true);
        claim.seen(self.first, self.count).until(self.last).proved_by(self.fresh.drain(..))
    }

    const fn is_unsaid(&self, enough: u64) -> bool {
        self.count >= enough && self.count > self.said
    }
}
