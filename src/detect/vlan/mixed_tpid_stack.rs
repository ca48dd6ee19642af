//! VLAN006: stacked tags whose kinds do not go together: a pre-standard one outside, a service tag inside a customer tag, or other kinds one way
//! than the other (IEEE 802.1Q-2018 clause 9.5, table 9-1).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, TagStack, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN006",
        name: "mixed-tpid-stack",
        levels: &[(Confidence::Risk, Severity::Info), (Confidence::Likely, Severity::Warning)],
        page: include_str!("mixed_tpid_stack.md"),
    },
    hears: &[Kind::VlanStack],
    follows: &[],
    needs: Needs::Ethernet,
    make: |settings| Box::new(MixedTpidStack::new(settings)),
};

/// Frames that make it more than noise (findings.md, VLAN006).
const ENOUGH: u64 = 3;
/// Frames that are cited.
const CITED: u64 = 3;
/// Stacks at a vantage that are followed, and pairs of stations whose ways are compared.
const MOST: usize = 256;
const MOST_PAIRS: usize = 1_024;

struct MixedTpidStack {
    stacks: Followed<StackKey, Shown>,
    /// The outer kind that the one with the smaller address sends, and what the other sends.
    ways: BoundedMap<WayKey, [Option<Tpid>; 2]>,
}

/// Outer and next VLAN at a vantage, and two stations, the smaller address first.
type WayKey = (VantageId, Vid, Vid, Mac, Mac);

/// What is wrong, at which vantage.
type StackKey = (VantageId, Oddity);

/// What is wrong with a stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Oddity {
    /// The outer tag is of a kind from before the standard.
    Old(Tpid),
    /// A service tag rides inside a customer tag.
    Inverted,
    /// The outer tag of this VLAN is of one kind one way and of another the other.
    Differs(Vid, Tpid, Tpid),
}

/// A stack that shows it.
#[derive(Clone, Copy)]
struct Shown(TagStack);

impl MixedTpidStack {
    fn new(_: &Settings) -> Self {
        Self { stacks: Followed::new(MOST, ENOUGH, CITED), ways: BoundedMap::new(MOST_PAIRS) }
    }

    fn frame(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let frame = seen.frame;
        let (vantage, tags) = (frame.at.vantage, frame.layers.tags());
        if cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        let [(outer, vid), (inner, inner_vid), ..] = tags.as_slice() else { return };
        if !matches!(*outer, Tpid::C | Tpid::S) {
            self.stacks.see(&(vantage, Oddity::Old(*outer)), frame, cx, || Shown(tags));
        }
        if (*outer, *inner) == (Tpid::C, Tpid::S) {
            self.stacks.see(&(vantage, Oddity::Inverted), frame, cx, || Shown(tags));
        }
        let (Some(from), Some(to)) = (frame.layers.link_src(), frame.layers.link_dst()) else { return };
        if !to.is_station() {
            return;
        }
        let is_low = from < to;
        let (smaller, larger) = if is_low { (from, to) } else { (to, from) };
        let [low, high] = self.ways.entry(&(vantage, *vid, *inner_vid, smaller, larger), Default::default);
        let (own, other) = if is_low { (low, *high) } else { (high, *low) };
        *own = Some(*outer);
        if let Some(other) = other.filter(|other| other != outer) {
            let oddity = Oddity::Differs(*vid, other.min(*outer), other.max(*outer));
            self.stacks.see(&(vantage, oddity), frame, cx, || Shown(tags));
        }
    }

    fn claim(&mut self, key: &StackKey, cx: &mut Context<'_>) {
        let (vantage, oddity) = *key;
        let Some(stack) = self.stacks.get_mut(key) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let interface = cx.world.interface(vantage);
        let tags = stack.what.0;
        let since = stack.first.clock();
        let (confidence, severity, headline, filter) = match oddity {
            Oddity::Old(tpid) => (
                Confidence::Risk,
                Severity::Info,
                format!(
                    "{interface}: the outer tag of frames in {tags} has the pre-standard TPID {tpid} since {since}; equipment that expects 0x88a8 takes them for something unknown."
                ),
                format!("eth.type == {tpid}"),
            ),
            Oddity::Inverted => (
                Confidence::Likely,
                Severity::Warning,
                format!(
                    "{interface}: a service tag (0x88a8) rides inside an 802.1Q tag in {tags} since {since}; the standard has it outside."
                ),
                "vlan.etype == 0x88a8".to_owned(),
            ),
            Oddity::Differs(vid, one, other) => (
                Confidence::Likely,
                Severity::Warning,
                format!(
                    "{interface}: the outer tag of VLAN {vid} has TPID {one} one way and {other} the other since {since}: the two ends of the link are not set alike."
                ),
                format!("eth.type == {one} || eth.type == {other}"),
            ),
        };
        let claim = Claim::new(claim_key(key, cx), confidence, severity, headline)
            .number("tags", tags.to_string())
            .filter(filter)
            .cause("a switch whose maker's default is 0x9100")
            .cause("a port towards the provider is set up as one towards a customer")
            .cause("the tags are put on at the wrong hop")
            .step("On switches, set the same EtherType at both ends of the link", "dot1q tunneling ethertype 0x88A8")
            .step("On a Linux host, name it", "ip link add link eth0 name svlan type vlan proto 802.1ad id 2000");
        cx.raise(stack.prove(claim).at(vantage));
    }
}

impl Detector for MixedTpidStack {
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
                Due::Ripe(key) => self.claim(&key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(&key, cx), format!("no such frame for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.stacks.unsaid() {
            self.claim(&key, cx);
        }
    }
}

fn claim_key((vantage, oddity): &StackKey, cx: &Context<'_>) -> Key {
    let stack = match oddity {
        Oddity::Old(tpid) => tpid.to_string(),
        Oddity::Inverted => format!("{} in {}", Tpid::S, Tpid::C),
        Oddity::Differs(vid, one, other) => format!("{one}:{vid} and {other}:{vid}"),
    };
    Key::new().with("interface", cx.world.interface(*vantage)).with("stack", stack)
}
