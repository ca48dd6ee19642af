//! STP003: a bridge claims to be a better root than the one that the network has settled on (IEEE 802.1D-2004 clause 17.6: priority vectors).

use crate::detect::stp::tree::{in_words, is_guest, key_of, origin};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::BridgeId;
use crate::world::{Derived, Observation, Origin, Reach, Speaker, Topic, Tree, TreeEvent, TreeKey, TreeStep};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP003",
        name: "root-takeover",
        levels: &[
            (Confidence::Likely, Severity::Error),
            (Confidence::Likely, Severity::Critical),
            (Confidence::Confirmed, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("root_takeover.md"),
    },
    hears: &[],
    follows: &[Topic::Tree],
    needs: Needs::Ethernet,
    make: |_| Box::new(RootTakeover::default()),
};

/// Claims that are followed; a flood of roots is one guest's work and told by STP001.
const MOST: usize = 64;
/// For how long the old root must be named by all again.
const SETTLED: Span = Span::secs(30);

#[derive(Default)]
struct RootTakeover {
    open: Vec<Takeover>,
    deadlines: Deadlines<(TreeKey, BridgeId)>,
}

struct Takeover {
    tree: TreeKey,
    old: BridgeId,
    new: BridgeId,
    /// Who claims it, and whether all its sightings are in.
    claimant: Mac,
    is_settled: bool,
    /// A bridge of before that has taken the new root over.
    adopter: Option<Mac>,
    first: Timestamp,
    fresh: Vec<Cited>,
}

impl Detector for RootTakeover {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Tree(step)) = seen else { return };
        match step.what {
            TreeEvent::Claimed { bridge, root, .. } => self.claimed(step, bridge, root, cx),
            // A bridge sends it towards its root only: one that used to speak for this segment has found its root on it.
            TreeEvent::Notified => self.adopted(step, cx),
            TreeEvent::Changed => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            self.look(key, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.open.len() {
            if self.open.get(at).is_some_and(|open| !open.is_settled || !open.fresh.is_empty()) {
                self.claim(at, cx);
            }
        }
    }
}

impl RootTakeover {
    fn claimed(&mut self, step: &TreeStep, bridge: BridgeId, root: BridgeId, cx: &mut Context<'_>) {
        let Some(tree) = cx.world.trees.tree(&step.tree) else { return };
        if let Some(at) = self.open.iter().position(|open| open.tree == step.tree && open.new == root) {
            let is_other = self.open.get(at).is_some_and(|open| open.claimant != step.mac);
            if is_other && was_here_before(tree, step.mac, &self.open, at) {
                self.adopt(at, step, cx);
            }
            return;
        }
        let Some(old) = established(tree, step.mac, bridge, cx) else { return };
        // The same bridge with another priority is its operator's work.
        if root >= old || root.mac == old.mac || self.open.len() >= MOST {
            return;
        }
        let settle = cx.world.sightings.settle();
        let now = cx.now;
        self.open.push(Takeover {
            tree: step.tree,
            old,
            new: root,
            claimant: step.mac,
            is_settled: false,
            adopter: None,
            first: step.frame.time,
            fresh: vec![step.frame.clone()],
        });
        self.deadlines.set((step.tree, root), now.after(settle));
    }

    fn adopted(&mut self, step: &TreeStep, cx: &mut Context<'_>) {
        let Some(tree) = cx.world.trees.tree(&step.tree) else { return };
        let is_open = |open: &Takeover| open.tree == step.tree && open.claimant != step.mac && open.adopter.is_none();
        if let Some(at) = self.open.iter().position(is_open)
            && was_here_before(tree, step.mac, &self.open, at)
        {
            self.adopt(at, step, cx);
        }
    }

    fn adopt(&mut self, at: usize, step: &TreeStep, cx: &mut Context<'_>) {
        let Some(open) = self.open.get_mut(at) else { return };
        if open.adopter.is_none() {
            open.adopter = Some(step.mac);
            open.fresh.push(step.frame.clone());
            if open.is_settled {
                self.claim(at, cx);
            }
        }
    }

