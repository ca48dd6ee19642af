//! The way out of a network answers nobody's ARP (RFC 826): two stations ask in vain, and nothing that passes through it proves that it
//! hears. One asker alone is ARP002's, since the trouble may be its own.

use std::net::Ipv4Addr;

use super::{REQUESTS, askers, is_gateway, network, requests};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac};
use crate::world::{Derived, DomainId, Observation, Revived, Topic, Wanted};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "ARP003",
        name: "gateway-silent",
        levels: &[(Confidence::Confirmed, Severity::Error), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("gateway_silent.md"),
    },
    hears: &[],
    follows: &[Topic::Station, Topic::Address],
    needs: Needs::Ethernet,
    make: |settings| Box::new(GatewaySilent::new(settings)),
};

/// Askers that make it the whole network's trouble.
const WHOLE: usize = 10;

struct GatewaySilent {
    claimed: BoundedMap<(DomainId, Ipv4Addr), (Key, Option<Mac>)>,
}

impl GatewaySilent {
    fn new(settings: &Settings) -> Self {
        Self { claimed: BoundedMap::new(settings.tables.stacks) }
    }

    fn wanted(&mut self, wanted: &Wanted, cx: &mut Context<'_>) {
        let askers = askers(wanted, cx);
        let is_sure = askers.iter().any(|asker| asker.is_repeated);
        if askers.len() < 2 || requests(&askers) < REQUESTS || !is_sure || !is_gateway(wanted, cx) {
            return;
        }
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let mac = wanted.owner.map(|(mac, _)| mac);
        let station = mac.and_then(|mac| stations.station(mac, wanted.domain, domains));
        if station.and_then(|s| s.proof).is_some_and(|proof| proof.time > wanted.since) {
            // It carries traffic: what it does not like is the question.
            return;
        }
        let severity = if askers.len() >= WHOLE { Severity::Critical } else { Severity::Error };
        let fresh = || (Key::new().with("domain", domains.name(wanted.domain)).with("ip", wanted.ip), mac);
        let key = self.claimed.entry(&(wanted.domain, wanted.ip), fresh).0.clone();
        let named = mac.map(|mac| format!(" ({mac})")).unwrap_or_default();
        let heard = station.map_or("nothing was ever heard of it here".to_owned(), |s| {
            format!("it was last heard at {}", s.last.clock())
        });
        let headline = format!(
            "Gateway {}{named} answers nobody in {}: {} stations asked {} times in {} since {}; {heard}.",
            wanted.ip,
            network(wanted.domain, cx),
            askers.len(),
            requests(&askers),
            wanted.until.since(wanted.since),
            wanted.since.clock(),
        );
        // Its neighbours asked only when they had forgotten it: it may be gone since it was last heard, and so is what it sent on.
        let gone = station.map_or(wanted.since, |s| s.last.min(wanted.since));
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .seen(gone, requests(&askers))
            .until(wanted.until)
            .number("askers", askers.len())
            .number("requests", requests(&askers))
            .proved_by(wanted.cited.iter().cloned())
            .filter(format!("arp.dst.proto_ipv4 == {0} || arp.src.proto_ipv4 == {0}", wanted.ip));
        let claim = mac.into_iter().fold(claim, |claim, mac| claim.number("mac", mac.to_string()));
        let claim = askers.first().into_iter().fold(claim, |claim, asker| claim.at(asker.vantage));
        cx.raise(
            claim
                .cause("the router is down, or what plays it: the Neutron L3 agent, nova-network, a VRRP pair without a master")
                .cause("the VLAN is not carried to the router any more")
                .cause("the switch port towards it does not forward: spanning tree, an error-disabled port")
                .step("With Neutron, see whether the router has its address", "ip netns exec qrouter-ID ip address")
                .step("See whether its agents are alive", "openstack network agent list --agent-type l3")
                .step("With VRRP, see who is master", "journalctl -u keepalived; ip address show | grep vrrp")
                .step("See whether the VLAN reaches it", "bridge vlan show; bridge fdb show | grep GATEWAY-MAC")
                .step("Start the agent again", "systemctl restart neutron-l3-agent"),
        );
    }

    fn revived(&mut self, revived: &Revived, cx: &mut Context<'_>) {
        let is_it = |((domain, _), (_, mac)): &(&(DomainId, Ipv4Addr), &(Key, Option<Mac>))| {
            *domain == revived.domain && *mac == Some(revived.mac)
        };
        let places: Vec<_> = self.claimed.by_age().filter(is_it).map(|(place, _)| *place).collect();
        for place in places {
            if let Some((key, _)) = self.claimed.remove(&place) {
                cx.resolve(key, format!("it proved at {} that it hears", revived.proof.time.clock()));
            }
        }
    }
}

impl Detector for GatewaySilent {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Wanted(wanted)) => self.wanted(wanted, cx),
            Observation::Derived(Derived::Revived(revived)) => self.revived(revived, cx),
            Observation::Derived(Derived::Found { domain, ip, mac, at }) => {
                if let Some((key, _)) = self.claimed.remove(&(*domain, *ip)) {
                    cx.resolve(key, format!("{mac} spoke for it at {}", at.clock()));
                }
            }
            _ => {}
        }
    }
}
