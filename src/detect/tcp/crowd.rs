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
#[derive(Default)]
pub struct Crowd {
    members: Vec<Member>,
    /// What was told of all as one, and how grave it was.
    told: Option<(Key, Severity)>,
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
    /// The connection of `attempt` does not open; its server was heard at `alive`.
    pub fn join(&mut self, place: Place, attempt: &Attempt, alive: Option<Timestamp>) {
        let (since, sends, has_others) = (attempt.since, attempt.sends, attempt.others > 0);
        let member = Member { place, since, sends, alive, has_others, first: attempt.cited.first().cloned() };
        if let Some(known) = self.members.iter_mut().find(|member| member.place == place) {
            *known = member;
        } else if self.members.len() < many::MOST {
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
        self.told.take_if(|_| self.members.is_empty()).map(|(key, _)| key)
    }

    /// What is to be said of all of them, if they are many or were; and the key of what was said before, if that was too grave.
    pub fn claim(&mut self, common: Common, attempt: &Attempt, cx: &Context<'_>) -> Option<(Claim, Option<Key>)> {
        let (count, what) = match common {
            Common::Port(..) => (self.clients().len(), "clients"),
            Common::Network(..) => (self.servers().len(), "addresses"),
            Common::Beyond(..) => (self.networks().len(), "networks"),
        };
        if self.told.is_none() && count <= many::EACH {
            return None;
        }
        let since = self.members.iter().map(|m| m.since).min().unwrap_or(attempt.since);
        let alive = self.members.iter().filter_map(|m| Some((m.alive?, m.place.2))).max();
        let elsewhere = attempt.elsewhere.filter(|(at, _)| *at >= since);
        let is_hearsay = matches!(common, Common::Beyond(..)) && count > many::HEARSAY && elsewhere.is_some();
        let (confidence, severity) = if alive.is_some() || self.members.iter().any(|m| m.has_others) {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, if is_hearsay { Severity::Info } else { Severity::Warning })
        };
        let before = self.told.take();
        let is_too_grave = is_hearsay && before.as_ref().is_some_and(|(_, told)| severity < *told);
        let cited: Vec<Cited> = if before.is_some() && !is_too_grave {
            attempt.cited.last().into_iter().cloned().collect()
        } else {
            self.members.iter().filter_map(|member| member.first.clone()).take(many::CITED).collect()
        };
        let fresh = || common.key(Key::new().with("domain", cx.world.domains.name(attempt.domain)));
        let key = before.map_or_else(fresh, |(key, _)| key);
        self.told = Some((key.clone(), severity));
        let sends = self.members.iter().fold(0, |sum: u64, m| sum.saturating_add(m.sends));
        let heard = common.heard(alive, elsewhere);
        let headline = format!("{} since {}: {sends} SYNs, no answer; {heard}.", self.who_tries(common), since.clock());
        let claim = Claim::new(key.clone(), confidence, severity, headline)
            .seen(since, sends)
            .until(attempt.until)
            .at(attempt.vantage)
            .number("syns", sends)
            .number("connections", self.members.len())
            .number(what, count)
            .number("next_hop", attempt.gateway.to_string())
            .proved_by(cited)
            .filter(format!("{} && tcp.flags.syn == 1", common.filter()));
        // What holds one network's silence explains nothing of many.
        let claim = match common {
            Common::Beyond(..) => claim,
            Common::Port(..) | Common::Network(..) => claim.number("prefix", Prefix::of(attempt.server).to_string()),
        };
        Some((claim, is_too_grave.then_some(key)))
    }

    fn who_tries(&self, common: Common) -> String {
        let (clients, servers) = (self.clients(), self.servers());
        let at_least = if self.members.len() < many::MOST { "" } else { "at least " };
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
