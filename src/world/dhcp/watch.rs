//! Addresses that a client should no longer use, since their lease has ended or was given back: whether frames still come from them.
//! At most `tables.clients` addresses wait for their end, and each is watched for ten minutes: then its use costs nothing more.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::DomainId;
use super::lease::Lease;
use super::step::{DhcpStep, TalkId};
use crate::event::Frame;
use crate::finding::Cited;
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::wire::{Ip, Kind};

/// A client whose clock is slow may overstay by so much: the drift of a bad quartz over a lease of a day.
const AFTER_END: Span = Span::secs(5);
/// What a client sends so soon after it gave its address back was on its way.
const AFTER_RELEASE: Span = Span::secs(2);
/// So long an address is watched; a client that comes back later asks for it anew.
const WATCHED: Span = Span::secs(600);

/// Why an address is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The lease has ended.
    Ended,
    /// It was given back.
    Released,
}

/// An address that is used although it is over.
#[derive(Clone, Debug)]
pub struct AddressUse {
    /// The conversation in which it was given or given back.
    pub talk: TalkId,
    /// Who uses it.
    pub client: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// The network in which the conversation began.
    pub domain: DomainId,
    /// Why it is over.
    pub over: Over,
    /// Since when it is over.
    pub since: Timestamp,
    /// The lease, where its grant was seen.
    pub lease: Option<Lease>,
    /// The grant, or the message that gave it back.
    pub told: Arc<DhcpStep>,
    /// The first frame from it.
    pub first: Cited,
    /// When that came.
    pub time: Timestamp,
}

/// Addresses by who held them.
pub(super) struct Watches {
    limit: usize,
    table: BoundedMap<(Mac, Ipv4Addr), Watch>,
    /// When the addresses that are in order are over.
    ends: Deadlines<(Mac, Ipv4Addr)>,
    /// Until when those that are over are watched.
    watched: Deadlines<(Mac, Ipv4Addr)>,
}

struct Watch {
    over: Over,
    since: Timestamp,
    told: Arc<DhcpStep>,
    lease: Option<Lease>,
    is_over: bool,
    /// When it was used last, and how often.
    used: Option<(Timestamp, u64)>,
}

impl Watches {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self { limit, table: BoundedMap::new(limit), ends: Deadlines::new(), watched: Deadlines::new() }
    }

    /// A lease was granted: its end is waited for.
    pub fn granted(&mut self, lease: Lease, step: &Arc<DhcpStep>) {
        self.enter(step, lease.address, Watch::new(Over::Ended, lease.end, step, Some(lease)), lease.end, AFTER_END);
    }

    /// A client gave its address back.
    pub fn released(&mut self, step: &Arc<DhcpStep>) {
        if !step.ciaddr.is_unspecified() {
            let watch = Watch::new(Over::Released, step.time, step, step.lease);
            self.enter(step, step.ciaddr, watch, step.time, AFTER_RELEASE);
        }
    }

    /// The address is no longer the client's, for another reason.
    pub fn forget(&mut self, client: Mac, address: Ipv4Addr) {
        let key = (client, address);
        self.ends.clear(&key);
        self.watched.clear(&key);
        self.table.remove(&key);
    }

    /// Whether any address is watched, so that frames must be heard.
    pub fn is_on(&self) -> bool {
        !self.watched.is_empty()
    }

    /// When a watched address was used last, and by how many packets so far.
    pub fn used(&self, client: Mac, address: Ipv4Addr) -> Option<(Timestamp, u64)> {
        self.table.peek(&(client, address))?.used
    }

    /// Looks at a frame; the first one from a watched address is told.
    pub fn note(&mut self, frame: &Frame<'_>) -> Option<AddressUse> {
        let layers = &frame.layers;
        let (Some(client), Some(Ip::V4(ip)), false) = (layers.inner_src(), layers.inner_ip(), layers.has(Kind::Dhcp))
        else {
            return None;
        };
        let address = ip.src();
        let watch = self.table.get_mut(&(client, address)).filter(|watch| watch.is_over)?;
        let is_first = watch.used.is_none();
        watch.used = Some((frame.order, watch.used.map_or(1, |(_, n)| n.saturating_add(1))));
        is_first.then(|| AddressUse {
            talk: watch.told.talk,
            client,
            address,
            domain: watch.told.domain,
            over: watch.over,
            since: watch.since,
            lease: watch.lease,
            told: Arc::clone(&watch.told),
            first: super::cite(frame),
            time: frame.order,
        })
    }

    /// The next moment at which an address is over, or watched no more.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [self.ends.next(), self.watched.next()].into_iter().flatten().min()
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(key) = self.ends.pop(now) {
            // The table may have forgotten it.
            if let Some(watch) = self.table.get_mut(&key) {
                watch.is_over = true;
                self.watched.set(key, now.after(WATCHED));
            }
        }
        while let Some(key) = self.watched.pop(now) {
            self.table.remove(&key);
        }
    }

    fn enter(&mut self, step: &DhcpStep, address: Ipv4Addr, watch: Watch, over: Timestamp, grace: Span) {
        self.forget(step.client, address);
        if over < Timestamp::MAX && self.ends.len() < self.limit {
            let key = (step.client, address);
            self.ends.set(key, over.after(grace));
            self.table.insert(key, watch);
        }
    }
}

impl Watch {
    fn new(over: Over, since: Timestamp, told: &Arc<DhcpStep>, lease: Option<Lease>) -> Self {
        Self { over, since, told: Arc::clone(told), lease, is_over: false, used: None }
    }
}
