//! One client in one network: its transactions, its questions that may still be answered, and the lease that it holds.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::{DomainId, Seen};
use super::checksum::Checksum;
use super::defect::{Defect, Wish};
use super::lease::{Lease, Terms};
use super::step::{Asked, Asking, DhcpStep, TalkId};
use super::watch::Watches;
use crate::event::{Cited, Frame, LeaseEnd, VantageId};
use crate::value::{Few, Mac, Span, Timestamp};
use crate::wire::{Dhcp, DhcpKind, Ip};

/// Equal messages this close are one: relays, mirrors and unaligned vantages copy within milliseconds, and the shortest
/// pause before a client repeats itself is a second.
const COPY: Span = Span::millis(500);
/// Transactions that are remembered of a conversation, for answers that come late.
const MOST_XIDS: usize = 4;
/// Messages of a conversation that a new one is compared with to find copies.
const MOST_LATEST: usize = 12;
/// Bytes of a message that are kept for evidence: an Ethernet frame with two tags. Longer ones are nobody's honest DHCP.
const KEPT: usize = 1_526;
/// Longer than any server takes for one more answer to a question that it has answered.
const ANSWERED: Span = Span::secs(10);
/// Questions of a conversation that may still be answered.
const MOST_QUESTIONS: usize = 6;
/// Servers whose first answer to a question is told from their further ones.
const MOST_SERVERS: usize = 8;
/// A client that asks again after such a pause asks anew: more than the longest delay of RFC 2131 section 4.1.
const NEW_ATTEMPT: Span = Span::secs(120);

/// A conversation.
pub(super) struct Talk {
    pub id: TalkId,
    pub domain: DomainId,
    pub xids: Few<u32>,
    pub latest: Few<Latest>,
    pub places: Vec<VantageId>,
    /// Where its questions to all were sent out.
    pub led_out: Vec<VantageId>,
    pub answered_at: Vec<VantageId>,
    pub asking: Option<Asking>,
    pub wanted: Option<Ipv4Addr>,
    pub is_pxe: bool,
    pub is_probe: bool,
    questions: Vec<Question>,
    pub lease: Option<Lease>,
    pub granted: Option<Arc<DhcpStep>>,
    wish: Option<Wish>,
}

/// A question by its transaction.
struct Question {
    xid: u32,
    asked: Asked,
    is_answered: bool,
    /// Who answered so far.
    answered_by: Few<Ipv4Addr>,
}

/// What makes two messages copies of one, and when the last of them came.
type Latest = (DhcpKind, u32, Option<Ipv4Addr>, Ipv4Addr, Timestamp);

impl Talk {
    /// A conversation in which nothing was said yet.
    pub const fn new(id: TalkId, domain: DomainId) -> Self {
        Self {
            id,
            domain,
            xids: Few::new(),
            latest: Few::new(),
            places: Vec::new(),
            led_out: Vec::new(),
            answered_at: Vec::new(),
            asking: None,
            wanted: None,
            is_pxe: false,
            is_probe: false,
            questions: Vec::new(),
            lease: None,
            granted: None,
            wish: None,
        }
    }

