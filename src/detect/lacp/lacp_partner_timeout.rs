//! LACP001: an end of an aggregated link is not heard any more, and the other takes the link out (IEEE 802.1AX-2014 clause 6.4.4: 3 s or 90 s).

use crate::detect::lacp::member::{claim_key, is_ours, name};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Confidence, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::{End, Observation};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LACP001",
        name: "lacp-partner-timeout",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("lacp_partner_timeout.md"),
    },
    hears: &[Kind::Lacp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(LacpPartnerTimeout::default()),
};

/// Short_Timeout_Time and Long_Timeout_Time (clause 6.4.4), and a second for a switch that is late; and the first without that second.
const FAST: Span = Span::secs(4);
const SHORT: Span = Span::secs(3);
const SLOW: Span = Span::secs(91);
/// LACPDUs that make an end regular.
const REGULAR: u64 = 3;
/// Seconds since in which a frame must have been seen anywhere: else the capture paused.
const SECONDS_OF_LIFE: usize = 2;

#[derive(Default)]
struct LacpPartnerTimeout {
    /// Members, and the address of the port that is missed there.
    open: Vec<(VantageId, Mac)>,
    deadlines: Deadlines<VantageId>,
}

impl Detector for LacpPartnerTimeout {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            let vantage = seen.frame.at.vantage;
            self.back(vantage, cx);
            self.told(vantage, cx);
            if self.deadlines.of(&vantage).is_none() {
                self.deadlines.set(vantage, cx.now.after(FAST));
            }
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

impl LacpPartnerTimeout {
    /// Who was missed is heard again, and both are in step.
    fn back(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let (ends, now) = (cx.world.aggregation.ends(vantage), cx.now);
        let is_back = |(v, mac): &(VantageId, Mac)| {
            let end = ends.iter().find(|end| end.mac == *mac);
            *v == vantage
                && end.is_some_and(|e| e.last == now && e.actor.is_synchronised() && e.actor.is_distributing())
        };
        if self.open.iter().any(is_back) {
            cx.resolve(claim_key(vantage, cx), "its LACPDUs come again, in step, collecting and distributing");
            self.open.retain(|open| !is_back(open));
        }
    }

    /// An end says itself that it does not hear the other any more.
    fn told(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let (ends, now) = (cx.world.aggregation.ends(vantage), cx.now);
        for end in ends.iter().filter(|e| e.last == now && e.was_matched) {
            let missed = ends.iter().find(|other| other.mac != end.mac && other.was_matched);
            let (Some(missed), true) = (missed, end.actor.is_expired() || end.actor.is_defaulted()) else { continue };
            // A link that comes up begins so, and who has just spoken is not missed: no timer of the standard is that short.
            let is_new = dark_until(vantage, cx).is_some_and(|until| now.since(until) < FAST);
            if is_new || now.since(missed.last) < SHORT {
                continue;
            }
            self.claim(vantage, missed, Some(end), cx);
        }
    }

    fn look(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let ends = cx.world.aggregation.ends(vantage);
        let mut next = None::<Timestamp>;
        for end in ends.iter().filter(|end| end.count >= REGULAR && end.was_matched) {
            // The wish of the one that hears rules the one that speaks.
            let hearer = ends.iter().find(|other| other.mac != end.mac && other.was_matched);
            let Some(hearer) = hearer else { continue };
            let patience = if hearer.actor.is_fast() { FAST } else { SLOW };
            // Who is back is given as long again.
            let due = dark_until(vantage, cx).map_or(end.last, |until| until.max(end.last)).after(patience);
            if due > cx.now {
                next = Some(next.map_or(due, |n| n.min(due)));
                continue;
            }
            let arrivals = &cx.world.arrivals;
            let is_alive =
                arrivals.is_captured(vantage, cx.now) && arrivals.seconds_of_life(end.last, cx.now) >= SECONDS_OF_LIFE;
            let interface = cx.world.vantage(vantage).map(|v| v.name.raw().to_owned()).unwrap_or_default();
            let is_switched_off = cx.world.host.link(&interface).is_some_and(|link| link.up == Some(false));
            if is_alive && !is_switched_off && !is_ours(end, cx) {
                // What the other end said last may be that it has given up.
                let has_given_up = hearer.last > end.last && (hearer.actor.is_expired() || hearer.actor.is_defaulted());
                self.claim(vantage, end, has_given_up.then_some(hearer), cx);
                // One of two: who fell silent first explains the other.
                break;
            }
        }
        if let Some(next) = next {
            self.deadlines.set(vantage, next);
        }
    }

    fn claim(&mut self, vantage: VantageId, missed: &End, teller: Option<&End>, cx: &mut Context<'_>) {
        let known = self.open.iter().find(|(v, ..)| *v == vantage);
        let is_known = known.is_some();
        // Of two that miss each other the first explains the second.
        if known.is_some_and(|(_, mac)| teller.is_none() || *mac != missed.mac) {
            return;
        }
        if !is_known {
            self.open.push((vantage, missed.mac));
        }
        let interface = name(vantage, cx);
        let quiet = cx.now.since(missed.last);
        let (confidence, effect) = match teller {
            Some(end) if end.actor.is_defaulted() => (
                Confidence::Confirmed,
                format!("; {} has given it up (defaulted) and takes the member out", end.actor.system),
            ),
            Some(end) => (Confidence::Confirmed, format!("; {} says that it has expired", end.actor.system)),
            None => (Confidence::Likely, ": longer than the other end waits".to_owned()),
        };
        let headline = format!(
            "{interface}: no LACPDU of {} (port {}) for {quiet}{effect}.",
            missed.actor.system, missed.actor.port
        );
        let is_dark = cx.world.host.link(&interface).is_some_and(|link| link.carrier == Some(false));
        let mut claim = Claim::new(claim_key(vantage, cx), confidence, Severity::Error, headline)
            .at(vantage)
            .seen(missed.cited.time, missed.count)
            .number("silent_s", quiet.as_secs())
            .number("system", missed.actor.system.to_string())
            .number("port", missed.actor.port)
            .proved_by([missed.cited.clone()])
            .proved_by(teller.map(|end| end.cited.clone()))
            .filter(format!("slow && eth.src == {}", missed.mac))
            .cause("the switch has shut the port (STP002 if a BPDU went before), or was restarted")
            .cause("a fibre that works one way only")
            .step("See what the switch says of its end", "show lacp neighbor")
            .step("See what this end says", "cat /proc/net/bonding/bond0");
        if let Some(bond) = cx.world.host.master(&interface).filter(|_| is_dark) {
            claim = claim.number("dark_member_of", bond.to_string());
        }
        cx.raise(claim);
    }
}

/// When the member came back, if it was switched off or without a carrier, as the host tells.
fn dark_until(vantage: VantageId, cx: &Context<'_>) -> Option<Timestamp> {
    let name = cx.world.vantage(vantage)?.name.raw();
    let is_back = cx.world.host.link(name).is_some_and(|link| link.carrier != Some(false) && link.up != Some(false));
    cx.world.host.dark_until(name).filter(|_| is_back)
}
