//! L2003: an address comes in now from one port and now from another (IEEE 802.1D-2004 clause 7.8: a bridge learns one place for each address).

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::world::{Derived, DomainId, Moved, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "L2003",
        name: "mac-flapping",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("mac_flapping.md"),
    },
    hears: &[],
    follows: &[Topic::Port],
    needs: Needs::Ethernet,
    make: |_| Box::new(MacFlapping { moves: BoundedMap::new(MOST), deadlines: Deadlines::new() }),
};

/// Addresses that are followed.
const MOST: usize = 1_024;
/// Moves within a minute that are no migration: that is one.
const FEW: usize = 3;
/// Moves within a minute that leave no doubt.
const MANY: usize = 10;
/// The span, and how long an address must stay for it to be over.
const WITHIN: Span = Span::secs(60);
/// Moves that are remembered.
const REMEMBERED: usize = 64;

struct MacFlapping {
    moves: BoundedMap<(Mac, DomainId), Moves>,
    deadlines: Deadlines<(Mac, DomainId)>,
}

#[derive(Default)]
struct Moves {
    times: Vec<Timestamp>,
    count: u64,
    first: Option<Timestamp>,
    fresh: Vec<Cited>,
    raised: Option<Key>,
}

impl Detector for MacFlapping {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Moved(moved)) = seen
            && let Some(from) = moved.from
        {
            self.moved(moved, from, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            if let Some(raised) = self.moves.remove(&key).and_then(|moves| moves.raised) {
                cx.resolve(raised, format!("it has stayed in one place for {WITHIN}"));
            }
        }
    }
}

impl MacFlapping {
    fn moved(&mut self, moved: &Moved, from: VantageId, cx: &mut Context<'_>) {
        let key = (moved.mac, cx.world.domains.root(moved.domain));
        let moves = self.moves.entry(&key, Moves::default);
        moves.times.retain(|at| cx.now.since(*at) <= WITHIN);
        if moves.times.len() < REMEMBERED {
            moves.times.push(cx.now);
        }
        moves.count = moves.count.saturating_add(1);
        moves.first.get_or_insert(moved.cited.time);
        if moves.fresh.len() < 4 {
            moves.fresh.push(moved.cited.clone());
        }
        self.deadlines.set(key, cx.now.after(WITHIN));
        let number = moves.times.len();
        if number < FEW && moves.raised.is_none() {
            return;
        }
        let (confidence, severity) = if number >= MANY {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, Severity::Warning)
        };
        let name = |v: VantageId| cx.world.vantage(v).map(|v| v.name.to_string()).unwrap_or_default();
        let domain = cx.world.domains.name(moved.domain);
        let first = moves.first.unwrap_or(moved.cited.time);
        let headline = format!(
            "{} comes in now from {} and now from {}: {number} moves within {WITHIN}, {} since {}.",
            moved.mac,
            name(from),
            name(moved.to),
            moves.count,
            first.clock()
        );
        let finding = Key::new().with("mac", moved.mac).with("domain", &domain);
        moves.raised = Some(finding.clone());
        let claim = Claim::new(finding, confidence, severity, headline)
            .at(moved.to)
            .seen(first, moves.count)
            .number("moves_in_60_s", number)
            .number("moves", moves.count)
            .proved_by(moves.fresh.drain(..))
            .filter(format!("eth.src == {}", moved.mac))
            .cause("a loop, or a switch that sends back what the node sent (L2001, STP012)")
            .cause("two guests have the same address: an image with a fixed one")
            .step("See where the bridge believes it to be", Command::with("bridge fdb show | grep {}", &[&moved.mac]))
            .step("Give each guest an address of its own; let both sides of a bond speak LACP", "");
        cx.raise(claim);
    }
}
