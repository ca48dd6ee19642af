//! Connections that do not open and have an end in common, for TCP002: many dead addresses of one network, or many clients of one silent
//! port, are one line (findings.md 1.2). At most 256 connections are told apart in each.

use std::net::IpAddr;

use crate::detect::{Context, filter};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{Attempt, DomainId, Prefix};

/// So many are told each by itself.
const EACH: usize = 3;
/// Connections that are told apart.
const MOST: usize = 256;
/// Addresses and ports that a headline names.
const NAMED: usize = 3;

/// Frames that are cited: one of each of the first.
const CITED: usize = 4;

/// A connection: its network, its client, and the server's port.
pub type Place = (DomainId, IpAddr, IpAddr, u16);

/// What connections have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Common {
    /// A client, and the network in which it tries one address after the other.
    Network(DomainId, IpAddr, Prefix),
    /// A server's port, which one client after the other tries.
    Port(DomainId, IpAddr, u16),
}

/// Connections that have it.
#[derive(Default)]
pub struct Crowd {
    members: Vec<Member>,
    /// Of those that were told as one.
    key: Option<Key>,
}

struct Member {
    place: Place,
    since: Timestamp,
    sends: u64,
    /// When the server was heard last, of those since the first question.
    alive: Option<Timestamp>,
    has_others: bool,
    /// Its first question.
    first: Option<Cited>,
}

impl Common {
    /// What the connection at `place` may have in common with others, the narrower first.
    pub const fn of((domain, client, server, port): Place) -> [Self; 2] {
        [Self::Port(domain, server, port), Self::Network(domain, client, Prefix::of(server))]
    }

    const fn end(self, (_, client, server, _): Place) -> IpAddr {
        match self {
            Self::Network(..) => server,
            Self::Port(..) => client,
        }
    }
}

impl Crowd {
    /// The connection of `attempt` does not open; its server was heard at `alive`.
    pub fn join(&mut self, place: Place, attempt: &Attempt, alive: Option<Timestamp>) {
        let (since, sends, has_others) = (attempt.since, attempt.sends, attempt.others > 0);
        let member = Member { place, since, sends, alive, has_others, first: attempt.cited.first().cloned() };
        if let Some(known) = self.members.iter_mut().find(|member| member.place == place) {
            *known = member;
        } else if self.members.len() < MOST {
            self.members.push(member);
        }
    }

    /// The connection at `place` opens.
    pub fn leave(&mut self, place: Place) {
        self.members.retain(|member| member.place != place);
    }

    /// Those that are in it.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.members.iter().map(|member| member.place)
    }

    /// The key of what was told of all of them, if nobody is left of whom it could be told.
    pub fn is_over(&mut self) -> Option<Key> {
        self.key.take_if(|_| self.members.is_empty())
    }

    /// What is to be said of all of them, if they are many or were.
    pub fn claim(&mut self, common: Common, attempt: &Attempt, cx: &Context<'_>) -> Option<Claim> {
        let mut ends: Vec<IpAddr> = self.places().map(|place| common.end(place)).collect();
        ends.sort();
        ends.dedup();
        if self.key.is_none() && ends.len() <= EACH {
            return None;
        }
        let domain = cx.world.domains.name(attempt.domain);
        let cited: Vec<Cited> = match self.key {
            Some(_) => attempt.cited.last().into_iter().cloned().collect(),
            None => self.members.iter().filter_map(|member| member.first.clone()).take(CITED).collect(),
        };
        let key = self.key.get_or_insert_with(|| {
            let key = Key::new().with("domain", domain);
            match common {
                Common::Network(_, client, prefix) => key.with("client", client).with("prefix", prefix),
                Common::Port(_, server, port) => key.with("server", server).with("port", port),
            }
        });
        let key = key.clone();
        let alive = self.members.iter().filter_map(|m| Some((m.alive?, m.place.2))).max();
        let (confidence, severity) = if alive.is_some() || self.members.iter().any(|m| m.has_others) {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, Severity::Warning)
        };
        let since = self.members.iter().map(|m| m.since).min().unwrap_or(attempt.since);
        let sends = self.members.iter().fold(0, |sum: u64, m| sum.saturating_add(m.sends));
        let which = listed(&ends);
        let heard = match (common, alive) {
            (Common::Port(..), Some((at, _))) => format!("the server lives: it answered at {}", at.clock()),
            (Common::Port(..), None) => "nothing was heard of the server since".to_owned(),
            (Common::Network(..), Some((at, one))) => format!("{one} lives: it answered otherwise at {}", at.clock()),
            (Common::Network(..), None) => "nothing was heard of any of them since".to_owned(),
        };
        let count = ends.len();
        let (headline, shown) = match common {
            Common::Network(_, client, prefix) => (
                format!(
                    "{client} tries {count} addresses in {prefix} ({which}) by TCP {} since {}: {sends} SYNs, no answer; {heard}.",
                    listed(&self.ports()),
                    since.clock()
                ),
                format!("{} && {}", filter::host(client), filter::network(client, prefix)),
            ),
            Common::Port(_, server, port) => (
                format!(
                    "{count} clients ({which}) try {server}:{port} since {}: {sends} SYNs, no answer; {heard}.",
                    since.clock()
                ),
                format!("{} && tcp.port == {port}", filter::host(server)),
            ),
        };
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(since, sends)
            .until(attempt.until)
            .at(attempt.vantage)
            .number("syns", sends)
            .number("connections", self.members.len())
            .number("prefix", Prefix::of(attempt.server).to_string())
            .number("next_hop", attempt.gateway.to_string())
            .proved_by(cited)
            .filter(format!("{shown} && tcp.flags.syn == 1"));
        Some(match common {
            Common::Network(..) => claim.number("addresses", count),
            Common::Port(..) => claim.number("clients", count),
        })
    }

    fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.places().map(|(.., port)| port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// The first of them by name, and how many more there are.
fn listed(all: &[impl ToString]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
