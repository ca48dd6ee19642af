//! The order of stamps at each vantage: the one before, how many ran back, and jumps worth telling. A few words a vantage.
//! A jump ahead is not told: after a quiet hour an honest stamp looks the same.

use super::Derived;
use crate::event::{Cited, Frame, VantageId};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};

/// Jumps that are quoted of each vantage; further ones are only counted.
const QUOTED: u64 = 3;

/// The stamps of each vantage so far.
#[derive(Debug)]
pub struct Clocks {
    disorder: Span,
    /// The stamp before, and the latest of all.
    stamps: Vec<(VantageId, Timestamp, Timestamp)>,
    jumps: Vec<(VantageId, u64)>,
    at: usize,
    disordered: u64,
}

/// A stamp that does not follow the one before it.
#[derive(Clone, Debug)]
pub struct Jump {
    /// The frame with the stamp.
    pub cited: Cited,
    /// How far it lies before the stamp before it, or before the latest where small steps add up.
    pub back: Span,
}

impl Clocks {
    /// No stamp yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            disorder: Span::millis(settings.capture.disorder_ms),
            stamps: Vec::new(),
            jumps: Vec::new(),
            at: 0,
            disordered: 0,
        }
    }

    /// Frames whose stamp lies before the latest of the same vantage.
    pub const fn disordered(&self) -> u64 {
        self.disordered
    }

    /// Takes the stamp of `frame`; a jump back past the setting is said.
    #[inline]
    pub fn note(&mut self, frame: &Frame<'_>, out: &mut Vec<Derived>) {
        if !self.follows(frame.at.vantage, frame.time) {
            self.note_other(frame, out);
        }
    }

    /// Takes the stamp `time` if the frame before was seen at the same vantage, and none there has a later one.
    #[inline]
    pub(super) fn follows(&mut self, at: VantageId, time: Timestamp) -> bool {
        match self.stamps.get_mut(self.at) {
            Some((vantage, before, latest)) if *vantage == at && time >= *latest => {
                (*before, *latest) = (time, time);
                true
            }
            _ => false,
        }
    }

    /// The first stamp of a vantage or of its turn, or one that runs back.
    #[inline(never)]
    fn note_other(&mut self, frame: &Frame<'_>, out: &mut Vec<Derived>) {
        let vantage = frame.at.vantage;
        if self.stamps.get(self.at).is_none_or(|(v, ..)| *v != vantage) {
            self.at = self.stamps.iter().position(|(v, ..)| *v == vantage).unwrap_or(self.stamps.len());
        }
        let Some((_, before, latest)) = self.stamps.get_mut(self.at) else {
            self.stamps.push((vantage, frame.time, frame.time));
            return;
        };
        let (step, was_behind) = (before.since(frame.time), latest.since(*before));
        *before = frame.time;
        if frame.time >= *latest {
            *latest = frame.time;
            return;
        }
        self.disordered = self.disordered.saturating_add(1);
        let behind = latest.since(frame.time);
        // In one step, or in many small ones that add up.
        let back = if step > self.disorder { step } else { behind };
        let is_jump = step > self.disorder || (behind > self.disorder && was_behind <= self.disorder);
        if is_jump && self.counts(vantage) {
            out.push(Derived::ClockJumped(Jump { cited: Cited::of(frame), back }));
        }
    }

    /// Stamps that jumped back at `vantage`.
    pub fn jumps(&self, vantage: VantageId) -> u64 {
        self.jumps.iter().find(|(v, _)| *v == vantage).map_or(0, |(_, n)| *n)
    }

    /// Counts a jump at `vantage`, and tells whether it is one of the first, which are worth quoting.
    fn counts(&mut self, vantage: VantageId) -> bool {
        match self.jumps.iter_mut().find(|(v, _)| *v == vantage) {
            Some((_, n)) => {
                *n = n.saturating_add(1);
                *n <= QUOTED
            }
            None => {
                self.jumps.push((vantage, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Direction, Offload, Record};
    use crate::wire::LinkType;

    /// How far back each jump lies that these stamps, in milliseconds, are told for.
    fn jumps(stamps: &[i64]) -> Vec<Span> {
        let mut clocks = Clocks::new(&Settings::default());
        let mut out = Vec::new();
        for ms in stamps {
            let time = Timestamp::from_parts(1_000, 0).after(Span::millis(*ms));
            let (direction, offload) = (Direction::Unknown, Offload::Unknown);
            let record = Record { interface: 0, number: 1, time, wire_len: 0, direction, offload, bytes: &[] };
            clocks.note(&Frame::new(record, VantageId::default(), LinkType::Ethernet, time), &mut out);
        }
        out.iter()
            .map(|derived| match derived {
                Derived::ClockJumped(jump) => jump.back,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_jump_is_told_once_and_small_steps_when_they_add_up() {
        assert_eq!(jumps(&[0, 5_000, 1_000, 1_001, 6_000]), [Span::millis(4_000)]);
        assert_eq!(jumps(&[0, 5_000, 4_400, 3_800, 3_200]), [Span::millis(1_200)]);
        assert_eq!(jumps(&[0, 1_000, 0, 900]), []);
    }
}
