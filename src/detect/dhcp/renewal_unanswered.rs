//! A client wants to keep its address and its server does not answer (RFC 2131 section 4.4.5). A single lost question is no trouble.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::wait::Waits;
use super::{LISTED, answers_pass, network, server_of};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP004",
        name: "renewal-unanswered",
        levels: &[
            (Confidence::Likely, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("renewal_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Request, Topic::Ack, Topic::Nak, Topic::OtherDhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(RenewalUnanswered::new(settings)),
};

/// So long the last try may still be answered: servers answer renewals from memory, within milliseconds.
const GRACE: Span = Span::secs(2);
/// A client that is still there this long after its lease ended has lived through the end.
const AFTER_END: Span = Span::secs(5);
/// Clients unanswered within this span are one trouble of their server.
const TOGETHER: Span = Span::secs(60);
/// Clients that are counted of a server while it is not known to be dead.
const MOST_SILENT: usize = 64;

struct RenewalUnanswered {
    tries: u64,
    wait: Span,
    clients: usize,
    limit: usize,
    waits: Waits,
    servers: BTreeMap<Option<Ipv4Addr>, Server>,
}

/// A server, for what its clients have in common.
#[derive(Default)]
struct Server {
    /// When it answered anybody last.
    answered: Option<Timestamp>,
    /// Clients that wait in vain, and when that was so first.
    silent: BTreeMap<TalkId, Timestamp>,
    /// The claim about the server as a whole, if it stands, and since when.
    claimed: Option<(Key, Timestamp, Timestamp)>,
}

/// How far it has come with a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Renewing,
    Rebinding,
    Ended,
}

impl RenewalUnanswered {
    fn new(settings: &Settings) -> Self {
        Self {
            tries: u64::from(settings.dhcp.request_tries),
            wait: Span::secs(settings.dhcp.request_wait_s),
            clients: settings.dhcp.renew_clients,
            limit: settings.tables.clients.max(1),
            waits: Waits::new(settings.tables.clients),
            servers: BTreeMap::new(),
        }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>) {
        let wait = self.waits.ask(step);
        let due = wait.asked.time.after(self.wait).max(step.time.after(GRACE));
        if wait.tries >= self.tries {
            self.waits.judge_by(step.talk, due);
        }
    }

    fn judge(&mut self, talk: TalkId, now: Timestamp, cx: &mut Context<'_>) {
        let Some(wait) = self.waits.of(talk) else { return };
        let (asked, last, starts_over) = (Arc::clone(&wait.asked), Arc::clone(&wait.last), wait.starts_over);
        let Some(why) = answers_pass(&asked, cx) else { return };
        let server = server_of(&asked);
        let lease_end = asked.lease.map(|lease| lease.end).filter(|end| *end != Timestamp::MAX);
        let stations = &cx.world.stations;
        let heard = stations.station(asked.client, asked.domain, &cx.world.domains).map(|s| s.last);
        let stage = if lease_end.is_some_and(|end| heard.is_some_and(|at| at > end)) {
            Stage::Ended
        } else if last.asking == Some(Asking::Rebinding) || starts_over {
            Stage::Rebinding
        } else {
            Stage::Renewing
        };
        if stage != Stage::Ended
            && let Some(end) = lease_end.filter(|end| end.after(AFTER_END) > now)
        {
            self.waits.judge_at(talk, end.after(AFTER_END));
        }
        if self.servers.len() >= self.limit && !self.servers.contains_key(&server) {
            self.servers.pop_first();
        }
        let state = self.servers.entry(server).or_default();
        state.add(talk, now);
        if state.is_dead(self.clients, now, &self.waits) {
            self.together(talk, why, now, cx);
        } else {
            self.alone(talk, stage, lease_end, why, cx);
        }
    }

    fn alone(&mut self, talk: TalkId, stage: Stage, end: Option<Timestamp>, why: &'static str, cx: &mut Context<'_>) {
        let Some(wait) = self.waits.of(talk) else { return };
        let asked = Arc::clone(&wait.asked);
        let (client, server) = (asked.client, server_of(&asked));
        let level = match stage {
            Stage::Renewing => (Confidence::Likely, Severity::Warning),
            Stage::Rebinding => (Confidence::Confirmed, Severity::Error),
            Stage::Ended => (Confidence::Confirmed, Severity::Critical),
        };
        let server = server.map_or_else(|| "its server".to_owned(), |ip| ip.to_string());
        let until = match (end, stage) {
            (Some(end), Stage::Ended) => format!("; its lease ended at {}", end.clock()),
            (Some(end), _) => format!("; its lease ends at {}", end.clock()),
            (None, _) => String::new(),
        };
        let headline = format!(
            "{client} ({}) renews {} with {server} since {} without an answer: {} in {}{until}.",
            network(asked.domain, cx),
            asked.ciaddr,
            asked.cited.time.clock(),
            wait.spoken("REQUEST"),
            wait.last.time.since(asked.time),
        );
        let key = wait.claimed.get_or_insert_with(|| Key::new().with("client", client).with("server", &server)).clone();
        let grant = cx.world.dhcp.granted(client, talk).map(|granted| granted.cited.clone());
        let evidence = grant.into_iter().chain(wait.fresh());
        let mut claim = Claim::new(key, level.0, level.1, headline)
            .seen(asked.cited.time, wait.tries)
            .at(asked.cited.at.vantage)
            .number("requests", wait.tries)
            .number("domain", cx.world.domains.name(asked.domain))
            .number("waited_s", wait.waited(cx.now).as_secs())
            .number("secs_field", u64::from(asked.secs));
        if let Some(lease) = asked.lease {
            if !lease.is_listed {
                claim = claim.number("lease_s", lease.end.since(lease.from).as_secs());
            }
            claim = claim.number("remaining_s", lease.end.since(cx.now).as_secs());
        }
        let filter = format!("dhcp.hw.mac_addr == {client} && dhcp.option.dhcp == 3 && dhcp.ip.client != 0.0.0.0");
        if asked.lease.is_some_and(|lease| lease.is_listed) {
            claim = claim.assuming(LISTED);
        }
        claim = told(claim.proved_by(evidence).filter(filter).assuming(why), server_of(&asked));
        if cx.world.stations.is_only_end(asked.cited.at.vantage, client) {
            claim = claim.cause(
                "answers are sent but do not reach this interface; a capture on the host or at the server would tell",
            );
        }
        cx.raise(claim);
    }

    /// Several clients of one server wait in vain: one claim for all of them.
    fn together(&mut self, talk: TalkId, why: &'static str, now: Timestamp, cx: &mut Context<'_>) {
        let Some(asked) = self.waits.of(talk).map(|w| Arc::clone(&w.asked)) else { return };
        let Some(state) = self.servers.get_mut(&server_of(&asked)) else { return };
        let address = server_of(&asked);
        let server = address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let who = address.map_or_else(|| "their server".to_owned(), |ip| ip.to_string());
        let waiting: Vec<TalkId> = match state.claimed {
            // Those before are in the claim already.
            Some(_) => vec![talk],
            None => state.silent.keys().copied().collect(),
        };
        let mut evidence = Vec::new();
        let mut first = asked.cited.time;
        for id in &waiting {
            let Some(wait) = self.waits.of(*id) else { continue };
            first = first.min(wait.asked.cited.time);
            evidence.push(wait.asked.cited.clone());
            wait.fresh();
            if let Some(single) = wait.claimed.take() {
                cx.absorb(single, format!("it is one of several, and the finding about {who} speaks for them"));
            }
        }
        evidence.sort_by_key(|cited| cited.time);
        let (key, first, _) =
            state.claimed.get_or_insert_with(|| (Key::new().with("server", &server), first, now)).clone();
        let clients = state.silent.len();
        let (since, network) = (first.clock(), network(asked.domain, cx));
        let headline = match address {
            Some(server) => format!(
                "{server} renews no lease any more since {since}: {clients} clients ask to keep their addresses, and none is answered."
            ),
            None => format!(
                "Nobody renews leases ({network}) any more since {since}: {clients} clients ask everybody to keep their addresses, and none is answered."
            ),
        };
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Critical, headline)
            .seen(first, clients as u64)
            .at(asked.cited.at.vantage)
            .number("clients", clients)
            .number("renews_nobody", server)
            .number("domain", cx.world.domains.name(asked.domain))
            .proved_by(evidence)
            .filter("dhcp.option.dhcp == 3 && dhcp.ip.client != 0.0.0.0")
            .assuming(why);
        cx.raise(told(claim, address));
    }

    /// The client of `step` was answered.
    fn answered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        for server in [step.server, step.lease.and_then(|lease| lease.server)] {
            let Some(state) = self.servers.get_mut(&server) else { continue };
            state.answered = state.answered.max(Some(step.time));
            if let Some((key, ..)) = state.claimed.take() {
                cx.resolve(key, format!("{} was answered", step.client));
            }
        }
        // Who asked everybody, and named no server, is told together with those who did alike.
        for state in self.servers.values_mut() {
            if state.silent.remove(&step.talk).is_some()
                && let Some((key, ..)) = state.claimed.take()
            {
                cx.resolve(key, format!("{} was answered", step.client));
            }
        }
        let Some(wait) = self.waits.close(step.talk) else { return };
        if let Some(key) = wait.claimed {
            let what = match (step.kind, step.server) {
                (DhcpKind::Nak, _) => "the client was refused".to_owned(),
                (_, Some(server)) => format!("{server} granted {}", step.yiaddr),
                (_, None) => format!("the client was granted {}", step.yiaddr),
            };
            cx.resolve(key, what);
        }
    }
}

