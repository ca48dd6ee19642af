//! A client tries a whole network through its gateway and nobody there answers, while other networks do (findings.md, IP002). Scans are
//! no tries, and one dead host is no network.

use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::BoundedMap;
use crate::world::{Derived, DomainId, Observation, Prefix, Topic, Unreached};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "IP002",
        name: "subnet-unreachable",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("subnet_unreachable.md"),
    },
    hears: &[],
    follows: &[Topic::Attempt],
    needs: Needs::Ethernet,
    make: |settings| Box::new(SubnetUnreachable::new(settings)),
};

/// Destinations that a headline names.
const NAMED: usize = 3;

struct SubnetUnreachable {
    claimed: BoundedMap<(DomainId, IpAddr, Prefix), Key>,
}

impl SubnetUnreachable {
    fn new(settings: &Settings) -> Self {
        Self { claimed: BoundedMap::new(settings.tables.attempts) }
    }

    fn unreached(&mut self, domain: DomainId, unreached: &Unreached, cx: &mut Context<'_>) {
        let Unreached { client, client_mac, prefix, gateway, .. } = *unreached;
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let is_two_way = stations.station(client_mac, domain, domains).is_some_and(|s| s.is_addressed);
        if !stations.is_own_word(client, client_mac, domain, domains) || !is_two_way {
            return;
        }
        let proof =
            stations.station(gateway, domain, domains).and_then(|s| s.proof).filter(|p| p.time >= unreached.since);
        if proof.is_none() && unreached.answering.is_empty() {
            // Nothing answers: that is no matter of this network alone.
            return;
        }
        let refused = unreached.refusal.filter(|(code, _)| matches!(code, 0 | 1 | 5 | 13));
        let confidence = if refused.is_some() { Confidence::Confirmed } else { Confidence::Likely };
        let fresh = || {
            let key = Key::new().with("source", client).with("prefix", prefix).with("gateway", gateway);
            key.with("domain", domains.name(domain))
        };
        let key = self.claimed.entry(&(domain, client, prefix), fresh).clone();
        let claim = Claim::new(key, confidence, Severity::Error, headline(unreached, proof.is_some()))
            .seen(unreached.since, unreached.attempts)
            .until(unreached.last)
            .at(unreached.vantage)
            .number("targets", unreached.targets.len())
            .number("attempts", unreached.attempts)
            .number("seconds", unreached.last.since(unreached.since).as_secs())
            .number("tried", tried(unreached))
            .number("next_hop", gateway.to_string())
            .proved_by(unreached.cited.clone())
            .filter(format!("{} && {}", filter::host(client), filter::network(client, prefix)));
        let claim = match unreached.refusal {
            Some((code, router)) => claim.number("refused_by", router.to_string()).number("icmp_code", u16::from(code)),
            None => claim,
        };
        cx.raise(told(claim, unreached));
    }
}

impl Detector for SubnetUnreachable {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Unreached(told)) => self.unreached(told.0, &told.1, cx),
            Observation::Derived(Derived::Reached { domain, client, prefix, server, at }) => {
                if let Some(key) = self.claimed.remove(&(*domain, *client, *prefix)) {
                    cx.resolve(key, format!("{server} answered at {}", at.clock()));
                }
            }
            _ => {}
        }
    }
}

fn headline(unreached: &Unreached, is_gateway_alive: bool) -> String {
    let Unreached { client, prefix, .. } = unreached;
    let whom: Vec<String> = unreached.targets.iter().take(NAMED).map(ToString::to_string).collect();
    let more = unreached.targets.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let silence = match unreached.answered {
        Some(at) => format!("Nobody in {prefix} has answered {client} since {}", at.clock()),
        None => format!("Nobody in {prefix} answers {client}"),
    };
    let refusal = match unreached.refusal {
        Some((code, router)) => format!("; {router} says that it is {}", meaning(code)),
        None => String::new(),
    };
    let others = match (is_gateway_alive, unreached.answering.as_slice()) {
        (true, []) => "the gateway still answers".to_owned(),
        (true, [first, ..]) => format!("the gateway and {first} still answer"),
        (false, [first, ..]) => format!("{first} still answers"),
        (false, []) => String::new(),
    };
    format!(
        "{silence}: {} addresses ({}{more}) tried {} times by {} since {}{refusal}; {others}.",
        unreached.targets.len(),
        whom.join(", "),
        unreached.attempts,
        tried(unreached),
        unreached.since.clock(),
    )
}

/// What was tried: `TCP 22 and 6868, echo`.
fn tried(unreached: &Unreached) -> String {
    let ports: Vec<String> = unreached.ports.iter().map(ToString::to_string).collect();
    match (ports.as_slice(), unreached.has_echo) {
        ([], _) => "echo".to_owned(),
        (ports, false) => format!("TCP {}", ports.join(", ")),
        (ports, true) => format!("TCP {} and echo", ports.join(", ")),
    }
}

/// The words of RFC 792 and RFC 1812 section 5.2.7.1 for a code of "destination unreachable".
fn meaning(code: u8) -> &'static str {
    match code {
        0 => "a network that it cannot reach",
        1 => "hosts that it cannot reach",
        9 | 10 | 13 => "forbidden by its rules",
        _ => "unreachable",
    }
}

fn told(claim: Claim, unreached: &Unreached) -> Claim {
    let Unreached { client, prefix, .. } = unreached;
    let target = unreached.targets.first().copied().unwrap_or(*client);
    let claim = match unreached.refusal {
        Some((9 | 10 | 13, router)) => claim.cause(format!("a filter on {router} forbids it")),
        Some((_, router)) => {
            claim.cause(format!("{router} has no way to {prefix}: a route or a router interface is missing"))
        }
        None => claim,
    };
    claim
        .cause(format!("{prefix} is the wrong network: machines were put where {client} has no way to (zone and subnet of the deployment)"))
        .cause(format!("the router has no interface in {prefix}, or the machines there have no way back"))
        .cause("a security group or firewall drops it without a word")
        .cause(format!("{client} sends through the wrong gateway"))
        .step("Compare the networks of the deployment with those that exist", "bosh cloud-config; openstack subnet list")
        .step(format!("See which way {client} takes"), Command::with("ip route get {}", &[&target]))
        .step("See which networks the router joins", "openstack router show ROUTER")
        .step("See whether the machines there have a way back", Command::with("ip route get {}", &[&client]))
        .step("Only when that is mended, free what waits: unlocking first repeats it", "bosh cancel-task; bosh locks")
}
