//! Attempts of the last seconds. Nearly all are answered before they are worth remembering, and these cost no more than this.

use super::Pair;
use crate::event::{Frame, VantageId};
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::world::Glimpse;

/// Seconds that an attempt is fresh: whoever means it sends it again after one second and after three (RFC 6298 section 5.5), which is what ends
/// its freshness sooner.
const FRESH: i64 = 6;

/// Which pair, the client's port and the server's.
pub(super) type Connection = (Pair, u16, u16);

/// A question: for a connection, or an echo.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub at: Timestamp,
    pub src: Mac,
    pub dst: Mac,
    /// The first sequence number, where it asks for a connection.
    pub seq: u32,
    pub glimpse: Glimpse,
}

/// Connections that were asked for lately.
pub(super) struct Fresh {
    table: BoundedMap<Connection, Asked>,
}

impl Asked {
    /// What `frame` asks.
    pub fn of(frame: &Frame<'_>) -> Self {
        Self {
            at: frame.order,
            src: frame.layers.inner_src().unwrap_or_default(),
            dst: frame.layers.inner_dst().unwrap_or_default(),
            seq: frame.layers.tcp().map_or(0, |tcp| tcp.seq()),
            glimpse: Glimpse::of(frame),
        }
    }

    /// Where it was seen.
    pub const fn vantage(&self) -> VantageId {
        self.glimpse.at.vantage
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

    /// Adds what is asked for now, and gives back what was before for the same connection.
    pub fn add(&mut self, connection: Connection, asked: Asked) -> Option<Asked> {
        self.table.insert(connection, asked)
    }

    pub fn take(&mut self, connection: &Connection) -> Option<Asked> {
        self.table.remove(connection)
    }

    /// When the oldest is no longer fresh.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.table.oldest().map(|(_, asked)| asked.stale())
    }

    /// One that is no longer fresh at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<(Connection, Asked)> {
        let (connection, _) = self.table.oldest().filter(|(_, asked)| asked.stale() <= now)?;
        let connection = *connection;
        Some((connection, self.table.remove(&connection)?))
    }

    /// Those that went because there was no room.
    pub const fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
