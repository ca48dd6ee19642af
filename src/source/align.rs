//! Clocks of different machines, put right by packets that two captures both saw. A delay moves packets of both directions apart, a clock
//! moves them the same way: only a shift that all senders share, and that no way through a network explains, is taken for the clock's.
//! Not handled: clocks that drift while the captures run.

use std::collections::BTreeMap;

use super::survey::Survey;
use crate::value::{Mac, Span, Timestamp};

/// Packets that two captures must share.
const LEAST_PAIRS: usize = 5;
/// Packets of one sender that count as one opinion.
const LEAST_OF_SENDER: usize = 2;
/// A shift up to this may be the way through a network, and does no harm: `sightings.window_ms` bridges it.
const HARMLESS: Span = Span::millis(8);
/// Half of the shifts must lie this close to the middle one: else the captures share packets by chance.
const SCATTER: Span = Span::millis(50);

/// What the clock of a capture is ahead of the first one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// What is to be added to its stamps.
    pub offset: Span,
    /// Packets that were seen in both.
    pub pairs: usize,
    /// How far off the offset may be: half of what packets of both directions differ.
    pub within: Span,
    /// Stamps of the two that are no farther apart than this do not tell which came first.
    pub doubt: Span,
}

/// The offsets of captures, in their order, and how far their stamps are in doubt; `None` where nothing is to be put right, or nothing tells.
pub fn align(surveys: &[Survey]) -> Vec<Option<Aligned>> {
    let mut aligned: Vec<Option<Aligned>> = vec![None; surveys.len()];
    let mut is_known = vec![false; surveys.len()];
    if let Some(first) = is_known.first_mut() {
        *first = true;
    }
    // From those that are known on: the clock of the first one rules, however many captures lie between.
    let mut is_settled = false;
    while !is_settled {
        is_settled = true;
        for (at, survey) in surveys.iter().enumerate() {
            if is_known.get(at).copied().unwrap_or(true) {
                continue;
            }
            let shifts = surveys.iter().enumerate().filter(|(known, _)| is_known.get(*known) == Some(&true));
            let best = shifts.filter_map(|(known, other)| Some((known, shift(other, survey)?)));
            let Some((known, shift)) = best.max_by_key(|(known, shift)| (shift.pairs, std::cmp::Reverse(*known)))
            else {
                continue;
            };
            let base = aligned.get(known).copied().flatten().map_or(Span::ZERO, |known| known.offset);
            let offset = Span::nanos(base.as_nanos().saturating_add(shift.offset.as_nanos()));
            if let (Some(slot), Some(known)) = (aligned.get_mut(at), is_known.get_mut(at)) {
                *slot = (offset != Span::ZERO || shift.doubt != Span::ZERO).then_some(Aligned { offset, ..shift });
                *known = true;
                is_settled = false;
            }
        }
    }
    aligned
}

/// What must be added to the stamps of `b` for its clock to be that of `a`; zero where the shift is harmless; `None` if they share too little.
fn shift(a: &Survey, b: &Survey) -> Option<Aligned> {
    let mut of_sender: BTreeMap<Mac, Vec<i64>> = BTreeMap::new();
    let (few, many) = if a.sample.len() <= b.sample.len() { (a, b) } else { (b, a) };
    for packet in few.sample.keys() {
        let seen = |survey: &Survey| -> Option<(Timestamp, Mac)> { survey.sample.get(packet).copied().flatten() };
        if let (Some(_), Some((in_a, sender)), Some((in_b, _))) = (many.sample.get(packet), seen(a), seen(b)) {
            of_sender.entry(sender).or_default().push(in_a.since(in_b).as_nanos());
        }
    }
    let mut all: Vec<i64> = of_sender.values().flatten().copied().collect();
    let (pairs, middle) = (all.len(), median(&mut all)?);
    let mut scatter: Vec<i64> = all.iter().map(|shift| shift.saturating_sub(middle).saturating_abs()).collect();
    if pairs < LEAST_PAIRS || median(&mut scatter)? > SCATTER.as_nanos() {
        return None;
    }
    let opinions: Vec<i64> =
        of_sender.values_mut().filter(|shifts| shifts.len() >= LEAST_OF_SENDER).filter_map(|s| median(s)).collect();
    let (low, high) = (*opinions.iter().min()?, *opinions.iter().max()?);
    let is_clock = low > HARMLESS.as_nanos() || high < HARMLESS.as_nanos().saturating_neg();
    let between = |part: i64| part.checked_div(2).unwrap_or(0);
    let offset = if is_clock { low.saturating_add(between(high.saturating_sub(low))) } else { 0 };
    let within = Span::nanos(between(high.saturating_sub(low)));
    // Each direction is late at its own end, unless the clocks differ by more than the way takes; of one direction alone nothing tells the two
    // apart once it was taken for the clock.
    let is_one_way = opinions.len() == 1;
    let doubt = match (is_clock, is_one_way) {
        (true, true) => HARMLESS,
        // Whose packets go which way is not known here: any of these shifts may be the clock's.
        (false, false) if low > 0 || high < 0 => {
            Span::nanos(all.iter().map(|shift| shift.saturating_abs()).max().unwrap_or(0))
        }
        _ => Span::ZERO,
    };
    Some(Aligned { offset: Span::nanos(offset), pairs, within, doubt })
}

