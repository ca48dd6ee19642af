//! The books of one rule: under which key each of its findings stands, and whether there is room for more.

use std::collections::BTreeMap;

use super::Key;

/// Open findings of one code, past which further keys are only counted (findings.md 1.2).
const MOST_OPEN: usize = 50;
/// Findings of one code in all, resolved ones included, past which further keys are only counted.
const MOST_KEPT: usize = 200;

/// Where the findings of one rule stand.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The latest finding of each key, by index.
    pub by_key: BTreeMap<Key, usize>,
    /// Claims that are only counted.
    pub left_out: u64,
    open: usize,
    kept: usize,
}

impl Shelf {
    /// Whether it takes one more.
    pub const fn has_room(&self) -> bool {
        self.open < MOST_OPEN && self.kept < MOST_KEPT
    }

    /// The finding with index `at` is new, and open.
    pub fn add(&mut self, key: Key, at: usize) {
        (self.open, self.kept) = (self.open.saturating_add(1), self.kept.saturating_add(1));
        self.by_key.insert(key, at);
    }

    /// One that was over is open again.
    pub const fn reopen(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    /// One that was open is over.
    pub const fn close(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}
