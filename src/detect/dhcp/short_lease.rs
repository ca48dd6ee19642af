//! Leases so short that clients renew all the time (RFC 2131 section 4.4.5): a risk, since an outage of a minute then costs addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
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
    follows: &[Topic::Dhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(ShortLease::new(settings)),
};

/// Servers and lengths that are followed.
const MOST: usize = 256;
/// Clients that are counted of one of them.
const MOST_CLIENTS: usize = 4_096;
/// Clients that show that a first lease is no exception, where none of them has renewed yet.
const CLIENTS: usize = 3;
/// Packets of one renewal.
const PACKETS: f64 = 2.0;
/// A finding is told again after this time, or when there are twice as many clients.
const TELL_EVERY: Span = Span::secs(60);

/// Who grants, where, and for how long.
type Id = (DomainId, Ipv4Addr, u32);

struct ShortLease {
    short: u32,
    very_short: u32,
    load: f64,
    grants: BoundedMap<Id, Grants>,
}

/// Short leases of one server.
struct Grants {
    t1: u32,
    since: Timestamp,
    count: u64,
    clients: BTreeSet<Mac>,
    fresh: Vec<Cited>,
    told: Option<(Key, Timestamp)>,
}

impl ShortLease {
    fn new(settings: &Settings) -> Self {
        let dhcp = &settings.dhcp;
        Self {
            short: dhcp.short_t1_s,
            very_short: dhcp.very_short_t1_s,
            load: f64::from(dhcp.renewal_packets),
            grants: BoundedMap::new(MOST),
        }
    }

    fn granted(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(server) = step.server else { return };
        let Some((lease, t1)) = step.terms.as_ref().and_then(|terms| Some((terms.lease?, terms.t1?))) else { return };
        let root = cx.world.domains.root(step.domain);
        if t1 >= self.short {
            self.prolonged(root, server, step, cx);
            return;
        }
        let lease = self.whole(root, server, lease, t1);
        let is_renewed = step.asked.is_some_and(|asked| asked.asking.is_some_and(Asking::is_keeping));
        let grants = self.grants.entry(&(root, server, lease), || Grants::new(t1, step.cited.time));
        grants.count = grants.count.saturating_add(1);
        if grants.clients.len() < MOST_CLIENTS {
            grants.clients.insert(step.client);
        }
        if grants.fresh.len() < 2 {
            grants.fresh.push(step.cited.clone());
        }
        // The first lease of a client may be short on purpose, and the next long.
        let is_habit = is_renewed || grants.clients.len() >= CLIENTS || grants.told.is_some();
        let is_news = grants.told.as_ref().is_none_or(|(_, at)| cx.now.since(*at) >= TELL_EVERY);
        if is_habit && is_news {
            let packets = PACKETS * grants.clients.len() as f64 / f64::from(t1.max(1));
            let severity =
                if t1 < self.very_short || packets >= self.load { Severity::Warning } else { Severity::Info };
            grants.claim(server, lease, step, severity, packets, cx);
        }
    }

    /// The lease of which `lease` may be what is left: a server that answers early renewals from memory grants the rest of the lease, as long as less
    /// than a quarter of it is over (ISC dhcpd, dhcp-cache-threshold). Where the rest was seen first, the whole takes its place.
    fn whole(&mut self, root: DomainId, server: Ipv4Addr, lease: u32, t1: u32) -> u32 {
        let is_rest = |rest: u32, whole: u32| rest < whole && u64::from(rest) * 4 >= u64::from(whole) * 3;
        let of_server = |id: &&Id| id.0 == root && id.1 == server;
        let is_kin = |id: &&Id| is_rest(lease, id.2) || is_rest(id.2, lease);
        let known = self.grants.by_age().map(|(id, _)| id).find(|id| of_server(id) && is_kin(id)).copied();
        let Some(id) = known else { return lease };
        if id.2 > lease {
            return id.2;
        }
        if let Some(mut grants) = self.grants.remove(&id) {
            grants.t1 = t1;
            self.grants.insert((root, server, lease), grants);
        }
        lease
    }

    /// A server that gave short leases gives long ones.
    fn prolonged(&mut self, root: DomainId, server: Ipv4Addr, step: &DhcpStep, cx: &mut Context<'_>) {
        let of_server = |id: &Id| id.0 == root && id.1 == server;
        let ids: Vec<Id> = self.grants.by_age().map(|(id, _)| *id).filter(of_server).collect();
        for id in ids {
            if let Some((key, _)) = self.grants.remove(&id).and_then(|grants| grants.told) {
                cx.resolve(key, format!("{server} grants {} longer leases", step.client));
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
}

impl Grants {
    const fn new(t1: u32, since: Timestamp) -> Self {
        Self { t1, since, count: 0, clients: BTreeSet::new(), fresh: Vec::new(), told: None }
    }

    fn claim(
        &mut self,
        server: Ipv4Addr,
        lease: u32,
        step: &DhcpStep,
        severity: Severity,
        packets: f64,
        cx: &mut Context<'_>,
    ) {
        let t1 = self.t1;
        let hourly = 3_600_u32.checked_div(t1).unwrap_or(3_600);
        let headline = format!(
            "{server} ({}) gives leases of {lease} s: each client renews every {t1} s, {hourly} times an hour, and an outage of {} s \
             costs addresses.",
            network(step.domain, cx),
            lease.saturating_sub(t1),
        );
        let fresh = || Key::new().with("server", server).with("lease", format!("{lease} s"));
        let key = self.told.take().map_or_else(fresh, |(key, _)| key);
        self.told = Some((key.clone(), cx.now));
        let claim = Claim::new(key, Confidence::Risk, severity, headline)
            .seen(self.since, self.count)
            .at(step.cited.at.vantage)
            .number("lease_s", lease)
            .number("t1_s", t1)
            .number("clients", self.clients.len())
            .number("packets_per_s", packets)
            .proved_by(std::mem::take(&mut self.fresh))
            .filter("dhcp.option.ip_address_lease_time < 240")
            .cause("the lease time is configured so: dhcp_lease_time of nova-network (120 s by default), dhcp_lease_duration of Neutron")
            .step(
                "Make leases a day long, once all is well: where renewals fail, a longer lease only hides it",
                "grep -rn 'dhcp_lease' /etc/nova /etc/neutron",
            );
        cx.raise(claim);
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