    /// Takes in a message, and says what it is in this conversation.
    pub fn step(&mut self, seen: &Seen<'_>, dhcp: &Dhcp<'_>, kind: DhcpKind) -> DhcpStep {
        let frame = seen.frame;
        let is_answer = dhcp.op() == 2;
        let server = dhcp.server_id().or_else(|| match frame.layers.inner_ip() {
            Some(Ip::V4(ip)) if is_answer => Some(ip.src()),
            _ => None,
        });
        let is_unicast = frame.layers.inner_dst().is_some_and(Mac::is_station);
        let is_copy = self.is_copy((kind, dhcp.xid(), server, dhcp.yiaddr(), frame.order));
        if kind == DhcpKind::Request && !is_copy {
            self.asking = Some(Asking::of(dhcp, is_unicast));
            self.wanted = dhcp.requested().or_else(|| Some(dhcp.ciaddr()).filter(|ip| !ip.is_unspecified()));
        }
        if !is_answer && dhcp.option(60).is_some() {
            self.is_pxe = dhcp.is_pxe();
        }
        if !is_answer && dhcp.giaddr().is_unspecified() {
            self.is_probe = frame.layers.inner_src().is_some_and(|src| src != dhcp.chaddr());
        }
        if !self.xids.contains(&dhcp.xid()) {
            if self.xids.len() >= MOST_XIDS {
                self.xids.remove(0);
            }
            self.xids.push(dhcp.xid());
        }
        if !is_answer {
            self.wish = Some(Wish::of(dhcp, self.wish.as_ref()));
        }
        let (asked, took) = if is_answer { self.answer(kind, dhcp.xid(), server, frame.order) } else { (None, None) };
        let attempt =
            if is_answer { asked.map_or(0, |a| a.tries) } else { self.ask(kind, dhcp.xid(), frame.order, is_copy) };
        let is_inform = asked.is_some_and(|asked| asked.kind == DhcpKind::Inform);
        // What gives an address is looked through even where its first byte says that a client sent it.
        let gives = matches!(kind, DhcpKind::Offer | DhcpKind::Ack);
        let terms = (is_answer || gives).then(|| Terms::of(dhcp));
        let defects = match &terms {
            Some(terms) if gives && !is_copy => {
                Defect::all(frame, dhcp, (kind, terms), self.wish.as_ref().filter(|_| asked.is_some()), is_inform)
            }
            _ => Few::new(),
        };
        DhcpStep {
            talk: self.id,
            kind,
            client: dhcp.chaddr(),
            server,
            domain: self.domain,
            time: frame.order,
            xid: dhcp.xid(),
            secs: dhcp.secs(),
            ciaddr: dhcp.ciaddr(),
            yiaddr: dhcp.yiaddr(),
            giaddr: dhcp.giaddr(),
            hops: dhcp.hops(),
            wanted: if kind == DhcpKind::Decline { dhcp.requested().or(self.wanted) } else { self.wanted },
            asking: self.asking,
            asked,
            attempt,
            took,
            client_id: match &self.wish {
                Some(wish) if !is_answer => wish.client_id.clone(),
                wish => Wish::client_id(dhcp, wish.as_ref()),
            },
            is_copy,
            is_relayed: !dhcp.giaddr().is_unspecified(),
            is_pxe: self.is_pxe,
            is_probe: self.is_probe,
            wants_proxy: dhcp.parameter_list().contains(&252),
            is_broadcast: dhcp.is_broadcast(),
            is_unicast,
            to: match frame.layers.inner_ip() {
                Some(Ip::V4(ip)) => Some(ip.dst()),
                _ => None,
            },
            words: dhcp.message(),
            terms: terms.filter(|_| is_answer),
            lease: self.lease,
            checksum: Checksum::of(frame),
            defects,
            sent_to: frame.layers.inner_dst(),
            sender: frame.layers.inner_src(),
            cited: cite(frame),
        }
    }

    /// Remembers a question, and says how often it was asked so far; one that was answered, or given up, is asked anew.
    fn ask(&mut self, kind: DhcpKind, xid: u32, now: Timestamp, is_copy: bool) -> u32 {
        let asking = if kind == DhcpKind::Request { self.asking } else { None };
        let is_open = |q: &&mut Question| {
            (q.xid, q.asked.kind) == (xid, kind) && !q.is_answered && now.since(q.asked.last) <= NEW_ATTEMPT
        };
        if let Some(open) = self.questions.iter_mut().find(is_open) {
            if !is_copy {
                open.asked.last = now;
                open.asked.tries = open.asked.tries.saturating_add(1);
                open.asked.asking = asking;
            }
            return open.asked.tries;
        }
        if is_copy {
            return 1;
        }
        self.questions.retain(|q| (q.xid, q.asked.kind) != (xid, kind));
        if self.questions.len() >= MOST_QUESTIONS {
            self.questions.remove(0);
        }
        let asked = Asked { kind, asking, first: now, last: now, tries: 1 };
        self.questions.push(Question { xid, asked, is_answered: false, answered_by: Few::new() });
        1
    }