    fn look(&mut self, key: (TreeKey, BridgeId), cx: &mut Context<'_>) {
        let Some(at) = self.open.iter().position(|open| (open.tree, open.new) == key) else { return };
        let Some(open) = self.open.get_mut(at) else { return };
        if !open.is_settled {
            open.is_settled = true;
            self.claim(at, cx);
            self.deadlines.set(key, cx.now.after(SETTLED));
            return;
        }
        let Some(tree) = cx.world.trees.tree(&key.0) else { return };
        let names = |root: BridgeId| tree.speakers.iter().filter(move |s| s.root == root);
        let is_back = names(open.old).any(|s| s.is_alive(cx.now));
        let named = names(open.new).map(|s| s.last).max();
        match named.map(|last| last.after(SETTLED)).filter(|due| *due > cx.now) {
            // It cannot be over before then.
            Some(due) => self.deadlines.set(key, due),
            None if is_back => {
                cx.resolve(claim_key(open, cx), format!("the root is {} again, for {SETTLED}", open.old));
                self.open.remove(at);
            }
            // The old root is not heard either, and no step tells when it will be.
            None => self.deadlines.set(key, cx.now.after(SETTLED)),
        }
    }

    fn claim(&mut self, at: usize, cx: &mut Context<'_>) {
        let Some(open) = self.open.get_mut(at) else { return };
        let Some(tree) = cx.world.trees.tree(&open.tree) else { return };
        let Some(speaker) = tree.speakers.iter().find(|s| s.mac == open.claimant) else { return };
        let who = origin(&open.tree, speaker, cx);
        // What does not leave the node is root of nothing but the guest's own island.
        if matches!(who, Origin::Guest { reach: Reach::Contained, .. }) && open.adopter.is_none() {
            return;
        }
        let severity = if is_guest(&who) { Severity::Critical } else { Severity::Error };
        let confidence = if open.adopter.is_some() { Confidence::Confirmed } else { Confidence::Likely };
        let subject =
            if is_guest(&who) { format!("The guest {}", open.claimant) } else { format!("{}", open.claimant) };
        let effect = match open.adopter {
            Some(adopter) => format!("{adopter} has taken it over: traffic goes through the new root"),
            None => "traffic may be led through it".to_owned(),
        };
        let headline = format!(
            "{subject} names {} as root{} since {}, better than {} on which the network had settled; {effect}.",
            open.new,
            in_words(&open.tree, cx),
            open.first.clock(),
            open.old,
        );
        let claim = Claim::new(claim_key(open, cx), confidence, severity, headline)
            .at(speaker.sighting.at.vantage)
            .seen(open.first, speaker.count)
            .number("old_root", open.old.to_string())
            .number("new_root", open.new.to_string())
            .number("cost", speaker.cost)
            .proved_by(open.fresh.drain(..))
            .filter(format!("stp.root.hw == {}", open.new.mac))
            .cause("a guest's bridge with a low priority")
            .cause("a new switch with its maker's priority and an older address")
            .cause("an attack: whoever is root sees the traffic of others")
            .step("Keep other roots away from access ports", "spanning-tree guard root")
            .step(
                "Give the intended root a priority that nobody has by chance",
                "spanning-tree vlan 1-4094 priority 4096",
            )
            .step("Stop a guest's frames at its port", "netdiag explain STP001 --remedy nft | nft -f -");
        cx.raise(claim);
    }
}

/// The root that the tree has settled on, as speakers other than the claimant tell.
fn established(tree: &Tree, claimant: Mac, bridge: BridgeId, cx: &Context<'_>) -> Option<BridgeId> {
    let stp = &cx.settings.stp;
    let is_settled = |s: &&Speaker| {
        s.mac != claimant
            && s.bridge.mac != bridge.mac
            && s.is_alive(cx.now)
            && (s.root_count >= stp.established_bpdus
                || cx.now.since(s.root_since) >= Span::secs(stp.established_s) && s.root_count > 1)
    };
    tree.speakers.iter().filter(is_settled).map(|s| s.root).min()
}

/// Whether `mac` spoke in the tree before the takeover began.
fn was_here_before(tree: &Tree, mac: Mac, all: &[Takeover], at: usize) -> bool {
    let begun = all.get(at).map(|open| open.first);
    tree.speakers.iter().any(|s| s.mac == mac && begun.is_some_and(|begun| s.first < begun))
}

fn claim_key(open: &Takeover, cx: &Context<'_>) -> Key {
    key_of(&open.tree, cx).with("root", open.new).with("mac", open.claimant)
}
