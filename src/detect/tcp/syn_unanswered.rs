//! A client tries to connect and hears nothing, neither yes nor no (RFC 9293 section 3.5). Scans, and strangers who knock at a closed
//! door, say nothing; a refusal is an answer.

use std::net::IpAddr;

use super::crowd::{Common, Crowd, Member, Place};
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
        levels: &[
            (Confidence::Likely, Severity::Info),
            (Confidence::Likely, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("syn_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Attempt],
    needs: Needs::Ethernet,
    make: |settings| Box::new(SynUnanswered::new(settings)),
};

/// How long after a network is reached its machines have to answer again.
const SETTLING: Span = Span::secs(15);

struct SynUnanswered {
    /// What was said of connections, each by itself.
    claimed: BoundedMap<Place, Key>,
    crowds: BoundedMap<Common, Crowd>,
    /// Networks that a client did not reach (IP002) until then.
    reached: BoundedMap<(DomainId, IpAddr, Prefix), Timestamp>,
}

impl SynUnanswered {
    fn new(settings: &Settings) -> Self {
        let limit = settings.tables.attempts;
        Self { claimed: BoundedMap::new(limit), crowds: BoundedMap::new(limit), reached: BoundedMap::new(limit) }
    }

    fn unopened(&mut self, attempt: &Attempt, cx: &mut Context<'_>) {
        let Attempt { domain, client, client_mac, server, port, .. } = *attempt;
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let place = (domain, client, server, port);
        if !stations.is_own_word(client, client_mac, domain, domains) && !attempt.is_served
            || !stations.station(client_mac, domain, domains).is_some_and(|s| s.is_addressed)
            || (self.is_settling(attempt) && self.claimed.peek(&place).is_none())
        {
            return;
        }
        let owner = stations.owner(server, domain, domains).and_then(|mac| stations.station(mac, domain, domains));
        let proof = owner.and_then(|s| s.proof).map(|proof| proof.time);
        let alive = proof.max(attempt.alive).filter(|at| *at >= attempt.since);
        if self.is_told_with_others(place, attempt, alive, cx) {
            return;
        }
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
            (Some(at), _) if attempt.thrown_away.is_some() => {
                let (member, bond) = thrown_away(attempt, cx);
                format!(
                    "the server answers, at {} last, but its answers come in at {member}, and {bond} throws them away",
                    at.clock()
                )
            }
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
        if attempt.thrown_away.is_some() {
            let (member, bond) = thrown_away(attempt, cx);
            cx.raise(told_of_member(claim.number("thrown_away_at", member.clone()), &member, &bond));
        } else {
            cx.raise(told(claim, attempt, alive.is_some()));
        }
    }

    /// Whether what `place` has in common with others is told, as many have it; of it alone nothing is said then.
    fn is_told_with_others(
        &mut self,
        place: Place,
        attempt: &Attempt,
        alive: Option<Timestamp>,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut is_told = false;
        for common in Common::of(place) {
            let crowd = self.crowds.entry(&common, Crowd::default);
            if !common.takes(attempt, alive) {
                crowd.part(place, cx);
                continue;
            }
            crowd.join(place, Member::of(attempt, alive));
            if is_told {
                continue;
            }
            let Some((claim, telling)) = crowd.claim(common, attempt, cx) else { continue };
            telling.absorb(crowd.places().filter_map(|place| self.claimed.remove(&place)), cx);
            cx.raise(match common {
                Common::Port(..) => told(claim, attempt, alive.is_some()),
                Common::Network(..) => told_of_network(claim, attempt),
                Common::Beyond(..) => told_of_beyond(claim, attempt),
            });
            is_told = true;
        }
        is_told
    }

    /// The connection at `place` opened, or was refused, at `at`.
    fn connected(&mut self, place: Place, at: Timestamp, cx: &mut Context<'_>) {
        if let Some(key) = self.claimed.remove(&place) {
            cx.resolve(key, format!("the server answered at {}", at.clock()));
        }
        for common in Common::of(place) {
            let Some(crowd) = self.crowds.get_mut(&common) else { continue };
            if let (_, Some(key)) = crowd.leave(place) {
                cx.resolve(key, format!("the last of them was answered at {}", at.clock()));
            }
        }
    }

    /// Whether the silence that `attempt` met is that of a network that has only just been reached.
    fn is_settling(&self, attempt: &Attempt) -> bool {
        let network = (attempt.domain, attempt.client, Prefix::of(attempt.server));
        self.reached.peek(&network).is_some_and(|at| *at > attempt.since && attempt.until.since(*at) < SETTLING)
    }
}

impl Detector for SynUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Unopened(attempt)) => self.unopened(attempt, cx),
            Observation::Derived(Derived::Connected { domain, client, server, port, at }) => {
                self.connected((*domain, *client, *server, *port), *at, cx);
            }
            Observation::Derived(Derived::Reached { domain, client, prefix, at, .. }) => {
                self.reached.insert((*domain, *client, *prefix), *at);
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

/// The claim with causes and remedies, where many addresses of one network are silent.
fn told_of_network(claim: Claim, attempt: &Attempt) -> Claim {
    let Attempt { client, server, .. } = attempt;
    claim
        .cause("that network is down, or nothing leads there: a router, a route or a link on the way is gone")
        .cause("the machines there are not there any more, and the client has not been told")
        .cause("a security group or firewall drops it without a word, or there is no way back to the client")
        .step("See which way the client takes", Command::with("ip route get {}", &[&server]))
        .step("See how far it comes", Command::with("traceroute -n -T {}", &[&server]))
        .step("There, see whether a way leads back", Command::with("ip route get {}", &[&client]))
        .step("See what filters stand on the way", "openstack security group rule list; nft list ruleset")
}

/// The claim with causes and remedies, where servers of many networks are silent.
fn told_of_beyond(claim: Claim, attempt: &Attempt) -> Claim {
    let Attempt { client, server, .. } = attempt;
    let is_answered = attempt.elsewhere.is_some();
    let claim = if is_answered {
        claim
            .cause("a program that tries whom it has heard of: peer-to-peer, a crawler, a monitor with an old list")
            .cause("what these networks have in common is gone: a tunnel, a provider, a route")
    } else {
        claim
            .cause("the way out is gone: the gateway has no route or no provider, or does not translate the address")
            .cause("a security group or firewall lets nothing out, or no answer in")
    };
    claim
        .step("See which way the client takes", Command::with("ip route get {}", &[&server]))
        .step("See how far it comes", Command::with("traceroute -n -T {}", &[&server]))
        .step("On the client, see which program asks", Command::with("ss -tnp state syn-sent src {}", &[&client]))
}

/// The member at which answers come in, and the bond that does not take them.
fn thrown_away(attempt: &Attempt, cx: &Context<'_>) -> (String, String) {
    let Some(id) = attempt.thrown_away else { return Default::default() };
    let member = cx.world.vantage(id).map(|v| v.name.to_string()).unwrap_or_default();
    (member, cx.world.uplink(id).unwrap_or_else(|| "the bond".to_owned()))
}

/// The claim with causes and remedies, where answers come to the wrong member of a bond.
fn told_of_member(claim: Claim, member: &str, bond: &str) -> Claim {
    claim
        .cause(format!("the switch believes the client behind {member}, a standby: it has not seen that another member became active"))
        .cause("the members hang on two switches, or two ports, that do not know of each other, and one has learned the address wrongly")
        .step("See which member the bond uses", Command::with("cat /proc/net/bonding/{}", &[&bond]))
        .step("Look in the switch at which port it has learned the client's address", "")
        .step(
            "Let the bond announce more than once that another member is active",
            Command::with("ip link set {} type bond num_grat_arp 5", &[&bond]),
        )
}
