//! VLAN001: an 802.1Q tag inside an 802.1Q tag (IEEE 802.1Q-2018 clause 9; stacking on purpose is 802.1ad, VLAN007).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Fact, Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, TagStack, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Derived, Observation, Passed, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN001",
        name: "stacked-vlan",
        levels: &[(Confidence::Risk, Severity::Warning), (Confidence::Risk, Severity::Info)],
        page: include_str!("stacked_vlan.md"),
        caps: false,
    },
    hears: &[Kind::VlanStack],
    needs: Needs::Ethernet,
    make: |_| Box::new(StackedVlan::default()),
};

/// Frames whose payload makes no sense that are needed before two tags are believed.
const DOUBTFUL: u64 = 3;
/// Between two looks at how many frames of the same VLANs ride in one tag.
const LOOK_EVERY: Span = Span::secs(1);
/// Frames that are cited.
const CITED: usize = 3;
/// What a link takes behind its outer tag without having been made for a second one (IEEE 802.3-2018 clause 3.2.7).
const STANDARD: u32 = 1_500;

#[derive(Default)]
struct StackedVlan {
    links: BTreeMap<LinkKey, Stack>,
    deadlines: Deadlines<LinkKey>,
    configured: BTreeMap<Key, ()>,
}

type LinkKey = (VantageId, Vid);

/// What was seen in one outer VLAN at one vantage.
struct Stack {
    first: Timestamp,
    last: Timestamp,
    frames: u64,
    inner: BTreeSet<u16>,
    largest: u32,
    /// Bytes behind the outer tag of the largest packet that was seen to arrive.
    room: u32,
    is_raised: bool,
    is_believed: bool,
    fresh: Vec<Cited>,
    cited: usize,
    /// Frames of the same VLANs in one tag, and when they were counted.
    single: (Timestamp, u64),
}

impl Detector for StackedVlan {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Derived(Derived::Delivered(passed)) => self.delivered(passed, cx),
            Observation::Host(fact) if matches!(fact.what, Fact::Link(_) | Fact::LinkGone { .. }) => {
                self.configuration(cx)
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            let is_raised = self.links.get(&key).is_some_and(|stack| stack.is_raised);
            if is_raised { self.look_again(key, cx) } else { self.raise(key, cx) }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let keys: Vec<LinkKey> = self.links.keys().copied().collect();
        for key in keys {
            self.raise(key, cx);
        }
    }
}

