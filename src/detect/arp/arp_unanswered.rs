//! Somebody asks by ARP for an address and nobody answers (RFC 826). Probes, announcements, scans and a DHCP server's look for a free
//! address ask nobody; the way out of a network is ARP003's once two ask for it.

use std::net::Ipv4Addr;

use super::{REQUESTS, askers, is_gateway, network, requests};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::BoundedMap;
use crate::world::{Asker, Derived, DomainId, Observation, Topic, Wanted};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "ARP002",
        name: "arp-unanswered",
        levels: &[(Confidence::Likely, Severity::Info), (Confidence::Likely, Severity::Warning)],
        page: include_str!("arp_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Address],
    needs: Needs::Ethernet,
    make: |settings| Box::new(ArpUnanswered::new(settings)),
};

/// Askers that make an address that nobody was seen to have a matter of the network.
const MANY: usize = 3;

struct ArpUnanswered {
    claimed: BoundedMap<(DomainId, Ipv4Addr), Key>,
}

impl ArpUnanswered {
    fn new(settings: &Settings) -> Self {
        Self { claimed: BoundedMap::new(settings.tables.lapses) }
    }

    fn wanted(&mut self, wanted: &Wanted, cx: &mut Context<'_>) {
        let askers = askers(wanted, cx);
        let is_sure = askers.iter().any(|asker| asker.is_repeated);
        if requests(&askers) < REQUESTS || !is_sure || (askers.len() >= 2 && is_gateway(wanted, cx)) {
            return;
        }
        let has_left = |(mac, spoke)| cx.world.dhcp.has_left(mac, wanted.ip, spoke, wanted.domain, &cx.world.domains);
        if wanted.owner.is_some_and(has_left) {
            return;
        }
        let was_there = wanted.is_router || wanted.owner.is_some_and(|(_, spoke)| spoke < wanted.since);
        let severity = if was_there || askers.len() >= MANY { Severity::Warning } else { Severity::Info };
        let place = (wanted.domain, wanted.ip);
        let domain = cx.world.domains.name(wanted.domain);
        let key = self.claimed.entry(&place, || Key::new().with("domain", domain).with("ip", wanted.ip)).clone();
        let claim = Claim::new(key, Confidence::Likely, severity, headline(wanted, &askers, cx))
            .seen(wanted.since, requests(&askers))
            .until(wanted.until)
            .number("requests", requests(&askers))
            .number("askers", askers.len())
            .proved_by(wanted.cited.iter().cloned())
            .filter(format!("arp.dst.proto_ipv4 == {0} || arp.src.proto_ipv4 == {0}", wanted.ip));
        let claim = askers.first().into_iter().fold(claim, |claim, asker| claim.at(asker.vantage));
        cx.raise(told(claim, wanted, cx));
    }
}

impl Detector for ArpUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Wanted(wanted)) => self.wanted(wanted, cx),
            Observation::Derived(Derived::Found { domain, ip, mac, at }) => {
                if let Some(key) = self.claimed.remove(&(*domain, *ip)) {
                    cx.resolve(key, format!("{mac} spoke for it at {}", at.clock()));
                }
            }
            _ => {}
        }
    }
}

fn headline(wanted: &Wanted, askers: &[&Asker], cx: &Context<'_>) -> String {
    let who = match askers {
        [one] => format!("{} asks", one.ip),
        many => format!("{} stations ask", many.len()),
    };
    let count = requests(askers);
    let (ip, since, network) = (wanted.ip, wanted.since.clock(), network(wanted.domain, cx));
    let before = match wanted.owner {
        Some((mac, spoke)) => {
            let station = cx.world.stations.station(mac, wanted.domain, &cx.world.domains);
            let last = station.map_or(spoke, |s| s.last.max(spoke));
            let word = if last > wanted.since { "which sent last" } else { "last seen" };
            format!("it was {mac}'s, {word} at {}", last.clock())
        }
        None if wanted.is_router => "DHCP calls it the way out".to_owned(),
        None => "nobody here was seen to have it".to_owned(),
    };
    format!("{who} for {ip} in {network} ({count} times since {since}) and nobody answers; {before}.")
}

/// The claim with causes and remedies, by whether somebody had the address.
fn told(claim: Claim, wanted: &Wanted, cx: &Context<'_>) -> Claim {
    let ip = wanted.ip;
    match wanted.owner {
        Some((mac, _)) => {
            let port = cx.world.host.guest_port(mac);
            let port = port.as_deref().and_then(|port| cx.world.known_device(port)).unwrap_or("TAP");
            claim
                .number("mac", mac.to_string())
                .cause("it is switched off, paused or dead, or its link is down")
                .cause("it sends and does not hear (HOST001), or it was moved and its address with it")
                .cause("a filter on its port drops ARP: port security, ebtables")
                .step(
                    "See whether its port is up and drains what it is sent",
                    Command::with("ip -s link show {}", &[&port]),
                )
                .step("See where the bridge believes it to be", Command::with("bridge fdb show | grep {}", &[&mac]))
                .step("With libvirt, see whether it runs", "virsh list --all; virsh domstate --reason GUEST")
                .step("Ask it from another place of the same network", Command::with("arping -c 3 -I IFACE {}", &[&ip]))
        }
        None => claim
            .cause("the address is in nobody's use: a wrong setting in who asks, or a host that is not there yet")
            .cause("it is in another VLAN, or behind a router: the asker's subnet mask is wrong")
            .cause("the way to it is cut: its questions come through, its answers do not")
            .step(
                "See what the asker believes about that address",
                Command::with("ip route get {}; ip neigh show {}", &[&ip, &ip]),
            )
            .step("See whether anybody has it", Command::with("arping -c 3 -I IFACE {}", &[&ip]))
            .step(
                "With OpenStack, see whose it is",
                Command::with("openstack port list --fixed-ip ip-address={}", &[&ip]),
            ),
    }
}
