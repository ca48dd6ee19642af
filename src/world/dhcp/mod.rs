//! DHCP conversations (RFC 2131): which messages belong to one client in one network, which are copies, how the client asked, what
//! an answer answers, and the lease that the client holds. At most `tables.clients` hardware addresses; BOOTP and messages cut before
//! option 53 are not heard.

mod lease;
mod servers;
mod step;
mod watch;

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use lease::{Lease, Terms};
pub use servers::Server;
use servers::Servers;
pub use step::{Asked, Asking, DhcpStep, TalkId};
use watch::Watches;
pub use watch::{AddressUse, Over};

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Frame, VantageId};
use crate::finding::Cited;
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::{Dhcp, DhcpKind, Ip, Kind, Kinds};

/// Equal messages this close are one: relays, mirrors and unaligned vantages copy within milliseconds, and the shortest
/// pause before a client repeats itself is a second.
const COPY: Span = Span::millis(500);
/// Conversations of one hardware address: one for each VLAN of a trunk that it asks in.
const MOST_TALKS: usize = 16;
/// Transactions that are remembered of a conversation, for answers that come late.
const MOST_XIDS: usize = 4;
/// Messages of a conversation that a new one is compared with to find copies.
const MOST_LATEST: usize = 12;
/// Bytes of a message that are kept for evidence: an Ethernet frame with two tags. Longer ones are nobody's honest DHCP.
const KEPT: usize = 1_526;
/// Vantages that are remembered of a conversation.
const MOST_PLACES: usize = 12;
/// Longer than any server takes for one more answer to a question that it has answered.
const ANSWERED: Span = Span::secs(10);
/// Questions of a conversation that may still be answered.
const MOST_QUESTIONS: usize = 6;

/// All conversations.
pub struct DhcpTalks {
    table: BoundedMap<Mac, Vec<Talk>>,
    unicast: Vec<VantageId>,
    watches: Watches,
    servers: Servers,
    next: u64,
}

struct Talk {
    id: TalkId,
    domain: DomainId,
    xids: Vec<u32>,
    latest: Vec<Latest>,
    places: Vec<VantageId>,
    answered_at: Vec<VantageId>,
    asking: Option<Asking>,
    wanted: Option<Ipv4Addr>,
    is_pxe: bool,
    is_probe: bool,
    questions: Vec<Question>,
    lease: Option<Lease>,
    granted: Option<Arc<DhcpStep>>,
}

/// A question by its transaction.
struct Question {
    xid: u32,
    asked: Asked,
    is_answered: bool,
}

/// What makes two messages copies of one, and when the last of them came.
type Latest = (DhcpKind, u32, Option<Ipv4Addr>, Ipv4Addr, Timestamp);

impl DhcpTalks {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.clients;
        Self {
            table: BoundedMap::new(limit),
            unicast: Vec::new(),
            watches: Watches::new(limit),
            servers: Servers::default(),
            next: 0,
        }
    }

    /// Where the conversation was heard, first places first; empty once it is forgotten.
    pub fn places(&self, client: Mac, talk: TalkId) -> &[VantageId] {
        self.talk(client, talk).map_or(&[], |t| &t.places)
    }

    /// When an address that is over was used last by a client, and by how many packets so far.
    pub fn used(&self, client: Mac, address: Ipv4Addr) -> Option<(Timestamp, u64)> {
        self.watches.used(client, address)
    }

    /// Whether a REQUEST of the client still waits for its answer.
    pub fn has_open_request(&self, client: Mac, talk: TalkId) -> bool {
        let is_open = |q: &Question| !q.is_answered && q.asked.kind == DhcpKind::Request;
        self.talk(client, talk).is_some_and(|talk| talk.questions.iter().any(is_open))
    }

    /// The servers that give addresses themselves, in the order in which they were first heard.
    pub fn servers(&self) -> &[Server] {
        self.servers.as_slice()
    }

    /// Where the latest server's message of the conversation was heard.
    pub fn answered_at(&self, client: Mac, talk: TalkId) -> &[VantageId] {
        self.talk(client, talk).map_or(&[], |t| &t.answered_at)
    }

    /// The lease of a client, as far as its grant was seen.
    pub fn lease(&self, client: Mac, talk: TalkId) -> Option<&Lease> {
        self.talk(client, talk)?.lease.as_ref()
    }

    /// The message that granted a client what it has.
    pub fn granted(&self, client: Mac, talk: TalkId) -> Option<&Arc<DhcpStep>> {
        self.talk(client, talk)?.granted.as_ref()
    }

    /// Whether an answer to one client alone was seen at `vantage`.
    pub fn has_unicast_answer(&self, vantage: VantageId) -> bool {
        self.unicast.contains(&vantage)
    }

    fn talk(&self, client: Mac, talk: TalkId) -> Option<&Talk> {
        self.table.peek(&client)?.iter().find(|t| t.id == talk)
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, is_first: bool) -> Option<Arc<DhcpStep>> {
        let frame = seen.frame;
        let dhcp = frame.layers.dhcp().filter(|d| d.htype() == 1 && d.hlen() == 6 && d.chaddr().is_station())?;
        let kind = dhcp.message_type()?;
        let vantage = frame.at.vantage;
        let dst = frame.layers.inner_dst();
        if dhcp.op() == 2 && dst.is_some_and(Mac::is_station) && !self.unicast.contains(&vantage) {
            self.unicast.push(vantage);
        }
        let next = &mut self.next;
        let talks = self.table.entry(&dhcp.chaddr(), Vec::new);
        let at = find(talks, dhcp.xid(), seen.domain, domains).unwrap_or_else(|| {
            if talks.len() >= MOST_TALKS {
                talks.remove(0);
            }
            talks.push(Talk::new(TalkId(*next), seen.domain));
            *next = next.saturating_add(1);
            talks.len().saturating_sub(1)
        });
        let talk = talks.get_mut(at)?;
        enter(&mut talk.places, vantage);
        if dhcp.op() == 2 {
            if is_first {
                talk.answered_at.clear();
            }
            enter(&mut talk.answered_at, vantage);
        }
        is_first.then(|| {
            let step = Arc::new(talk.step(seen, &dhcp, kind));
            talk.follow(&step, &mut self.watches);
            self.servers.note(&step, domains);
            step
        })
    }
}

