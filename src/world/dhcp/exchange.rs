//! DHCP exchanges: what a client asks for once, with all tries and answers. At most one a conversation goes on; it is over two seconds
//! after it was settled (another server may contradict), 75 s after its last message, or when the client asks for something else.

use std::collections::{BTreeMap, VecDeque};

use super::super::DomainId;
use super::lease::Lease;
use super::step::{Asking, DhcpStep, TalkId};
use crate::finding::{Exchange, ExchangeKind, LeaseClock, Message, Offered, Outcome};
use crate::settings::Settings;
use crate::value::{BoundedMap, Deadlines, Few, Mac, Span, Timestamp};
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
    /// By conversation; where they are only counted, some of them may be over.
    open: BoundedMap<TalkId, Open>,
    /// When the last of them is over.
    last: Timestamp,
    books: Books,
}

/// What is kept of those that ended.
struct Books {
    counts: BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>>,
    /// Who wants them one by one; else they are only counted.
    kept: Option<Kept>,
    most_ended: usize,
    most_begun: usize,
}

/// Exchanges one by one.
struct Kept {
    due: Deadlines<TalkId>,
    /// How often each transaction of a client began an exchange.
    begun: BoundedMap<(Mac, u32), u32>,
    /// The oldest go where there are too many, and are counted.
    ended: VecDeque<(DomainId, Exchange)>,
    forgotten: u64,
}

/// An exchange that goes on.
struct Open {
    talk: TalkId,
    kind: ExchangeKind,
    outcome: Outcome,
    xids: Few<u32>,
    /// The latest question.
    asked: Option<DhcpKind>,
    /// Whether an address was offered.
    is_offered: bool,
    /// When it is over, unless more is said.
    over: Timestamp,
    /// All that is told of it, where somebody wants it.
    told: Option<Box<(DomainId, Exchange)>>,
}

impl Exchanges {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.clients.max(1);
        let most_ended = settings.tables.exchanges.max(1);
        let books = Books { counts: BTreeMap::new(), kept: None, most_ended, most_begun: limit };
        Self { open: BoundedMap::new(limit), last: Timestamp::MIN, books }
    }

    /// They are wanted one by one.
    pub fn keep(&mut self) {
        let (due, begun) = (Deadlines::new(), BoundedMap::new(self.books.most_begun));
        self.books.kept = Some(Kept { due, begun, ended: VecDeque::new(), forgotten: 0 });
    }

    /// Takes in a message; `lease` is what the client holds after it.
    pub fn note(&mut self, step: &DhcpStep, lease: Option<&Lease>) {
        let books = &mut self.books;
        let open = self.open.get_mut(&step.talk);
        let goes_on = open.as_ref().filter(|open| open.over >= step.time).map(|open| open.kind);
        let Some(kind) = kind_of(step, goes_on) else { return };
        let open = match open {
            Some(open) => {
                if goes_on.is_none() || !open.takes(step, kind) {
                    let before = std::mem::replace(open, books.begin(step, kind));
                    books.end(before);
                }
                open
            }
            None => self.open.entry_after(&step.talk, |oldest| {
                oldest.into_iter().for_each(|oldest| books.end(oldest));
                books.begin(step, kind)
            }),
        };
        open.say(step, lease);
        if let Some(kept) = &mut books.kept {
            kept.due.set(step.talk, open.over);
        }
        self.last = self.last.max(open.over);
    }

    /// Those that ended since this was asked last, each with its network.
    pub fn take(&mut self) -> impl Iterator<Item = (DomainId, Exchange)> + use<> {
        self.books.kept.as_mut().map(|kept| std::mem::take(&mut kept.ended)).into_iter().flatten()
    }

    /// Those that go on.
    pub fn open(&self) -> impl Iterator<Item = (DomainId, Exchange)> {
        self.open.by_age().filter_map(|(_, open)| open.told.as_deref().cloned())
    }

    /// How many came to what, those that go on included.
    pub fn counts(&self) -> BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>> {
        let mut counts = self.books.counts.clone();
        self.open.by_age().for_each(|(_, open)| add(&mut counts, open));
        counts
    }

    /// Those that ended and went out because nobody took them.
    pub fn forgotten(&self) -> u64 {
        self.books.kept.as_ref().map_or(0, |kept| kept.forgotten)
    }

    /// The next moment at which one is over. Where they are only counted nobody waits for each, but for the last of all.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match &self.books.kept {
            Some(kept) => kept.due.next(),
            None => Some(self.last).filter(|_| !self.open.is_empty()),
        }
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp) {
        if self.books.kept.is_none() && self.last <= now {
            self.expire_before(now.after(Span::nanos(1)));
        }
        while let Some(talk) = self.books.kept.as_mut().and_then(|kept| kept.due.pop(now)) {
            self.end(talk);
        }
    }

    /// All that is over before `time` is known to be.
    pub fn expire_before(&mut self, time: Timestamp) {
        let over = self.open.by_age().filter(|(_, open)| open.over < time);
        let over: Vec<TalkId> = over.map(|(talk, _)| *talk).collect();
        over.into_iter().for_each(|talk| self.end(talk));
    }

    fn end(&mut self, talk: TalkId) {
        if let Some(open) = self.open.remove(&talk) {
            self.books.end(open);
        }
    }
}

