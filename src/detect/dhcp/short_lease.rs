//! Leases so short that clients renew all the time (RFC 2131 section 4.4.5): a risk, since an outage of a minute then costs addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, DomainId, Observation, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP013",
        name: "short-lease",
        levels: &[(Confidence::Risk, Severity::Info), (Confidence::Risk, Severity::Warning)],
        page: include_str!("short_lease.md"),
    },
    hears: &[],
    follows: &[Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(ShortLease::new(settings)),
};

/// Servers that are followed, and lengths of the leases that one of them gives.
const MOST: usize = 256;
const MOST_LENGTHS: usize = 64;
/// Clients that are counted of one of them.
const MOST_CLIENTS: usize = 4_096;
/// Clients that show that a first lease is no exception, where none of them has renewed yet.
const CLIENTS: usize = 3;
/// Packets of one renewal.
const PACKETS: f64 = 2.0;
/// A finding is told again after this time, when there are twice as many clients, and at the end.
const TELL_EVERY: Span = Span::secs(600);

struct ShortLease {
    limits: Limits,
    /// By who grants, and where.
    servers: BoundedMap<(DomainId, Ipv4Addr), Vec<Grants>>,
}

/// What is short, and when it is bad.
struct Limits {
    short: u32,
    very_short: u32,
    load: f64,
}

/// Short leases of one server and of one length.
struct Grants {
    lease: u32,
    t1: u32,
    since: Timestamp,
    count: u64,
    clients: BTreeSet<Mac>,
    fresh: Vec<Cited>,
    /// Where the latest was seen, and in which network.
    last: (VantageId, DomainId),
    told: Option<Told>,
}

/// Under which key it was told last, when, and of how many.
struct Told {
    key: Key,
    at: Timestamp,
    count: u64,
    clients: usize,
}

impl ShortLease {
    fn new(settings: &Settings) -> Self {
        let dhcp = &settings.dhcp;
        let limits =
            Limits { short: dhcp.short_t1_s, very_short: dhcp.very_short_t1_s, load: f64::from(dhcp.renewal_packets) };
        Self { limits, servers: BoundedMap::new(MOST) }
    }

    fn granted(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let Some(server) = step.server else { return };
        let Some((lease, t1)) = step.terms.as_ref().and_then(|terms| Some((terms.lease?, terms.t1?))) else { return };
        let id = (cx.world.domains.root(step.domain), server);
        if t1 >= self.limits.short {
            self.prolonged(id, step, cx);
            return;
        }
        let last = (step.cited.at.vantage, step.domain);
        let is_renewed = step.asked.is_some_and(|asked| asked.asking.is_some_and(Asking::is_keeping));
        let grants = Grants::of(self.servers.entry(&id, Vec::new), (lease, t1), step.cited.time, last);
        (grants.count, grants.last) = (grants.count.saturating_add(1), last);
        if grants.clients.len() < MOST_CLIENTS {
            grants.clients.insert(step.client);
        }
        if grants.fresh.len() < 2 {
            grants.fresh.push(step.cited.clone());
        }
        // The first lease of a client may be short on purpose, and the next long.
        let is_habit = is_renewed || grants.clients.len() >= CLIENTS || grants.told.is_some();
        let is_news = grants.told.as_ref().is_none_or(|told| {
            cx.now.since(told.at) >= TELL_EVERY || grants.clients.len() >= told.clients.saturating_mul(2)
        });
        if is_habit && is_news {
            grants.claim(server, &self.limits, cx);
        }
    }

    /// A server that gave short leases gives long ones.
    fn prolonged(&mut self, id: (DomainId, Ipv4Addr), step: &DhcpStep, cx: &mut Context<'_>) {
        for grants in self.servers.remove(&id).into_iter().flatten() {
            if let Some(told) = grants.told {
                cx.resolve(told.key, format!("{} grants {} longer leases", id.1, step.client));
            }
        }
    }
}

impl Detector for ShortLease {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.kind == DhcpKind::Ack && !step.is_copy && !step.is_inform_answer() {
            self.granted(step, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let servers: Vec<(DomainId, Ipv4Addr)> = self.servers.by_age().map(|(id, _)| *id).collect();
        for id in servers {
            let all = self.servers.get_mut(&id).into_iter().flatten();
            let outgrown = all.filter(|grants| grants.told.as_ref().is_some_and(|told| grants.count > told.count));
            outgrown.for_each(|grants| grants.claim(id.1, &self.limits, cx));
        }
    }
}

impl Grants {
    const fn new((lease, t1): (u32, u32), since: Timestamp, last: (VantageId, DomainId)) -> Self {
        Self { lease, t1, since, count: 0, clients: BTreeSet::new(), fresh: Vec::new(), last, told: None }
    }

