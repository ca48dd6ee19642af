//! STP002: nothing arrives any more at an uplink from which a guest's BPDU has just left: BPDU guard (a vendor's feature; the frame is IEEE 802.1D-2004 clause 9).

use std::collections::VecDeque;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Place, Sighting, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Fingerprint, Mac, Span, Timestamp};
use crate::wire::Kind;
use crate::world::{Derived, DomainId, Observation, Origin, Seen, Silence, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP002",
        name: "bpdu-then-link-silent",
        levels: &[(Confidence::Likely, Severity::Critical), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("bpdu_then_link_silent.md"),
    },
    hears: &[Kind::Stp],
    follows: &[Topic::Uplink],
    needs: Needs::Ethernet,
    make: |_| Box::new(BpduThenLinkSilent::default()),
};

/// BPDUs that are remembered of all uplinks: one every two seconds for half a minute at four vantages.
const MOST: usize = 64;
/// How long before the BPDU the last frame may have arrived: stamps of two directions differ.
const BEFORE: Span = Span::millis(100);
/// How long after the silence its reason is looked for: slow LACP takes 95 s.
const REASONS_FOR: Span = Span::secs(95);
/// How often.
const LOOK_EVERY: Span = Span::secs(5);

#[derive(Default)]
struct BpduThenLinkSilent {
    departures: VecDeque<Departure>,
    open: Vec<Outage>,
    pairs: Vec<(VantageId, Mac, u32)>,
    deadlines: Deadlines<Due>,
}

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Due {
    /// All sightings of a BPDU are in.
    Settled(VantageId, u64),
    /// Another look at why a link is silent.
    Look(VantageId),
}

/// A BPDU on its way out.
struct Departure {
    vantage: VantageId,
    mac: Mac,
    time: Timestamp,
    cited: Cited,
    sighting: Sighting,
    packet: Option<Fingerprint>,
    domain: DomainId,
    /// Who sent it, in words; `None` until all sightings are in, or if it did not leave here.
    sender: Option<String>,
}

struct Outage {
    vantage: VantageId,
    mac: Mac,
    sender: String,
    bpdu: Timestamp,
    cited: Cited,
    silence: Silence,
    key: Key,
    episodes: u32,
}

