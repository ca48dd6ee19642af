//! A bounded map whose entries may each have a deadline: what goes takes its deadline along, so that neither outgrows the limit.

use std::hash::Hash;

use super::{BoundedMap, Timestamp, order::Order};

/// A bounded map with at most one deadline an entry.
pub struct TimedMap<K, V> {
    limit: usize,
    map: BoundedMap<K, Timed<V>>,
    order: Order<K>,
}

/// A value, and when it is due; `MAX` if never.
struct Timed<V> {
    due: Timestamp,
    value: V,
}

impl<K: Hash + Ord + Clone, V> TimedMap<K, V> {
    /// An empty map that holds at most `limit` entries (at least one).
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), map: BoundedMap::new(limit), order: Order::new() }
    }

    /// The value of `key`, untouched in the order of use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.map.peek(key).map(|held| &held.value)
    }

    /// The value of `key`, which counts as used now.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(|held| &mut held.value)
    }

    /// The value of `key`, made by `make` if it is new; the entry used least recently goes, with its deadline, when there is no room.
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.entry_after(key, |_| make())
    }

    /// The same, where what is new is made from what had to go for it, if anything had to.
    pub fn entry_after(&mut self, key: &K, make: impl FnOnce(Option<V>) -> V) -> &mut V {
        self.make_room(key);
        &mut self.map.entry_after(key, |old| Timed::new(make(old.map(|old| old.value)))).value
    }

    /// Lets `change` change the value of `key`, made by `make` if it is new, and say its deadline, in place of the one it had.
    pub fn tend(&mut self, key: &K, make: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> Timestamp) {
        self.make_room(key);
        let held = self.map.entry(key, || Timed::new(make()));
        let at = change(&mut held.value);
        let before = std::mem::replace(&mut held.due, at);
        self.moved(key, before, at);
    }

    /// Puts `value` under `key`, and gives back what stood there; its deadline stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(held) = self.map.get_mut(&key) {
            return Some(std::mem::replace(&mut held.value, value));
        }
        self.make_room(&key);
        self.map.insert(key, Timed::new(value));
        None
    }

    /// Puts `value` under `key`, in place of what stood there, due at `at`.
    pub fn insert_until(&mut self, key: K, value: V, at: Timestamp) {
        self.make_room(&key);
        let before = self.map.insert(key.clone(), Timed { due: at, value });
        self.moved(&key, before.map_or(Timestamp::MAX, |before| before.due), at);
    }

    /// Takes `key` out, and its deadline.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Timed { due, value } = self.map.remove(key)?;
        self.left(due);
        Some(value)
    }

    /// Sets the deadline of `key`, in place of the one it had; what is not held has none, and at the end of time nothing is due.
    pub fn wake(&mut self, key: &K, at: Timestamp) {
        let Some(held) = self.map.peek_mut(key) else { return };
        let before = std::mem::replace(&mut held.due, at);
        self.moved(key, before, at);
    }

    /// The deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Timestamp> {
        self.map.peek(key).and_then(Timed::deadline)
    }

    /// The earliest deadline.
    #[inline]
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.order.next()
    }

    /// The earliest key whose deadline is not later than `now`; it stays, without a deadline.
    pub fn due(&mut self, now: Timestamp) -> Option<K> {
        let key = self.order.pop(now)?;
        if let Some(held) = self.map.peek_mut(&key) {
            held.due = Timestamp::MAX;
        }
        self.settle();
        Some(key)
    }

    /// Takes out the earliest entry whose deadline is not later than `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<(K, V)> {
        let key = self.order.pop(now)?;
        let held = self.map.remove(&key);
        self.settle();
        held.map(|held| (key, held.value))
    }

    /// Lets `change` change the earliest entry whose deadline is not later than `now`, which counts as used now, and say its next deadline.
    pub fn rouse(&mut self, now: Timestamp, change: impl FnOnce(&K, &mut V) -> Timestamp) -> Option<K> {
        let key = self.order.pop(now)?;
        if let Some(held) = self.map.get_mut(&key) {
            held.due = change(&key, &mut held.value);
            if let Some(next) = held.deadline() {
                self.order.push(next, key.clone());
            }
        }
        self.settle();
        Some(key)
    }

    /// The keys that have a deadline, earliest first.
    pub fn waiting(&self) -> impl Iterator<Item = &K> {
        let held = self.map.by_age().filter_map(|(key, held)| Some((held.deadline()?, key)));
        let mut waiting: Vec<(Timestamp, &K)> = held.collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, key)| key)
    }

    /// The entries from the least to the most recently used.
    pub fn by_age(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.by_age().map(|(key, held)| (key, &held.value))
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

    /// What has to go for `key`, if it is new and there is no room, has no deadline from now on.
    #[inline]
    fn make_room(&mut self, key: &K) {
        if self.map.len() >= self.limit
            && let Some((oldest, held)) = self.map.oldest()
            && held.due != Timestamp::MAX
            && self.map.peek(key).is_none()
        {
            let oldest = oldest.clone();
            self.wake(&oldest, Timestamp::MAX);
        }
    }

    /// `key` is due at `at` and no longer at `before`.
    #[inline]
    fn moved(&mut self, key: &K, before: Timestamp, at: Timestamp) {
        if at == before {
            return;
        }
        if at != Timestamp::MAX {
            self.order.push(at, key.clone());
        }
        self.left(before);
    }

    /// A key has left the deadline that it had `before`, which may be the first, or one stale one too many.
    #[inline]
    fn left(&mut self, before: Timestamp) {
        if before == Timestamp::MAX {
            return;
        }
        if self.order.is_stale(self.map.len()) {
            let held = self.map.by_age().filter_map(|(key, held)| Some((held.deadline()?, key.clone())));
            let mut all: Vec<_> = held.collect();
            all.sort_unstable();
            self.order.renew(all);
        }
        if Some(before) <= self.order.next() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.order.settle(|key| self.map.peek(key)?.deadline());
    }
}

