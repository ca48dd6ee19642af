//! From a case to a report: the merge feeds the engine until every lane has ended.

use crate::engine::Engine;
use crate::event::VantageId;
use crate::finding::{Change, Finding, Input, Report};
use crate::settings::Settings;
use crate::source::{Case, Item, Merge, Outcome};
use crate::value::Outside;

/// Who follows a judgement while it runs.
pub trait Watch {
    /// Whether changes of findings are wanted.
    fn wants_changes(&self) -> bool {
        false
    }

    /// A vantage appeared under this name.
    fn vantage(&mut self, _id: VantageId, _name: &Outside) {}

    /// A finding changed.
    fn change(&mut self, _change: Change, _finding: &Finding) {}

    /// So many bytes of the files were read.
    fn position(&mut self, _bytes: u64) {}
}

impl Watch for () {}

/// Frames between two looks at the progress.
const LOOK_EVERY: u32 = 16_384;

/// Judges `case`. With `is_final` the captures are complete, and what still waits has waited in vain.
pub fn judge(case: Case, settings: &Settings, is_final: bool, watch: &mut dyn Watch) -> Report {
    let mut engine = Engine::new(settings.clone());
    let wants_changes = watch.wants_changes();
    if wants_changes {
        engine.keep_changes();
    }
    let mut merge = Merge::new(case.lanes, case.facts);
    let mut until_look = LOOK_EVERY;
    while let Some(item) = merge.next() {
        match item {
            Item::Frame(record, vantage, link, time) => engine.frame(record, vantage, link, time),
            Item::Vantage(id, vantage) => {
                watch.vantage(id, &vantage.name);
                engine.add_vantage(id, vantage);
            }
            Item::Fact(fact) => engine.fact(&fact),
            Item::Lost(drops) => engine.drops(&drops),
            Item::Tick(time) => engine.tick(time),
        }
        if wants_changes {
            for (change, finding) in engine.changes() {
                watch.change(change, &finding);
            }
        }
        until_look -= 1;
        if until_look == 0 {
            until_look = LOOK_EVERY;
            watch.position(merge.position());
        }
    }
    let outcomes = merge.outcomes();
    // Only where every capture tells its end is the end known; else the last frame is all there is.
    let end = outcomes.iter().map(|o| o.end.max(o.last)).max().flatten();
    let inputs = outcomes.into_iter().map(input).collect();
    engine.finish(inputs, end, is_final)
}

fn input(outcome: Outcome) -> Input {
    Input {
        name: Outside::from(outcome.name.as_str()),
        path: outcome.path,
        format: outcome.format,
        link_types: outcome.links.iter().map(ToString::to_string).collect(),
        frames: outcome.frames,
        first: outcome.first,
        last: outcome.last,
        damage: outcome.damage.map(|damage| damage.to_string()),
    }
}
