//! A client tries to connect and hears nothing, neither yes nor no (RFC 9293 section 3.5). Scans, and strangers who knock at a closed
//! door, say nothing; a refusal is an answer.

use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, Timestamp};
use crate::world::{Attempt, Derived, DomainId, Observation, Prefix, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "TCP002",
        name: "syn-unanswered",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("syn_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Attempt],
    needs: Needs::Ethernet,
    make: |settings| Box::new(SynUnanswered::new(settings)),
};

/// Connections into a network of which nobody answers (IP002) that stand under it as examples; the others are told by it.
const EXAMPLES: usize = 3;

/// How long after a network is reached its machines have to answer again.
const SETTLING: Span = Span::secs(15);

type Place = (DomainId, IpAddr, IpAddr, u16);

struct SynUnanswered {
    claimed: BoundedMap<Place, Key>,
    /// Networks that a client does not reach at all, or did not until then.
    unreached: BoundedMap<(DomainId, IpAddr, Prefix), Option<Timestamp>>,
}

impl SynUnanswered {
    fn new(settings: &Settings) -> Self {
        let limit = settings.tables.attempts;
        Self { claimed: BoundedMap::new(limit), unreached: BoundedMap::new(limit) }
    }

    fn unopened(&mut self, attempt: &Attempt, cx: &mut Context<'_>) {
        let Attempt { domain, client, client_mac, server, port, .. } = *attempt;
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let place = (domain, client, server, port);
        if !stations.is_own_word(client, client_mac, domain, domains) && !attempt.is_served
            || !stations.station(client_mac, domain, domains).is_some_and(|s| s.is_addressed)
            || (self.is_told_of_network(attempt) && self.claimed.peek(&place).is_none())
        {
            return;
        }
        let owner = stations.owner(server, domain, domains).and_then(|mac| stations.station(mac, domain, domains));
        let proof = owner.and_then(|s| s.proof).map(|proof| proof.time);
        let alive = proof.max(attempt.alive).filter(|at| *at >= attempt.since);
        let (confidence, severity) = if alive.is_some() || attempt.others > 0 {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, Severity::Warning)
        };
        let domain = cx.world.domains.name(attempt.domain);
        let fresh =
            || Key::new().with("domain", domain).with("client", client).with("server", server).with("port", port);
        let key = self.claimed.entry(&place, fresh).clone();
        let server_is = match (alive, attempt.others) {
            (Some(at), _) => format!("the server lives: it answered at {}", at.clock()),
            (None, 0) => "nothing was heard of the server since".to_owned(),
            (None, 1) => "another client tries in vain too".to_owned(),
            (None, others) => format!("{others} other clients try in vain too"),
        };
        let headline = format!(
            "{client} tries {server}:{port} since {}: {} SYNs in {}, no answer; {server_is}.",
            attempt.since.clock(),
            attempt.sends,
            attempt.until.since(attempt.since),
        );
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(attempt.since, attempt.sends)
            .until(attempt.until)
            .at(attempt.vantage)
            .number("syns", attempt.sends)
            .number("attempts", attempt.attempts)
            .number("seconds", attempt.until.since(attempt.since).as_secs())
            .number("prefix", Prefix::of(server).to_string())
            .number("next_hop", attempt.gateway.to_string())
            .number("other_clients", attempt.others)
            .proved_by(attempt.cited.clone())
            .filter(format!(
                "{} && {} && tcp.port == {port} && tcp.flags.syn == 1",
                filter::host(client),
                filter::host(server)
            ));
        cx.raise(told(claim, attempt, alive.is_some()));
    }

    /// Whether the silence that `attempt` met is that of a network that nobody reaches, or has only just been reached.
    fn is_told_of_network(&self, attempt: &Attempt) -> bool {
        let network = (attempt.domain, attempt.client, Prefix::of(attempt.server));
        self.unreached
            .peek(&network)
            .is_some_and(|reached| reached.is_none_or(|at| at > attempt.since && attempt.until.since(at) < SETTLING))
    }

    /// A whole network does not answer `client`: beyond a few examples that is told in one place.
    fn covered(&mut self, domain: DomainId, client: IpAddr, prefix: Prefix, cx: &mut Context<'_>) {
        self.unreached.insert((domain, client, prefix), None);
        let is_there = |place: &Place| (place.0, place.1, Prefix::of(place.2)) == (domain, client, prefix);
        let mut places: Vec<Place> = self.claimed.by_age().map(|(place, _)| *place).filter(is_there).collect();
        places.sort();
        for place in places.into_iter().skip(EXAMPLES) {
            if let Some(key) = self.claimed.remove(&place) {
                cx.absorb(key, format!("nobody in {prefix} answers {client}"));
            }
        }
    }
}

impl Detector for SynUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Unopened(attempt)) => self.unopened(attempt, cx),
            Observation::Derived(Derived::Connected { domain, client, server, port, at }) => {
                if let Some(key) = self.claimed.remove(&(*domain, *client, *server, *port)) {
                    cx.resolve(key, format!("the server answered at {}", at.clock()));
                }
            }
            Observation::Derived(Derived::Unreached(told)) => self.covered(told.0, told.1.client, told.1.prefix, cx),
            Observation::Derived(Derived::Reached { domain, client, prefix, at, .. }) => {
                self.unreached.insert((*domain, *client, *prefix), Some(*at));
            }
            _ => {}
        }
    }
}

/// The claim with causes and remedies, by whether the server lives.
fn told(claim: Claim, attempt: &Attempt, is_alive: bool) -> Claim {
    let Attempt { server, port, .. } = attempt;
    let claim = claim.cause("a security group or firewall drops it without a word");
    let claim = match (attempt.is_served, is_alive) {
        (true, _) => claim.cause("the service accepts no more: its queue of waiting connections is full"),
        (false, true) => claim.cause("the server has no way back to the client"),
        (false, false) => claim.cause("the server is down, or has no way back to the client"),
    };
    claim
        .step(
            "On the server, see whether it listens there and how full its queue is",
            Command::with("ss -ltn sport = :{}", &[&port]),
        )
        .step("See what filters stand before it", "openstack security group rule list; nft list ruleset")
        .step("See which way the client takes", Command::with("ip route get {}", &[&server]))
        .step(
            "Look on the server whether the questions arrive",
            Command::with("tcpdump -ni any 'tcp port {} and tcp[13] & 2 != 0'", &[&port]),
        )
}
