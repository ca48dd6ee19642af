//! What the rules about silent links share: silences that may have to be told, until something arrives again.

use crate::detect::Context;
use crate::event::VantageId;
use crate::finding::Key;
use crate::value::{Deadlines, Timestamp};
use crate::world::Silence;

/// Seconds that must be known of a link before it counts as busy.
const KNOWN: u32 = 10;

/// Links at which nothing arrives, each with the moment at which it is looked at again.
#[derive(Default)]
pub struct Silences {
    kept: Vec<Kept>,
    deadlines: Deadlines<VantageId>,
}

/// A silence, and what was claimed of it.
pub struct Kept {
    vantage: VantageId,
    /// The silence, as it was told last.
    pub silence: Silence,
    /// The key of the claim, if one was made.
    pub raised: Option<Key>,
    /// Somebody behind the link was missed in the same moment.
    pub is_missed: bool,
}

impl Silences {
    /// Keeps `silence`, to be looked at `at` so; one that is kept already is known better now, and looked at when it was to be.
    pub fn keep(&mut self, silence: &Silence, at: Timestamp) {
        let vantage = silence.vantage;
        if let Some(kept) = self.get_mut(vantage) {
            kept.silence = silence.clone();
            return;
        }
        self.kept.push(Kept { vantage, silence: silence.clone(), raised: None, is_missed: false });
        self.deadlines.set(vantage, at);
    }

    /// The silence at `vantage`.
    pub fn get_mut(&mut self, vantage: VantageId) -> Option<&mut Kept> {
        self.kept.iter_mut().find(|kept| kept.vantage == vantage)
    }

    /// Looks at `vantage` again at that moment.
    pub fn wake(&mut self, vantage: VantageId, at: Timestamp) {
        self.deadlines.set(vantage, at);
    }

    /// Looks at that moment at those of which nothing was claimed and that would not be looked at again.
    pub fn wake_idle(&mut self, at: Timestamp) {
        for kept in self.kept.iter().filter(|kept| kept.raised.is_none()) {
            if self.deadlines.of(&kept.vantage).is_none() {
                self.deadlines.set(kept.vantage, at);
            }
        }
    }

    /// Frames arrive at `vantage` again, which was silent since then: what was claimed is over.
    pub fn restored(&mut self, vantage: VantageId, since: Timestamp, cx: &mut Context<'_>) {
        let lasted = cx.world.arrivals.heard_since(vantage).unwrap_or(cx.now).since(since);
        if let Some(key) = self.get_mut(vantage).and_then(|kept| kept.raised.take()) {
            cx.resolve(key, format!("frames arrive again, after {lasted} without any"));
        }
        self.kept.retain(|kept| kept.vantage != vantage);
        self.deadlines.clear(&vantage);
    }

    /// The next moment at which one is looked at.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// Which is to be looked at now.
    pub fn due(&mut self, now: Timestamp) -> Option<VantageId> {
        self.deadlines.pop(now)
    }

    /// Where something is kept.
    pub fn vantages(&self) -> Vec<VantageId> {
        self.kept.iter().map(|kept| kept.vantage).collect()
    }
}

/// Whether frames came in so steadily before that their absence means something.
pub fn was_steady(silence: &Silence, cx: &Context<'_>) -> bool {
    let heard = silence.seconds_heard.saturating_mul(100);
    silence.seconds >= KNOWN && heard >= silence.seconds.saturating_mul(cx.settings.link.steady_percent)
}
