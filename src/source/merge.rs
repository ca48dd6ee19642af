//! Many lanes, one order: the smallest head comes first; ties go to the host log, then to lanes by name, then to the number.
//! Inside a lane time never runs back: an earlier stamp is lifted to the lane's latest for ordering and keeps its own for display.
//! A head is handed out only if it is older than what every live lane that is idle has settled; what comes later still is lifted too,
//! and counted as late.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::lane::{Lane, Outcome, State};
use crate::event::{Drops, Fact, Record, Stamped, Vantage, VantageId};
use crate::value::{Span, Timestamp};
use crate::wire::LinkType;

/// All lanes of one case.
pub struct Merge {
    lanes: Vec<Lane>,
    facts: VecDeque<Stamped<Fact>>,
    queued: VecDeque<Item<'static>>,
    /// The latest place in the order that was handed out.
    handed: Timestamp,
    late: u64,
    /// When live lanes are to end.
    until: Option<Timestamp>,
    /// Up to when the order is known, and who knows whether this machine slept through a leap of it.
    known: Timestamp,
    has_slept: Option<Box<dyn FnMut() -> bool>>,
    /// It did, and what the host is may have changed.
    has_woken: bool,
}

/// A leap of the order through which a machine may have slept.
const LEAP: Span = Span::secs(1);

/// What the merge hands out.
#[derive(Debug)]
pub enum Item<'a> {
    /// A vantage appeared.
    Vantage(VantageId, Box<Vantage>),
    /// The host said something.
    Fact(Box<Stamped<Fact>>),
    /// A vantage lost frames.
    Lost(Drops),
    /// A frame, with its vantage, link type and place in the order.
    Frame(Record<'a>, VantageId, LinkType, Timestamp),
    /// Nothing is there now, and nothing earlier than this will come: time to wait, or to stop.
    Tick(Timestamp),
    /// A lane has ended; until when its capture went on, where it tells.
    Ended(u16, Option<Timestamp>),
}

/// What to wait for when nothing is there.
#[derive(Debug)]
pub struct Idle<'a> {
    /// They become readable when there is more.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// Whether something is held back only until time has passed, or a lane cannot be waited for.
    pub must_look: bool,
}

impl Merge {
    /// Merges `lanes` and `facts`; neither need be in order.
    pub fn new(mut lanes: Vec<Lane>, mut facts: Vec<Stamped<Fact>>) -> Self {
        // Those that join later stand where they were added.
        lanes.sort_by(|a, b| (a.joined, &a.name, &a.path).cmp(&(b.joined, &b.name, &b.path)));
        lanes.iter_mut().filter(|lane| lane.joined.is_some()).for_each(|lane| lane.state = State::Absent);
        facts.sort_by_key(|fact| fact.time);
        let (queued, handed, known) = (VecDeque::new(), Timestamp::MIN, Timestamp::MIN);
        let (facts, until, has_slept) = (facts.into(), None, None);
        Self { lanes, facts, queued, handed, late: 0, until, known, has_slept, has_woken: false }
    }

    /// A lane is there from now on, such as that of a link that was made.
    pub fn add(&mut self, lane: Lane) {
        self.lanes.push(lane);
    }

    /// Whether a lane of that name is there and has not ended.
    pub fn has_open(&self, name: &str) -> bool {
        self.lanes.iter().any(|lane| lane.name == name && lane.state != State::Ended)
    }

    /// How many lanes there were.
    pub const fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Asks `has_slept` at each leap of the order whether this machine slept since; that is told as a fact.
    pub fn mind_sleep(&mut self, has_slept: impl FnMut() -> bool + 'static) {
        self.has_slept = Some(Box::new(has_slept));
    }

    /// Whether this machine slept since this was asked last.
    pub const fn has_woken(&mut self) -> bool {
        std::mem::replace(&mut self.has_woken, false)
    }

    /// The host said something just now.
    pub fn tell(&mut self, fact: Stamped<Fact>) {
        self.facts.push_back(fact);
    }

    /// Live lanes end with what was captured up to `until`.
    pub fn close(&mut self, until: Timestamp) {
        self.until = Some(until);
        self.lanes.iter_mut().for_each(|lane| lane.take_stock());
    }

