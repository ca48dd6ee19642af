//! LACP002: members of one bond talk to different systems, or to different groups of one system: only some can carry traffic (IEEE 802.1AX-2014 clause 6.3.7).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Observation, is_same_end};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LACP002",
        name: "lacp-mismatch",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("lacp_mismatch.md"),
    },
    hears: &[Kind::Lacp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(LacpMismatch::default()),
};

/// For how long it must be so: a switch that takes a port into its group needs a moment.
const LASTS: Span = Span::secs(10);
/// Systems that are followed.
const MOST: usize = 64;

#[derive(Default)]
struct LacpMismatch {
    since: BTreeMap<Mac, (Timestamp, Option<Key>)>,
    deadlines: Deadlines<Mac>,
}

/// One member as the system at its near end has it.
struct Member {
    vantage: VantageId,
    partner: Mac,
    key: u16,
    is_individual: bool,
    cited: Cited,
}

impl Detector for LacpMismatch {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen
            && let Some(lacp) = seen.frame.layers.lacp()
        {
            self.look(lacp.actor().system, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(system) = self.deadlines.pop(cx.now) {
            self.look(system, cx);
        }
    }
}

impl LacpMismatch {
    fn look(&mut self, system: Mac, cx: &mut Context<'_>) {
        let members = members(system, cx);
        let Some(trouble) = trouble(&members) else {
            if let Some((_, Some(key))) = self.since.remove(&system) {
                cx.resolve(key, "all members have one partner");
            }
            return;
        };
        if self.since.len() >= MOST && !self.since.contains_key(&system) {
            return;
        }
        let (since, raised) = self.since.entry(system).or_insert((cx.now, None));
        if cx.now.since(*since) < LASTS || raised.is_some() {
            if raised.is_none() {
                self.deadlines.set(system, since.after(LASTS));
            }
            return;
        }
        let interface = |m: &Member| cx.world.vantage(m.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let bond = members.first().and_then(|m| cx.world.uplink(m.vantage)).filter(|_| members.len() > 1);
        let told: Vec<String> =
            members.iter().map(|m| format!("{} with {} key {}", interface(m), m.partner, m.key)).collect();
        let key = Key::new().with("bond", bond.unwrap_or_else(|| system.to_string())).with("system", system);
        *raised = Some(key.clone());
        let headline = format!(
            "The members of one bond do not match, {trouble}: {}. Only some of them can carry traffic.",
            told.join(", ")
        );
        let mut claim = Claim::new(key, Confidence::Confirmed, Severity::Error, headline)
            .seen(*since, members.len() as u64)
            .number("members", members.len())
            .proved_by(members.iter().map(|m| m.cited.clone()))
            .filter("lacp.partner.sysid")
            .cause("the two switches are not one to LACP (no MLAG or vPC)")
            .cause("the ports are in different groups on the switch, or have different speeds")
            .step("Put the ports into one group on the switch", "show etherchannel summary")
            .step("See the aggregator of each member here", "cat /proc/net/bonding/bond0");
        if let Some(first) = members.first() {
            claim = claim.at(first.vantage);
        }
        cx.raise(claim);
    }
}

/// The members at whose near end `system` speaks, each with the far end that it hears.
fn members(system: Mac, cx: &Context<'_>) -> Vec<Member> {
    let of = |(vantage, ends): (VantageId, &[crate::world::End])| {
        let near = ends.iter().find(|e| e.actor.system == system)?;
        let far = ends.iter().find(|e| is_same_end(&e.actor, &near.partner) && is_same_end(&e.partner, &near.actor))?;
        // A port that shows more than two ends is a mirror of several links.
        (ends.len() == 2 && far.actor.system != system).then(|| Member {
            vantage,
            partner: far.actor.system,
            key: far.actor.key,
            is_individual: !far.actor.is_aggregatable() && near.actor.is_aggregatable(),
            cited: far.cited.clone(),
        })
    };
    cx.world.aggregation.ports().filter_map(of).collect()
}

/// What does not match, in words.
fn trouble(members: &[Member]) -> Option<&'static str> {
    let (first, rest) = members.split_first()?;
    if rest.iter().any(|m| m.partner != first.partner) {
        Some("they talk to different systems")
    } else if rest.iter().any(|m| m.key != first.key) {
        Some("they talk to different groups of one system")
    } else if members.iter().any(|m| m.is_individual) {
        Some("a partner says that its port stands alone")
    } else {
        None
    }
}
