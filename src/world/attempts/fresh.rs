//! Attempts of the last seconds. Nearly all are answered before they are worth remembering, and these cost no more than this.

use super::Pair;
use crate::event::{Frame, VantageId};
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::Tcp;
use crate::world::Glimpse;

/// How long an attempt is fresh: whoever means it has sent it again after one second, and would after two more (RFC 6298 section 5.5).
const FRESH: i64 = 3;

/// Which pair, the client's port and the server's.
pub(super) type Connection = (Pair, u16, u16);

/// What somebody asked for: a connection, or an echo.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub pair: Pair,
    /// The port that was asked, the client's own, and the first sequence number; nothing where it was an echo.
    pub opening: Option<(u16, u16, u32)>,
    pub at: Timestamp,
    pub src: Mac,
    pub dst: Mac,
    pub vantage: VantageId,
    pub glimpse: Glimpse,
}

/// Connections that were asked for lately.
pub(super) struct Fresh {
    table: BoundedMap<Connection, Asked>,
}

impl Asked {
    /// What `frame` asks of the server of `pair`.
    pub fn of(frame: &Frame<'_>, pair: Pair, tcp: Option<&Tcp<'_>>) -> Self {
        Self {
            pair,
            opening: tcp.map(|tcp| (tcp.dst_port(), tcp.src_port(), tcp.seq())),
            at: frame.order,
            src: frame.layers.inner_src().unwrap_or_default(),
            dst: frame.layers.inner_dst().unwrap_or_default(),
            vantage: frame.at.vantage,
            glimpse: Glimpse::of(frame),
        }
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

    pub fn holds(&self, connection: &Connection) -> bool {
        self.table.peek(connection).is_some()
    }

    pub fn add(&mut self, connection: Connection, asked: Asked) {
        self.table.insert(connection, asked);
    }

    pub fn take(&mut self, connection: &Connection) -> Option<Asked> {
        self.table.remove(connection)
    }

    /// When the oldest is no longer fresh.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.table.oldest().map(|(_, asked)| asked.stale())
    }

    /// One that is no longer fresh at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<Asked> {
        let (connection, _) = self.table.oldest().filter(|(_, asked)| asked.stale() <= now)?;
        let connection = *connection;
        self.table.remove(&connection)
    }

    /// Those that went because there was no room.
    pub const fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
