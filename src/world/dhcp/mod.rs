//! DHCP conversations (RFC 2131): which messages belong to one client in one network, which are copies, how the client asked, what
//! an answer answers, and the lease that the client holds. At most `tables.clients` hardware addresses; BOOTP and messages cut before
//! option 53 are not heard.

mod checksum;
mod defect;
mod exchange;
mod latency;
mod lease;
mod lists;
mod servers;
mod step;
mod talk;
mod watch;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub use checksum::Checksum;
pub use defect::Defect;
use exchange::Exchanges;
use latency::Latencies;
pub use latency::Times;
pub use lease::{Lease, Terms};
use lists::Lists;
pub use servers::Server;
use servers::Servers;
pub use step::{Asked, Asking, DhcpStep, Pair, TalkId};
use talk::{Talk, cite};
use watch::Watches;
pub use watch::{AddressUse, Over};

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Direction, Fact, LeaseEnd, Stamped, VantageId};
use crate::finding::{Exchange, ExchangeKind, Latency, LeaseClock, Outcome};
use crate::settings::Settings;
use crate::value::{BoundedMap, Few, Mac, Timestamp};
use crate::wire::{Kind, Kinds};

/// Conversations of one hardware address: one for each VLAN of a trunk that it asks in.
const MOST_TALKS: usize = 16;
/// Vantages that are remembered of a conversation.
const MOST_PLACES: usize = 12;

/// All conversations.
pub struct DhcpTalks {
    table: BoundedMap<Mac, Few<Talk>>,
    unicast: Vec<Alone>,
    watches: Watches,
    lists: Lists,
    servers: Servers,
    exchanges: Exchanges,
    latencies: Latencies,
    next: u64,
}

/// A vantage at which answers to one client alone were seen.
struct Alone {
    at: VantageId,
    /// That client, if it is always the same.
    only: Option<Mac>,
}

