//! VLAN003: frames of a VLAN leave by an uplink and none comes back, while other VLANs there go both ways (IEEE 802.1Q-2018 clause 8.8: what a
//! port is no member of is dropped). Questions that nobody answers show it: ARP requests and DHCP DISCOVERs, asked again and again. A VLAN
//! that only comes in is what any trunk shows, and is not looked at; nor is anything without directions.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Direction, Frame, Place};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, TimedMap, Timestamp};
use crate::wire::{DhcpKind, Kind};
use crate::world::{DomainId, Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN003",
        name: "vlan-one-way",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("vlan_one_way.md"),
    },
    hears: &[Kind::Arp, Kind::Dhcp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |settings| Box::new(VlanOneWay::new(settings)),
};

/// Who asks again within this time had no answer; who does not, had one that did not pass here (Linux asks three times, 1 s apart).
const REPEATED: Span = Span::secs(5);
/// Times that an ARP question must be asked (Linux `mcast_solicit`), and a DISCOVER sent, in how long (RFC 2131 section 4.1: two pauses).
const ASKED: u32 = 3;
const DISCOVERED: u32 = 2;
const DISCOVERED_FOR: Span = Span::secs(10);
/// Stations that ask in vain that are enough by themselves, and where something else tells that they should be answered.
const HOSTS: usize = 3;
const HOSTS_SURE: usize = 2;
/// Frames that must have left where one station alone asks, and how lately another VLAN must have gone both ways (findings.md, VLAN003).
const FRAMES: u64 = 30;
const LATELY: Span = Span::secs(30);
/// How long a VLAN in which somebody was answered on this side is left in peace.
const CALM: Span = Span::secs(60);
/// How long after the first frame has come back it is over.
const BACK_FOR: Span = Span::secs(10);
/// Questions that are remembered of one VLAN, and frames that are cited.
const MOST_QUESTIONS: usize = 64;
const CITED: usize = 3;
/// VLANs that are written out.
const SHOWN: usize = 4;

struct VlanOneWay {
    talks: TimedMap<DomainId, Talk>,
}

/// What is asked in one VLAN at one uplink.
struct Talk {
    questions: Vec<Question>,
    /// When the first question was asked.
    since: Timestamp,
    /// When somebody was last seen to have been answered.
    answered: Option<Timestamp>,
    is_raised: bool,
    fresh: Vec<Cited>,
    cited: usize,
}

/// One station's question.
struct Question {
    who: Mac,
    /// For whom by ARP; nobody for DHCP.
    wanted: Option<Ipv4Addr>,
    first: Timestamp,
    last: Timestamp,
    count: u32,
}

impl VlanOneWay {
    fn new(settings: &Settings) -> Self {
        Self { talks: TimedMap::new(settings.tables.stacks) }
    }

    fn frame(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let frame = seen.frame;
        if frame.direction != Direction::Out || frame.layers.tags().networks().is_empty() {
            return;
        }
        if !cx.world.vantage(frame.at.vantage).is_some_and(|v| matches!(v.place, Place::Bond | Place::Nic)) {
            return;
        }
        let Some(said) = said(frame) else { return };
        let talk = self.talks.entry(&seen.domain, || Talk::new(cx.now));
        talk.hear(&said, frame, cx.now);
        let is_back = cx.world.domains.traffic(seen.domain).incoming.is_some_and(|back| back >= talk.since);
        if self.talks.deadline(&seen.domain).is_none() || is_back {
            self.talks.wake(&seen.domain, cx.now.after(REPEATED));
        }
    }

