//! What stands between a guest's BPDU and the switch before any is sent: for STP001, as far as the host's facts tell.

use std::collections::BTreeMap;

use crate::detect::Context;
use crate::event::{Fact, LinkKind};
use crate::finding::{Claim, Confidence, Key, Severity};
use crate::value::{Mac, Outside};
use crate::world::Host;

/// Filters that may stop a guest's frames.
const FILTERS: [&str; 3] = ["nft", "ebtables", "tc"];
/// Bridges that are looked at.
const MOST: usize = 256;

/// Bridges that would forward a guest's BPDU, and what was said of them.
#[derive(Default)]
pub struct Exposure {
    told: BTreeMap<String, usize>,
    /// Bridges of which a guest's BPDU was told: that is more than a risk.
    exploited: Vec<String>,
}

impl Exposure {
    /// Whether a fact may change what is to be said.
    pub const fn is_moved_by(fact: &Fact) -> bool {
        matches!(
            fact,
            Fact::Link(_)
                | Fact::LinkGone { .. }
                | Fact::BridgePort { .. }
                | Fact::BridgePortGone { .. }
                | Fact::Filter { .. }
        )
    }

    /// Says which bridges lead guests' BPDUs out, and which no longer do.
    pub fn look(&mut self, cx: &mut Context<'_>) {
        let host = &cx.world.host;
        let mut now: BTreeMap<String, (usize, String)> = BTreeMap::new();
        // A bridge of which nothing tells whether it takes part is left alone: Open vSwitch drops BPDUs by itself.
        for bridge in host.bridges().filter(|bridge| bridge.stp == Some(false)).take(MOST) {
            let name = bridge.name.raw();
            let guests = host.bridge_ports(name).into_iter().filter(|port| port.kind == LinkKind::Tap);
            let guests = guests.filter(|port| !is_stopped(port.name.raw(), host)).count();
            if let Some(uplink) = host.uplink(name).filter(|_| guests > 0) {
                now.insert(name.to_owned(), (guests, uplink));
            }
        }
        let over: Vec<String> = self.told.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        for name in over {
            self.told.remove(&name);
            cx.resolve(
                claim_key(&name),
                "no guest's port leads out of it any more, its spanning tree was switched on, or a filter stops such frames",
            );
        }
        for (name, (guests, uplink)) in now {
            if self.told.get(&name) == Some(&guests) || self.exploited.contains(&name) {
                continue;
            }
            let ports = if guests == 1 { "its guest's port".to_owned() } else { format!("its {guests} guests' ports") };
            let (read, unread): (Vec<&str>, Vec<&str>) = FILTERS.iter().partition(|by| host.is_filter_known(by));
            let unless = match listed(&read, "or") {
                none if none.is_empty() => none,
                some => format!(", and no rule of {some} stops them"),
            };
            let (unknown, unseen): (Vec<&str>, Vec<&str>) = unread.iter().partition(|by| why(by, host).is_some());
            let of_ingress = why("nft netdev", host).filter(|_| unknown.first() != Some(&"nft"));
            let mut assumed: Vec<String> = unknown.iter().filter_map(|by| why(by, host)).chain(of_ingress).collect();
            match unseen.as_slice() {
                [] => {}
                [one] => assumed.push(format!("{one} was not looked at: it may stop such frames")),
                some => assumed.push(format!("{} were not looked at: they may stop such frames", listed(some, "and"))),
            }
            if !read.is_empty() {
                assumed.push("no eBPF program stops such frames: those are not read".to_owned());
            }
            let look = match unread.as_slice() {
                [] => None,
                ["nft", ..] => Some("nft list ruleset bridge; ebtables-legacy -L; tc filter show dev TAP ingress"),
                _ => Some("ebtables-legacy -L; tc filter show dev TAP ingress"),
            };
            let headline = format!(
                "The bridge {name} forwards spanning tree frames from {ports} to {uplink}{unless}: if a guest sends one, a switch port with BPDU guard shuts the whole node down."
            );
            let mut claim = Claim::new(claim_key(&name), Confidence::Risk, Severity::Info, headline)
                .behind(uplink)
                .number("guest_ports", guests)
                .cause("a Linux bridge with spanning tree off forwards 01:80:c2:00:00:00 like any group address");
            if let Some(look) = look {
                claim = claim.step("See whether a filter stops them already", look);
            }
            claim = claim.step("Stop them at the guests' ports", "netdiag explain STP001 --remedy nft | nft -f -");
            for assumption in assumed {
                claim = claim.assuming(assumption);
            }
            cx.raise(claim);
            self.told.insert(name, guests);
        }
    }

    /// A guest's BPDU came in at `port`: what could happen has happened.
    pub fn exploit(&mut self, port: &str, cx: &mut Context<'_>) {
        let Some(bridge) = cx.world.host.bridge_of(port).map(str::to_owned) else { return };
        if self.told.remove(&bridge).is_some() {
            cx.absorb(claim_key(&bridge), "a guest has sent one");
        }
        if self.exploited.len() < MOST && !self.exploited.contains(&bridge) {
            self.exploited.push(bridge);
        }
    }
}

/// Whether a filter stops both families of spanning tree frames that come in at the port.
fn is_stopped(port: &str, host: &Host) -> bool {
    [Mac::BRIDGES, Mac::PVST].iter().all(|group| host.drops(port, *group) == Some(true))
}

/// Why it is not known whether the filter stops such frames, if it could not be read.
fn why(by: &str, host: &Host) -> Option<String> {
    let why = host.missing(by).or_else(|| host.missing("filter").filter(|_| by == "nft"))?;
    Some(format!("whether {by} stops such frames is not known: {}", Outside::from(why)))
}

/// Words in a row, the last after `last`.
fn listed(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

fn claim_key(bridge: &str) -> Key {
    Key::new().with("bridge", bridge)
}
