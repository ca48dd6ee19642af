//! Which vantages show one link: the same packets pass them with the same tags, going the same way. A packet that wears other tags at the
//! two lies on two sides of a device, and a device that leaves a tag on makes both sides look alike one way only. One entry for each two
//! vantages.

use crate::event::{Place, Sighting, VantageId};

/// Packets that look alike at two places of one link for each that does not: a copy in another VLAN may pass for the packet itself. Behind a
/// device that leaves tags on, about every second one looks otherwise.
const STRAY: u64 = 8;
/// Vantages of which each two are compared, which takes half a mebibyte; of those past them each is taken for a link of its own.
const MOST: usize = 256;

/// The links that the vantages show.
#[derive(Default)]
pub(super) struct Links {
    /// Each vantage, with one that stands for all of its link.
    vantages: Vec<(VantageId, Place, VantageId)>,
    /// Each two of them, by their places above: all with the first, which there is one of with the second, two with the third.
    pairs: Vec<Pair>,
}

/// How packets looked at two vantages.
#[derive(Clone, Copy, Default)]
struct Pair {
    alike: u64,
    otherwise: u64,
}

impl Links {
    /// Another vantage is there.
    pub fn add_vantage(&mut self, id: VantageId, place: Place) {
        self.vantages.push((id, place, id));
        self.pairs.resize(before(self.vantages.len().min(MOST)), Pair::default());
    }

    /// How many vantages there are.
    pub const fn vantages(&self) -> usize {
        self.vantages.len()
    }

    /// One packet was seen here and there.
    pub fn note(&mut self, here: &Sighting, there: &Sighting) {
        let is_alike = here.is_same_link(there);
        if !is_alike && here.tags.networks() == there.tags.networks() {
            return;
        }
        let (a, b) = (here.at.vantage, there.at.vantage);
        let Some(pair) = self.pair(a, b).and_then(|at| self.pairs.get_mut(at)) else { return };
        let was_link = pair.is_link();
        let count = if is_alike { &mut pair.alike } else { &mut pair.otherwise };
        *count = count.saturating_add(1);
        match (was_link, pair.is_link()) {
            (false, true) => join(&mut self.vantages, a, b),
            (true, false) => self.part(),
            _ => {}
        }
    }

    /// Where the pair of two vantages stands.
    fn pair(&self, a: VantageId, b: VantageId) -> Option<usize> {
        let place = |of| self.vantages.iter().position(|(v, ..)| *v == of);
        let (a, b) = (place(a)?, place(b)?);
        Some(before(a.max(b)).saturating_add(a.min(b)))
    }

    /// The vantage that stands for the link that `id` shows: the highest in rank.
    pub fn of(&self, id: VantageId) -> VantageId {
        let Some((.., class)) = self.vantages.iter().find(|(v, ..)| *v == id) else { return id };
        let alike = self.vantages.iter().filter(|(.., c)| c == class);
        alike.min_by_key(|(v, place, _)| (*place, *v)).map_or(id, |(v, ..)| *v)
    }

    /// Two are no longer one link: who belongs to whom is made out anew.
    fn part(&mut self) {
        self.vantages.iter_mut().for_each(|(id, _, class)| *class = *id);
        let ids: Vec<VantageId> = self.vantages.iter().map(|(id, ..)| *id).collect();
        for (high, b) in ids.iter().enumerate() {
            let pairs = self.pairs.iter().skip(before(high));
            for (a, _) in ids.iter().take(high).zip(pairs).filter(|(_, pair)| pair.is_link()) {
                join(&mut self.vantages, *a, *b);
            }
        }
    }
}

impl Pair {
    const fn is_link(self) -> bool {
        self.alike > 0 && self.otherwise.saturating_mul(STRAY) <= self.alike
    }
}

/// How many pairs there are of the vantages before the one at `place`.
const fn before(place: usize) -> usize {
    place.saturating_mul(place.saturating_sub(1)) / 2
}

/// The vantages `a` and `b` show one link.
fn join(vantages: &mut [(VantageId, Place, VantageId)], a: VantageId, b: VantageId) {
    let class = |of| vantages.iter().find(|(v, ..)| *v == of).map(|(.., c)| *c);
    let (Some(a), Some(b)) = (class(a), class(b)) else { return };
    if a == b {
        return;
    }
    for (.., class) in vantages {
        if *class == b {
            *class = a;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Direction, FrameRef};
    use crate::value::{TagStack, Timestamp, Tpid, Vid};

    const fn at(lane: u16) -> VantageId {
        VantageId { lane, interface: 0 }
    }

    fn sighting(lane: u16, vids: &[u16]) -> Sighting {
        let tags: TagStack = vids.iter().map(|vid| (Tpid::C, Vid::from_tci(*vid))).collect();
        let (at, time) = (FrameRef { vantage: at(lane), number: 1 }, Timestamp::from_nanos(0));
        Sighting { at, time, tags, direction: Direction::Unknown, wire_len: 60 }
    }

    #[test]
    fn a_file_of_many_interfaces_takes_little() {
        let mut links = Links::default();
        (0..2_000).for_each(|n| links.add_vantage(at(n), Place::Nic));
        links.note(&sighting(1_998, &[30]), &sighting(1_999, &[30]));
        links.note(&sighting(254, &[30]), &sighting(255, &[30]));
        assert_eq!([1_998, 1_999, 254, 255].map(|n| links.of(at(n)).lane), [1_998, 1_999, 254, 254]);
        assert_eq!(links.pairs.len(), MOST * (MOST - 1) / 2);
    }

    #[test]
    fn what_looks_alike_one_way_only_is_no_link() {
        let mut links = Links::default();
        [Place::Nic, Place::Switch, Place::Bond]
            .into_iter()
            .zip(0..)
            .for_each(|(place, n)| links.add_vantage(at(n), place));
        // A bond and its member.
        links.note(&sighting(0, &[30]), &sighting(2, &[30]));
        assert_eq!([0, 1, 2].map(|n| links.of(at(n)).lane), [2, 1, 2]);
        // The switch leaves the tag on what comes back, and not on what goes there.
        links.note(&sighting(1, &[30]), &sighting(2, &[30]));
        assert_eq!([0, 1, 2].map(|n| links.of(at(n)).lane), [2, 2, 2]);
        links.note(&sighting(1, &[]), &sighting(2, &[30]));
        assert_eq!([0, 1, 2].map(|n| links.of(at(n)).lane), [2, 1, 2]);
        // One copy in another VLAN parts nobody who was seen alike often enough.
        (0..STRAY).for_each(|_| links.note(&sighting(0, &[30]), &sighting(2, &[30])));
        links.note(&sighting(0, &[]), &sighting(2, &[30]));
        assert_eq!(links.of(at(0)), at(2));
    }
}
