//! Bytes of one end that a capture does not hold: passed over by what followed them, or acknowledged unseen. They may still turn up.

use super::numbers::is_behind;
use crate::value::{Span, Timestamp};

/// Holes of one end that are remembered; the oldest goes first.
const MOST_HOLES: usize = 8;
/// How long after its acknowledgement a segment may still turn up: files of two taps put together are some milliseconds apart.
pub const OUT_OF_ORDER: Span = Span::secs(1);

/// Bytes that were acknowledged and never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Acknowledgements that told of them.
    pub acknowledgements: u32,
    /// The last of these.
    pub last: Timestamp,
    /// How many bytes.
    pub bytes: u32,
}

/// The holes of one end, in the order in which they were found.
#[derive(Clone, Debug, Default)]
pub struct Holes(Vec<Hole>);

/// Bytes that were not seen, and how often they were acknowledged all the same, from when until when.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: u32,
    /// The number behind the last byte.
    end: u32,
    acknowledgements: u32,
    acknowledged: Option<(Timestamp, Timestamp)>,
}

impl Holes {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes from `start` to `end` were passed over.
    #[inline(never)]
    pub fn add(&mut self, start: u32, end: u32) {
        if self.0.len() >= MOST_HOLES {
            self.0.remove(0);
        }
        self.0.push(Hole { start, end, acknowledged: None, acknowledgements: 0 });
    }

    /// The bytes from `start` to `end` are acknowledged unseen; whether they follow such bytes, so that these wait for them.
    #[inline(never)]
    pub fn stretch(&mut self, start: u32, end: u32, now: Timestamp) -> bool {
        if let Some(hole) = self.0.last_mut().filter(|hole| hole.end == start)
            && let Some((_, last)) = &mut hole.acknowledged
        {
            (hole.end, *last) = (end, now);
            hole.acknowledgements = hole.acknowledgements.saturating_add(1);
            return true;
        }
        self.add(start, end);
        false
    }

    /// Whether all before `ack` covers a hole for the first time.
    #[inline(never)]
    pub fn acknowledge(&mut self, ack: u32, now: Timestamp) -> bool {
        let mut is_new = false;
        for hole in self.0.iter_mut().filter(|h| h.acknowledged.is_none() && is_behind(h.end, ack)) {
            (hole.acknowledged, hole.acknowledgements, is_new) = (Some((now, now)), 1, true);
        }
        is_new
    }

    /// The bytes from `start` to `end` were seen after all: sent again, or captured out of order.
    #[inline(never)]
    pub fn fill(&mut self, start: u32, end: u32) {
        let mut beyond = None;
        for hole in &mut self.0 {
            match (is_behind(start, hole.start), is_behind(hole.end, end)) {
                (true, true) => hole.start = hole.end,
                (true, false) if is_behind(hole.start, end) => hole.start = end,
                (false, true) if is_behind(start, hole.end) => hole.end = start,
                (false, false) => {
                    beyond = Some(Hole { start: end, ..*hole });
                    hole.end = start;
                }
                _ => {}
            }
        }
        self.0.retain(|hole| hole.start != hole.end);
        self.0.extend(beyond.filter(|_| self.0.len() < MOST_HOLES));
    }

    /// What was acknowledged `OUT_OF_ORDER` before `now` or earlier and has not been seen since; it is told once.
    pub fn overdue(&mut self, now: Timestamp) -> Option<Missing> {
        let mut missing = None;
        self.0.retain(|hole| {
            let Some((_, last)) = hole.acknowledged.filter(|(first, _)| first.after(OUT_OF_ORDER) <= now) else {
                return true;
            };
            let sum = missing.get_or_insert(Missing { acknowledgements: 0, last, bytes: 0 });
            sum.acknowledgements = sum.acknowledgements.saturating_add(hole.acknowledgements);
            sum.last = sum.last.max(last);
            sum.bytes = sum.bytes.saturating_add(hole.end.wrapping_sub(hole.start));
            false
        });
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_bounded() {
        let mut holes = Holes::default();
        (0..1_000_u32).for_each(|i| holes.add(10 + 20 * i, 20 + 20 * i));
        assert_eq!(holes.0.len(), MOST_HOLES);
        assert!(holes.acknowledge(100_000, Timestamp::MIN));
        assert_eq!(holes.overdue(Timestamp::MIN), None);
        assert_eq!(holes.overdue(Timestamp::MIN.after(OUT_OF_ORDER)).map(|m| m.bytes), Some(80));
    }
}
