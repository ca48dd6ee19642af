//! What servers' own lists tell of leases whose grant was not seen. At most `tables.clients` hardware addresses, 16 leases each; a lease is
//! forgotten when a message about it is seen.

use std::net::Ipv4Addr;

use super::lease::Lease;
use super::step::DhcpStep;
use crate::event::LeaseEnd;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::DhcpKind;

/// Leases of one hardware address: one for each network that a client may be in.
const MOST: usize = 16;
/// A client that asks so shortly before the end that is told asks at half of a newer lease, of which the list did not know yet.
const NEARLY_OVER: Span = Span::secs(10);
/// The clocks of a server and of a capture differ by less.
const CLOCKS_DIFFER: Span = Span::secs(60);

/// Leases by who has them.
pub(super) struct Lists {
    table: BoundedMap<Mac, Vec<LeaseEnd>>,
}

impl Lists {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self { table: BoundedMap::new(limit) }
    }

    /// A server keeps a lease.
    pub fn learn(&mut self, told: LeaseEnd) {
        let leases = self.table.entry(&told.mac, Vec::new);
        leases.retain(|lease| lease.address != told.address);
        if leases.len() >= MOST {
            leases.remove(0);
        }
        leases.push(told);
    }

    /// The lease that a renewal asks to keep: `seen`, unless a list knows of a later end by more than two clocks differ.
    pub fn newer(&self, seen: Option<Lease>, renewal: &DhcpStep) -> Option<Lease> {
        let is_asked = |told: &&LeaseEnd| told.address == renewal.ciaddr && told.covers(renewal.time);
        let leases = self.table.peek(&renewal.client).map_or(&[][..], Vec::as_slice);
        let listed = leases.iter().find(is_asked).map(LeaseEnd::lease);
        let is_newer = |listed: &Lease| {
            seen.is_none_or(|seen| seen.address != listed.address || listed.end > seen.end.after(CLOCKS_DIFFER))
        };
        listed.filter(is_newer).or(seen)
    }

    /// All of them, as nobody goes on telling them.
    pub fn left(&self) -> impl Iterator<Item = LeaseEnd> {
        let leases = self.table.by_age().flat_map(|(_, leases)| leases);
        leases.map(|lease| LeaseEnd { followed: false, ..*lease })
    }

    /// A message about the lease was seen: what it says is newer.
    pub fn forget(&mut self, client: Mac, address: Ipv4Addr) {
        if let Some(leases) = self.table.get_mut(&client) {
            leases.retain(|lease| lease.address != address);
        }
    }
}

/// The address of whose lease a message says what has become of it.
pub(super) fn settled(step: &DhcpStep) -> Option<Ipv4Addr> {
    match step.kind {
        DhcpKind::Ack if step.is_inform_answer() => None,
        DhcpKind::Ack if step.yiaddr.is_unspecified() => Some(step.ciaddr),
        DhcpKind::Ack => Some(step.yiaddr),
        DhcpKind::Release => Some(step.ciaddr),
        DhcpKind::Nak | DhcpKind::Decline => step.wanted,
        _ => None,
    }
}

impl LeaseEnd {
    /// Whether a question of the moment `asked` belongs to this lease, and not to one that came after it.
    pub(super) fn covers(&self, asked: Timestamp) -> bool {
        self.followed || self.until.is_none_or(|until| until.since(asked) >= NEARLY_OVER)
    }

    /// Its clock, of which only the end is known.
    pub(super) fn lease(&self) -> Lease {
        let end = self.until.unwrap_or(Timestamp::MAX);
        Lease { address: self.address, server: None, from: end, t1: end, t2: end, end, renewals: 0, is_listed: true }
    }
}