/// The middle one; reorders them.
fn median(of: &mut [i64]) -> Option<i64> {
    let middle = of.len().checked_div(2)?;
    (!of.is_empty()).then(|| *of.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Fingerprint;

    /// Packets of two senders: of the first at `a` ms, of the second at `b` ms, each a second apart.
    fn seen(a: i64, b: i64) -> Survey {
        let mut survey = Survey::default();
        for n in 0..20 {
            let (sender, ms) = if n % 2 == 0 { (Mac([2, 0, 0, 0, 0, 1]), a) } else { (Mac([2, 0, 0, 0, 0, 2]), b) };
            let at = Timestamp::from_parts(n, 0).after(Span::millis(ms));
            survey.sample.insert(Fingerprint(n.cast_unsigned()), Some((at, sender)));
        }
        survey
    }

    #[test]
    fn a_clock_that_is_off_is_put_right_to_the_middle_of_both_ways() {
        // Half a second ahead; 2 ms one way, 4 ms the other.
        let aligned = align(&[seen(0, 0), seen(502, 496)]);
        assert_eq!(aligned[0], None);
        let second = aligned[1].unwrap();
        assert_eq!((second.offset, second.pairs, second.within), (Span::millis(-499), 20, Span::millis(3)));
    }

    #[test]
    fn a_delay_is_not_a_clock() {
        // 40 ms on the way there and on the way back.
        assert_eq!(align(&[seen(0, 0), seen(40, -40)]), [None, None]);
        assert_eq!(align(&[seen(0, 0), seen(1, -1)]), [None, None]);
    }

    #[test]
    fn a_clock_that_is_off_by_more_than_the_way_takes_leaves_the_order_in_doubt() {
        // 300 µs ahead, and 100 µs each way: both senders are seen here first.
        let survey = |a: i64, b: i64| {
            let mut survey = seen(0, 0);
            for seen in survey.sample.values_mut() {
                *seen = seen
                    .map(|(at, sender)| (at.after(Span::nanos(1_000 * if sender.0[5] == 1 { a } else { b })), sender));
            }
            survey
        };
        let doubt = |a, b| align(&[seen(0, 0), survey(a, b)])[1].map(|second| (second.offset, second.doubt));
        assert_eq!(doubt(400, 200), Some((Span::ZERO, Span::nanos(400_000))));
        assert_eq!(doubt(-100, -500), Some((Span::ZERO, Span::nanos(500_000))));
        // By less than the way takes: each is seen first where it is.
        assert_eq!(doubt(150, -50), None);
    }

    #[test]
    fn a_chain_of_captures_has_the_clock_of_the_first() {
        let (mut first, mut last) = (seen(0, 0), seen(2_000, 2_000));
        // The first and the last share nothing.
        first.sample.retain(|packet, _| packet.0 < 10);
        last.sample.retain(|packet, _| packet.0 >= 10);
        let aligned = align(&[first, seen(1_000, 1_000), last]);
        let offsets: Vec<_> = aligned.iter().map(|a| a.map(|a| a.offset)).collect();
        assert_eq!(offsets, [None, Some(Span::secs(-1)), Some(Span::secs(-2))]);
    }

    #[test]
    fn packets_shared_by_chance_prove_nothing() {
        let mut other = seen(0, 0);
        for (n, (_, seen)) in (0..).zip(&mut other.sample) {
            *seen = seen.map(|(at, sender)| (at.after(Span::secs(n * 7 % 13)), sender));
        }
        assert_eq!(align(&[seen(0, 0), other]), [None, None]);
    }
}
