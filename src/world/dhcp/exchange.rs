//! DHCP exchanges: what a client asks for once, with all tries and answers. At most one a conversation goes on; it is over two seconds
//! after it was settled (another server may contradict), 75 s after its last message, or when the client asks for something else.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};

use super::super::DomainId;
use super::lease::Lease;
use super::step::{Asking, DhcpStep, TalkId};
use crate::finding::{Exchange, ExchangeKind, LeaseClock, Message, Offered, Outcome};
use crate::settings::Settings;
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::wire::DhcpKind;

/// So long a settled exchange waits for what else is said of it.
const SETTLED: Span = Span::secs(2);
/// After such a pause a client has given up: the longest delay of RFC 2131 section 4.1 is 65 s.
const GIVEN_UP: Span = Span::secs(75);
/// Messages of an exchange that are kept: eight tries with two answers each, and their copies behind a relay.
const MOST_MESSAGES: usize = 48;
/// Offers, transactions and relays of an exchange that are kept.
const MOST_OF_EACH: usize = 8;
/// Bytes of a client's identifier that are told: those of a DUID (RFC 8415 section 11.1) and a little.
const MOST_ID: usize = 136;

/// All exchanges that go on, and those that ended and were not yet taken.
pub(super) struct Exchanges {
    /// Whether anybody wants them one by one; else they are only counted.
    is_kept: bool,
    limit: usize,
    open: BTreeMap<TalkId, Box<Open>>,
    due: Deadlines<TalkId>,
    /// When the last of them is over.
    last: Timestamp,
    /// How often each transaction of a client began an exchange.
    begun: BoundedMap<(Mac, u32), u32>,
    /// The oldest go where there are too many, and are counted.
    ended: VecDeque<(DomainId, Exchange)>,
    most_ended: usize,
    forgotten: u64,
    counts: BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>>,
}

/// An exchange that goes on.
struct Open {
    domain: DomainId,
    exchange: Exchange,
    xids: Vec<u32>,
    /// The latest question.
    asked: Option<DhcpKind>,
}

impl Exchanges {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.clients.max(1);
        Self {
            is_kept: false,
            limit,
            open: BTreeMap::new(),
            due: Deadlines::new(),
            last: Timestamp::MIN,
            begun: BoundedMap::new(limit),
            ended: VecDeque::new(),
            most_ended: settings.tables.exchanges.max(1),
            forgotten: 0,
            counts: BTreeMap::new(),
        }
    }

    /// They are wanted one by one.
    pub const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Takes in a message; `lease` is what the client holds after it.
    pub fn note(&mut self, step: &DhcpStep, lease: Option<&Lease>) {
        self.expire_before(step.time);
        let open = self.open.get(&step.talk);
        let Some(kind) = kind_of(step, open.map(|open| open.exchange.kind)) else { return };
        if open.is_some_and(|open| !open.takes(step, kind)) {
            self.end(step.talk);
        }
        let open = match self.open.entry(step.talk) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let times = self.begun.entry(&(step.client, step.xid), || 0);
                *times = times.saturating_add(1);
                place.insert(Box::new(Open::new(step, kind, *times, self.is_kept)))
            }
        };
        open.say(step, lease, self.is_kept);
        let patience = if open.exchange.outcome == Outcome::Open { GIVEN_UP } else { SETTLED };
        let over = step.time.after(patience);
        self.due.set(step.talk, over);
        self.last = self.last.max(over);
        if self.open.len() > self.limit
            && let Some(oldest) = self.open.keys().find(|talk| **talk != step.talk).copied()
        {
            self.end(oldest);
        }
    }

    /// Those that ended since this was asked last, each with its network.
    pub fn take(&mut self) -> impl Iterator<Item = (DomainId, Exchange)> + use<> {
        std::mem::take(&mut self.ended).into_iter()
    }

    /// Those that go on.
    pub fn open(&self) -> impl Iterator<Item = (DomainId, Exchange)> {
        self.open.values().filter(|_| self.is_kept).map(|open| (open.domain, open.exchange.clone()))
    }

    /// How many came to what, those that go on included.
    pub fn counts(&self) -> BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>> {
        let mut counts = self.counts.clone();
        self.open.values().for_each(|open| add(&mut counts, &open.exchange));
        counts
    }

    /// Those that ended and went out because nobody took them.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The next moment at which one is over. Where they are only counted nobody waits for each: the next message ends all that are over by then.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let next = self.due.next()?;
        Some(if self.is_kept { next } else { self.last })
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(talk) = self.due.pop(now) {
            self.end(talk);
        }
    }

    /// All that is over before `time` is known to be.
    pub fn expire_before(&mut self, time: Timestamp) {
        self.expire(Timestamp::from_nanos(time.nanos().saturating_sub(1)));
    }

    fn end(&mut self, talk: TalkId) {
        self.due.clear(&talk);
        let Some(mut open) = self.open.remove(&talk) else { return };
        open.settle();
        add(&mut self.counts, &open.exchange);
        if !self.is_kept {
            return;
        }
        if self.ended.len() >= self.most_ended {
            self.ended.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.ended.push_back((open.domain, open.exchange));
    }
}

