//! When silence means something to which rule. The earliest of all is asked for at each moment, and few rules have moved by then: all are
//! looked through only where the earliest itself has.

use crate::value::Timestamp;

/// The next deadline of each rule, by its place in the catalogue; `MAX` where it has none.
pub(super) struct Dues {
    of_rule: Vec<Timestamp>,
    /// The earliest, unless it has moved.
    first: Timestamp,
    has_moved: bool,
}

impl Dues {
    /// None yet, of so many rules.
    pub(super) fn new(rules: usize) -> Self {
        Self { of_rule: vec![Timestamp::MAX; rules], first: Timestamp::MAX, has_moved: false }
    }

    /// The next deadline of `rule` is `due`.
    #[inline]
    pub(super) fn set(&mut self, rule: usize, due: Timestamp) {
        let before = std::mem::replace(&mut self.of_rule[rule], due);
        if due <= self.first {
            (self.first, self.has_moved) = (due, false);
        } else if before == self.first {
            self.has_moved = true;
        }
    }

    /// The next deadline of `rule`.
    #[inline]
    pub(super) fn of(&self, rule: usize) -> Timestamp {
        self.of_rule[rule]
    }

    /// The earliest of all.
    #[inline]
    pub(super) fn next(&mut self) -> Timestamp {
        if self.has_moved {
            self.first = self.of_rule.iter().fold(Timestamp::MAX, |first, due| first.min(*due));
            self.has_moved = false;
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_known_wherever_deadlines_move() {
        let (mut dues, mut held) = (Dues::new(7), [Timestamp::MAX; 7]);
        for step in 0..10_000_i64 {
            let rule = (step.wrapping_mul(7_919) % 7) as usize;
            let due = Timestamp::from_nanos(step.wrapping_mul(104_729) % 31);
            let due = if step % 5 == 0 { Timestamp::MAX } else { due };
            dues.set(rule, due);
            held[rule] = due;
            assert_eq!(dues.of(rule), due);
            if step % 3 > 0 {
                assert_eq!(Some(dues.next()), held.iter().min().copied(), "step {step}");
            }
        }
    }
}
