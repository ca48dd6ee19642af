//! Servers of many networks that refuse one client, for TCP003: one line (findings.md 1.2). At most 256 are told apart.

use std::net::IpAddr;

use crate::detect::{Context, filter, many};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, Prefix};

/// A network, a server in it or behind it, and its port.
pub type Place = (DomainId, IpAddr, u16);

/// The ports that refuse one client, of which nobody else wants anything.
pub type Refusers = many::Crowd<Place, Refuser>;

/// How often and when a port refused.
pub struct Refuser {
    pub since: Timestamp,
    pub last: Timestamp,
    pub attempts: u64,
    pub first: Option<Cited>,
    pub latest: Option<Cited>,
}

impl Refusers {
    /// What is to be said of all that refuse `client` at `vantage`, if they are many or were.
    pub fn claim(
        &mut self,
        (domain, client): (DomainId, IpAddr),
        vantage: VantageId,
        cx: &Context<'_>,
    ) -> Option<(Claim, many::Telling)> {
        let servers = many::distinct(self.places().map(|(_, server, _)| server));
        let networks = many::distinct(servers.iter().map(|server| Prefix::of(*server))).len();
        if !self.is_one(networks) {
            return None;
        }
        let severity = if networks > many::HEARSAY { Severity::Info } else { Severity::Warning };
        let fresh = || Key::new().with("domain", cx.world.domains.name(domain)).with("client", client);
        let telling = self.tell(severity, fresh);
        let mut by_time: Vec<&Refuser> = self.members().collect();
        by_time.sort_by_key(|refuser| refuser.since);
        let cited: Vec<Cited> = if telling.is_first {
            by_time.iter().filter_map(|refuser| refuser.first.clone()).take(many::CITED).collect()
        } else {
            by_time.iter().max_by_key(|refuser| refuser.last).and_then(|r| r.latest.clone()).into_iter().collect()
        };
        let since = by_time.first().map_or(cx.now, |refuser| refuser.since);
        let last = by_time.iter().map(|refuser| refuser.last).max().unwrap_or(since);
        let attempts = by_time.iter().fold(0, |sum: u64, refuser| sum.saturating_add(refuser.attempts));
        let at_least = self.at_least();
        let headline = format!(
            "{client} is refused by {at_least}{} servers in {networks} networks ({}) at TCP {} since {}: {attempts} attempts; those hosts are up and nothing accepts there.",
            servers.len(),
            many::listed(&servers),
            many::listed(&many::distinct(self.places().map(|(.., port)| port))),
            since.clock(),
        );
        let claim = Claim::new(telling.key.clone(), Confidence::Confirmed, severity, headline)
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
        Some((claim, telling))
    }
}
