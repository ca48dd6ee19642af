//! Who attempts: each client by its place on the link, whether it looks around, and which networks answered it when. At most `tables.attempts`.

use super::fresh::Asked;
use super::key::{Pair, Party, Reach};
use super::target::Prefix;
use crate::event::VantageId;
use crate::value::{BoundedMap, Mac, Span, Timestamp};

/// New destinations of one client in a second that are a scan.
const MOST_NEW: u32 = 20;
/// How long a client that scans is one.
const SCANNING: Span = Span::secs(60);
/// Networks that answered a client, of which is remembered when.
const MOST_ANSWERING: usize = 8;

/// All clients.
pub(super) struct Clients {
    table: BoundedMap<Party, Client>,
}

/// One client.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub mac: Mac,
    pub gateway: Mac,
    pub vantage: VantageId,
    /// The second that runs, and new destinations in it.
    second: i64,
    new: u32,
    scans_until: Option<Timestamp>,
    /// In the order in which they answered first.
    answering: Vec<(Prefix, Timestamp)>,
}

/// A network behind a gateway that owes a client an answer.
pub(super) struct Beyond {
    pub reach: Reach,
    /// When anybody there answered the client before.
    pub answered: Option<Timestamp>,
}

impl Clients {
    pub fn new(limit: usize) -> Self {
        Self { table: BoundedMap::new(limit) }
    }

    /// The client, if it is known.
    pub fn get(&self, client: &Party) -> Option<&Client> {
        self.table.peek(client)
    }

    /// Notes who the client of a pair is, and whether it looks around: `is_new` tells that it did not ask there before, `is_full` that it
    /// asked at more ports than are told apart.
    pub fn asks(&mut self, pair: &Pair, asked: &Asked, now: Timestamp, is_new: bool, is_full: bool) -> &Client {
        let client = self.table.entry(&pair.client(), Client::default);
        (client.mac, client.gateway, client.vantage) = (asked.src, asked.dst, asked.vantage());
        let second = now.nanos().div_euclid(Span::secs(1).as_nanos());
        if client.second != second {
            (client.second, client.new) = (second, 0);
        }
        client.new = client.new.saturating_add(u32::from(is_new));
        if client.new > MOST_NEW || (is_full && is_new) {
            client.scans_until = Some(now.after(SCANNING));
        }
        client
    }

    /// Somebody in the network answered the client.
    pub fn is_answered(&mut self, reach: &Reach, at: Timestamp) {
        let answering = &mut self.table.entry(&reach.client(), Client::default).answering;
        if let Some((_, last)) = answering.iter_mut().find(|(p, _)| *p == reach.prefix) {
            *last = at;
            return;
        }
        if answering.len() >= MOST_ANSWERING {
            answering.remove(0);
        }
        answering.push((reach.prefix, at));
    }
}

impl Client {
    /// Whether it looks around at `now`: what does not answer it says nothing.
    pub fn is_scanning(&self, now: Timestamp) -> bool {
        self.scans_until.is_some_and(|until| until > now)
    }

    /// The network that owes it an answer to what it `asked` at `now`, if that lies behind a gateway: not to one that looks around.
    pub fn asks_beyond(&self, pair: &Pair, asked: &Asked, now: Timestamp) -> Option<Beyond> {
        let reach = pair.reach();
        let is_beyond = reach.prefix != Prefix::of(pair.client) && asked.dst.is_station() && asked.src != Mac::ZERO;
        if !is_beyond || self.is_scanning(now) {
            return None;
        }
        let answered = self.answered_by(reach.prefix);
        answered.is_none_or(|answered| answered < asked.at).then_some(Beyond { reach, answered })
    }

    /// When anybody in the network `prefix` answered it last.
    fn answered_by(&self, prefix: Prefix) -> Option<Timestamp> {
        self.answering.iter().find(|(p, _)| *p == prefix).map(|(_, at)| *at)
    }

    /// When a network that is none of these answered it last, and which.
    pub fn answered_beyond(&self, these: [Prefix; 2]) -> Option<(Timestamp, Prefix)> {
        let others = self.answering.iter().filter(|(prefix, _)| !these.contains(prefix));
        others.map(|(prefix, at)| (*at, *prefix)).max()
    }

    /// The other networks than `prefix` that answered it since `since`.
    pub fn answering(&self, since: Timestamp, prefix: Prefix) -> Vec<Prefix> {
        let answering = self.answering.iter().filter(|(_, last)| *last >= since);
        answering.map(|(p, _)| *p).filter(|p| *p != prefix).collect()
    }
}
