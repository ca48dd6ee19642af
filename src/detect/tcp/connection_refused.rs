//! A server refuses connections to one of its ports: a RST answers the SYN (RFC 9293 section 3.10.7.1). The end of a connection that was
//! open is no refusal; scans, strangers and the odd single attempt are nobody's outage.

use std::net::IpAddr;

use super::refusers::{Place, Refuser, Refusers};
use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, Timestamp};
use crate::world::{Derived, DomainId, Observation, Prefix, Refusal, TELL_EVERY, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "TCP003",
        name: "connection-refused",
        levels: &[
            (Confidence::Confirmed, Severity::Info),
            (Confidence::Confirmed, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("connection_refused.md"),
    },
    hears: &[],
    follows: &[Topic::Attempt],
    needs: Needs::Frames,
    make: |settings| Box::new(ConnectionRefused::new(settings)),
};

/// Attempts that must be refused, and over how long: a service that is restarted refuses one or two.
const ATTEMPTS: u64 = 3;
const LASTING: Span = Span::secs(2);
/// Clients that are told apart.
const MOST_CLIENTS: usize = 16;
/// Frames that are cited: the first, and the latest in the last place.
const MOST_CITED: usize = 5;
/// Hops between a server's answers and its refusals from which somebody else refuses.
const ELSEWHERE: u8 = 2;
/// Times to live with which systems send.
const FIRST_HOPS: [u8; 4] = [32, 64, 128, 255];

/// How often, and over how long, a client from elsewhere must be refused to be one that needs the service: who only looks around does not come back.
const RETURNS: u64 = 3;
const RETURNING: Span = Span::secs(10);

struct ConnectionRefused {
    ports: BoundedMap<Place, Port>,
    /// Clients from elsewhere that were refused: since when, and how often.
    strangers: BoundedMap<(Place, IpAddr), (Timestamp, u64)>,
    /// Who refuses a client alone, beyond its own network.
    refusers: BoundedMap<(DomainId, IpAddr), Refusers>,
}

/// One port of one server, since it refused first.
struct Port {
    since: Timestamp,
    last: Timestamp,
    vantage: VantageId,
    attempts: u64,
    clients: Vec<IpAddr>,
    /// How many hops farther or nearer than the server the refusals come from.
    apart: u8,
    cited: Vec<Cited>,
    told: Option<(Timestamp, usize)>,
}

impl ConnectionRefused {
    fn new(settings: &Settings) -> Self {
        let limit = settings.tables.attempts;
        Self { ports: BoundedMap::new(limit), strangers: BoundedMap::new(limit), refusers: BoundedMap::new(limit) }
    }

    fn refused(&mut self, refusal: &Refusal, cx: &mut Context<'_>) {
        let Refusal { domain, client, client_mac, server, port, .. } = *refusal;
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let place = (domain, server, port);
        let is_known = refusal.is_served || stations.is_own_word(client, client_mac, domain, domains);
        let (since, before) = if is_known { (cx.now, 0) } else { self.returns(place, client, cx.now) };
        if !is_known && (before < RETURNS.saturating_sub(1) || cx.now.since(since) < RETURNING) {
            return;
        }
        let entry = self.ports.entry(&place, || Port::new(refusal, since));
        if !entry.clients.contains(&client) {
            (entry.since, entry.attempts) = (entry.since.min(since), entry.attempts.saturating_add(before));
        }
        entry.note(refusal, cx.now);
        if !entry.tells(cx.now) {
            return;
        }
        let refuser = entry.alone(server).filter(|_| !refusal.is_served);
        if refuser.is_none_or(|refuser| !self.is_told_with_others(place, client, refuser, cx)) {
            self.tell(place, cx);
        }
    }

    /// Tells of one port by itself.
    fn tell(&mut self, place: Place, cx: &mut Context<'_>) {
        let (_, server, port) = place;
        let Some(entry) = self.ports.peek(&place) else { return };
        // What refuses several is told by itself, and is no part of what one of them tries.
        for client in entry.clients.iter().filter(|_| entry.clients.len() > 1) {
            self.refusers.peek_mut(&(place.0, *client)).into_iter().for_each(|refusers| refusers.part(place, cx));
        }
        cx.raise(entry.claim(key(place, cx), server, port));
    }

    /// Whether what `place` has in common with others that refuse `client` is told, as they are many; of it alone nothing is said then.
    fn is_told_with_others(&mut self, place: Place, client: IpAddr, refuser: Refuser, cx: &mut Context<'_>) -> bool {
        let of = (place.0, client);
        let refusers = self.refusers.entry(&of, Refusers::default);
        refusers.join(place, refuser);
        let Some(vantage) = self.ports.peek(&place).map(|entry| entry.vantage) else { return false };
        let Some((claim, telling)) = refusers.claim(of, vantage, cx) else { return false };
        let alone: Vec<Key> = refusers.places().map(|place| key(place, cx)).collect();
        telling.absorb(alone, cx);
        cx.raise(claim);
        true
    }

    /// The port at `place` accepts; whether it was told with others.
    fn leaves(&mut self, place: Place, entry: &Port, at: Timestamp, cx: &mut Context<'_>) -> bool {
        let mut was_told = false;
        for client in &entry.clients {
            let Some(refusers) = self.refusers.peek_mut(&(place.0, *client)) else { continue };
            let (with_others, over) = refusers.leave(place);
            was_told |= with_others;
            if let Some(key) = over {
                cx.resolve(key, format!("the last of them accepted a connection at {}", at.clock()));
            }
        }
        was_told
    }

    /// A client from elsewhere is refused at `now`: since when it has been, and how often before.
    fn returns(&mut self, place: Place, client: IpAddr, now: Timestamp) -> (Timestamp, u64) {
        let (since, count) = self.strangers.entry(&(place, client), || (now, 0));
        *count = count.saturating_add(1);
        (*since, count.saturating_sub(1))
    }
}

impl Detector for ConnectionRefused {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Refused(refusal)) => self.refused(refusal, cx),
            Observation::Derived(Derived::Accepted { domain, server, port, at }) => {
                let place = (*domain, *server, *port);
                if let Some(entry) = self.ports.remove(&place).filter(|entry| entry.told.is_some())
                    && !self.leaves(place, &entry, *at, cx)
                {
                    cx.raise(entry.claim(key(place, cx), *server, *port));
                    cx.resolve(key(place, cx), format!("it accepted a connection at {}", at.clock()));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let told = self.ports.by_age().filter(|(_, entry)| entry.told.is_some_and(|(at, _)| at < entry.last));
        for place in told.map(|(place, _)| *place).collect::<Vec<_>>() {
            let Some(entry) = self.ports.peek(&place) else { continue };
            let with_others = entry.clients.first().and_then(|client| {
                let refusers = self.refusers.peek(&(place.0, *client))?;
                refusers.tells_of(place).then_some((*client, entry.alone(place.1)?))
            });
            match with_others {
                Some((client, refuser)) => _ = self.is_told_with_others(place, client, refuser, cx),
                None => self.tell(place, cx),
            }
        }
    }
}

impl Port {
    fn new(refusal: &Refusal, at: Timestamp) -> Self {
        let (clients, cited, vantage) = (Vec::new(), Vec::new(), refusal.cited.at.vantage);
        Self { since: at, last: at, vantage, attempts: 0, clients, apart: 0, cited, told: None }
    }

    fn note(&mut self, refusal: &Refusal, at: Timestamp) {
        self.last = at;
        self.attempts = self.attempts.saturating_add(1);
        if !self.clients.contains(&refusal.client) && self.clients.len() < MOST_CLIENTS {
            self.clients.push(refusal.client);
        }
        if let (own, Some(others)) = refusal.ttl {
            self.apart = hops(own).abs_diff(hops(others));
        }
        if self.cited.len() >= MOST_CITED {
            self.cited.pop();
        }
        self.cited.push(refusal.cited.clone());
    }

    /// What it is to its client, where it refuses one alone, itself, and from beyond the client's own network.
    fn alone(&self, server: IpAddr) -> Option<Refuser> {
        let [client] = *self.clients.as_slice() else { return None };
        let is_beyond = Prefix::of(client) != Prefix::of(server) && self.apart < ELSEWHERE;
        let (first, latest) = (self.cited.first().cloned(), self.cited.last().cloned());
        is_beyond.then_some(Refuser { since: self.since, last: self.last, attempts: self.attempts, first, latest })
    }

    /// Whether there is enough to tell at `now`, and more than last time; notes that it was told.
    fn tells(&mut self, now: Timestamp) -> bool {
        let clients = self.clients.len();
        let is_enough = self.attempts >= ATTEMPTS && now.since(self.since) >= LASTING;
        let is_news = self.told.is_none_or(|(at, told)| clients > told || now.since(at) >= TELL_EVERY);
        if is_enough && is_news {
            self.told = Some((now, clients));
        }
        is_enough && is_news
    }

    fn claim(&self, key: Key, server: IpAddr, port: u16) -> Claim {
        let who = match self.clients.as_slice() {
            [one] => one.to_string(),
            many => format!("{} clients", many.len()),
        };
        let is_elsewhere = self.apart >= ELSEWHERE;
        let reading = if is_elsewhere {
            format!("who refuses stands {} hops away from it", self.apart)
        } else {
            "the host is up and nothing accepts there".to_owned()
        };
        let severity = if self.clients.len() > 1 { Severity::Error } else { Severity::Warning };
        let headline = format!(
            "{server} refuses TCP {port} since {}: {} attempts by {who}; {reading}.",
            self.since.clock(),
            self.attempts
        );
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .seen(self.since, self.attempts)
            .until(self.last)
            .at(self.vantage)
            .number("attempts", self.attempts)
            .number("clients", self.clients.len())
            .number("hops_apart", u16::from(self.apart))
            .proved_by(self.cited.clone())
            .filter(format!(
                "{} && tcp.port == {port} && (tcp.flags.reset == 1 || tcp.flags.syn == 1)",
                filter::host(server)
            ));
        let claim = match self.clients.as_slice() {
            [one] => claim.number("client", one.to_string()),
            _ => claim,
        };
        let claim = if is_elsewhere {
            claim
                .cause("a firewall on the way refuses in the server's name")
                .step("See how far the question gets", Command::with("traceroute -Tnp {} {}", &[&port, &server]))
        } else {
            claim
                .cause("the service does not run: it stopped, or did not start with the machine")
                .cause("it listens at another address, mostly 127.0.0.1 alone")
                .cause("a packet filter of the host refuses (REJECT with tcp-reset)")
        };
        claim
            .step(
                "On the server, see who listens there and at which address",
                Command::with("ss -ltnp sport = :{}", &[&port]),
            )
            .step("See whether the service failed, then start it", "systemctl --failed")
            .step("See whether a filter refuses", "nft list ruleset | grep -i reject")
    }
}

fn key((domain, server, port): Place, cx: &Context<'_>) -> Key {
    Key::new().with("domain", cx.world.domains.name(domain)).with("server", server).with("port", port)
}

/// How many routers a packet with this time to live has passed, if it began as most do.
fn hops(ttl: u8) -> u8 {
    FIRST_HOPS.into_iter().find(|first| *first >= ttl).unwrap_or(u8::MAX).saturating_sub(ttl)
}
