//! SVC008: a server answers a good part of its requests with errors of its own (RFC 9110 section 15.6). What is the client's fault (401, 404, 409)
//! says nothing, and nor does an error now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Outside, Span, Timestamp};
use crate::world::{Derived, Fate, Observation, Request, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC008",
        name: "http-error-burst",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("http_error_burst.md"),
    },
    hears: &[],
    follows: &[Topic::Http],
    needs: Needs::Frames,
    make: |_| Box::new(HttpErrorBurst::default()),
};

/// The first status that is the server's own fault.
const ERROR: u16 = 500;
/// Errors in a minute that are enough, where one answer of so many is one; and of how many at most one is where it is over (findings.md, SVC008).
const ENOUGH: u64 = 10;
const ONE_IN: u64 = 5;
const OVER_IN: u64 = 50;
/// A minute, by tens of seconds.
const TENS: usize = 6;
const TEN: Span = Span::secs(10);
const MINUTE: Span = Span::secs(60);
/// Servers that are followed; kinds of requests and clients that are told apart of each.
const MOST: usize = 1_024;
const MOST_KINDS: usize = 16;
const MOST_CLIENTS: usize = 64;
/// Statuses that a headline names, and requests that are cited.
const NAMED: usize = 3;
const CITED: usize = 3;

struct HttpErrorBurst {
    servers: BoundedMap<(IpAddr, u16), Server>,
}

/// One server.
struct Server {
    lately: [Ten; TENS],
    /// What it answered since its errors began.
    burst: Burst,
    claimed: Option<Key>,
    /// When it was told of last.
    told: Timestamp,
}

/// Answers of ten seconds.
#[derive(Clone, Copy, Default)]
struct Ten {
    /// Which tens of seconds.
    number: i64,
    answers: u64,
    errors: u64,
}

/// A run of errors with less than a minute between one and the next.
struct Burst {
    since: Timestamp,
    last: Timestamp,
    /// Whether the next error begins another.
    is_over: bool,
    vantage: VantageId,
    /// Up to the last error, and those behind it.
    answers: u64,
    later: u64,
    errors: u64,
    statuses: BTreeMap<u16, u64>,
    requests: BTreeMap<Outside, u64>,
    clients: BTreeSet<IpAddr>,
    fresh: Vec<Cited>,
    cited: usize,
}

impl Default for HttpErrorBurst {
    fn default() -> Self {
        Self { servers: BoundedMap::new(MOST) }
    }
}

impl HttpErrorBurst {
    fn answered(&mut self, request: &Request, status: u16, cx: &mut Context<'_>) {
        let is_error = status >= ERROR;
        let server = self.servers.entry(&request.server, || Server::new(request, cx.now));
        server.note(request, is_error.then_some(status), cx.now);
        let Ten { answers, errors, .. } = server.minute(cx.now);
        if is_error && errors >= ENOUGH && errors.saturating_mul(ONE_IN) >= answers {
            if server.claimed.is_none() || cx.now.since(server.told) >= TEN {
                server.tell(request.server, cx);
            }
        } else if answers >= ENOUGH
            && errors.saturating_mul(OVER_IN) < answers
            && let Some(key) = server.claimed.take()
        {
            cx.raise(server.burst.claim(key.clone(), request.server));
            cx.resolve(key, format!("{errors} of its {answers} answers of the last minute were errors"));
            server.burst.is_over = true;
        }
    }
}

impl Detector for HttpErrorBurst {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Http(request)) = seen
            && let Fate::Answered(status) = request.fate
        {
            self.answered(request, status, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let told: Vec<(IpAddr, u16)> = self.servers.by_age().map(|(at, _)| *at).collect();
        for at in told {
            // Once more, with all that there was.
            if let Some(server) = self.servers.peek_mut(&at).filter(|server| server.claimed.is_some()) {
                server.tell(at, cx);
            }
        }
    }
}

impl Server {
    fn new(request: &Request, now: Timestamp) -> Self {
        // None has begun.
        let burst = Burst { is_over: true, ..Burst::new(request, now) };
        Self { lately: Default::default(), burst, claimed: None, told: Timestamp::MIN }
    }

    /// An answer, with the status of an error.
    fn note(&mut self, request: &Request, error: Option<u16>, now: Timestamp) {
        let number = ten_of(now);
        let at = usize::try_from(number.rem_euclid(TENS as i64)).unwrap_or(0);
        if let Some(ten) = self.lately.get_mut(at) {
            if ten.number != number {
                *ten = Ten { number, ..Ten::default() };
            }
            ten.answers = ten.answers.saturating_add(1);
            ten.errors = ten.errors.saturating_add(error.is_some().into());
        }
        let is_over = self.burst.is_over || now.since(self.burst.last) >= MINUTE;
        if error.is_some() && self.claimed.is_none() && is_over {
            self.burst = Burst::new(request, now);
        }
        self.burst.note(request, error, now);
    }

