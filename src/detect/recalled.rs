//! What an earlier run left open: its end is seen by a detector that remembers nothing of its beginning.

use super::Context;
use crate::event::Fact;
use crate::finding::Key;
use crate::value::Mac;
use crate::world::Observation;

/// Findings that are remembered: as many as the books open of one rule.
const MOST: usize = 50;

/// The findings of one rule that an earlier run left open.
pub struct Recalled {
    code: &'static str,
    keys: Vec<Key>,
}

impl Recalled {
    /// Those of the rule `code`; none yet.
    pub const fn new(code: &'static str) -> Self {
        Self { code, keys: Vec::new() }
    }

    /// Hears whether an earlier run left one open.
    pub fn hear(&mut self, seen: &Observation<'_>) {
        if let Observation::Host(fact) = seen
            && let Fact::Finding(left) = &fact.what
            && left.code.raw() == self.code
            && self.keys.len() < MOST
        {
            self.keys.push(Key::recalled(left));
        }
    }

    /// Those for which `is_over` holds are over, since somebody was answered.
    pub fn answered(&mut self, client: Mac, is_over: impl Fn(&Key) -> bool, cx: &mut Context<'_>) {
        for key in self.keys.extract_if(.., |key| is_over(key)) {
            cx.resolve(key, format!("{client} was answered"));
        }
    }
}
