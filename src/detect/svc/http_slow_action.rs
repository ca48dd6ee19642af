//! SVC007: an API takes longer to begin its answer than its clients wait, and has acknowledged the request long before: the time is spent in the
//! server, and not on the way (RFC 9112 for where a request and its answer begin).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Outside, Span, TimedMap, Timestamp};
use crate::world::{Derived, Fate, Observation, Request, Times, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "SVC007",
        name: "http-slow-action",
        levels: &[
            (Confidence::Likely, Severity::Info),
            (Confidence::Confirmed, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("http_slow_action.md"),
    },
    hears: &[],
    follows: &[Topic::Http],
    needs: Needs::Frames,
    make: |settings| Box::new(HttpSlowAction::new(settings)),
};

/// By how much the end of a connection moves its sequence number on (RFC 9293 section 3.4).
const FIN: u32 = 1;
/// How long an acknowledgement takes at most where nothing is lost: as long as a sender waits at first (RFC 6298 section 2.4).
const AT_ONCE: Span = Span::secs(1);
/// Answers in a row, each in less than half the limit, that end it.
const WELL: u32 = 5;
/// Requests that wait, and kinds of requests whose times are kept.
const MOST: usize = 1_024;
/// Requests of one kind whose frames are cited.
const CITED: u64 = 6;

/// The server, and what is asked of it.
type Kind = ((IpAddr, u16), Outside);
/// The client and the server.
type Connection = ((IpAddr, u16), (IpAddr, u16));

struct HttpSlowAction {
    apis: Vec<u16>,
    slow: Span,
    too_late: Span,
    /// Requests that were not answered within the limit.
    waiting: TimedMap<Connection, Waiting>,
    kinds: BoundedMap<Kind, Record>,
}

/// A request that waits.
struct Waiting {
    request: Arc<Request>,
    /// When all of it was sent, as far as it is known, and the sequence number behind it.
    sent: Timestamp,
    end: u32,
    /// Whether the server had all of it when the limit was over.
    is_acknowledged: bool,
}

/// How long one kind of request takes.
struct Record {
    took: Times,
    slow: u64,
    worst: Span,
    since: Option<Timestamp>,
    /// Requests that were not answered so far, and still may be.
    open: u64,
    well: u32,
    fresh: Vec<Cited>,
    cited: u64,
    claimed: Option<Key>,
}

impl HttpSlowAction {
    fn new(settings: &Settings) -> Self {
        let services = &settings.services;
        Self {
            apis: services.api_ports.clone(),
            slow: Span::secs(services.slow_answer_s),
            too_late: Span::secs(services.no_answer_s),
            waiting: TimedMap::new(MOST),
            kinds: BoundedMap::new(MOST),
        }
    }

    /// Whether a server that takes long has no reason of its own to: an API, by what is asked of it or by its port.
    fn is_api(&self, request: &Request) -> bool {
        request.is_action || self.apis.contains(&request.server.1)
    }

    /// `request` has waited for the limit.
    fn waits(&mut self, request: &Arc<Request>, cx: &Context<'_>) {
        let (sent, end) = (request.order, request.end);
        let waiting = Waiting { request: Arc::clone(request), sent, end, is_acknowledged: false };
        self.waiting.insert_until((request.client, request.server), waiting, cx.now);
    }

    /// A request that waits is looked at: whether all of it was sent, whether the server has it, and whether it said something.
    fn look(&mut self, at: &Connection, cx: &mut Context<'_>) {
        let Some(waiting) = self.waiting.get_mut(at) else { return };
        let (request, flows) = (Arc::clone(&waiting.request), &cx.world.flows);
        let client = flows.progress(request.vantage, request.client, request.server);
        let server = flows.progress(request.vantage, request.server, request.client);
        // Who is not heard may say anything; what is not acknowledged hangs on the way; and what was said and is not read may be the answer.
        let (Some(client), Some(server)) = (client, server) else { return self.forget(at) };
        if server.next != request.expects || !client.is_acknowledged {
            return self.forget(at);
        }
        let more = client.next.wrapping_sub(waiting.end);
        if more == FIN {
            let waited = client.heard.since(waiting.sent);
            self.forget(at);
            self.given_up(&request, waited, cx);
            return;
        }
        // A request may go on for long (an image that is sent), and does not wait as long as it does.
        if more != 0 {
            (waiting.sent, waiting.end) = (client.heard, client.next);
        }
        // It may have been lost on the way, and have arrived only when the server spoke last.
        if !waiting.is_acknowledged && server.heard.since(waiting.sent) > AT_ONCE {
            waiting.sent = server.heard;
        }
        waiting.is_acknowledged = waiting.sent.after(self.slow) <= cx.now;
        let due = waiting.sent.after(if waiting.is_acknowledged { self.too_late } else { self.slow });
        if due > cx.now {
            self.waiting.wake(at, due);
            return;
        }
        let sent = waiting.sent;
        self.given_up(&request, cx.now.since(sent), cx);
    }

    fn forget(&mut self, at: &Connection) {
        self.waiting.remove(at);
    }

    /// `request` was not answered within `waited`.
    fn given_up(&mut self, request: &Request, waited: Span, cx: &mut Context<'_>) {
        if waited >= self.slow && self.is_api(request) {
            let kind = (request.server, request.what.clone());
            let record = self.kinds.entry(&kind, Record::new);
            record.open = record.open.saturating_add(1);
            record.is_slow(request, waited);
            self.claim(&kind, request, Some(waited), cx);
        }
    }

    /// The connection of `request` was broken off.
    fn broken(&mut self, request: &Request, cx: &mut Context<'_>) {
        let at = (request.client, request.server);
        let Some(waiting) = self.waiting.remove(&at).filter(|waiting| waiting.is_acknowledged) else { return };
        let waited = cx.now.since(waiting.sent);
        // Past that it was told.
        if waited < self.too_late {
            self.given_up(request, waited, cx);
        }
    }

    /// `request` was answered.
    fn answered(&mut self, request: &Arc<Request>, cx: &mut Context<'_>) {
        let kind = (request.server, request.what.clone());
        let waited = self.waiting.remove(&(request.client, request.server)).filter(|waiting| waiting.is_acknowledged);
        if waited.is_none() && !self.is_api(request) {
            return;
        }
        let took = cx.now.since(waited.as_ref().map_or(request.order, |waiting| waiting.sent));
        let is_late = waited.is_some() && took >= self.too_late && self.is_api(request);
        let half = Span::nanos(self.slow.as_nanos() / 2);
        let record = self.kinds.entry(&kind, Record::new);
        record.took.note(took);
        if waited.is_some() {
            record.well = 0;
            if is_late {
                // It was told as one without an answer.
                record.open = record.open.saturating_sub(1);
                record.worst = record.worst.max(took);
                record.cite(request);
            } else {
                record.is_slow(request, took);
            }
            self.claim(&kind, request, None, cx);
        } else if took < half {
            record.well = record.well.saturating_add(1);
            if let Some(key) = record.claimed.take_if(|_| record.well == WELL) {
                cx.resolve(key, format!("the last {WELL} were answered within {half}"));
                record.begin_anew();
            }
        }
    }

    /// The median of all other kinds of the same server, and how many they are.
    fn others(&self, kind: &Kind) -> Option<(Span, u64)> {
        let mut all = Times::default();
        let others = self.kinds.by_age().filter(|(of, _)| of.0 == kind.0 && *of != kind);
        others.for_each(|(_, record)| all.add(&record.took));
        (!all.is_empty()).then(|| (all.quantile(0.5), all.len()))
    }

    fn claim(&mut self, kind: &Kind, request: &Request, unanswered: Option<Span>, cx: &mut Context<'_>) {
        let (is_api, too_late) = (self.is_api(request), self.too_late);
        let others = self.others(kind);
        let Some(record) = self.kinds.get_mut(kind) else { return };
        let server = SocketAddr::from(kind.0).to_string();
        let how = match unanswered {
            Some(waited) => format!("has not answered {}'s {} for {waited}", request.client.0, kind.1),
            None => format!("took {} to answer {}'s {}", record.worst, request.client.0, kind.1),
        };
        let often = if record.slow > 1 { format!(", one of {} such requests", record.slow) } else { String::new() };
        let since = record.since.unwrap_or(request.asked);
        let compared =
            others.map_or_else(String::new, |(median, count)| format!(" (its {count} other answers: p50 {median})"));
        let headline = format!(
            "{server} {how}{often}, since {}{compared}. It had the request all that time: the time is spent in the server.",
            since.clock()
        );
        let (confidence, severity) = if !is_api {
            (Confidence::Likely, Severity::Info)
        } else if record.worst >= too_late {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Confirmed, Severity::Warning)
        };
        // What has no answer has no time of one.
        let selecting = match unanswered {
            Some(_) => format!("http.request && tcp.dstport == {} && {}", kind.0.1, filter::host(request.client.0)),
            None => format!("http.time > {} && tcp.port == {}", self.slow.as_secs(), kind.0.1),
        };
        let key =
            record.claimed.get_or_insert_with(|| Key::new().with("server", &server).with("request", &kind.1)).clone();
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(since, record.slow)
            .at(request.vantage)
            .number("worst_s", record.worst.as_secs())
            .number("slow", record.slow)
            .number("answers", record.took.len())
            .number("unanswered", record.open)
            .proved_by(std::mem::take(&mut record.fresh))
            .filter(selecting);
        let claim = others.into_iter().fold(claim, |claim, (median, _)| claim.number("others_p50_s", median.as_secs()));
        let claim = if is_api {
            claim
        } else {
            claim.assuming("it does not hold requests on purpose until there is something to say (long poll)")
        };
        cx.raise(told(claim, kind.0.1));
    }
}

