//! Attempts of the last seconds. Nearly all are answered before they are worth remembering, and these cost no more than this.

use super::key::Door;
use crate::event::{Beginning, Cited, Frame, VantageId};
use crate::value::{BoundedMap, Mac, Span, Timestamp};

/// Seconds that an attempt is fresh: whoever means it sends it again after one second and after three (RFC 6298 section 5.5), which is what ends
/// its freshness sooner.
const FRESH: i64 = 6;

/// Connections to one port that may wait side by side; with more of them all are remembered.
const MOST_ASIDE: usize = 8;

/// A question: for a connection, or an echo; with the frame that asks, as it is quoted.
#[derive(Clone, Debug)]
pub(super) struct Asked<C = Cited> {
    pub at: Timestamp,
    pub src: Mac,
    pub dst: Mac,
    /// The client's port and first sequence number, where it asks for a connection.
    pub attempt: (u16, u32),
    pub cited: C,
}

/// A question for a connection as long as it is fresh, of which nothing is allocated.
pub(super) type Brief = Asked<Beginning>;

/// Connections that were asked for lately.
pub(super) struct Fresh {
    table: BoundedMap<Door, Waiting>,
}

/// Who waits at one door: the first, and those beside.
pub(super) struct Waiting {
    /// When the first is no longer fresh.
    stale: Timestamp,
    first: Brief,
    beside: Vec<Brief>,
}

impl Waiting {
    /// Whether the connection from the client's port `from` is among them.
    pub fn is_from(&self, from: u16) -> bool {
        self.all().any(|brief| brief.attempt.0 == from)
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Brief> {
        std::iter::once(&self.first).chain(&self.beside)
    }
}

impl<C> Asked<C> {
    fn quoting(frame: &Frame<'_>, attempt: (u16, u32), cited: C) -> Self {
        let layers = &frame.layers;
        let (src, dst) = (layers.inner_src().unwrap_or_default(), layers.inner_dst().unwrap_or_default());
        Self { at: frame.order, src, dst, attempt, cited }
    }
}

impl Asked {
    /// What `frame` asks: for a connection from this port with this first number, where it asks for one.
    pub fn of(frame: &Frame<'_>, attempt: (u16, u32)) -> Self {
        Self::quoting(frame, attempt, Cited::beginning(frame))
    }

    /// Where it was seen.
    pub const fn vantage(&self) -> VantageId {
        self.cited.at.vantage
    }
}

impl Brief {
    /// What `frame` asks for: a connection from this port with this first number.
    pub fn brief(frame: &Frame<'_>, attempt: (u16, u32)) -> Self {
        Self::quoting(frame, attempt, Beginning::of(frame))
    }

    /// The same as it is remembered.
    pub fn asked(&self) -> Asked {
        let &Self { at, src, dst, attempt, ref cited } = self;
        Asked { at, src, dst, attempt, cited: cited.cited() }
    }

    /// When it is no longer fresh: with all others of its second, so that one look is enough for them.
    fn stale(&self) -> Timestamp {
        let second = self.at.nanos().div_euclid(Span::secs(1).as_nanos());
        Timestamp::from_parts(second.saturating_add(FRESH).saturating_add(1), 0)
    }
}

impl Fresh {
    pub fn new(limit: usize) -> Self {
        Self { table: BoundedMap::new(limit) }
    }

    /// Adds what is asked for now. Those that come back are fresh no more, nor is what they were to wait with: it is asked for again, or by
    /// too many.
    pub fn add(&mut self, door: &Door, brief: Brief) -> Option<Waiting> {
        let waiting = Waiting { stale: brief.stale(), first: brief, beside: Vec::new() };
        // Untouched: they stand in the order in which the first of each was asked.
        let Err((waiting, Waiting { first: brief, .. })) = self.table.try_insert(door, waiting) else { return None };
        if waiting.is_from(brief.attempt.0) || waiting.beside.len() >= MOST_ASIDE {
            return self.table.remove(door);
        }
        waiting.beside.push(brief);
        None
    }

    /// Those that wait at a door, who do so no more.
    pub fn take(&mut self, door: &Door) -> Option<Waiting> {
        self.table.remove(door)
    }

    /// Where the first of those at a door was seen to ask.
    pub fn vantage(&self, door: &Door) -> Option<VantageId> {
        self.table.peek(door).map(|waiting| waiting.first.cited.at.vantage)
    }

    /// Those at a door among whom is the connection from the client's port `from`, which is given up.
    pub fn give_up(&mut self, door: &Door, from: u16) -> Option<Waiting> {
        self.table.peek(door).filter(|waiting| waiting.is_from(from))?;
        self.take(door)
    }

    /// When the oldest is no longer fresh.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.table.oldest().map(|(_, waiting)| waiting.stale)
    }

    /// Those at one door, of whom the first is no longer fresh at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Door, Waiting)> {
        self.table.pop_oldest(|waiting| waiting.stale <= now)
    }

    /// Those that went because there was no room.
    pub const fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