impl Books {
    /// An exchange begins with `step`.
    fn begin(&mut self, step: &DhcpStep, kind: ExchangeKind) -> Open {
        let told = self.kept.as_mut().map(|kept| {
            let times = kept.begun.entry(&(step.client, step.xid), || 0);
            *times = times.saturating_add(1);
            Box::new((step.domain, named(step, kind, *times)))
        });
        Open {
            talk: step.talk,
            kind,
            outcome: Outcome::Open,
            xids: Few::new(),
            asked: None,
            is_offered: false,
            over: step.time,
            told,
        }
    }

    /// Nothing more will be said in `open`.
    fn end(&mut self, mut open: Open) {
        open.settle();
        add(&mut self.counts, &open);
        let Some(kept) = &mut self.kept else { return };
        kept.due.clear(&open.talk);
        let Some((domain, exchange)) = open.told.map(|told| *told) else { return };
        if kept.ended.len() >= self.most_ended {
            kept.ended.pop_front();
            kept.forgotten = kept.forgotten.saturating_add(1);
        }
        kept.ended.push_back((domain, Exchange { outcome: open.outcome, ..exchange }));
    }
}

impl Open {
    /// Whether `step` belongs to it and begins nothing new.
    fn takes(&self, step: &DhcpStep, kind: ExchangeKind) -> bool {
        let is_same = kind == self.kind;
        let is_settled = self.outcome != Outcome::Open;
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

    fn say(&mut self, step: &DhcpStep, lease: Option<&Lease>) {
        if !self.xids.contains(&step.xid) && self.xids.len() < MOST_OF_EACH {
            self.xids.push(step.xid);
        }
        let asked_before = is_question(step.kind) && self.asked.replace(step.kind) == Some(step.kind);
        match step.kind {
            DhcpKind::Offer => self.is_offered |= !step.is_copy && !step.yiaddr.is_unspecified(),
            // It asks once more for what it was granted.
            DhcpKind::Request if !step.is_copy => self.outcome = Outcome::Open,
            DhcpKind::Release | DhcpKind::Decline => self.outcome = Outcome::Told,
            DhcpKind::Nak if self.outcome == Outcome::Open => self.outcome = Outcome::Refused,
            DhcpKind::Ack if self.outcome == Outcome::Open => {
                let is_inform = self.kind == ExchangeKind::Inform || step.is_inform_answer();
                self.outcome = if is_inform { Outcome::Answered } else { Outcome::Granted };
                if let Some((_, exchange)) = self.told.as_deref_mut() {
                    exchange.lease = lease.filter(|_| !is_inform).map(|lease| lease.told(step.client));
                }
            }
            _ => {}
        }
        let patience = if self.outcome == Outcome::Open { GIVEN_UP } else { SETTLED };
        self.over = step.time.after(patience);
        if let Some((_, exchange)) = self.told.as_deref_mut() {
            tell(exchange, step, asked_before && !step.is_copy);
            exchange.outcome = self.outcome;
        }
    }

    /// Nothing more will come.
    fn settle(&mut self) {
        if self.outcome == Outcome::Open {
            let is_not_taken = self.is_offered && self.asked != Some(DhcpKind::Request);
            self.outcome = if is_not_taken { Outcome::NotTaken } else { Outcome::Unanswered };
        }
    }
}

/// What is told of an exchange that `step` begins, the client's transaction for so many `times` now.
fn named(step: &DhcpStep, kind: ExchangeKind, times: u32) -> Exchange {
    let again = if times > 1 { format!(".{times}") } else { String::new() };
    Exchange {
        id: format!("{}-{:08x}{again}", step.client, step.xid),
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
    }
}

/// Adds to what is told of an exchange; `is_again` where the client asks the same once more.
fn tell(exchange: &mut Exchange, step: &DhcpStep, is_again: bool) {
    exchange.ended = step.cited.time;
    exchange.secs = exchange.secs.max(step.secs);
    exchange.retransmissions = exchange.retransmissions.saturating_add(u32::from(is_again));
    let xid = format!("{:08x}", step.xid);
    if !exchange.xids.contains(&xid) && exchange.xids.len() < MOST_OF_EACH {
        exchange.xids.push(xid);
    }
    let relay = Some(step.giaddr).filter(|ip| !ip.is_unspecified());
    if let Some(relay) = relay.filter(|r| !exchange.relays.contains(r) && exchange.relays.len() < MOST_OF_EACH) {
        exchange.relays.push(relay);
    }
    keep(exchange, step);
    if is_question(step.kind) {
        if exchange.host_name.is_none() {
            exchange.host_name = step.cited.layers().dhcp().and_then(|dhcp| dhcp.host_name());
        }
        if let Some(id) = step.client_id.as_deref().filter(|_| exchange.client_id.is_none()) {
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
        }
        _ => {}
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

fn add(counts: &mut BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>>, open: &Open) {
    let count = counts.entry(open.kind).or_default().entry(open.outcome).or_default();
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
