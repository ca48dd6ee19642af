//! LACP003: a bond speaks LACP on a member and nobody answers (IEEE 802.1AX-2014 clause 6.4.4: the slow rate is 30 s).

use std::collections::BTreeMap;

use crate::detect::lacp::member::{claim_key, is_ours, name};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Confidence, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::Kind;
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LACP003",
        name: "lacp-absent",
        levels: &[(Confidence::Likely, Severity::Warning)],
        page: include_str!("lacp_absent.md"),
    },
    hears: &[Kind::Lacp],
    follows: &[],
    needs: Needs::Host,
    make: |_| Box::new(LacpAbsent::default()),
};

/// Three LACPDUs at the slow rate, and a little.
const PATIENCE: Span = Span::secs(100);

#[derive(Default)]
struct LacpAbsent {
    raised: BTreeMap<VantageId, bool>,
    deadlines: Deadlines<VantageId>,
}

impl Detector for LacpAbsent {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let vantage = seen.frame.at.vantage;
        let is_new = !self.raised.contains_key(&vantage);
        let is_raised = self.raised.entry(vantage).or_insert(false);
        let is_heard = cx.world.aggregation.ends(vantage).iter().any(|end| !is_ours(end, cx));
        if is_heard && std::mem::take(is_raised) {
            cx.resolve(claim_key(vantage, cx), "the other end answers");
        }
        if is_new {
            self.deadlines.set(vantage, cx.now.after(PATIENCE));
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(vantage) = self.deadlines.pop(cx.now) {
            self.look(vantage, cx);
        }
    }
}

impl LacpAbsent {
    fn look(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let ends = cx.world.aggregation.ends(vantage);
        let interface = name(vantage, cx);
        let (host, Some(uplink)) = (&cx.world.host, cx.world.uplink(vantage)) else { return };
        let speaks_lacp = host.link(&uplink).and_then(|l| l.mode.as_ref()).is_some_and(|mode| mode.raw() == "802.3ad");
        let [own] = ends else { return };
        let goes_on = cx.now.since(own.last) < Span::secs(60) && own.count > 2;
        if !speaks_lacp || !is_ours(own, cx) || !goes_on {
            return;
        }
        self.raised.insert(vantage, true);
        let headline = format!(
            "{uplink} speaks LACP on {interface} ({} LACPDUs since {}), and the other end sends none.",
            own.count,
            own.first.clock()
        );
        let claim = Claim::new(claim_key(vantage, cx), Confidence::Likely, Severity::Warning, headline)
            .at(vantage)
            .seen(own.first, own.count)
            .number("own_lacpdus", own.count)
            .number("seconds", cx.now.since(own.first).as_secs())
            .proved_by([own.cited.clone()])
            .filter("slow")
            .cause("the switch's group is static (mode on), or the port is in none")
            .cause("the port's LACP is passive and its program has stopped")
            .step("Let the switch speak LACP", "channel-group 1 mode active");
        cx.raise(claim);
    }
}