impl<V> Timed<V> {
    const fn new(value: V) -> Self {
        Self { due: Timestamp::MAX, value }
    }

    fn deadline(&self) -> Option<Timestamp> {
        Some(self.due).filter(|due| *due != Timestamp::MAX)
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
        map.tend(&'d', || 4, |_| at(20));
        map.insert_until('c', 5, at(15));
        assert_eq!(map.rouse(at(14), |_, _| Timestamp::MAX), None);
        assert_eq!(
            map.rouse(at(15), |_, value| at(10 + i64::try_from(std::mem::replace(value, 6)).unwrap())),
            Some('c')
        );
        assert_eq!((map.next_deadline(), map.waiting().collect::<String>()), (Some(at(15)), "cd".to_owned()));
        assert_eq!(
            (map.pop(at(15)), map.pop(at(15)), map.pop(at(20)), map.len()),
            (Some(('c', 6)), None, Some(('d', 4)), 0)
        );
    }

    #[test]
    fn the_next_deadline_is_that_of_an_entry_and_the_order_takes_no_more_room() {
        let mut map = TimedMap::new(40);
        for step in 0..20_000_i64 {
            let (key, now) = (step.wrapping_mul(7_919) % 97, Timestamp::from_nanos(step + 50));
            let later = Timestamp::from_nanos(step + step.wrapping_mul(104_729) % 200);
            match step % 8 {
                0 => drop(map.remove(&key)),
                1 => assert!(map.due(now).is_none_or(|key| map.deadline(&key).is_none() && map.peek(&key).is_some())),
                2 => assert!(map.pop(now).is_none_or(|(key, _)| map.peek(&key).is_none())),
                3 => drop(map.rouse(now, |_, _| if step % 3 == 0 { Timestamp::MAX } else { now.max(later) })),
                4 => map.wake(&key, later),
                5 => map.insert_until(key, step, later),
                6 => *map.entry(&key, || step) += 1,
                _ => map.tend(&key, || step, |_| later),
            }
            // Twice as many as there may be keys, and each once more before anything that is stale is looked for.
            assert!(map.len() <= 40 && !map.order.is_stale(60));
            let first = map.by_age().filter_map(|(key, _)| map.deadline(key)).min();
            assert_eq!(map.next_deadline(), first, "step {step}");
        }
    }
}
