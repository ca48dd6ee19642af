//! VLAN007: a service tag carries customer tags, as provider bridging means it to (IEEE 802.1Q-2018 clause 15, formerly 802.1ad).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN007",
        name: "provider-bridging",
        levels: &[(Confidence::Risk, Severity::Info)],
        page: include_str!("provider_bridging.md"),
    },
    hears: &[Kind::VlanStack],
    needs: Needs::Ethernet,
    make: |_| Box::new(ProviderBridging::default()),
};

/// Frames that are cited.
const CITED: usize = 2;

#[derive(Default)]
struct ProviderBridging {
    services: BTreeMap<ServiceKey, Service>,
    deadlines: Deadlines<ServiceKey>,
}

type ServiceKey = (VantageId, Vid);

struct Service {
    first: Timestamp,
    frames: u64,
    customers: BTreeSet<u16>,
    carry: u32,
    cited: Vec<Cited>,
}

impl Detector for ProviderBridging {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            self.claim(key, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // Once more, with all that was counted.
        let keys: Vec<ServiceKey> = self.services.keys().copied().collect();
        keys.into_iter().for_each(|key| self.claim(key, cx));
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
        let key = (vantage, *service);
        let fresh =
            || Service { first: frame.time, frames: 0, customers: BTreeSet::new(), carry: 0, cited: Vec::new() };
        let is_new = !self.services.contains_key(&key);
        let entry = self.services.entry(key).or_insert_with(fresh);
        entry.frames = entry.frames.saturating_add(1);
        entry.customers.insert(customer.number());
        let packet_len =
            cx.world.flows.segment(frame.at).map_or(frame.layers.ip().map(|ip| ip.packet_len()), |s| s.packet_len);
        entry.carry = entry.carry.max(packet_len.unwrap_or(0).saturating_add(tags.bytes().saturating_sub(4)));
        if entry.cited.len() < CITED {
            entry.cited.push(Cited::of(frame));
        }
        if is_new {
            self.deadlines.set(key, cx.now.after(cx.world.sightings.settle()));
        }
    }

    fn claim(&self, (vantage, service): ServiceKey, cx: &mut Context<'_>) {
        let Some(entry) = self.services.get(&(vantage, service)) else { return };
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
        .seen(entry.first, entry.frames)
        .number("customer_vlans", shown.join(" "))
        .number("largest_carry", entry.carry)
        .proved_by(entry.cited.iter().cloned())
        .filter("ieee8021ad")
        .cause("a provider's or data centre's service VLAN, working as designed")
        .step(
            format!("Nothing, if every hop has an MTU of {} or more for it", entry.carry.max(1_504)),
            format!("ip -d link show {interface}"),
        );
        cx.raise(claim);
    }
}
