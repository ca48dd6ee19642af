//! VLAN001: an 802.1Q tag inside an 802.1Q tag (IEEE 802.1Q-2018 clause 9; stacking on purpose is 802.1ad, VLAN007).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Mended, Needs, Piles, devices, unstack, vlans};
use crate::event::{Cited, Fact, Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, TagStack, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Derived, Observation, Passed, Pile, Seen, Topic, World};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN001",
        name: "stacked-vlan",
        levels: &[(Confidence::Risk, Severity::Warning), (Confidence::Risk, Severity::Info)],
        page: include_str!("stacked_vlan.md"),
    },
    hears: &[Kind::VlanStack],
    follows: &[Topic::Delivery],
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
    piles: Piles,
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
    /// How bad it was said to be.
    raised: Option<Severity>,
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
        self.deadlines.next().into_iter().chain(self.piles.next_deadline()).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            let is_raised = self.links.get(&key).is_some_and(|stack| stack.raised.is_some());
            if is_raised { self.look_again(key, cx) } else { self.raise(key, cx) }
        }
        while let Some(mended) = self.piles.mended(cx.now, &cx.world.host) {
            self.put_right(&mended, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        while let Some(mended) = self.piles.mended(Timestamp::MAX, &cx.world.host) {
            self.put_right(&mended, cx);
        }
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
        if stack.raised.is_some() {
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
        let claim = stack.claim(outer, &cx.world.interface(vantage), cx.world).at(vantage);
        stack.raised = Some(claim.severity);
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
        let is_told = self.piles.has(&(cx.world.interface(vantage), (Tpid::C, outer)));
        if cx.now.since(stack.last) >= patience && single >= cx.settings.vlan.resolve_frames && !is_told {
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
        let carry = passed.tags.carry(passed.packet_len);
        let Some(stack) = self.links.get_mut(&key).filter(|stack| carry > STANDARD && carry > stack.room) else {
            return;
        };
        let was_proven = stack.room > STANDARD;
        stack.room = carry;
        if stack.raised.is_some() && !was_proven {
            self.raise(key, cx);
        }
    }

    /// The host's own word: a VLAN device on a VLAN device is a stack of tags before the first frame has left.
    fn configuration(&mut self, cx: &mut Context<'_>) {
        let qinq = &cx.settings.vlan.qinq;
        let is_wrong = |pile: &Pile| pile_vids(pile).is_some_and(|(outer, _)| !qinq.contains(&outer.number()));
        for pile in self.piles.follow(cx, is_wrong) {
            let is_seen = |(vantage, outer): &LinkKey| {
                (cx.world.interface(*vantage).as_str(), (Tpid::C, *outer)) == (pile.carrier.raw(), pile.outer)
            };
            // What frames show is told with them.
            if !self.links.iter().any(|(key, stack)| stack.raised.is_some() && is_seen(key)) {
                cx.raise(configured(&pile, cx.world));
            }
        }
        let has_changed = |(key, stack): (&LinkKey, &Stack)| {
            let severity = stack.claim(key.1, &cx.world.interface(key.0), cx.world).severity;
            stack.raised.is_some_and(|raised| raised != severity).then_some(*key)
        };
        let changed: Vec<LinkKey> = self.links.iter().filter_map(has_changed).collect();
        changed.into_iter().for_each(|key| self.raise(key, cx));
    }

    /// The host's stacked devices are gone for good: it is over, unless such frames still come from elsewhere.
    fn put_right(&mut self, mended: &Mended, cx: &mut Context<'_>) {
        let (carrier, (_, outer)) = &mended.key;
        let is_there = |(vantage, vid): &LinkKey| vid == outer && cx.world.interface(*vantage) == *carrier;
        if self.links.iter().any(|(key, stack)| is_there(key) && stack.last > mended.since) {
            return;
        }
        self.links.retain(|key, _| !is_there(key));
        cx.resolve(claim_key(carrier, *outer), mended.why.clone());
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
            raised: None,
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

    fn claim(&self, outer: Vid, interface: &str, world: &World) -> Claim {
        let seen = format!(
            "{interface}: frames carry {} inside VLAN {outer} since {}, both with TPID 0x8100",
            vlans(&self.inner),
            self.first.clock()
        );
        let told = world.host.mtu(interface).unwrap_or(0);
        let (severity, headline) = if self.room > STANDARD {
            let proven = format!("room for the second tag is proven up to {} bytes behind the outer one", self.room);
            (Severity::Info, format!("{seen}; {proven}."))
        } else if told > STANDARD {
            (
                Severity::Info,
                format!("{seen}; the MTU of {interface} is {told}, which is room for the second tag here."),
            )
        } else {
            let no_room = "the second tag leaves no room for full-size packets unless every hop was made for it";
            (Severity::Warning, format!("{seen}; {no_room}."))
        };
        let shown: Vec<String> = self.inner.iter().take(8).map(u16::to_string).collect();
        let claim = Claim::new(claim_key(interface, outer), Confidence::Risk, severity, headline)
            .seen(self.first, self.frames)
            .number("inner_vlans", shown.join(" "))
            .number("inner_vlan_count", self.inner.len())
            .number("largest_packet", self.largest)
            .number("room_proven", self.room)
            .proved_by(self.fresh.iter().cloned())
            .filter(format!("vlan.id == {outer} && vlan.etype == 0x8100"));
        // Room that turns up takes the warning back; so does an MTU that the host tells.
        let claim = if severity == Severity::Info { claim.correcting() } else { claim };
        advise(claim, world, interface, outer, self.inner.first().copied().unwrap_or(0))
    }
}

/// What the host's links alone tell.
fn configured(pile: &Pile, world: &World) -> Claim {
    let (outer, inner) = (pile.outer.1, inner_of(pile));
    let carrier = pile.carrier.raw();
    let frames = if pile.devices.len() == 1 { "its frames" } else { "their frames" };
    let seen = format!(
        "{}: {frames} leave {} as {} inside VLAN {outer}, both with TPID 0x8100",
        devices(pile),
        pile.carrier,
        vlans(&inner)
    );
    let (severity, headline) = match pile.carrier_mtu {
        Some(mtu) if mtu > STANDARD && !pile.is_tight() => (
            Severity::Info,
            format!("{seen}; the MTU of {} is {mtu}, which is room for the second tag here.", pile.carrier),
        ),
        _ => (Severity::Warning, format!("{seen}.")),
    };
    let shown: Vec<String> = inner.iter().take(8).map(u16::to_string).collect();
    let claim = Claim::new(claim_key(carrier, outer), Confidence::Risk, severity, headline)
        .number("inner_vlans", shown.join(" "))
        .number("inner_vlan_count", inner.len())
        .assuming("from the host's configuration; no such frame was seen")
        .correcting();
    advise(claim, world, carrier, outer, inner.first().copied().unwrap_or(0))
}

/// The VLANs inside the outer one.
fn inner_of(pile: &Pile) -> BTreeSet<u16> {
    pile.devices.iter().filter_map(|device| Some(accidental(&device.tags)?.1.number())).collect()
}

/// The outer and the first inner VID of a pile whose outer two tags are both 0x8100.
fn pile_vids(pile: &Pile) -> Option<(Vid, Vid)> {
    pile.devices.iter().find_map(|device| accidental(&device.tags))
}

/// The outer and the next VID of a stack whose outer two tags are both 0x8100; priority tags do not count.
fn accidental(tags: &TagStack) -> Option<(Vid, Vid)> {
    let mut networks = tags.as_slice().iter().filter(|(_, vid)| vid.number() != 0);
    match (networks.next()?, networks.next()?) {
        ((Tpid::C, outer), (Tpid::C, inner)) => Some((*outer, *inner)),
        _ => None,
    }
}

fn claim_key(interface: &str, outer: Vid) -> Key {
    Key::new().with("interface", interface).with("outer", format!("{}:{outer}", Tpid::C)).with("inner", Tpid::C)
}

fn advise(claim: Claim, world: &World, interface: &str, outer: Vid, inner: u16) -> Claim {
    unstack(claim, world, interface, (Tpid::C, outer), inner)
        .cause("a guest tags its own traffic on a network that is tagged already")
        .cause("stacking on purpose, made with 0x8100 outside (many switches call it dot1q-tunnel): declare it with vlan.qinq in the settings")
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