impl DhcpTalks {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.clients;
        Self {
            table: BoundedMap::new(limit),
            unicast: Vec::new(),
            watches: Watches::new(limit),
            lists: Lists::new(limit),
            servers: Servers::new(),
            exchanges: Exchanges::new(settings),
            latencies: Latencies::default(),
            next: 0,
        }
    }

    /// Nobody listened for a while, until `now`: what was asked may have been answered unseen, and leases may have been renewed. They are known
    /// as from an earlier run.
    pub(super) fn begin_anew(&mut self, settings: &Settings, now: Timestamp) {
        let left = self.left();
        let limit = settings.tables.clients;
        (self.table, self.watches, self.lists) = (BoundedMap::new(limit), Watches::new(limit), Lists::new(limit));
        left.into_iter().for_each(|lease| self.learn(&Stamped { time: Some(now), what: Fact::Lease(lease) }));
    }

    /// Where the conversation was heard, first places first; empty once it is forgotten.
    pub fn places(&self, client: Mac, talk: TalkId) -> &[VantageId] {
        self.talk(client, talk).map_or(&[], |t| &t.places)
    }

    /// Whether what the client asked all was sent out at `vantage`: it is not there that it lives.
    pub fn is_led_out(&self, client: Mac, talk: TalkId, vantage: VantageId) -> bool {
        self.talk(client, talk).is_some_and(|t| t.led_out.contains(&vantage))
    }

    /// When an address that is over was used last by a client, and by how many packets so far.
    pub fn used(&self, client: Mac, address: Ipv4Addr) -> Option<(Timestamp, u64)> {
        self.watches.used(client, address)
    }

    /// Whether a REQUEST of the client still waits for its answer.
    pub fn has_open_request(&self, client: Mac, talk: TalkId) -> bool {
        self.talk(client, talk).is_some_and(Talk::has_open_request)
    }

    /// The servers that give addresses themselves, by network.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter()
    }

    /// Those of the network that `root` was the root of as a message came last, in the order in which they were first heard.
    pub fn servers_of(&self, root: DomainId) -> &[Server] {
        self.servers.of(root)
    }

    /// Whether clients of the network that `domain` is the root of wait at `now` for their turn, and not in vain: others just had theirs, after
    /// seconds.
    pub fn is_behind(&self, domain: DomainId, now: Timestamp) -> bool {
        self.servers.is_behind(domain, now)
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

    /// Whether a server granted `address` to `client`, as far as that was seen.
    pub fn has_granted(&self, client: Mac, address: Ipv4Addr) -> bool {
        let Some(talks) = self.table.peek(&client) else { return false };
        talks.iter().filter_map(|talk| talk.lease).any(|lease| lease.address == address && !lease.is_listed)
    }

    /// Whether `client` was granted another address than `address` in the network `domain`, and asked for it after `since`: it has left that one.
    pub fn has_left(
        &self,
        client: Mac,
        address: Ipv4Addr,
        since: Timestamp,
        domain: DomainId,
        domains: &Domains,
    ) -> bool {
        let talks = self.table.peek(&client).into_iter().flat_map(|talks| talks.iter());
        let leases = talks.filter(|talk| domains.is_same(talk.domain, domain)).filter_map(|talk| talk.lease);
        leases.filter(|lease| !lease.is_listed).any(|lease| lease.address != address && lease.from > since)
    }

    /// Whether an answer to one client alone was seen at `vantage`.
    pub fn has_unicast_answer(&self, vantage: VantageId) -> bool {
        self.unicast.iter().any(|alone| alone.at == vantage)
    }

    /// The client to which answers alone were seen at `vantage`, if there is just one.
    pub fn only_answered(&self, vantage: VantageId) -> Option<Mac> {
        self.unicast.iter().find(|alone| alone.at == vantage).and_then(|alone| alone.only)
    }

    /// Exchanges are wanted one by one.
    pub fn keep_exchanges(&mut self) {
        self.exchanges.keep();
    }

    /// Exchanges that ended since this was asked last, each with its network.
    pub fn ended_exchanges(&mut self) -> impl Iterator<Item = (DomainId, Exchange)> + use<> {
        self.exchanges.take()
    }

    /// Exchanges that go on.
    pub fn open_exchanges(&self) -> impl Iterator<Item = (DomainId, Exchange)> {
        self.exchanges.open()
    }

    /// Nothing more is heard of exchanges that are over before `time`.
    pub(super) fn end_exchanges_before(&mut self, time: Timestamp) {
        self.exchanges.expire_before(time);
    }

    /// Exchanges that nobody took, so that they went out.
    pub fn forgotten_exchanges(&self) -> u64 {
        self.exchanges.forgotten()
    }

    /// How many exchanges of which kind came to what.
    pub fn exchange_counts(&self) -> BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>> {
        self.exchanges.counts()
    }

    /// How long answers took.
    pub fn latencies(&self) -> Vec<Latency> {
        self.latencies.told()
    }

    /// The leases that have not ended at `now`, in order of their clients.
    pub fn leases(&self, now: Timestamp) -> Vec<LeaseClock> {
        let talks = self.table.by_age().flat_map(|(client, talks)| talks.iter().map(|talk| (*client, talk)));
        let holds = |(client, talk): (Mac, &Talk)| Some(talk.lease.filter(|lease| lease.end > now)?.told(client));
        let mut leases: Vec<_> = talks.filter_map(holds).collect();
        leases.sort_by_key(|lease| (lease.client, lease.address));
        leases
    }

    /// The leases that have not ended, for a later run.
    pub fn left(&self) -> Vec<LeaseEnd> {
        let talks = self.table.by_age().flat_map(|(client, talks)| talks.iter().map(|talk| (*client, talk)));
        let listed = self.lists.left();
        // What was seen comes last, and is what holds.
        listed.chain(talks.filter_map(|(client, talk)| talk.left(client))).collect()
    }

    fn talk(&self, client: Mac, talk: TalkId) -> Option<&Talk> {
        self.table.peek(&client)?.iter().find(|t| t.id == talk)
    }

    /// What a server's list tells, or an earlier run.
    fn learn(&mut self, fact: &Stamped<Fact>) {
        if let Fact::Lease(told) = &fact.what {
            // What was not to be renewed before was not renewed unseen.
            let followed = told.followed || told.renews.zip(fact.time).is_some_and(|(renews, now)| now < renews);
            let told = LeaseEnd { followed, ..*told };
            self.lists.learn(told);
            self.watches.listed(told);
        }
    }

    /// What a server or a client says of a lease that was only listed so far.
    fn settle(&mut self, step: &DhcpStep) {
        if let Some(address) = lists::settled(step) {
            self.lists.forget(step.client, address);
            self.watches.forget_listed(step.client, address);
        }
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, is_first: bool) -> Option<Arc<DhcpStep>> {
        let frame = seen.frame;
        let dhcp = frame.layers.dhcp().filter(|d| d.htype() == 1 && d.hlen() == 6 && d.chaddr().is_station())?;
        let kind = dhcp.message_type()?;
        let vantage = frame.at.vantage;
        let dst = frame.layers.inner_dst();
        if dhcp.op() == 2 && dst.is_some_and(Mac::is_station) {
            let client = dhcp.chaddr();
            match self.unicast.iter_mut().find(|alone| alone.at == vantage) {
                Some(alone) => alone.only = alone.only.filter(|only| *only == client),
                None => self.unicast.push(Alone { at: vantage, only: Some(client) }),
            }
        }
        let next = &mut self.next;
        let talks = self.table.entry(&dhcp.chaddr(), Few::new);
        let at = find(talks, dhcp.xid(), seen.domain, domains).unwrap_or_else(|| {
            if talks.len() >= MOST_TALKS {
                talks.remove(0);
            }
            talks.push(Talk::new(TalkId(*next), seen.domain));
            *next = next.saturating_add(1);
            talks.len().saturating_sub(1)
        });
        let talk = talks.iter_mut().nth(at)?;
        enter(&mut talk.places, vantage);
        if dhcp.op() == 1 && frame.direction == Direction::Out && !dst.is_some_and(Mac::is_station) {
            enter(&mut talk.led_out, vantage);
        }
        if dhcp.op() == 2 {
            if is_first {
                talk.answered_at.clear();
            }
            enter(&mut talk.answered_at, vantage);
        }
        if !is_first {
            return None;
        }
        let mut step = talk.step(seen, &dhcp, kind);
        if step.is_renewal() {
            step.lease = self.lists.newer(step.lease, &step);
        }
        let step = Arc::new(step);
        talk.follow(&step, &mut self.watches);
        self.servers.note(&step, domains);
        self.exchanges.note(&step, talk.lease.as_ref());
        self.latencies.note(&step);
        self.settle(&step);
        Some(step)
    }
}

