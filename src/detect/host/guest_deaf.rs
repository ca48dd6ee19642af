//! A station sends and does not hear: what it must answer stays unanswered, by kind and by asker (findings.md 2.8). Load before is told
//! and never blamed; whoever sends nothing either is HOST002's.

use super::station::{
    is_guest, is_hidden, load_before, loaded, named, own_tap, port, port_word, questions, was_asked_at,
};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Place;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span};
use crate::world::{Derived, DomainId, Lapse, Observation, Proof, Revived, Stimulus, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "HOST001",
        name: "guest-deaf",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("guest_deaf.md"),
    },
    hears: &[],
    follows: &[Topic::Station],
    needs: Needs::Ethernet,
    make: |settings| Box::new(GuestDeaf::new(settings)),
};

struct GuestDeaf {
    patience: Span,
    certain_kinds: usize,
    claimed: BoundedMap<(Mac, DomainId), Key>,
}

impl GuestDeaf {
    fn new(settings: &Settings) -> Self {
        Self {
            patience: Span::millis(settings.liveness.patience_ms),
            certain_kinds: settings.liveness.certain_kinds,
            claimed: BoundedMap::new(settings.tables.lapses),
        }
    }

    fn lapsed(&mut self, lapse: &Lapse, cx: &mut Context<'_>) {
        if !lapse.is_still_sending(self.patience) || is_hidden(lapse, cx) {
            return;
        }
        let lost = own_tap(lapse, cx).filter(|_| !was_asked_at(Place::Tap, lapse, cx));
        if lapse.is_of_own_questions() && lost.is_none() {
            return;
        }
        // A filter drops TCP and echo, never what belongs to the link: without that, frames at the very port prove nothing.
        let is_of_the_link = Stimulus::ALL.iter().any(|what| what.is_of_the_link() && lapse.count_of(*what) > 0);
        let was_delivered = was_asked_at(Place::Tap, lapse, cx);
        let is_certain = is_of_the_link && (was_delivered || lapse.kinds() >= self.certain_kinds);
        let confidence = if is_certain { Confidence::Confirmed } else { Confidence::Likely };
        let domain = cx.world.domains.name(lapse.domain);
        let fresh = || Key::new().with("domain", domain).with("mac", lapse.mac);
        let key = self.claimed.entry(&(lapse.mac, lapse.domain), fresh).clone();
        let mut cited = lapse.cited.clone();
        cited.sort_by_key(|c| c.time);
        let claim = Claim::new(key, confidence, Severity::Error, headline(lapse, cx))
            .seen(lapse.since, lapse.count())
            .until(lapse.until)
            .number("first_unanswered", lapse.since.clock())
            .number("last_sent", lapse.sent.clock())
            .number("askers", lapse.askers())
            .proved_by(cited)
            .filter(format!("eth.addr == {}", lapse.mac));
        let claim = lapse.places.first().copied().into_iter().fold(claim, Claim::at);
        let claim = measured(claim, lapse, cx);
        cx.raise(told(claim, lapse, cx));
    }

    fn revived(&mut self, revived: &Revived, cx: &mut Context<'_>) {
        if let Some(key) = self.claimed.remove(&(revived.mac, revived.domain)) {
            cx.resolve(key, format!("it proved at {} that it hears", revived.proof.time.clock()));
        }
    }
}

impl Detector for GuestDeaf {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Lapsed(lapse)) => self.lapsed(lapse, cx),
            Observation::Derived(Derived::Revived(revived)) => self.revived(revived, cx),
            _ => {}
        }
    }
}

fn headline(lapse: &Lapse, cx: &Context<'_>) -> String {
    if let Some(tap) = own_tap(lapse, cx).filter(|_| lapse.is_of_own_questions()) {
        let (who, since, count) = (named(lapse, cx), lapse.since.clock(), lapse.count());
        return format!(
            "{who} asks by ARP again and again since {since}: it was answered {count} times, and none of the answers came to its port {tap}."
        );
    }
    let when = match lapse.proof {
        Some(proof) => format!(
            "since between {} (last proof that it hears) and {} (first frame that it left unanswered)",
            proof.time.clock(),
            lapse.since.clock()
        ),
        None => format!("since {} or earlier: nothing here proves that it ever did", lapse.since.clock()),
    };
    let load = load_before(lapse);
    format!("{} still sends but hears nothing {when}: {} unanswered{load}.", named(lapse, cx), questions(lapse))
}

