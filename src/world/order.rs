//! In which order vantages lie on a way: as the case tells (`path`), else as the kinds of places follow each other on a host; times decide
//! only which way a packet went, and the order of what nothing else is known of, unless clocks are too uncertain for that. Keeps what is
//! known of each vantage.

use super::sightings::Sighting;
use crate::event::{Direction, Place, Vantage, VantageId};
use crate::value::Span;

/// What is known of each vantage.
#[derive(Default)]
pub(super) struct Order {
    /// In order of their ids.
    vantages: Vec<(VantageId, Known)>,
}

/// Where a vantage lies, as far as anything tells.
#[derive(Clone, Copy)]
struct Known {
    along: Option<usize>,
    place: Place,
    /// Stamps closer than this tell nothing.
    doubt: Span,
}

impl Order {
    /// Another vantage is there.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        let known = Known { along: vantage.along, place: vantage.place, doubt: vantage.doubt };
        match self.vantages.binary_search_by_key(&id, |(v, _)| *v) {
            Ok(at) => self.vantages.get_mut(at).into_iter().for_each(|(_, old)| *old = known),
            Err(at) => self.vantages.insert(at, (id, known)),
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
        let doubt = |s: &Sighting| self.known(s.at.vantage).map_or(Span::ZERO, |known| known.doubt);
        doubt(one).max(doubt(other))
    }

    fn known(&self, id: VantageId) -> Option<&Known> {
        let at = self.vantages.binary_search_by_key(&id, |(v, _)| *v).ok()?;
        self.vantages.get(at).map(|(_, known)| known)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FrameRef;
    use crate::value::{TagStack, Timestamp};
    use crate::wire::LinkType;

    const fn id(lane: u16) -> VantageId {
        VantageId { lane, interface: 0 }
    }

    /// Vantages, each with its place, its place on the way that a case tells, and how far its clock is in doubt.
    fn order(vantages: &[(Place, Option<usize>, i64)]) -> Order {
        let mut order = Order::default();
        for (lane, (place, along, doubt)) in (0..).zip(vantages) {
            let (place, along, doubt) = (*place, *along, Span::nanos(1_000 * *doubt));
            let vantage = Vantage { place, along, doubt, ..Vantage::called("somewhere", LinkType::Ethernet) };
            order.add_vantage(id(lane), &vantage);
        }
        order
    }

    fn seen(lane: u16, micros: i64, direction: Direction) -> Sighting {
        let time = Timestamp::from_nanos(0).after(Span::nanos(1_000 * micros));
        Sighting {
            at: FrameRef { vantage: id(lane), number: 1 },
            time,
            tags: TagStack::default(),
            direction,
            wire_len: 60,
        }
    }

    fn lanes((way, is_known): (Vec<VantageId>, bool)) -> (Vec<u16>, bool) {
        (way.into_iter().map(|v| v.lane).collect(), is_known)
    }

    #[test]
    fn devices_of_a_host_lie_one_behind_the_other_whatever_their_stamps_say() {
        let order = order(&[(Place::Bond, None, 0), (Place::Tap, None, 0), (Place::Bridge, None, 0)]);
        let unknown = Direction::Unknown;
        let out = [seen(1, 0, unknown), seen(0, 10, unknown), seen(2, 10, unknown)];
        assert_eq!(lanes(order.along(&out, &[])), (vec![1, 2, 0], true));
        let back = [seen(0, 0, unknown), seen(2, 0, unknown), seen(1, 7, unknown)];
        assert_eq!(lanes(order.along(&back, &[])), (vec![0, 2, 1], true));
        // Where a packet is missed is behind where it was seen.
        assert_eq!(lanes(order.along(&[seen(0, 0, unknown)], &[id(1)])), (vec![0, 1], true));
    }

    #[test]
    fn a_clock_in_doubt_orders_nothing_by_itself() {
        let unknown = Direction::Unknown;
        let nothing_tells = order(&[(Place::Unknown, None, 0), (Place::Unknown, None, 400)]);
        assert!(!nothing_tells.along(&[seen(1, 0, unknown), seen(0, 100, unknown)], &[]).1);
        assert!(nothing_tells.along(&[seen(1, 0, unknown), seen(0, 500, unknown)], &[]).1);
        // The bond says that it goes out, and the case what lies behind it.
        let told = order(&[(Place::Bond, Some(1), 0), (Place::Tap, Some(0), 0), (Place::Unknown, Some(2), 400)]);
        let way = [seen(2, 0, unknown), seen(1, 100, unknown), seen(0, 110, Direction::Out)];
        assert_eq!(lanes(told.along(&way, &[])), (vec![1, 0, 2], true));
        let nothing_said = [seen(2, 0, unknown), seen(1, 100, unknown), seen(0, 110, unknown)];
        assert!(!told.along(&nothing_said, &[]).1);
    }
}
