//! LACP004: one end of an aggregated link speaks, and the other says that it hears nobody (IEEE 802.1AX-2014 clause 6.4.2.3: partner of a LACPDU).

use crate::detect::lacp::member::{claim_key, is_ours, name};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Rule, Severity};
use crate::value::Span;
use crate::wire::Kind;
use crate::world::{End, Observation};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "LACP004",
        name: "lacp-one-way",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("lacp_one_way.md"),
    },
    hears: &[Kind::Lacp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(LacpOneWay::default()),
};

/// LACPDUs of each end that must have been seen.
const ENOUGH: u64 = 3;
/// The first moments of a link, or of a partner that is back, in which nobody has heard anybody yet.
const START: Span = Span::secs(3);
/// Members of which it was said.
const MOST: usize = 1_024;

#[derive(Default)]
struct LacpOneWay {
    raised: Vec<VantageId>,
}

impl Detector for LacpOneWay {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let vantage = seen.frame.at.vantage;
        let [a, b] = cx.world.aggregation.ends(vantage) else { return };
        let deaf = [(a, b), (b, a)].into_iter().find(|(deaf, heard)| is_deaf_to(deaf, heard));
        match (deaf, self.raised.iter().position(|v| *v == vantage)) {
            (Some((deaf, heard)), None) if self.raised.len() < MOST => {
                self.raised.push(vantage);
                claim(vantage, deaf, heard, cx);
            }
            (None, Some(at)) if a.unmatched == 0 && b.unmatched == 0 => {
                self.raised.remove(at);
                cx.resolve(claim_key(vantage, cx), "both ends name each other");
            }
            _ => {}
        }
    }
}

/// Whether `deaf` keeps naming somebody else, or nobody, while `heard` speaks.
fn is_deaf_to(deaf: &End, heard: &End) -> bool {
    let begun = deaf.first.max(heard.first);
    deaf.unmatched >= ENOUGH
        && heard.run >= ENOUGH
        && heard.last.since(begun) >= START
        && deaf.last.since(begun.max(deaf.unmatched_since)) >= START
        // Fallen silent is another matter: who is named must still be speaking.
        && deaf.last.since(heard.last) < START
}

fn claim(vantage: VantageId, deaf: &End, heard: &End, cx: &mut Context<'_>) {
    let interface = name(vantage, cx);
    let named = if deaf.partner.system == crate::value::Mac::ZERO {
        "names no partner".to_owned()
    } else {
        format!("names {} as its partner", deaf.partner.system)
    };
    let who = if is_ours(heard, cx) { " (this host)" } else { "" };
    let headline = format!(
        "{interface}: {} does not hear {}{who}: it {named} in its last {} LACPDUs, although {} were sent.",
        deaf.actor.system, heard.actor.system, deaf.unmatched, heard.count
    );
    let claim = Claim::new(claim_key(vantage, cx), Confidence::Confirmed, Severity::Error, headline)
        .at(vantage)
        .seen(deaf.first.max(heard.first), deaf.unmatched)
        .number("unheard_lacpdus", heard.count)
        .number("deaf", deaf.actor.system.to_string())
        .number("unheard", heard.actor.system.to_string())
        .proved_by([deaf.cited.clone(), heard.cited.clone()])
        .filter(format!("slow && eth.src == {}", deaf.mac))
        .cause("a fibre or an optic that works one way only")
        .cause("a filter on the way that drops LACPDUs of one direction")
        .cause("a cable in the wrong port: each end hears a third")
        .step(
            "Compare the light that both ends receive",
            Command::with("ethtool -m {}", &[&cx.world.device(&interface)]),
        )
        .step("See whom the switch names at this port", "show lacp neighbor");
    cx.raise(claim);
}
