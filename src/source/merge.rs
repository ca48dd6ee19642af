//! Many lanes, one order: the smallest head comes first; ties go to the host log, then to lanes by name, then to the number.
//! Inside a lane time never runs back: an earlier stamp is lifted to the lane's latest for ordering and keeps its own for display.
//! A head is handed out only if it is older than what every live lane that is idle has settled; what comes later still is lifted too,
//! and counted as late.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::filtered::Filtered;
use super::{Aligned, Interface, NO_RECORD, Source, SourceError, Step};
use crate::event::{Drops, Fact, Place, Record, Stamped, Vantage, VantageId};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::LinkType;

/// One source in the merge, with what a case says of it.
pub struct Lane {
    /// How it is called: orders ties, and names vantages whose interface has no name.
    pub name: String,
    /// Its path, for the report.
    pub path: Outside,
    /// The kind of place, where a case tells it.
    pub place: Option<Place>,
    /// The vantage's name, where a case tells it.
    pub vantage: Option<String>,
    /// What is added to its stamps.
    pub offset: Span,
    /// Where the offset was read off, if it was not told.
    pub clock: Option<Aligned>,
    /// The file that it reads, where it can be read twice.
    pub file: Option<PathBuf>,
    /// From when to when it was captured, where a first look told.
    pub captured: Option<(Timestamp, Timestamp)>,
    /// From when on there is anything, where a case tells it: nobody hears of the vantage before.
    pub joined: Option<Timestamp>,
    source: Box<dyn Source>,
    state: State,
    told: usize,
    dropped: u64,
    /// A loss that is told with the record at the head, or after the end.
    lost: Option<Drops>,
    whole_until: Timestamp,
    latest: Timestamp,
    frames: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    damage: Option<SourceError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The record at the head was handed out, or none was read yet.
    Spent,
    /// A record waits, at this place in the order.
    Waits(Timestamp),
    /// Nothing is there now, and nothing earlier than this will come.
    Idle(Timestamp),
    /// There is nothing more.
    Ended,
    /// It has not joined yet.
    Absent,
}

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
}

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

/// What a lane came to.
#[derive(Debug)]
pub struct Outcome {
    /// How the lane is called.
    pub name: String,
    /// Its path.
    pub path: Outside,
    /// Its format.
    pub format: String,
    /// The link types of its interfaces, each once.
    pub links: Vec<LinkType>,
    /// Frames read.
    pub frames: u64,
    /// Frames lost before they could be read.
    pub dropped: u64,
    /// Frames that the card lost before.
    pub missed: u64,
    /// Stamp of the first frame.
    pub first: Option<Timestamp>,
    /// The latest stamp of a frame.
    pub last: Option<Timestamp>,
    /// What was added to its stamps because of packets that were seen elsewhere, too.
    pub clock: Option<Aligned>,
    /// What stopped the reading.
    pub damage: Option<SourceError>,
}

impl Lane {
    /// A lane that reads `source`, which came from `path`.
    pub fn new(name: String, path: Outside, source: Box<dyn Source>) -> Self {
        Self {
            name,
            path,
            place: None,
            vantage: None,
            offset: Span::ZERO,
            clock: None,
            file: None,
            captured: None,
            joined: None,
            source,
            state: State::Spent,
            told: 0,
            dropped: 0,
            lost: None,
            whole_until: Timestamp::MIN,
            latest: Timestamp::MIN,
            frames: 0,
            first: None,
            last: None,
            damage: None,
        }
    }

    /// A lane that could not even be opened.
    pub fn broken(name: String, path: Outside, damage: SourceError) -> Self {
        let mut lane = Self::new(name, path, Box::new(Nothing));
        lane.damage = Some(damage);
        lane.state = State::Ended;
        lane
    }

    /// Takes only frames for which the expression `text` holds.
    pub(super) fn filter(&mut self, text: &str) {
        let source = std::mem::replace(&mut self.source, Box::new(Nothing));
        self.source = Box::new(Filtered::new(source, text));
    }

    /// Bytes of the file read so far.
    pub fn position(&self) -> u64 {
        self.source.position()
    }

