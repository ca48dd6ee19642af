//! L2001: frames to everybody arrive again and again, byte for byte: a bridging loop (IEEE 802.1D-2004 clause 7: bridges duplicate nothing).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, TagStack, Timestamp};
use crate::world::{Copied, Derived, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "L2001",
        name: "duplicate-frames",
        levels: &[(Confidence::Confirmed, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("duplicate_frames.md"),
    },
    hears: &[],
    follows: &[Topic::Broadcast],
    needs: Needs::Ethernet,
    make: |_| Box::new(DuplicateFrames::default()),
};

/// Links that are followed.
const MOST: usize = 1_024;
/// Different frames with copies within the span that make it a loop and no sender's habit.
const FRAMES: usize = 5;
/// Senders of them: a sender that repeats itself is alone, a loop repeats everybody.
const SENDERS: usize = 2;
/// The span.
const WITHIN: Span = Span::secs(10);
/// Copies of one frame that are an error.
const MANY: u32 = 10;
/// Without copies for this long it is over.
const OVER_AFTER: Span = Span::secs(30);
/// Frames that are remembered within the span.
const REMEMBERED: usize = 256;

#[derive(Default)]
struct DuplicateFrames {
    links: BTreeMap<LinkKey, Looped>,
    deadlines: Deadlines<LinkKey>,
}

type LinkKey = (VantageId, bool, TagStack);

#[derive(Default)]
struct Looped {
    frames: Vec<(Timestamp, Mac)>,
    first: Option<Timestamp>,
    last: Timestamp,
    count: u64,
    most: u32,
    apart: Span,
    fresh: Vec<Cited>,
    raised: Option<Key>,
}

impl Detector for DuplicateFrames {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Copied(copied)) = seen {
            self.copied(copied, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            let Some(link) = self.links.remove(&key) else { continue };
            if let Some(key) = link.raised {
                cx.resolve(key, format!("no copy for {OVER_AFTER}"));
            }
        }
    }
}

impl DuplicateFrames {
    fn copied(&mut self, copied: &Copied, cx: &mut Context<'_>) {
        let vantage = copied.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        // One capture of several devices shows each frame several times, and so does the second name of a link.
        if place == Place::Cooked || cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let key = (vantage, copied.direction == Direction::Out, cx.world.domains.stack(copied.domain));
        if self.links.len() >= MOST && !self.links.contains_key(&key) {
            return;
        }
        let link = self.links.entry(key).or_default();
        link.last = cx.now;
        link.most = link.most.max(copied.count);
        link.apart = copied.apart;
        link.frames.retain(|(at, _)| cx.now.since(*at) <= WITHIN);
        if copied.count == 3 && link.frames.len() < REMEMBERED {
            link.first.get_or_insert(copied.cited.time);
            link.frames.push((cx.now, copied.source));
            link.count = link.count.saturating_add(1);
            if link.fresh.len() < 4 {
                link.fresh.push(copied.cited.clone());
            }
        }
        let senders: BTreeSet<Mac> = link.frames.iter().map(|(_, mac)| *mac).collect();
        let is_loop = link.frames.len() >= FRAMES && senders.len() >= SENDERS;
        self.deadlines.set(key, cx.now.after(OVER_AFTER));
        if !is_loop && link.raised.is_none() {
            return;
        }
        let severity = if link.most >= MANY { Severity::Error } else { Severity::Warning };
        let (interface, domain) = (cx.world.interface(vantage), cx.world.domains.name(copied.domain));
        let way = match copied.direction {
            Direction::In => "arrive at",
            Direction::Out => "leave",
            Direction::Unknown => "pass",
        };
        let network = if domain == "untagged" { String::new() } else { format!(" in VLAN {domain}") };
        let first = link.first.unwrap_or(copied.cited.time);
        let headline = format!(
            "Frames to everybody{network} {way} {interface} up to {} times, {} apart, since {} ({} frames of {} senders): a bridging loop.",
            link.most,
            link.apart,
            first.clock(),
            link.count,
            senders.len()
        );
        let finding =
            Key::new().with("interface", &interface).with("direction", copied.direction).with("domain", &domain);
        link.raised = Some(finding.clone());
        let claim = Claim::new(finding, Confidence::Confirmed, severity, headline)
            .at(vantage)
            .seen(first, link.count)
            .number("most_copies", link.most)
            .number("frames", link.count)
            .number("apart_ms", link.apart.as_secs() * 1_000.0)
            .proved_by(link.fresh.drain(..))
            .filter("eth.dst.ig == 1")
            .cause("a guest bridges two of its network cards")
            .cause("the members are bonded here and are single ports on the switch")
            .cause("two uplinks are ports of one bridge without spanning tree")
            .step("See which ports each bridge has, and take the second way out of it", "bridge link")
            .step("Take a guest's port out of the bridge", "ip link set tapX nomaster")
            .step("Let both sides speak LACP", "cat /proc/net/bonding/bond0");
        cx.raise(claim);
    }
}
