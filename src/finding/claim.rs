//! What a detector says: "this is so", with its numbers, its frames, and what to do. The ledger makes findings of claims.

use std::fmt;

use serde::Serialize;

use super::{Command, Confidence, Key, Severity, Way};
use crate::event::{Cited, VantageId};
use crate::value::{Timestamp, spelled_out};

/// A detector's claim. Claiming the same key again brings the finding up to date.
#[derive(Debug)]
pub struct Claim {
    /// What makes it one finding.
    pub key: Key,
    /// How sure.
    pub confidence: Confidence,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub headline: String,
    /// First evidence; the moment of the claim if none is told.
    pub first: Option<Timestamp>,
    /// Latest evidence; the moment of the claim if none is told.
    pub last: Option<Timestamp>,
    /// How often the evidence was seen so far.
    pub count: u64,
    /// What was measured.
    pub numbers: Vec<(&'static str, Number)>,
    /// Frames that prove it and that were not claimed before.
    pub evidence: Vec<Cited>,
    /// The ways of such packets through the vantages, where several tell.
    pub ways: Vec<Way>,
    /// A Wireshark display filter.
    pub filter: String,
    /// Likely causes.
    pub causes: Vec<Cause>,
    /// What mends it.
    pub remedy: Vec<Step>,
    /// What was assumed.
    pub assumptions: Vec<String>,
    /// Where it was seen.
    pub vantage: Option<VantageId>,
    /// The stretch of its vantage's capture that it puts in doubt: nothing that overlaps it is more than `likely`.
    pub doubted: Option<(Timestamp, Timestamp)>,
    /// The bond or card through which the host reaches the network from there; found by the vantage where it is not told.
    pub uplink: Option<String>,
    /// Whether it takes back part of what was claimed before: then it may lower the severity.
    pub corrects: bool,
    /// What is put into words only where somebody is told.
    pub(super) words: Option<Words>,
}

/// Adds to a claim what is said of it.
pub(super) struct Words(Box<dyn FnOnce(Claim) -> Claim + Send>);

/// Something measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// A count or a size.
    Whole(i64),
    /// A length of time in seconds, or a share.
    Real(f64),
    /// Several of a kind, or a word.
    Words(String),
}

/// A likely cause, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cause(pub String);

/// One step of a remedy: what to do, and the command that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What to do, in words.
    pub what: String,
    /// The command; empty where no command does it.
    #[serde(skip_serializing_if = "Command::is_empty")]
    pub command: Command,
}

impl Claim {
    /// A claim about `key`, that sure and that bad.
    pub fn new(key: Key, confidence: Confidence, severity: Severity, headline: String) -> Self {
        Self {
            key,
            confidence,
            severity,
            headline: spelled_out(headline),
            first: None,
            last: None,
            count: 1,
            numbers: Vec::new(),
            evidence: Vec::new(),
            ways: Vec::new(),
            filter: String::new(),
            causes: Vec::new(),
            remedy: Vec::new(),
            assumptions: Vec::new(),
            vantage: None,
            doubted: None,
            uplink: None,
            corrects: false,
            words: None,
        }
    }

    /// A claim about `key` that is made again and again, and seldom told: `in_words` adds what is said of it.
    pub fn brief(
        key: Key,
        confidence: Confidence,
        severity: Severity,
        in_words: impl FnOnce(Self) -> Self + Send + 'static,
    ) -> Self {
        let words = Some(Words(Box::new(in_words)));
        Self { words, ..Self::new(key, confidence, severity, String::new()) }
    }

    /// The same, put into words.
    #[must_use]
    pub fn spelled(mut self) -> Self {
        match self.words.take() {
            Some(Words(add)) => add(self),
            None => self,
        }
    }

    /// In one sentence.
    #[must_use]
    pub fn headline(mut self, headline: String) -> Self {
        self.headline = spelled_out(headline);
        self
    }

    /// With evidence that began at `first` and was seen `count` times.
    #[must_use]
    pub fn seen(mut self, first: Timestamp, count: u64) -> Self {
        (self.first, self.count) = (Some(first), count);
        self
    }

    /// With evidence that was seen last at `last`.
    #[must_use]
    pub const fn until(mut self, last: Timestamp) -> Self {
        self.last = Some(last);
        self
    }

    /// That takes back part of what was claimed before.
    #[must_use]
    pub const fn correcting(mut self) -> Self {
        self.corrects = true;
        self
    }

    /// That puts in doubt what its vantage showed from one moment until another.
    #[must_use]
    pub const fn doubting(mut self, from: Timestamp, until: Timestamp) -> Self {
        self.doubted = Some((from, until));
        self
    }

    /// At `vantage`.
    #[must_use]
    pub fn at(mut self, vantage: VantageId) -> Self {
        self.vantage = Some(vantage);
        self
    }

    /// About what lies behind `uplink`, a bond or a card.
    #[must_use]
    pub fn behind(mut self, uplink: impl Into<String>) -> Self {
        self.uplink = Some(uplink.into());
        self
    }

    /// With a measured number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: impl Into<Number>) -> Self {
        self.numbers.push((name, value.into()));
        self
    }

    /// With frames that prove it.
    #[must_use]
    pub fn proved_by(mut self, frames: impl IntoIterator<Item = Cited>) -> Self {
        self.evidence.extend(frames);
        self
    }

    /// With the ways of such packets through the vantages; one that only one vantage tells of says no more than its frame.
    #[must_use]
    pub fn going(mut self, ways: impl IntoIterator<Item = Way>) -> Self {
        self.ways.extend(ways.into_iter().filter(|way| way.stops.len() > 1));
        self
    }

    /// With a display filter that selects such frames.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = spelled_out(filter.into());
        self
    }

    /// With a likely cause, after those told before.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(Cause(spelled_out(cause.into())));
        self
    }

    /// With a step that mends it and its command, after those told before.
    #[must_use]
    pub fn step(mut self, what: impl Into<String>, command: impl Into<Command>) -> Self {
        self.remedy.push(Step { what: spelled_out(what.into()), command: command.into() });
        self
    }

    /// With something that was assumed and not measured.
    #[must_use]
    pub fn assuming(mut self, assumption: impl Into<String>) -> Self {
        self.assumptions.push(spelled_out(assumption.into()));
        self
    }
}

macro_rules! number_from {
    ($($whole:ty),*) => {
        $(impl From<$whole> for Number {
            fn from(n: $whole) -> Self {
                Self::Whole(i64::try_from(n).unwrap_or(i64::MAX))
            }
        })*
    };
}
number_from!(u16, u32, u64, i64, usize);

impl From<f64> for Number {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

impl From<String> for Number {
    fn from(words: String) -> Self {
        Self::Words(spelled_out(words))
    }
}

impl From<&str> for Number {
    fn from(words: &str) -> Self {
        Self::Words(spelled_out(words.to_owned()))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not yet in words")
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(n) => write!(f, "{n:.1}"),
            Self::Words(words) => words.fmt(f),
        }
    }
}
