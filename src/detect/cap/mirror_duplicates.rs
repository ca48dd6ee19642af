//! CAP007: each frame is in the capture twice, as a mirror of both directions of several ports shows it. Judged by unicast frames that are few:
//! those that open or refuse connections, ARP, ICMP and DHCP; what opens a connection is never sent again so soon (RFC 6298 section 2.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Frame, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Fingerprint, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP007",
        name: "mirror-duplicates",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("mirror_duplicates.md"),
    },
    hears: &[Kind::TcpOpening, Kind::Arp, Kind::Icmp, Kind::Icmpv6, Kind::Dhcp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(MirrorDuplicates::default()),
};

/// Frames that are enough to judge by, and senders of them: a card that repeats itself is alone.
const ENOUGH: u64 = 20;
const SENDERS: usize = 2;
/// Of ten frames, how many must be there twice; and of ten at most one may be there more often (findings.md 2.2: 2.0 ± 0.1).
const NINE: u64 = 9;
const TEN: u64 = 10;
/// Frames after which it is settled that these are no copies: for nine of ten, nine times as many would have to follow of which each is one.
const SETTLED: u64 = 4_096;
/// How soon the copy follows.
const APART: Span = Span::millis(10);
/// Bytes that are compared, which is more than any header has; and frames that are held meanwhile.
const COMPARED: usize = 256;
const HELD: usize = 64;
/// Vantages that are followed, and senders that are told apart at each.
const MOST: usize = 1_024;
const MOST_SENDERS: usize = 64;

#[derive(Default)]
struct MirrorDuplicates {
    vantages: BTreeMap<VantageId, Copies>,
}

/// By what a frame is known: its first bytes, and its length.
type Print = (Fingerprint, u32);

/// A frame, when it was there first, and how often.
struct Kept {
    print: Print,
    first: Timestamp,
    count: u32,
}

/// How often frames are there at one vantage.
#[derive(Default)]
struct Copies {
    /// The latest frames: a ring.
    recent: Vec<Kept>,
    /// Where in it the next belongs, in turns of `HELD`, a power of two.
    next: usize,
    frames: u64,
    twice: u64,
    oftener: u64,
    senders: BTreeSet<Mac>,
    /// The latest frame, as long as it may be the first of a pair that is cited.
    latest: Option<(Print, Cited)>,
    pair: Vec<Cited>,
    /// The longest that a copy followed its frame by.
    apart: Span,
    is_told: bool,
}

impl Detector for MirrorDuplicates {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let (frame, at) = (seen.frame, seen.frame.at.vantage);
        let (Some(src), Some(dst)) = (frame.layers.link_src(), frame.layers.link_dst()) else { return };
        if !dst.is_station() {
            return;
        }
        let is_full = self.vantages.len() >= MOST;
        let copies = match self.vantages.get_mut(&at) {
            Some(copies) => copies,
            None if is_full => return,
            None => self.vantages.entry(at).or_default(),
        };
        if copies.frames >= SETTLED && !copies.is_told {
            return;
        }
        copies.add(frame, src);
        if !copies.is_told && copies.frames.is_multiple_of(ENOUGH) && copies.are_two() {
            copies.is_told = true;
            cx.raise(copies.claim(at, cx));
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (at, copies) in self.vantages.iter_mut().filter(|(_, copies)| copies.is_told) {
            // Once more, with all that there was.
            cx.raise(copies.claim(*at, cx).correcting());
        }
    }
}

impl Copies {
    fn add(&mut self, frame: &Frame<'_>, src: Mac) {
        let (now, body) = (frame.order, frame.bytes.get(..COMPARED).unwrap_or(frame.bytes));
        let print = (Fingerprint::of(&[body]), frame.wire_len);
        let Some(Kept { first, count, .. }) = self.find(print, now) else {
            self.frames = self.frames.saturating_add(1);
            if self.senders.len() < MOST_SENDERS {
                self.senders.insert(src);
            }
            self.keep(Kept { print, first: now, count: 1 });
            if self.twice == 0 && self.frames <= ENOUGH {
                self.latest = Some((print, Cited::beginning(frame)));
            }
            return;
        };
        *count = count.saturating_add(1);
        match *count {
            2 => {
                let apart = now.since(*first);
                self.apart = self.apart.max(apart);
                if let Some((_, cited)) = self.latest.take().filter(|(latest, _)| *latest == print) {
                    self.pair = vec![cited, Cited::beginning(frame)];
                }
                self.twice = self.twice.saturating_add(1);
            }
            3 => self.oftener = self.oftener.saturating_add(1),
            _ => {}
        }
    }

    /// The frame `print`, if it is among those of the last moment: the latest are looked at first.
    fn find(&mut self, print: Print, now: Timestamp) -> Option<&mut Kept> {
        let is_fresh = |kept: &Kept| now.since(kept.first) <= APART;
        let places = (1..=HELD).map(|back| self.next.wrapping_sub(back) % HELD);
        let mut fresh = places.take_while(|at| self.recent.get(*at).is_some_and(is_fresh));
        let at = fresh.find(|at| self.recent.get(*at).is_some_and(|kept| kept.print == print))?;
        self.recent.get_mut(at)
    }

    /// Keeps a frame in place of the oldest.
    fn keep(&mut self, kept: Kept) {
        match self.recent.get_mut(self.next % HELD) {
            Some(oldest) => *oldest = kept,
            None => self.recent.push(kept),
        }
        self.next = self.next.wrapping_add(1);
    }

    /// Whether each frame is there twice, whoever sent it.
    fn are_two(&self) -> bool {
        let nearly_all = self.frames.saturating_mul(NINE);
        self.frames >= ENOUGH
            && self.senders.len() >= SENDERS
            && self.twice.saturating_mul(TEN) >= nearly_all
            && self.oftener.saturating_mul(TEN) <= self.frames
    }

    fn claim(&mut self, at: VantageId, cx: &Context<'_>) -> Claim {
        let interface = cx.world.interface(at);
        let headline = format!(
            "{interface}: each frame is in the capture twice, the copy within {}: {} of {} unicast frames of {} senders that were compared. Counts of \
             frames are twice what the wire carried.",
            self.apart,
            self.twice,
            self.frames,
            self.senders.len(),
        );
        Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Info, headline)
            .at(at)
            .number("compared", self.frames)
            .number("twice", self.twice)
            .proved_by(self.pair.drain(..))
            .cause("a mirror session that copies what comes in and what goes out of several ports: a frame between two of them is copied twice")
            .cause("captures of a bond and of its member that were put together under one name")
            .step("Copy one direction of each port", Command::default())
            .step("Or take the copies out of the file", "editcap -d CAPTURE OUT")
    }
}
