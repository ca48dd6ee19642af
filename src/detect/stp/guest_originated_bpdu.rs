//! STP001: a guest speaks spanning tree (IEEE 802.1D-2004 clause 9), and a switch port with BPDU guard shuts down for it.

use crate::detect::stp::crowd::{Crowds, Heard};
use crate::detect::stp::exposure::Exposure;
use crate::detect::stp::verdict::Verdict;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Place, Sighting};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Fingerprint, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Kind, StpFamily};
use crate::world::{Derived, DomainId, Observation, Origin, Seen, Topic};

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
    needs: Needs::Link,
    make: |_| {
        Box::new(GuestOriginatedBpdu {
            senders: TimedMap::new(MOST),
            packets: BoundedMap::new(MOST),
            strangers: BoundedMap::new(MOST),
            crowds: Crowds::default(),
            exposure: Exposure::default(),
            look_at_host: None,
        })
    },
};

/// Senders that are followed.
const MOST: usize = 4_096;
/// Frames that are cited: the first BPDU everywhere it was seen, and the next ones.
const CITED: usize = 4;
/// How often more of the same is told: as often as a finding is updated (findings.md 1.2).
const TOLD_EVERY: Span = Span::secs(10);

struct GuestOriginatedBpdu {
    senders: TimedMap<SenderKey, Sender>,
    /// Whose packets wait for their other sightings.
    packets: BoundedMap<Fingerprint, SenderKey>,
    /// Whom the network brought first: what a loop leads through a guest's port is no guest's.
    strangers: BoundedMap<Mac, ()>,
    crowds: Crowds,
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
    cited: usize,
    fresh: Vec<Cited>,
    /// The first BPDU, in words, once something was said of it.
    opening: Option<String>,
    /// A BPDU waits for its other sightings.
    waits: bool,
    /// When it was told last, and how many BPDUs it had sent by then.
    said: Option<(Timestamp, u64)>,
    /// The guests whose uplink it shares.
    crowd: Option<usize>,
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
        let crowds = self.crowds.next_deadline();
        self.senders.next_deadline().into_iter().chain(self.look_at_host).chain(crowds).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        if self.look_at_host.is_some_and(|due| due <= cx.now) {
            self.look_at_host = None;
            self.exposure.look(cx);
        }
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(key) = self.senders.due(cx.now) {
            let Some(sender) = self.senders.get_mut(&key) else { continue };
            let over = sender.last.after(patience);
            if sender.waits || sender.is_unsaid() && over <= cx.now {
                self.judge(key, cx);
            }
            if cx.world.arrivals.is_any_silent() {
                // As long as the port is shut nothing is over: it is looked at again once something arrives.
                continue;
            }
            if over > cx.now {
                self.senders.wake(&key, over);
            } else if let Some(sender) = self.senders.remove(&key) {
                if let Some(at) = sender.crowd {
                    self.crowds.leave(at, key.0, sender.raised.as_ref());
                }
                if let Some(key) = sender.raised {
                    cx.resolve(key, over_after(patience));
                }
            }
        }
        self.crowds.expire(patience, cx);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if self.look_at_host.take().is_some() {
            self.exposure.look(cx);
        }
        let is_unsaid = |(_, sender): &(&SenderKey, &Sender)| sender.waits || sender.is_unsaid();
        let unsaid: Vec<SenderKey> = self.senders.by_age().filter(is_unsaid).map(|(key, _)| *key).collect();
        for key in unsaid {
            self.judge(key, cx);
        }
        self.crowds.finish(cx);
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
        self.crowds.look_again(due);
    }

    fn packet(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        if frame.layers.overlay().is_some() {
            self.tunnelled(seen, cx);
            return;
        }
        let key = (mac, seen.domain, stp.family() == StpFamily::Pvst);
        let is_new = self.senders.peek(&key).is_none();
        let place = cx.world.vantage(frame.at.vantage).map(|v| v.place);
        let came_in = frame.direction == Direction::In && matches!(place, Some(Place::Bond | Place::Nic));
        if is_new && came_in && !cx.settings.stp.is_guest_prefix(mac) {
            self.strangers.insert(mac, ());
        }
        let fresh = || Sender {
            first: frame.time,
            last: cx.now,
            count: 0,
            sighting: Sighting::of(frame),
            packet: seen.packet,
            cited: 0,
            fresh: Vec::new(),
            opening: None,
            waits: false,
            said: None,
            crowd: None,
            raised: None,
        };
        let sender = self.senders.entry(&key, fresh);
        sender.count = sender.count.saturating_add(1);
        (sender.last, sender.sighting, sender.packet) = (cx.now, Sighting::of(frame), seen.packet);
        sender.cite(seen);
        let settle = cx.world.sightings.settle();
        if !sender.is_to_be_told(cx.now) {
            return;
        }
        if settle == Span::ZERO {
            self.judge(key, cx);
        } else {
            if let Some(packet) = seen.packet {
                self.packets.insert(packet, key);
            }
            if !sender.waits {
                sender.waits = true;
                self.senders.wake(&key, cx.now.after(settle));
            }
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
        let waiting = seen.packet.and_then(|packet| self.packets.peek(&packet));
        if let Some(sender) = waiting.and_then(|key| self.senders.get_mut(key)).filter(|s| s.packet == seen.packet) {
            sender.cite(seen);
        }
    }

    fn judge(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let (mac, domain, is_pvst) = key;
        let Some(last) = self.senders.peek(&key).map(|sender| sender.last) else { return };
        self.senders.wake(&key, last.after(Span::secs(cx.settings.stp.resolve_s)));
        let Some(sender) = self.senders.get_mut(&key) else { return };
        (sender.waits, sender.said) = (false, Some((cx.now, sender.count)));
        let origin = cx.world.origin(mac, sender.packet, sender.sighting, domain, cx.settings);
        if self.strangers.peek(&mac).is_some() && cx.world.host.own_port(mac).is_none() {
            return;
        }
        let Some(mut verdict) = Verdict::of(&origin) else { return };
        let port = match origin {
            Origin::Guest { port, .. } => port,
            _ => None,
        };
        if cx.settings.stp.appliances.contains(&mac) {
            verdict = Verdict::of_appliance();
        } else {
            let (vantage, port, at) = (sender.sighting.at.vantage, port.as_deref(), sender.sighting.time);
            let heard = Heard { vantage, mac, verdict, port, at, frame: sender.fresh.first() };
            let crowd = *sender.crowd.get_or_insert_with(|| self.crowds.join(&heard, cx));
            if self.crowds.speaks_for(crowd) {
                self.crowds.hear(crowd, &heard, cx);
                (sender.raised, sender.fresh) = (None, Vec::new());
                return;
            }
        }
        let family = if is_pvst { "pvst" } else { "stp" };
        let name = cx.world.domains.name(domain);
        let who = match &port {
            Some(port) => format!("The guest {mac} behind {port}"),
            None if verdict.is_remote => format!("A guest on another node ({mac})"),
            None => format!("The guest {mac}"),
        };
        let vlan = if name == "untagged" { String::new() } else { format!(" in VLAN {name}") };
        let guests = cx.world.guests();
        let headline = format!(
            "{who} sends spanning tree frames{vlan} since {}; {}.",
            sender.first.clock(),
            verdict.so_that(guests)
        );
        let finding = Key::new().with("mac", mac).with("domain", &name).with("family", family);
        if let Some(at) = sender.crowd.filter(|_| sender.raised.is_none()) {
            self.crowds.name(at, &finding);
        }
        sender.raised = Some(finding.clone());
        let cited: Vec<Cited> = sender.fresh.drain(..).collect();
        let opening = sender.opening.get_or_insert_with(|| cited.first().map_or_else(String::new, Cited::line));
        let address = if is_pvst { "01:00:0c:cc:cc:cd" } else { "01:80:c2:00:00:00" };
        let claim = Claim::new(finding, verdict.confidence, verdict.severity, headline)
            .at(sender.sighting.at.vantage)
            .seen(sender.first, sender.count)
            .number("bpdus", sender.count)
            .number("first_bpdu", opening.as_str())
            .number("guests_behind_the_uplink", guests)
            .proved_by(cited)
            .filter(format!("eth.dst == {address} && eth.src == {mac}"))
            .cause("the guest's image or its user bridges its network card with spanning tree on")
            .cause("the guest is a virtual switch or firewall; declare it with stp.appliances in the settings if that is meant");
        let device = port.as_deref().and_then(|port| cx.world.known_device(port));
        cx.raise(verdict.with_remedy(claim, device));
        if let Some(port) = port {
            self.exposure.exploit(&port, cx);
        }
    }
}

/// Why what was said of a guest is over.
fn over_after(patience: Span) -> String {
    format!("no BPDU of it for {patience}; it will come back when the instance is started again")
}

impl Sender {
    /// Whether it is time to say something of it: of its first BPDUs at once, of more as often as a finding is updated.
    fn is_to_be_told(&self, now: Timestamp) -> bool {
        self.said.is_none_or(|(at, told)| told < CITED as u64 || now.since(at) >= TOLD_EVERY)
    }

    fn is_unsaid(&self) -> bool {
        self.said.is_none_or(|(_, told)| told < self.count)
    }

    fn cite(&mut self, seen: &Seen<'_>) {
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(Cited::beginning(seen.frame));
        }
    }
}

/// Host facts that belong together come within this span.
const SETTLED: Span = Span::secs(1);