    /// Those of `server` to which a grant of `lease` belongs, which may be what is left of one of theirs: a server that answers early renewals from
    /// memory grants the rest of the lease, as long as less than a quarter of it is over (ISC dhcpd, dhcp-cache-threshold). Where the rest was seen
    /// first, the whole takes its place.
    fn of(server: &mut Vec<Self>, (lease, t1): (u32, u32), since: Timestamp, last: (VantageId, DomainId)) -> &mut Self {
        let is_rest = |rest: u32, whole: u32| rest < whole && u64::from(rest) * 4 >= u64::from(whole) * 3;
        let is_kin = |known: &Self| is_rest(lease, known.lease) || is_rest(known.lease, lease);
        let is_same = |known: &Self| known.lease == lease;
        let at = server.iter().position(is_kin).or_else(|| server.iter().position(is_same)).unwrap_or_else(|| {
            if server.len() >= MOST_LENGTHS {
                server.remove(0);
            }
            server.push(Self::new((lease, t1), since, last));
            server.len().saturating_sub(1)
        });
        match server.get_mut(at) {
            Some(grants) => {
                if grants.lease < lease {
                    (grants.lease, grants.t1) = (lease, t1);
                }
                grants
            }
            None => unreachable!("what was just found or added is there"),
        }
    }

    fn claim(&mut self, server: Ipv4Addr, limits: &Limits, cx: &mut Context<'_>) {
        let Self { lease, t1, since, count, last: (vantage, domain), .. } = *self;
        let fresh = || Key::new().with("server", server).with("lease", format!("{lease} s"));
        let key = self.told.take().map_or_else(fresh, |told| told.key);
        let (clients, network) = (self.clients.len(), network(domain, cx));
        self.told = Some(Told { key: key.clone(), at: cx.now, count, clients });
        let packets = PACKETS * clients as f64 / f64::from(t1.max(1));
        let severity =
            if t1 < limits.very_short || packets >= limits.load { Severity::Warning } else { Severity::Info };
        let claim = Claim::brief(key, Confidence::Risk, severity, move |claim| {
            let hourly = 3_600_u32.checked_div(t1).unwrap_or(3_600);
            claim
                .headline(format!(
                    "{server} ({network}) gives leases of {lease} s: each client renews every {t1} s, {hourly} times an hour, and an outage of {} s \
                     costs addresses.",
                    lease.saturating_sub(t1),
                ))
                .number("lease_s", lease)
                .number("t1_s", t1)
                .number("clients", clients)
                .number("packets_per_s", packets)
                .filter("dhcp.option.ip_address_lease_time < 240")
                .cause("the lease time is configured so: dhcp_lease_time of nova-network (120 s by default), dhcp_lease_duration of Neutron")
                .step(
                    "Make leases a day long, once all is well: where renewals fail, a longer lease only hides it",
                    "grep -rn 'dhcp_lease' /etc/nova /etc/neutron",
                )
        });
        let proofs = std::mem::take(&mut self.fresh);
        cx.raise(claim.seen(since, count).at(vantage).proved_by(proofs));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP013", &play("bond0", 900_000, said))
    }

    fn line(levels: &str, lease: u32) -> String {
        format!("{levels} {} {lease} s", ip(9))
    }

    /// A lease of so many seconds, renewed once.
    fn renewed(lease: u32) -> Vec<(i64, Say)> {
        let half = i64::from(lease) * 500;
        vec![
            (0, Say::request(1, 9)),
            (2, Say::ack(1, 9).lease(lease)),
            (half, Say::renew(1)),
            (half + 2, Say::ack(1, 9).lease(lease)),
        ]
    }

    #[test]
    fn a_renewal_every_minute_is_told_and_one_every_half_minute_is_a_warning() {
        assert_eq!(at(&renewed(240)), [""; 0]);
        assert_eq!(at(&renewed(238)), [line("risk/info Open", 238)]);
        assert_eq!(at(&renewed(60)), [line("risk/info Open", 60)]);
        assert_eq!(at(&renewed(58)), [line("risk/warning Open", 58)]);
    }

    #[test]
    fn a_first_lease_may_be_short_and_a_longer_one_ends_it() {
        assert_eq!(at(&renewed(60)[..2]), [""; 0]);
        let mut said = renewed(60);
        said.extend([(60_000, Say::renew(1)), (60_002, Say::ack(1, 9).lease(86_400))]);
        assert_eq!(at(&said), [line("risk/info Resolved", 60)]);
    }
}
