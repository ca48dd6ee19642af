//! Places of a bounded table: which are taken, where each is found by its hash, and which was used least recently. It knows nothing of what lies
//! there, so that all tables share this code: what is seldom run must not push out of the cache what is run for every frame.

use super::Index;

/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// Places, in order of last use: exact to a quarter of the limit, and before half of them are taken nothing moves in it.
pub(super) struct Places {
    limit: usize,
    /// Touches and new entries so far, as far as they fit: after four billion of them one touch may leave a place where it is.
    clock: u32,
    index: Index,
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
    free: Vec<u32>,
}

/// One place in the order of use.
#[derive(Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    /// The touch at which it was moved to the front, as far as it fits.
    moved: u32,
    /// The half of the hash that the index knows: whoever goes need not be hashed again.
    hash: u32,
}

impl Places {
    /// Room for at most `limit` (at least one).
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, NONE as usize),
            clock: 0,
            index: Index::default(),
            links: Vec::new(),
            oldest: NONE,
            newest: NONE,
            free: Vec::new(),
        }
    }

    /// How many are taken.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no room for another.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.index.len() >= self.limit
    }

    /// The one used least recently; `NONE` where none is taken.
    #[inline]
    pub(super) const fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The one used next after `place`.
    pub(super) fn newer(&self, place: u32) -> u32 {
        self.links.get(place as usize).map_or(NONE, |link| link.newer)
    }

    /// The place with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.index.find(hash, is_it)
    }

    /// Takes a place for something with this hash: one that was given back, or the next behind all there are.
    #[inline(never)]
    pub(super) fn take(&mut self, hash: u64) -> u32 {
        self.clock = self.clock.wrapping_add(1);
        let link = Link { older: NONE, newer: NONE, moved: self.clock, hash: (hash >> 32) as u32 };
        let place = self.free.pop().unwrap_or_else(|| u32::try_from(self.links.len()).unwrap_or(NONE));
        match self.links.get_mut(place as usize) {
            Some(held) => *held = link,
            None => self.links.push(link),
        }
        self.index.add(hash, place);
        self.link(place);
        place
    }

    /// Gives back a place that is taken.
    #[inline(never)]
    pub(super) fn give_back(&mut self, place: u32) {
        self.unlink(place);
        let hash = self.links.get(place as usize).map_or(0, |link| link.hash);
        self.index.remove(u64::from(hash) << 32, place);
        self.free.push(place);
    }

    /// `place` counts as used now.
    #[inline(always)]
    pub(super) fn touch(&mut self, place: u32) {
        self.clock = self.clock.wrapping_add(1);
        // From then on it matters soon who goes first.
        if self.index.len() > self.limit / 2 {
            self.renew(place);
        }
    }

    /// Moves what was used now to the newest end, if it was moved there long ago.
    #[inline(never)]
    fn renew(&mut self, place: u32) {
        let slack = (self.limit / 4) as u32;
        let moved = self.links.get(place as usize).map_or(self.clock, |link| link.moved);
        if self.clock.wrapping_sub(moved) <= slack || self.newest == place {
            return;
        }
        self.unlink(place);
        self.link(place);
        if let Some(link) = self.links.get_mut(place as usize) {
            link.moved = self.clock;
        }
    }

    /// Puts `place` at the newest end.
    fn link(&mut self, place: u32) {
        let before = self.newest;
        if let Some(link) = self.links.get_mut(place as usize) {
            (link.older, link.newer) = (before, NONE);
        }
        match self.links.get_mut(before as usize) {
            Some(link) => link.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Link { older, newer, .. }) = self.links.get(place as usize) else { return };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }
}
