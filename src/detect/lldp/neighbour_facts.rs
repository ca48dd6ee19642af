//! LLDP001: who is at the other end of an uplink, and what its port is set to: a fact, never a fault (IEEE 802.1AB-2016 clause 8; CDP as Cisco has it).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Neighbour, NeighbourKey, Observation};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LLDP001",
        name: "neighbour-facts",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("neighbour_facts.md"),
    },
    hears: &[Kind::Lldp, Kind::Cdp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(NeighbourFacts { told: Followed::new(MOST, 1, 1) }),
};

/// Neighbours that are told.
const MOST: usize = 256;

struct NeighbourFacts {
    told: Followed<NeighbourKey>,
}

impl Detector for NeighbourFacts {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        let protocol = if frame.layers.has(Kind::Lldp) { "lldp" } else { "cdp" };
        let Some(mac) = frame.layers.link_src() else { return };
        let key = (frame.at.vantage, mac, protocol);
        let is_it = cx.world.neighbours.neighbour(&key).is_some_and(|n| n.last == frame.order);
        // The host may speak too; what it says of itself is no neighbour.
        if is_it && !cx.world.host.is_own(mac) {
            self.told.see(&key, frame, cx, || ());
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.told.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        // A fact is never over.
        while let Some(due) = self.told.due(cx.now, Span::MAX) {
            if let Due::Ripe(key) = due {
                self.claim(&key, cx);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.told.unsaid() {
            self.claim(&key, cx);
        }
    }
}

impl NeighbourFacts {
    fn claim(&mut self, key: &NeighbourKey, cx: &mut Context<'_>) {
        let (vantage, mac, protocol) = *key;
        let Some((neighbour, matter)) = cx.world.neighbours.neighbour(key).zip(self.told.get_mut(key)) else { return };
        // Where a bond shows what its member shows, the member is the one that has a cable.
        let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let finding = Key::new()
            .with("interface", &interface)
            .with("chassis", &neighbour.chassis)
            .with("port", &neighbour.port)
            .with("protocol", protocol);
        let mut claim = Claim::new(finding, Confidence::Confirmed, Severity::Info, sentence(&interface, neighbour))
            .at(vantage)
            .number("source", mac.to_string())
            .number("ttl_s", Span::secs(i64::from(neighbour.ttl)).as_secs())
            .filter(format!("{protocol} && eth.src == {mac}"))
            .cause("a neighbour that tells who it is");
        if let Some(vlan) = neighbour.port_vlan {
            claim = claim.number("port_vlan", vlan);
        }
        if let Some(bytes) = neighbour.max_frame {
            claim = claim.number("max_frame", bytes);
        }
        cx.raise(matter.prove(claim));
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
