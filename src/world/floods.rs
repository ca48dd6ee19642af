//! Frames to everybody: exact copies of one within half a second, and how many broadcasts a second there are against what is usual. Only group
//! addresses are looked at. At most 8,192 frames under comparison, and five minutes of seconds of 1,024 vantages.

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Direction, VantageId};
use crate::value::{BoundedMap, Fingerprint, Mac, Span, Timestamp};
use crate::wire::{Kind, Kinds};

/// Frames under comparison.
const MOST: usize = 8_192;
/// Vantages whose broadcasts are counted.
const MOST_VANTAGES: usize = 1_024;
/// Bytes that must be equal, and more than any header has.
const COMPARED: usize = 256;
/// Copies follow one another within this span: slower ones are said again by whoever said them first (ARP retries after 1 s, TCP after 0.2 s).
const APART: Span = Span::millis(50);
/// Copies that are worth telling.
const TOLD: [u32; 5] = [3, 10, 30, 100, 300];
/// Seconds of which the usual rate is the median.
const REMEMBERED: usize = 300;
/// Broadcasts in a second that are worth a look (findings.md L2002).
const MANY: u32 = 1_000;
/// Senders that are counted in one second.
const MOST_SENDERS: usize = 4_096;

/// All that is known of floods.
pub struct Floods {
    copies: BoundedMap<(VantageId, Direction, Fingerprint), Copies>,
    rates: Vec<Rate>,
    at: usize,
}

struct Copies {
    last: Timestamp,
    count: u32,
}

/// A frame that came again and again.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Where.
    pub vantage: VantageId,
    /// Which way.
    pub direction: Direction,
    /// In which network.
    pub domain: DomainId,
    /// Who sent it, as it says.
    pub source: Mac,
    /// How often so far.
    pub count: u32,
    /// The time since the copy before.
    pub apart: Span,
    /// This copy.
    pub cited: Cited,
}

/// A second with many broadcasts.
#[derive(Clone, Debug)]
pub struct Burst {
    /// Where.
    pub vantage: VantageId,
    /// The second, by its end.
    pub until: Timestamp,
    /// Broadcasts in it.
    pub broadcasts: u32,
    /// The median of the seconds before, up to five minutes.
    pub usual: u32,
    /// How many senders there were.
    pub senders: usize,
    /// Those who sent most, with their counts.
    pub loudest: Vec<(Mac, u32)>,
    /// One of the frames.
    pub cited: Option<Cited>,
}

struct Rate {
    vantage: VantageId,
    second: i64,
    broadcasts: u32,
    /// Who sent the first of them, one after the other: only of a loud second it is counted who sent how many.
    first: Vec<Mac>,
    senders: BoundedMap<Mac, u32>,
    before: Vec<u32>,
    cited: Option<Cited>,
}

impl Floods {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { copies: BoundedMap::new(MOST), rates: Vec::new(), at: 0 }
    }

    fn copy(&mut self, seen: &Seen<'_>, source: Mac, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        // Announcements are sent several times on purpose, and bridges never pass the reserved addresses on.
        let is_announcement = frame.layers.arp().is_some_and(|arp| arp.is_gratuitous());
        let is_local = frame.layers.link_dst().is_some_and(|dst| dst.starts_with(&[0x01, 0x80, 0xc2, 0, 0]));
        if is_announcement || is_local || frame.is_cut() && frame.bytes.len() < COMPARED.min(64) {
            return;
        }
        let body = frame.bytes.get(..COMPARED).unwrap_or(frame.bytes);
        let key = (frame.at.vantage, frame.direction, Fingerprint::of(&[body]));
        let now = frame.order;
        let copies = self.copies.entry(&key, || Copies { last: Timestamp::MIN, count: 0 });
        let apart = now.since(copies.last);
        copies.count = if apart <= APART { copies.count.saturating_add(1) } else { 1 };
        copies.last = now;
        if TOLD.contains(&copies.count) {
            out.push(Derived::Copied(Box::new(Copied {
                vantage: frame.at.vantage,
                direction: frame.direction,
                domain: seen.domain,
                source,
                count: copies.count,
                apart,
                cited: Cited::of(frame),
            })));
        }
    }
}

impl Default for Floods {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracker for Floods {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Group]) }
    }

    #[inline]
    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        let (Some(source), Some(dst)) = (frame.layers.link_src(), frame.layers.link_dst()) else { return };
        if !dst.is_group() {
            return;
        }
        let vantage = frame.at.vantage;
        if self.rates.get(self.at).is_none_or(|rate| rate.vantage != vantage) {
            self.at = match self.rates.iter().position(|rate| rate.vantage == vantage) {
                Some(at) => at,
                None if self.rates.len() < MOST_VANTAGES => {
                    self.rates.push(Rate::new(vantage));
                    self.rates.len().saturating_sub(1)
                }
                None => return,
            };
        }
        if let Some(rate) = self.rates.get_mut(self.at).filter(|_| dst == Mac::BROADCAST) {
            rate.count(seen, source, out);
        }
        self.copy(seen, source, out);
    }

    fn forgotten(&self) -> u64 {
        // Frames are forgotten by plan once others have come: nothing is lost by it.
        0
    }
}

impl Rate {
    fn new(vantage: VantageId) -> Self {
        Self {
            vantage,
            second: i64::MIN,
            broadcasts: 0,
            first: Vec::new(),
            senders: BoundedMap::new(MOST_SENDERS),
            before: Vec::new(),
            cited: None,
        }
    }

    fn count(&mut self, seen: &Seen<'_>, source: Mac, out: &mut Vec<Derived>) {
        let second = seen.frame.order.second();
        if second != self.second {
            self.turn(second, out);
        }
        self.broadcasts = self.broadcasts.saturating_add(1);
        if self.broadcasts <= MANY {
            self.first.push(source);
        } else {
            for source in std::mem::take(&mut self.first).into_iter().chain([source]) {
                let sent = self.senders.entry(&source, || 0);
                *sent = sent.saturating_add(1);
            }
        }
        if self.broadcasts == MANY {
            self.cited = Some(Cited::of(seen.frame));
        }
    }

    /// A second is over: it is told if it was loud, and else it is what is usual.
    #[cold]
    fn turn(&mut self, second: i64, out: &mut Vec<Derived>) {
        if self.broadcasts > MANY {
            let mut loudest: Vec<(Mac, u32)> = self.senders.by_age().map(|(mac, n)| (*mac, *n)).collect();
            loudest.sort_by_key(|(mac, n)| (std::cmp::Reverse(*n), *mac));
            let senders = loudest.len();
            loudest.truncate(3);
            out.push(Derived::Burst(Box::new(Burst {
                vantage: self.vantage,
                until: Timestamp::from_parts(self.second.saturating_add(1), 0),
                broadcasts: self.broadcasts,
                usual: self.usual(),
                senders,
                loudest,
                cited: self.cited.take(),
            })));
            self.senders = BoundedMap::new(MOST_SENDERS);
        } else if self.second != i64::MIN {
            self.before.push(self.broadcasts);
        }
        // Seconds without any broadcast are usual, too.
        let silent = if self.second == i64::MIN { 0 } else { second.saturating_sub(self.second).saturating_sub(1) };
        self.before.extend(std::iter::repeat_n(0, usize::try_from(silent).unwrap_or(0).min(REMEMBERED)));
        let surplus = self.before.len().saturating_sub(REMEMBERED);
        self.before.drain(..surplus);
        self.first.clear();
        (self.second, self.broadcasts) = (second, 0);
    }

    fn usual(&self) -> u32 {
        let mut sorted = self.before.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}