impl Open {
    fn new(step: &DhcpStep, kind: ExchangeKind, times: u32, is_kept: bool) -> Self {
        let again = if times > 1 { format!(".{times}") } else { String::new() };
        // Only who is told of each one needs its name.
        let id = if is_kept { format!("{}-{:08x}{again}", step.client, step.xid) } else { String::new() };
        let exchange = Exchange {
            id,
            client: step.client,
            client_id: None,
            host_name: None,
            domain: String::new(),
            kind,
            outcome: Outcome::Open,
            began: step.cited.time,
            ended: step.cited.time,
            from_start: is_question(step.kind) && !(kind == ExchangeKind::Lease && step.kind == DhcpKind::Request),
            xids: Vec::new(),
            retransmissions: 0,
            secs: 0,
            relays: Vec::new(),
            offers: Vec::new(),
            lease: None,
            messages: Vec::new(),
            messages_left_out: 0,
        };
        Self { domain: step.domain, exchange, xids: Vec::new(), asked: None }
    }

    /// Whether `step` belongs to it and begins nothing new.
    fn takes(&self, step: &DhcpStep, kind: ExchangeKind) -> bool {
        let is_same = kind == self.exchange.kind;
        let is_settled = self.exchange.outcome != Outcome::Open;
        let is_known = self.xids.contains(&step.xid);
        if !is_question(step.kind) {
            return true;
        }
        match step.kind {
            DhcpKind::Discover if is_settled => step.is_copy && is_known,
            // A client that did not hear its grant, or a copy.
            _ if is_settled => is_same && is_known,
            _ => is_same,
        }
    }

    fn say(&mut self, step: &DhcpStep, lease: Option<&Lease>, is_kept: bool) {
        let exchange = &mut self.exchange;
        exchange.ended = step.cited.time;
        exchange.secs = exchange.secs.max(step.secs);
        if !self.xids.contains(&step.xid) && self.xids.len() < MOST_OF_EACH {
            self.xids.push(step.xid);
            if is_kept {
                exchange.xids.push(format!("{:08x}", step.xid));
            }
        }
        let relay = Some(step.giaddr).filter(|ip| !ip.is_unspecified());
        if let Some(relay) = relay.filter(|r| !exchange.relays.contains(r) && exchange.relays.len() < MOST_OF_EACH) {
            exchange.relays.push(relay);
        }
        if is_kept {
            keep(exchange, step);
        }
        if is_question(step.kind) {
            let asked_before = self.asked.replace(step.kind) == Some(step.kind);
            if asked_before && !step.is_copy {
                exchange.retransmissions = exchange.retransmissions.saturating_add(1);
            }
            if is_kept && exchange.host_name.is_none() {
                exchange.host_name = step.cited.layers().dhcp().and_then(|dhcp| dhcp.host_name());
            }
            if let Some(id) = step.client_id.as_deref().filter(|_| is_kept && exchange.client_id.is_none()) {
                exchange.client_id = Some(id.iter().take(MOST_ID).map(|byte| format!("{byte:02x}")).collect());
            }
        }
        match step.kind {
            DhcpKind::Offer if !step.is_copy && exchange.offers.len() < MOST_OF_EACH => {
                exchange.offers.push(Offered {
                    server: step.server,
                    address: Some(step.yiaddr).filter(|ip| !ip.is_unspecified()),
                    lease_s: step.terms.as_ref().and_then(|terms| terms.lease),
                    after: step.took,
                    taken: false,
                });
            }
            DhcpKind::Request => {
                exchange.offers.iter_mut().for_each(|o| o.taken |= o.server == step.server && o.address == step.wanted);
                // It asks once more for what it was granted.
                if !step.is_copy {
                    exchange.outcome = Outcome::Open;
                }
            }
            DhcpKind::Release | DhcpKind::Decline => exchange.outcome = Outcome::Told,
            DhcpKind::Nak if exchange.outcome == Outcome::Open => exchange.outcome = Outcome::Refused,
            DhcpKind::Ack if exchange.outcome == Outcome::Open => {
                let is_inform = exchange.kind == ExchangeKind::Inform || step.is_inform_answer();
                exchange.outcome = if is_inform { Outcome::Answered } else { Outcome::Granted };
                exchange.lease = lease.filter(|_| !is_inform).map(|lease| lease.told(step.client));
            }
            _ => {}
        }
    }

