//! MTU003: large packets of a path vanish without a word while small ones arrive (RFC 2923 section 2.1, RFC 4821 section 1).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::hole::{Hole, Latest, Setting};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Place, VantageId};
use crate::finding::{Confidence, Key, Rule, Severity, Way};
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::world::{Derived, DomainId, Echo, Freed, Observation, Path, Stuck, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU003",
        name: "mtu-black-hole",
        levels: &[
            (Confidence::Likely, Severity::Error),
            (Confidence::Confirmed, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("mtu_black_hole.md"),
    },
    hears: &[],
    follows: &[Topic::Echo, Topic::Segment],
    needs: Needs::Frames,
    make: |_| {
        let (paths, pings, deadlines) = (BTreeMap::new(), BoundedMap::new(MOST), Deadlines::new());
        Box::new(MtuBlackHole { paths, pings, deadlines })
    },
};

/// The span that repeats must cover: shorter bursts are ordinary loss.
const STUCK_FOR: Span = Span::secs(3);
/// Bytes that every path takes (RFC 791): a packet no longer than that is not lost for its size.
const ALWAYS_FITS: u32 = 576;
/// Echo requests of a size that must be answered, of a larger one that must not, and the span in which (findings.md, MTU003).
const PINGS: u32 = 3;
const PINGS_WITHIN: Span = Span::secs(30);
/// Paths, and pairs of hosts that ping, that are remembered; further ones are not judged.
const MOST: usize = 1_024;
/// How long before the first repeat a vantage must have shown the connection for a repeat that it does not show to be missing there.
const LATELY: Span = Span::secs(60);
/// Sizes of echo requests that are remembered of one pair.
const SIZES: usize = 8;

struct MtuBlackHole {
    paths: BTreeMap<PathKey, Hole>,
    pings: BoundedMap<(VantageId, IpAddr, IpAddr), Pings>,
    deadlines: Deadlines<PathKey>,
}

/// Sender and next hop on the link, and the network.
type PathKey = (Mac, Mac, DomainId);

/// Echo requests between two hosts.
#[derive(Default)]
struct Pings(Vec<Size>);

/// Echo requests of one size.
#[derive(Clone)]
struct Size {
    packet_len: u32,
    answered: u32,
    lost: u32,
    /// When the first and the last were sent.
    first: Timestamp,
    last: Timestamp,
    cited: Vec<Cited>,
}

impl Detector for MtuBlackHole {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::SegmentStuck(stuck)) => self.stuck(stuck, cx),
            Observation::Derived(Derived::SegmentFreed(freed)) => self.freed(freed, cx),
            Observation::Derived(Derived::Echo(echo)) => self.echo(echo, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            self.judge(&key, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let waiting: Vec<PathKey> = self.deadlines.waiting().map(|(_, key)| *key).collect();
        waiting.iter().for_each(|key| self.judge(key, cx));
    }
}

impl MtuBlackHole {
    fn stuck(&mut self, stuck: &Stuck, cx: &mut Context<'_>) {
        let pair = stuck.path.key();
        let pings = self.pings.peek(&pair);
        let has_small = stuck.small.is_some()
            || pings.is_some_and(|p| {
                p.0.iter().any(|s| s.answered > 0 && s.packet_len < stuck.packet_len && s.last > stuck.first)
            });
        let has_large = stuck.is_large_delivered
            || pings.is_some_and(|p| {
                p.0.iter().any(|s| s.answered > 0 && s.packet_len >= stuck.packet_len && s.last > stuck.first)
            });
        let is_short = stuck.packet_len <= ALWAYS_FITS || stuck.last.since(stuck.first) < STUCK_FOR;
        if is_short || has_large || !has_small {
            return;
        }
        let answered = pings.and_then(|p| {
            let is_below = |s: &&Size| s.answered > 0 && s.packet_len < stuck.packet_len;
            p.0.iter().filter(is_below).map(|s| s.packet_len).max()
        });
        if let Some((key, hole)) = self.hole(&stuck.path, cx) {
            hole.answered = hole.answered.max(answered);
            hole.add(stuck);
            self.settle(key, cx);
        }
    }

    fn freed(&mut self, freed: &Freed, cx: &mut Context<'_>) {
        let key = key_of(&freed.path, cx);
        let Some(hole) = self.paths.get_mut(&key) else { return };
        if let Some(piece) = freed.pieces {
            hole.pieces = hole.pieces.max(Some(piece));
            self.settle(key, cx);
        } else if hole.smallest_lost().is_some_and(|lost| freed.packet_len >= lost) {
            self.over(key, freed.packet_len, cx);
        }
    }

    /// An echo request tells of the path whatever else is on it.
    fn echo(&mut self, echo: &Echo, cx: &mut Context<'_>) {
        let key = key_of(&echo.path, cx);
        if echo.is_answered
            && self.paths.get(&key).and_then(Hole::smallest_lost).is_some_and(|lost| echo.packet_len >= lost)
        {
            self.over(key, echo.packet_len, cx);
        }
        // A router said that it was too long, and for what: it did not vanish (RFC 1191).
        let told = cx.world.path_mtus.told(echo.path.src, echo.path.dst);
        if !echo.is_answered && told.is_some_and(|told| told.mtu > 0 && told.mtu < echo.packet_len) {
            return;
        }
        // At one vantage each request is counted once.
        let pair = echo.path.key();
        if self.pings.len() >= MOST && self.pings.peek(&pair).is_none() {
            return;
        }
        let pings = self.pings.entry(&pair, Pings::default);
        pings.add(echo);
        let Some((answered, lost, cited)) = pings.bracket() else { return };
        let sizes = (answered.packet_len, lost.packet_len, lost.lost);
        let found = self.hole(&echo.path, cx).filter(|(_, hole)| hole.pings != Some(sizes));
        if let Some((key, hole)) = found {
            hole.pings = Some(sizes);
            hole.fresh.extend(cited);
            self.settle(key, cx);
        }
    }

    fn hole(&mut self, path: &Path, cx: &Context<'_>) -> Option<(PathKey, &mut Hole)> {
        let key = key_of(path, cx);
        if self.paths.len() >= MOST && !self.paths.contains_key(&key) {
            return None;
        }
        Some((key, self.paths.entry(key).or_insert_with(|| Hole::new(*path))))
    }

    /// Judges once all sightings of the latest repeat are in.
    fn settle(&mut self, key: PathKey, cx: &mut Context<'_>) {
        let settle = cx.world.sightings.settle();
        if settle == Span::ZERO {
            self.judge(&key, cx);
        } else if self.deadlines.of(&key).is_none() {
            self.deadlines.set(key, cx.now.after(settle));
        }
    }

    fn judge(&mut self, key: &PathKey, cx: &mut Context<'_>) {
        let Some(hole) = self.paths.get_mut(key) else { return };
        if let Some(latest) = hole.latest.take() {
            hole.missing = missing(&latest, hole, cx).or(hole.missing.take());
            hole.left = left(&latest, cx).or(hole.left.take());
        }
        let place = cx.world.vantage(hole.path.vantage).map_or(Place::Unknown, |vantage| vantage.place);
        let tight = tight_tag(hole, cx);
        let setting = Setting {
            told: cx.world.path_mtus.told(hole.path.src, hole.path.dst),
            is_blind: matches!(place, Place::Guest | Place::Tap | Place::Bridge | Place::Unknown)
                && hole.missing.is_none(),
            fits: tight.as_ref().map(|(_, fits)| *fits),
            outer: tight.map(|(outer, _)| outer),
        };
        hole.is_raised = true;
        let claim = hole.claim(claim_key(&hole.path, cx), &setting);
        let vantage = hole.path.vantage;
        cx.raise(claim.at(vantage));
    }

    /// A packet as large as those that were lost arrived.
    fn over(&mut self, key: PathKey, packet_len: u32, cx: &mut Context<'_>) {
        self.deadlines.clear(&key);
        let Some(hole) = self.paths.remove(&key).filter(|hole| hole.is_raised) else { return };
        cx.resolve(claim_key(&hole.path, cx), format!("packets of {packet_len} bytes arrive again"));
    }
}

impl Pings {
    fn add(&mut self, echo: &Echo) {
        let known = self.0.iter_mut().find(|size| size.packet_len == echo.packet_len);
        let size = match known {
            // What was sent long ago says nothing of the path as it is now.
            Some(size) if echo.sent.since(size.last) <= PINGS_WITHIN => size,
            Some(size) => {
                *size = Size::new(echo);
                size
            }
            None => {
                if self.0.len() >= SIZES {
                    self.0.remove(0);
                }
                self.0.push(Size::new(echo));
                let Some(size) = self.0.last_mut() else { return };
                size
            }
        };
        size.last = size.last.max(echo.sent);
        let count = if echo.is_answered { &mut size.answered } else { &mut size.lost };
        *count = count.saturating_add(1);
        if !echo.is_answered && size.cited.len() < 2 {
            size.cited.push(echo.cited.clone());
        }
    }

    /// A size that is always answered and a larger one that never is, both often enough, and the smaller also after the larger had failed.
    fn bracket(&self) -> Option<(&Size, &Size, Vec<Cited>)> {
        let lost = self.0.iter().filter(|s| s.lost >= PINGS && s.answered == 0).min_by_key(|s| s.packet_len)?;
        let is_below = |s: &&Size| {
            s.packet_len < lost.packet_len
                && s.answered >= PINGS
                && s.lost == 0
                && s.last > lost.first
                && lost.last.since(s.first).max(s.last.since(lost.first)) <= PINGS_WITHIN
        };
        let answered = self.0.iter().filter(is_below).max_by_key(|s| s.packet_len)?;
        Some((answered, lost, lost.cited.clone()))
    }
}

impl Size {
    const fn new(echo: &Echo) -> Self {
        Self { packet_len: echo.packet_len, answered: 0, lost: 0, first: echo.sent, last: echo.sent, cited: Vec::new() }
    }
}

fn key_of(path: &Path, cx: &Context<'_>) -> PathKey {
    (path.from, path.to, cx.world.domains.root(path.domain))
}

fn claim_key(path: &Path, cx: &Context<'_>) -> Key {
    Key::new().with("mac", path.from).with("next_hop", path.to).with("domain", cx.world.domains.name(path.domain))
}

/// The last of several places where a repeat was seen, if that is one where packets leave the host.
fn left(latest: &Latest, cx: &Context<'_>) -> Option<String> {
    let way = cx.world.sightings.in_order(latest.packet).filter(|way| way.len() > 1)?;
    let last = cx.world.vantage(way.last()?.at.vantage)?;
    matches!(last.place, Place::Bond | Place::Nic | Place::Switch).then(|| last.name.to_string())
}

/// Where a repeat was seen, and where it was not although others of its connection were.
fn missing(latest: &Latest, hole: &Hole, cx: &Context<'_>) -> Option<(String, String, Way)> {
    let journey = cx.world.sightings.journey(latest.packet);
    let (src, dst, ports) = latest.ends;
    let shows_others = |vantage: &VantageId| {
        let heard = cx.world.flows.heard(*vantage, (src, ports.0), (dst, ports.1));
        heard.is_some_and(|heard| latest.first.since(heard) <= LATELY)
    };
    let is_unseen = |vantage: &VantageId| journey.iter().all(|s| s.at.vantage != *vantage) && shows_others(vantage);
    let unseen = cx.world.domains.vantages(hole.path.domain).filter(is_unseen).min()?;
    let name = |id: VantageId| cx.world.vantage(id).map(|vantage| vantage.name.to_string()).unwrap_or_default();
    let what = format!("{} bytes", hole.smallest_lost().unwrap_or(0));
    let way = cx.world.sightings.way(what, latest.packet, &[unseen]);
    let last = way.stops.iter().rfind(|stop| stop.look.is_some())?.vantage;
    Some((name(last), name(unseen), way))
}

/// The outer of two tags that make the smallest lost packet longer than the link takes, and those that arrive not, and what would fit: the
/// loss is MTU001's.
fn tight_tag(hole: &Hole, cx: &Context<'_>) -> Option<(String, u32)> {
    let stack = cx.world.domains.stack(hole.path.domain);
    let (tpid, vid) = stack.outer().filter(|_| stack.depth() > 1)?;
    let room = cx.world.mtu(hole.path.vantage).unwrap_or(cx.settings.mtu.assumed);
    let is_over = stack.carry(hole.smallest_lost()?) > room && stack.carry(hole.largest_delivered()) <= room;
    is_over.then(|| (format!("{tpid}:{vid}"), room.saturating_sub(stack.carry(0))))
}
