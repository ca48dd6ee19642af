//! HOST004: nothing arrives at one member of a bond any more while the others are busy (Linux bonding; IEEE 802.1AX-2014 clause 6.2: frames are spread).

use crate::detect::host::silences::{Kept, Silences, was_steady};
use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Fact, LinkKind, Vantage, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::world::{Derived, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "HOST004",
        name: "bond-slave-silent",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Likely, Severity::Error)],
        page: include_str!("bond_slave_silent.md"),
    },
    hears: &[],
    follows: &[Topic::Uplink, Topic::Station],
    needs: Needs::Host,
    make: |_| Box::new(BondSlaveSilent::default()),
};

/// How long a member must be silent: the slow rate of LACP, in which at least its frames come.
const LASTS: Span = Span::secs(30);
/// How fresh the frames of the others must be.
const FRESH: Span = Span::secs(2);

/// How far the silence of a member and that of a station may lie apart to be one: stations are asked seldom.
const TOGETHER: Span = Span::secs(3);

#[derive(Default)]
struct BondSlaveSilent {
    silences: Silences,
}

impl Detector for BondSlaveSilent {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Silent(silence)) if bond_of(silence.vantage, cx).is_some() => {
                self.silences.keep(silence, silence.since.after(LASTS).max(cx.now));
            }
            Observation::Derived(Derived::Restored(vantage, since)) => {
                self.silences.restored(*vantage, *since, cx);
                self.silences.wake_idle(cx.now.after(LASTS));
            }
            Observation::Derived(Derived::Lapsed(lapse)) => self.missed(lapse.since, cx),
            Observation::Host(fact) if matches!(fact.what, Fact::Link(_)) => {
                self.silences.wake_idle(cx.now.after(LASTS))
            }
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
}

impl BondSlaveSilent {
    /// A station answers nothing since then: where a member fell silent in that moment, that is why.
    fn missed(&mut self, since: Timestamp, cx: &mut Context<'_>) {
        for vantage in self.silences.vantages() {
            let Some(kept) = self.silences.get_mut(vantage) else { continue };
            if since.since(kept.silence.since).abs() <= TOGETHER && !kept.is_missed {
                kept.is_missed = true;
                if kept.raised.is_some() {
                    self.look(vantage, cx);
                }
            }
        }
    }

    fn look(&mut self, vantage: VantageId, cx: &mut Context<'_>) {
        let Some(Kept { silence, raised, is_missed, .. }) = self.silences.get_mut(vantage) else { return };
        let Some(bond) = bond_of(vantage, cx) else { return };
        let host = &cx.world.host;
        let name = cx.world.vantage(vantage).map(|v| v.name.raw().to_owned()).unwrap_or_default();
        // One that has no carrier, or is switched off, is told by HOST005 or meant so.
        let is_dark = host.link(&name).is_some_and(|l| l.up == Some(false) || l.carrier == Some(false));
        let is_steady = was_steady(silence, cx);
        let alone = |other: VantageId, busy: &Vantage| {
            let (arrivals, lit) = (&cx.world.arrivals, |name| host.dark_until(name).unwrap_or(Timestamp::MIN));
            let heard = arrivals.heard_since(other).filter(|_| bond_of(other, cx).as_deref() == Some(&bond))?;
            let is_fresh = arrivals.latest(other).is_some_and(|at| cx.now.since(at) <= FRESH);
            // While the other was silent, too, or either had no carrier, the silence was no member's own.
            let since = silence.since.max(heard).max(lit(&name)).max(lit(busy.name.raw()));
            (is_fresh && other != vantage).then(|| (since, busy.name.clone(), heard))
        };
        let others = cx.world.vantages().iter().filter_map(|(other, busy)| alone(*other, busy));
        let Some((since, busy, heard)) = others.min().filter(|_| !is_dark && is_steady) else { return };
        if cx.now.since(since) < LASTS {
            self.silences.wake(vantage, since.after(LASTS));
            return;
        }
        if !cx.world.arrivals.is_captured(vantage, cx.now) {
            return;
        }
        let is_lacp_gone = cx
            .world
            .aggregation
            .ends(vantage)
            .iter()
            .any(|end| !host.is_own(end.mac) && !host.is_own(end.actor.system) && end.last <= silence.since);
        let lacp = if is_lacp_gone { ", nor does an LACPDU of the other end" } else { "" };
        let questions = cx.world.arrivals.questions();
        let is_asked = questions.asked() >= cx.settings.link.questions;
        let severity = if is_lacp_gone || is_asked || *is_missed { Severity::Error } else { Severity::Warning };
        let unanswered = if is_asked { format!("; {questions} found no answer") } else { String::new() };
        let goes_on = if heard > silence.since {
            format!("while {busy} is heard again since {}", heard.clock())
        } else {
            format!("while {busy} goes on")
        };
        let headline = format!(
            "Nothing has arrived at {name} of {bond} since {}{lacp}, {goes_on}; {} frames had come in the 10 s before{unanswered}.",
            silence.last.time.clock(),
            silence.before
        );
        let key = Key::new().with("bond", &bond).with("interface", &name);
        *raised = Some(key.clone());
        let claim = Claim::new(key, Confidence::Likely, severity, headline)
            .at(vantage)
            .seen(silence.last.time, 1)
            .number("silent_s", cx.now.since(silence.since).as_secs())
            .number("frames_in_10_s_before", silence.before)
            .number("questions_unanswered", questions.asked())
            .proved_by([silence.last.clone()])
            .filter(filter::interface(&name))
            .cause("the switch has shut this port, or takes it out of the group")
            .cause("a VLAN is not allowed on this member's port")
            .cause("an optic or a fibre that works one way only")
            .step(
                "See what the bond says of each member",
                Command::with("cat /proc/net/bonding/{}", &[&cx.world.device(&bond)]),
            )
            .step(
                "Take the member out until it is mended, if connections fail",
                Command::with("ip link set {} down", &[&cx.world.device(&name)]),
            );
        cx.raise(claim);
    }
}

/// The bond that the vantage is a member of, if frames are spread over its members: a standby hears floods only.
fn bond_of(vantage: VantageId, cx: &Context<'_>) -> Option<String> {
    let host = &cx.world.host;
    let name = cx.world.vantage(vantage)?.name.raw();
    let bond = host.link(host.master(name)?.raw()).filter(|link| link.kind == LinkKind::Bond)?;
    let mode = bond.mode.as_ref()?.raw();
    matches!(mode, "802.3ad" | "balance-xor" | "balance-rr").then(|| bond.name.raw().to_owned())
}