impl Detector for RenewalUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Request if step.is_renewal() => self.asked(step),
            // It starts over: its lease has ended, or it does not believe in it any more.
            DhcpKind::Discover if self.waits.of(step.talk).is_some_and(|w| w.claimed.is_some()) => {
                if let Some(wait) = self.waits.of(step.talk) {
                    wait.cite(&step.cited);
                    wait.starts_over = true;
                }
                self.judge(step.talk, step.time, cx);
            }
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack | DhcpKind::Nak => self.answered(step, cx),
            DhcpKind::Discover | DhcpKind::Request | DhcpKind::Release
                if self.waits.of(step.talk).is_some_and(|w| w.claimed.is_none()) =>
            {
                self.waits.close(step.talk);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waits.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(talk) = self.waits.due(cx.now) {
            self.judge(talk, cx.now, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for wait in self.waits.iter().filter(|w| w.claimed.is_none()) {
            let is_told = self.servers.values().any(|s| s.claimed.is_some() && s.silent.contains_key(&wait.asked.talk));
            if !is_told && answers_pass(&wait.asked, cx).is_some() {
                let what = format!(
                    "{} waits for an answer to its renewal of {}, {} so far",
                    wait.asked.client,
                    wait.asked.ciaddr,
                    wait.spoken("REQUEST")
                );
                cx.pending(what, wait.asked.cited.time);
            }
        }
    }
}

impl Server {
    fn add(&mut self, talk: TalkId, now: Timestamp) {
        self.silent.entry(talk).or_insert(now);
        // As long as it is not the server's trouble, a few are enough to tell whether it becomes that.
        if self.claimed.is_none() && self.silent.len() > MOST_SILENT {
            self.silent.pop_first();
        }
    }

    /// Whether so many clients wait in vain at the same time, and nobody was answered meanwhile, that it is the server.
    fn is_dead(&mut self, clients: usize, now: Timestamp, waits: &Waits) -> bool {
        if self.claimed.is_some() {
            return true;
        }
        self.silent.retain(|id, since| now.since(*since) <= TOGETHER && waits.peek(*id).is_some());
        let answered = self.answered;
        let in_vain = |id: &&TalkId| waits.peek(**id).is_some_and(|w| answered.is_none_or(|at| at < w.asked.time));
        self.silent.keys().filter(in_vain).count() >= clients
    }
}

fn told(claim: Claim, server: Option<Ipv4Addr>) -> Claim {
    let at = server.map(|ip| format!(" at {ip}")).unwrap_or_default();
    let claim = claim
        .cause(format!("no DHCP server runs{at} any more: the process has died"))
        .cause("the way to the server is broken: a link, a VLAN, a switch port")
        .cause("the server has moved to another address, and its clients still ask at the old one")
        .cause("a filter passes broadcasts only, so that DORA works and renewals do not")
        .step("See whether the server runs and listens", "ss -lnup 'sport = :67'; pgrep -a dnsmasq");
    let claim = server.into_iter().fold(claim, |claim, ip| {
        claim.step("See whether the server is reached at all", Command::with("ping -c 3 {}", &[&ip]))
    });
    claim
        .step("Look on the server's side whether the questions arrive", "tcpdump -eni any 'udp port 67'")
        .step("Start the server again; a longer lease would only hide this", "systemctl restart neutron-dhcp-agent")
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP004", &play("bond0", end, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {} {}", mac(1), ip(9))
    }

    /// A lease of a minute, and its renewal at these seconds.
    fn renewing(at: &[i64]) -> Vec<(i64, Say)> {
        let leased = vec![(0, Say::request(1, 9)), (5, Say::ack(1, 9).lease(60))];
        let tries = at.iter().map(|s| (s * 1_000, Say::renew(1)));
        leased.into_iter().chain(tries).collect()
    }

    #[test]
    fn two_tries_and_six_seconds_make_it_likely_and_one_try_says_nothing() {
        let said = renewing(&[30, 34]);
        assert_eq!(at(35_999, &said), [""; 0]);
        assert_eq!(at(36_000, &said), [line("likely/warning Open")]);
        assert_eq!(at(55_000, &renewing(&[30])), [""; 0]);
        let mut late = renewing(&[30, 37]);
        late.push((38_000, Say::ack(1, 9).lease(60)));
        assert_eq!(at(60_000, &late), [""; 0], "the first was lost, the second answered");
    }

    #[test]
    fn broadcast_in_vain_is_an_error_and_living_past_the_end_critical() {
        let mut said = renewing(&[30, 34]);
        said.push((53_000, Say::rebind(1)));
        assert_eq!(at(55_000, &said), [line("confirmed/error Open")]);
        // Who was switched off before its lease ended has lost nothing.
        assert_eq!(at(90_000, &said), [line("confirmed/error Open")]);
        said.push((61_000, Say::discover(1)));
        assert_eq!(at(61_000, &said), [line("confirmed/critical Open")]);
        said.push((62_000, Say::ack(1, 9)));
        assert_eq!(at(90_000, &said), [line("confirmed/critical Resolved")]);
    }

    #[test]
    fn three_clients_are_their_servers_trouble_and_one_answer_ends_it() {
        let mut said: Vec<_> = [(1, 0), (2, 1_000), (3, 2_000), (1, 4_000), (2, 5_000), (3, 6_000)]
            .map(|(c, t)| (t, Say::renew(c)))
            .into();
        assert_eq!(at(7_000, &said).len(), 2);
        assert_eq!(at(8_000, &said), ["confirmed/critical Open 10.0.0.9"]);
        said.push((9_000, Say::ack(2, 9)));
        assert_eq!(at(9_000, &said), ["confirmed/critical Resolved 10.0.0.9"]);
    }

    #[test]
    fn where_answers_may_pass_unseen_nothing_is_said() {
        let said = renewing(&[30, 34]);
        // One direction of an unknown interface: the client is heard, nobody else.
        let one_way: Vec<_> = said.iter().filter(|(ms, _)| *ms != 5).cloned().collect();
        assert_eq!(found("DHCP004", &play("mirror", 50_000, &one_way)), [""; 0]);
        assert_eq!(found("DHCP004", &play("mirror", 50_000, &said)).len(), 1);
    }
}
