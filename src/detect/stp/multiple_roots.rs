//! STP004: two bridges of one network believe in different roots for longer than a tree takes to settle (IEEE 802.1D-2004 clause 17.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::detect::stp::tree::{in_words, is_guest, key_of, origin};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::BridgeId;
use crate::world::{Copied, Derived, Observation, Speaker, Topic, TreeEvent, TreeKey};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP004",
        name: "multiple-roots",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("multiple_roots.md"),
    },
    hears: &[],
    follows: &[Topic::Tree, Topic::Broadcast],
    needs: Needs::Ethernet,
    make: |_| Box::new(MultipleRoots::default()),
};

/// Trees that are followed.
const MOST: usize = 1_024;
/// Between two looks at a tree with two roots.
const LOOK_EVERY: Span = Span::secs(5);
/// Without a second root for this long it is over.
const OVER_AFTER: Span = Span::secs(30);
/// Copies of a frame that are no accident, frames that came in so many, and their senders, that make a loop (findings.md L2001).
const COPIES: u32 = 3;
const COPIED: usize = 5;
const SENDERS: usize = 2;
/// Such frames that are remembered.
const MOST_COPIED: usize = 64;
/// And that are cited.
const CITED: usize = 3;

#[derive(Default)]
struct MultipleRoots {
    splits: BTreeMap<TreeKey, Split>,
    deadlines: Deadlines<TreeKey>,
}

struct Split {
    roots: (BridgeId, BridgeId),
    since: Timestamp,
    /// When both were named last.
    last: Timestamp,
    /// Frames of the network that came in three copies meanwhile.
    copied: Vec<Cited>,
    senders: BTreeSet<Mac>,
    raised: Option<Key>,
}

impl Detector for MultipleRoots {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let step = match seen {
            Observation::Derived(Derived::Tree(step)) => step,
            Observation::Derived(Derived::Copied(copied)) => return self.copied(copied, cx),
            _ => return,
        };
        // One look, and then one every few seconds, however many roots a flood of BPDUs names.
        let is_new = self.deadlines.of(&step.tree).is_none() && self.splits.len() < MOST;
        if matches!(step.what, TreeEvent::Claimed { .. }) && is_new {
            self.look(step.tree, cx);
            self.deadlines.set(step.tree, cx.now.after(LOOK_EVERY));
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(tree) = self.deadlines.pop(cx.now) {
            self.look(tree, cx);
        }
    }
}

impl MultipleRoots {
    /// A frame to everybody came in three copies: where two roots are named, both halves of the network are connected twice.
    fn copied(&mut self, copied: &Copied, cx: &Context<'_>) {
        let is_loop = copied.count == COPIES && cx.world.sightings.link_of(copied.vantage) == copied.vantage;
        let is_here = |tree: &TreeKey| cx.world.domains.is_same(tree.0, cx.world.domains.root(copied.domain));
        for (_, split) in self.splits.iter_mut().filter(|(tree, _)| is_loop && is_here(tree)) {
            if split.copied.len() < MOST_COPIED {
                split.copied.push(copied.cited.clone());
                split.senders.insert(copied.source);
            }
        }
    }

    fn look(&mut self, key: TreeKey, cx: &mut Context<'_>) {
        let Some(tree) = cx.world.trees.tree(&key) else { return };
        // A guest's bridge behind a filter is root of an island of its own: STP001 tells of it.
        let speakers: Vec<&Speaker> = tree.alive(cx.now).filter(|s| !is_guest(&origin(&key, s, cx))).collect();
        let best = speakers.iter().map(|s| s.root).min();
        let other = speakers.iter().map(|s| s.root).filter(|root| Some(*root) != best).min();
        let (Some(best), Some(other)) = (best, other) else {
            self.ended(key, cx);
            return;
        };
        let fresh = || Split {
            roots: (best, other),
            since: cx.now,
            last: cx.now,
            copied: Vec::new(),
            senders: BTreeSet::new(),
            raised: None,
        };
        let split = self.splits.entry(key).or_insert_with(fresh);
        if split.roots != (best, other) && split.raised.is_none() {
            *split = fresh();
        }
        split.last = cx.now;
        self.deadlines.set(key, cx.now.after(LOOK_EVERY));
        let stp = &cx.settings.stp;
        let is_rapid = speakers.iter().all(|s| s.version >= 2);
        let patience = Span::secs(if is_rapid { stp.roots_rapid_s } else { stp.roots_s });
        let lasted = cx.now.since(split.since);
        if lasted <= patience || split.roots != (best, other) {
            return;
        }
        let named =
            |root: BridgeId| speakers.iter().find(|s| s.root == root).map_or_else(String::new, |s| s.mac.to_string());
        let is_looped = split.copied.len() >= COPIED && split.senders.len() >= SENDERS;
        let (confidence, severity, effect) = if is_looped {
            let effect = "Frames to everybody multiply in it: what should have been split is a loop.";
            (Confidence::Confirmed, Severity::Error, effect)
        } else {
            let effect = "The network is split, or something filters their BPDUs.";
            (Confidence::Likely, Severity::Warning, effect)
        };
        let headline = format!(
            "Two bridges of one network have believed in different roots{} for {lasted}: {} names {best}, {} names {other}. {effect}",
            in_words(&key, cx),
            named(best),
            named(other),
        );
        let finding = key_of(&key, cx).with("root", best).with("other", other);
        split.raised = Some(finding.clone());
        let claim = Claim::new(finding, confidence, severity, headline)
            .at(tree.vantage)
            .seen(split.since, 1)
            .number("seconds", lasted.as_secs())
            .number("speakers", speakers.len())
            .number("frames_in_copies", split.copied.len())
            .proved_by(split.copied.iter().filter(|_| is_looped).take(CITED).cloned())
            .filter(format!("stp.root.hw == {} || stp.root.hw == {}", best.mac, other.mac))
            .cause("a BPDU filter between two switches that are connected")
            .cause("a link that works one way only")
            .cause("VLANs that are mapped to others on the way, or BPDUs that are tunnelled")
            .step("See on each switch whom it takes for the root, and through which port", "show spanning-tree root")
            .step("Remove BPDU filters between switches", "no spanning-tree bpdufilter enable");
        cx.raise(claim);
    }

    fn ended(&mut self, key: TreeKey, cx: &mut Context<'_>) {
        let Some(split) = self.splits.get(&key) else { return };
        let quiet = cx.now.since(split.last);
        match &split.raised {
            Some(finding) if quiet >= OVER_AFTER => {
                cx.resolve(finding.clone(), format!("one root is named since {OVER_AFTER}"));
                self.splits.remove(&key);
            }
            Some(_) => self.deadlines.set(key, cx.now.after(LOOK_EVERY)),
            None => {
                self.splits.remove(&key);
            }
        }
    }
}
