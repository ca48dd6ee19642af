//! VLAN008: three tags or more, where most switches read two (IEEE 802.1Q-2018 clause 15 knows two).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, TagStack, Timestamp};
use crate::wire::Kind;
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN008",
        name: "vlan-stack-too-deep",
        levels: &[(Confidence::Risk, Severity::Warning)],
        page: include_str!("vlan_stack_too_deep.md"),
    },
    hears: &[Kind::VlanStack],
    needs: Needs::Ethernet,
    make: |_| Box::new(VlanStackTooDeep::default()),
};

/// Tags from which on a stack is deep.
const DEEP: usize = 3;
/// Frames that make it more than noise.
const ENOUGH: u64 = 3;
/// Stacks that are followed; a loop that adds a tag each time makes many, a guest can make more.
const MOST: usize = 256;

#[derive(Default)]
struct VlanStackTooDeep {
    stacks: BTreeMap<StackKey, Deep>,
    deadlines: Deadlines<StackKey>,
}

type StackKey = (VantageId, TagStack);

struct Deep {
    first: Timestamp,
    last: Timestamp,
    frames: u64,
    is_raised: bool,
    fresh: Vec<Cited>,
}

impl Detector for VlanStackTooDeep {
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
            let Some(deep) = self.stacks.get(&key) else { continue };
            let patience = Span::secs(cx.settings.vlan.resolve_s);
            if !deep.is_raised {
                self.claim(key, cx);
            } else if cx.now.since(deep.last) >= patience {
                cx.resolve(claim_key(&cx.world.interface(key.0), &key.1), format!("no such frame for {patience}"));
                self.stacks.remove(&key);
            } else {
                self.deadlines.set(key, deep.last.after(patience));
            }
        }
    }
}

impl VlanStackTooDeep {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let tags = frame.layers.tags();
        let vantage = frame.at.vantage;
        let key = (vantage, tags);
        let is_cooked = cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked);
        if tags.depth() < DEEP || is_cooked || (self.stacks.len() >= MOST && !self.stacks.contains_key(&key)) {
            return;
        }
        let fresh = || Deep { first: frame.time, last: cx.now, frames: 0, is_raised: false, fresh: Vec::new() };
        let deep = self.stacks.entry(key).or_insert_with(fresh);
        deep.frames = deep.frames.saturating_add(1);
        deep.last = cx.now;
        if deep.frames <= ENOUGH {
            deep.fresh.push(Cited::of(frame));
        }
        if deep.frames == ENOUGH {
            self.deadlines.set(key, cx.now.after(cx.world.sightings.settle()));
        }
    }

    fn claim(&mut self, key: StackKey, cx: &mut Context<'_>) {
        let (vantage, tags) = key;
        let Some(deep) = self.stacks.get_mut(&key) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        deep.is_raised = true;
        let vids: Vec<u16> = tags.as_slice().iter().map(|(_, vid)| vid.number()).collect();
        let repeats = vids.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        let interface = cx.world.interface(vantage);
        let headline = format!(
            "{interface}: frames carry {} VLAN tags ({tags}) since {}; most switches read two and take the rest for payload.",
            tags.depth(),
            deep.first.clock()
        );
        let mut claim = Claim::new(claim_key(&interface, &tags), Confidence::Risk, Severity::Warning, headline)
            .at(vantage)
            .seen(deep.first, deep.frames)
            .number("depth", tags.depth())
            .proved_by(deep.fresh.drain(..))
            .filter("vlan.id#3");
        if repeats {
            claim = claim.cause("a loop through a bridge that tags: each pass adds one, and the same VLAN comes again");
        }
        let claim = claim
            .cause("VLAN devices stacked on one another by mistake (VLAN001)")
            .step("See which devices add the tags", "ip -d link show type vlan")
            .step("See which ports the bridge joins", "bridge link");
        cx.raise(claim);
        self.deadlines.set(key, deep.last.after(Span::secs(cx.settings.vlan.resolve_s)));
    }
}

fn claim_key(interface: &str, tags: &TagStack) -> Key {
    Key::new().with("interface", interface).with("stack", tags)
}
