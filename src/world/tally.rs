//! Counts of frames as the captures hold them: every sighting, DHCP inside tunnels included, quoted packets not.

use std::collections::BTreeMap;

use super::Domains;
use crate::event::Frame;
use crate::finding::{StackTally, Tally};
use crate::value::TagStack;
use crate::wire::{BpduKind, Kind, Kinds, Layers, LinkType, StpFamily, Why};

/// Protocols whose messages are counted by kind.
const COUNTED: Kinds =
    Kinds::of(&[Kind::Dhcp, Kind::Stp, Kind::Arp, Kind::Lacp, Kind::Lldp, Kind::Icmp, Kind::Icmpv6, Kind::Unopened]);
/// Stacks of tags that the report lists.
const MOST_STACKS: usize = 256;
/// How operations of ARP are called, by their numbers; 0 stands for all that have no name.
const OPERATIONS: [&str; 5] = ["other", "request", "reply", "rarp-request", "rarp-reply"];

/// The counts so far. Frames by depth, and ARP by operation, are counted apart, since there are few of either.
#[derive(Debug, Default)]
pub struct Counter {
    total: Tally,
    depths: [u64; 16],
    operations: [u64; OPERATIONS.len()],
}

impl Counter {
    /// Counts `frame`.
    pub fn count(&mut self, frame: &Frame<'_>) {
        let layers = &frame.layers;
        // A tag that was announced and then cut off is a tag, though nobody can say of which VLAN.
        let announced =
            usize::from(layers.stop.is_some_and(|stop| stop.layer == Kind::Vlan && stop.why.is_missing_bytes()));
        self.count_one(frame.wire_len, layers.tag_depth().saturating_add(announced), frame.is_cut());
        let total = &mut self.total;
        if let LinkType::Other(_) = frame.link {
            add(total.undecoded_links.entry(frame.link.to_string()).or_default(), 1);
        }
        if layers.kinds().intersects(COUNTED) {
            total.count_protocols(layers);
            if let Some(arp) = layers.arp() {
                let at = Some(usize::from(arp.op())).filter(|at| *at < OPERATIONS.len()).unwrap_or(0);
                self.operations.get_mut(at).into_iter().for_each(|count| add(count, 1));
            }
        }
        if let Some(stop) = layers.stop {
            let stops = &mut total.stops;
            add(
                match stop.why {
                    Why::Cut { .. } => &mut stops.cut,
                    Why::Short { .. } => &mut stops.short,
                    Why::Bad(_) => &mut stops.bad,
                    Why::Deep => &mut stops.deep,
                },
                1,
            );
        }
    }

    /// Counts a frame of which there is no more to count than its bytes and its tags, and whether the snap length cut it.
    #[inline]
    pub fn count_one(&mut self, wire_len: u32, tags: usize, is_cut: bool) {
        add(&mut self.total.frames, 1);
        add(&mut self.total.bytes, u64::from(wire_len));
        add(&mut self.total.cut, u64::from(is_cut));
        if let Some(depth) = self.depths.get_mut(tags) {
            add(depth, 1);
        }
    }

    /// The counts, with the stacks of tags that `domains` counted.
    pub fn total(&self, domains: &Domains) -> Tally {
        let mut total = self.total.clone();
        total.vlan.depth = (0..).zip(self.depths).filter(|(_, frames)| *frames > 0).collect();
        total.arp = OPERATIONS.into_iter().zip(self.operations).filter(|(_, frames)| *frames > 0).collect();
        let mut stacks: BTreeMap<TagStack, u64> = BTreeMap::new();
        for (_, stack, frames, _) in domains.stacks().filter(|(_, stack, frames, _)| !stack.is_empty() && *frames > 0) {
            add(stacks.entry(stack).or_default(), frames);
        }
        let mut stacks: Vec<_> = stacks.into_iter().collect();
        stacks.sort_by_key(|(stack, frames)| (std::cmp::Reverse(*frames), *stack));
        total.vlan.stacks =
            stacks.iter().take(MOST_STACKS).map(|(stack, frames)| StackTally::new(stack, *frames)).collect();
        total
    }
}

impl Tally {
    fn count_protocols(&mut self, layers: &Layers<'_>) {
        if let Some(kind) = layers.dhcp().and_then(|dhcp| dhcp.message_type()) {
            // Nearly every message is one of a kind that was counted before.
            match kind.name().and_then(|name| self.dhcp.get_mut(name)) {
                Some(count) => add(count, 1),
                None => add(self.dhcp.entry(kind.to_string()).or_default(), 1),
            }
        }
        if let Some(stp) = layers.stp() {
            let counts = &mut self.stp;
            if stp.family() == StpFamily::Pvst {
                add(&mut counts.pvst, 1);
            }
            add(
                match stp.kind() {
                    BpduKind::Config => &mut counts.config,
                    BpduKind::Tcn => &mut counts.tcn,
                    BpduKind::Rst => &mut counts.rst,
                    BpduKind::Mst => &mut counts.mst,
                    BpduKind::Spt => &mut counts.spt,
                    BpduKind::Other { .. } => &mut counts.untyped,
                },
                1,
            );
        }
        if let Some(what) = layers.unopened() {
            add(self.unopened.entry(what.name()).or_default(), 1);
        }
        if layers.has(Kind::Lacp) {
            add(&mut self.lacp, 1);
        }
        if layers.has(Kind::Lldp) {
            add(&mut self.lldp, 1);
        }
        if layers.icmp().is_some_and(|icmp| icmp.next_hop_mtu().is_some()) {
            add(&mut self.icmp_frag_needed, 1);
        }
        if layers.icmpv6().is_some_and(|icmp| icmp.packet_too_big().is_some()) {
            add(&mut self.icmpv6_packet_too_big, 1);
        }
    }
}

fn add(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}
