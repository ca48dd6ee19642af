//! Routers and hosts of many networks that tell one sender of packets that they cannot deliver, for IP001: one line (findings.md 1.2).
//! At most 256 are told apart.

use std::net::IpAddr;

use crate::detect::{Context, filter, many};
use crate::finding::{Claim, Command, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, Prefix};

/// What those say of whom nobody but one sender is told; `P` is what tells them apart.
pub type Tellers<P> = many::Crowd<P, Said>;

/// What one of them says.
#[derive(Clone, Copy)]
pub struct Said {
    pub by: IpAddr,
    pub since: Timestamp,
    pub count: u64,
}

impl<P: Ord + Copy> Tellers<P> {
    /// Since when they say so, `now` at the latest, and how often.
    pub fn seen(&self, now: Timestamp) -> (Timestamp, u64) {
        let since = self.members().map(|said| said.since).min().unwrap_or(now);
        (since, self.members().fold(0, |sum: u64, said| sum.saturating_add(said.count)))
    }

    /// What is to be said of all that `sender` is told, if they are many or were.
    pub fn claim(&mut self, (domain, sender): (DomainId, IpAddr), cx: &Context<'_>) -> Option<(Claim, many::Telling)> {
        let tellers = many::distinct(self.members().map(|said| said.by));
        let networks = many::distinct(tellers.iter().map(|by| Prefix::of(*by))).len();
        if !self.is_one(networks) {
            return None;
        }
        let severity = if networks > many::HEARSAY { Severity::Info } else { Severity::Warning };
        let fresh = || Key::new().with("domain", cx.world.domains.name(domain)).with("sender", sender);
        let telling = self.tell(severity, fresh);
        let (since, messages) = self.seen(cx.now);
        let at_least = self.at_least();
        let headline = format!(
            "{at_least}{} routers and hosts in {networks} networks ({}) answer {sender} that they cannot deliver its packets: {messages} answers since {}.",
            tellers.len(),
            many::listed(&tellers),
            since.clock(),
        );
        let claim = Claim::new(telling.key.clone(), Confidence::Confirmed, severity, headline)
            .number("messages", messages)
            .number("reporters", tellers.len())
            .number("networks", networks)
            .number("source", sender.to_string())
            .filter(format!("(icmp.type == 3 || icmpv6.type == 1) && {}", filter::host(sender)))
            .cause("a program that tries whom it has heard of: peer-to-peer, a crawler, a monitor with an old list")
            .cause("what these networks have in common is gone: a tunnel, a provider, a route")
            .step("On the sender, see which program asks", Command::with("ss -tunp src {}", &[&sender]));
        Some((claim, telling))
    }
}
