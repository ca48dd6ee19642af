//! CAP003: only one direction of the traffic is in the capture, all of it or that of some pairs, so that silence of the other means
//! nothing. Nobody sends two hundred segments that are not acknowledged (RFC 9293 section 3.8).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::Timestamp;
use crate::world::{Derived, Observation, OneSided, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP003",
        name: "one-direction",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("one_direction.md"),
    },
    hears: &[],
    follows: &[Topic::Capture],
    needs: Needs::Frames,
    make: |_| Box::new(OneDirection::default()),
};

/// Pairs that are told apart at a vantage; further ones are not counted.
const MOST_PAIRS: usize = 64;

#[derive(Default)]
struct OneDirection {
    vantages: BTreeMap<VantageId, Sides>,
}

/// Who was heard at a vantage without the other, in order of being noticed.
struct Sides {
    since: Timestamp,
    pairs: Vec<OneSided>,
}

impl Detector for OneDirection {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::OneDirection(one_sided)) = seen {
            self.noticed(one_sided, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // Once more, with what was heard of the others since.
        for (vantage, sides) in &mut self.vantages {
            let claim = sides.claim(*vantage, Timestamp::MAX, cx);
            sides.pairs.retain(|pair| !cx.world.flows.hears_back(pair));
            if sides.pairs.is_empty() {
                cx.resolve(claim.key, "the other direction was heard later");
            } else {
                cx.raise(sides.claim(*vantage, Timestamp::MAX, cx).correcting());
            }
        }
    }
}

impl OneDirection {
    fn noticed(&mut self, one_sided: &OneSided, cx: &mut Context<'_>) {
        let (vantage, since) = (one_sided.cited.at.vantage, one_sided.cited.time);
        let sides = self.vantages.entry(vantage).or_insert_with(|| Sides { since, pairs: Vec::new() });
        let is_known = |pair: &OneSided| (pair.from, pair.to) == (one_sided.from, one_sided.to);
        if sides.pairs.iter().any(is_known) || sides.pairs.len() >= MOST_PAIRS {
            return;
        }
        sides.pairs.push(one_sided.clone());
        cx.raise(sides.claim(vantage, cx.now, cx).proved_by([one_sided.cited.clone()]));
    }
}

impl Sides {
    /// What `vantage` shows; if it shows no other direction at all, nothing that it shows until `until` is certain.
    fn claim(&self, vantage: VantageId, until: Timestamp, cx: &Context<'_>) -> Claim {
        let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let view = cx.world.flows.view(vantage);
        let is_all = view.is_none_or(|view| !view.is_two_way);
        let enough = cx.settings.capture.one_direction_segments;
        let segments = if is_all { view.map_or(0, |view| view.segments) } else { enough };
        let mut filter = "tcp.len > 0".to_owned();
        let headline = match (self.pairs.as_slice(), is_all) {
            ([OneSided { from, to, .. }, rest @ ..], false) => {
                let ip = if from.is_ipv4() { "ip" } else { "ipv6" };
                filter = format!("{ip}.src == {from} && {ip}.dst == {to} && tcp.len > 0");
                let more =
                    if rest.is_empty() { String::new() } else { format!(", and so for {} pairs more", rest.len()) };
                format!(
                    "{interface} shows {segments} TCP segments from {from} to {to} and not one frame back{more}: \
                     the answers do not pass here."
                )
            }
            _ => format!(
                "{interface} shows {segments} TCP segments and not one frame of the other direction: answers are not visible from here."
            ),
        };
        let key = Key::new().with("interface", &interface);
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .at(vantage)
            .seen(self.since, segments)
            .number("segments", segments)
            .number("pairs", self.pairs.len())
            .filter(filter)
            .cause("a mirror session that copies one direction only")
            .cause("the answers take another way: another member of the bond, another router")
            .step(
                "Mirror both directions, or capture on the host",
                Command::with("tcpdump -i {} -w FILE", &[&cx.world.device(&interface)]),
            );
        if is_all { claim.doubting(Timestamp::MIN, until) } else { claim }
    }
}
