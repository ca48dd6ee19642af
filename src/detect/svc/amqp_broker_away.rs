//! SVC004: a message broker ends the connections of several clients at once, and takes no new ones from then on. One that is started anew and takes
//! them again at once is none; what never was heard of the broker, as when its machine dies, is told by TCP002.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{AT_ONCE, CLIENTS, CONNECTIONS};
use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Span, Timestamp};
use crate::world::{BrokerEnd, BrokerEvent, BrokerStep, Derived, Endpoint, Observation, TELL_EVERY, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC004",
        name: "amqp-broker-away",
        levels: &[
            (Confidence::Confirmed, Severity::Info),
            (Confidence::Confirmed, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("amqp_broker_away.md"),
    },
    hears: &[],
    follows: &[Topic::Broker, Topic::Attempt],
    needs: Needs::Frames,
    make: |_| Box::new(AmqpBrokerAway { lost: BoundedMap::new(MOST) }),
};

/// New connections that must come to nothing, or clients whose do, and over how long: whoever is started anew takes them again within seconds.
const TRIES: u64 = 3;
const LASTING: Span = Span::secs(2);
/// How long after the end a new connection that fails belongs to it.
const BELONGS: Span = Span::secs(300);
/// Without another broker for its clients this long, nothing that needs one works.
const GRAVE: Span = Span::secs(30);
/// Brokers that are followed; ends of connections that are kept of each, and clients that try again.
const MOST: usize = 64;
const MOST_ENDS: usize = 1_024;
const MOST_CLIENTS: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 3;

struct AmqpBrokerAway {
    lost: BoundedMap<Endpoint, Broker>,
}

/// What one broker ended.
#[derive(Default)]
struct Broker {
    ends: Vec<End>,
    /// Whose they were.
    clients: BTreeSet<IpAddr>,
    /// When a new connection came to nothing first, and how often each client tried since.
    first: Option<Timestamp>,
    tried: BTreeMap<IpAddr, u64>,
    is_refusing: bool,
    /// Another broker that took one of its clients, and when.
    moved: Option<(IpAddr, Timestamp)>,
    claimed: Option<Key>,
    told: Option<Timestamp>,
    cited: usize,
}

/// The end of a connection.
struct End {
    at: Timestamp,
    client: IpAddr,
    vantage: VantageId,
    is_orderly: bool,
    cited: Option<Cited>,
}

impl AmqpBrokerAway {
    /// `broker` ended its connection with `client`.
    fn ended(&mut self, broker: Endpoint, client: IpAddr, end: &BrokerEnd) {
        let &BrokerEnd { at, vantage, is_orderly, ref cited, .. } = end;
        let known = self.lost.entry(&broker, Broker::default);
        if !known.is_over(at) {
            known.begin_anew(at);
        }
        if known.ends.len() < MOST_ENDS {
            let cited = (known.ends.len() < CITED).then(|| cited.clone());
            known.ends.push(End { at, client, vantage, is_orderly, cited });
            known.clients.insert(client);
        }
    }

    /// `server` takes a connection from `client`.
    fn accepted(&mut self, server: Endpoint, client: IpAddr, cx: &mut Context<'_>) {
        if let Some(mut broker) = self.lost.remove(&server) {
            if let Some(key) = broker.claimed.clone() {
                broker.tell(server, cx);
                cx.resolve(key, format!("it took a connection of {client} at {}", cx.now.clock()));
            }
            return;
        }
        let left: Vec<Endpoint> =
            self.lost.by_age().filter(|(_, b)| b.clients.contains(&client)).map(|(at, _)| *at).collect();
        for at in left {
            if let Some(broker) = self.lost.peek_mut(&at) {
                broker.moved.get_or_insert((server.0, cx.now));
            }
        }
    }

    /// A new connection of `client` to `broker` was refused, or not answered as often as it was sent.
    fn failed(&mut self, broker: Endpoint, client: IpAddr, sends: Option<u64>, cx: &mut Context<'_>) {
        let Some(known) = self.lost.peek_mut(&broker) else { return };
        if !known.is_over(cx.now) {
            return;
        }
        let first = *known.first.get_or_insert(cx.now);
        known.is_refusing = sends.is_none();
        if known.tried.len() < MOST_CLIENTS || known.tried.contains_key(&client) {
            let tries = known.tried.entry(client).or_default();
            *tries = sends.unwrap_or(tries.saturating_add(1)).max(*tries);
        }
        let is_enough = (known.tries() >= TRIES || known.tried.len() >= CLIENTS) && cx.now.since(first) >= LASTING;
        if is_enough && known.told.is_none_or(|told| cx.now.since(told) >= TELL_EVERY) {
            known.tell(broker, cx);
        }
    }
}

impl Detector for AmqpBrokerAway {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(derived) = seen else { return };
        match derived {
            Derived::Broker(BrokerStep { broker, client, what }) => match what {
                BrokerEvent::Ended(end) => self.ended(*broker, client.0, end),
                BrokerEvent::Took => self.accepted(*broker, client.0, cx),
                BrokerEvent::Asked => {}
            },
            Derived::Refused(refusal) => self.failed((refusal.server, refusal.port), refusal.client, None, cx),
            Derived::Unopened(attempt) => {
                self.failed((attempt.server, attempt.port), attempt.client, Some(attempt.sends), cx);
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let told: Vec<Endpoint> = self.lost.by_age().map(|(at, _)| *at).collect();
        for at in told {
            // Once more, with all that there was.
            if let Some(broker) = self.lost.peek_mut(&at).filter(|broker| broker.claimed.is_some()) {
                broker.tell(at, cx);
            }
        }
    }
}

impl Broker {
    /// Whether so many connections ended together that it was the end of all.
    fn is_end(&self, at: Timestamp) -> bool {
        self.ends.len() >= CONNECTIONS && self.clients.len() >= CLIENTS && self.is_lately(at)
    }

    /// What ended long before `at` belongs to no end of all.
    fn begin_anew(&mut self, at: Timestamp) {
        let mut ends = std::mem::take(&mut self.ends);
        ends.retain(|end| at.since(end.at) <= AT_ONCE);
        let clients = ends.iter().map(|end| end.client).collect();
        *self = Self { ends, clients, ..Self::default() };
    }

    /// Whether it ended all, and may still be away at `now`.
    fn is_over(&self, now: Timestamp) -> bool {
        self.is_end(now) || self.claimed.is_some()
    }

    fn is_lately(&self, now: Timestamp) -> bool {
        self.ends.last().is_some_and(|end| now.since(end.at) <= BELONGS)
    }

    fn tries(&self) -> u64 {
        self.tried.values().fold(0, |sum, tries| sum.saturating_add(*tries))
    }

    fn tell(&mut self, (ip, port): Endpoint, cx: &mut Context<'_>) {
        let (Some(first), Some(last), Some(failing)) = (self.ends.first(), self.ends.last(), self.first) else {
            return;
        };
        let broker = SocketAddr::from((ip, port)).to_string();
        let clients = self.clients.len();
        let orderly = self.ends.iter().filter(|end| end.is_orderly).count();
        let is_orderly = orderly.saturating_mul(2) >= self.ends.len();
        let how = if is_orderly { "closes" } else { "drops" };
        let refuses = if self.is_refusing { "refuses each new one" } else { "answers no new one" };
        let moved = match self.moved {
            Some((other, at)) => format!(" {other} took the first of them after {}.", at.since(first.at)),
            None => " No other broker was seen to take them.".to_owned(),
        };
        let why = if is_orderly { ", as an operator stops it (320)" } else { "" };
        let headline = format!(
            "The broker {broker} {how} {} connections of {clients} clients at {}{why}, and {refuses} since: {} tries by {} clients.{moved}",
            self.ends.len(),
            first.at.clock(),
            self.tries(),
            self.tried.len(),
        );
        let severity = match self.moved {
            _ if is_orderly => Severity::Info,
            None if cx.now.since(failing) >= GRAVE => Severity::Critical,
            _ => Severity::Error,
        };
        let cited: Vec<Cited> = self.ends.iter().filter_map(|end| end.cited.clone()).skip(self.cited).collect();
        self.cited = self.cited.saturating_add(cited.len());
        let key = self.claimed.get_or_insert_with(|| Key::new().with("broker", &broker)).clone();
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .seen(first.at, self.ends.len() as u64)
            .until(last.at)
            .at(first.vantage)
            .number("connections", self.ends.len())
            .number("clients", clients)
            .number("closed_in_order", orderly)
            .number("tries", self.tries())
            .proved_by(cited)
            .filter(format!(
                "{} && tcp.port == {port} && (tcp.flags.reset == 1 || tcp.flags.fin == 1)",
                filter::host(ip)
            ));
        let claim = match self.moved {
            Some((other, _)) => claim.number("moved_to", other.to_string()),
            None => claim,
        };
        // That an operator wants it so is no excuse for whoever needs it: what fails meanwhile stands for itself.
        let claim = if is_orderly {
            claim
        } else {
            claim.number("broker_host", ip.to_string()).number("broker_port", port.to_string())
        };
        self.told = Some(cx.now);
        cx.raise(told(claim, is_orderly, port));
    }
}

/// The claim with its causes and what to do.
fn told(claim: Claim, is_orderly: bool, port: u16) -> Claim {
    let claim = if is_orderly {
        claim.cause("an operator stopped or restarts it, or its machine shuts down")
    } else {
        claim
            .cause("the kernel ended it because its memory was full, most often by messages that are too large (SVC002) or that nobody fetches")
            .cause("it crashed, or its disk is full")
            .cause("a partition of its cluster: it paused itself, being in the minority")
    };
    claim
        .step(
            "On the broker, see whether it runs, and what ended it",
            "systemctl status rabbitmq-server; journalctl -k --grep oom",
        )
        .step("See whether it listens", Command::with("ss -ltnp sport = :{}", &[&port]))
        .step(
            "Once it is back, see who has not come back, and restart that service",
            "rabbitmqctl list_connections peer_host user state",
        )
}
