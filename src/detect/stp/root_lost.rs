//! STP013: a root that spoke regularly is not heard any more, while other frames go on arriving (IEEE 802.1D-2004 clause 17.17.6).

use std::collections::BTreeMap;

use crate::detect::stp::tree::{in_words, is_guest, key_of, origin};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Confidence, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::{BridgeId, Kind};
use crate::world::{Derived, Observation, Topic, TreeEvent, TreeKey};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP013",
        name: "root-lost",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("root_lost.md"),
    },
    hears: &[Kind::Stp],
    follows: &[Topic::Tree],
    needs: Needs::Ethernet,
    make: |_| Box::new(RootLost::default()),
};

/// Trees that are followed.
const MOST: usize = 1_024;
/// BPDUs that make a speaker regular.
const REGULAR: u64 = 5;
/// Added to three hellos where they decide: a loaded switch is late.
const SLACK: Span = Span::secs(1);

#[derive(Default)]
struct RootLost {
    trees: BTreeMap<TreeKey, bool>,
    deadlines: Deadlines<TreeKey>,
}

impl Detector for RootLost {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(_) = seen {
            // A BPDU: what was said to be lost may be back.
            let raised = self.trees.iter().filter(|(_, is_raised)| **is_raised);
            raised.map(|(key, _)| *key).collect::<Vec<_>>().into_iter().for_each(|key| self.look(key, cx));
        }
        let Observation::Derived(Derived::Tree(step)) = seen else { return };
        let is_new = matches!(step.what, TreeEvent::Claimed { before: None, .. });
        if is_new && self.trees.len() < MOST && self.deadlines.of(&step.tree).is_none() {
            self.trees.entry(step.tree).or_insert(false);
            self.deadlines.set(step.tree, cx.now.after(Span::secs(10)));
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

impl RootLost {
    fn look(&mut self, key: TreeKey, cx: &mut Context<'_>) {
        let Some(tree) = cx.world.trees.tree(&key) else { return };
        let Some(is_raised) = self.trees.get_mut(&key) else { return };
        let vantage = tree.vantage;
        let switches = tree.speakers.iter().filter(|s| !is_guest(&origin(&key, s, cx)));
        let Some(latest) = switches.clone().max_by_key(|s| s.last) else { return };
        let three_hellos = Span::nanos(latest.hello.times(3).as_nanos().saturating_add(SLACK.as_nanos()));
        let patience = if latest.version >= 2 { three_hellos } else { latest.max_age };
        let quiet = cx.now.since(latest.last);
        if quiet < patience {
            if std::mem::take(is_raised) {
                cx.resolve(key_of(&key, cx), format!("{} is heard again", latest.bridge));
            }
            self.deadlines.set(key, latest.last.after(patience).max(cx.now.after(latest.hello)));
            return;
        }
        // Each look waits as long again as all before it, for captures that leap over years.
        self.deadlines.set(key, cx.now.after(quiet));
        let is_regular = switches.clone().any(|s| s.root == latest.root && s.count >= REGULAR);
        // A better root, or the same by another port here, whose word is better than the switch's: then that is silent as it must be.
        let is_taken_over = tree.alive(cx.now).any(|s| s.root <= latest.root && s.mac != latest.mac);
        if *is_raised || !is_regular || is_taken_over || !goes_on(vantage, latest.last, quiet, cx) {
            return;
        }
        *is_raised = true;
        let heir = tree.roots.last().map(|(root, _)| *root).filter(|root| *root != latest.root);
        let headline = sentence(&key, latest.bridge, latest.root, quiet, heir, cx);
        let claim = Claim::new(key_of(&key, cx), Confidence::Confirmed, Severity::Warning, headline)
            .at(vantage)
            .seen(latest.sighting.time, latest.count)
            .number("root", latest.root.to_string())
            .number("silent_s", quiet.as_secs())
            .number("hello_s", latest.hello.as_secs())
            .filter(format!("stp.root.hw == {}", latest.root.mac))
            .cause("the root, or the switch that passed its word on, has restarted or lost its trunk")
            .cause("a BPDU filter was switched on at this port: from here that looks the same")
            .step("See the switch's log and whom it takes for the root now", "show spanning-tree root");
        cx.raise(claim);
    }
}

/// Whether frames went on arriving for as long as no BPDU did: else it is the link that is silent.
fn goes_on(vantage: VantageId, last: Timestamp, quiet: Span, cx: &Context<'_>) -> bool {
    let arrivals = &cx.world.arrivals;
    let half = Span::nanos(quiet.as_nanos() / 2);
    arrivals.latest(vantage).is_some_and(|at| at > last.after(half))
        && !arrivals.is_silent(vantage)
        && !cx.world.is_member(vantage)
}

fn sentence(
    key: &TreeKey,
    bridge: BridgeId,
    root: BridgeId,
    quiet: Span,
    heir: Option<BridgeId>,
    cx: &Context<'_>,
) -> String {
    let via = if bridge == root { String::new() } else { format!(", told by {bridge},") };
    let now = heir.map_or_else(String::new, |heir| format!("; {heir} is named since"));
    format!(
        "No BPDU of root {root}{via} has come{} for {quiet}, while other frames go on arriving{now}.",
        in_words(key, cx)
    )
}
