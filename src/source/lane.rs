//! One source in the merge: how far it is, what it has lost, and what a case says of it.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::filtered::Filtered;
use super::{Aligned, Interface, Item, NO_RECORD, Source, SourceError, Step, Told};
use crate::event::{Drops, Place, Record, Vantage, VantageId};
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
    /// Stamps closer to those of another lane than this do not tell which came first.
    pub doubt: Span,
    /// The names of vantages in the order of the way, where a case tells it.
    pub way: Vec<String>,
    /// The file that it reads, where it can be read twice.
    pub file: Option<PathBuf>,
    /// From when to when it was captured, where a first look told.
    pub captured: Option<(Timestamp, Timestamp)>,
    /// From when on there is anything, where a case tells it: nobody hears of the vantage before.
    pub joined: Option<Timestamp>,
    source: Box<dyn Source>,
    pub(super) state: State,
    /// How much the source has told of itself.
    told: Told,
    /// How the frames of each interface that was told begin.
    links: Vec<LinkType>,
    dropped: u64,
    /// A loss that is told with the record at the head, or after the end.
    pub(super) lost: Option<Drops>,
    whole_until: Timestamp,
    latest: Timestamp,
    frames: u64,
    first: Option<Timestamp>,
    damage: Option<SourceError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
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
            doubt: Span::ZERO,
            way: Vec::new(),
            file: None,
            captured: None,
            joined: None,
            source,
            state: State::Spent,
            told: Told::default(),
            links: Vec::new(),
            dropped: 0,
            lost: None,
            whole_until: Timestamp::MIN,
            latest: Timestamp::MIN,
            frames: 0,
            first: None,
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
    pub(super) fn missed(&self) -> u64 {
        self.source.interfaces().iter().fold(0, |sum, interface| sum.saturating_add(interface.missed))
    }

    /// When the capture ended: `until` where it is live, else as it tells itself.
    pub(super) fn end(&self, until: Option<Timestamp>) -> Option<Timestamp> {
        let told = self.source.interfaces().iter().filter_map(|interface| interface.end).max();
        until.or(told.map(|end| end.after(self.offset)))
    }

    /// The latest stamp of a frame.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.first.map(|_| self.latest)
    }

    /// Moves the source on, to the record that is the head from then on.
    pub(super) fn fill(&mut self, until: Option<Timestamp>) {
        let step = self.source.advance();
        self.told = self.source.told();
        match step {
            Ok(Step::Record) => {
                let time = self.source.time().after(self.offset);
                if until.is_some_and(|until| time > until) {
                    self.state = State::Ended;
                    return;
                }
                if self.first.is_none() {
                    self.first = Some(time);
                }
                self.latest = self.latest.max(time);
                self.frames = self.frames.saturating_add(1);
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

    /// The record at the head, with how it begins; the lane may move on.
    #[inline]
    pub(super) fn take(&mut self) -> (Record<'_>, LinkType) {
        self.state = State::Spent;
        let mut record = self.source.record();
        record.time = record.time.after(self.offset);
        let link = self.links.get(record.interface as usize).copied();
        (record, link.unwrap_or(LinkType::Other(u32::MAX)))
    }

    /// The bytes of the frame three behind the next, where they are in memory already, and how its interface's frames begin: a hint.
    #[inline]
    pub(super) fn ahead(&self) -> (&[u8], LinkType) {
        (self.source.ahead(), self.links.first().copied().unwrap_or(LinkType::Other(u32::MAX)))
    }

    /// Whether its record was handed out, and with it all that had to be told before.
    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        self.state == State::Spent && self.first.is_some()
    }

    /// Gives the records behind the one that was handed out, as far as nobody needs to be asked about them, to `take`: each with its interface,
    /// how it begins, its place in the order, and the bytes of the frame three behind it.
    #[inline]
    pub(super) fn run(&mut self, mut take: impl FnMut(Record<'_>, LinkType, Timestamp, &[u8])) {
        let Self { source, latest, frames, links, offset, .. } = self;
        source.run(&mut |mut record, ahead| {
            record.time = record.time.after(*offset);
            *latest = record.time.max(*latest);
            *frames = frames.saturating_add(1);
            let link = links.get(record.interface as usize).copied();
            take(record, link.unwrap_or(LinkType::Other(u32::MAX)), *latest, ahead);
        });
    }

    /// Counts what was lost up to now, for the capture ends.
    pub(super) fn take_stock(&mut self) {
        self.source.take_stock();
    }

    /// What becomes readable when it has more.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor()
    }

    /// What became of it.
    pub(super) fn outcome(self) -> Outcome {
        let mut links: Vec<_> = self.source.interfaces().iter().map(|i| i.link).collect();
        links.sort_unstable();
        links.dedup();
        Outcome {
            missed: self.missed(),
            last: self.last(),
            format: self.source.format(),
            links,
            clock: self.clock,
            name: self.name,
            path: self.path,
            frames: self.frames,
            dropped: self.dropped,
            first: self.first,
            damage: self.damage,
        }
    }

    /// The vantages that came up while filling; and a loss, which is kept for its place in the order.
    #[inline]
    pub(super) fn news(&mut self, lane: u16, news: &mut VecDeque<Item<'static>>) {
        if self.told.interfaces != self.links.len() || self.told.dropped > self.dropped {
            self.tell(lane, news);
        }
    }

    #[cold]
    fn tell(&mut self, lane: u16, news: &mut VecDeque<Item<'static>>) {
        let (interfaces, dropped) = (self.source.interfaces(), self.told.dropped);
        for (at, interface) in (0_u32..).zip(interfaces).skip(self.links.len()) {
            news.push_back(Item::Vantage(
                VantageId { lane, interface: at },
                Box::new(self.describe(interface, interfaces.len())),
            ));
        }
        self.links.extend(interfaces.iter().skip(self.links.len()).map(|interface| interface.link));
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
            along: self.way.iter().position(|place| place == name.raw()),
            name,
            is_placed: is_named || self.place.is_some(),
            is_named,
            link: interface.link,
            snap_len: interface.snap_len,
            filter: interface.filter.clone(),
            tells_offload: interface.tells_offload,
            offset: self.offset,
            doubt: self.doubt,
        }
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