/// The claim with what was measured: address, last proof, load before.
fn measured(claim: Claim, lapse: &Lapse, cx: &Context<'_>) -> Claim {
    let claim = match lapse.address {
        Some(address) => claim.number("address", address.to_string()),
        None => claim,
    };
    let claim = match lapse.proof {
        Some(Proof { time, at }) => {
            let place = cx.world.vantage(at.vantage).map(|v| v.name.to_string()).unwrap_or_default();
            claim.number("last_proof", time.clock()).number("last_proof_frame", format!("{place}#{}", at.number))
        }
        None => claim,
    };
    loaded(claim, lapse)
}

/// The claim with causes and remedies: of a guest's network card, or of any station.
fn told(claim: Claim, lapse: &Lapse, cx: &Context<'_>) -> Claim {
    let (mac, is_guest) = (lapse.mac, is_guest(lapse.mac, cx));
    let claim = match lapse.echoes {
        Some((since, count)) => claim.assuming(format!(
            "{count} echo requests since {} stayed unanswered too; they are not counted, since it was never seen to answer one",
            since.clock()
        )),
        None => claim,
    };
    let own = own_tap(lapse, cx);
    let claim = if was_asked_at(Place::Guest, lapse, cx) {
        claim.cause("the frames do reach its own interface: its packet filter or its kernel takes no notice of them")
    } else if was_asked_at(Place::Tap, lapse, cx) {
        claim
    } else if let Some(tap) = &own {
        return lost_on_this_host(claim, lapse.mac, tap, cx);
    } else {
        claim.assuming("whether frames reach its own port is not known from here; a capture there would tell")
    };
    let port = port_word(port(lapse, cx).or(own).as_deref(), cx);
    if !is_guest {
        return claim
            .cause("the receiving side of its network card or driver is stuck")
            .cause("frames reach it in a VLAN tag that it does not expect: a switch port leaves the tag on")
            .cause("frames to it take another way than its own: a switch or a bridge has learned its address elsewhere")
            .step(
                "See where the bridge or switch believes it to be",
                Command::with("bridge fdb show | grep {}", &[&mac]),
            )
            .step("On the station itself, see whether frames are counted and dropped", "ethtool -S IFACE; ip -s link")
            .step("And whether what comes wears a tag", "tcpdump -eni IFACE vlan");
    }
    claim
        .cause(
            "the receive queue of its virtual network card is stuck (virtio or vhost, mostly under load; mended in newer qemu)",
        )
        .cause("its kernel is stuck while a timer still sends: an interrupt lost, a soft lockup")
        .cause("the bridge sends frames for it to another port: its address was learned elsewhere")
        .cause("a filter on its port drops what goes in: ebtables, port security, a full connection table")
        .step("See whether the guest drains its tap: dropped frames that grow under TX say no", Command::with("ip -s link show {}", &[&port]))
        .step("See which port the bridge sends its frames to", Command::with("bridge fdb show | grep {}", &[&mac]))
        .step("Wake the card: take its link down and up", Command::with("virsh domif-setlink GUEST {} down; virsh domif-setlink GUEST {} up", &[&port, &port]))
        .step("Look at the card from qemu", "virsh qemu-monitor-command --hmp GUEST 'info network'")
        .step(
            "Update qemu and the guest's kernel; as a test take vhost out of the way in the domain's interface",
            "<driver name='qemu'/>",
        )
        .step("Make the load again that came before", "iperf3 -c GUEST-ADDRESS -t 60")
}

/// The claim where the station's own port was captured, and what is sent to it never came there: nobody is deaf.
fn lost_on_this_host(claim: Claim, mac: Mac, port: &str, cx: &Context<'_>) -> Claim {
    claim
        .number("seen_at_tap", "no")
        .cause(format!("frames for it are lost on this host: they come in, and are not sent out on its port {port}"))
        .cause("the bridge has learned its address at another port, or forgot the port")
        .cause("a filter of the host drops them before the port: ebtables, a security group, a full connection table")
        .step("See which port the bridge sends its frames to", Command::with("bridge fdb show | grep {}", &[&mac]))
        .step(
            "See whether the port forwards, and in which bridge it is",
            Command::with("bridge -d link show dev {}", &[&port_word(Some(port), cx)]),
        )
        .step("See what the host drops", "ebtables -L --Lc; nft list ruleset; conntrack -S")
}
