//! From a case to a report: the merge feeds the engine until every lane has ended, or whoever asks has heard enough.

use crate::engine::Engine;
use crate::event::{Fact, VantageId};
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
    follows: Follows,
}

/// What of a judgement is followed while it runs.
#[derive(Clone, Copy)]
struct Follows {
    items: bool,
    changes: bool,
    exchanges: bool,
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
        let follows = Follows {
            items: watch.wants_items(),
            changes: watch.wants_changes(),
            exchanges: watch.wants_exchanges() && watch.follows_exchanges(),
        };
        if follows.changes {
            engine.keep_changes();
        }
        if watch.wants_exchanges() {
            engine.keep_exchanges();
        }
        if case.is_watched {
            engine.watch();
        }
        Self { engine, merge: Merge::new(case.lanes, case.facts), follows }
    }

    /// Judges what comes next in the order: one thing, or a run of frames.
    pub fn go_on(&mut self, watch: &mut dyn Watch) -> Progress {
        if self.run(watch) {
            return Progress::Frame;
        }
        if let Some((ahead, link)) = self.merge.ahead() {
            self.engine.expect(ahead, link);
        }
        let next = self.merge.next();
        let Some(item) = &next else { return Progress::Over };
        if self.follows.items {
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
        self.follows.tell(&mut self.engine, watch);
        progress
    }

    /// Judges a run of frames, where there is one.
    #[inline]
    fn run(&mut self, watch: &mut dyn Watch) -> bool {
        let Self { merge, engine, follows } = self;
        // Nearly always: what is asked at each frame costs forty instructions of its 1,300.
        if follows.is_nothing() {
            return merge.run(|record, vantage, link, time, ahead| {
                engine.expect(ahead, link);
                engine.frame(record, vantage, link, time);
            });
        }
        merge.run(|record, vantage, link, time, ahead| {
            engine.expect(ahead, link);
            if follows.items {
                watch.item(&Item::Frame(record, vantage, link, time));
            }
            engine.frame(record, vantage, link, time);
            follows.tell(engine, watch);
        })
    }

    /// What a later run should know, as facts of its beginning.
    pub fn left(&mut self) -> Vec<Fact> {
        self.engine.left()
    }

    /// The report. With `is_final` the captures are complete, and what still waits has waited in vain.
    pub fn finish(mut self, is_final: bool, watch: &mut dyn Watch) -> Report {
        self.engine.count_late(self.merge.late());
        self.engine.close(self.merge.end(), is_final);
        self.follows.tell_changes(&mut self.engine, watch);
        let inputs = self.merge.outcomes().into_iter().map(input).collect();
        let mut report = self.engine.finish(inputs);
        if self.follows.exchanges {
            report.exchanges.take().into_iter().flatten().for_each(|exchange| watch.exchange(&exchange));
        }
        report
    }
}

impl Follows {
    const fn is_nothing(self) -> bool {
        !(self.items || self.changes || self.exchanges)
    }

    /// Tells what the latest thing brought about.
    #[inline]
    fn tell(self, engine: &mut Engine, watch: &mut dyn Watch) {
        self.tell_changes(engine, watch);
        if self.exchanges {
            engine.exchanges().iter().for_each(|exchange| watch.exchange(exchange));
        }
    }

    #[inline]
    fn tell_changes(self, engine: &mut Engine, watch: &mut dyn Watch) {
        if self.changes && engine.has_changes() {
            engine.changes().iter().for_each(|(change, finding)| watch.change(*change, finding));
        }
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
