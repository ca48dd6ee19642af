//! How much is sent again between two hosts: segments and repeats in the last thirty seconds, of the connections that repeat at all. What they sent
//! before they repeated anything is known by its bytes only.
//! At most 4,096 pairs at a time, those without news for longest go first.

use std::net::IpAddr;
use std::sync::Arc;

use super::stuck::Passing;
use crate::event::{Cited, VantageId};
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::world::{Derived, DomainId};

/// Pairs of hosts.
const MOST: usize = 4_096;
/// The span of one count, and how many of them make the window: thirty seconds (findings.md, TCP001).
const STEP: Span = Span::secs(5);
const STEPS: usize = 6;
/// Repeats in the window that may be a storm, and the share of all segments, in hundredths, that makes them one (findings.md, TCP001).
const REPEATS: u32 = 20;
const SHARE: u32 = 5;
/// Between two tellings of one pair.
const TELL_EVERY: Span = Span::secs(5);

/// Two hosts between which much is sent again.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Where it was seen.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// The hosts, the lower first.
    pub hosts: (IpAddr, IpAddr),
    /// Sender and next hop of the latest repeat.
    pub macs: (Mac, Mac),
    /// Repeats in the last thirty seconds.
    pub repeats: u32,
    /// Segments with data in the last thirty seconds, repeats included.
    pub segments: u32,
    /// The latest repeat.
    pub cited: Cited,
}

/// All pairs.
pub struct Storms {
    pairs: BoundedMap<PairKey, Window>,
}

type PairKey = (VantageId, IpAddr, IpAddr);

/// Counts in steps of time.
#[derive(Clone, Copy)]
struct Window {
    /// The number of the latest step.
    step: i64,
    counts: [(u32, u32); STEPS],
    told: Timestamp,
}

impl Default for Storms {
    fn default() -> Self {
        Self { pairs: BoundedMap::new(MOST) }
    }
}

impl Storms {
    /// Segments that a connection sent before it repeated anything, by their bytes: who sent them one by one was not counted.
    pub fn credit(&mut self, passing: &Passing<'_>, segments: u32) {
        let (src, dst) = passing.ends;
        let order = passing.seen.frame.order;
        let key = (passing.seen.frame.at.vantage, src.min(dst), src.max(dst));
        let fresh = || Window { step: 0, counts: [(0, 0); STEPS], told: Timestamp::MIN };
        self.pairs.entry(&key, fresh).add(order, (0, segments));
    }

    /// A segment with data, sent for the first time or again, of a connection that repeats.
    pub fn count(&mut self, passing: &Passing<'_>, is_again: bool, out: &mut Vec<Derived>) {
        let (frame, (src, dst)) = (passing.seen.frame, passing.ends);
        let hosts = (src.min(dst), src.max(dst));
        let fresh = || Window { step: 0, counts: [(0, 0); STEPS], told: Timestamp::MIN };
        let window = self.pairs.entry(&(frame.at.vantage, hosts.0, hosts.1), fresh);
        window.add(frame.order, (is_again.into(), 1));
        if !is_again || frame.order.since(window.told) < TELL_EVERY {
            return;
        }
        let (repeats, segments) = window.sum(frame.order);
        if repeats >= REPEATS && repeats.saturating_mul(100) >= segments.saturating_mul(SHARE) {
            window.told = frame.order;
            let macs = (frame.layers.inner_src().unwrap_or(Mac::ZERO), frame.layers.inner_dst().unwrap_or(Mac::ZERO));
            out.push(Derived::Storm(Arc::new(Storm {
                vantage: frame.at.vantage,
                domain: passing.seen.domain,
                hosts,
                macs,
                repeats,
                segments,
                cited: Cited::of(frame),
            })));
        }
    }

    /// Repeats and segments between two hosts at a vantage in the thirty seconds before `now`.
    pub fn window(&self, vantage: VantageId, hosts: (IpAddr, IpAddr), now: Timestamp) -> (u32, u32) {
        self.pairs.peek(&(vantage, hosts.0, hosts.1)).map_or((0, 0), |window| window.sum(now))
    }
}

impl Window {
    fn add(&mut self, now: Timestamp, (again, all): (u32, u32)) {
        let step = step_of(now);
        // Steps in which nothing was sent are empty.
        for empty in (self.step.saturating_add(1)..=step).rev().take(STEPS) {
            if let Some(count) = self.slot(empty) {
                *count = (0, 0);
            }
        }
        self.step = self.step.max(step);
        if let Some((repeats, segments)) = self.slot(step) {
            *segments = segments.saturating_add(all);
            *repeats = repeats.saturating_add(again);
        }
    }

    fn sum(&self, now: Timestamp) -> (u32, u32) {
        let oldest = step_of(now).saturating_sub(STEPS as i64);
        let steps = (0..STEPS as i64).map(|back| self.step.saturating_sub(back)).filter(|step| *step > oldest);
        let counts = steps.filter_map(|step| self.counts.get(place_of(step)));
        counts.fold((0, 0), |(r, s), (repeats, segments)| (r.saturating_add(*repeats), s.saturating_add(*segments)))
    }

    fn slot(&mut self, step: i64) -> Option<&mut (u32, u32)> {
        self.counts.get_mut(place_of(step))
    }
}

fn step_of(now: Timestamp) -> i64 {
    now.nanos().div_euclid(STEP.as_nanos())
}

fn place_of(step: i64) -> usize {
    usize::try_from(step.rem_euclid(STEPS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_thirty_seconds_count() {
        let mut window = Window { step: 0, counts: [(0, 0); STEPS], told: Timestamp::MIN };
        let at = |seconds: i64| Timestamp::from_parts(1_000_000 + seconds, 0);
        (0..20).for_each(|i| window.add(at(i), ((i % 2 == 0).into(), 1)));
        assert_eq!(window.sum(at(19)), (10, 20));
        window.add(at(31), (1, 1));
        assert_eq!(window.sum(at(31)), (8, 16));
        assert_eq!(window.sum(at(300)), (0, 0));
        window.add(at(300), (0, 1));
        assert_eq!(window.sum(at(300)), (0, 1));
    }
}