    /// The question that a server's message answers: the latest of its transaction that such a message can answer; and how long the
    /// client had asked it, where this is the server's first answer.
    fn answer(
        &mut self,
        kind: DhcpKind,
        xid: u32,
        server: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> (Option<Asked>, Option<Span>) {
        let answers: &[DhcpKind] = match kind {
            DhcpKind::Offer => &[DhcpKind::Discover],
            DhcpKind::Ack => &[DhcpKind::Request, DhcpKind::Inform, DhcpKind::Discover],
            DhcpKind::Nak => &[DhcpKind::Request],
            _ => &[],
        };
        // Every try may be answered; what comes long after an answer belongs to a question that was not seen.
        let is_old = |q: &Question| q.is_answered && now.since(q.asked.last) > ANSWERED;
        let fits = |q: &&mut Question| q.xid == xid && answers.contains(&q.asked.kind) && !is_old(q);
        let Some(question) = self.questions.iter_mut().rev().find(fits) else { return (None, None) };
        question.is_answered = true;
        let server =
            server.filter(|by| !question.answered_by.contains(by) && question.answered_by.len() < MOST_SERVERS);
        server.into_iter().for_each(|by| question.answered_by.push(by));
        (Some(question.asked), server.map(|_| now.since(question.asked.first)))
    }

    /// Whether a REQUEST still waits for its answer.
    pub fn has_open_request(&self) -> bool {
        self.questions.iter().any(|q| !q.is_answered && q.asked.kind == DhcpKind::Request)
    }

    /// The lease that the client holds, for a later run: where its renewals were seen, or pass as its grant did, with the moment from which
    /// on one may be missed.
    pub fn left(&self, mac: Mac) -> Option<LeaseEnd> {
        let lease = self.lease?;
        let is_direct = self.granted.as_ref().is_some_and(|step| step.is_unicast && !step.is_relayed);
        let renews = (lease.renewals > 0 || is_direct).then_some(lease.t1);
        let until = Some(lease.end).filter(|end| *end < Timestamp::MAX);
        Some(LeaseEnd { mac, address: lease.address, until, followed: false, renews })
    }

    /// Whether the client asks, without an answer so far, to keep what a server's list tells.
    pub fn asks_for(&self, told: &LeaseEnd) -> bool {
        let keeps = |q: &Question| {
            let is_keeping = q.asked.asking.is_some_and(Asking::is_keeping);
            is_keeping && !q.is_answered && told.covers(q.asked.first)
        };
        self.wanted == Some(told.address) && self.questions.iter().any(keeps)
    }

    /// What a message changes about the lease.
    pub fn follow(&mut self, step: &Arc<DhcpStep>, watches: &mut Watches) {
        match step.kind {
            DhcpKind::Ack if !step.is_inform_answer() => {
                let given = if step.yiaddr.is_unspecified() { step.ciaddr } else { step.yiaddr };
                let from = step.asked.map_or(step.time, |asked| asked.last);
                let clock = step.terms.as_ref().and_then(|terms| terms.clock(given, step.server, from));
                let Some(mut lease) = clock.filter(|_| !given.is_unspecified()) else { return };
                if let Some(held) = self.lease.filter(|held| held.address == given) {
                    let is_new = held.from != from;
                    lease.renewals = held.renewals.saturating_add(u32::from(is_new && !step.is_copy));
                }
                if let Some(before) = self.lease.filter(|before| before.address != given) {
                    watches.forget(step.client, before.address);
                }
                watches.granted(lease, step);
                self.lease = Some(lease);
                self.granted = Some(Arc::clone(step));
            }
            // A relay's copy of what was just granted may be refused: that takes nothing away.
            DhcpKind::Nak
                if self.granted.as_ref().is_some_and(|g| g.xid == step.xid && step.time.since(g.time) <= COPY) => {}
            DhcpKind::Nak | DhcpKind::Release | DhcpKind::Decline => {
                if let Some(lease) = self.lease.take() {
                    watches.forget(step.client, lease.address);
                }
                self.granted = None;
                if step.kind == DhcpKind::Release && !step.is_copy {
                    watches.released(step);
                }
            }
            _ => {}
        }
    }

    /// Whether the same was said within `COPY`; remembers it.
    fn is_copy(&mut self, new: Latest) -> bool {
        // What was said before that has no copy any more.
        while self.latest.first().is_some_and(|old| new.4.since(old.4).abs() > COPY) {
            self.latest.remove(0);
        }
        let same = |old: &&mut Latest| (old.0, old.1, old.2, old.3) == (new.0, new.1, new.2, new.3);
        if let Some(old) = self.latest.iter_mut().find(same) {
            let is_copy = new.4.since(old.4).abs() <= COPY;
            old.4 = old.4.max(new.4);
            return is_copy;
        }
        if self.latest.len() >= MOST_LATEST {
            self.latest.remove(0);
        }
        self.latest.push(new);
        false
    }
}

/// Quotes a message, or what came from an address that is over.
pub(super) fn cite(frame: &Frame<'_>) -> Cited {
    Cited::first(frame, KEPT)
}
