//! STP006: a switch sends BPDUs to this host: a fact, and the reason why they raise nothing else (IEEE 802.1D-2004 clause 9).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Cited, Frame, Place, Sighting, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{BridgeId, Kind, StpFamily};
use crate::world::{DomainId, Observation, Origin, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP006",
        name: "switch-bpdu-on-host-port",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("switch_bpdu_on_host_port.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(SwitchBpduOnHostPort { bridges: Followed::new(MOST, 1, CITED), heard: BTreeMap::new() }),
};

/// Bridges that are followed; a guest could invent more.
const MOST: usize = 1_024;
/// Bridges that are told at one vantage: a segment has one or two, and nobody reads on behind so many.
const EACH: usize = 32;
/// Frames that are cited.
const CITED: u64 = 2;

struct SwitchBpduOnHostPort {
    bridges: Followed<BridgeKey, Bridge>,
    /// The bridges that were heard at each vantage, and one more than are told.
    heard: BTreeMap<VantageId, BTreeSet<Mac>>,
}

/// Vantage, bridge, and the VLAN of a PVST+ tree.
type BridgeKey = (VantageId, BridgeId, Option<u16>);

struct Bridge {
    mac: Mac,
    sighting: Sighting,
    domain: DomainId,
    root: BridgeId,
    port: u16,
    hello: Span,
}

impl Detector for SwitchBpduOnHostPort {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.bridges.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        // A fact is never over.
        while let Some(due) = self.bridges.due(cx.now, Span::MAX) {
            if let Due::Ripe(key) = due {
                self.claim(&key, cx);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.bridges.unsaid() {
            self.claim(&key, cx);
        }
    }
}

impl SwitchBpduOnHostPort {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let (Some(bridge), Some(root)) = (stp.bridge(), stp.root()) else { return };
        let place = cx.world.vantage(frame.at.vantage).map_or(Place::Unknown, |v| v.place);
        let is_uplink = matches!(place, Place::Bond | Place::Nic | Place::Switch | Place::Span | Place::Unknown);
        if !is_uplink || frame.layers.overlay().is_some() {
            return;
        }
        let instance = if stp.family() == StpFamily::Pvst { stp.pvst_vlan() } else { None };
        let key = (frame.at.vantage, bridge, instance);
        let heard = self.heard.entry(frame.at.vantage).or_default();
        // One bridge has many trees.
        if !heard.contains(&bridge.mac) {
            if heard.len() > EACH {
                return;
            }
            heard.insert(bridge.mac);
            if heard.len() > EACH {
                many(frame, cx);
                return;
            }
        }
        let fresh = || Bridge {
            mac,
            sighting: Sighting::of(frame),
            domain: seen.domain,
            root,
            port: stp.port_id().unwrap_or(0),
            hello: stp.hello().unwrap_or_default(),
        };
        self.bridges.see(&key, frame, cx, fresh);
    }

    fn claim(&mut self, key: &BridgeKey, cx: &mut Context<'_>) {
        let (vantage, bridge, instance) = key;
        let Some(matter) = self.bridges.get_mut(key) else { return };
        let known = &matter.what;
        let origin = cx.world.origin(known.mac, None, known.sighting, known.domain, cx.settings);
        if origin != Origin::Network || cx.world.sightings.link_of(*vantage) != *vantage {
            return;
        }
        let interface = cx.world.interface(*vantage);
        let instance = instance.map_or_else(|| "cist".to_owned(), |vlan| format!("vlan {vlan}"));
        let tree = if instance == "cist" { String::new() } else { format!(" for {instance}") };
        let headline = format!(
            "The switch {bridge} sends BPDUs{tree} to {interface} every {}: normal for a port without a BPDU filter.",
            known.hello
        );
        let finding = Key::new().with("interface", &interface).with("bridge", bridge).with("instance", &instance);
        let claim = Claim::new(finding, Confidence::Confirmed, Severity::Info, headline)
            .at(*vantage)
            .number("root", known.root.to_string())
            .number("port_id", format!("{:#06x}", known.port))
            .number("source", known.mac.to_string())
            .filter(format!("stp && eth.src == {}", known.mac))
            .cause("an ordinary access or trunk port");
        cx.raise(matter.prove(claim));
    }
}

/// More bridges speak than a segment has: from here on they are one line.
fn many(frame: &Frame<'_>, cx: &mut Context<'_>) {
    let interface = cx.world.interface(frame.at.vantage);
    let headline = format!(
        "More than {EACH} bridges send BPDUs to {interface}: a segment has one or two, and no more of them are listed."
    );
    let finding = Key::new().with("interface", &interface).with("bridge", "more");
    let claim = Claim::new(finding, Confidence::Confirmed, Severity::Info, headline)
        .at(frame.at.vantage)
        .seen(frame.time, EACH.saturating_add(1) as u64)
        .proved_by([Cited::of(frame)])
        .filter("stp")
        .cause("a mirror of many ports")
        .cause("a program that invents bridges: a fuzzer, or an attack");
    cx.raise(claim);
}
