//! STP007: a per-VLAN BPDU travels in another VLAN than the one it names: the native VLAN differs between the two ends (Cisco PVST+; no IEEE standard).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP007",
        name: "pvst-vlan-mismatch",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("pvst_vlan_mismatch.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(PvstVlanMismatch { pairs: Followed::new(MOST, ENOUGH, ENOUGH) }),
};

/// Pairs of VLANs that are followed.
const MOST: usize = 1_024;
/// BPDUs that make it sure.
const ENOUGH: u64 = 2;

struct PvstVlanMismatch {
    /// With who sent the first of them, and the native VLAN that the neighbour tells.
    pairs: Followed<PairKey, (Mac, Option<u16>)>,
}

/// Where, the VLAN of the tag (`None` without one), and the VLAN that the BPDU names.
type PairKey = (VantageId, Option<u16>, u16);

impl Detector for PvstVlanMismatch {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.pairs.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(due) = self.pairs.due(cx.now, patience) {
            match due {
                Due::Ripe(key) => self.claim(key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(key, cx), format!("no such BPDU for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.pairs.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl PvstVlanMismatch {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let Some(named) = stp.pvst_vlan() else { return };
        let vantage = frame.at.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        // Behind a VLAN device or on a tap tags are gone; a mirror or a file of unknown origin shows what was on the wire.
        let is_wire = matches!(place, Place::Bond | Place::Nic | Place::Switch | Place::Span | Place::Unknown);
        if !is_wire || frame.layers.overlay().is_some() || cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let told = cx.world.neighbours.at(vantage).and_then(|n| n.port_vlan);
        let travels = match frame.layers.tags().networks().as_slice() {
            [] => None,
            [(_, vid)] => Some(vid.number()),
            // In a provider's tunnel the BPDU names the customer's VLAN.
            _ => return,
        };
        let is_mismatch = match travels {
            Some(vlan) => vlan != named,
            None => told.is_some_and(|native| native != named),
        };
        if !is_mismatch {
            return;
        }
        self.pairs.see(&(vantage, travels, named), frame, cx, || (mac, told));
    }

    fn claim(&mut self, key: PairKey, cx: &mut Context<'_>) {
        let (vantage, travels, named) = key;
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        let (mac, told) = pair.what;
        let interface = cx.world.interface(vantage);
        let (confidence, severity, how) = match travels {
            Some(vlan) => (Confidence::Confirmed, Severity::Error, format!("arrive in VLAN {vlan}")),
            None => {
                let native = told.unwrap_or_default();
                (
                    Confidence::Likely,
                    Severity::Warning,
                    format!("arrive untagged, which its neighbour says is VLAN {native}"),
                )
            }
        };
        let headline = format!(
            "{interface}: per-VLAN BPDUs of VLAN {named} {how} since {}: the native VLAN differs between the two ends, and a Cisco switch blocks such a port (PVID inconsistent).",
            pair.first.clock()
        );
        let claim = Claim::new(claim_key(key, cx), confidence, severity, headline)
            .at(vantage)
            .number("named_vlan", named)
            .number("source", mac.to_string())
            .filter("stp.pvst.origvlan")
            .cause("the two ends of a trunk have different native VLANs")
            .cause("an access port is connected to a trunk, or two VLANs are bridged somewhere")
            .step("See which ports a switch has blocked for it", "show spanning-tree inconsistentports")
            .step("Give both ends the same native VLAN", "switchport trunk native vlan 1");
        cx.raise(pair.prove(claim));
    }
}

fn claim_key((vantage, travels, named): PairKey, cx: &Context<'_>) -> Key {
    let seen = travels.map_or_else(|| "untagged".to_owned(), |vlan| vlan.to_string());
    Key::new().with("interface", cx.world.interface(vantage)).with("seen", seen).with("named", named)
}