impl Detector for BpduThenLinkSilent {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Derived(Derived::Silent(silence)) => self.silent(silence, cx),
            Observation::Derived(Derived::Restored(vantage, since)) => self.restored(*vantage, *since, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.deadlines.pop(cx.now) {
            match due {
                Due::Settled(vantage, number) => self.settle(vantage, number, cx),
                Due::Look(vantage) => {
                    for outage in self.open.iter().filter(|outage| outage.vantage == vantage) {
                        outage.claim(cx);
                        if cx.now.since(outage.silence.since) < REASONS_FOR {
                            self.deadlines.set(due, cx.now.after(LOOK_EVERY));
                        }
                    }
                }
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.open.iter().for_each(|outage| outage.claim(cx));
        let silence = Span::secs(cx.settings.stp.silence_s);
        for departure in &self.departures {
            let is_first = !self.departures.iter().any(|d| d.mac == departure.mac && d.time < departure.time);
            let has_arrived = cx.world.arrivals.latest(departure.vantage).is_some_and(|last| last > departure.time);
            let is_told = self.open.iter().any(|outage| outage.mac == departure.mac);
            let rest = cx.now.since(departure.time);
            if let (Some(sender), true, false, false) = (&departure.sender, is_first, has_arrived, is_told)
                && rest < silence
                && !cx.world.is_member(departure.vantage)
            {
                let interface = cx.world.interface(departure.vantage);
                cx.pending(
                    format!("the capture ends {rest} after {sender} sent a BPDU, and nothing came to {interface} in that time: look at the switch port"),
                    departure.time,
                );
            }
        }
    }
}

impl BpduThenLinkSilent {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let vantage = frame.at.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        let is_uplink = matches!(place, Place::Bond | Place::Nic);
        let Some(mac) = frame.layers.link_src().filter(|_| frame.layers.stp().is_some() && is_uplink) else { return };
        if frame.direction == Direction::In || frame.layers.overlay().is_some() {
            return;
        }
        if self.departures.len() >= MOST {
            self.departures.pop_front();
        }
        self.departures.push_back(Departure {
            vantage,
            mac,
            time: frame.order,
            cited: Cited::beginning(frame),
            sighting: Sighting::of(frame),
            packet: seen.packet,
            domain: seen.domain,
            sender: None,
        });
        let settle = cx.world.sightings.settle();
        if settle == Span::ZERO {
            self.settle(vantage, frame.at.number, cx);
        } else {
            self.deadlines.set(Due::Settled(vantage, frame.at.number), cx.now.after(settle));
        }
    }

    fn settle(&mut self, vantage: VantageId, number: u64, cx: &Context<'_>) {
        let is_it = |d: &&mut Departure| d.vantage == vantage && d.cited.at.number == number;
        let Some(departure) = self.departures.iter_mut().find(is_it) else { return };
        let origin =
            cx.world.origin(departure.mac, departure.packet, departure.sighting, departure.domain, cx.settings);
        departure.sender = match origin {
            Origin::Guest { .. } | Origin::LikelyGuest | Origin::GuestByPrefix => {
                Some(format!("the guest {}", departure.mac))
            }
            Origin::Host => Some(format!("this host ({})", departure.mac)),
            Origin::RemoteGuest | Origin::Network => None,
        };
    }

    fn silent(&mut self, silence: &Silence, cx: &mut Context<'_>) {
        let (vantage, stp) = (silence.vantage, &cx.settings.stp);
        if let Some(outage) = self.open.iter_mut().find(|outage| outage.vantage == vantage) {
            outage.silence = silence.clone();
            outage.claim(cx);
            return;
        }
        let interface = cx.world.interface(vantage);
        let is_switched_off = cx.world.host.link(&interface).is_some_and(|link| link.up == Some(false));
        if silence.before < stp.silence_frames || cx.world.is_member(vantage) || is_switched_off {
            return;
        }
        let within = Span::secs(stp.silence_within_s);
        // Of several that left before the silence, the one closest to it.
        let is_followed = |d: &&Departure| {
            let gap = silence.since.since(d.time);
            d.vantage == vantage && d.sender.is_some() && gap <= within && gap >= BEFORE.times(-1)
        };
        let Some(departure) = self.departures.iter().filter(is_followed).max_by_key(|d| d.time) else { return };
        let mac = departure.mac;
        let episodes = match self.pairs.iter_mut().find(|(v, m, _)| *v == vantage && *m == mac) {
            Some((.., n)) => {
                *n = n.saturating_add(1);
                *n
            }
            None => {
                self.pairs.push((vantage, mac, 1));
                1
            }
        };
        let outage = Outage {
            vantage,
            mac,
            sender: departure.sender.clone().unwrap_or_default(),
            bpdu: departure.time,
            cited: departure.cited.clone(),
            silence: silence.clone(),
            key: Key::new().with("interface", &interface).with("mac", mac),
            episodes,
        };
        outage.claim(cx);
        self.open.push(outage);
        self.deadlines.set(Due::Look(vantage), cx.now.after(LOOK_EVERY));
    }

    fn restored(&mut self, vantage: VantageId, since: Timestamp, cx: &mut Context<'_>) {
        for outage in self.open.iter().filter(|outage| outage.vantage == vantage) {
            let lasted = cx.now.since(since);
            cx.resolve(
                outage.key.clone(),
                format!("frames arrive again, after {lasted} without any; it comes back with the guest's next BPDU"),
            );
        }
        self.open.retain(|outage| outage.vantage != vantage);
        self.deadlines.clear(&Due::Look(vantage));
    }
}

impl Outage {
    fn claim(&self, cx: &mut Context<'_>) {
        let interface = cx.world.interface(self.vantage);
        let within = Span::secs(cx.settings.stp.silence_within_s);
        let (since, link) = (self.silence.since, &cx.settings.link);
        let is_near = |at: Timestamp| at.since(since).abs() <= within;
        let questions = cx.world.arrivals.questions();
        let proof = if cx.world.host.cut_off(&interface).is_some_and(is_near) {
            Some("the carrier went with it".to_owned())
        } else if questions.asked() >= link.questions {
            Some(format!("{questions} found no answer"))
        } else if self.episodes > 1 {
            Some(format!("this is the {}. time", self.episodes))
        } else {
            None
        };
        let confidence = if proof.is_some() { Confidence::Confirmed } else { Confidence::Likely };
        let gap = since.since(self.bpdu);
        let when = if gap > Span::ZERO { format!("{gap} after") } else { "as soon as".to_owned() };
        let proof = proof.map_or_else(String::new, |proof| format!("; {proof}"));
        let headline = format!(
            "{interface} went silent {when} {} sent a BPDU: nothing has arrived since {}, after {} frames in the 10 s before{proof}. The switch has almost certainly shut the port (BPDU guard).",
            self.sender,
            self.silence.last.time.clock(),
            self.silence.before,
        );
        let mut claim = Claim::new(self.key.clone(), confidence, Severity::Critical, headline)
            .at(self.vantage)
            .seen(self.cited.time.min(self.silence.last.time), u64::from(self.episodes))
            .number("gap_s", gap.as_secs())
            .number("frames_in_10_s_before", self.silence.before)
            .number("silent_s", cx.now.since(since).as_secs())
            .number("guests_behind_the_uplink", cx.world.guests())
            .proved_by([self.silence.last.clone(), self.cited.clone()])
            .proved_by(questions.first().cloned())
            .filter(format!("stp && eth.src == {}", self.mac))
            .cause("BPDU guard, or another protection of the switch port (loop guard, storm control), has shut it")
            .cause("the link failed at that moment for another reason")
            .step(
                "First stop the frames, or the outage repeats itself",
                "netdiag explain STP001 --remedy nft | nft -f -",
            )
            .step(port_step(self.vantage, cx), "show interfaces status err-disabled")
            .step(
                "See that the bond has its members back",
                Command::with("cat /proc/net/bonding/{}", &[&cx.world.device(&interface)]),
            );
        if !self.silence.is_captured {
            claim = claim.assuming(format!(
                "the capture of {interface} was not stopped at that moment: nothing more of either direction is in it"
            ));
        }
        cx.raise(claim);
    }
}

/// Which port to look for: the neighbour's word where it has given one.
fn port_step(vantage: VantageId, cx: &Context<'_>) -> String {
    let port = cx.world.neighbours.at(vantage).map_or_else(|| "the port".to_owned(), |n| n.name());
    format!("Then look for {port} in the switch's log, and enable it again")
}
