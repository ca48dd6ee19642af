//! MTU001: two tags make packets longer than the link takes; one tag is free, the second is not (IEEE 802.3ac, 802.1Q-2018 annex G).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Direction, Fact, Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, TagStack, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Derived, Observation, Passed, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU001",
        name: "double-vlan-mtu-overflow",
        levels: &[
            (Confidence::Risk, Severity::Warning),
            (Confidence::Likely, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("double_vlan_mtu_overflow.md"),
        caps: false,
    },
    hears: &[Kind::VlanStack],
    needs: Needs::Ethernet,
    make: |_| Box::new(DoubleVlanMtuOverflow::default()),
};

/// How long an acknowledgement may take before a packet that is too long counts as one that was not seen to arrive.
const PATIENCE: Span = Span::secs(3);
/// The span that repeats of a lost segment must cover: shorter bursts are ordinary loss.
const STUCK_FOR: Span = Span::secs(3);
/// Frames that are cited of each kind: those that do not fit, and their repeats.
const CITED: usize = 2;

#[derive(Default)]
struct DoubleVlanMtuOverflow {
    links: BTreeMap<LinkKey, Overflow>,
    deadlines: Deadlines<LinkKey>,
    configured: BTreeSet<(String, TagStack)>,
}

type LinkKey = (VantageId, (Tpid, Vid), Direction);

/// What was seen of one direction of one link in one outer VLAN.
struct Overflow {
    first: Timestamp,
    count: u64,
    stack: TagStack,
    inner: BTreeSet<u16>,
    largest: u32,
    carry: u32,
    smallest_lost: Option<u32>,
    /// The largest packet that was seen to arrive.
    delivered: u32,
    lost_echoes: u32,
    is_lost: bool,
    is_reconstructed: bool,
    is_raised: bool,
    fresh: Vec<Cited>,
    cited: usize,
    repeats: usize,
}

impl Detector for DoubleVlanMtuOverflow {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Derived(Derived::Delivered(passed)) => self.delivered(passed, cx),
            Observation::Derived(Derived::EchoLost(passed)) => self.echo_lost(passed, cx),
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
            self.judge(&key, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // The frame was seen and nothing shows that it arrived: that is what `likely` says, however soon the capture ended.
        let waiting: Vec<LinkKey> = self.deadlines.waiting().map(|(_, key)| *key).collect();
        for key in waiting {
            self.judge(&key, cx);
        }
    }
}

impl DoubleVlanMtuOverflow {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let stack = frame.layers.tags();
        let (Some(outer), Some(ip)) = (stack.outer(), frame.layers.ip()) else { return };
        if cx.world.vantage(frame.at.vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        let segment = cx.world.flows.segment(frame.at).copied();
        let Some(packet_len) = segment.map_or(Some(ip.packet_len()), |s| s.packet_len) else { return };
        let carry = carry(packet_len, &stack);
        if carry <= mtu(cx, frame.at.vantage).0 {
            return;
        }
        let key = (frame.at.vantage, outer, frame.direction);
        let overflow = self.links.entry(key).or_insert_with(|| Overflow::new(frame.time, stack));
        overflow.count = overflow.count.saturating_add(1);
        overflow.inner.extend(stack.inner().map(|(_, vid)| vid.number()));
        overflow.is_reconstructed |= segment.is_some_and(|s| s.is_super);
        if carry > overflow.carry {
            (overflow.carry, overflow.largest, overflow.stack) = (carry, packet_len, stack);
        }
        let is_repeat = segment.is_some_and(|s| s.sends > 1);
        if overflow.cited < CITED && !is_repeat {
            overflow.cited = overflow.cited.saturating_add(1);
            overflow.fresh.push(Cited::of(frame));
        } else if is_repeat && overflow.repeats < CITED {
            overflow.repeats = overflow.repeats.saturating_add(1);
            overflow.fresh.push(Cited::of(frame));
        }
        let is_stuck = segment.is_some_and(|s| {
            s.sends >= cx.settings.mtu.lost_sends
                && cx.now.since(s.first) >= STUCK_FOR
                && s.is_peer_alive
                && s.delivered > 0
                && s.delivered < packet_len
        });
        if is_stuck {
            overflow.delivered = overflow.delivered.max(segment.map_or(0, |s| s.delivered));
            overflow.lose(packet_len);
            self.deadlines.clear(&key);
            self.judge(&key, cx);
        } else if self.deadlines.of(&key).is_none() && !self.links.get(&key).is_some_and(|o| o.is_raised) {
            let settle = cx.world.sightings.settle().max(PATIENCE);
            self.deadlines.set(key, cx.now.after(settle));
        }
    }