    /// Frames that its interfaces lost before anybody could capture them.
    fn missed(&self) -> u64 {
        self.source.interfaces().iter().fold(0, |sum, interface| sum.saturating_add(interface.missed))
    }

    /// When the capture ended: `until` where it is live, else as it tells itself.
    fn end(&self, until: Option<Timestamp>) -> Option<Timestamp> {
        let told = self.source.interfaces().iter().filter_map(|interface| interface.end).max();
        until.or(told.map(|end| end.after(self.offset)))
    }

    fn fill(&mut self, until: Option<Timestamp>) {
        match self.source.advance() {
            Ok(Step::Record) => {
                let time = self.source.time().after(self.offset);
                if until.is_some_and(|until| time > until) {
                    self.state = State::Ended;
                    return;
                }
                self.latest = self.latest.max(time);
                self.frames = self.frames.saturating_add(1);
                self.first = self.first.or(Some(time));
                self.last = self.last.max(Some(time));
                self.state = State::Waits(self.latest);
            }
            // What was captured before the end may still be on its way to us.
            Ok(Step::Idle(settled)) if until.is_some_and(|until| settled >= until) => self.state = State::Ended,
            Ok(Step::Idle(settled)) => self.state = State::Idle(settled.after(self.offset).max(self.latest)),
            Ok(Step::End) => self.state = State::Ended,
            Err(damage) => {
                self.damage = Some(damage);
                self.state = State::Ended;
            }
        }
    }

    /// The vantages that came up while filling; and a loss, which is kept for its place in the order.
    fn news(&mut self, lane: u16, news: &mut VecDeque<Item<'static>>) {
        let interfaces = self.source.interfaces();
        let dropped = interfaces.iter().fold(0_u64, |sum, i| sum.saturating_add(i.dropped));
        if interfaces.len() == self.told && dropped <= self.dropped {
            return;
        }
        for (at, interface) in (0_u32..).zip(interfaces).skip(self.told) {
            news.push_back(Item::Vantage(
                VantageId { lane, interface: at },
                Box::new(self.describe(interface, interfaces.len())),
            ));
        }
        self.told = interfaces.len();
        // When a live source counts is chance. A replay reads the count together with the frame behind it, and so both tell it there.
        if dropped > self.dropped && !matches!(self.state, State::Idle(_)) {
            let at = interfaces.iter().rposition(|i| i.dropped > 0).and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
            self.lost = Some(Drops {
                vantage: VantageId { lane, interface: at },
                from: self.first.unwrap_or(self.latest).max(self.whole_until),
                until: self.latest,
                frames: dropped.saturating_sub(self.dropped),
            });
            self.dropped = dropped;
            self.whole_until = self.latest;
        }
    }

    fn describe(&self, interface: &Interface, of: usize) -> Vantage {
        let named = interface.name.clone().filter(|name| !name.is_empty() && (of > 1 || self.vantage.is_none()));
        let is_named = named.is_some() || self.vantage.is_some();
        let name = match (named, &self.vantage) {
            (Some(name), _) => name,
            (None, Some(told)) => Outside::from(told.as_str()),
            (None, None) => Outside::from(interface_in(&self.name)),
        };
        Vantage {
            place: self.place.unwrap_or_else(|| Place::from_name(name.raw(), interface.link)),
            name,
            is_placed: is_named || self.place.is_some(),
            is_named,
            link: interface.link,
            snap_len: interface.snap_len,
            filter: interface.filter.clone(),
            tells_offload: interface.tells_offload,
            offset: self.offset,
        }
    }
}