    fn judge(&mut self, domain: DomainId, cx: &mut Context<'_>) {
        let Some(talk) = self.talks.get_mut(&domain) else { return };
        let traffic = cx.world.domains.traffic(domain);
        let is_back = traffic.incoming.is_some_and(|back| back >= talk.since);
        if is_back {
            if talk.is_raised {
                let back = traffic.incoming.unwrap_or(cx.now);
                let why = format!("a frame came back at {}", back.clock());
                cx.resolve(claim_key(domain, cx), why);
            }
            self.talks.remove(&domain);
            return;
        }
        talk.forget_answered(cx.now);
        let Some(confidence) = talk.confidence(traffic.incoming.is_some(), traffic.unanswered, cx.now) else { return };
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| cx.now.since(at) <= LATELY);
        let others = cx.world.domains.beside(domain);
        let two_way = others.filter(|(_, traffic)| lately(traffic.incoming) && lately(traffic.outgoing));
        let mut two_way: Vec<String> = two_way.map(|(stack, _)| stack.to_string()).collect();
        two_way.sort();
        two_way.dedup();
        // Where nothing goes both ways the link is silent, or half of it was captured.
        if two_way.is_empty() {
            return;
        }
        let claim = talk.claim(domain, confidence, &two_way, cx);
        talk.is_raised = true;
        cx.raise(claim);
    }
}

impl Detector for VlanOneWay {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.talks.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(domain) = self.talks.due(cx.now) {
            self.judge(domain, cx);
            let Some(talk) = self.talks.get_mut(&domain) else { continue };
            let is_waiting = talk.vain(cx.now).next().is_some() && cx.now.since(talk.since) < LATELY;
            let next = match talk.is_raised {
                // Each look waits as long again as all before it: a capture may leap over years.
                true => Some(cx.now.after(cx.now.since(talk.since).max(BACK_FOR))),
                false => is_waiting.then(|| talk.since.after(LATELY)),
            };
            if let Some(next) = next {
                self.talks.wake(&domain, next);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let waiting: Vec<DomainId> = self.talks.waiting().copied().collect();
        for domain in waiting {
            self.judge(domain, cx);
        }
    }
}

/// What a station says that asks for an answer, or that it had one.
enum Said {
    Asks(Mac, Option<Ipv4Addr>),
    /// A REQUEST that takes an offer.
    WasAnswered,
}

fn said(frame: &Frame<'_>) -> Option<Said> {
    if let Some(arp) = frame.layers.arp() {
        let is_question = arp.is_request() && !arp.is_probe() && !arp.is_gratuitous() && arp.sender_mac().is_station();
        return is_question.then(|| Said::Asks(arp.sender_mac(), Some(arp.target_ip())));
    }
    let dhcp = frame.layers.dhcp()?;
    match dhcp.message_type()? {
        DhcpKind::Discover => Some(Said::Asks(dhcp.chaddr(), None)),
        DhcpKind::Request if dhcp.server_id().is_some() => Some(Said::WasAnswered),
        _ => None,
    }
}

impl Talk {
    const fn new(now: Timestamp) -> Self {
        Self { questions: Vec::new(), since: now, answered: None, is_raised: false, fresh: Vec::new(), cited: 0 }
    }

    fn hear(&mut self, said: &Said, frame: &Frame<'_>, now: Timestamp) {
        let Said::Asks(who, wanted) = *said else {
            self.answered = Some(now);
            self.questions.retain(|question| question.wanted.is_some());
            return;
        };
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(Cited::of(frame));
        }
        if let Some(known) = self.questions.iter_mut().find(|q| (q.who, q.wanted) == (who, wanted)) {
            known.count = known.count.saturating_add(1);
            known.last = now;
        } else if self.questions.len() < MOST_QUESTIONS {
            self.questions.push(Question { who, wanted, first: now, last: now, count: 1 });
        }
    }

    /// An ARP question that was asked once and not again had its answer on this side of the uplink: here they live among themselves.
    fn forget_answered(&mut self, now: Timestamp) {
        let is_answered = |q: &Question| q.wanted.is_some() && q.count == 1 && now.since(q.last) >= REPEATED;
        if self.questions.iter().any(is_answered) {
            self.answered = Some(now);
            self.questions.retain(|q| !is_answered(q));
        }
    }

