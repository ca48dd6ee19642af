//! What a person reads: a finding, its two scales, its key, its evidence; and the books that are kept of findings.

mod claim;
mod command;
mod exchange;
mod ledger;
mod paths;
mod relate;
mod relations;
mod report;
mod rule;
mod shelf;
mod tally;
mod topology;
mod way;

pub use claim::{Cause, Claim, Number, Step};
pub use command::{Command, IFACE, is_device_name};
pub use exchange::{Exchange, ExchangeKind, Latency, LeaseClock, Message, Offered, Outcome};
pub use ledger::{Change, Ledger};
pub use paths::{Cell, FlowPath, Hop, LeftOut, Paths, Row, Verdict};
pub use relate::relate;
pub use relations::relations;
pub use report::{Clock, Input, Lost, NotChecked, Pending, Report};
pub use rule::Rule;
pub use tally::{StackTally, Tally};
pub use topology::{KnownNeighbour, KnownPort, KnownRoot, KnownTeller, KnownTree};
pub use way::{Look, Stop, Way};

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use crate::event::{Cited, LeftOpen, Name, VantageId};
use crate::value::{Mac, Outside, Timestamp};

/// How bad it is if it is true.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A fact worth having in the report; never sets a failing exit code.
    Info,
    /// Degraded, or will break.
    Warning,
    /// A service or guest is broken.
    Error,
    /// A node or a whole network goes away.
    Critical,
}

/// How much of the chain was on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Only the precondition was seen.
    Risk,
    /// The mechanism was seen at work, the effect was not.
    Likely,
    /// The effect was seen on the wire.
    Confirmed,
}

/// Whether it still holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds, or held when the capture ended.
    Open,
    /// It was seen to be over.
    Resolved,
}

/// What makes a finding one: equal rule and equal key are the same finding. Ordered as the rule gives it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Key(Vec<(Cow<'static, str>, Outside)>);

/// One finding of the report.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its number in the report, from 1, in order of opening.
    pub id: u32,
    /// The rule that it is a case of.
    pub rule: &'static Rule,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Whether it still holds.
    pub state: State,
    /// What makes it one.
    pub key: Key,
    /// One sentence: subject, what it does, the number against its limit, since when.
    pub headline: String,
    /// First evidence.
    pub first: Timestamp,
    /// Last evidence.
    pub last: Timestamp,
    /// When it was seen to be over.
    pub resolved: Option<Timestamp>,
    /// How often the evidence was seen.
    pub count: u64,
    /// How often it opened again after it was over.
    pub episodes: u32,
    /// What was measured.
    pub numbers: Vec<(&'static str, Number)>,
    /// The frames that prove it: the first four and the last.
    pub evidence: Vec<Cited>,
    /// The ways of such packets through the vantages, where several tell.
    pub ways: Vec<Way>,
    /// A Wireshark display filter that selects such frames.
    pub filter: String,
    /// Likely causes, the likeliest first.
    pub causes: Vec<Cause>,
    /// What mends it, in order.
    pub remedy: Vec<Step>,
    /// What was not measured but assumed.
    pub assumptions: Vec<String>,
    /// The names of addresses that it speaks of, where anybody knows them.
    pub names: Vec<Name>,
    /// Where it was seen first.
    pub vantage: Option<VantageId>,
    /// The bond or card through which the host reaches the network from there.
    pub uplink: Option<String>,
    /// Findings that this one explains, by number.
    pub explains: Vec<u32>,
    /// The finding that explains this one, by number.
    pub explained_by: Option<u32>,
}

/// Parts of a key that are taken from an earlier run: more than any rule gives.
const MOST_PARTS: usize = 8;
/// Characters of an address as it is printed.
const MAC_LEN: usize = 17;

impl Finding {
    /// Puts names behind the addresses in the headline, each where it stands first; `known` knows them.
    pub fn tell_names<'a>(&mut self, known: impl Fn(Mac) -> Option<&'a Name>) {
        let mut at = 0;
        while let Some(text) = self.headline.get(at..) {
            let Some(next) = text.char_indices().map(|(next, _)| next).find(|next| mac_at(text, *next).is_some())
            else {
                break;
            };
            let (mac, end) = (mac_at(text, next), at + next + MAC_LEN);
            at = end;
            let Some(name) = mac.and_then(&known).filter(|name| !self.names.contains(name)) else { continue };
            // A rule that knows the guest's name has put it there itself.
            let shown = name.name.to_string();
            if !self.headline.contains(&shown) {
                let told = format!(" ({shown})");
                self.headline.insert_str(end, &told);
                at = end + told.len();
            }
            self.names.push(name.clone());
        }
    }
}

/// The address that stands at `at`.
fn mac_at(text: &str, at: usize) -> Option<Mac> {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == ':';
    if text.get(..at)?.ends_with(is_part) || text.get(at + MAC_LEN..)?.starts_with(is_part) {
        return None;
    }
    text.get(at..at + MAC_LEN)?.parse().ok()
}

impl Key {
    /// A key without parts; `with` adds them.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The key with one part more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.push((Cow::Borrowed(name), Outside::from(value.to_string().as_str())));
        self
    }

    /// The key of what an earlier run left open.
    pub fn recalled(left: &LeftOpen) -> Self {
        let parts = left.key.iter().take(MOST_PARTS);
        Self(parts.map(|(name, value)| (Cow::Owned(name.to_string()), value.clone())).collect())
    }

    /// The key with `value` in place of what the part called `name` says.
    #[must_use]
    pub fn renamed(&self, name: &str, value: &str) -> Self {
        let part = |(known, old): &(Cow<'static, str>, Outside)| {
            (known.clone(), if known == name { Outside::from(value) } else { old.clone() })
        };
        Self(self.0.iter().map(part).collect())
    }

    /// The part called `name`, as it is printed.
    pub fn part(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| value.raw())
    }

    /// The parts in order.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Outside)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Severity {
    /// All of them.
    const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];
}

impl Confidence {
    /// All of them.
    const ALL: [Self; 3] = [Self::Risk, Self::Likely, Self::Confirmed];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        })
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Risk => "risk",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_behind_an_address_once() {
        let rule: &'static Rule = &Rule { code: "X001", name: "x", levels: &[], page: "" };
        let headline = "fa:16:3e:12:34:56 asks fa:16:3e:12:34:57; fa:16:3e:12:34:56 hears nothing.".to_owned();
        let claim = Claim::new(Key::new(), Confidence::Likely, Severity::Error, headline);
        let mut finding = Finding::from_claim(rule, claim, Timestamp::from_nanos(0));
        let name = |mac: &str, name: &str| Name {
            mac: mac.parse().unwrap(),
            name: Outside::from(name),
            source: Outside::from("test"),
        };
        let known = [name("fa:16:3e:12:34:56", "web-01"), name("fa:16:3e:12:34:58", "elsewhere")];
        finding.tell_names(|mac| known.iter().find(|name| name.mac == mac));
        assert_eq!(
            finding.headline,
            "fa:16:3e:12:34:56 (web-01) asks fa:16:3e:12:34:57; fa:16:3e:12:34:56 hears nothing."
        );
        assert_eq!(finding.names, known[..1]);
    }
}