    /// The last minute.
    fn minute(&self, now: Timestamp) -> Ten {
        let number = ten_of(now);
        let lately = self.lately.iter().filter(|ten| (0..TENS as i64).contains(&number.saturating_sub(ten.number)));
        lately.fold(Ten { number, ..Ten::default() }, |sum, ten| Ten {
            answers: sum.answers.saturating_add(ten.answers),
            errors: sum.errors.saturating_add(ten.errors),
            ..sum
        })
    }

    fn tell(&mut self, at: (IpAddr, u16), cx: &mut Context<'_>) {
        let key = self.claimed.get_or_insert_with(|| Key::new().with("server", SocketAddr::from(at))).clone();
        self.told = cx.now;
        cx.raise(self.burst.claim(key, at));
    }
}

impl Burst {
    fn new(request: &Request, now: Timestamp) -> Self {
        Self {
            since: now,
            last: now,
            is_over: false,
            vantage: request.vantage,
            answers: 0,
            later: 0,
            errors: 0,
            statuses: BTreeMap::new(),
            requests: BTreeMap::new(),
            clients: BTreeSet::new(),
            fresh: Vec::new(),
            cited: 0,
        }
    }

    fn note(&mut self, request: &Request, error: Option<u16>, now: Timestamp) {
        add(&mut self.later);
        let Some(status) = error else { return };
        self.answers = self.answers.saturating_add(std::mem::take(&mut self.later));
        add(&mut self.errors);
        self.last = now;
        add(self.statuses.entry(status).or_default());
        if self.requests.len() < MOST_KINDS || self.requests.contains_key(&request.what) {
            add(self.requests.entry(request.what.clone()).or_default());
        }
        if self.clients.len() < MOST_CLIENTS {
            self.clients.insert(request.client.0);
        }
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.extend(request.cited.iter().cloned());
        }
    }

    fn claim(&mut self, key: Key, (ip, port): (IpAddr, u16)) -> Claim {
        let Self { since, last, answers, errors, .. } = *self;
        let server = SocketAddr::from((ip, port));
        let mut statuses: Vec<(u16, u64)> = self.statuses.iter().map(|(status, count)| (*status, *count)).collect();
        statuses.sort_by_key(|(status, count)| (std::cmp::Reverse(*count), *status));
        let status = statuses.first().map_or(ERROR, |(status, _)| *status);
        let times = statuses.iter().take(NAMED).map(|(status, count)| format!("{count} × {status}"));
        let times = times.collect::<Vec<_>>().join(", ");
        // Of those that came equally often the first.
        let most = self.requests.iter().max_by_key(|(what, count)| (**count, std::cmp::Reverse(*what)));
        let asked = match (self.requests.len(), most.map(|(what, _)| what)) {
            (1, Some(what)) => format!("each to {what}"),
            (_, Some(what)) => format!("most often to {what}"),
            (_, None) => String::new(),
        };
        let clients = match self.clients.len() {
            1 => "1 client".to_owned(),
            MOST_CLIENTS => format!("at least {MOST_CLIENTS} clients"),
            n => format!("{n} clients"),
        };
        let share = errors.saturating_mul(100).checked_div(answers).unwrap_or(0);
        let headline = format!(
            "{server} answers {share} % of its requests with an error of its own since {}: {errors} of {answers} ({times}), {asked}; {clients}.",
            since.clock()
        );
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(since, errors)
            .until(last)
            .at(self.vantage)
            .number("errors", errors)
            .number("answers", answers)
            .number("share_percent", share)
            .number("status", status)
            .number("clients", self.clients.len())
            .number("server_host", ip.to_string())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("http.response.code >= {ERROR} && tcp.srcport == {port} && {}", filter::host(ip)));
        told(claim, status, port)
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

fn ten_of(now: Timestamp) -> i64 {
    now.nanos().div_euclid(TEN.as_nanos())
}

/// The claim with its causes and what to do, by what a status says (RFC 9110 section 15.6).
fn told(claim: Claim, status: u16, port: u16) -> Claim {
    let claim = match status {
        502 => {
            claim.cause("a proxy answers: the service behind it refuses connections, or ends them without an answer")
        }
        503 => claim
            .cause("a proxy answers, which has no healthy server behind it")
            .cause("the service turns requests away: too many at once, or it is in maintenance"),
        504 => claim.cause("a proxy answers, which the service behind it has not answered in time (SVC007)"),
        _ => claim.cause("the service fails: its database or its message queue refuses or is away"),
    };
    claim
        .cause("a part of a cluster is broken, and gets its share of the requests all the same")
        .step(
            "See whether what it needs itself is refused or unanswered: TCP002 and TCP003 of this server",
            Command::default(),
        )
        .step("On the server, read what it logged with the first of them", "journalctl -p err --since -10min")
        .step(
            "See to whom it is connected, and to whom it is not",
            Command::with("ss -tnp state all not sport = :{}", &[&port]),
        )
}
