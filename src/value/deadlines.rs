//! At most one deadline a key, ordered by time and then by key; the memory of everything that waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::Timestamp;

/// Deadlines that were moved or taken away and may stand in the order still, beside as many as there are keys.
const MOST_STALE: usize = 64;

/// Deadlines by key: setting one again moves it.
#[derive(Debug, Clone)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Timestamp>,
    /// Every deadline, and stale ones of keys whose deadline has moved or is gone: to look for the place of one that moves would cost more
    /// than to leave it. But the earliest is no stale one. Nearly all are set later than all others, and stand in their order.
    in_order: VecDeque<(Timestamp, K)>,
    /// Those that were set earlier than others.
    beside: BinaryHeap<Reverse<(Timestamp, K)>>,
    /// The earliest of them: it is asked for at every frame, and changes seldom.
    next: Option<Timestamp>,
}

impl<K: Ord + Clone> Deadlines<K> {
    /// No deadline yet.
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), in_order: VecDeque::new(), beside: BinaryHeap::new(), next: None }
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
        let entry = (at, key);
        if self.in_order.back().is_none_or(|last| *last <= entry) {
            self.in_order.push_back(entry);
        } else {
            self.beside.push(Reverse(entry));
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
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
        self.next
    }

    /// Takes out the earliest key whose deadline is not later than `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        if self.next? > now {
            return None;
        }
        let (_, key) = self.pop_first()?;
        self.by_key.remove(&key);
        self.find_next();
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
        let all = self.in_order.len().saturating_add(self.beside.len());
        if all > self.by_key.len().saturating_mul(2).saturating_add(MOST_STALE) {
            self.in_order = self.waiting().map(|(at, key)| (at, key.clone())).collect();
            self.beside.clear();
        }
        if before <= self.next {
            self.find_next();
        }
    }

    /// Takes out what is stale before the earliest.
    fn find_next(&mut self) {
        while let Some((at, key)) = self.first()
            && self.by_key.get(key) != Some(at)
        {
            self.pop_first();
        }
        self.next = self.first().map(|(at, _)| *at);
    }

    /// The first in time, though it may be stale.
    fn first(&self) -> Option<&(Timestamp, K)> {
        let beside = self.beside.peek().map(|Reverse(entry)| entry);
        self.in_order.front().into_iter().chain(beside).min()
    }

    fn pop_first(&mut self) -> Option<(Timestamp, K)> {
        match (self.in_order.front(), self.beside.peek()) {
            (Some(first), Some(Reverse(other))) if other < first => self.beside.pop().map(|Reverse(entry)| entry),
            (None, _) => self.beside.pop().map(|Reverse(entry)| entry),
            _ => self.in_order.pop_front(),
        }
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
            assert!(d.in_order.len() + d.beside.len() <= 2 * held.len() + MOST_STALE + 1);
        }
        let all: Vec<_> = d.waiting().map(|(time, key)| (time, *key)).collect();
        assert!(all.is_sorted() && all.len() == held.len());
    }
}
