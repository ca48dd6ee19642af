//! Servers of many networks that refuse one client, for TCP003: one line (findings.md 1.2). At most 256 are told apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::{Context, filter, many};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, Prefix};

/// A network, a server in it or behind it, and its port.
pub type Place = (DomainId, IpAddr, u16);

/// The ports that refuse one client, of which nobody else wants anything.
#[derive(Default)]
pub struct Refusers {
    ports: BTreeMap<Place, Refuser>,
    /// What was told of all as one, and how grave it was.
    told: Option<(Key, Severity)>,
}

/// How often and when a port refused.
pub struct Refuser {
    pub since: Timestamp,
    pub last: Timestamp,
    pub attempts: u64,
    pub first: Option<Cited>,
    pub latest: Option<Cited>,
}

impl Refusers {
    /// The port at `place` refuses.
    pub fn join(&mut self, place: Place, refuser: Refuser) {
        if self.ports.len() < many::MOST || self.ports.contains_key(&place) {
            self.ports.insert(place, refuser);
        }
    }

    /// The port at `place` accepts, or refuses others, too.
    pub fn leave(&mut self, place: Place) {
        self.ports.remove(&place);
    }

    /// Whether all are told as one, and the port at `place` with them.
    pub fn tells_of(&self, place: Place) -> bool {
        self.told.is_some() && (self.ports.contains_key(&place) || self.ports.len() >= many::MOST)
    }

    /// Those that are in it.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.ports.keys().copied()
    }

    /// The key of what was told of all of them, if nobody is left of whom it could be told.
    pub fn is_over(&mut self) -> Option<Key> {
        self.told.take_if(|_| self.ports.is_empty()).map(|(key, _)| key)
    }

    /// What is to be said of all that refuse `client` at `vantage`, if they are many or were; and the key of what was said before, if that was too grave.
    pub fn claim(
        &mut self,
        (domain, client): (DomainId, IpAddr),
        vantage: VantageId,
        cx: &Context<'_>,
    ) -> Option<(Claim, Option<Key>)> {
        let servers = many::distinct(self.ports.keys().map(|(_, server, _)| *server));
        let networks = many::distinct(servers.iter().map(|server| Prefix::of(*server))).len();
        if self.told.is_none() && networks <= many::EACH {
            return None;
        }
        let severity = if networks > many::HEARSAY { Severity::Info } else { Severity::Warning };
        let before = self.told.take();
        let is_too_grave = before.as_ref().is_some_and(|(_, told)| severity < *told);
        let mut by_time: Vec<&Refuser> = self.ports.values().collect();
        by_time.sort_by_key(|refuser| refuser.since);
        let cited: Vec<Cited> = if before.is_some() && !is_too_grave {
            by_time.iter().max_by_key(|refuser| refuser.last).and_then(|r| r.latest.clone()).into_iter().collect()
        } else {
            by_time.iter().filter_map(|refuser| refuser.first.clone()).take(many::CITED).collect()
        };
        let since = by_time.first().map_or(cx.now, |refuser| refuser.since);
        let last = by_time.iter().map(|refuser| refuser.last).max().unwrap_or(since);
        let attempts = by_time.iter().fold(0, |sum: u64, refuser| sum.saturating_add(refuser.attempts));
        let fresh = || Key::new().with("domain", cx.world.domains.name(domain)).with("client", client);
        let key = before.map_or_else(fresh, |(key, _)| key);
        self.told = Some((key.clone(), severity));
        let at_least = if self.ports.len() < many::MOST { "" } else { "at least " };
        let headline = format!(
            "{client} is refused by {at_least}{} servers in {networks} networks ({}) at TCP {} since {}: {attempts} attempts; those hosts are up and nothing accepts there.",
            servers.len(),
            many::listed(&servers),
            many::listed(&many::distinct(self.ports.keys().map(|(.., port)| *port))),
            since.clock(),
        );
        let claim = Claim::new(key.clone(), Confidence::Confirmed, severity, headline)
            .seen(since, attempts)
            .until(last)
            .at(vantage)
            .number("attempts", attempts)
            .number("servers", servers.len())
            .number("networks", networks)
            .proved_by(cited)
            .filter(format!("{} && (tcp.flags.reset == 1 || tcp.flags.syn == 1)", filter::host(client)))
            .cause("a program that tries whom it has heard of: peer-to-peer, a crawler, a monitor with an old list")
            .cause("a filter near the client refuses in the servers' names")
            .step("On the client, see which program asks", Command::with("ss -tnp src {}", &[&client]))
            .step("See whether a filter refuses", "nft list ruleset | grep -i reject");
        Some((claim, is_too_grave.then_some(key)))
    }
}
