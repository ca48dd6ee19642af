//! What was seen of packets that the second tag makes too long, in one direction of one link and one outer VLAN, and the sentence that says it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::detect::{unstack, vlans};
use crate::event::{Cited, Frame, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Severity, Way};
use crate::value::{TagStack, Timestamp, Tpid, Vid};
use crate::world::{Domains, Pile, Segment, World};

/// Frames that are cited of each kind: those that do not fit, and their repeats.
const CITED: usize = 2;

/// What was seen of one direction of one link in one outer VLAN.
pub struct Overflow {
    /// When the first packet that does not fit was seen.
    pub first: Timestamp,
    /// When the latest packet that does not fit was seen.
    pub last: Timestamp,
    count: u64,
    /// The tags of the largest packet.
    pub stack: TagStack,
    inner: BTreeSet<u16>,
    largest: u32,
    /// Bytes behind the outer tag of the largest packet.
    pub carry: u32,
    smallest_lost: Option<u32>,
    /// The largest packet that was seen to arrive.
    pub delivered: u32,
    /// Echo requests that do not fit and were not answered.
    pub lost_echoes: u32,
    /// What several vantages tell of packets that do not fit.
    pub between: Between,
    /// A router that says that its path takes no more than the tags leave room for, and how much that is.
    pub told: Option<(IpAddr, u32)>,
    /// Whether a packet that does not fit is known to have been lost.
    pub is_lost: bool,
    is_reconstructed: bool,
    /// Whether it was claimed.
    pub is_raised: bool,
    fresh: Vec<Cited>,
    cited: usize,
    repeats: usize,
    /// Frames of the same VLANs in one tag, when the latest packet that does not fit was seen.
    single: u64,
}

/// Packets that were seen at one vantage and not at the next, where smaller ones were.
#[derive(Default)]
pub struct Between {
    /// How many, and when the first of them was seen.
    pub gone: Option<(u32, Timestamp)>,
    /// Whether any came through.
    pub has_passed: bool,
    /// The names of the two vantages, and the size of a packet that came from one to the other.
    pub places: Option<(String, String, u32)>,
    /// The way of the latest of them, and of the one that came through.
    pub ways: Vec<Way>,
}

impl Overflow {
    /// What was waited for, as the capture ended: whether such packets are heard to arrive.
    pub fn waiting(&self, interface: &str) -> String {
        let (bytes, tags) = (self.largest, self.stack.depth());
        format!("whether packets of {bytes} bytes in {tags} tags arrive, {} so far on {interface}", self.count)
    }

    /// Nothing yet; the first frame, at `first`, will be added.
    pub fn new(first: Timestamp, stack: TagStack) -> Self {
        Self {
            first,
            last: first,
            count: 0,
            stack,
            inner: BTreeSet::new(),
            largest: 0,
            carry: 0,
            smallest_lost: None,
            delivered: 0,
            lost_echoes: 0,
            between: Between::default(),
            told: None,
            is_lost: false,
            is_reconstructed: false,
            is_raised: false,
            fresh: Vec::new(),
            cited: 0,
            repeats: 0,
            single: 0,
        }
    }

    /// Another packet that does not fit, of `packet_len` bytes; `segment` is what is known of it if it is TCP.
    pub fn add(&mut self, frame: &Frame<'_>, packet_len: u32, segment: Option<&Segment>) {
        let stack = frame.layers.tags();
        let carry = stack.carry(packet_len);
        self.count = self.count.saturating_add(1);
        self.inner.extend(stack.inner().map(|(_, vid)| vid.number()));
        self.is_reconstructed |= segment.is_some_and(|s| s.is_super);
        if carry > self.carry {
            (self.carry, self.largest, self.stack) = (carry, packet_len, stack);
        }
        let is_repeat = segment.is_some_and(|s| s.sends > 1);
        let cited = if is_repeat { &mut self.repeats } else { &mut self.cited };
        if *cited < CITED {
            *cited = cited.saturating_add(1);
            self.fresh.push(Cited::of(frame));
        }
    }

    /// A packet of `packet_len` bytes did not arrive.
    pub fn lose(&mut self, packet_len: u32) {
        self.is_lost = true;
        self.smallest_lost = Some(self.smallest_lost.map_or(packet_len, |l| l.min(packet_len)));
    }

    /// A packet of `packet_len` bytes, which does not fit, arrived: whether there is room for all that did not arrive before.
    pub fn finds(&mut self, packet_len: u32) -> bool {
        let has_room = self.smallest_lost.is_none_or(|lost| packet_len >= lost);
        if has_room {
            (self.is_lost, self.smallest_lost, self.lost_echoes, self.told) = (false, None, 0, None);
            self.between = Between::default();
        }
        has_room
    }

    /// Frames that rode at `vantage` in one tag of the same VLANs since the latest packet that does not fit.
    pub fn single_since(&self, vantage: VantageId, domains: &Domains) -> u64 {
        self.single_frames(vantage, domains).saturating_sub(self.single)
    }

    /// Counts the frames in one tag from now on.
    pub fn begin_counting(&mut self, vantage: VantageId, domains: &Domains) {
        self.single = self.single_frames(vantage, domains);
    }

    fn single_frames(&self, vantage: VantageId, domains: &Domains) -> u64 {
        let is_same = |stack: &TagStack| {
            stack.depth() == 1 && stack.inner().is_some_and(|(_, vid)| self.inner.contains(&vid.number()))
        };
        domains.frames(vantage, is_same)
    }

