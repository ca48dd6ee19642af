//! How findings speak of a station that leaves unanswered what it is asked: its name, the questions, its port. Text of this family only.

use std::fmt::Write;
use std::net::IpAddr;

use crate::detect::Context;
use crate::event::{Place, Protocol, VantageId};
use crate::finding::Claim;
use crate::value::Mac;
use crate::world::{Lapse, Load, Stimulus};

/// By what a station mostly proves that it hears.
const PROOFS: [Protocol; 2] = [Protocol::Arp, Protocol::Tcp];

/// How a sentence names a station: `instance fa:16:3e:12:34:56 (10.20.0.15)`.
pub(super) fn named(lapse: &Lapse, cx: &Context<'_>) -> String {
    let kind = if is_guest(lapse.mac, cx) { "Instance" } else { "Station" };
    let address = lapse.address.map(|ip| format!(" ({ip})")).unwrap_or_default();
    format!("{kind} {}{address}", lapse.mac)
}

pub(super) fn is_guest(mac: Mac, cx: &Context<'_>) -> bool {
    cx.world.host.guest_port(mac).is_some() || cx.settings.stp.is_guest_prefix(mac)
}

/// What stays unanswered, in words: `ARP ×9, TCP ×14`.
pub(super) fn questions(lapse: &Lapse) -> String {
    let mut words = String::new();
    for what in Stimulus::ALL {
        let count = lapse.count_of(what);
        if count > 0 {
            let separator = if words.is_empty() { "" } else { ", " };
            let _ = write!(words, "{separator}{what} ×{count}");
        }
    }
    words
}

/// The host's end of the station's interface, where it is known: told by the host, or a vantage at which questions to it were seen.
pub(super) fn port(lapse: &Lapse, cx: &Context<'_>) -> Option<String> {
    cx.world.host.guest_port(lapse.mac).or_else(|| {
        let at_tap = lapse.places.iter().find(|id| place(**id, cx) == Place::Tap)?;
        Some(cx.world.vantage(*at_tap)?.name.to_string())
    })
}

/// What stands for the station's port in a command: its name where it is known to be one.
pub(super) fn port_word(port: Option<&str>, cx: &Context<'_>) -> String {
    port.and_then(|port| cx.world.known_device(port)).unwrap_or("TAP").to_owned()
}

/// The captured tap that belongs to the station: by the host's word, or because all that passes there is to it or from it.
pub(super) fn own_tap(lapse: &Lapse, cx: &Context<'_>) -> Option<String> {
    let port = cx.world.host.guest_port(lapse.mac);
    let is_own = |id, name: &str| port.as_deref() == Some(name) || cx.world.stations.is_only_end(id, lapse.mac);
    let mut taps = cx.world.vantages().iter().filter(|(_, vantage)| vantage.place == Place::Tap);
    taps.find(|(id, vantage)| is_own(*id, vantage.name.raw())).map(|(_, vantage)| vantage.name.to_string())
}

/// Whether questions to the station were seen at a place of this kind.
pub(super) fn was_asked_at(wanted: Place, lapse: &Lapse, cx: &Context<'_>) -> bool {
    lapse.places.iter().any(|id| place(*id, cx) == wanted)
}

/// Whether nobody can tell what the station answers: the filter of a capture in which it was asked hides something by which it might prove that it
/// hears, or only guests of its own host asked it, and that was seen where their frames leave the host.
pub(super) fn is_hidden(lapse: &Lapse, cx: &Context<'_>) -> bool {
    let (stations, domains) = (&cx.world.stations, &cx.world.domains);
    let hides = |id: &VantageId| cx.world.vantage(*id).is_some_and(|v| !v.hidden(&PROOFS).is_empty());
    let goes_past = |asker: Mac| lapse.places.iter().all(|id| cx.world.goes_past(*id, asker, lapse.mac));
    let is_inside = |from: IpAddr| stations.owner(from, lapse.domain, domains).is_some_and(goes_past);
    lapse.places.iter().any(hides) || lapse.unanswered.iter().all(|asked| is_inside(asked.from))
}

fn place(id: VantageId, cx: &Context<'_>) -> Place {
    cx.world.vantage(id).map_or(Place::Unknown, |v| v.place)
}

/// What was sent to the station just before it fell silent, where that was much: context, and no cause (findings.md, R9).
pub(super) fn load_before(lapse: &Lapse) -> String {
    match lapse.load {
        load if load.is_peak => format!("; {} were sent to it just before", rate(load.second.max(load.ten))),
        _ => String::new(),
    }
}

/// The claim with what was sent to the station before it fell silent.
pub(super) fn loaded(claim: Claim, lapse: &Lapse) -> Claim {
    if !lapse.load.is_any() {
        return claim;
    }
    let Load { second, ten, minute, fastest, fastest_at, .. } = lapse.load;
    let mega = |bits: f64| bits / 1e6;
    claim
        .number("load_1s_mbit_s", mega(second))
        .number("load_10s_mbit_s", mega(ten))
        .number("load_60s_mbit_s", mega(minute))
        .number("load_fastest_mbit_s", mega(fastest))
        .number("load_fastest_at", fastest_at.clock())
}

/// Bits a second for a person.
fn rate(bits: f64) -> String {
    if bits >= 1e9 { format!("{:.1} Gbit/s", bits / 1e9) } else { format!("{:.0} Mbit/s", bits / 1e6) }
}
