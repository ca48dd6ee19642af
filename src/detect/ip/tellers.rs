//! Routers and hosts of many networks that tell one sender of packets that they cannot deliver, for IP001: one line (findings.md 1.2).
//! At most 256 are told apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::{Context, filter, many};
use crate::finding::{Claim, Command, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, Prefix};

/// What those say of whom nobody but one sender is told; `P` is what tells them apart.
pub struct Tellers<P> {
    said: BTreeMap<P, Said>,
    /// What was told of all as one, and how grave it was.
    told: Option<(Key, Severity)>,
}

/// What one of them says.
#[derive(Clone, Copy)]
pub struct Said {
    pub by: IpAddr,
    pub since: Timestamp,
    pub count: u64,
}

impl<P> Default for Tellers<P> {
    fn default() -> Self {
        Self { said: BTreeMap::new(), told: None }
    }
}

impl<P: Ord + Copy> Tellers<P> {
    /// This is said.
    pub fn join(&mut self, place: P, said: Said) {
        if self.said.len() < many::MOST || self.said.contains_key(&place) {
            self.said.insert(place, said);
        }
    }

    /// It is not said any more; whether it was told with others, and the key of what was told of all, if nobody is left who says it.
    pub fn leave(&mut self, place: &P) -> (bool, Option<Key>) {
        let was_told = self.said.remove(place).is_some() && self.told.is_some();
        (was_told, self.told.take_if(|_| self.said.is_empty()).map(|(key, _)| key))
    }

    /// Those that are in it.
    pub fn places(&self) -> impl Iterator<Item = P> {
        self.said.keys().copied()
    }

    /// Since when they say so, `now` at the latest, and how often.
    pub fn seen(&self, now: Timestamp) -> (Timestamp, u64) {
        let since = self.said.values().map(|said| said.since).min().unwrap_or(now);
        (since, self.said.values().fold(0, |sum: u64, said| sum.saturating_add(said.count)))
    }

    /// What is to be said of all that `sender` is told, if they are many or were; and the key of what was said before, if that was too grave.
    pub fn claim(&mut self, (domain, sender): (DomainId, IpAddr), cx: &Context<'_>) -> Option<(Claim, Option<Key>)> {
        let tellers = many::distinct(self.said.values().map(|said| said.by));
        let networks = many::distinct(tellers.iter().map(|by| Prefix::of(*by))).len();
        if self.told.is_none() && networks <= many::EACH {
            return None;
        }
        let severity = if networks > many::HEARSAY { Severity::Info } else { Severity::Warning };
        let before = self.told.take();
        let is_too_grave = before.as_ref().is_some_and(|(_, told)| severity < *told);
        let fresh = || Key::new().with("domain", cx.world.domains.name(domain)).with("sender", sender);
        let key = before.map_or_else(fresh, |(key, _)| key);
        self.told = Some((key.clone(), severity));
        let (since, messages) = self.seen(cx.now);
        let at_least = if self.said.len() < many::MOST { "" } else { "at least " };
        let headline = format!(
            "{at_least}{} routers and hosts in {networks} networks ({}) answer {sender} that they cannot deliver its packets: {messages} answers since {}.",
            tellers.len(),
            many::listed(&tellers),
            since.clock(),
        );
        let claim = Claim::new(key.clone(), Confidence::Confirmed, severity, headline)
            .number("messages", messages)
            .number("reporters", tellers.len())
            .number("networks", networks)
            .number("source", sender.to_string())
            .filter(format!("(icmp.type == 3 || icmpv6.type == 1) && {}", filter::host(sender)))
            .cause("a program that tries whom it has heard of: peer-to-peer, a crawler, a monitor with an old list")
            .cause("what these networks have in common is gone: a tunnel, a provider, a route")
            .step("On the sender, see which program asks", Command::with("ss -tunp src {}", &[&sender]));
        Some((claim, is_too_grave.then_some(key)))
    }
}