impl Tracker for DhcpTalks {
    fn hears(&self) -> Kinds {
        // All of IPv4 only while an address is over and might still be used.
        if self.watches.is_on() {
            const { Kinds::of(&[Kind::Dhcp, Kind::Ipv4]) }
        } else {
            const { Kinds::of(&[Kind::Dhcp]) }
        }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let (seen, is_first) = match seen {
            Observation::Packet(seen) => (seen, true),
            Observation::Sighting(seen) => (seen, false),
            Observation::Host(fact) => return self.learn(fact),
            _ => return,
        };
        if is_first && self.watches.is_on() {
            let table = &self.table;
            let asks =
                |told: &LeaseEnd| table.peek(&told.mac).is_some_and(|talks| talks.iter().any(|t| t.asks_for(told)));
            out.extend(self.watches.note(seen, asks).map(|used| Derived::AddressUsed(Arc::new(used))));
        }
        out.extend(self.note(seen, domains, is_first).map(Derived::Dhcp));
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.watches.next_deadline(), self.exchanges.next_deadline()].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Timestamp, _out: &mut Vec<Derived>) {
        self.watches.expire(now);
        self.exchanges.expire(now);
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}

/// The conversation that a message belongs to: that of its transaction, wherever a relay carried it; else that of its network.
fn find(talks: &Few<Talk>, xid: u32, domain: DomainId, domains: &Domains) -> Option<usize> {
    let here = |talk: &Talk| domains.is_same(talk.domain, domain);
    let both = talks.iter().position(|talk| talk.xids.contains(&xid) && here(talk));
    both.or_else(|| talks.iter().position(|talk| talk.xids.contains(&xid))).or_else(|| talks.iter().position(here))
}

fn enter(places: &mut Vec<VantageId>, vantage: VantageId) {
    if !places.contains(&vantage) && places.len() < MOST_PLACES {
        places.push(vantage);
    }
}
