//! Who is due next: keys in order of time and then of key, among them some whose deadline has moved or is gone. To look for the place of one
//! that moves would cost more than to leave it; but the earliest is no stale one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Timestamp;

/// Stale deadlines that may stand in the order, beside as many as there are keys.
const MOST_STALE: usize = 64;

/// The order of deadlines. What the deadline of a key is by now, whoever holds the keys tells.
#[derive(Debug, Clone)]
pub(super) struct Order<K> {
    /// Nearly all are set later than all others, and stand in their order.
    in_order: VecDeque<(Timestamp, K)>,
    /// Those that were set earlier than others.
    beside: BinaryHeap<Reverse<(Timestamp, K)>>,
    /// The earliest of them: it is asked for at every frame, and changes seldom.
    next: Option<Timestamp>,
}

impl<K: Ord> Order<K> {
    /// No deadline yet.
    pub const fn new() -> Self {
        Self { in_order: VecDeque::new(), beside: BinaryHeap::new(), next: None }
    }

    /// The earliest deadline.
    #[inline]
    pub const fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// `key` is due at `at`; what stood there for it before is stale from now on.
    #[inline]
    pub fn push(&mut self, at: Timestamp, key: K) {
        let entry = (at, key);
        if self.in_order.back().is_none_or(|last| *last <= entry) {
            self.in_order.push_back(entry);
        } else {
            self.beside.push(Reverse(entry));
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Takes the first out if it is due by `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        if self.next? > now {
            return None;
        }
        self.pop_first().map(|(_, key)| key)
    }

    /// Takes out what is stale before the earliest: `deadline` tells when a key is due by now.
    pub fn settle(&mut self, deadline: impl Fn(&K) -> Option<Timestamp>) {
        while let Some((at, key)) = self.first()
            && deadline(key) != Some(*at)
        {
            self.pop_first();
        }
        self.next = self.first().map(|(at, _)| *at);
    }

    /// Whether more is stale than should be, where `keys` are held.
    #[inline]
    pub fn is_stale(&self, keys: usize) -> bool {
        self.in_order.len().saturating_add(self.beside.len()) > keys.saturating_mul(2).saturating_add(MOST_STALE)
    }

    /// Nothing but these, earliest first.
    pub fn renew(&mut self, all: Vec<(Timestamp, K)>) {
        self.in_order = all.into();
        self.beside.clear();
    }

    /// The first in time, though it may be stale.
    #[inline]
    fn first(&self) -> Option<&(Timestamp, K)> {
        match (self.in_order.front(), self.beside.peek()) {
            (Some(first), Some(Reverse(other))) => Some(first.min(other)),
            (first, None) => first,
            (None, Some(Reverse(other))) => Some(other),
        }
    }

    fn pop_first(&mut self) -> Option<(Timestamp, K)> {
        match (self.in_order.front(), self.beside.peek()) {
            (Some(first), Some(Reverse(other))) if other < first => self.beside.pop().map(|Reverse(entry)| entry),
            (None, _) => self.beside.pop().map(|Reverse(entry)| entry),
            _ => self.in_order.pop_front(),
        }
    }
}
