//! What a server gives and for how long: the terms of an offer or grant (RFC 2132), and the clock of a lease (RFC 2131 section 4.4.5).
//! A lease begins when the client sent the REQUEST that was granted, not when the grant came.

use std::net::Ipv4Addr;

use crate::value::{Few, Span, Timestamp};
use crate::wire::Dhcp;

/// A lease for ever (RFC 2131 section 3.3).
const FOR_EVER: u32 = u32::MAX;

/// What a server offers or grants.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Terms {
    /// Seconds that the address may be used (51); `u32::MAX` is for ever.
    pub lease: Option<u32>,
    /// Seconds until the client asks its server again: option 58, else half the lease.
    pub t1: Option<u32>,
    /// Seconds until the client asks any server: option 59, else seven eighths of the lease.
    pub t2: Option<u32>,
    /// The subnet mask (1).
    pub mask: Option<Ipv4Addr>,
    /// The routers (3).
    pub routers: Few<Ipv4Addr>,
}

/// The clock of a lease, in packet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Who gave it.
    pub server: Option<Ipv4Addr>,
    /// When it began: as the client asked.
    pub from: Timestamp,
    /// When the client turns to its server.
    pub t1: Timestamp,
    /// When the client turns to any server.
    pub t2: Timestamp,
    /// When it ends; `Timestamp::MAX` where it does not.
    pub end: Timestamp,
    /// How often it was prolonged since it was given.
    pub renewals: u32,
    /// Whether a server's list tells it and no grant was seen: then only the end is known, and the other moments stand there, too.
    pub is_listed: bool,
}

impl Terms {
    /// The terms in a server's message.
    pub(super) fn of(dhcp: &Dhcp<'_>) -> Self {
        let lease = dhcp.lease();
        let share = |of: fn(u32) -> u32| lease.map(|l| if l == FOR_EVER { FOR_EVER } else { of(l) });
        Self {
            lease,
            t1: dhcp.t1().or_else(|| share(|l| l / 2)),
            t2: dhcp.t2().or_else(|| share(|l| l.saturating_sub(l / 8))),
            mask: dhcp.subnet_mask(),
            routers: dhcp.routers().collect(),
        }
    }

    /// Whether the lease never ends.
    pub fn is_for_ever(&self) -> bool {
        self.lease == Some(FOR_EVER)
    }

    /// The clock of a lease on these terms that was asked for at `from`; `None` where the server does not say for how long.
    pub(super) fn clock(&self, address: Ipv4Addr, server: Option<Ipv4Addr>, from: Timestamp) -> Option<Lease> {
        let after = |seconds: u32| {
            if seconds == FOR_EVER { Timestamp::MAX } else { from.after(Span::secs(i64::from(seconds))) }
        };
        let end = after(self.lease?);
        let t2 = self.t2.map_or(end, after).min(end);
        let t1 = self.t1.map_or(t2, after).min(t2);
        Some(Lease { address, server, from, t1, t2, end, renewals: 0, is_listed: false })
    }
}

impl Lease {
    /// The length of the first part, after which the client renews.
    pub const fn until_t1(&self) -> Span {
        self.t1.since(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

    fn clock(lease: Option<u32>, t1: Option<u32>, t2: Option<u32>) -> Option<(f64, f64, f64)> {
        let start = Timestamp::from_parts(1_000, 0);
        let terms = Terms { lease, t1, t2, ..Terms::default() };
        let lease = terms.clock(ADDRESS, None, start)?;
        let after = |at: Timestamp| if at == Timestamp::MAX { f64::INFINITY } else { at.since(start).as_secs() };
        Some((after(lease.t1), after(lease.t2), after(lease.end)))
    }

    #[test]
    fn the_clock_runs_from_the_request_and_its_parts_are_in_order() {
        assert_eq!(clock(Some(60), Some(30), Some(52)), Some((30.0, 52.0, 60.0)));
        // Parts that lie behind the end are of no use to a client.
        assert_eq!(clock(Some(60), Some(90), Some(80)), Some((60.0, 60.0, 60.0)));
        assert_eq!(clock(None, None, None), None);
        let (t1, t2, end) = clock(Some(FOR_EVER), Some(FOR_EVER), Some(FOR_EVER)).unwrap();
        assert!(t1.is_infinite() && t2.is_infinite() && end.is_infinite());
    }
}
