//! HOST005: a card, or every member of a bond, has no carrier any more, as the kernel tells (rtnetlink(7), IFLA_CARRIER). No packet shows it.

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Fact, Link, LinkKind};
use crate::finding::{Claim, Command, Confidence, IFACE, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "HOST005",
        name: "carrier-lost",
        levels: &[(Confidence::Confirmed, Severity::Error), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("carrier_lost.md"),
    },
    hears: &[],
    follows: &[],
    needs: Needs::Host,
    make: |_| Box::new(CarrierLost::default()),
};

/// Uplinks that are followed: more than a host has.
const MOST: usize = 1_024;
/// Losses within this span are one flapping link.
const FLAPS: Span = Span::secs(60);

#[derive(Default)]
struct CarrierLost {
    uplinks: BTreeMap<String, Uplink>,
}

#[derive(Default)]
struct Uplink {
    /// Losses of the last minute.
    losses: Vec<Timestamp>,
    is_raised: bool,
}

impl Detector for CarrierLost {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Host(fact) = seen
            && let Fact::Link(link) = &fact.what
            && (matches!(link.kind, LinkKind::Nic | LinkKind::Bond) || bond_of(link, cx).is_some())
        {
            self.look(link, cx);
        }
    }
}

impl CarrierLost {
    /// A card has changed: what that means for the uplink that it is part of.
    fn look(&mut self, link: &Link, cx: &mut Context<'_>) {
        let host = &cx.world.host;
        let name = bond_of(link, cx).unwrap_or_else(|| link.name.raw().to_owned());
        if self.uplinks.len() >= MOST && !self.uplinks.contains_key(&name) {
            return;
        }
        let members = host.members(&name);
        let parts: Vec<&str> =
            if members.is_empty() { vec![name.as_str()] } else { members.iter().map(|m| m.name.raw()).collect() };
        let lost: Vec<(&str, Timestamp)> = parts.iter().filter_map(|p| Some((*p, host.carrier_lost(p)?))).collect();
        let uplink = self.uplinks.entry(name.clone()).or_default();
        let key = Key::new().with("interface", &name);
        let Some(latest) = lost.iter().map(|(_, at)| *at).max() else {
            if std::mem::take(&mut uplink.is_raised) {
                cx.resolve(key, "the carrier is back");
            }
            return;
        };
        if uplink.losses.last().is_none_or(|last| *last < latest) {
            uplink.losses.retain(|at| latest.since(*at) <= FLAPS);
            uplink.losses.push(latest);
        }
        uplink.is_raised = true;
        let (is_all, flaps) = (host.cut_off(&name).is_some(), uplink.losses.len());
        let names: Vec<&str> = lost.iter().map(|(part, _)| *part).collect();
        let first = lost.iter().map(|(_, at)| *at).min().unwrap_or(latest);
        let headline = match (is_all, members.is_empty()) {
            (true, true) => format!("{name} lost its carrier at {}.", latest.clock()),
            (true, false) => {
                format!("{name} lost its carrier at {}: every member has ({}).", latest.clock(), names.join(", "))
            }
            (false, _) => format!(
                "{} of {name} lost its carrier at {}; {} of {} members carry on.",
                names.join(", "),
                latest.clock(),
                parts.len().saturating_sub(lost.len()),
                parts.len()
            ),
        };
        let severity = if is_all { Severity::Critical } else { Severity::Error };
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .behind(name.clone())
            .seen(first, flaps as u64)
            .number("losses_in_60_s", flaps)
            .number("members", parts.len())
            .number("members_without_carrier", lost.len())
            .cause("the switch has shut the port: a protection (STP002 if a BPDU went before), or an operator")
            .cause("a cable or an optic has failed or was pulled")
            .cause("the driver or the card has failed: see the kernel's log")
            .step("Look for the port in the switch's log first: a port that was shut looks like a pulled cable", "")
            .step(
                "See what the kernel says of the card",
                Command::with("dmesg | grep -w {}", &[&names.first().map_or(IFACE, |name| cx.world.device(name))]),
            )
            .step("See each member", Command::with("cat /proc/net/bonding/{}", &[&cx.world.device(&name)]));
        cx.raise(claim);
    }
}

/// The bond that the device is a member of.
fn bond_of(link: &Link, cx: &Context<'_>) -> Option<String> {
    let master = link.master.as_ref()?.raw();
    cx.world.host.link(master).filter(|l| l.kind == LinkKind::Bond).map(|_| master.to_owned())
}
