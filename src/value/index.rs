//! Where entries lie, by hash: an open table with linear probing whose cells hold a part of the hash and the place, so that one cache
//! line leads to an entry, and growing looks at no entry. Whose entry it is that lies there only the owner can tell.

/// A cell that is free.
const FREE: u64 = 0;
/// Cells of the smallest table.
const SMALLEST: usize = 16;

/// Places by hash. What is found depends on what was put in, never on the order of the cells.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// In each the upper half of a hash, and the place plus one. A power of two of them, at least a quarter free.
    cells: Vec<u64>,
    len: usize,
}

impl Index {
    /// Places held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place with this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.cell(hash, is_it).map(|(_, place)| place)
    }

    /// Adds a place below `u32::MAX` that is not held yet.
    pub fn add(&mut self, hash: u64, place: u32) {
        if self.len.saturating_mul(4) >= self.cells.len().saturating_mul(3) {
            let cells = vec![FREE; self.cells.len().saturating_mul(2).max(SMALLEST)];
            for cell in std::mem::replace(&mut self.cells, cells) {
                self.put(cell);
            }
        }
        self.put(hash & !u64::from(u32::MAX) | u64::from(place.saturating_add(1)));
        self.len = self.len.saturating_add(1);
    }

    /// Takes a place out, if it is held.
    pub fn remove(&mut self, hash: u64, place: u32) {
        let Some((mut hole, _)) = self.cell(hash, |p| p == place) else { return };
        self.len = self.len.saturating_sub(1);
        // What lies behind moves up, unless that would bring it before its home.
        let mut at = self.behind(hole);
        while let Some(cell) = self.cells.get(at).copied().filter(|cell| *cell != FREE) {
            if self.distance(self.home(cell), at) >= self.distance(hole, at) {
                self.set(hole, cell);
                hole = at;
            }
            at = self.behind(at);
        }
        self.set(hole, FREE);
    }

    #[inline]
    fn cell(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let mut at = self.home(hash);
        loop {
            let cell = *self.cells.get(at)?;
            if cell == FREE {
                return None;
            }
            let place = (cell as u32).wrapping_sub(1);
            if cell >> 32 == hash >> 32 && is_it(place) {
                return Some((at, place));
            }
            at = self.behind(at);
        }
    }

    fn put(&mut self, cell: u64) {
        if cell == FREE {
            return;
        }
        let mut at = self.home(cell);
        while self.cells.get(at).is_some_and(|taken| *taken != FREE) {
            at = self.behind(at);
        }
        self.set(at, cell);
    }

    fn set(&mut self, at: usize, cell: u64) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    /// Where the search for a hash begins.
    #[inline]
    const fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.mask()
    }

    #[inline]
    const fn behind(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.mask()
    }

    /// How many cells behind `from` the cell `to` comes.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    #[inline]
    const fn mask(&self) -> usize {
        self.cells.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        // Few homes, so that runs of cells grow long, meet and wrap around.
        let hash = |n: u32| u64::from(n.wrapping_mul(2_654_435_761) >> 27) << 32;
        let (mut index, mut held) = (Index::default(), BTreeMap::new());
        for step in 0..20_000_u32 {
            let place = step.wrapping_mul(7_919) % 61;
            if held.remove(&place).is_some() {
                index.remove(hash(place), place);
            } else {
                index.add(hash(place), place);
                held.insert(place, ());
            }
            assert_eq!(index.len(), held.len());
            for place in 0..61 {
                let found = index.find(hash(place), |p| p == place);
                assert_eq!(found, held.get(&place).map(|()| place), "step {step}");
            }
        }
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_owner() {
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), None);
        (0..1_000).for_each(|place| index.add(7 << 40, place));
        assert_eq!(index.find(7 << 40, |p| p == 999), Some(999));
        index.remove(7 << 40, 5);
        index.remove(7 << 40, 5);
        assert_eq!((index.len(), index.find(7 << 40, |p| p == 5)), (999, None));
    }
}