impl Tracker for DhcpTalks {
    fn hears(&self) -> Kinds {
        // All of IPv4 only while an address is over and might still be used.
        if self.watches.is_on() { Kinds::of(&[Kind::Dhcp, Kind::Ipv4]) } else { Kinds::of(&[Kind::Dhcp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let (seen, is_first) = match seen {
            Observation::Packet(seen) => (seen, true),
            Observation::Sighting(seen) => (seen, false),
            _ => return,
        };
        if is_first && self.watches.is_on() {
            out.extend(self.watches.note(seen.frame).map(|used| Derived::AddressUsed(Arc::new(used))));
        }
        out.extend(self.note(seen, domains, is_first).map(Derived::Dhcp));
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.watches.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, _out: &mut Vec<Derived>) {
        self.watches.expire(now);
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}

impl Talk {
    const fn new(id: TalkId, domain: DomainId) -> Self {
        Self {
            id,
            domain,
            xids: Vec::new(),
            latest: Vec::new(),
            places: Vec::new(),
            answered_at: Vec::new(),
            asking: None,
            wanted: None,
            is_pxe: false,
            is_probe: false,
            questions: Vec::new(),
            lease: None,
            granted: None,
        }
    }

    fn step(&mut self, seen: &Seen<'_>, dhcp: &Dhcp<'_>, kind: DhcpKind) -> DhcpStep {
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
        if !is_answer && let Some(class) = dhcp.vendor_class() {
            self.is_pxe = class.raw().starts_with("PXEClient");
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
        let asked = if is_answer { self.answer(kind, dhcp.xid(), frame.order) } else { None };
        if !is_answer && !is_copy {
            self.ask(kind, dhcp.xid(), frame.order);
        }
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
            is_copy,
            is_relayed: !dhcp.giaddr().is_unspecified(),
            is_pxe: self.is_pxe,
            is_probe: self.is_probe,
            is_broadcast: dhcp.is_broadcast(),
            is_unicast,
            to: match frame.layers.inner_ip() {
                Some(Ip::V4(ip)) => Some(ip.dst()),
                _ => None,
            },
            words: dhcp.message(),
            terms: is_answer.then(|| Terms::of(dhcp)),
            lease: self.lease,
            sender: frame.layers.inner_src(),
            cited: cite(frame),
        }
    }

    /// Remembers a question; one that was answered is asked anew.
    fn ask(&mut self, kind: DhcpKind, xid: u32, now: Timestamp) {
        let asking = if kind == DhcpKind::Request { self.asking } else { None };
        let is_open = |q: &&mut Question| q.xid == xid && q.asked.kind == kind && !q.is_answered;
        if let Some(open) = self.questions.iter_mut().find(is_open) {
            open.asked.last = now;
            open.asked.tries = open.asked.tries.saturating_add(1);
            open.asked.asking = asking;
            return;
        }
        self.questions.retain(|q| (q.xid, q.asked.kind) != (xid, kind));
        if self.questions.len() >= MOST_QUESTIONS {
            self.questions.remove(0);
        }
        let asked = Asked { kind, asking, first: now, last: now, tries: 1 };
        self.questions.push(Question { xid, asked, is_answered: false });
    }

    /// The question that a server's message answers: the latest of its transaction that such a message can answer.
    fn answer(&mut self, kind: DhcpKind, xid: u32, now: Timestamp) -> Option<Asked> {
        let answers: &[DhcpKind] = match kind {
            DhcpKind::Offer => &[DhcpKind::Discover],
            DhcpKind::Ack => &[DhcpKind::Request, DhcpKind::Inform, DhcpKind::Discover],
            DhcpKind::Nak => &[DhcpKind::Request],
            _ => &[],
        };
        // Every try may be answered; what comes long after an answer belongs to a question that was not seen.
        let is_old = |q: &Question| q.is_answered && now.since(q.asked.last) > ANSWERED;
        let fits = |q: &&mut Question| q.xid == xid && answers.contains(&q.asked.kind) && !is_old(q);
        let question = self.questions.iter_mut().rev().find(fits)?;
        question.is_answered = true;
        Some(question.asked)
    }

    /// What a message changes about the lease.
    fn follow(&mut self, step: &Arc<DhcpStep>, watches: &mut Watches) {
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

/// The conversation that a message belongs to: that of its transaction, wherever a relay carried it; else that of its network.
fn find(talks: &[Talk], xid: u32, domain: DomainId, domains: &Domains) -> Option<usize> {
    let here = |talk: &Talk| domains.is_same(talk.domain, domain);
    let both = talks.iter().position(|talk| talk.xids.contains(&xid) && here(talk));
    both.or_else(|| talks.iter().position(|talk| talk.xids.contains(&xid))).or_else(|| talks.iter().position(here))
}

fn enter(places: &mut Vec<VantageId>, vantage: VantageId) {
    if !places.contains(&vantage) && places.len() < MOST_PLACES {
        places.push(vantage);
    }
}

fn cite(frame: &Frame<'_>) -> Cited {
    let mut cited = Cited::of(frame);
    if let Some(kept) = frame.bytes.get(..KEPT) {
        cited.bytes = kept.into();
    }
    cited
}