impl Merge {
    /// Merges `lanes` and `facts`; neither need be in order.
    pub fn new(mut lanes: Vec<Lane>, mut facts: Vec<Stamped<Fact>>) -> Self {
        // Those that join later stand where they were added.
        lanes.sort_by(|a, b| (a.joined, &a.name, &a.path).cmp(&(b.joined, &b.name, &b.path)));
        lanes.iter_mut().filter(|lane| lane.joined.is_some()).for_each(|lane| lane.state = State::Absent);
        facts.sort_by_key(|fact| fact.time);
        Self { lanes, facts: facts.into(), queued: VecDeque::new(), handed: Timestamp::MIN, late: 0, until: None }
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

    /// The host said something just now.
    pub fn tell(&mut self, fact: Stamped<Fact>) {
        self.facts.push_back(fact);
    }

    /// Live lanes end with what was captured up to `until`.
    pub fn close(&mut self, until: Timestamp) {
        self.until = Some(until);
        self.lanes.iter_mut().for_each(|lane| lane.source.take_stock());
    }

    /// What to wait for.
    pub fn idle(&self) -> Idle<'_> {
        let mut idle = Idle { descriptors: Vec::new(), must_look: !self.facts.is_empty() };
        for lane in &self.lanes {
            match (lane.state, lane.source.descriptor()) {
                (State::Idle(_), Some(descriptor)) => idle.descriptors.push(descriptor),
                (State::Idle(_), None) | (State::Waits(_), _) => idle.must_look = true,
                (State::Spent | State::Ended | State::Absent, _) => {}
            }
        }
        idle
    }

    /// The next thing in the order; `None` when every lane has ended.
    #[expect(clippy::should_implement_trait, reason = "it lends: an iterator could not")]
    pub fn next(&mut self) -> Option<Item<'_>> {
        self.fill(|state| state == State::Spent);
        if let Some(time) = self.only() {
            return self.hand_out(time, 0);
        }
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

    /// The place in the order of the record of the only lane, where nothing else waits: bulk traffic needs no merging.
    #[inline]
    fn only(&self) -> Option<Timestamp> {
        match self.lanes.as_slice() {
            [Lane { state: State::Waits(time), lost: None, .. }] if self.queued.is_empty() && self.facts.is_empty() => {
                Some(*time)
            }
            _ => None,
        }
    }

    /// The record that waits in lane `at`, whose place in the order is `time`.
    #[inline]
    fn hand_out(&mut self, time: Timestamp, at: usize) -> Option<Item<'_>> {
        let lane = self.lanes.get_mut(at)?;
        lane.state = State::Spent;
        if time < self.handed {
            self.late = self.late.saturating_add(1);
        }
        self.handed = self.handed.max(time);
        let mut record = lane.source.record();
        record.time = record.time.after(lane.offset);
        let vantage = VantageId { lane: u16::try_from(at).unwrap_or(u16::MAX), interface: record.interface };
        let link =
            lane.source.interfaces().get(record.interface as usize).map_or(LinkType::Other(u32::MAX), |i| i.link);
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
        self.lanes.iter().filter_map(|lane| lane.end(self.until).max(lane.last)).max()
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
        let outcome = |lane: Lane| {
            let mut links: Vec<_> = lane.source.interfaces().iter().map(|i| i.link).collect();
            links.sort_unstable();
            links.dedup();
            Outcome {
                missed: lane.missed(),
                format: lane.source.format(),
                links,
                clock: lane.clock,
                name: lane.name,
                path: lane.path,
                frames: lane.frames,
                dropped: lane.dropped,
                first: lane.first,
                last: lane.last,
                damage: lane.damage,
            }
        };
        self.lanes.into_iter().map(outcome).collect()
    }
}

/// The source of a lane that could not be opened.
struct Nothing;

impl Source for Nothing {
    fn advance(&mut self) -> Result<Step, SourceError> {
        Ok(Step::End)
    }

    fn record(&self) -> Record<'_> {
        NO_RECORD
    }

    fn interfaces(&self) -> &[Interface] {
        &[]
    }

    fn format(&self) -> String {
        "unreadable".to_owned()
    }

    fn position(&self) -> u64 {
        0
    }
}

/// The interface in a file's name: `incident.bond0` was captured on `bond0`. A name whose last part is no interface's stays whole.
fn interface_in(stem: &str) -> &str {
    let is_interface = |part: &str| {
        // IFNAMSIZ is 16 with its end; a part of digits only is a date or a count.
        (2..16).contains(&part.len())
            && part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    stem.rsplit_once('.').map(|(_, last)| last).filter(|last| is_interface(last)).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_read_off_the_name_of_the_file() {
        assert_eq!(interface_in("bond0"), "bond0");
        assert_eq!(interface_in("double_vlan.tap3f2a91c0-5d"), "tap3f2a91c0-5d");
        assert_eq!(interface_in("node7.2026-11-02"), "node7.2026-11-02");
    }
}
