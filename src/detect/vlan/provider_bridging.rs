//! VLAN007: a service tag carries customer tags, as provider bridging means it to (IEEE 802.1Q-2018 clause 15, formerly 802.1ad).

use std::collections::BTreeSet;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Span, TagStack, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Observation, Seen, World};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN007",
        name: "provider-bridging",
        levels: &[(Confidence::Risk, Severity::Info)],
        page: include_str!("provider_bridging.md"),
    },
    hears: &[Kind::VlanStack],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(ProviderBridging { services: Followed::new(MOST, 1, CITED) }),
};

/// Service VLANs that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: u64 = 2;

struct ProviderBridging {
    services: Followed<ServiceKey, Service>,
}

type ServiceKey = (VantageId, Vid);

#[derive(Default)]
struct Service {
    customers: BTreeSet<u16>,
    carry: u32,
}

impl Detector for ProviderBridging {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.services.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        // A fact is never over.
        while let Some(due) = self.services.due(cx.now, Span::MAX) {
            if let Due::Ripe(key) = due {
                self.claim(key, cx);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let keys: Vec<ServiceKey> = self.services.iter().map(|(key, _)| *key).collect();
        for key in keys {
            self.recount(key, cx.world);
        }
        for key in self.services.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl ProviderBridging {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let tags = frame.layers.tags();
        let [(Tpid::S, service), (_, customer), ..] = tags.as_slice() else { return };
        let vantage = frame.at.vantage;
        if cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        let packet_len =
            cx.world.flows.segment(frame.at).map_or(frame.layers.ip().map(|ip| ip.packet_len()), |s| s.packet_len);
        let carry = packet_len.unwrap_or(0).saturating_add(tags.bytes().saturating_sub(4));
        let entry = &mut self.services.see(&(vantage, *service), frame, cx, Service::default).what;
        entry.customers.insert(customer.number());
        entry.carry = entry.carry.max(carry);
    }

    /// Not every frame is heard of (`world::prediction`): how many there were the world knows.
    fn recount(&mut self, key: ServiceKey, world: &World) {
        let (at, service) = key;
        let is_it = |stack: &TagStack| matches!(stack.as_slice(), [(Tpid::S, vid), _, ..] if *vid == service);
        let same = world.domains.stacks().filter(|(vantage, stack, ..)| *vantage == at && is_it(stack));
        let (frames, latest) = same.fold((0_u64, Timestamp::MIN), |(sum, latest), (_, _, frames, at)| {
            (sum.saturating_add(frames), latest.max(at))
        });
        if let Some(matter) = self.services.get_mut(&key) {
            matter.count = matter.count.max(frames);
            matter.last = matter.last.max(latest);
        }
    }

    fn claim(&mut self, (vantage, service): ServiceKey, cx: &mut Context<'_>) {
        self.recount((vantage, service), cx.world);
        let Some(matter) = self.services.get_mut(&(vantage, service)) else { return };
        let entry = &matter.what;
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let shown: Vec<String> = entry.customers.iter().take(8).map(u16::to_string).collect();
        let more = if entry.customers.len() > 8 {
            format!(" and {} more", entry.customers.len().saturating_sub(8))
        } else {
            String::new()
        };
        let interface = cx.world.interface(vantage);
        let vlans = if entry.customers.len() == 1 { "VLAN" } else { "VLANs" };
        let headline = format!(
            "{interface}: 802.1ad (QinQ) is in use: service VLAN {service} carries customer {vlans} {}{more}.",
            shown.join(", ")
        );
        let claim = Claim::new(
            Key::new().with("interface", &interface).with("vid", service),
            Confidence::Risk,
            Severity::Info,
            headline,
        )
        .at(vantage)
        .number("customer_vlans", shown.join(" "))
        .number("largest_carry", entry.carry)
        .filter("ieee8021ad")
        .cause("a provider's or data centre's service VLAN, working as designed")
        .step(
            format!("Nothing, if every hop has an MTU of {} or more for it", entry.carry.max(1_504)),
            Command::with("ip -d link show {}", &[&cx.world.device(&interface)]),
        );
        cx.raise(matter.prove(claim));
    }
}
