//! A station has fallen silent: it answers nothing of what it must answer, and sends nothing of its own (findings.md 2.8). Whoever gave its
//! address back left by plan; whoever still sends is HOST001's; the way out of a network is ARP003's.

use super::station::{
    is_guest, is_hidden, load_before, loaded, named, own_tap, port, port_word, questions, was_asked_at,
};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Place;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span};
use crate::world::{Derived, DomainId, Lapse, Observation, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "HOST002",
        name: "guest-mute",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("guest_mute.md"),
    },
    hears: &[],
    follows: &[Topic::Station],
    needs: Needs::Ethernet,
    make: |settings| Box::new(GuestMute::new(settings)),
};

/// How long the silence must last (findings.md, HOST002): what is moved or paused for a moment is back by then, and one that does not hear
/// (HOST001) has sent something of its own.
const LASTING: Span = Span::secs(10);
/// Askers, or kinds of questions, that make it certain wherever it is seen.
const MANY: usize = 3;

struct GuestMute {
    patience: Span,
    claimed: BoundedMap<(Mac, DomainId), Key>,
}

impl GuestMute {
    fn new(settings: &Settings) -> Self {
        Self { patience: Span::millis(settings.liveness.patience_ms), claimed: BoundedMap::new(settings.tables.lapses) }
    }

    fn lapsed(&mut self, lapse: &Lapse, cx: &mut Context<'_>) {
        let place = (lapse.mac, lapse.domain);
        if lapse.is_of_own_questions() {
            return;
        }
        if lapse.is_still_sending(self.patience) {
            if let Some(key) = self.claimed.remove(&place) {
                cx.resolve(key, format!("it sent again at {}", lapse.sent.clock()));
            }
            return;
        }
        if lapse.until.since(lapse.since) < LASTING || is_way_out(lapse, cx) || is_hidden(lapse, cx) {
            return;
        }
        let is_certain = was_asked_at(Place::Tap, lapse, cx) || lapse.askers() >= MANY || lapse.kinds() >= MANY;
        let (confidence, severity) =
            if is_certain { (Confidence::Confirmed, Severity::Error) } else { (Confidence::Likely, Severity::Warning) };
        let domain = cx.world.domains.name(lapse.domain);
        let key = self.claimed.entry(&place, || Key::new().with("domain", domain).with("mac", lapse.mac)).clone();
        let mut cited = lapse.cited.clone();
        cited.sort_by_key(|c| c.time);
        let claim = Claim::new(key, confidence, severity, headline(lapse, cx))
            .seen(lapse.since, lapse.count())
            .until(lapse.until)
            .number("last_sent", lapse.sent.clock())
            .number("questions", lapse.count())
            .number("askers", lapse.askers())
            .number("kinds", lapse.kinds())
            .proved_by(cited)
            .filter(format!("eth.addr == {}", lapse.mac));
        let claim = lapse.places.first().copied().into_iter().fold(claim, Claim::at);
        let claim = loaded(claim, lapse);
        let claim = match lapse.address {
            Some(address) => claim.number("address", address.to_string()),
            None => claim,
        };
        cx.raise(told(claim, lapse, cx));
    }
}

impl Detector for GuestMute {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Lapsed(lapse)) => self.lapsed(lapse, cx),
            Observation::Derived(Derived::Revived(revived)) => {
                if let Some(key) = self.claimed.remove(&(revived.mac, revived.domain)) {
                    cx.resolve(key, format!("it answered at {}", revived.proof.time.clock()));
                }
            }
            _ => {}
        }
    }
}

/// Whether the station is the way out of its network: that it is silent is told with those who need it.
fn is_way_out(lapse: &Lapse, cx: &Context<'_>) -> bool {
    let world = cx.world;
    let is_router = match lapse.address {
        Some(std::net::IpAddr::V4(ip)) => world.addresses.is_router(ip, lapse.domain),
        _ => false,
    };
    is_router || world.stations.station(lapse.mac, lapse.domain, &world.domains).is_some_and(|s| s.is_forwarding)
}

fn headline(lapse: &Lapse, cx: &Context<'_>) -> String {
    let by = match lapse.askers() {
        1 => "one station".to_owned(),
        askers => format!("{askers} stations"),
    };
    format!(
        "{} sent its last frame at {}; {} questions by {by} since {} are unanswered ({}){}.",
        named(lapse, cx),
        lapse.sent.clock(),
        lapse.count(),
        lapse.since.clock(),
        questions(lapse),
        load_before(lapse),
    )
}

/// The claim with causes and remedies, by what kind of station it is.
fn told(claim: Claim, lapse: &Lapse, cx: &Context<'_>) -> Claim {
    let own = own_tap(lapse, cx);
    let claim = if was_asked_at(Place::Tap, lapse, cx) || was_asked_at(Place::Guest, lapse, cx) {
        claim
    } else {
        claim.assuming("whether the questions reach its own port is not known from here; a capture there would tell")
    };
    if !is_guest(lapse.mac, cx) {
        return claim
            .cause("it is switched off, or has crashed")
            .cause("its port or cable is down, or a switch has shut the port")
            .step(
                "See which switch port it was last seen at, and whether that is up",
                Command::with("bridge fdb show | grep {}", &[&lapse.mac]),
            )
            .step("Look at its console", "");
    }
    let port = port_word(port(lapse, cx).or(own).as_deref(), cx);
    claim
        .cause("it has crashed or hangs: the console tells")
        .cause("it is paused, by an operator or because its disk has no space left or is gone")
        .cause("it was shut down, and whoever asks has not been told")
        .cause("its tap is down, removed from the bridge, or its host is cut off")
        .step("See whether it runs, and why not", "virsh domstate --reason GUEST")
        .step("Read its console", "openstack console log show GUEST")
        .step(
            "See whether its port is up and in its bridge",
            Command::with("ip -d link show {}; bridge link show dev {}", &[&port, &port]),
        )
        .step(
            "If it was moved, see whether it is announced from its new host",
            Command::with("tcpdump -nei any 'ether src {} and (arp or rarp)'", &[&lapse.mac]),
        )
}
