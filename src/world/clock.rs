//! The order of stamps at each vantage: the latest, how many ran back, and jumps worth telling. A few words a vantage.

use super::Derived;
use crate::event::{Frame, VantageId};
use crate::finding::Cited;
use crate::settings::Settings;
use crate::value::{Span, Timestamp};

/// Jumps that are quoted of each vantage; further ones are only counted.
const QUOTED: u64 = 3;

/// The latest stamp of each vantage.
#[derive(Debug)]
pub struct Clocks {
    disorder: Span,
    latest: Vec<(VantageId, Timestamp)>,
    jumps: Vec<(VantageId, u64)>,
    at: usize,
    disordered: u64,
}

/// A stamp that does not follow the one before it.
#[derive(Clone, Debug)]
pub struct Jump {
    /// The frame with the stamp.
    pub cited: Cited,
    /// How far back it lies.
    pub back: Span,
}

impl Clocks {
    /// No stamp yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            disorder: Span::millis(settings.capture.disorder_ms),
            latest: Vec::new(),
            jumps: Vec::new(),
            at: 0,
            disordered: 0,
        }
    }

    /// Frames whose stamp lies before the one before it at the same vantage.
    pub const fn disordered(&self) -> u64 {
        self.disordered
    }

    /// Takes the stamp of `frame`; a jump back past the setting is said.
    pub fn note(&mut self, frame: &Frame<'_>, out: &mut Vec<Derived>) {
        let vantage = frame.at.vantage;
        if self.latest.get(self.at).is_none_or(|(v, _)| *v != vantage) {
            self.at = self.latest.iter().position(|(v, _)| *v == vantage).unwrap_or(self.latest.len());
        }
        let Some((_, latest)) = self.latest.get_mut(self.at) else {
            self.latest.push((vantage, frame.time));
            return;
        };
        if frame.time >= *latest {
            *latest = frame.time;
            return;
        }
        self.disordered = self.disordered.saturating_add(1);
        let back = latest.since(frame.time);
        if back > self.disorder && self.counts(vantage) {
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
