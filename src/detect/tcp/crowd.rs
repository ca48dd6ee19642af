//! Connections that do not open and have an end in common, for TCP002: many dead addresses of one network, many clients of one silent port,
//! or one client's servers all over the world, are one line (findings.md 1.2). At most 256 connections are told apart in each.

use std::net::IpAddr;

use crate::detect::{Context, filter, many};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{Attempt, DomainId, Prefix};

/// A connection: its network, its client, and the server's port.
pub type Place = (DomainId, IpAddr, IpAddr, u16);

/// What connections have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Common {
    /// A server's port, which one client after the other tries.
    Port(DomainId, IpAddr, u16),
    /// A client, and the network in which it tries one address after the other.
    Network(DomainId, IpAddr, Prefix),
    /// A client, which tries one network after the other beyond its own.
    Beyond(DomainId, IpAddr),
}

/// Connections that have it.
pub type Crowd = many::Crowd<Place, Member>;

/// What is remembered of one.
pub struct Member {
    since: Timestamp,
    sends: u64,
    /// When the server was heard last, of those since the first question.
    alive: Option<(Timestamp, IpAddr)>,
    has_others: bool,
    /// Its first question.
    first: Option<Cited>,
}

impl Member {
    /// The connection of `attempt`, whose server was heard at `alive`.
    pub fn of(attempt: &Attempt, alive: Option<Timestamp>) -> Self {
        let (since, sends, has_others) = (attempt.since, attempt.sends, attempt.others > 0);
        let alive = alive.map(|at| (at, attempt.server));
        Self { since, sends, alive, has_others, first: attempt.cited.first().cloned() }
    }
}

impl Common {
    /// What the connection at `place` may have in common with others, the narrower first.
    pub fn of((domain, client, server, port): Place) -> impl Iterator<Item = Self> {
        let (network, own) = (Prefix::of(server), Prefix::of(client));
        let beyond = (network != own).then_some(Self::Beyond(domain, client));
        [Self::Port(domain, server, port), Self::Network(domain, client, network)].into_iter().chain(beyond)
    }

    /// Whether a connection counts of which there is more to say by itself: whose server lives, or is silent to others, too.
    pub fn takes(self, attempt: &Attempt, alive: Option<Timestamp>) -> bool {
        !matches!(self, Self::Beyond(..)) || (alive.is_none() && attempt.others == 0 && !attempt.is_served)
    }

    fn key(self, key: Key) -> Key {
        match self {
            Self::Port(_, server, port) => key.with("server", server).with("port", port),
            Self::Network(_, client, prefix) => key.with("client", client).with("prefix", prefix),
            Self::Beyond(_, client) => key.with("client", client),
        }
    }

    /// What was heard of the servers meanwhile: one of them at `alive`, and somebody else at `elsewhere`.
    fn heard(self, alive: Option<(Timestamp, IpAddr)>, elsewhere: Option<(Timestamp, Prefix)>) -> String {
        match (self, alive, elsewhere) {
            (Self::Port(..), Some((at, _)), _) => format!("the server lives: it answered at {}", at.clock()),
            (_, Some((at, one)), _) => format!("{one} lives: it answered otherwise at {}", at.clock()),
            (Self::Port(..), None, _) => "nothing was heard of the server since".to_owned(),
            (Self::Network(..), None, _) => "nothing was heard of any of them since".to_owned(),
            (Self::Beyond(..), None, Some((at, prefix))) => {
                format!("others answer it, the last of them in {prefix} at {}", at.clock())
            }
            (Self::Beyond(..), None, None) => "nobody beyond its own network answered it since".to_owned(),
        }
    }

    fn filter(self) -> String {
        match self {
            Self::Port(_, server, port) => format!("{} && tcp.port == {port}", filter::host(server)),
            Self::Network(_, client, prefix) => {
                format!("{} && {}", filter::host(client), filter::network(client, prefix))
            }
            Self::Beyond(_, client) => filter::host(client),
        }
    }
}

impl Crowd {
    /// What is to be said of all of them, if they are many or were.
    pub fn claim(&mut self, common: Common, attempt: &Attempt, cx: &Context<'_>) -> Option<(Claim, many::Telling)> {
        let (count, what) = match common {
            Common::Port(..) => (self.clients().len(), "clients"),
            Common::Network(..) => (self.servers().len(), "addresses"),
            Common::Beyond(..) => (self.networks().len(), "networks"),
        };
        if !self.is_one(count) {
            return None;
        }
        let since = self.members().map(|m| m.since).min().unwrap_or(attempt.since);
        let alive = self.members().filter_map(|m| m.alive).max();
        let elsewhere = attempt.elsewhere.filter(|(at, _)| *at >= since);
        let is_hearsay = matches!(common, Common::Beyond(..)) && count > many::HEARSAY && elsewhere.is_some();
        let (confidence, severity) = if alive.is_some() || self.members().any(|m| m.has_others) {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, if is_hearsay { Severity::Info } else { Severity::Warning })
        };
        let telling =
            self.tell(severity, || common.key(Key::new().with("domain", cx.world.domains.name(attempt.domain))));
        let cited: Vec<Cited> = if telling.is_first {
            let mut by_time: Vec<&Member> = self.members().collect();
            by_time.sort_by_key(|member| member.since);
            by_time.into_iter().filter_map(|member| member.first.clone()).take(many::CITED).collect()
        } else {
            attempt.cited.last().into_iter().cloned().collect()
        };
        let sends = self.members().fold(0, |sum: u64, m| sum.saturating_add(m.sends));
        let heard = common.heard(alive, elsewhere);
        let headline = format!("{} since {}: {sends} SYNs, no answer; {heard}.", self.who_tries(common), since.clock());
        let claim = Claim::new(telling.key.clone(), confidence, severity, headline)
            .seen(since, sends)
            .until(attempt.until)
            .at(attempt.vantage)
            .number("syns", sends)
            .number("connections", self.members().count())
            .number(what, count)
            .number("next_hop", attempt.gateway.to_string())
            .proved_by(cited)
            .filter(format!("{} && tcp.flags.syn == 1", common.filter()));
        // What holds one network's silence explains nothing of many.
        let claim = match common {
            Common::Beyond(..) => claim,
            Common::Port(..) | Common::Network(..) => claim.number("prefix", Prefix::of(attempt.server).to_string()),
        };
        Some((claim, telling))
    }

    fn who_tries(&self, common: Common) -> String {
        let (clients, servers) = (self.clients(), self.servers());
        let at_least = self.at_least();
        let ports = || many::listed(&many::distinct(self.places().map(|(.., port)| port)));
        match common {
            Common::Port(_, server, port) => {
                format!("{at_least}{} clients ({}) try {server}:{port}", clients.len(), many::listed(&clients))
            }
            Common::Network(_, client, prefix) => format!(
                "{client} tries {at_least}{} addresses in {prefix} ({}) by TCP {}",
                servers.len(),
                many::listed(&servers),
                ports()
            ),
            Common::Beyond(_, client) => format!(
                "{client} tries {at_least}{} servers in {} networks ({}) by TCP {}",
                servers.len(),
                self.networks().len(),
                many::listed(&servers),
                ports()
            ),
        }
    }

    fn clients(&self) -> Vec<IpAddr> {
        many::distinct(self.places().map(|(_, client, ..)| client))
    }

    fn servers(&self) -> Vec<IpAddr> {
        many::distinct(self.places().map(|(_, _, server, _)| server))
    }

    fn networks(&self) -> Vec<Prefix> {
        many::distinct(self.places().map(|(_, _, server, _)| Prefix::of(server)))
    }
}
