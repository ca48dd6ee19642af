//! At most one deadline a key, ordered by time and then by key; the memory of everything that waits.

use std::collections::BTreeMap;

use super::{Timestamp, order::Order};

/// Deadlines by key: setting one again moves it.
#[derive(Debug, Clone)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Timestamp>,
    order: Order<K>,
}

impl<K: Ord + Clone> Deadlines<K> {
    /// No deadline yet.
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), order: Order::new() }
    }

    /// Sets the deadline of `key`, in place of the one it had; at the end of time it is never due, and none is kept.
    pub fn set(&mut self, key: K, at: Timestamp) {
        if at == Timestamp::MAX {
            self.clear(&key);
            return;
        }
        let before = self.by_key.insert(key.clone(), at);
        if before == Some(at) {
            return;
        }
        self.order.push(at, key);
        self.left(before);
    }

    /// Takes the deadline of `key` away, if it has one.
    pub fn clear(&mut self, key: &K) {
        let before = self.by_key.remove(key);
        self.left(before);
    }

    /// The deadline of `key`.
    pub fn of(&self, key: &K) -> Option<Timestamp> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    #[inline]
    pub const fn next(&self) -> Option<Timestamp> {
        self.order.next()
    }

    /// Takes out the earliest key whose deadline is not later than `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        let key = self.order.pop(now)?;
        self.by_key.remove(&key);
        self.settle();
        Some(key)
    }

    /// All that still wait, earliest first.
    pub fn waiting(&self) -> impl Iterator<Item = (Timestamp, &K)> {
        let mut waiting: Vec<(Timestamp, &K)> = self.by_key.iter().map(|(key, at)| (*at, key)).collect();
        waiting.sort_unstable();
        waiting.into_iter()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// A key has left the deadline that it had `before`, which may be the first, or one stale one too many.
    fn left(&mut self, before: Option<Timestamp>) {
        if before.is_none() {
            return;
        }
        if self.order.is_stale(self.by_key.len()) {
            let mut all: Vec<_> = self.by_key.iter().map(|(key, at)| (*at, key.clone())).collect();
            all.sort_unstable();
            self.order.renew(all);
        }
        if before <= self.order.next() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.order.settle(|key| self.by_key.get(key).copied());
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

    #[test]
    fn what_moves_again_and_again_is_due_once_and_takes_no_more_room() {
        let at = Timestamp::from_nanos;
        let (mut d, mut held) = (Deadlines::new(), BTreeMap::new());
        for step in 0..20_000_i64 {
            let key = step.wrapping_mul(7_919) % 97;
            match step % 7 {
                0 => {
                    d.clear(&key);
                    held.remove(&key);
                }
                1 => {
                    let first = held.iter().map(|(key, time)| (*time, *key)).min();
                    let due = first.filter(|(time, _)| *time <= at(step + 50)).map(|(_, key)| key);
                    assert_eq!(d.pop(at(step + 50)), due);
                    due.and_then(|key| held.remove(&key));
                }
                _ => {
                    let time = at(step + step.wrapping_mul(104_729) % 200);
                    d.set(key, time);
                    held.insert(key, time);
                }
            }
            assert_eq!((d.len(), d.next()), (held.len(), held.values().min().copied()), "step {step}");
            assert!(!d.order.is_stale(held.len() + 1));
        }
        let all: Vec<_> = d.waiting().map(|(time, key)| (time, *key)).collect();
        assert!(all.is_sorted() && all.len() == held.len());
    }
}