impl Detector for HttpSlowAction {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Http(request)) = seen else { return };
        match request.fate {
            Fate::Waits => self.waits(request, cx),
            Fate::Answered(_) => self.answered(request, cx),
            Fate::Broken => self.broken(request, cx),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(at) = self.waiting.due(cx.now) {
            self.look(&at, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for at in self.waiting.waiting() {
            if let Some(waiting) = self.waiting.peek(at).filter(|waiting| waiting.is_acknowledged) {
                let Request { what, server, asked, .. } = waiting.request.as_ref();
                cx.pending(format!("{what} of {}: no answer yet", SocketAddr::from(*server)), *asked);
            }
        }
    }
}

impl Record {
    fn new() -> Self {
        Self {
            took: Times::default(),
            slow: 0,
            worst: Span::ZERO,
            since: None,
            open: 0,
            well: 0,
            fresh: Vec::new(),
            cited: 0,
            claimed: None,
        }
    }

    /// What was slow is over; how long all of them took stays.
    fn begin_anew(&mut self) {
        *self = Self { took: std::mem::take(&mut self.took), ..Self::new() };
    }

    /// `request` took so long, or does so far.
    fn is_slow(&mut self, request: &Request, took: Span) {
        self.slow = self.slow.saturating_add(1);
        self.well = 0;
        self.worst = self.worst.max(took);
        self.since.get_or_insert(request.asked);
        self.cite(request);
    }

    fn cite(&mut self, request: &Request) {
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.extend(request.cited.iter().cloned());
        }
    }
}

/// The claim with its causes and what to do.
fn told(claim: Claim, port: u16) -> Claim {
    claim
        .cause("it looks through rows of its database that nobody removes: deleted instances, expired tokens")
        .cause("it waits for something behind it that hangs: the database, the message queue, another API")
        .cause("its machine swaps, or all its workers are busy with such requests")
        .step(
            "On the server, see whether its workers compute or wait, and for whom",
            Command::with("ss -tnpo state established sport = :{}", &[&port]),
        )
        .step(
            "Find the query that takes so long",
            "mysql -e 'SHOW FULL PROCESSLIST'; psql -c 'SELECT pid, now() - query_start, query FROM pg_stat_activity'",
        )
        .step(
            "Move deleted rows out of the way, after a backup",
            "nova-manage db archive_deleted_rows --until-complete --verbose; keystone-manage token_flush",
        )
}