    fn delivered(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let Some(outer) = passed.tags.outer() else { return };
        let key = (passed.at.vantage, outer, passed.direction);
        let Some(overflow) = self.links.get_mut(&key) else { return };
        overflow.delivered = overflow.delivered.max(passed.packet_len);
        let fits = carry(passed.packet_len, &passed.tags) > mtu(cx, passed.at.vantage).0;
        if fits && !overflow.is_lost {
            // It arrived, so that there is room, whatever the MTU was thought to be.
            self.deadlines.clear(&key);
            if overflow.is_raised {
                overflow.is_raised = false;
                let why = format!("a packet of {} bytes in {} tags arrived", passed.packet_len, passed.tags.depth());
                cx.resolve(claim_key(cx, &key), why);
            }
        }
    }

    fn echo_lost(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let Some(outer) = passed.tags.outer() else { return };
        let key = (passed.at.vantage, outer, passed.direction);
        let is_over = carry(passed.packet_len, &passed.tags) > mtu(cx, passed.at.vantage).0;
        let Some(overflow) = self.links.get_mut(&key).filter(|_| is_over) else { return };
        overflow.lost_echoes = overflow.lost_echoes.saturating_add(1);
        if overflow.lost_echoes >= cx.settings.mtu.lost_echoes
            && overflow.delivered > 0
            && overflow.delivered < passed.packet_len
        {
            overflow.lose(passed.packet_len);
            self.deadlines.clear(&key);
            self.judge(&key, cx);
        }
    }

    /// Claims what is known of one link, unless a vantage of higher rank shows the same link.
    fn judge(&mut self, key: &LinkKey, cx: &mut Context<'_>) {
        let (vantage, ..) = *key;
        let Some(overflow) = self.links.get_mut(key) else { return };
        let (mtu, is_assumed) = mtu(cx, vantage);
        let has_room = carry(overflow.delivered, &overflow.stack) > mtu && !overflow.is_lost;
        // 802.1ad links normally have the room: without loss nothing is said (VLAN007).
        let is_provider = overflow.stack.outer().is_some_and(|(tpid, _)| tpid == Tpid::S);
        if has_room || cx.world.sightings.link_of(vantage) != vantage || (is_provider && !overflow.is_lost) {
            return;
        }
        overflow.is_raised = true;
        let claim = overflow.claim(claim_key(cx, key), &cx.world.interface(vantage), mtu, is_assumed);
        overflow.fresh.clear();
        cx.raise(claim.at(vantage));
    }

