//! Addresses that a client should no longer use, since their lease has ended or was given back: whether frames still come from them.
//! At most `tables.clients` addresses wait for their end, and each is watched for ten minutes: then its use costs nothing more.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::{DomainId, Seen};
use super::lease::Lease;
use super::step::{DhcpStep, TalkId};
use crate::event::{Cited, LeaseEnd};
use crate::value::{Mac, Span, TimedMap, Timestamp};
use crate::wire::{Ip, Kind};

/// A client whose clock is slow may overstay by so much: the drift of a bad quartz over a lease of a day.
const AFTER_END: Span = Span::secs(5);
/// The same where a server's list tells the end: its clock may be another than that of the capture.
const AFTER_LISTED_END: Span = Span::secs(60);
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
    /// The conversation in which it was given or given back, where that was seen.
    pub talk: Option<TalkId>,
    /// Who uses it.
    pub client: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// The network in which the conversation began, or in which the address is used.
    pub domain: DomainId,
    /// Why it is over.
    pub over: Over,
    /// Since when it is over.
    pub since: Timestamp,
    /// The lease, where its grant was seen or a server's list tells it.
    pub lease: Option<Lease>,
    /// The grant, or the message that gave it back, where that was seen.
    pub told: Option<Arc<DhcpStep>>,
    /// The first frame from it.
    pub first: Cited,
    /// When that came.
    pub time: Timestamp,
}

impl AddressUse {
    /// Whether a server's list tells of the lease, and no message that was seen.
    pub fn is_listed(&self) -> bool {
        self.lease.is_some_and(|lease| lease.is_listed)
    }
}

/// Addresses by who held them.
pub(super) struct Watches {
    limit: usize,
    /// Each with the moment at which it is over or, where it is, until which it is watched.
    table: TimedMap<(Mac, Ipv4Addr), Watch>,
    /// How many are over.
    watched: usize,
}

struct Watch {
    over: Over,
    since: Timestamp,
    by: By,
    lease: Option<Lease>,
    is_over: bool,
    /// When it was used last, and how often.
    used: Option<(Timestamp, u64)>,
}

/// Who tells that an address is over.
enum By {
    /// A message that was seen.
    Step(Arc<DhcpStep>),
    /// A server's list.
    List(LeaseEnd),
}

impl Watches {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self { limit, table: TimedMap::new(limit), watched: 0 }
    }

    /// A lease was granted: its end is waited for.
    pub fn granted(&mut self, lease: Lease, step: &Arc<DhcpStep>) {
        let watch = Watch::new(Over::Ended, lease.end, By::Step(Arc::clone(step)), Some(lease));
        self.enter((step.client, lease.address), watch, AFTER_END);
    }

    /// A server's list tells a lease: its end is waited for, unless what was seen says as much.
    pub fn listed(&mut self, told: LeaseEnd) {
        let (key, lease) = ((told.mac, told.address), told.lease());
        let is_seen =
            |watch: &Watch| matches!(watch.by, By::Step(_)) && lease.end <= watch.since.after(AFTER_LISTED_END);
        if !self.table.peek(&key).is_some_and(is_seen) {
            self.enter(key, Watch::new(Over::Ended, lease.end, By::List(told), Some(lease)), AFTER_LISTED_END);
        }
    }

    /// The client does not have any more what a list tells.
    pub fn forget_listed(&mut self, client: Mac, address: Ipv4Addr) {
        if self.table.peek(&(client, address)).is_some_and(|watch| matches!(watch.by, By::List(_))) {
            self.forget(client, address);
        }
    }

    /// A client gave its address back.
    pub fn released(&mut self, step: &Arc<DhcpStep>) {
        if !step.ciaddr.is_unspecified() {
            let watch = Watch::new(Over::Released, step.time, By::Step(Arc::clone(step)), step.lease);
            self.enter((step.client, step.ciaddr), watch, AFTER_RELEASE);
        }
    }

    /// The address is no longer the client's, for another reason.
    pub fn forget(&mut self, client: Mac, address: Ipv4Addr) {
        if self.table.remove(&(client, address)).is_some_and(|watch| watch.is_over) {
            self.watched = self.watched.saturating_sub(1);
        }
    }

    /// Whether any address is watched, so that frames must be heard.
    pub const fn is_on(&self) -> bool {
        self.watched > 0
    }

    /// When a watched address was used last, and by how many packets so far.
    pub fn used(&self, client: Mac, address: Ipv4Addr) -> Option<(Timestamp, u64)> {
        self.table.peek(&(client, address))?.used
    }

    /// Looks at a frame; the first one from a watched address is told. Of a lease whose renewals nobody would have told it is only where
    /// `asks` knows, of its client and its end, that the client asks in vain to keep it.
    pub fn note(&mut self, seen: &Seen<'_>, asks: impl Fn(&LeaseEnd) -> bool) -> Option<AddressUse> {
        let frame = seen.frame;
        let layers = &frame.layers;
        let (Some(client), Some(Ip::V4(ip)), false) = (layers.inner_src(), layers.inner_ip(), layers.has(Kind::Dhcp))
        else {
            return None;
        };
        let address = ip.src();
        let watch = self.table.get_mut(&(client, address)).filter(|watch| watch.is_over)?;
        if matches!(&watch.by, By::List(told) if !told.followed && !asks(told)) {
            return None;
        }
        let is_first = watch.used.is_none();
        watch.used = Some((frame.order, watch.used.map_or(1, |(_, n)| n.saturating_add(1))));
        let told = match &watch.by {
            By::Step(step) => Some(Arc::clone(step)),
            By::List(_) => None,
        };
        is_first.then(|| AddressUse {
            talk: told.as_ref().map(|step| step.talk),
            client,
            address,
            domain: told.as_ref().map_or(seen.domain, |step| step.domain),
            over: watch.over,
            since: watch.since,
            lease: watch.lease,
            told,
            first: super::cite(frame),
            time: frame.order,
        })
    }

    /// The next moment at which an address is over, or watched no more.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.table.next_deadline()
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(key) = self.table.due(now) {
            match self.table.get_mut(&key) {
                Some(watch) if !watch.is_over => {
                    watch.is_over = true;
                    self.watched = self.watched.saturating_add(1);
                    self.table.wake(&key, now.after(WATCHED));
                }
                _ => self.forget(key.0, key.1),
            }
        }
    }

    fn enter(&mut self, key: (Mac, Ipv4Addr), watch: Watch, grace: Span) {
        let has_room = self.table.len() < self.limit || self.table.peek(&key).is_some();
        if watch.since == Timestamp::MAX || !has_room {
            self.forget(key.0, key.1);
            return;
        }
        let over = watch.since.after(grace);
        if self.table.insert(key, watch).is_some_and(|before| before.is_over) {
            self.watched = self.watched.saturating_sub(1);
        }
        self.table.wake(&key, over);
    }
}

impl Watch {
    const fn new(over: Over, since: Timestamp, by: By, lease: Option<Lease>) -> Self {
        Self { over, since, by, lease, is_over: false, used: None }
    }
}
