//! A map that never grows past its limit: the entry untouched for longest goes out, and what went is counted. The order of use is
//! exact to a quarter of the limit, and before the map is half full nothing moves in it: moving an entry to the front at every touch would
//! cost three cache misses each time. What was used while half as much was used or added since as there is room for never goes.

use std::hash::Hash;

use super::places::{NONE, Places};
use super::prefetch::prefetch;
use super::words::Words;

/// A bounded map with a keyed hash, in order of last use. It has no iterator in hash order, so that order cannot reach output.
pub struct BoundedMap<K, V> {
    forgotten: u64,
    places: Places,
    slots: Vec<Slot<K, V>>,
    hash: Words,
}

/// Where an entry lies, or lay: whoever comes by it looks first whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot(u32);

impl Spot {
    /// Where nothing lies.
    pub const NOWHERE: Self = Self(NONE);
}

impl Default for Spot {
    fn default() -> Self {
        Self::NOWHERE
    }
}

/// In this order in memory, so that what stands first in the value lies on the cache line of its key.
#[repr(C)]
struct Slot<K, V> {
    /// That of the entry which is here, or was here last.
    key: K,
    value: Option<V>,
}

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// An empty map that holds at most `limit` entries (at least one).
    pub fn new(limit: usize) -> Self {
        Self { forgotten: 0, places: Places::new(limit), slots: Vec::new(), hash: Words::default() }
    }

    /// What lies there, whosever it is, untouched in the order of use.
    #[inline]
    pub fn peek_at(&self, Spot(slot): Spot) -> Option<(&K, &V)> {
        self.slots.get(slot as usize)?.entry()
    }

    /// Where `key` lies, which most likely is `near`.
    #[inline(always)]
    pub fn spot(&self, near: Spot, key: &K) -> Option<Spot> {
        if self.is_at(near, key) { Some(near) } else { self.look_for(key) }
    }

    #[cold]
    fn look_for(&self, key: &K) -> Option<Spot> {
        self.find(self.hash.of(key), key).map(Spot)
    }

    /// What lies there, which counts as used now.
    #[inline]
    pub fn get_at(&mut self, Spot(slot): Spot) -> Option<&mut V> {
        self.touch(slot)
    }

    /// Has what lies there brought into the cache, whosever it is.
    #[inline(always)]
    pub fn prefetch(&self, Spot(slot): Spot) {
        self.slots.get(slot as usize).into_iter().for_each(prefetch);
    }

    #[inline(always)]
    fn is_at(&self, Spot(slot): Spot, key: &K) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.key == *key && slot.value.is_some())
    }

    /// The value of `key`, untouched in the order of use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        let slot = self.find(self.hash.of(key), key)?;
        self.slots.get(slot as usize)?.value.as_ref()
    }

    /// The value of `key`, untouched in the order of use, to be changed.
    pub fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.find(self.hash.of(key), key)?;
        self.value_mut(slot)
    }

    /// The value of `key`, which counts as used now.
    #[inline]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.find(self.hash.of(key), key)?;
        self.touch(slot)
    }

    /// The value of `key`, which most likely is `near`, and counts as used now.
    #[inline(always)]
    pub fn get_near(&mut self, near: Spot, key: &K) -> Option<&mut V> {
        let Spot(slot) = self.spot(near, key)?;
        self.touch(slot)
    }

    /// The value of `key`, which most likely is `near`, made by `make` if it is new.
    #[inline(always)]
    pub fn entry_near(&mut self, near: Spot, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.is_at(near, key) {
            return self.entry(key, make);
        }
        match self.touch(near.0) {
            Some(value) => value,
            None => unreachable!("a slot that was just found is filled"),
        }
    }

    /// The value of `key`, made by `make` if it is new; the entry used least recently goes when there is no room.
    #[inline]
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.entry_after(key, |_| make())
    }

    /// The same, where what is new is made from what had to go for it, if anything had to.
    #[inline]
    pub fn entry_after(&mut self, key: &K, make: impl FnOnce(Option<V>) -> V) -> &mut V {
        self.entry_at(key, make).1
    }

    /// The same, and where it lies.
    #[inline]
    pub fn entry_at(&mut self, key: &K, make: impl FnOnce(Option<V>) -> V) -> (Spot, &mut V) {
        let hash = self.hash.of(key);
        let (slot, value) = match self.find(hash, key) {
            Some(slot) => (slot, self.touch(slot)),
            None => {
                let old = self.make_room();
                let slot = self.add(hash, key.clone(), make(old));
                (slot, self.value_mut(slot))
            }
        };
        match value {
            Some(value) => (Spot(slot), value),
            None => unreachable!("a slot that was just found or added is filled"),
        }
    }

    /// Puts `value` under `key`, and gives back what stood there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hash.of(&key);
        match self.find(hash, &key) {
            Some(slot) => self.touch(slot).map(|old| std::mem::replace(old, value)),
            None => {
                self.make_room();
                self.add(hash, key, value);
                None
            }
        }
    }

    /// Puts `value` under `key` if nothing stands there; what does stays untouched in the order of use, and `value` comes back with it.
    pub fn try_insert(&mut self, key: &K, value: V) -> Result<(), (&mut V, V)> {
        let hash = self.hash.of(key);
        if let Some(slot) = self.find(hash, key) {
            return match self.value_mut(slot) {
                Some(held) => Err((held, value)),
                None => unreachable!("a slot that was just found is filled"),
            };
        }
        self.make_room();
        self.add(hash, key.clone(), value);
        Ok(())
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.find(self.hash.of(key), key)?;
        self.take(slot)
    }

    /// Takes out the entry used least recently, if `is_it`.
    pub fn pop_oldest(&mut self, is_it: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        let slot = self.places.oldest();
        let (key, _) = self.oldest().filter(|(_, value)| is_it(value))?;
        let key = key.clone();
        Some((key, self.take(slot)?))
    }

    /// Entries that went out because there was no room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Entries that are held.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.places.len() == 0
    }

    /// The entry used least recently.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.slots.get(self.places.oldest() as usize)?.entry()
    }

    /// The entries from the least to the most recently used, as far as that is kept: an order that is a function of the input.
    pub fn by_age(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.places.oldest();
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = self.places.newer(at);
            slot.entry()
        })
    }

    #[inline]
    fn find(&self, hash: u64, key: &K) -> Option<u32> {
        // The index leads to nothing that is free.
        self.places.find(hash, |slot| self.slots.get(slot as usize).is_some_and(|slot| slot.key == *key))
    }

    #[inline]
    fn value_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.slots.get_mut(slot as usize)?.value.as_mut()
    }

    /// Lets the entry used least recently go where there is no room for another.
    fn make_room(&mut self) -> Option<V> {
        if !self.places.is_full() {
            return None;
        }
        self.forgotten = self.forgotten.saturating_add(1);
        self.pop_oldest(|_| true).map(|(_, value)| value)
    }

    fn add(&mut self, hash: u64, key: K, value: V) -> u32 {
        let slot = self.places.take(hash);
        // Values are large: each is moved once.
        match self.slots.get_mut(slot as usize) {
            Some(place) => {
                place.key = key;
                place.value = Some(value);
            }
            None => self.slots.push(Slot { key, value: Some(value) }),
        }
        slot
    }

    fn take(&mut self, slot: u32) -> Option<V> {
        self.places.give_back(slot);
        self.slots.get_mut(slot as usize)?.value.take()
    }

    /// The value in `slot`, which counts as used now.
    #[inline(always)]
    fn touch(&mut self, slot: u32) -> Option<&mut V> {
        self.places.touch(slot);
        self.value_mut(slot)
    }
}

