//! CAP008: the capture was filtered, so that what lives on the hidden protocols cannot be judged (pcap-filter(7)). What is hidden is read from
//! the filter where the capture tells it; a thousand frames of nothing but ARP, or DHCP, were filtered by somebody who does not tell.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Protocol, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::Kind;
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP008",
        name: "filter-hides",
        levels: &[(Confidence::Confirmed, Severity::Info), (Confidence::Likely, Severity::Info)],
        page: include_str!("filter_hides.md"),
    },
    // The first of these is a moment at which to tell it; where there is none, the end is.
    hears: &[Kind::Arp, Kind::Dhcp],
    follows: &[],
    needs: Needs::Frames,
    make: |_| Box::new(FilterHides::default()),
};

/// Frames of one protocol alone that are no chance (findings.md, part J).
const MANY: u64 = 1_000;
/// In less time they may be a storm or a flood, beside which there is room for little else.
const LONG: Span = Span::secs(300);

#[derive(Default)]
struct FilterHides {
    told: Vec<Outside>,
    /// Vantages that were looked at; there may be more later.
    looked: usize,
    first: Option<Timestamp>,
}

impl FilterHides {
    /// Tells of each filter once, however many interfaces were captured with it.
    fn look(&mut self, cx: &mut Context<'_>) {
        if self.looked >= cx.world.vantages().len() {
            return;
        }
        self.looked = cx.world.vantages().len();
        for (id, vantage) in cx.world.vantages() {
            let hidden = vantage.hidden(&Protocol::ALL);
            let Some(filter) =
                vantage.filter.as_ref().filter(|filter| !hidden.is_empty() && !self.told.contains(*filter))
            else {
                continue;
            };
            self.told.push(filter.clone());
            let is_alive = !hidden.iter().any(|protocol| matches!(protocol, Protocol::Arp | Protocol::Tcp));
            let interface = cx.world.interface(*id);
            let others =
                cx.world.vantages().iter().filter(|(v, about)| v != id && about.filter.as_ref() == Some(filter));
            let of = match others.count() {
                0 => interface.clone(),
                1 => format!("{interface} and another interface"),
                more => format!("{interface} and {more} more interfaces"),
            };
            let headline = format!(
                "The capture filter '{filter}' of {of} hides {}: {}.",
                listed(&hidden),
                if is_alive { "nothing can be said of that" } else { "who hears and who does not cannot be judged" },
            );
            let claim = claim(*id, &interface, Confidence::Confirmed, headline, cx).number("hidden", listed(&hidden));
            cx.raise(claim);
        }
    }

    /// The capture may have been filtered by somebody who does not tell.
    fn count(&self, cx: &mut Context<'_>) {
        let [(id, vantage)] = cx.world.vantages() else { return };
        if self.first.is_none_or(|first| cx.now.since(first) < LONG) {
            return;
        }
        let tally = cx.world.tally();
        let dhcp = tally.dhcp.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let arp = tally.arp.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let name = match tally.frames {
            frames if frames < MANY || vantage.filter.is_some() => return,
            frames if frames == dhcp => Protocol::Dhcp,
            frames if frames == arp => Protocol::Arp,
            _ => return,
        };
        let interface = cx.world.interface(*id);
        let headline = format!(
            "All {} frames of {interface} are {}, as if a capture filter hid the rest: who hears and who does not cannot be judged.",
            tally.frames,
            name.name(),
        );
        let claim = claim(*id, &interface, Confidence::Likely, headline, cx).number("frames", tally.frames);
        cx.raise(claim);
    }
}

impl Detector for FilterHides {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Packet(packet) = seen else { return };
        self.first.get_or_insert(packet.frame.order);
        self.look(cx);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.look(cx);
        self.count(cx);
    }
}

fn claim(vantage: VantageId, interface: &str, confidence: Confidence, headline: String, cx: &Context<'_>) -> Claim {
    let device = cx.world.device(interface);
    Claim::new(Key::new().with("interface", interface), confidence, Severity::Info, headline)
        .at(vantage)
        .cause("the capture was begun with a filter that was meant for something else")
        .step(
            "Capture again without a filter, or with one that keeps what is hidden",
            Command::with("tcpdump -i {} -w FILE", &[&device]),
        )
}

/// Protocols as a sentence lists them.
fn listed(protocols: &[Protocol]) -> String {
    let names: Vec<&str> = protocols.iter().map(|protocol| protocol.name()).collect();
    match names.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}
