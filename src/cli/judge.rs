//! From a case to a report: the merge feeds the engine until every lane has ended, or whoever asks has heard enough.

use crate::engine::Engine;
use crate::event::{Fact, Record, VantageId};
use crate::finding::{Change, Clock, Exchange, Finding, Input, Report};
use crate::settings::Settings;
use crate::source::{Case, Item, Merge, Outcome};
use crate::value::{Outside, Timestamp};

/// Who follows a judgement while it runs.
pub trait Watch {
    /// Whether changes of findings are wanted.
    fn wants_changes(&self) -> bool {
        false
    }

    /// Whether DHCP exchanges are wanted.
    fn wants_exchanges(&self) -> bool {
        false
    }

    /// Whether all that the merge hands out is wanted.
    fn wants_items(&self) -> bool {
        false
    }

    /// The merge hands this out next.
    fn item(&mut self, _item: &Item<'_>) {}

    /// A vantage appeared under this name.
    fn vantage(&mut self, _id: VantageId, _name: &Outside) {}

    /// A finding changed.
    fn change(&mut self, _change: Change, _finding: &Finding) {}

    /// A DHCP exchange ended, or went on when the capture did.
    fn exchange(&mut self, _exchange: &Exchange) {}

    /// Whether exchanges are wanted as they end; else they stand in the report.
    fn follows_exchanges(&self) -> bool {
        false
    }

    /// So many bytes of the files were read.
    fn position(&mut self, _bytes: u64) {}
}

impl Watch for () {}

/// Steps between two looks at the progress.
const LOOK_EVERY: u32 = 64;

/// A judgement that runs.
pub struct Judgement {
    engine: Engine,
    /// What is judged.
    pub merge: Merge,
    wants_items: bool,
    wants_changes: bool,
    follows_exchanges: bool,
}

/// What a judgement came to when it was asked to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// To a frame, or past several.
    Frame,
    /// To something else.
    Other,
    /// Nothing is there now; nothing earlier than this will come.
    Idle(Timestamp),
    /// Every lane has ended.
    Over,
}

impl Judgement {
    /// A judgement of `case` that has not begun.
    pub fn new(case: Case, settings: &Settings, watch: &dyn Watch) -> Self {
        let mut engine = Engine::new(settings.clone());
        let wants_changes = watch.wants_changes();
        if wants_changes {
            engine.keep_changes();
        }
        if watch.wants_exchanges() {
            engine.keep_exchanges();
        }
        if case.is_watched {
            engine.watch();
        }
        let follows_exchanges = watch.wants_exchanges() && watch.follows_exchanges();
        let (merge, wants_items) = (Merge::new(case.lanes, case.facts), watch.wants_items());
        Self { engine, merge, wants_items, wants_changes, follows_exchanges }
    }

    /// Judges what comes next in the order: one thing, or a run of frames.
    pub fn go_on(&mut self, watch: &mut dyn Watch) -> Progress {
        if self.run() {
            return Progress::Frame;
        }
        if let Some((ahead, link)) = self.merge.ahead() {
            self.engine.expect(ahead, link);
        }
        let next = self.merge.next();
        let Some(item) = &next else { return Progress::Over };
        if self.wants_items {
            watch.item(item);
        }
        let progress = match item {
            Item::Frame(record, vantage, link, time) => {
                self.engine.frame(*record, *vantage, *link, *time);
                Progress::Frame
            }
            Item::Vantage(id, vantage) => {
                watch.vantage(*id, &vantage.name);
                self.engine.add_vantage(*id, (**vantage).clone());
                Progress::Other
            }
            Item::Fact(fact) => {
                self.engine.fact(fact);
                Progress::Other
            }
            Item::Lost(drops) => {
                self.engine.drops(drops);
                Progress::Other
            }
            Item::Ended(lane, until) => {
                self.engine.ended(*lane, *until);
                Progress::Other
            }
            Item::Tick(time) => {
                self.engine.tick(*time);
                Progress::Idle(*time)
            }
        };
        self.tell_changes(watch);
        if self.follows_exchanges {
            self.engine.exchanges().iter().for_each(|exchange| watch.exchange(exchange));
        }
        progress
    }

    /// Judges a run of frames, where there is one and nobody follows what each of them brings about.
    #[inline]
    fn run(&mut self) -> bool {
        let Self { merge, engine, .. } = self;
        let is_followed = self.wants_items || self.wants_changes || self.follows_exchanges;
        let judge = |record: Record<'_>, vantage, link, time, ahead: &[u8]| {
            engine.expect(ahead, link);
            engine.frame(record, vantage, link, time);
        };
        !is_followed && merge.run(judge)
    }

    #[inline]
    fn tell_changes(&mut self, watch: &mut dyn Watch) {
        if self.wants_changes && self.engine.has_changes() {
            for (change, finding) in self.engine.changes() {
                watch.change(change, &finding);
            }
        }
    }

    /// What a later run should know, as facts of its beginning.
    pub fn left(&mut self) -> Vec<Fact> {
        self.engine.left()
    }

    /// The report. With `is_final` the captures are complete, and what still waits has waited in vain.
    pub fn finish(mut self, is_final: bool, watch: &mut dyn Watch) -> Report {
        self.engine.count_late(self.merge.late());
        self.engine.close(self.merge.end(), is_final);
        self.tell_changes(watch);
        let inputs = self.merge.outcomes().into_iter().map(input).collect();
        let mut report = self.engine.finish(inputs);
        if self.follows_exchanges {
            report.exchanges.take().into_iter().flatten().for_each(|exchange| watch.exchange(&exchange));
        }
        report
    }
}

/// Judges `case` to its end. With `is_final` the captures are complete, and what still waits has waited in vain.
pub fn judge(case: Case, settings: &Settings, is_final: bool, watch: &mut dyn Watch) -> Report {
    let mut judgement = Judgement::new(case, settings, watch);
    let mut until_look = LOOK_EVERY;
    while judgement.go_on(watch) != Progress::Over {
        until_look -= 1;
        if until_look == 0 {
            until_look = LOOK_EVERY;
            watch.position(judgement.merge.position());
        }
    }
    judgement.finish(is_final, watch)
}

/// What a lane came to, for the report.
pub(super) fn input(outcome: Outcome) -> Input {
    Input {
        name: Outside::from(outcome.name.as_str()),
        path: outcome.path,
        format: outcome.format,
        link_types: outcome.links.iter().map(ToString::to_string).collect(),
        frames: outcome.frames,
        dropped: outcome.dropped,
        missed: outcome.missed,
        clock: outcome.clock.map(|clock| Clock {
            offset: clock.offset,
            packets: clock.pairs as u64,
            within: clock.within,
        }),
        first: outcome.first,
        last: outcome.last,
        damage: outcome.damage.map(|damage| damage.to_string()),
    }
}