impl<K, V> Slot<K, V> {
    fn entry(&self) -> Option<(&K, &V)> {
        Some((&self.key, self.value.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_unused_for_longest_goes_and_is_counted() {
        let mut map = BoundedMap::new(2);
        map.insert('a', 1);
        map.insert('b', 2);
        assert_eq!(map.get_mut(&'a'), Some(&mut 1));
        map.insert('c', 3);
        assert_eq!((map.peek(&'b'), map.forgotten(), map.len()), (None, 1, 2));
        assert_eq!(map.by_age().map(|(k, _)| *k).collect::<String>(), "ac");
        assert_eq!(map.remove(&'a'), Some(1));
        *map.entry(&'d', || 4) += 1;
        assert_eq!(map.by_age().map(|(_, v)| *v).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(map.oldest(), Some((&'c', &3)));
    }

    #[test]
    fn what_was_used_lately_never_goes() {
        let (limit, mut used) = (64_u32, [0_u32; 1_000]);
        let mut map = BoundedMap::new(limit as usize);
        for step in 1..50_000_u32 {
            // Runs of new entries, of entries that are used again and again, and both by turns.
            let key = match step / 1_000 % 3 {
                0 => step % 1_000,
                1 => step.wrapping_mul(2_654_435_761) % 40,
                _ if step % 2 == 0 => step % 7,
                _ => step.wrapping_mul(2_654_435_761) % 1_000,
            };
            let held: Vec<u32> = map.by_age().map(|(key, _)| *key).collect();
            map.entry(&key, || ());
            for gone in held.iter().filter(|held| map.peek(held).is_none()) {
                assert!(step - used[*gone as usize] >= limit / 2, "step {step}: {gone} goes");
            }
            used[key as usize] = step;
        }
        assert!(map.forgotten() > 10_000, "{}", map.forgotten());
    }

    #[test]
    fn evicted_is_inserted_less_held() {
        let mut map = BoundedMap::new(64);
        for i in 0..10_000_u32 {
            *map.entry(&(i.wrapping_mul(2_654_435_761) % 1_000), || 0_u32) += 1;
            if i % 7 == 0 {
                map.remove(&(i % 1_000));
            }
            assert!(map.len() <= 64);
        }
        assert_eq!(map.by_age().count(), map.len());
    }
}