    /// Nothing more will come.
    fn settle(&mut self) {
        let exchange = &mut self.exchange;
        if exchange.outcome == Outcome::Open {
            let is_offered = exchange.offers.iter().any(|offer| offer.address.is_some());
            let is_not_taken = is_offered && self.asked != Some(DhcpKind::Request);
            exchange.outcome = if is_not_taken { Outcome::NotTaken } else { Outcome::Unanswered };
        }
    }
}

impl Lease {
    /// As the report tells it.
    pub(super) fn told(&self, client: Mac) -> LeaseClock {
        let at = |time: Timestamp| Some(time).filter(|time| *time != Timestamp::MAX);
        LeaseClock {
            client,
            address: self.address,
            server: self.server,
            from: self.from,
            t1: at(self.t1),
            t2: at(self.t2),
            end: at(self.end),
            renewals: self.renewals,
        }
    }
}

/// What the client of `step` asks for; answers belong to what `goes_on`.
fn kind_of(step: &DhcpStep, goes_on: Option<ExchangeKind>) -> Option<ExchangeKind> {
    Some(match step.kind {
        DhcpKind::Discover => ExchangeKind::Lease,
        DhcpKind::Request => match step.asking {
            Some(Asking::InitReboot) => ExchangeKind::Reboot,
            Some(asking) if asking.is_keeping() => ExchangeKind::Renewal,
            _ => ExchangeKind::Lease,
        },
        DhcpKind::Inform => ExchangeKind::Inform,
        DhcpKind::Release => ExchangeKind::Release,
        DhcpKind::Decline => ExchangeKind::Decline,
        DhcpKind::Offer => goes_on.unwrap_or(ExchangeKind::Lease),
        DhcpKind::Ack | DhcpKind::Nak => goes_on.unwrap_or_else(|| match step.asked {
            Some(asked) if asked.kind == DhcpKind::Inform => ExchangeKind::Inform,
            Some(asked) if asked.asking.is_some_and(Asking::is_keeping) => ExchangeKind::Renewal,
            // Where only servers are heard, who is granted the address that it has renews it.
            _ if !step.ciaddr.is_unspecified() => ExchangeKind::Renewal,
            _ => ExchangeKind::Lease,
        }),
        _ => return None,
    })
}

fn add(counts: &mut BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>>, exchange: &Exchange) {
    let count = counts.entry(exchange.kind).or_default().entry(exchange.outcome).or_default();
    *count = count.saturating_add(1);
}

fn keep(exchange: &mut Exchange, step: &DhcpStep) {
    if exchange.messages.len() >= MOST_MESSAGES {
        exchange.messages_left_out = exchange.messages_left_out.saturating_add(1);
        return;
    }
    let address = [Some(step.yiaddr), step.wanted.filter(|_| is_question(step.kind)), Some(step.ciaddr)];
    let is_address = |ip: &std::net::Ipv4Addr| !ip.is_unspecified() && step.kind != DhcpKind::Discover;
    exchange.messages.push(Message {
        at: step.cited.at,
        time: step.cited.time,
        kind: step.kind.to_string(),
        xid: step.xid,
        sender: step.sender,
        server: step.server,
        address: address.into_iter().flatten().find(is_address),
        relay: Some(step.giaddr).filter(|ip| !ip.is_unspecified()),
        attempt: step.attempt,
        took: step.took,
        is_copy: step.is_copy,
    });
}

const fn is_question(kind: DhcpKind) -> bool {
    matches!(kind, DhcpKind::Discover | DhcpKind::Request | DhcpKind::Inform | DhcpKind::Release | DhcpKind::Decline)
}