    /// What shows that packets are lost, after "lost since".
    fn loss(&self) -> String {
        let lost = self.smallest_lost.unwrap_or(self.largest);
        let mut sentence = match (&self.between.places, self.told) {
            _ if self.delivered > 0 => format!(": {lost} bytes never arrived, {} did.", self.delivered),
            (Some((seen, missing, small)), _) => {
                format!(": those of {lost} are seen on {seen} and never on {missing}, those of {small} on both.")
            }
            _ => ".".to_owned(),
        };
        if let (Some((seen, missing, _)), true) = (&self.between.places, self.delivered > 0) {
            sentence.push_str(&format!(" They are seen on {seen} and never on {missing}."));
        }
        if let Some((reporter, mtu)) = self.told {
            sentence.push_str(&format!(" {reporter} says that {lost} bytes are too many and {mtu} the most."));
        }
        sentence
    }

    /// The claim about it, on a link that is called `interface` and takes `mtu` bytes.
    pub fn claim(&mut self, key: Key, interface: &str, (mtu, is_assumed): (u32, bool), world: &World) -> Claim {
        let over = self.carry.saturating_sub(mtu);
        let safe = self.largest.saturating_sub(over);
        let outer = self.stack.outer().unwrap_or((Tpid::C, Vid::from_tci(0)));
        let makes = if self.inner.len() == 1 { "makes" } else { "make" };
        let mtu_is = if is_assumed { format!("is assumed to be {mtu}") } else { format!("is {mtu}") };
        let mut headline = format!(
            "{} inside VLAN {} {makes} {}-byte payloads behind the outer tag on {interface}, whose MTU {mtu_is}: {} > {mtu} by {over}. ",
            vlans(&self.inner),
            outer.1,
            self.carry,
            self.carry
        );
        let (confidence, severity) = if self.is_lost {
            headline.push_str(&format!("Packets over {safe} bytes are lost since {}", self.first.clock()));
            headline.push_str(&self.loss());
            (Confidence::Confirmed, Severity::Critical)
        } else {
            headline.push_str(&format!("Packets over {safe} bytes do not fit."));
            (Confidence::Likely, Severity::Error)
        };
        let shown: Vec<String> = self.inner.iter().take(8).map(u16::to_string).collect();
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
            .number("inner_vlans", shown.join(" "))
            .proved_by(self.fresh.drain(..))
            .going(self.between.ways.iter().cloned());
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
            "vlan.id == {} && vlan.id == {innermost} && (ip.len > {safe} || ipv6.plen > {})",
            outer.1,
            safe.saturating_sub(40)
        );
        advise(claim, world, interface, outer, innermost, self.carry).filter(filter)
    }
}

/// The claim that the host's links alone allow, before any packet was sent.
pub fn configured(key: Key, pile: &Pile, world: &World) -> Claim {
    let (needed, room) = (pile.needed().unwrap_or(0), pile.carrier_mtu.unwrap_or(0));
    let over = needed.saturating_sub(room);
    let largest = pile.devices.iter().filter_map(|device| device.mtu).max().unwrap_or(0);
    let depth = pile.devices.iter().map(|device| device.tags.depth()).max().unwrap_or(0);
    let (devices, take) = match pile.devices.as_slice() {
        [one] => (one.device.to_string(), "takes"),
        [one, rest @ ..] => (format!("{} and {} more", one.device, rest.len()), "take"),
        [] => (String::new(), "take"),
    };
    let headline = format!(
        "{devices} {take} packets of {largest} bytes, which leave {} in {depth} tags, and there is no room for them: {needed} > {room} by {over}. \
         Packets over {} bytes will not fit.",
        pile.carrier,
        largest.saturating_sub(over)
    );
    let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
        .number("carry", needed)
        .number("mtu", room)
        .number("over", over)
        .number("safe_packet", largest.saturating_sub(over))
        .assuming("from the host's configuration; no such packet was seen");
    let inner = pile.devices.first().and_then(|device| device.tags.inner()).map_or(0, |(_, vid)| vid.number());
    advise(claim, world, pile.carrier.raw(), pile.outer, inner, needed)
}

/// Causes and remedy, which do not depend on how it was found.
fn advise(claim: Claim, world: &World, interface: &str, outer: (Tpid, Vid), inner: u16, carry: u32) -> Claim {
    // Addresses, EtherType, the outer tag and the check sequence come on top.
    let frame = carry.saturating_add(22);
    let lower = world
        .host
        .pile(interface, outer)
        .and_then(|pile| Some(world.device(pile.devices.first()?.lower.raw()).to_owned()));
    let lower = lower.unwrap_or_else(|| format!("vlan{}", outer.1));
    unstack(claim, world, interface, outer, inner)
        .cause(
            "the switch port takes no frame longer than 1522 bytes with its check sequence, and counts these as giants",
        )
        .step(
            format!("Until then, if every switch port on the way takes {frame} bytes, make room from the bottom up"),
            Command::with(
                "ip link set {} mtu {} && ip link set {} mtu {}",
                &[&world.device(interface), &carry, &lower, &carry],
            ),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_sentence_names_vlans_sizes_and_limit() {
        let stack = [20, 100].into_iter().map(|vid| (Tpid::C, Vid::from_tci(vid))).collect();
        let mut overflow = Overflow::new(Timestamp::from_nanos(0), stack);
        overflow.inner.insert(100);
        (overflow.largest, overflow.carry) = (1_500, 1_504);
        let claim = overflow.claim(Key::new(), "bond0", (1_500, true), &World::new(&Settings::default()));
        assert_eq!(
            claim.headline,
            "VLAN 100 inside VLAN 20 makes 1504-byte payloads behind the outer tag on bond0, whose MTU is assumed to be 1500: \
             1504 > 1500 by 4. Packets over 1496 bytes do not fit."
        );
    }
}
