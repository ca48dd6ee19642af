//! STP001: a guest speaks spanning tree (IEEE 802.1D-2004 clause 9), and a switch port with BPDU guard shuts down for it.

use crate::detect::stp::exposure::Exposure;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Cited, Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Fingerprint, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Kind, StpFamily};
use crate::world::{Derived, DomainId, Observation, Origin, Reach, Seen, Sighting, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP001",
        name: "guest-originated-bpdu",
        levels: &[
            (Confidence::Risk, Severity::Info),
            (Confidence::Risk, Severity::Warning),
            (Confidence::Likely, Severity::Warning),
            (Confidence::Likely, Severity::Critical),
            (Confidence::Confirmed, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("guest_originated_bpdu.md"),
    },
    hears: &[Kind::Stp],
    follows: &[Topic::Uplink],
    needs: Needs::Frames,
    make: |_| {
        Box::new(GuestOriginatedBpdu {
            senders: TimedMap::new(MOST),
            exposure: Exposure::default(),
            look_at_host: None,
        })
    },
};

/// Senders that are followed.
const MOST: usize = 4_096;
/// Frames that are cited: the first BPDU everywhere it was seen, and the next ones.
const CITED: usize = 4;

struct GuestOriginatedBpdu {
    senders: TimedMap<SenderKey, Sender>,
    exposure: Exposure,
    look_at_host: Option<Timestamp>,
}

type SenderKey = (Mac, DomainId, bool);

struct Sender {
    first: Timestamp,
    last: Timestamp,
    count: u64,
    sighting: Sighting,
    packet: Option<Fingerprint>,
    fields: String,
    cited: usize,
    fresh: Vec<Cited>,
    /// A BPDU waits for its other sightings.
    waits: bool,
    raised: Option<Key>,
}

impl Detector for GuestOriginatedBpdu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) => self.packet(seen, cx),
            Observation::Sighting(seen) => self.sighting(seen),
            Observation::Derived(Derived::Restored(..)) => self.look_again(cx),
            Observation::Host(fact) if Exposure::is_moved_by(&fact.what) => {
                // Facts come many at a time; they are looked at once.
                self.look_at_host.get_or_insert(cx.now.after(SETTLED));
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.senders.next_deadline().into_iter().chain(self.look_at_host).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        if self.look_at_host.is_some_and(|due| due <= cx.now) {
            self.look_at_host = None;
            self.exposure.look(cx);
        }
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(key) = self.senders.due(cx.now) {
            let Some(sender) = self.senders.get_mut(&key) else { continue };
            if sender.waits {
                self.judge(key, cx);
            } else if cx.world.arrivals.is_any_silent() {
                // As long as the port is shut nothing is over: it is looked at again once something arrives.
            } else if cx.now.since(sender.last) >= patience {
                if let Some(key) = sender.raised.take() {
                    cx.resolve(
                        key,
                        format!("no BPDU of it for {patience}; it will come back when the instance is started again"),
                    );
                }
                self.senders.remove(&key);
            } else {
                let over = sender.last.after(patience);
                self.senders.wake(&key, over);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if self.look_at_host.take().is_some() {
            self.exposure.look(cx);
        }
        let waiting: Vec<SenderKey> = self.senders.waiting().copied().collect();
        for key in waiting {
            if self.senders.peek(&key).is_some_and(|sender| sender.waits) {
                self.judge(key, cx);
            }
        }
    }
}

impl GuestOriginatedBpdu {
    /// An uplink is back: what was not over while it was silent may be soon.
    fn look_again(&mut self, cx: &Context<'_>) {
        let due = cx.now.after(Span::secs(cx.settings.stp.resolve_s));
        let asleep = self.senders.by_age().map(|(key, _)| *key).filter(|key| self.senders.deadline(key).is_none());
        for key in asleep.collect::<Vec<_>>() {
            self.senders.wake(&key, due);
        }
    }

    fn packet(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        if frame.layers.vni().is_some() {
            self.tunnelled(seen, cx);
            return;
        }
        let key = (mac, seen.domain, stp.family() == StpFamily::Pvst);
        let fresh = || Sender {
            first: frame.time,
            last: cx.now,
            count: 0,
            sighting: Sighting::of(frame),
            packet: seen.packet,
            fields: stp.to_string(),
            cited: 0,
            fresh: Vec::new(),
            waits: false,
            raised: None,
        };
        let sender = self.senders.entry(&key, fresh);
        sender.count = sender.count.saturating_add(1);
        (sender.last, sender.sighting, sender.packet) = (cx.now, Sighting::of(frame), seen.packet);
        sender.cite(seen);
        let settle = cx.world.sightings.settle();
        if settle == Span::ZERO {
            self.judge(key, cx);
        } else if !sender.waits {
            sender.waits = true;
            self.senders.wake(&key, cx.now.after(settle));
        }
    }

    /// Inside a tunnel no switch of this network hears it; but whatever takes it out of the tunnel may forward it to one.
    fn tunnelled(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let Some(mac) = frame.layers.inner_src().filter(|mac| cx.settings.stp.is_guest_prefix(*mac)) else { return };
        let domain = cx.world.domains.name(seen.domain);
        let headline = format!(
            "The guest {mac} sends spanning tree frames in the overlay {domain}: no switch of this network hears them, unless the tunnel's far end forwards them to one."
        );
        let key = Key::new().with("mac", mac).with("domain", &domain).with("family", "tunnelled");
        let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
            .at(frame.at.vantage)
            .seen(frame.time, 1)
            .proved_by([Cited::of(frame)])
            .filter(format!("stp && eth.src == {mac}"))
            .cause("the guest's image or its user bridges its network card with spanning tree on")
            .step("Stop such frames at the guest's port", "netdiag explain STP001 --remedy nft | nft -f -");
        cx.raise(claim);
    }

    /// The same BPDU elsewhere: one more frame of proof.
    fn sighting(&mut self, seen: &Seen<'_>) {
        let (Some(stp), Some(mac)) = (seen.frame.layers.stp(), seen.frame.layers.link_src()) else { return };
        let is_pvst = stp.family() == StpFamily::Pvst;
        let waiting = self.senders.waiting().copied().find(|(m, _, pvst)| *m == mac && *pvst == is_pvst);
        if let Some(sender) =
            waiting.and_then(|key| self.senders.get_mut(&key)).filter(|sender| sender.packet == seen.packet)
        {
            sender.cite(seen);
        }
    }

    fn judge(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let (mac, domain, is_pvst) = key;
        let Some(last) = self.senders.peek(&key).map(|sender| sender.last) else { return };
        self.senders.wake(&key, last.after(Span::secs(cx.settings.stp.resolve_s)));
        let Some(sender) = self.senders.get_mut(&key) else { return };
        sender.waits = false;
        let origin = cx.world.origin(mac, sender.packet, sender.sighting, domain, cx.settings);
        let Some(mut verdict) = Verdict::of(&origin) else { return };
        if cx.settings.stp.appliances.contains(&mac) {
            // Its operator means it to; the guard does not care, so that it is said all the same.
            verdict = Verdict::of_appliance();
        }
        let family = if is_pvst { "pvst" } else { "stp" };
        let name = cx.world.domains.name(domain);
        let who = match &origin {
            Origin::Guest { port: Some(port), .. } => format!("The guest {mac} behind {port}"),
            Origin::RemoteGuest => format!("A guest on another node ({mac})"),
            _ => format!("The guest {mac}"),
        };
        let vlan = if name == "untagged" { String::new() } else { format!(" in VLAN {name}") };
        let guests = cx.world.guests();
        let victims = if guests > 1 { format!(", with all {guests} guests on it") } else { String::new() };
        let headline = format!(
            "{who} sends spanning tree frames{vlan} since {}; {}.",
            sender.first.clock(),
            verdict.so_that(&victims)
        );
        let finding = Key::new().with("mac", mac).with("domain", &name).with("family", family);
        sender.raised = Some(finding.clone());
        let bridged = match &origin {
            Origin::Guest { port: Some(port), .. } => Some(port.clone()),
            _ => None,
        };
        let address = if is_pvst { "01:00:0c:cc:cc:cd" } else { "01:80:c2:00:00:00" };
        let port = match &origin {
            Origin::Guest { port: Some(port), .. } => cx.world.known_device(port),
            _ => None,
        };
        let port = port.unwrap_or("tap+");
        let mut claim = Claim::new(finding, verdict.confidence, verdict.severity, headline)
            .at(sender.sighting.at.vantage)
            .seen(sender.first, sender.count)
            .number("bpdus", sender.count)
            .number("first_bpdu", sender.fields.as_str())
            .number("guests_behind_the_uplink", guests)
            .proved_by(sender.fresh.drain(..))
            .filter(format!("eth.dst == {address} && eth.src == {mac}"))
            .cause("the guest's image or its user bridges its network card with spanning tree on")
            .cause("the guest is a virtual switch or firewall; declare it with stp.appliances in the settings if that is meant")
            .step("Stop such frames at the guest's port now", NFT)
            .step("Or with ebtables, for both families", Command::with("ebtables -I FORWARD -i {} -d 01:80:c2:00:00:00 -j DROP && ebtables -I FORWARD -i {} -d 01:00:0c:cc:cc:cd -j DROP", &[&port, &port]))
            .step("Then switch it off in the guest", "ip link set br0 type bridge stp_state 0")
            .step("Then clear err-disable on the switch port, if it is down", "");
        if let Some(assumption) = verdict.assumption {
            claim = claim.assuming(assumption);
        }
        cx.raise(claim);
        if let Some(port) = bridged {
            self.exposure.exploit(&port, cx);
        }
    }
}

/// The rule that was proved to drop both families and to let other broadcast pass (`fwd` is a reserved word: not a chain's name).
const NFT: &str = "nft add table bridge netdiag\n\
     nft add chain bridge netdiag stpdrop '{ type filter hook forward priority 0; }'\n\
     nft add rule bridge netdiag stpdrop iifname \"tap*\" ether daddr { 01:80:c2:00:00:00, 01:80:c2:00:00:08, 01:00:0c:cc:cc:cd } counter drop";

impl Sender {
    fn cite(&mut self, seen: &Seen<'_>) {
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(Cited::of(seen.frame));
        }
    }
}