impl StackedVlan {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let Some((outer, inner)) = accidental(&frame.layers.tags()) else { return };
        let vantage = frame.at.vantage;
        let is_cooked = cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked);
        if is_cooked || cx.settings.vlan.qinq.contains(&outer.number()) {
            return;
        }
        let key = (vantage, outer);
        let fresh = || Stack::new(frame.time);
        let stack = self.links.entry(key).or_insert_with(fresh);
        stack.frames = stack.frames.saturating_add(1);
        stack.last = cx.now;
        stack.inner.insert(inner.number());
        stack.largest = stack.largest.max(frame.layers.ip().map_or(0, |ip| ip.packet_len()));
        stack.is_believed |= frame.layers.has(Kind::Ipv4)
            || frame.layers.has(Kind::Ipv6)
            || frame.layers.has(Kind::Arp)
            || stack.frames >= DOUBTFUL;
        if stack.cited < CITED {
            stack.cited = stack.cited.saturating_add(1);
            stack.fresh.push(Cited::of(frame));
        }
        if cx.now.since(stack.single.0) >= LOOK_EVERY {
            stack.single = (cx.now, stack.single_frames(outer, vantage, cx));
        }
        let settle = cx.world.sightings.settle();
        if stack.is_raised {
            self.deadlines.set(key, cx.now.after(Span::secs(cx.settings.vlan.resolve_s)));
        } else if stack.is_believed && settle == Span::ZERO {
            self.raise(key, cx);
        } else if stack.is_believed && self.deadlines.of(&key).is_none() {
            self.deadlines.set(key, cx.now.after(settle));
        }
    }

    fn raise(&mut self, key: LinkKey, cx: &mut Context<'_>) {
        let (vantage, outer) = key;
        let Some(stack) = self.links.get_mut(&key).filter(|stack| stack.is_believed) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        stack.is_raised = true;
        let claim = stack.claim(outer, &cx.world.interface(vantage)).at(vantage);
        stack.fresh.clear();
        cx.raise(claim);
        self.deadlines.set(key, stack.last.after(Span::secs(cx.settings.vlan.resolve_s)));
    }

    /// No frame for a while: it is over if the same VLANs ride in one tag now.
    fn look_again(&mut self, key: LinkKey, cx: &mut Context<'_>) {
        let (vantage, outer) = key;
        let patience = Span::secs(cx.settings.vlan.resolve_s);
        let Some(stack) = self.links.get_mut(&key) else { return };
        let single = stack.single_frames(outer, vantage, cx).saturating_sub(stack.single.1);
        if cx.now.since(stack.last) >= patience && single >= cx.settings.vlan.resolve_frames {
            cx.resolve(
                claim_key(&cx.world.interface(vantage), outer),
                format!("no such frame for {patience}, and {single} of the same VLANs in one tag"),
            );
            self.links.remove(&key);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years in which nothing can change.
            self.deadlines.set(key, cx.now.after(cx.now.since(stack.last).max(patience)));
        }
    }

    /// A packet that needs room for the second tag arrived: the link was made for it.
    fn delivered(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let Some((outer, _)) = accidental(&passed.tags) else { return };
        let key = (passed.at.vantage, outer);
        let carry = passed.packet_len.saturating_add(passed.tags.bytes().saturating_sub(4));
        let Some(stack) = self.links.get_mut(&key).filter(|stack| carry > STANDARD && carry > stack.room) else {
            return;
        };
        let was_proven = stack.room > STANDARD;
        stack.room = carry;
        if stack.is_raised && !was_proven {
            self.raise(key, cx);
        }
    }

    fn configuration(&mut self, cx: &mut Context<'_>) {
        let mut now = BTreeMap::new();
        for stacked in cx.world.host.stacked() {
            let Some((outer, inner)) = accidental(&stacked.tags) else { continue };
            let key = claim_key(&stacked.carrier.to_string(), outer);
            now.insert(key.clone(), ());
            if self.configured.contains_key(&key) || cx.settings.vlan.qinq.contains(&outer.number()) {
                continue;
            }
            let headline = format!(
                "{} is a VLAN device on a VLAN device: its frames leave {} as VLAN {inner} inside VLAN {outer}, both with TPID 0x8100.",
                stacked.device, stacked.carrier
            );
            let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
                .number("inner_vlans", inner.to_string())
                .assuming("from the host's configuration; no such frame was seen");
            cx.raise(advise(claim, &stacked.carrier.to_string(), outer, inner.number()));
        }
        for key in self.configured.keys().filter(|key| !now.contains_key(*key)) {
            cx.resolve(key.clone(), "the stacked device is gone");
        }
        self.configured = now;
    }
}

impl Stack {
    fn new(first: Timestamp) -> Self {
        Self {
            first,
            last: first,
            frames: 0,
            inner: BTreeSet::new(),
            largest: 0,
            room: 0,
            is_raised: false,
            is_believed: false,
            fresh: Vec::new(),
            cited: 0,
            single: (Timestamp::MIN, 0),
        }
    }

    /// Frames at `vantage` so far that carry one of these VLANs in one tag.
    fn single_frames(&self, outer: Vid, vantage: VantageId, cx: &Context<'_>) -> u64 {
        let is_same = |stack: &TagStack| match stack.as_slice() {
            [(_, vid)] => *vid == outer || self.inner.contains(&vid.number()),
            _ => false,
        };
        cx.world.domains.frames(vantage, is_same)
    }

