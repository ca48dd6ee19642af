//! In which order vantages lie on a way: as the case tells (`path`), else as the kinds of places follow each other on a host; times decide
//! only which way a packet went, and the order of what nothing else is known of, unless clocks are too uncertain for that. Keeps what is
//! known of each vantage.

use super::sightings::Sighting;
use crate::event::{Direction, Place, Vantage, VantageId};
use crate::value::Span;

/// What is known of each vantage.
#[derive(Default)]
pub(super) struct Order {
    vantages: Vec<(VantageId, Known)>,
}

/// Where a vantage lies, as far as anything tells.
#[derive(Clone, Copy)]
struct Known {
    along: Option<usize>,
    place: Place,
    /// How far off its clock may be.
    within: Span,
}

impl Order {
    /// Another vantage is there.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        let known = Known { along: vantage.along, place: vantage.place, within: vantage.within };
        match self.vantages.iter_mut().find(|(v, _)| *v == id) {
            Some((_, old)) => *old = known,
            None => self.vantages.push((id, known)),
        }
    }

    /// Where each of `vantages` lies on the way, whichever way that is listed; `None` where that is not known of all, or two lie side by side.
    pub fn ranks(&self, vantages: &[VantageId]) -> Option<Vec<usize>> {
        let all = |rank: fn(&Known) -> Option<usize>| {
            let ranks: Option<Vec<usize>> = vantages.iter().map(|id| self.known(*id).and_then(rank)).collect();
            ranks.filter(|ranks| (1..).zip(ranks).all(|(next, rank)| !ranks.iter().skip(next).any(|r| r == rank)))
        };
        all(|known| known.along).or_else(|| all(|known| outward(known.place)))
    }

    /// The sightings of one packet and the places where it was not seen, in the order of its way; and whether that order is known.
    pub fn along(&self, seen: &[Sighting], unseen: &[VantageId]) -> (Vec<VantageId>, bool) {
        let at: Vec<VantageId> = seen.iter().map(|s| s.at.vantage).chain(unseen.iter().copied()).collect();
        let ranked = self.ranks(&at).and_then(|ranks| {
            let mut ranked: Vec<(usize, VantageId)> = ranks.into_iter().zip(at.iter().copied()).collect();
            ranked.sort_unstable();
            let way: Vec<VantageId> = ranked.into_iter().map(|(_, id)| id).collect();
            let is_along = self.is_along(seen, &way)?;
            Some(if is_along { way } else { way.into_iter().rev().collect() })
        });
        if let Some(way) = ranked {
            return (way, true);
        }
        let pairs = seen.iter().zip(seen.iter().skip(1));
        let is_known = pairs.into_iter().all(|(one, next)| next.time.since(one.time) >= self.doubt(one, next));
        (at, is_known)
    }

    /// Whether the packet went as `way` lists the vantages: by what a vantage says itself, else by its times, else by where it was last seen.
    fn is_along(&self, seen: &[Sighting], way: &[VantageId]) -> Option<bool> {
        let mut told = seen.iter().filter(|s| s.direction != Direction::Unknown);
        // What comes in at a guest's tap goes out of the host at its uplink.
        let leaves = |s: &Sighting| match self.known(s.at.vantage)?.place {
            Place::Bond | Place::Nic | Place::Vlan => Some(s.direction == Direction::Out),
            Place::Tap => Some(s.direction == Direction::In),
            _ => None,
        };
        if let (Some(leaves), Some(is_from_inside)) = (told.find_map(leaves), self.is_from_inside(way)) {
            return Some(leaves == is_from_inside);
        }
        let rank = |s: &&Sighting| way.iter().position(|id| *id == s.at.vantage);
        let (inner, outer) = (seen.iter().min_by_key(rank)?, seen.iter().max_by_key(rank)?);
        let took = outer.time.since(inner.time);
        if inner.at == outer.at {
            // Seen once: on it went to where it is missed.
            return Some(way.first() == Some(&inner.at.vantage) || way.last() != Some(&inner.at.vantage));
        }
        (took.abs() >= self.doubt(inner, outer)).then_some(took >= Span::ZERO)
    }

    /// Whether `way` lists what lies inside a host before what lies outside; `None` where the kinds of places do not tell.
    fn is_from_inside(&self, way: &[VantageId]) -> Option<bool> {
        let mut ranks = way.iter().filter_map(|id| outward(self.known(*id)?.place));
        let (first, last) = (ranks.next()?, ranks.next_back()?);
        (first != last).then_some(first < last)
    }

    /// How long a packet must have taken from one to the other for the order of its stamps to mean anything.
    fn doubt(&self, one: &Sighting, other: &Sighting) -> Span {
        let within = |s: &Sighting| self.known(s.at.vantage).map_or(Span::ZERO, |known| known.within);
        within(one).max(within(other))
    }

    fn known(&self, id: VantageId) -> Option<&Known> {
        self.vantages.iter().find(|(v, _)| *v == id).map(|(_, known)| known)
    }
}

/// How far out a kind of place lies, seen from a guest.
const fn outward(place: Place) -> Option<usize> {
    match place {
        Place::Guest => Some(0),
        Place::Tap => Some(1),
        Place::Bridge => Some(2),
        Place::Vlan => Some(3),
        Place::Bond => Some(4),
        Place::Nic => Some(5),
        Place::Switch => Some(6),
        Place::Span | Place::Cooked | Place::Unknown => None,
    }
}
