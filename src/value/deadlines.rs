//! At most one deadline a key, ordered by time and then by key; the memory of everything that waits.

use std::collections::{BTreeMap, BTreeSet};

use super::Timestamp;

/// Deadlines by key: setting one again moves it.
#[derive(Debug, Clone)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Timestamp>,
    by_time: BTreeSet<(Timestamp, K)>,
    /// The earliest of them: it is asked for at every frame, and changes seldom.
    next: Option<Timestamp>,
}

impl<K: Ord + Clone> Deadlines<K> {
    /// No deadline yet.
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new(), next: None }
    }

    /// Sets the deadline of `key`, in place of the one it had; at the end of time it is never due, and none is kept.
    pub fn set(&mut self, key: K, at: Timestamp) {
        if at == Timestamp::MAX {
            self.clear(&key);
            return;
        }
        if let Some(before) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_time.insert((at, key));
        self.find_next();
    }

    /// Takes the deadline of `key` away, if it has one.
    pub fn clear(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
            self.find_next();
        }
    }

    /// The deadline of `key`.
    pub fn of(&self, key: &K) -> Option<Timestamp> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    #[inline]
    pub const fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Takes out the earliest key whose deadline is not later than `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        if self.next? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        self.find_next();
        Some(key)
    }

    /// All that still wait, earliest first.
    pub fn waiting(&self) -> impl Iterator<Item = (Timestamp, &K)> {
        self.by_time.iter().map(|(at, key)| (*at, key))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn find_next(&mut self) {
        self.next = self.by_time.first().map(|(at, _)| *at);
    }
}

impl<K: Ord + Clone> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_they_come_in_order() {
        let at = Timestamp::from_nanos;
        let mut d = Deadlines::new();
        d.set("b", at(5));
        d.set("a", at(9));
        d.set("b", at(20));
        assert_eq!((d.next(), d.len()), (Some(at(9)), 2));
        assert_eq!(d.pop(at(8)), None);
        assert_eq!(d.pop(at(30)), Some("a"));
        d.clear(&"b");
        assert!(d.is_empty() && d.pop(Timestamp::MAX).is_none());
        d.set("c", Timestamp::MAX);
        assert!(d.is_empty());
    }
}
