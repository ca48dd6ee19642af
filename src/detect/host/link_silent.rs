//! HOST003: nothing arrives at an uplink any more, which used to be busy: the node is cut off. No standard; arithmetic of arrivals.

use crate::detect::host::silences::{Kept, Silences, was_steady};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::world::{Derived, Observation, Silence, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "HOST003",
        name: "link-silent",
        levels: &[(Confidence::Likely, Severity::Critical), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("link_silent.md"),
    },
    hears: &[],
    follows: &[Topic::Uplink],
    needs: Needs::Ethernet,
    make: |_| Box::new(LinkSilent::default()),
};

/// How long after the silence its proof is looked for.
const PROOF_FOR: Span = Span::secs(60);
/// How often.
const LOOK_EVERY: Span = Span::secs(5);
/// How far the loss of the carrier may lie from the last frame to belong to it: members of a bond go one after the other.
const CARRIER_WITHIN: Span = Span::secs(10);

#[derive(Default)]
struct LinkSilent {
    silences: Silences,
}

impl Detector for LinkSilent {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Silent(silence)) => self.silent(silence, cx),
            Observation::Derived(Derived::Restored(vantage, since)) => self.silences.restored(*vantage, *since, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.silences.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(vantage) = self.silences.due(cx.now) {
            self.look(vantage, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.silences.vantages().into_iter().for_each(|vantage| self.look(vantage, cx));
    }
}

impl LinkSilent {
    fn silent(&mut self, silence: &Silence, cx: &mut Context<'_>) {
        let is_long = silence.lasted >= Span::secs(cx.settings.link.silence_s);
        // A port that shows LACPDUs is a member of a bond: what it misses is told by LACP001 and HOST004.
        let name = cx.world.vantage(silence.vantage).map(|v| v.name.raw());
        let is_member = cx.world.uplink(silence.vantage).as_deref() != name
            || !cx.world.aggregation.ends(silence.vantage).is_empty();
        if !is_long || is_member {
            return;
        }
        self.silences.keep(silence, cx.now);
        self.look(silence.vantage, cx);
    }

    /// Whether it can be said by now, and how sure it is.
    fn look(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let Some(since) = self.silences.get_mut(vantage).map(|kept| kept.silence.since) else { return };
        if cx.now.since(since) < PROOF_FOR {
            self.silences.wake(vantage, cx.now.after(LOOK_EVERY));
        }
        let Some(Kept { silence, raised, .. }) = self.silences.get_mut(vantage) else { return };
        let (interface, link) = (cx.world.interface(vantage), &cx.settings.link);
        if cx.world.host.link(&interface).is_some_and(|link| link.up == Some(false)) {
            return;
        }
        let cut_off = cx.world.host.cut_off(&interface);
        let is_steady = was_steady(silence, cx);
        // Where frames came now and then only, the silence counts from when the carrier went: it may be back before the next one was due.
        let is_gone = |at: Timestamp| is_steady || cx.now.since(at) >= Span::secs(link.silence_s);
        let is_cut_off = cut_off.is_some_and(|at| at.since(silence.since).abs() <= CARRIER_WITHIN && is_gone(at));
        let questions = cx.world.arrivals.questions();
        let is_asked = questions.asked() >= link.questions && questions.askers() >= link.askers;
        // A lost carrier speaks for itself. Without one, the link must have been busy, and its capture must have gone on.
        if !is_cut_off && (!is_steady || !silence.is_captured) {
            return;
        }
        *raised = Some(claim_key(&interface));
        // Where one station alone was ever heard, its silence may be its own.
        let only = silence.only.filter(|_| !is_cut_off);
        let confidence =
            if is_cut_off || (is_asked && only.is_none()) { Confidence::Confirmed } else { Confidence::Likely };
        let proof = match (is_cut_off, is_asked) {
            (true, _) => "; the carrier went with it".to_owned(),
            (false, true) => {
                format!("; {questions} found no answer")
            }
            (false, false) => String::new(),
        };
        let guests = cx.world.guests();
        let victims = match guests {
            0 => String::new(),
            1 => " with its guest".to_owned(),
            guests => format!(" with its {guests} guests"),
        };
        let follows = match only {
            Some(mac) => format!("{mac}, the only one ever heard there, is silent, or the node{victims} is cut off"),
            None => format!("the node{victims} is cut off"),
        };
        let headline = format!(
            "{interface} receives nothing since {}, after {} frames in the 10 s before{proof}: {follows}.",
            silence.last.time.clock(),
            silence.before
        );
        let device = cx.world.device(&interface);
        let claim = Claim::new(claim_key(&interface), confidence, Severity::Critical, headline)
            .at(vantage)
            .seen(silence.last.time, 1)
            .number("silent_s", cx.now.since(silence.since).as_secs())
            .number("frames_in_10_s_before", silence.before)
            .number("questions_unanswered", questions.asked())
            .number("guests_behind_the_uplink", guests)
            .proved_by([silence.last.clone()])
            .proved_by(questions.first().cloned());
        let claim = only.into_iter().fold(claim, |claim, mac| {
            claim
                .number("only_sender", mac.to_string())
                .cause(format!("{mac} has stopped: nobody else was ever heard at this link, so that it may be well"))
                .step("See whether the other end lives", Command::with("ip neigh show | grep {}", &[&mac]))
        });
        let claim = claim
            .cause("the switch has shut the port (STP002 if a BPDU went before)")
            .cause("a cable, an optic or the switch itself has failed")
            .cause("link aggregation broke on all members (LACP001)")
            .step("See what the bond and its members say", Command::with("cat /proc/net/bonding/{}", &[&device]))
            .step("See carrier and errors of the card", Command::with("ip -s link show {}", &[&device]))
            .step("Look for the port in the switch's log", "");
        cx.raise(claim);
    }
}

fn claim_key(interface: &str) -> Key {
    Key::new().with("interface", interface)
}
