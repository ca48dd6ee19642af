//! Who hears what: for each kind of frame and each topic the rules that must hear it. Nearly all traffic is heard by none, so that asking
//! must cost next to nothing, and what few hear must not pass by all.

use crate::detect::Entry;
use crate::wire::{Kind, Kinds};
use crate::world::Topic;

/// Which rules hear what.
pub(super) struct Audience {
    /// What any of them hears.
    hears: Kinds,
    of_kind: [Rules; Kind::COUNT],
    of_topic: [Rules; Topic::COUNT],
    all: Rules,
}

/// Rules by their place in the catalogue, which is the order in which they are told.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Rules(u128);

impl Audience {
    /// Who hears what of `entries`, of which there are at most 128.
    pub(super) fn new<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut audience = Self {
            hears: Kinds::EMPTY,
            of_kind: [Rules::default(); Kind::COUNT],
            of_topic: [Rules::default(); Topic::COUNT],
            all: Rules::default(),
        };
        for (at, entry) in entries.enumerate() {
            assert!(at < 128, "a set of rules has room for 128");
            audience.hears = audience.hears.union(Kinds::of(entry.hears));
            audience.all.add(at);
            entry.hears.iter().for_each(|kind| audience.of_kind[*kind as usize].add(at));
            entry.follows.iter().for_each(|topic| audience.of_topic[*topic as usize].add(at));
        }
        audience
    }

    /// Who hears a frame of these kinds.
    #[inline]
    pub(super) fn of_frame(&self, kinds: Kinds) -> Rules {
        let mut rules = Rules::default();
        for bit in kinds.intersection(self.hears).bits() {
            rules.0 |= self.of_kind[bit].0;
        }
        rules
    }

    /// Whether anybody hears frames of any of these kinds.
    #[inline]
    pub(super) const fn hears(&self, kinds: Kinds) -> bool {
        self.hears.intersects(kinds)
    }

    /// Who hears a conclusion.
    #[inline]
    pub(super) const fn of_topic(&self, topic: Topic) -> Rules {
        self.of_topic[topic as usize]
    }

    /// Everybody: facts and losses matter to all.
    pub(super) const fn all(&self) -> Rules {
        self.all
    }
}

impl Rules {
    /// Whether there is none.
    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn add(&mut self, at: usize) {
        self.0 |= 1 << at;
    }
}

impl Iterator for Rules {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let at = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        (at < u128::BITS).then_some(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::entries;

    #[test]
    fn each_rule_is_told_what_it_asked_for_and_in_order() {
        let audience = Audience::new(entries());
        let place = |code: &str| entries().position(|entry| entry.rule.code == code).unwrap();
        let of_topic: Vec<usize> = audience.of_topic(Topic::Tree).collect();
        assert!(of_topic.contains(&place("STP003")) && !of_topic.contains(&place("DHCP001")));
        let of_frame: Vec<usize> = audience.of_frame(Kinds::of(&[Kind::Vlan, Kind::Stp])).collect();
        assert!(of_frame.contains(&place("STP001")) && of_frame.is_sorted(), "{of_frame:?}");
        assert_eq!(audience.of_frame(Kinds::EMPTY), Rules::default());
        assert_eq!(audience.all().count(), entries().count());
    }
}
