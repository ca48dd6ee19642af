//! Two stations have one address (RFC 826; RFC 5227; RFC 4862 section 5.4). An address that is handed over, a bond with several faces and a proxy are none.

use std::net::IpAddr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, Timestamp};
use crate::world::{Conflict, Contested, Derived, DomainId, Observation, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "ARP001",
        name: "duplicate-ip",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("duplicate_ip.md"),
    },
    hears: &[],
    follows: &[Topic::Address],
    needs: Needs::Ethernet,
    make: |settings| Box::new(DuplicateIp::new(settings)),
};

/// How long one alone must have spoken for the address (findings.md, ARP001).
const PATIENCE: Span = Span::secs(300);
/// Conflicts of which the frames are cited.
const CITED: u64 = 3;

struct DuplicateIp {
    contests: Followed<(DomainId, IpAddr), Contest>,
}

/// What was seen of one address.
struct Contest {
    latest: Arc<Contested>,
    /// The plainest sign so far.
    how: Conflict,
}

impl DuplicateIp {
    fn new(settings: &Settings) -> Self {
        Self { contests: Followed::new(settings.tables.lapses, 1, CITED) }
    }

    fn contested(&mut self, contested: &Arc<Contested>, cx: &Context<'_>) {
        let fresh = || Contest { latest: Arc::clone(contested), how: contested.how };
        let place = (contested.domain, contested.ip);
        let matter = self.contests.note(&place, contested.since, cx, fresh, || contested.cited.clone());
        matter.what.latest = Arc::clone(contested);
        matter.what.how = matter.what.how.max(contested.how);
    }

    /// Whoever answers in the name of others contests nobody's address, whenever that came to light.
    fn proxy(&mut self, domain: DomainId, mac: Mac, cx: &mut Context<'_>) {
        let is_his = |contest: &Contest| contest.latest.rivals.iter().any(|(rival, _)| *rival == mac);
        for place in self.contests.drop_where(|place, contest| place.0 == domain && is_his(contest)) {
            cx.resolve(key(&place, cx), format!("{mac} answers for many addresses: it is a proxy"));
        }
    }

    fn claim(&mut self, place: &(DomainId, IpAddr), cx: &mut Context<'_>) {
        let Some(matter) = self.contests.get_mut(place) else { return };
        let Contest { latest, how } = &matter.what;
        let (confidence, severity) = match how {
            Conflict::Returned => (Confidence::Likely, Severity::Warning),
            _ => (Confidence::Confirmed, Severity::Error),
        };
        let [(one, _), (two, _)] = latest.rivals;
        let is_granted = |mac| matches!(latest.ip, IpAddr::V4(ip) if cx.world.dhcp.has_granted(mac, ip));
        let are_clones = is_granted(one) && is_granted(two);
        let headline = headline(latest, *how, (matter.count, matter.first), cx);
        let claim = Claim::new(key(place, cx), confidence, severity, headline)
            .number("mac", one.min(two).to_string())
            .number("other_mac", one.max(two).to_string())
            .number("conflicts", matter.count);
        let claim = if are_clones {
            claim
                .number("granted_to_both", "yes")
                .cause("DHCP gave it to both: clones of one image name themselves alike to the server (client identifier, made of /etc/machine-id)")
                .step(
                    "In one of them make a new name, and start it anew",
                    "rm /etc/machine-id; systemd-machine-id-setup; rm -f /var/lib/dhcp/*.leases",
                )
        } else {
            claim
        };
        let claim = claim
            .filter(match latest.ip {
                IpAddr::V4(ip) => format!("arp.src.proto_ipv4 == {ip} || arp.duplicate-address-detected"),
                IpAddr::V6(ip) => {
                    format!("icmpv6.nd.na.target_address == {ip} || icmpv6.type == 135 && ipv6.src == {ip}")
                }
            })
            .cause("a lease was given out while somebody still used the address (DHCP007, DHCP010, DHCP012)")
            .cause("an address was set by hand that DHCP or another host has")
            .cause("an instance runs twice: it was evacuated from a node that was not dead")
            .cause("two routers both believe that they are the active one (VRRP, HA routers)")
            .cause(
                "a router answers for addresses that are not its own (proxy ARP), of which few were asked for so far",
            )
            .cause("one host with two interfaces in this network answers on both (Linux arp_ignore)")
            .step(
                "See whose addresses these are",
                Command::with(
                    "openstack port list --mac-address {}; openstack port list --mac-address {}",
                    &[&one, &two],
                ),
            )
            .step("On both nodes, see whether the same instance runs", "virsh list --all")
            .step(
                "Take one of them off the network, and see who answers",
                match latest.ip {
                    IpAddr::V4(ip) => Command::with("arping -D -I IFACE {}", &[&ip]),
                    IpAddr::V6(ip) => Command::with("ndisc6 -m {} IFACE", &[&ip]),
                },
            );
        let claim = cx.world.domains.vantages(place.0).take(1).fold(claim, Claim::at);
        let claim = matter.prove(claim);
        cx.raise(claim);
    }
}

impl Detector for DuplicateIp {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Contested(contested)) => self.contested(contested, cx),
            Observation::Derived(Derived::ProxyArp { domain, mac }) => self.proxy(*domain, *mac, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.contests.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.contests.due(cx.now, PATIENCE) {
            match due {
                Due::Ripe(place) => self.claim(&place, cx),
                Due::Over(place, _) => cx.resolve(key(&place, cx), "one alone spoke for it for five minutes"),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for place in self.contests.unsaid() {
            self.claim(&place, cx);
        }
    }
}

fn key((domain, ip): &(DomainId, IpAddr), cx: &Context<'_>) -> Key {
    Key::new().with("domain", cx.world.domains.name(*domain)).with("ip", *ip)
}

fn headline(latest: &Contested, how: Conflict, (count, since): (u64, Timestamp), cx: &Context<'_>) -> String {
    let [(one, _), (two, _)] = latest.rivals;
    let (one, two) = (one.min(two), one.max(two));
    let seen = match how {
        Conflict::Returned => "one spoke for it again after the other had",
        Conflict::InTurn => "they speak for it in turn",
        Conflict::Defended => "one announced it, the other announced it at once too",
        Conflict::BothAnswered => "both answered one question",
    };
    let times = if count == 1 { "one conflict".to_owned() } else { format!("{count} conflicts") };
    format!(
        "{} is claimed by {one} and {two} in {}: {seen} ({times} since {}).",
        latest.ip,
        network(latest.domain, cx),
        since.clock()
    )
}