    /// The host's own word: a stacked device whose packets cannot fit, before any was sent.
    fn configuration(&mut self, cx: &mut Context<'_>) {
        let mut tight = BTreeSet::new();
        for stacked in cx.world.host.stacked() {
            let (Some(device), Some(carrier)) = (stacked.mtu, stacked.carrier_mtu) else { continue };
            let Some((tpid, vid)) = stacked.tags.outer() else { continue };
            let needed = carry(device, &stacked.tags);
            if needed <= carrier {
                continue;
            }
            let place = (stacked.carrier.to_string(), stacked.tags);
            if self.configured.insert(place.clone()) {
                let over = needed.saturating_sub(carrier);
                let headline = format!(
                    "{} takes packets of {device} bytes and rides on {} in {} tags, which leaves no room for them: \
                     {needed} > {carrier} by {over}. Packets over {} bytes will not fit.",
                    stacked.device,
                    stacked.carrier,
                    stacked.tags.depth(),
                    device.saturating_sub(over)
                );
                let key = Key::new()
                    .with("interface", &stacked.carrier)
                    .with("outer", format!("{tpid}:{vid}"))
                    .with("direction", Direction::Unknown);
                let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
                    .number("carry", needed)
                    .number("mtu", carrier)
                    .number("over", over)
                    .assuming("from the host's configuration; no such packet was seen");
                cx.raise(advise(claim, &stacked.carrier.to_string(), &stacked.tags, needed));
            }
            tight.insert(place);
        }
        for (carrier, tags) in self.configured.difference(&tight) {
            if let Some((tpid, vid)) = tags.outer() {
                let key = Key::new()
                    .with("interface", carrier)
                    .with("outer", format!("{tpid}:{vid}"))
                    .with("direction", Direction::Unknown);
                cx.resolve(key, "the stacked device is gone or has room now");
            }
        }
        self.configured = tight;
    }
}

impl Overflow {
    fn new(first: Timestamp, stack: TagStack) -> Self {
        Self {
            first,
            count: 0,
            stack,
            inner: BTreeSet::new(),
            largest: 0,
            carry: 0,
            smallest_lost: None,
            delivered: 0,
            lost_echoes: 0,
            is_lost: false,
            is_reconstructed: false,
            is_raised: false,
            fresh: Vec::new(),
            cited: 0,
            repeats: 0,
        }
    }

    fn lose(&mut self, packet_len: u32) {
        self.is_lost = true;
        self.smallest_lost = Some(self.smallest_lost.map_or(packet_len, |l| l.min(packet_len)));
    }

    fn claim(&mut self, key: Key, interface: &str, mtu: u32, is_assumed: bool) -> Claim {
        let over = self.carry.saturating_sub(mtu);
        let safe = self.largest.saturating_sub(over);
        let inner: Vec<String> = self.inner.iter().take(8).map(u16::to_string).collect();
        let more = if self.inner.len() > 8 {
            format!(" and {} more", self.inner.len().saturating_sub(8))
        } else {
            String::new()
        };
        let vlans = if self.inner.len() == 1 { "VLAN" } else { "VLANs" };
        let outer = self.stack.outer().map_or(0, |(_, vid)| vid.number());
        let mtu_is = if is_assumed { format!("is assumed to be {mtu}") } else { format!("is {mtu}") };
        let mut headline = format!(
            "{vlans} {}{more} inside VLAN {outer} make{} {}-byte payloads behind the outer tag on {interface}, whose MTU {mtu_is}: {} > {mtu} by {over}. ",
            inner.join(", "),
            if self.inner.len() == 1 { "s" } else { "" },
            self.carry,
            self.carry
        );
        let (confidence, severity) = if self.is_lost {
            headline.push_str(&format!(
                "Packets over {safe} bytes are lost since {}: {} bytes never arrived, {} did.",
                self.first.clock(),
                self.smallest_lost.unwrap_or(self.largest),
                self.delivered
            ));
            (Confidence::Confirmed, Severity::Critical)
        } else {
            headline.push_str(&format!("Packets over {safe} bytes do not fit."));
            (Confidence::Likely, Severity::Error)
        };
        let mut claim = Claim::new(key, confidence, severity, headline)
            .seen(self.first, self.count)
            .number("carry", self.carry)
            .number("mtu", mtu)
            .number("over", over)
            .number("largest_packet", self.largest)
            .number("safe_packet", safe)
            .number("safe_mss_ipv4", safe.saturating_sub(40))
            .number("safe_mss_ipv6", safe.saturating_sub(60))
            .number("largest_delivered", self.delivered)
            .number("inner_vlans", inner.join(" "))
            .proved_by(self.fresh.iter().cloned());
        if let Some(lost) = self.smallest_lost {
            claim = claim.number("smallest_lost", lost);
        }
        if is_assumed {
            claim = claim.assuming(format!("link MTU assumed {mtu}: a capture does not hold it; --host tells"));
        }
        if self.is_reconstructed {
            claim = claim.assuming("sizes of super-frames are reconstructed from the segment size of the handshake");
        }
        let innermost = self.inner.first().copied().unwrap_or(0);
        let filter = format!(
            "vlan.id == {outer} && vlan.id == {innermost} && (ip.len > {safe} || ipv6.plen > {})",
            safe.saturating_sub(40)
        );
        advise(claim, interface, &self.stack, self.carry).filter(filter)
    }
}

