//! STP005: the topology changes again and again, and each change makes every switch forget its addresses (IEEE 802.1D-2004 clause 17.11).

use std::collections::BTreeMap;

use crate::detect::stp::tree::{in_words, key_of};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::world::{Derived, Observation, Topic, TreeEvent, TreeKey};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP005",
        name: "topology-change-storm",
        levels: &[(Confidence::Confirmed, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("topology_change_storm.md"),
    },
    hears: &[],
    follows: &[Topic::Tree],
    needs: Needs::Ethernet,
    make: |_| Box::new(TopologyChangeStorm::default()),
};

/// Trees that are followed.
const MOST: usize = 1_024;
/// Changes of one tree that are remembered.
const REMEMBERED: usize = 32;
/// What "again and again" is measured over.
const SLOWLY: Span = Span::secs(600);
/// And over this where it is worse.
const QUICKLY: Span = Span::secs(60);

#[derive(Default)]
struct TopologyChangeStorm {
    trees: BTreeMap<TreeKey, Storm>,
    deadlines: Deadlines<TreeKey>,
}

#[derive(Default)]
struct Storm {
    changes: Vec<(Timestamp, Mac)>,
    fresh: Vec<Cited>,
    count: u64,
    is_raised: bool,
}

impl Detector for TopologyChangeStorm {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Tree(step)) = seen else { return };
        if step.what == TreeEvent::Changed && (self.trees.len() < MOST || self.trees.contains_key(&step.tree)) {
            let storm = self.trees.entry(step.tree).or_default();
            storm.note(cx.now, step.mac, &step.frame);
            self.claim(step.tree, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(tree) = self.deadlines.pop(cx.now) {
            cx.resolve(key_of(&tree, cx), format!("no change for {SLOWLY}"));
            self.trees.remove(&tree);
        }
    }
}

impl Storm {
    fn note(&mut self, now: Timestamp, mac: Mac, frame: &Cited) {
        self.changes.retain(|(at, _)| now.since(*at) <= SLOWLY);
        if self.changes.len() >= REMEMBERED {
            self.changes.remove(0);
        }
        self.changes.push((now, mac));
        if self.fresh.len() < 4 {
            self.fresh.push(frame.clone());
        }
        self.count = self.count.saturating_add(1);
    }
}

impl TopologyChangeStorm {
    fn claim(&mut self, tree: TreeKey, cx: &mut Context<'_>) {
        let Some(storm) = self.trees.get_mut(&tree) else { return };
        let (changes, stp) = (&storm.changes, &cx.settings.stp);
        let fast = changes.iter().filter(|(at, _)| cx.now.since(*at) <= QUICKLY).count();
        let is_fast = fast > stp.changes_fast;
        if !is_fast && changes.len() <= stp.changes && !storm.is_raised {
            return;
        }
        storm.is_raised = true;
        let (severity, number, over) =
            if is_fast { (Severity::Error, fast, QUICKLY) } else { (Severity::Warning, changes.len(), SLOWLY) };
        let Some((first, last)) = changes.first().zip(changes.last()) else { return };
        let mut senders: Vec<Mac> = changes.iter().map(|(_, mac)| *mac).collect();
        senders.sort_unstable();
        senders.dedup();
        let headline = format!(
            "{number} topology changes{} within {over}, the last told by {} at {}: at each the switches forget where everybody is, and flood until they have learned it again.",
            in_words(&tree, cx),
            last.1,
            last.0.clock()
        );
        let vantage = cx.world.trees.tree(&tree).map(|t| t.vantage);
        let mut claim = Claim::new(key_of(&tree, cx), Confidence::Confirmed, severity, headline)
            .seen(first.0, storm.count)
            .number("changes_in_10_min", changes.len())
            .number("changes_in_60_s", fast)
            .number("senders", senders.iter().map(Mac::to_string).collect::<Vec<_>>().join(" "))
            .proved_by(storm.fresh.drain(..))
            .filter("stp.flags.tc == 1 || stp.type == 0x80")
            .cause("a port that goes up and down and is not an edge port: every restart of its host is a change")
            .cause("a guest's bridge whose port comes and goes (STP001)")
            .cause("a loop (L2001)")
            .step("Make ports to hosts edge ports", "spanning-tree portfast")
            .step(
                "Find where the changes come from, switch by switch",
                "show spanning-tree detail | include from|occur",
            );
        if let Some(vantage) = vantage {
            claim = claim.at(vantage);
        }
        cx.raise(claim);
        self.deadlines.set(tree, cx.now.after(SLOWLY));
    }
}
