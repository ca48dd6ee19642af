//! SVC006: a broker that had ended all its connections takes them again, and one of its clients, which lives, does not even try: its service has not
//! noticed, or has given up. Whoever tries, or went to another broker, is no concern here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{AT_ONCE, CLIENTS, CONNECTIONS};
use crate::detect::{Context, Detector, Entry, Needs, filter, many};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Mac, Span, TimedMap, Timestamp};
use crate::world::{BrokerEnd, BrokerEvent, BrokerStep, Derived, DomainId, Endpoint, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC006",
        name: "amqp-client-not-back",
        levels: &[(Confidence::Likely, Severity::Error)],
        page: include_str!("amqp_client_not_back.md"),
    },
    hears: &[],
    follows: &[Topic::Broker],
    needs: Needs::Ethernet,
    make: |_| Box::new(AmqpClientNotBack::new()),
};

/// How long after the broker took the first connection the others have to come back (findings.md, SVC006).
const PATIENCE: Span = Span::secs(120);
/// How long before the end of that a client must have been heard, to be one that lives.
const LATELY: Span = Span::secs(20);
/// How old a connection must be whose client is expected back: a command that asks for one thing opens one, too.
const LASTING: Span = Span::secs(60);
/// Brokers that are followed, clients that are told apart of each, and connections of which is known when they began.
const MOST: usize = 64;
const MOST_CLIENTS: usize = 1_024;
const MOST_OPENED: usize = 4_096;

struct AmqpClientNotBack {
    /// When connections began, by client and broker.
    opened: BoundedMap<(Endpoint, Endpoint), Timestamp>,
    /// What a broker ended, until it takes a connection.
    lost: BoundedMap<Endpoint, Lost>,
    /// Those that are expected back, until they had their time.
    awaited: TimedMap<Endpoint, Awaited>,
    /// Of whom it was said that they are not.
    missing: BTreeMap<(Endpoint, IpAddr), Key>,
}

/// Connections that ended together, and whose they were.
#[derive(Default)]
struct Lost {
    last: Option<Timestamp>,
    connections: usize,
    clients: BTreeMap<IpAddr, Client>,
}

/// A client as it was when its connection ended.
#[derive(Clone)]
struct Client {
    mac: Mac,
    domain: DomainId,
    vantage: VantageId,
    ended: Timestamp,
    cited: Cited,
}

/// A broker that is back.
struct Awaited {
    back: Timestamp,
    /// How many had lost it.
    all: usize,
    clients: BTreeMap<IpAddr, Client>,
}

impl AmqpClientNotBack {
    fn new() -> Self {
        Self {
            opened: BoundedMap::new(MOST_OPENED),
            lost: BoundedMap::new(MOST),
            awaited: TimedMap::new(MOST),
            missing: BTreeMap::new(),
        }
    }

    /// `broker` ended its connection with `client`.
    fn ended(&mut self, broker: Endpoint, client: Endpoint, end: &BrokerEnd) {
        let &BrokerEnd { at, to, domain, vantage, ref cited, .. } = end;
        let is_lasting = self.opened.remove(&(client, broker)).is_none_or(|began| at.since(began) >= LASTING);
        let Some(mac) = to.filter(|_| is_lasting) else { return };
        let lost = self.lost.entry(&broker, Lost::default);
        if lost.last.is_some_and(|last| at.since(last) > AT_ONCE) && !lost.is_of_all() {
            *lost = Lost::default();
        }
        lost.last = Some(at);
        lost.connections = lost.connections.saturating_add(1);
        if lost.clients.len() < MOST_CLIENTS {
            lost.clients.insert(client.0, Client { mac, domain, vantage, ended: at, cited: cited.clone() });
        }
    }

    /// `client` is at a broker: nobody waits for it any more. If it is the first that `broker` takes, the others are awaited there from now on.
    fn took(&mut self, broker: Endpoint, client: IpAddr, cx: &mut Context<'_>) {
        let found: Vec<(Endpoint, IpAddr)> =
            self.missing.keys().filter(|(_, missing)| *missing == client).copied().collect();
        for key in found.iter().filter_map(|at| self.missing.remove(at)).collect::<Vec<_>>() {
            // Several may be told as one.
            if !self.missing.values().any(|other| *other == key) {
                cx.resolve(key, format!("{client} has a connection since {}", cx.now.clock()));
            }
        }
        self.tries(client);
        let Some(mut lost) = self.lost.remove(&broker).filter(Lost::is_of_all) else { return };
        let all = lost.clients.len();
        lost.clients.remove(&client);
        let awaited = Awaited { back: cx.now, all, clients: lost.clients };
        self.awaited.insert_until(broker, awaited, cx.now.after(PATIENCE));
    }

