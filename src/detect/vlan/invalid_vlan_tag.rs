//! VLAN005: a tag that no standard allows: VLAN 4095, no EtherType behind it, or a length beyond the frame (IEEE 802.1Q-2018 clause 9.6).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::{Kind, Why};
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN005",
        name: "invalid-vlan-tag",
        levels: &[(Confidence::Likely, Severity::Warning)],
        page: include_str!("invalid_vlan_tag.md"),
    },
    hears: &[Kind::ReservedTag, Kind::Stopped],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(InvalidVlanTag { seen: BoundedMap::new(MOST), quiet: BTreeMap::new() }),
};

/// Senders that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: u64 = 3;

struct InvalidVlanTag {
    seen: BoundedMap<TagKey, (Timestamp, u64)>,
    /// When each is over, unless it is seen again.
    quiet: BTreeMap<Timestamp, Vec<TagKey>>,
}

type TagKey = (VantageId, Reason, Mac);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Reason {
    Reserved,
    NoEtherType,
    TooLong,
}

impl Detector for InvalidVlanTag {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.quiet.keys().next().copied()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.vlan.resolve_s);
        while let Some(entry) = self.quiet.first_entry().filter(|entry| *entry.key() <= cx.now) {
            for key in entry.remove() {
                let Some((last, _)) = self.seen.peek(&key).copied() else { continue };
                if cx.now.since(last) < patience {
                    self.quiet.entry(last.after(patience)).or_default().push(key);
                    continue;
                }
                self.seen.remove(&key);
                cx.resolve(claim_key(cx, &key), format!("no such frame for {patience}"));
            }
        }
    }
}

impl InvalidVlanTag {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(reason), Some(mac)) = (Reason::of(seen), frame.layers.link_src()) else { return };
        if cx.world.vantage(frame.at.vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        let key = (frame.at.vantage, reason, mac);
        let patience = Span::secs(cx.settings.vlan.resolve_s);
        if self.seen.peek(&key).is_none() {
            self.quiet.entry(cx.now.after(patience)).or_default().push(key);
        }
        let (last, frames) = self.seen.entry(&key, || (cx.now, 0));
        (*last, *frames) = (cx.now, frames.saturating_add(1));
        let frames = *frames;
        if frames > CITED {
            return;
        }
        let interface = cx.world.interface(frame.at.vantage);
        let (what, filter, cause) = reason.words();
        let claim = Claim::new(
            claim_key(cx, &key),
            Confidence::Likely,
            Severity::Warning,
            format!("{interface}: frames from {mac} {what}."),
        )
        .at(frame.at.vantage)
        .seen(frame.time, frames)
        .proved_by([Cited::of(frame)])
        .filter(format!("{filter} && eth.src == {mac}"))
        .cause(cause)
        .cause("a driver or a tap that handles tags wrongly")
        .step(
            "Try with the card's tag offload switched off",
            Command::with("ethtool -K {} rxvlan off txvlan off", &[&cx.world.device(&interface)]),
        );
        cx.raise(claim);
    }
}

impl Reason {
    /// What is wrong with the frame's tags; a frame that our capture cut short is nobody's fault.
    fn of(seen: &Seen<'_>) -> Option<Self> {
        let layers = &seen.frame.layers;
        if layers.has(Kind::ReservedTag) {
            return Some(Self::Reserved);
        }
        let stop = layers.stop?;
        let Why::Short { .. } = stop.why else { return None };
        match stop.layer {
            Kind::Vlan => Some(Self::NoEtherType),
            Kind::Llc if !layers.tags().is_empty() => Some(Self::TooLong),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "vid-4095",
            Self::NoEtherType => "no-ethertype",
            Self::TooLong => "length-beyond-frame",
        }
    }

    /// What such frames do, how to find them, and the usual cause.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Reserved => (
                "carry VLAN id 4095, which is reserved and never on a wire",
                "vlan.id == 4095",
                "a port group that stands for all VLANs (VMware uses 4095 for it) leaks its own number",
            ),
            Self::NoEtherType => (
                "end inside a VLAN tag: no EtherType follows it",
                "vlan && _ws.malformed",
                "a sender that builds tags and stops there",
            ),
            Self::TooLong => (
                "claim behind their tag to carry more bytes than they have",
                "vlan && _ws.malformed",
                "a sender that writes a length where an EtherType belongs",
            ),
        }
    }
}

fn claim_key(cx: &Context<'_>, (vantage, reason, mac): &TagKey) -> Key {
    Key::new().with("interface", cx.world.interface(*vantage)).with("reason", reason.name()).with("mac", mac)
}