    fn claim(&self, outer: Vid, interface: &str) -> Claim {
        let shown: Vec<String> = self.inner.iter().take(8).map(u16::to_string).collect();
        let more = if self.inner.len() > 8 {
            format!(" and {} more", self.inner.len().saturating_sub(8))
        } else {
            String::new()
        };
        let vlans = if self.inner.len() == 1 { "VLAN" } else { "VLANs" };
        let seen = format!(
            "{interface}: frames carry {vlans} {}{more} inside VLAN {outer} since {}, both with TPID 0x8100",
            shown.join(", "),
            self.first.clock()
        );
        let (severity, headline) = if self.room > STANDARD {
            (
                Severity::Info,
                format!("{seen}; room for the second tag is proven up to {} bytes behind the outer one.", self.room),
            )
        } else {
            (
                Severity::Warning,
                format!(
                    "{seen}; the second tag leaves no room for full-size packets unless every hop was made for it."
                ),
            )
        };
        let inner = self.inner.first().copied().unwrap_or(0);
        let claim = Claim::new(claim_key(interface, outer), Confidence::Risk, severity, headline)
            .seen(self.first, self.frames)
            .number("inner_vlans", shown.join(" "))
            .number("inner_vlan_count", self.inner.len())
            .number("largest_packet", self.largest)
            .number("room_proven", self.room)
            .proved_by(self.fresh.iter().cloned())
            .filter(format!("vlan.id == {outer} && vlan.etype == 0x8100"));
        let claim = if severity == Severity::Info { claim.correcting() } else { claim };
        advise(claim, interface, outer, inner)
    }
}

/// The outer and the next VID of a stack whose outer two tags are both 0x8100; priority tags do not count.
fn accidental(tags: &TagStack) -> Option<(Vid, Vid)> {
    match tags.networks().as_slice() {
        [(Tpid::C, outer), (Tpid::C, inner), ..] => Some((*outer, *inner)),
        _ => None,
    }
}

fn claim_key(interface: &str, outer: Vid) -> Key {
    Key::new().with("interface", interface).with("outer", format!("{}:{outer}", Tpid::C)).with("inner", Tpid::C)
}

fn advise(claim: Claim, interface: &str, outer: Vid, inner: u16) -> Claim {
    claim
        .cause(format!("vlan_interface in nova.conf, or the network's stored bridge_interface, names a VLAN device such as vlan{outer} instead of {interface}"))
        .cause("a physical_interface_mapping or bridge_mapping of Neutron points at a VLAN device")
        .cause("a guest tags its own traffic on a network that is tagged already")
        .cause("stacking on purpose, made with 0x8100 outside (many switches call it dot1q-tunnel): declare it with vlan.qinq in the settings")
        .step("See which VLAN devices ride on a VLAN device", "ip -d link show type vlan | grep '@vlan'")
        .step("Delete the stacked devices; they are only made anew if they are not there", format!("ip link del vlan{inner}"))
        .step(format!("Name {interface} in the configuration, and where the networks store it"), "grep -E 'vlan_interface|flat_interface' /etc/nova/nova.conf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(tags: &[(u16, u16)]) -> TagStack {
        tags.iter().map(|(tpid, vid)| (Tpid(*tpid), Vid::from_tci(*vid))).collect()
    }

    #[test]
    fn only_two_tags_of_the_customer_kind_are_an_accident() {
        assert!(accidental(&stack(&[(0x8100, 20), (0x8100, 100)])).is_some());
        assert!(accidental(&stack(&[(0x88a8, 20), (0x8100, 100)])).is_none());
        assert!(accidental(&stack(&[(0x8100, 20), (0x8100, 0)])).is_none());
        assert!(accidental(&stack(&[(0x8100, 20)])).is_none());
    }
}