    /// `client` asks for a connection.
    fn tries(&mut self, client: IpAddr) {
        for broker in self.awaited.waiting().copied().collect::<Vec<_>>() {
            if let Some(awaited) = self.awaited.get_mut(&broker) {
                awaited.clients.remove(&client);
            }
        }
    }

    /// Those who are awaited at `broker` had their time.
    fn judge(&mut self, broker: Endpoint, cx: &mut Context<'_>) {
        let Some(Awaited { back, all, mut clients }) = self.awaited.remove(&broker) else { return };
        // Where most do not come back, that is how its clients are.
        if clients.len().saturating_mul(2) > all {
            return;
        }
        let until = back.after(PATIENCE);
        clients.retain(|ip, client| {
            let (stations, domains) = (&cx.world.stations, &cx.world.domains);
            let station = stations.station(client.mac, client.domain, domains);
            // Behind a router nobody knows whether it lives.
            station.is_some_and(|s| s.own_address() == Some(*ip) && until.since(s.last) <= LATELY)
        });
        let is_one = clients.len() > many::EACH;
        let told: Vec<Vec<(IpAddr, Client)>> = if is_one {
            vec![clients.into_iter().collect()]
        } else {
            clients.into_iter().map(|client| vec![client]).collect()
        };
        for missing in told {
            let key = Key::new();
            let key = if is_one { key } else { missing.iter().fold(key, |key, (ip, _)| key.with("client", ip)) };
            let key = key.with("broker", SocketAddr::from(broker));
            cx.raise(claim(key.clone(), broker, back, all, &missing));
            let room = MOST_CLIENTS.saturating_sub(self.missing.len());
            self.missing.extend(missing.iter().take(room).map(|(ip, _)| ((broker, *ip), key.clone())));
        }
    }
}

impl Detector for AmqpClientNotBack {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Broker(BrokerStep { broker, client, what })) = seen else { return };
        match what {
            BrokerEvent::Asked => {
                self.opened.insert((*client, *broker), cx.now);
                self.tries(client.0);
            }
            BrokerEvent::Took => self.took(*broker, client.0, cx),
            BrokerEvent::Ended(end) => self.ended(*broker, *client, end),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.awaited.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(broker) = self.awaited.due(cx.now) {
            self.judge(broker, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for broker in self.awaited.waiting() {
            if let Some(Awaited { back, clients, .. }) = self.awaited.peek(broker).filter(|a| !a.clients.is_empty()) {
                let (broker, missing) = (SocketAddr::from(*broker), clients.len());
                cx.pending(format!("{missing} clients of the broker {broker} have not come back to it yet"), *back);
            }
        }
    }
}

impl Lost {
    /// Whether so much ended that it was the end of all.
    fn is_of_all(&self) -> bool {
        self.connections >= CONNECTIONS && self.clients.len() >= CLIENTS
    }
}

fn claim(key: Key, broker: Endpoint, back: Timestamp, all: usize, missing: &[(IpAddr, Client)]) -> Claim {
    let names: Vec<IpAddr> = missing.iter().map(|(ip, _)| *ip).collect();
    let (who, they) = match names.as_slice() {
        [one] => (one.to_string(), "has not even tried"),
        _ => (format!("{} clients ({})", names.len(), many::listed(&names)), "have not even tried"),
    };
    let (ip, port) = broker;
    let at = SocketAddr::from(broker);
    let headline = format!(
        "The broker {at} takes connections again since {}; of the {all} clients that had lost it {who} {they} for {PATIENCE}, though alive.",
        back.clock()
    );
    let claim = Claim::new(key, Confidence::Likely, Severity::Error, headline)
        .seen(missing.iter().map(|(_, client)| client.ended).min().unwrap_or(back), missing.len() as u64)
        .until(back)
        .number("clients", all)
        .number("missing", missing.len())
        .number("broker_host", ip.to_string())
        .number("broker_port", port.to_string())
        .proved_by(missing.iter().take(many::CITED).map(|(_, client)| client.cited.clone()))
        .assuming("the service that had the connection is meant to run on");
    let claim = match missing {
        [(client, lost)] => {
            claim.at(lost.vantage).filter(format!("{} && tcp.dstport == {port}", filter::host(*client)))
        }
        _ => claim.filter(format!("tcp.dstport == {port} && tcp.flags.syn == 1")),
    };
    claim
        .cause("the service has not noticed that its connection is gone, or gave up: some do after a long absence of the broker")
        .cause("the service was stopped, or died with the connection")
        .step("On that machine, see what became of its connections", Command::with("ss -tnpo dport = :{}", &[&port]))
        .step("Restart the service that is missing", "systemctl restart nova-compute")
        .step("Then see whether it is up", "openstack compute service list")
}