    /// What to wait for.
    pub fn idle(&self) -> Idle<'_> {
        let mut idle = Idle { descriptors: Vec::new(), must_look: !self.facts.is_empty() };
        for lane in &self.lanes {
            match (lane.state, lane.descriptor()) {
                (State::Idle(_), Some(descriptor)) => idle.descriptors.push(descriptor),
                (State::Idle(_), None) | (State::Waits(_), _) => idle.must_look = true,
                (State::Spent | State::Ended | State::Absent, _) => {}
            }
        }
        idle
    }

    /// The next thing in the order; `None` when every lane has ended.
    #[expect(clippy::should_implement_trait, reason = "it lends: an iterator could not")]
    #[inline]
    pub fn next(&mut self) -> Option<Item<'_>> {
        self.fill(|state| state == State::Spent);
        match self.only() {
            Some(time) => self.hand_out(time, 0),
            None => self.merged(),
        }
    }

    /// The bytes of the frame three behind the next, and how it begins: a hint, where there is one lane and its frames are in memory already.
    #[inline]
    pub fn ahead(&self) -> Option<(&[u8], LinkType)> {
        if let [lane] = self.lanes.as_slice() { Some(lane.ahead()) } else { None }
    }

    /// Gives the next frames to `take` where they are there already and nothing else can come between them: those of a file that is judged
    /// alone. Whether there were any; if not, `next` goes on.
    #[inline]
    pub fn run(&mut self, mut take: impl FnMut(Record<'_>, VantageId, LinkType, Timestamp, &[u8])) -> bool {
        let Self { lanes, handed, .. } = self;
        let [lane] = lanes.as_mut_slice() else { return false };
        let is_alone = self.queued.is_empty() && self.facts.is_empty() && lane.lost.is_none();
        let is_live = self.until.is_some() || self.has_slept.is_some();
        if !lane.is_under_way() || !is_alone || is_live {
            return false;
        }
        let mut has_any = false;
        lane.run(|record, link, time, ahead| {
            (*handed, has_any) = (time, true);
            let vantage = VantageId { lane: 0, interface: record.interface };
            take(record, vantage, link, time, ahead);
        });
        has_any
    }

    /// The same, where several lanes, or facts and frames, take turns.
    #[inline(never)]
    fn merged(&mut self) -> Option<Item<'_>> {
        let mut head = self.head();
        let mut settled = self.settled();
        if settled.is_some_and(|settled| head.is_none_or(|(time, _)| time >= settled)) {
            // Idle lanes may have something by now.
            self.fill(|state| matches!(state, State::Idle(_)));
            (head, settled) = (self.head(), self.settled());
        }
        while self.join(head.map(|(time, _)| time)) {
            self.fill(|state| state == State::Spent);
            head = self.head();
        }
        if let Some(item) = self.queued.pop_front() {
            return Some(item);
        }
        let ready = head.filter(|(time, _)| settled.is_none_or(|settled| *time < settled));
        let until = ready.map(|(time, _)| time).or(settled);
        self.wake(until);
        // A fact without a time holds from the beginning; a later one comes before frames of its moment.
        let fact_is_due = self.facts.front().is_some_and(|fact| match (fact.time, until) {
            (None, _) | (Some(_), None) => true,
            (Some(at), Some(until)) => at <= until,
        });
        if fact_is_due {
            return self.facts.pop_front().map(|fact| Item::Fact(Box::new(fact)));
        }
        let Some((time, at)) = ready else {
            let Some(settled) = settled else { return self.last_losses() };
            return Some(Item::Tick(head.map_or(settled, |(time, _)| time.min(settled))));
        };
        if let Some(lost) = self.lanes.get_mut(at)?.lost.take() {
            return Some(Item::Lost(lost));
        }
        self.hand_out(time, at)
    }

    /// The order goes on until then. Nothing was heard since it was known last: where the machine slept, nobody listened either. Between the two
    /// moments it fell asleep and woke; that what was awake of it counts as sleep costs nothing.
    fn wake(&mut self, until: Option<Timestamp>) {
        let known = self.known.max(self.handed);
        let Some(until) = until.filter(|until| self.has_slept.is_some() && *until > known) else { return };
        self.known = until;
        if known > Timestamp::MIN && until.since(known) > LEAP && self.has_slept.as_mut().is_some_and(|asked| asked()) {
            self.has_woken = true;
            // A moment later than what was handed out: a replay puts facts before frames of their moment.
            let fell = Some(known.after(Span::nanos(1)));
            self.facts.push_front(Stamped { time: fell, what: Fact::Asleep { until } });
        }
    }

    /// The place in the order of the record of the only lane, where nothing else waits: bulk traffic needs no merging.
    #[inline]
    fn only(&self) -> Option<Timestamp> {
        match self.lanes.as_slice() {
            [Lane { state: State::Waits(time), lost: None, .. }]
                if self.queued.is_empty()
                    && self.facts.is_empty()
                    && (self.has_slept.is_none() || time.since(self.handed) <= LEAP) =>
            {
                Some(*time)
            }
            _ => None,
        }
    }

    /// The record that waits in lane `at`, whose place in the order is `time`.
    #[inline]
    fn hand_out(&mut self, time: Timestamp, at: usize) -> Option<Item<'_>> {
        if time < self.handed {
            self.late = self.late.saturating_add(1);
        }
        self.handed = self.handed.max(time);
        let (record, link) = self.lanes.get_mut(at)?.take();
        let vantage = VantageId { lane: u16::try_from(at).unwrap_or(u16::MAX), interface: record.interface };
        Some(Item::Frame(record, vantage, link, self.handed))
    }

    /// What was lost after the last frames: told when all that the end brings about has happened.
    fn last_losses(&mut self) -> Option<Item<'static>> {
        let lost = self.lanes.iter_mut().find_map(|lane| lane.lost.take())?;
        self.queued.push_back(Item::Lost(lost));
        self.end().map(Item::Tick).or_else(|| self.queued.pop_front())
    }

    /// When the captures ended: as they tell, or with the last frame.
    pub fn end(&self) -> Option<Timestamp> {
        self.lanes.iter().filter_map(|lane| lane.end(self.until).max(lane.last())).max()
    }

    /// Lets the next lane join whose time has come, now that the earliest record that waits is at `head`; `false` if there is none.
    fn join(&mut self, head: Option<Timestamp>) -> bool {
        let fact = self.facts.front().map(|fact| fact.time.unwrap_or(Timestamp::MIN));
        let next = [head, fact].into_iter().flatten().min();
        let lane = self.lanes.iter_mut().find(|lane| lane.state == State::Absent);
        match lane.filter(|lane| next.is_none_or(|next| lane.joined <= Some(next))) {
            Some(lane) => {
                lane.state = State::Spent;
                true
            }
            None => false,
        }
    }

    /// Asks the lanes in such a state to move on.
    fn fill(&mut self, is_asked: impl Fn(State) -> bool) {
        for (at, lane) in (0_u16..).zip(&mut self.lanes) {
            if is_asked(lane.state) {
                lane.fill(self.until);
                lane.news(at, &mut self.queued);
                if lane.state == State::Ended {
                    self.queued.push_back(Item::Ended(at, lane.end(self.until)));
                }
            }
        }
    }

    /// The earliest record that waits, with its lane.
    fn head(&self) -> Option<(Timestamp, usize)> {
        let heads = self.lanes.iter().enumerate().filter_map(|(at, lane)| match lane.state {
            State::Waits(time) => Some((time, at)),
            State::Spent | State::Idle(_) | State::Ended | State::Absent => None,
        });
        heads.min()
    }

    /// What every idle lane has settled; `None` where none is idle.
    fn settled(&self) -> Option<Timestamp> {
        let settled = self.lanes.iter().filter_map(|lane| match lane.state {
            State::Idle(settled) => Some(settled),
            State::Spent | State::Waits(_) | State::Ended | State::Absent => None,
        });
        settled.min()
    }

    /// From when to when the lane of `vantage` was captured, where a first look told.
    pub fn captured(&self, vantage: VantageId) -> Option<(Timestamp, Timestamp)> {
        self.lanes.get(usize::from(vantage.lane))?.captured
    }

    /// Frames that came too late for their place in the order.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Bytes of all files read so far.
    pub fn position(&self) -> u64 {
        self.lanes.iter().fold(0, |sum, lane| sum.saturating_add(lane.position()))
    }

    /// Frames that the interface of each lane lost itself, in order of lanes.
    pub fn missed(&self) -> Vec<u64> {
        self.lanes.iter().map(Lane::missed).collect()
    }

    /// What became of every lane, in the order of their names.
    pub fn outcomes(self) -> Vec<Outcome> {
        self.lanes.into_iter().map(Lane::outcome).collect()
    }
}