    /// How sure it is that the VLAN goes one way only, if at all: `was_back` is whether frames came back before, `frames` how many went since.
    fn confidence(&self, was_back: bool, frames: u64, now: Timestamp) -> Option<Confidence> {
        if self.answered.is_some_and(|answered| now.since(answered) < CALM) {
            return None;
        }
        let hosts: BTreeSet<Mac> = self.vain(now).map(|question| question.who).collect();
        // DHCP is served for a whole VLAN, and what came back before is missed for sure; an address that is asked for may be nobody's.
        let is_due = was_back || self.vain(now).any(|question| question.wanted.is_none());
        // Two that ask for one who is gone look the same, until one of their own asks and is answered.
        let is_long = now.since(self.since) >= LATELY;
        match hosts.len() {
            0 => None,
            n if n >= HOSTS || (n >= HOSTS_SURE && is_due) => Some(Confidence::Confirmed),
            n if is_long && (n >= HOSTS_SURE || frames >= FRAMES) => Some(Confidence::Likely),
            _ => None,
        }
    }

    /// Questions that nobody answers.
    fn vain(&self, now: Timestamp) -> impl Iterator<Item = &Question> {
        let is_vain = move |q: &&Question| match q.wanted {
            Some(_) => q.count >= ASKED,
            None => q.count >= DISCOVERED && now.since(q.first) >= DISCOVERED_FOR,
        };
        self.questions.iter().filter(is_vain)
    }

    fn claim(&mut self, domain: DomainId, confidence: Confidence, two_way: &[String], cx: &Context<'_>) -> Claim {
        let traffic = cx.world.domains.traffic(domain);
        let (interface, stack) = place(domain, cx);
        let vid = stack.rsplit('.').next().unwrap_or_default().to_owned();
        let hosts: BTreeSet<Mac> = self.vain(cx.now).map(|question| question.who).collect();
        let questions = self.vain(cx.now).fold(0_u32, |sum, q| sum.saturating_add(q.count));
        let shown: Vec<&str> = two_way.iter().take(SHOWN).map(String::as_str).collect();
        let (networks, talk) = if two_way.len() == 1 { ("VLAN", "goes") } else { ("VLANs", "go") };
        let asks = if hosts.len() == 1 { "1 station asks" } else { &format!("{} stations ask", hosts.len()) };
        let before = match traffic.incoming {
            Some(last) => format!("none came back, the last at {}", last.clock()),
            None => "none came back".to_owned(),
        };
        let headline = format!(
            "VLAN {stack} on {interface}: {} frames went out since {} and {before}, while {networks} {} {talk} both ways; {asks} ({questions} questions) and nobody answers.",
            traffic.unanswered,
            self.since.clock(),
            shown.join(", "),
        );
        let severity = if confidence == Confidence::Confirmed { Severity::Error } else { Severity::Warning };
        let claim = Claim::new(claim_key(domain, cx), confidence, severity, headline)
            .seen(self.since, traffic.unanswered)
            .until(self.questions.iter().map(|q| q.last).max().unwrap_or(cx.now))
            .number("frames_out", traffic.unanswered)
            .number("stations", hosts.len())
            .number("questions", questions)
            .number("two_way", shown.join(" "))
            .proved_by(self.fresh.drain(..))
            .filter(format!("vlan.id == {vid} && (arp || dhcp)"))
            .cause(format!("the switch port of {interface} does not carry VLAN {vid}: it is not among the allowed VLANs of the trunk"))
            .cause(format!("VLAN {vid} does not exist in the switch's database, or was pruned there"))
            .cause(format!("the network was given the wrong number, and should not be VLAN {vid}"))
            .cause("one member of the bond carries it and the other does not: then about half of the conversations work")
            .cause("all stations of this VLAN live on this node, and the one that they ask is away")
            .step("See what the switch carries on this port, and on both members of a bond", "show interfaces trunk; show vlan")
            .step("Let it carry the VLAN", Command::with("switchport trunk allowed vlan add {}", &[&vid]))
            .step("See which VLAN the network has", "openstack network show NETWORK -c provider:segmentation_id");
        match cx.world.domains.vantages(domain).next() {
            Some(vantage) => claim.at(vantage),
            None => claim,
        }
    }
}

/// The interface, and the tags there.
fn place(domain: DomainId, cx: &Context<'_>) -> (String, String) {
    let vantage = cx.world.domains.place(domain);
    vantage.map_or_else(Default::default, |(vantage, stack)| (cx.world.interface(vantage), stack.to_string()))
}

fn claim_key(domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new().with("interface", place(domain, cx).0).with("domain", cx.world.domains.name(domain))
}
