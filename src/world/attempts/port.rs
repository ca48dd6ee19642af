//! One client's attempts at one port of a server, since it was answered last.

use super::cite;
use super::fresh::Asked;
use crate::event::{Cited, VantageId};
use crate::value::{Few, Span, Timestamp};
use crate::world::TELL_EVERY;

/// How often a SYN must have been sent, and over how long, to count as unanswered: 0, 1 and 3 s (RFC 6298 section 2; Linux).
const SENDS: u64 = 3;
const SPAN: Span = Span::secs(3);
/// When a SYN that was sent twice counts as unanswered.
const TWICE: Span = Span::secs(6);

#[derive(Clone, Debug)]
pub(super) struct Port {
    pub number: u16,
    /// The attempt that runs: source port and first sequence number.
    attempt: (u16, u32),
    /// When the attempt that runs was sent last.
    pub last: Timestamp,
    /// The first SYN since an answer.
    pub since: Timestamp,
    /// SYNs since an answer.
    pub sends: u64,
    /// Attempts since an answer.
    pub attempts: u64,
    /// Whether the attempt that runs was answered.
    is_settled: bool,
    /// Where its answer was seen and not taken in.
    pub thrown_away: Option<VantageId>,
    /// When it is looked at again.
    pub due: Option<Timestamp>,
    /// When it was told of last, and how many SYNs.
    told: Option<(Timestamp, u64)>,
    cited: Few<Cited>,
}

impl Port {
    /// A port at which was `asked` for the first time.
    pub fn new(number: u16, asked: &Asked) -> Self {
        Self {
            number,
            attempt: asked.attempt,
            last: asked.at,
            since: asked.at,
            sends: 1,
            attempts: 1,
            is_settled: false,
            thrown_away: None,
            due: None,
            told: None,
            cited: Few::of(asked.cited.clone()),
        }
    }

    /// A SYN; one that repeats an attempt which was answered asks nothing: the answer was lost, or is not believed.
    pub fn asked(&mut self, &Asked { attempt, at, ref cited, .. }: &Asked) {
        let is_repeat = self.attempt == attempt;
        if is_repeat && self.is_settled {
            return;
        }
        self.since = if self.sends == 0 { at } else { self.since.min(at) };
        self.is_settled = false;
        if !is_repeat || self.attempts == 0 {
            self.attempt = attempt;
            self.attempts = self.attempts.saturating_add(1);
        }
        self.sends = self.sends.saturating_add(1);
        self.last = self.last.max(at);
        if self.sends >= 2 {
            self.due = Some(self.since.after(TWICE).max(at));
        }
        cite(&mut self.cited, cited.clone());
    }

    /// Whether an answer to source port `port` that acknowledges `ack` answers the attempt that runs.
    pub const fn is_answered_by(&self, port: u16, ack: u32) -> bool {
        self.sends > 0 && self.attempt.0 == port && ack == self.attempt.1.wrapping_add(1)
    }

    /// Whether the attempt that runs came from this source port.
    pub const fn is_from(&self, port: u16) -> bool {
        self.sends > 0 && self.attempt.0 == port
    }

    /// Whether the moment has come to look at it again, which it does once.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// Whether it waits for an answer.
    pub const fn waits(&self) -> bool {
        self.sends > 0
    }

    /// Everything so far is settled; whether it had been told of.
    pub fn settle(&mut self) -> bool {
        (self.sends, self.attempts, self.is_settled, self.due) = (0, 0, true, None);
        self.cited.clear();
        self.thrown_away = None;
        self.told.take().is_some()
    }

    /// Whether there is enough to tell at `now`, and more than last time; notes that it was told.
    pub fn tells(&mut self, now: Timestamp) -> bool {
        let waited = now.since(self.since);
        let is_enough = self.sends >= SENDS && waited >= SPAN || self.sends >= 2 && waited >= TWICE;
        let is_news = self.told.is_none_or(|(at, _)| now.since(at) >= TELL_EVERY);
        if is_enough && is_news {
            self.told = Some((now, self.sends));
        }
        is_enough && is_news
    }

    /// Whether more was sent since it was told of.
    pub fn is_outgrown(&self) -> bool {
        self.told.is_some_and(|(_, told)| self.sends > told)
    }

    pub fn cited(&self) -> Vec<Cited> {
        self.cited.to_vec()
    }
}
