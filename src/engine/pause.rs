//! When nobody listened: the capture paused, or the host slept. Silence of that time was not the network's: what waited is not judged, and
//! whoever measures silence begins anew, as in a run that is told what the one before it left.

use super::Engine;
use crate::finding::{Claim, Pending};
use crate::value::{Span, Timestamp};
use crate::world::Topic;

/// A capture is steady that shows something each five seconds at least, for half a minute. One that then shows nothing at all for two minutes has
/// paused, or its clock was set, rather than that nobody spoke: no client waits longer before it asks again (RFC 2131 section 4.1: 64 s), nor
/// does slow LACP before it times out (90 s).
pub(super) const STEADY_STEP: Span = Span::secs(5);
const STEADY_FOR: Span = Span::secs(30);
const PAUSE: Span = Span::secs(120);
/// Claims of one rule that are listed as not judged because of a pause.
const MOST_UNJUDGED: usize = 8;
/// What is listed as not judged, whatever it is, past which nothing is added because the host slept.
const MOST_WAITING: usize = 256;

impl Engine {
    /// How long the capture had paused if it goes on at `time`; `None` where its silence may be the network's.
    pub(super) fn pause_until(&self, time: Timestamp) -> Option<Span> {
        let gap = time.since(self.heard);
        let is_steady = self.heard.since(self.steady_since) >= STEADY_FOR;
        Some(gap).filter(|gap| !self.is_watched && is_steady && *gap > PAUSE)
    }

    /// The host sleeps until then, and nobody listens: what waits is not judged, and all begin anew as in a run that is told what the one before
    /// it left.
    pub(super) fn sleep(&mut self, until: Timestamp) {
        let asleep = until.since(self.now);
        self.lost.asleep_s = self.lost.asleep_s.saturating_add(asleep.as_nanos().unsigned_abs() / 1_000_000_000);
        let pending = self.pending.len();
        self.conclude(self.now);
        let mut waiting = self.pending.split_off(pending);
        waiting.truncate(MOST_WAITING.saturating_sub(pending));
        for Pending { code, what, since } in waiting {
            let what = format!("{what}. Not judged: this host slept for {asleep} then.");
            self.pending.push(Pending { code, what, since });
        }
        self.world.begin_anew(&self.settings, until, false);
        (0..self.slots.len()).for_each(|at| self.make_anew(at, until));
        self.due = self.world.due().min(self.dues.next()).min(self.ledger.next_deadline().unwrap_or(Timestamp::MAX));
    }

    /// Makes a detector that remembers nothing; what its rule found so far is taken to last as after a restart.
    fn make_anew(&mut self, at: usize, now: Timestamp) {
        let entry = self.slots[at].entry;
        self.slots[at].detector = (entry.make)(&self.settings);
        for key in self.ledger.await_again(&entry.rule, now) {
            self.recalled.add(&entry.rule, key, now);
        }
        self.dues.set(at, self.slots[at].detector.next_deadline().unwrap_or(Timestamp::MAX));
    }

    /// The capture goes on after a pause: who waits for something begins anew, and so do rules that would have claimed something of it. Where a link shows
    /// nothing at all, that goes on to be so.
    pub(super) fn go_on(&mut self, now: Timestamp) {
        if self.pause.take().is_none() {
            return;
        }
        self.world.begin_anew(&self.settings, now, true);
        let misled = std::mem::take(&mut self.misled);
        for at in 0..self.slots.len() {
            let follows = self.slots[at].entry.follows;
            let waits = follows.iter().any(|topic| topic.is_awaited()) && !follows.contains(&Topic::Uplink);
            if waits || misled.contains(&at) {
                self.make_anew(at, now);
            }
        }
    }

    /// Keeps what would have been claimed, had the capture not paused.
    pub(super) fn wait_for(&mut self, code: &'static str, claim: &Claim, pause: Span) {
        let what = format!("{} Not judged: nothing at all was captured for {pause} then.", claim.headline);
        let since = claim.first.unwrap_or(self.heard);
        // What lasts is claimed again and again; the first time is enough.
        let known = self.pending.iter().filter(|pending| pending.code == code);
        if known.clone().any(|pending| pending.since == since) {
            return;
        }
        match known.count() {
            0..MOST_UNJUDGED => self.pending.push(Pending { code, what, since }),
            MOST_UNJUDGED => {
                let what = format!("more of {code} was not judged for such a pause, and is not listed");
                self.pending.push(Pending { code, what, since });
            }
            _ => {}
        }
    }
}
