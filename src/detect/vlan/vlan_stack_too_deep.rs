//! VLAN008: three tags or more, where most switches read two (IEEE 802.1Q-2018 clause 15 knows two).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Span, TagStack, Timestamp};
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
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(VlanStackTooDeep { stacks: Followed::new(MOST, ENOUGH, ENOUGH) }),
};

/// Tags from which on a stack is deep.
const DEEP: usize = 3;
/// Frames that make it more than noise.
const ENOUGH: u64 = 3;
/// Stacks that are followed; a loop that adds a tag each time makes many, a guest can make more.
const MOST: usize = 256;

struct VlanStackTooDeep {
    stacks: Followed<StackKey>,
}

type StackKey = (VantageId, TagStack);

impl Detector for VlanStackTooDeep {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.stacks.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.vlan.resolve_s);
        while let Some(due) = self.stacks.due(cx.now, patience) {
            match due {
                Due::Ripe(key) => self.claim(key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(key, cx), format!("no such frame for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.stacks.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl VlanStackTooDeep {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let tags = frame.layers.tags();
        let vantage = frame.at.vantage;
        let is_cooked = cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked);
        if tags.depth() >= DEEP && !is_cooked {
            self.stacks.see(&(vantage, tags), frame, cx, || ());
        }
    }

    fn claim(&mut self, key: StackKey, cx: &mut Context<'_>) {
        let (vantage, tags) = key;
        let Some(deep) = self.stacks.get_mut(&key) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let vids: Vec<u16> = tags.as_slice().iter().map(|(_, vid)| vid.number()).collect();
        let repeats = vids.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        let interface = cx.world.interface(vantage);
        let headline = format!(
            "{interface}: frames carry {} VLAN tags ({tags}) since {}; most switches read two and take the rest for payload.",
            tags.depth(),
            deep.first.clock()
        );
        let mut claim = Claim::new(claim_key(key, cx), Confidence::Risk, Severity::Warning, headline)
            .at(vantage)
            .number("depth", tags.depth())
            .filter("vlan.id#3");
        if repeats {
            claim = claim.cause("a loop through a bridge that tags: each pass adds one, and the same VLAN comes again");
        }
        let claim = claim
            .cause("VLAN devices stacked on one another by mistake (VLAN001)")
            .step("See which devices add the tags", "ip -d link show type vlan")
            .step("See which ports the bridge joins", "bridge link");
        cx.raise(deep.prove(claim));
    }
}

fn claim_key((vantage, tags): StackKey, cx: &Context<'_>) -> Key {
    Key::new().with("interface", cx.world.interface(vantage)).with("stack", tags)
}
