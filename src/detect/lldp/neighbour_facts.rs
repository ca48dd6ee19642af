//! LLDP001: who is at the other end of an uplink, and what its port is set to: a fact, never a fault (IEEE 802.1AB-2016 clause 8; CDP as Cisco has it).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Neighbour, Observation};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LLDP001",
        name: "neighbour-facts",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("neighbour_facts.md"),
    },
    hears: &[Kind::Lldp, Kind::Cdp],
    needs: Needs::Ethernet,
    make: |_| Box::new(NeighbourFacts::default()),
};

/// Neighbours that are told.
const MOST: usize = 256;

#[derive(Default)]
struct NeighbourFacts {
    told: BTreeMap<Key, Told>,
}

struct Told {
    first: Timestamp,
    count: u64,
    headline: String,
}

impl Detector for NeighbourFacts {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        let protocol = if frame.layers.has(Kind::Lldp) { "lldp" } else { "cdp" };
        let mac = frame.layers.link_src();
        let is_it = |n: &&Neighbour| {
            n.vantage == frame.at.vantage && Some(n.mac) == mac && n.protocol == protocol && n.last == frame.order
        };
        let Some(neighbour) = cx.world.neighbours.all().find(is_it) else { return };
        // The host may speak too; what it says of itself is no neighbour.
        if mac.is_some_and(|mac| cx.world.host.is_own(mac)) {
            return;
        }
        // Where a bond shows what its member shows, the member is the one that has a cable.
        let interface = cx.world.vantage(frame.at.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let key = Key::new()
            .with("interface", &interface)
            .with("chassis", &neighbour.chassis)
            .with("port", &neighbour.port)
            .with("protocol", protocol);
        if self.told.len() >= MOST && !self.told.contains_key(&key) {
            return;
        }
        let headline = sentence(&interface, neighbour);
        let fresh = || Told { first: frame.time, count: 0, headline: String::new() };
        let told = self.told.entry(key.clone()).or_insert_with(fresh);
        told.count = told.count.saturating_add(1);
        let has_changed = told.headline != headline;
        told.headline.clone_from(&headline);
        let mut claim = Claim::new(key, Confidence::Confirmed, Severity::Info, headline)
            .at(frame.at.vantage)
            .seen(told.first, told.count)
            .number("source", neighbour.mac.to_string())
            .number("ttl_s", Span::secs(i64::from(neighbour.ttl)).as_secs())
            .filter(format!("{protocol} && eth.src == {}", neighbour.mac))
            .cause("a neighbour that tells who it is");
        if let Some(vlan) = neighbour.port_vlan {
            claim = claim.number("port_vlan", vlan);
        }
        if let Some(bytes) = neighbour.max_frame {
            claim = claim.number("max_frame", bytes);
        }
        if has_changed {
            claim = claim.proved_by([Cited::of(frame)]);
        }
        cx.raise(claim);
    }
}

fn sentence(interface: &str, neighbour: &Neighbour) -> String {
    let mut facts = Vec::new();
    facts.extend(neighbour.port_vlan.map(|vlan| format!("untagged frames are VLAN {vlan} there")));
    facts.extend(neighbour.max_frame.map(|bytes| format!("it takes frames of up to {bytes} bytes")));
    let facts = if facts.is_empty() { String::new() } else { format!("; {}", facts.join(", ")) };
    let protocol = neighbour.protocol.to_uppercase();
    format!("{interface} hears {} by {protocol}{facts}.", neighbour.name())
}
