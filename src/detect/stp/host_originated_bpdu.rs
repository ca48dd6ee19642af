//! STP011: this host itself speaks spanning tree on its uplink, since a bridge of its own has it switched on (IEEE 802.1D-2004 clause 9).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Fact, Place};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Observation, Seen, World};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP011",
        name: "host-originated-bpdu",
        levels: &[(Confidence::Risk, Severity::Error), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("host_originated_bpdu.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Host,
    make: |_| Box::new(HostOriginatedBpdu::default()),
};

/// Bridges that are followed: more than a host has.
const MOST: usize = 256;
/// Frames that are cited.
const CITED: u64 = 3;

#[derive(Default)]
struct HostOriginatedBpdu {
    /// Bridges that would speak, and those that do.
    bridges: BTreeMap<String, Speaking>,
    deadlines: Deadlines<String>,
}

#[derive(Default)]
struct Speaking {
    /// What was raised of it.
    key: Key,
    is_configured: bool,
    seen: Option<Spoken>,
}

struct Spoken {
    mac: Mac,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    fresh: Vec<Cited>,
}

impl Detector for HostOriginatedBpdu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Host(fact) => {
                let matters = matches!(
                    fact.what,
                    Fact::Link(_) | Fact::LinkGone { .. } | Fact::BridgePort { .. } | Fact::BridgePortGone { .. }
                );
                if matters {
                    self.configuration(cx);
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(name) = self.deadlines.pop(cx.now) {
            let Some(bridge) = self.bridges.get_mut(&name) else { continue };
            let Some(spoken) = &bridge.seen else { continue };
            if bridge.is_configured || cx.now.since(spoken.last) < patience {
                self.deadlines.set(name, cx.now.after(patience));
            } else {
                bridge.seen = None;
                cx.resolve(bridge.key.clone(), format!("no BPDU of it for {patience}, and its spanning tree is off"));
            }
        }
    }
}

impl HostOriginatedBpdu {
    /// A bridge with spanning tree on and a port that leads to the network will speak there; one without such a port speaks to its guests only.
    fn configuration(&mut self, cx: &mut Context<'_>) {
        let host = &cx.world.host;
        let speaks = |name: &str| host.link(name).is_some_and(|l| l.stp == Some(true)) && host.uplink(name).is_some();
        let names: Vec<String> = host.bridges().map(|bridge| bridge.name.raw().to_owned()).take(MOST).collect();
        let now: Vec<&String> = names.iter().filter(|name| speaks(name)).collect();
        for (name, bridge) in self.bridges.iter_mut().filter(|(_, bridge)| bridge.is_configured) {
            if !now.contains(&name) {
                bridge.is_configured = false;
                if bridge.seen.is_none() {
                    cx.resolve(bridge.key.clone(), "its spanning tree is off, or no port of it leads to the network");
                }
            }
        }
        for name in now {
            let bridge = self.bridges.entry(name.clone()).or_default();
            if std::mem::replace(&mut bridge.is_configured, true) {
                continue;
            }
            bridge.key = claim_key(name, cx);
            let uplink = host.uplink(name).unwrap_or_default();
            let headline = format!(
                "The bridge {name} has spanning tree on, and {uplink} is its way out: this node sends BPDUs of its own there, and a switch port with BPDU guard shuts down for them."
            );
            let claim = Claim::new(bridge.key.clone(), Confidence::Risk, Severity::Error, headline)
                .behind(uplink)
                .assuming("from the host's configuration; no such frame was seen");
            cx.raise(advise(claim, name, cx.world));
        }
    }

    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(_), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let vantage = frame.at.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        let leaves = matches!(place, Place::Bond | Place::Nic) && frame.direction != Direction::In;
        if !leaves || !cx.world.host.is_own(mac) || frame.layers.overlay().is_some() || cx.world.is_member(vantage) {
            return;
        }
        let uplink = cx.world.interface(vantage);
        let host = &cx.world.host;
        let is_its = |name: &&str| {
            host.link(name).is_some_and(|l| l.stp == Some(true)) && host.uplink(name).as_deref() == Some(&uplink)
        };
        let told = host.bridges().map(|b| b.name.raw()).find(is_its).map(str::to_owned);
        let name = told.clone().unwrap_or_else(|| uplink.clone());
        if self.bridges.len() >= MOST && !self.bridges.contains_key(&name) {
            return;
        }
        let fresh = || Spoken { mac, first: frame.time, last: cx.now, count: 0, fresh: Vec::new() };
        let bridge = self.bridges.entry(name.clone()).or_default();
        bridge.key = match &told {
            Some(name) => claim_key(name, cx),
            None => Key::new().with("interface", &uplink).with("mac", mac),
        };
        let spoken = bridge.seen.get_or_insert_with(fresh);
        spoken.count = spoken.count.saturating_add(1);
        spoken.last = cx.now;
        if spoken.count <= CITED {
            spoken.fresh.push(Cited::of(frame));
        }
        let by = told.as_ref().map_or_else(
            || "no bridge of the kernel that leads there has spanning tree on".to_owned(),
            |name| format!("bridge {name} has spanning tree on"),
        );
        let headline = format!(
            "This node itself sends BPDUs on {uplink} since {} ({by}): a switch port with BPDU guard shuts down for them, with all guests behind it.",
            spoken.first.clock()
        );
        let claim = Claim::new(bridge.key.clone(), Confidence::Confirmed, Severity::Critical, headline)
            .at(vantage)
            .seen(spoken.first, spoken.count)
            .number("bpdus", spoken.count)
            .number("source", spoken.mac.to_string())
            .number("guests_behind_the_uplink", cx.world.guests())
            .proved_by(spoken.fresh.drain(..))
            .filter(format!("stp && eth.src == {}", spoken.mac));
        let claim = match &told {
            Some(name) => advise(claim, name, cx.world),
            None => claim
                .cause("a bridge of Open vSwitch has spanning tree on, or a program of its own speaks it (mstpd)")
                .step("See which", "ovs-vsctl list bridge | grep -E '^name|stp_enable'; pgrep -a mstpd")
                .step("Switch it off there", "ovs-vsctl set bridge BRIDGE stp_enable=false rstp_enable=false"),
        };
        cx.raise(claim);
        self.deadlines.set(name, cx.now.after(Span::secs(cx.settings.stp.resolve_s)));
    }
}

fn advise(claim: Claim, bridge: &str, world: &World) -> Claim {
    claim
        .cause("somebody switched it on, perhaps against a guest's BPDUs (STP001): it makes matters worse")
        .cause("the distribution's network scripts switch it on by default (STP=yes, bridge_stp on)")
        .step(
            "Switch it off; the bridge has one way out, and needs no tree",
            Command::with("ip link set {} type bridge stp_state 0", &[&world.device(bridge)]),
        )
        .step("Stop guests' BPDUs at their ports instead", "netdiag explain STP001 --remedy nft | nft -f -")
}

/// The bridge, and the address that its frames have on the way out: that of the uplink.
fn claim_key(bridge: &str, cx: &Context<'_>) -> Key {
    let host = &cx.world.host;
    let mac = host.uplink(bridge).and_then(|uplink| host.link(&uplink)?.mac).unwrap_or_default();
    Key::new().with("bridge", bridge).with("mac", mac)
}
