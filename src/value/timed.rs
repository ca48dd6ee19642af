//! A bounded map whose entries may each have a deadline: what goes takes its deadline along, so that neither outgrows the limit.

use std::hash::Hash;

use super::{BoundedMap, Deadlines, Timestamp};

/// A bounded map with at most one deadline an entry.
pub struct TimedMap<K, V> {
    limit: usize,
    map: BoundedMap<K, V>,
    deadlines: Deadlines<K>,
}

impl<K: Hash + Ord + Clone, V> TimedMap<K, V> {
    /// An empty map that holds at most `limit` entries (at least one).
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), map: BoundedMap::new(limit), deadlines: Deadlines::new() }
    }

    /// The value of `key`, untouched in the order of use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.map.peek(key)
    }

    /// The value of `key`, which counts as used now.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// The value of `key`, made by `make` if it is new; the entry used least recently goes, with its deadline, when there is no room.
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room(key);
        self.map.entry(key, make)
    }

    /// The same, where what is new is made from what had to go for it, if anything had to.
    pub fn entry_after(&mut self, key: &K, make: impl FnOnce(Option<V>) -> V) -> &mut V {
        self.make_room(key);
        self.map.entry_after(key, make)
    }

    /// Puts `value` under `key`, and gives back what stood there; its deadline stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.make_room(&key);
        self.map.insert(key, value)
    }

    /// Takes `key` out, and its deadline.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.map.remove(key)?;
        self.deadlines.clear(key);
        Some(value)
    }

    /// Sets the deadline of `key`, in place of the one it had; what is not held has none.
    pub fn wake(&mut self, key: &K, at: Timestamp) {
        if self.map.peek(key).is_some() {
            self.deadlines.set(key.clone(), at);
        }
    }

    /// The deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Timestamp> {
        self.deadlines.of(key)
    }

    /// The earliest deadline.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// The earliest key whose deadline is not later than `now`; it stays, without a deadline.
    pub fn due(&mut self, now: Timestamp) -> Option<K> {
        self.deadlines.pop(now)
    }

    /// The keys that have a deadline, earliest first.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        self.deadlines.waiting().map(|(_, key)| key)
    }

    /// The entries from the least to the most recently used.
    pub fn by_age(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.by_age()
    }

    /// Entries that went out because there was no room.
    pub const fn forgotten(&self) -> u64 {
        self.map.forgotten()
    }

    /// Entries that are held.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn make_room(&mut self, key: &K) {
        if self.map.len() >= self.limit
            && self.map.peek(key).is_none()
            && let Some((oldest, _)) = self.map.oldest()
        {
            self.deadlines.clear(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_takes_its_deadline_along() {
        let at = Timestamp::from_nanos;
        let mut map = TimedMap::new(2);
        for (i, key) in ['a', 'b', 'c'].into_iter().enumerate() {
            map.insert(key, i);
            map.wake(&key, at(10));
        }
        assert_eq!(map.waiting().collect::<String>(), "bc");
        map.wake(&'a', at(1));
        assert_eq!(map.due(at(9)), None, "what is not held has no deadline");
        map.remove(&'b');
        assert_eq!((map.due(at(10)), map.due(at(10)), map.len()), (Some('c'), None, 1));
        assert_eq!(map.peek(&'c'), Some(&2), "what is due stays");
    }
}