/// Host facts that belong together come within this span.
const SETTLED: Span = Span::secs(1);

/// How sure and how bad, by who sent it.
struct Verdict {
    confidence: Confidence,
    severity: Severity,
    assumption: Option<&'static str>,
    is_contained: bool,
    is_remote: bool,
}

impl Verdict {
    const fn of_appliance() -> Self {
        Self {
            confidence: Confidence::Likely,
            severity: Severity::Warning,
            assumption: Some("declared an appliance in the settings"),
            is_contained: false,
            is_remote: false,
        }
    }

    fn of(origin: &Origin) -> Option<Self> {
        let verdict = |confidence, severity, assumption| Self {
            confidence,
            severity,
            assumption,
            is_contained: false,
            is_remote: false,
        };
        Some(match origin {
            Origin::Guest { reach: Reach::Left | Reach::Forwarded, .. } => {
                verdict(Confidence::Confirmed, Severity::Critical, None)
            }
            Origin::Guest { reach: Reach::Contained, .. } => {
                Self { is_contained: true, ..verdict(Confidence::Confirmed, Severity::Error, None) }
            }
            Origin::Guest { reach: Reach::Unknown, .. } => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("the uplink was not captured: whether the frames leave is not known"),
            ),
            Origin::LikelyGuest => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("no tap was captured: origin by where the frame was seen, or by what else its sender does"),
            ),
            Origin::GuestByPrefix => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("origin by MAC prefix only: routers' and DHCP ports have it too, but they send no BPDUs"),
            ),
            Origin::RemoteGuest => Self {
                is_remote: true,
                ..verdict(
                    Confidence::Likely,
                    Severity::Warning,
                    Some("origin by MAC prefix, and by its coming in from the network"),
                )
            },
            Origin::Host | Origin::Network => return None,
        })
    }

    fn so_that(&self, victims: &str) -> String {
        if self.is_contained {
            "they do not leave the node, and would reach the switch if what holds them were removed".to_owned()
        } else if self.is_remote {
            "that node's switch port does not guard against it".to_owned()
        } else {
            format!("a switch port with BPDU guard shuts the whole node down{victims}")
        }
    }
}
