//! Link aggregation as LACPDUs tell it: at each vantage who speaks, what he says of himself and of the other end, and since when. Only members of a
//! bond show LACPDUs: the bond itself never does. At most 1,024 vantages of eight ends each.

use super::{Derived, Domains, Observation, Tracker};
use crate::event::{Cited, Direction, VantageId};
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{Kind, Kinds, LacpEnd};

/// Vantages that are followed.
const MOST_PORTS: usize = 1_024;
/// Ends at one vantage: two on a wire, more behind a mirror.
const MOST_ENDS: usize = 8;

/// All that is known of aggregation.
#[derive(Debug, Default)]
pub struct Aggregation {
    ports: Vec<(VantageId, Vec<End>)>,
}

/// One end of a link.
#[derive(Clone, Debug)]
pub struct End {
    /// What it says of itself.
    pub actor: LacpEnd,
    /// What it says of the other end.
    pub partner: LacpEnd,
    /// The source of its frames.
    pub mac: Mac,
    /// Which way they go.
    pub direction: Direction,
    /// Its first LACPDU.
    pub first: Timestamp,
    /// Its latest.
    pub last: Timestamp,
    /// That frame.
    pub cited: Cited,
    /// LACPDUs.
    pub count: u64,
    /// LACPDUs since it last fell silent.
    pub run: u64,
    /// The time between its latest two, as long as it is regular.
    usual: Span,
    /// LACPDUs in a row that do not name the end that speaks here beside it.
    pub unmatched: u64,
    /// The first of them.
    pub unmatched_since: Timestamp,
    /// Whether it ever named that end, in step with it.
    pub was_matched: bool,
}

impl Aggregation {
    /// The ends that speak at `vantage`.
    pub fn ends(&self, vantage: VantageId) -> &[End] {
        self.ports.iter().find(|(v, _)| *v == vantage).map_or(&[], |(_, ends)| ends)
    }

    /// All vantages with their ends, in the order in which they were heard first.
    pub fn ports(&self) -> impl Iterator<Item = (VantageId, &[End])> {
        self.ports.iter().map(|(vantage, ends)| (*vantage, ends.as_slice()))
    }
}

impl Tracker for Aggregation {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Lacp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, _out: &mut Vec<Derived>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        let (Some(lacp), Some(mac)) = (frame.layers.lacp(), frame.layers.link_src()) else { return };
        let vantage = frame.at.vantage;
        let at = self.ports.iter().position(|(v, _)| *v == vantage).unwrap_or_else(|| {
            self.ports.push((vantage, Vec::new()));
            self.ports.len().saturating_sub(1)
        });
        if self.ports.len() > MOST_PORTS {
            self.ports.pop();
            return;
        }
        let Some((_, ends)) = self.ports.get_mut(at) else { return };
        let (actor, partner) = (lacp.actor(), lacp.partner());
        // Each port speaks from an address of its own: with another number or system it was set up anew.
        ends.retain(|end| end.mac != mac || is_same_end(&end.actor, &actor));
        let others: Vec<LacpEnd> = ends.iter().map(|e| e.actor).filter(|a| !is_same_end(a, &actor)).collect();
        let is_matched = others.iter().any(|other| is_same_end(other, &partner));
        let now = frame.order;
        if ends.len() >= MOST_ENDS && !ends.iter().any(|end| is_same_end(&end.actor, &actor)) {
            return;
        }
        let known = ends.iter().position(|end| is_same_end(&end.actor, &actor)).unwrap_or_else(|| {
            ends.push(End {
                actor,
                partner,
                mac,
                direction: frame.direction,
                first: now,
                last: now,
                cited: Cited::of(frame),
                count: 0,
                run: 0,
                usual: Span::ZERO,
                unmatched: 0,
                unmatched_since: now,
                was_matched: false,
            });
            ends.len().saturating_sub(1)
        });
        let gap = ends.get(known).map_or(Span::ZERO, |end| now.since(end.last));
        if ends.get(known).is_some_and(|end| end.is_back(gap)) {
            // Who was silent has not been heard: what others said meanwhile is no word against it.
            ends.iter_mut().for_each(|end| end.unmatched = 0);
        }
        let Some(end) = ends.get_mut(known) else { return };
        (end.run, end.usual) = if end.is_back(gap) { (0, end.usual) } else { (end.run, gap) };
        end.run = end.run.saturating_add(1);
        (end.actor, end.partner, end.last, end.cited) = (actor, partner, now, Cited::of(frame));
        end.count = end.count.saturating_add(1);
        end.unmatched = if is_matched { 0 } else { end.unmatched.saturating_add(u64::from(!others.is_empty())) };
        if end.unmatched <= 1 {
            end.unmatched_since = now;
        }
        end.was_matched |= is_matched && actor.is_synchronised();
    }
}

impl End {
    /// Whether so long a gap means that it had fallen silent: more than three times the usual one.
    fn is_back(&self, gap: Span) -> bool {
        self.count > 1 && gap > self.usual.times(3) && gap > Span::secs(3)
    }
}

/// Whether both are one port of one system.
pub fn is_same_end(a: &LacpEnd, b: &LacpEnd) -> bool {
    a.system == b.system && a.port == b.port
}