/// Causes and remedy, which do not depend on how it was found.
fn advise(claim: Claim, interface: &str, tags: &TagStack, carry: u32) -> Claim {
    let device = tags.inner().map_or(0, |(_, vid)| vid.number());
    let outer = tags.outer().map_or(0, |(_, vid)| vid.number());
    let frame = carry.saturating_add(22);
    claim
        .cause(format!("vlan_interface in nova.conf, or the network's stored bridge_interface, names a VLAN device such as vlan{outer} instead of {interface}"))
        .cause("a physical_interface_mapping or bridge_mapping of Neutron points at a VLAN device")
        .cause("the switch port takes no frame longer than 1522 bytes with its check sequence, and counts these as giants")
        .step("See which VLAN devices ride on a VLAN device", "ip -d link show type vlan | grep '@vlan'")
        .step(
            "Delete the stacked devices first, one a tenant VLAN: they are only made anew if they are not there, and their instances lose the link meanwhile",
            format!("ip link del vlan{device}"),
        )
        .step(format!("Name {interface} in the configuration and where the network stores it, then restart the service"), format!("grep -E 'vlan_interface|flat_interface' /etc/nova/nova.conf   # set vlan_interface={interface}"))
        .step(
            format!("Until then, if every switch port on the way takes {frame} bytes, make room from the bottom up"),
            format!("ip link set {interface} mtu {carry} && ip link set vlan{outer} mtu {carry}"),
        )
}

fn claim_key(cx: &Context<'_>, (vantage, (tpid, vid), direction): &LinkKey) -> Key {
    Key::new()
        .with("interface", cx.world.interface(*vantage))
        .with("outer", format!("{tpid}:{vid}"))
        .with("direction", direction)
}

/// Bytes that ride behind the outermost tag (findings.md 2.5): one tag is free, each further one takes four bytes.
fn carry(packet_len: u32, stack: &TagStack) -> u32 {
    packet_len.saturating_add(stack.bytes().saturating_sub(4))
}

/// The MTU of the link that a vantage shows, and whether it is assumed.
fn mtu(cx: &Context<'_>, vantage: VantageId) -> (u32, bool) {
    match cx.world.host.mtu(&cx.world.interface(vantage)) {
        Some(told) => (told, false),
        None => (cx.settings.mtu.assumed, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(vids: &[u16]) -> TagStack {
        vids.iter().map(|vid| (Tpid::C, Vid::from_tci(*vid))).collect()
    }

    #[test]
    fn one_tag_is_free_and_the_second_is_not() {
        assert_eq!(carry(1_500, &stack(&[])), 1_500);
        assert_eq!(carry(1_500, &stack(&[100])), 1_500);
        assert_eq!(carry(1_500, &stack(&[20, 100])), 1_504);
        assert_eq!(carry(1_496, &stack(&[20, 100])), 1_500);
        assert_eq!(carry(1_500, &stack(&[20, 30, 100])), 1_508);
    }

    #[test]
    fn the_sentence_names_vlans_sizes_and_limit() {
        let mut overflow = Overflow::new(Timestamp::from_nanos(0), stack(&[20, 100]));
        overflow.inner.insert(100);
        (overflow.largest, overflow.carry) = (1_500, 1_504);
        let claim = overflow.claim(Key::new(), "bond0", 1_500, true);
        assert_eq!(
            claim.headline,
            "VLAN 100 inside VLAN 20 makes 1504-byte payloads behind the outer tag on bond0, whose MTU is assumed to be 1500: \
             1504 > 1500 by 4. Packets over 1496 bytes do not fit."
        );
    }
}
