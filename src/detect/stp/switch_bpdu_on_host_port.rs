//! STP006: a switch sends BPDUs to this host: a fact, and the reason why they raise nothing else (IEEE 802.1D-2004 clause 9).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Timestamp};
use crate::wire::{Kind, StpFamily};
use crate::world::{DomainId, Observation, Origin, Seen, Sighting};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP006",
        name: "switch-bpdu-on-host-port",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("switch_bpdu_on_host_port.md"),
    },
    hears: &[Kind::Stp],
    needs: Needs::Ethernet,
    make: |_| Box::new(SwitchBpduOnHostPort::default()),
};

/// Bridges that are followed; a guest could invent more.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 2;

#[derive(Default)]
struct SwitchBpduOnHostPort {
    bridges: BTreeMap<BridgeKey, Bridge>,
    deadlines: Deadlines<BridgeKey>,
}

/// Vantage, bridge identifier as it prints, and the VLAN of a PVST+ tree.
type BridgeKey = (VantageId, String, Option<u16>);

struct Bridge {
    mac: Mac,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    sighting: Sighting,
    domain: DomainId,
    root: String,
    port: u16,
    hello: String,
    cited: Vec<Cited>,
}

impl Detector for SwitchBpduOnHostPort {
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
            self.claim(&key, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // Once more, with all that was counted.
        let keys: Vec<BridgeKey> = self.bridges.keys().cloned().collect();
        keys.iter().for_each(|key| self.claim(key, cx));
    }
}

impl SwitchBpduOnHostPort {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let (Some(bridge), Some(root)) = (stp.bridge(), stp.root()) else { return };
        let place = cx.world.vantage(frame.at.vantage).map_or(Place::Unknown, |v| v.place);
        let is_uplink = matches!(place, Place::Bond | Place::Nic | Place::Switch | Place::Span | Place::Unknown);
        if !is_uplink || frame.layers.vni().is_some() {
            return;
        }
        let instance = if stp.family() == StpFamily::Pvst { stp.pvst_vlan() } else { None };
        let key = (frame.at.vantage, bridge.to_string(), instance);
        if self.bridges.len() >= MOST && !self.bridges.contains_key(&key) {
            return;
        }
        let is_new = !self.bridges.contains_key(&key);
        let fresh = || Bridge {
            mac,
            first: frame.time,
            last: cx.now,
            count: 0,
            sighting: Sighting::of(frame),
            domain: seen.domain,
            root: root.to_string(),
            port: stp.port_id().unwrap_or(0),
            hello: stp.hello().unwrap_or_default().to_string(),
            cited: Vec::new(),
        };
        let known = self.bridges.entry(key.clone()).or_insert_with(fresh);
        known.count = known.count.saturating_add(1);
        known.last = cx.now;
        if known.cited.len() < CITED {
            known.cited.push(Cited::of(frame));
        }
        if is_new {
            self.deadlines.set(key, cx.now.after(cx.world.sightings.settle()));
        }
    }

    fn claim(&self, key: &BridgeKey, cx: &mut Context<'_>) {
        let (vantage, bridge, instance) = key;
        let Some(known) = self.bridges.get(key) else { return };
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
            .seen(known.first, known.count)
            .number("root", known.root.as_str())
            .number("port_id", format!("{:#06x}", known.port))
            .number("source", known.mac.to_string())
            .proved_by(known.cited.iter().cloned())
            .filter(format!("stp && eth.src == {}", known.mac))
            .cause("an ordinary access or trunk port");
        cx.raise(claim);
    }
}
