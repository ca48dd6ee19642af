//! DHCP conversations (RFC 2131): which messages belong to one client in one network, which are copies, how the client asked.
//! At most `tables.clients` hardware addresses; leases are not kept, BOOTP and messages cut before option 53 are not heard.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Frame, VantageId};
use crate::finding::Cited;
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Outside, Span, Timestamp};
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

/// One client in one network; numbers grow in order of the first message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TalkId(u64);

/// How a client asks for an address (RFC 2131 section 4.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// For what a server offered it: the server is named (option 54).
    Selecting,
    /// For an address it had before it started: no server named, `ciaddr` zero.
    InitReboot,
    /// Its own server to keep what it has: by unicast.
    Renewing,
    /// Any server to keep what it has: by broadcast.
    Rebinding,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct DhcpStep {
    /// The conversation.
    pub talk: TalkId,
    /// What kind of message.
    pub kind: DhcpKind,
    /// The client, by its hardware address.
    pub client: Mac,
    /// The server that speaks (option 54, else the sender's address), or that the client names.
    pub server: Option<Ipv4Addr>,
    /// The network in which the conversation began.
    pub domain: DomainId,
    /// When, in the order of all frames; the stamp to be shown is that of `cited`.
    pub time: Timestamp,
    /// Transaction.
    pub xid: u32,
    /// Seconds that the client says it has been trying.
    pub secs: u16,
    /// The address that the server gives; unspecified where it gives none.
    pub yiaddr: Ipv4Addr,
    /// The address that the client wants or has, of this message or of the last REQUEST.
    pub wanted: Option<Ipv4Addr>,
    /// How the client asks; in answers, how it asked last.
    pub asking: Option<Asking>,
    /// Whether it says again what was said moments ago: a relay's or a mirror's copy, no new try.
    pub is_copy: bool,
    /// Whether a relay had it in hand.
    pub is_relayed: bool,
    /// Whether the client is a boot ROM (vendor class `PXEClient`).
    pub is_pxe: bool,
    /// Whether the client asks for its answer by broadcast.
    pub is_broadcast: bool,
    /// What the server says in words (option 56).
    pub words: Option<Outside>,
    /// The frame.
    pub cited: Cited,
}

/// All conversations.
pub struct DhcpTalks {
    table: BoundedMap<Mac, Vec<Talk>>,
    unicast: Vec<VantageId>,
    next: u64,
}

struct Talk {
    id: TalkId,
    domain: DomainId,
    xids: Vec<u32>,
    latest: Vec<Latest>,
    places: Vec<VantageId>,
    asking: Option<Asking>,
    wanted: Option<Ipv4Addr>,
    is_pxe: bool,
}

/// What makes two messages copies of one, and when the last of them came.
type Latest = (DhcpKind, u32, Option<Ipv4Addr>, Ipv4Addr, Timestamp);

impl DhcpTalks {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        Self { table: BoundedMap::new(settings.tables.clients), unicast: Vec::new(), next: 0 }
    }

    /// Where the conversation was heard, first places first; empty once it is forgotten.
    pub fn places(&self, client: Mac, talk: TalkId) -> &[VantageId] {
        let talks = self.table.peek(&client).map_or(&[][..], Vec::as_slice);
        talks.iter().find(|t| t.id == talk).map_or(&[], |t| &t.places)
    }

    /// Whether an answer to one client alone was seen at `vantage`.
    pub fn has_unicast_answer(&self, vantage: VantageId) -> bool {
        self.unicast.contains(&vantage)
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, is_first: bool) -> Option<DhcpStep> {
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
        if !talk.places.contains(&vantage) && talk.places.len() < MOST_PLACES {
            talk.places.push(vantage);
        }
        is_first.then(|| talk.step(seen, &dhcp, kind))
    }
}

impl Tracker for DhcpTalks {
    fn hears(&self) -> Kinds {
        Kinds::of(&[Kind::Dhcp])
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let (seen, is_first) = match seen {
            Observation::Packet(seen) => (seen, true),
            Observation::Sighting(seen) => (seen, false),
            _ => return,
        };
        out.extend(self.note(seen, domains, is_first).map(|step| Derived::Dhcp(Arc::new(step))));
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
            asking: None,
            wanted: None,
            is_pxe: false,
        }
    }

    fn step(&mut self, seen: &Seen<'_>, dhcp: &Dhcp<'_>, kind: DhcpKind) -> DhcpStep {
        let frame = seen.frame;
        let is_answer = dhcp.op() == 2;
        let server = dhcp.server_id().or_else(|| match frame.layers.inner_ip() {
            Some(Ip::V4(ip)) if is_answer => Some(ip.src()),
            _ => None,
        });
        if kind == DhcpKind::Request {
            let is_unicast = frame.layers.inner_dst().is_some_and(Mac::is_station);
            self.asking = Some(asking(dhcp, is_unicast));
            self.wanted = dhcp.requested().or_else(|| Some(dhcp.ciaddr()).filter(|ip| !ip.is_unspecified()));
        }
        if !is_answer && let Some(class) = dhcp.vendor_class() {
            self.is_pxe = class.raw().starts_with("PXEClient");
        }
        if !self.xids.contains(&dhcp.xid()) {
            if self.xids.len() >= MOST_XIDS {
                self.xids.remove(0);
            }
            self.xids.push(dhcp.xid());
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
            yiaddr: dhcp.yiaddr(),
            wanted: self.wanted,
            asking: self.asking,
            is_copy: self.is_copy((kind, dhcp.xid(), server, dhcp.yiaddr(), frame.order)),
            is_relayed: !dhcp.giaddr().is_unspecified(),
            is_pxe: self.is_pxe,
            is_broadcast: dhcp.is_broadcast(),
            words: dhcp.message(),
            cited: cite(frame),
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

fn asking(dhcp: &Dhcp<'_>, is_unicast: bool) -> Asking {
    if dhcp.server_id().is_some() {
        Asking::Selecting
    } else if dhcp.ciaddr().is_unspecified() {
        Asking::InitReboot
    } else if is_unicast {
        Asking::Renewing
    } else {
        Asking::Rebinding
    }
}

fn cite(frame: &Frame<'_>) -> Cited {
    let mut cited = Cited::of(frame);
    if let Some(kept) = frame.bytes.get(..KEPT) {
        cited.bytes = kept.into();
    }
    cited
}
