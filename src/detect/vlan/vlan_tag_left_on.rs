//! VLAN002: a question goes one way with other tags than its answer comes back, one of them wearing a tag too many: somebody on the way leaves
//! a tag on, or takes one off (IEEE 802.1Q-2018 clause 6.9). ARP and echo are asked; what stands for no network (VID 0) does not count.

use std::net::{IpAddr, Ipv4Addr};

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Cited, Frame, Place, Sighting, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Mac, Span, TagStack, Timestamp, Vid};
use crate::wire::Kind;
use crate::world::{DomainId, Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN002",
        name: "vlan-tag-left-on",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("vlan_tag_left_on.md"),
    },
    hears: &[Kind::Arp, Kind::Icmp, Kind::Icmpv6],
    follows: &[],
    needs: Needs::Ethernet,
    make: |settings| Box::new(VlanTagLeftOn::new(settings)),
};

/// Answers with other tags than their questions that are enough (findings.md, VLAN002).
const ENOUGH: u64 = 3;
/// Questions that are asked again although they were answered, from which on the answers are known not to be taken.
const AGAIN: u32 = 2;
/// Who asks again within this time had no answer: an entry of ARP holds for longer (Linux `base_reachable_time` 15 s at least).
const REPEATED: Span = Span::secs(5);
/// A question that comes twice this close, with and without the tag, is one packet on both sides of a device.
const TWICE: Span = Span::millis(100);
/// Answers in the tags of their questions that end it (findings.md, VLAN002).
const MENDED: u64 = 10;
/// Questions and pairs of stations that are remembered.
const MOST: usize = 1_024;
/// Answers of which the frames are cited, each with its question.
const CITED: u64 = 2;

struct VlanTagLeftOn {
    asked: BoundedMap<(VantageId, Question), Asked>,
    pairs: BoundedMap<(VantageId, Mac, Mac), Pair>,
    lines: Followed<LineKey, Line>,
    /// Without such an answer for that long, and with `MENDED` that wear what their questions wear, it is over.
    patience: Span,
}

/// What is asked, and by whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Arp { asker: Mac, wanted: Ipv4Addr },
    Echo { asker: Mac, to: IpAddr, id: u16, seq: u16 },
}

/// A question, and what became of it.
struct Asked {
    at: Timestamp,
    tags: TagStack,
    domain: DomainId,
    packet: Option<Fingerprint>,
    cited: Cited,
    /// Whether it passed with and without the tag.
    is_both: bool,
    /// When an answer came in other tags, and which line that is.
    answered: Option<(Timestamp, LineKey)>,
}

/// A vantage, the tag too many, and whether the answers wear it or the questions.
type LineKey = (VantageId, Vid, bool);

/// What is known of two stations whose questions and answers wear the same tags.
#[derive(Default)]
struct Pair {
    /// Answers in the tags of their questions so far.
    even: u64,
    line: Option<LineKey>,
}

/// What is known of one tag too many.
struct Line {
    asker: (Mac, IpAddr),
    answerer: IpAddr,
    /// What the questions wear and what the answers wear.
    tags: (TagStack, TagStack),
    domains: (DomainId, DomainId),
    packets: Option<(Fingerprint, Fingerprint)>,
    has_arp: bool,
    /// Whether both wore the same before.
    has_changed: bool,
    /// Questions asked again although they were answered.
    again: u32,
    /// Answers in the tags of their questions since.
    even: u64,
}

impl VlanTagLeftOn {
    fn new(settings: &Settings) -> Self {
        Self {
            asked: BoundedMap::new(MOST),
            pairs: BoundedMap::new(MOST),
            lines: Followed::new(MOST, ENOUGH, CITED),
            patience: Span::secs(settings.vlan.resolve_s),
        }
    }

    fn asks(&mut self, question: Question, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let key = (frame.at.vantage, question);
        let tags = frame.layers.tags().networks();
        let fresh = || {
            let (at, cited) = (cx.now, Cited::beginning(frame));
            Asked { at, tags, domain: seen.domain, packet: seen.packet, cited, is_both: false, answered: None }
        };
        let mut is_new = false;
        let asked = self.asked.entry(&key, || {
            is_new = true;
            fresh()
        });
        if is_new {
            return;
        }
        if asked.tags != tags && cx.now.since(asked.at) <= TWICE {
            asked.is_both = true;
            return;
        }
        let Some((answered, line)) = std::mem::replace(asked, fresh()).answered else { return };
        // The same echo again says nothing: its numbers are free to come again.
        let is_again = matches!(question, Question::Arp { .. }) && cx.now.since(answered) <= REPEATED;
        let Some(followed) = self.lines.get_mut(&line).filter(|_| is_again) else { return };
        followed.what.again = followed.what.again.saturating_add(1);
        if followed.what.again == AGAIN {
            self.judge(&line, cx);
        }
    }

    fn answers(&mut self, question: Question, ends: (IpAddr, IpAddr), seen: &Seen<'_>, cx: &Context<'_>) {
        let key = (seen.frame.at.vantage, question);
        let Some(mut asked) = self.asked.remove(&key) else { return };
        // Nearly always it wears what the question wears, and that was that.
        if asked.answered.is_some() || !self.is_even(&mut asked, question, ends, seen, cx) {
            self.asked.insert(key, asked);
        }
    }

    /// Whether an answer wears what its question wears; what it means if not is noted.
    fn is_even(
        &mut self,
        asked: &mut Asked,
        question: Question,
        (asker, answerer): (IpAddr, IpAddr),
        seen: &Seen<'_>,
        cx: &Context<'_>,
    ) -> bool {
        let (frame, vantage) = (seen.frame, seen.frame.at.vantage);
        let Some(mac) = frame.layers.link_src() else { return false };
        let tags = frame.layers.tags().networks();
        let pair = self.pairs.entry(&(vantage, question.asker(), mac), Pair::default);
        if asked.tags == tags || asked.is_both {
            pair.even = pair.even.saturating_add(1);
            if let Some(line) = pair.line.and_then(|line| self.lines.get_mut(&line)) {
                line.what.even = line.what.even.saturating_add(1);
            }
            return true;
        }
        // Tags of which neither is the inner end of the other are two networks: a private VLAN, or an answer by another way.
        if !asked.tags.is_compatible(&tags) {
            return false;
        }
        let is_answer = tags.depth() > asked.tags.depth();
        let Some((_, vid)) = (if is_answer { tags.outer() } else { asked.tags.outer() }) else { return false };
        let line = (vantage, vid, is_answer);
        asked.answered = Some((cx.now, line));
        pair.line = Some(line);
        let fresh = || Line {
            asker: (question.asker(), asker),
            answerer,
            tags: (asked.tags, tags),
            domains: (asked.domain, seen.domain),
            packets: None,
            has_arp: false,
            has_changed: pair.even > 0,
            again: 0,
            even: 0,
        };
        let cite = || [asked.cited.clone(), Cited::of(frame)];
        let followed = self.lines.note(&line, frame.time, cx, fresh, cite);
        followed.what.packets = asked.packet.zip(seen.packet).or(followed.what.packets);
        followed.what.has_arp |= matches!(question, Question::Arp { .. });
        followed.what.even = 0;
        false
    }

    /// Claims what is known of a line, as far as that is certain enough.
    fn judge(&mut self, key: &LineKey, cx: &mut Context<'_>) {
        let (vantage, vid, is_answer) = *key;
        // Of a bond and its member the bond tells. That two vantages show frames alike is no reason by itself: a tag left on makes them so.
        let link = cx.world.sightings.link_of(vantage);
        if link != vantage && self.lines.get_mut(&(link, vid, is_answer)).is_some() {
            return;
        }
        let Some(matter) = self.lines.get_mut(key).filter(|matter| matter.count >= ENOUGH) else { return };
        let line = &matter.what;
        let (station, domains) = (line.asker.0, &cx.world.domains);
        let heard = cx.world.stations.station(station, line.domains.0, domains).and_then(|s| s.proof);
        let is_heard = heard.is_some_and(|proof| proof.time > matter.first);
        // A host with an address in either network may be answered by another way than it asked.
        let is_elsewhere = !domains.is_same(line.domains.0, line.domains.1)
            && cx.world.stations.station(station, line.domains.1, domains).is_some();
        let even_at = line.even_at(vantage, cx);
        let sure = line.again >= AGAIN || even_at.is_some();
        // Echo is routed, and may be by design; ARP never leaves its network.
        let may_be_routed = is_elsewhere || !(sure || line.has_changed);
        if is_heard || (may_be_routed && !line.has_arp) {
            return;
        }
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        let is_own =
            matches!(place, Place::Bond | Place::Nic | Place::Vlan | Place::Bridge | Place::Tap | Place::Guest);
        // What a mirror shows of one direction may have lost its tags on the way to us.
        if !sure && !line.has_changed && !is_own {
            return;
        }
        let claim = line.claim(key, sure, even_at.as_ref(), cx);
        let ways = line.packets.filter(|_| even_at.is_some()).map(|(question, answer)| {
            [cx.world.sightings.way("question", question, &[]), cx.world.sightings.way("answer", answer, &[])]
        });
        let claim = matter.prove(claim.going(ways.into_iter().flatten()));
        cx.raise(claim.at(vantage));
    }
}

impl Detector for VlanTagLeftOn {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        if cx.world.vantage(seen.frame.at.vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        match exchange(seen.frame) {
            Some(Exchange::Asks(question)) => self.asks(question, seen, cx),
            Some(Exchange::Answers(question, ends)) => self.answers(question, ends, seen, cx),
            None => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.lines.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.lines.due(cx.now, self.patience) {
            match due {
                Due::Ripe(key) => self.judge(&key, cx),
                Due::Over(key, line) if line.what.even >= MENDED => {
                    let why = format!("{} answers wore the tags of their questions", line.what.even);
                    cx.resolve(claim_key(&key, cx), why);
                }
                Due::Over(..) => {}
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.lines.unsaid() {
            self.judge(&key, cx);
        }
    }
}

impl Question {
    const fn asker(&self) -> Mac {
        match self {
            Self::Arp { asker, .. } | Self::Echo { asker, .. } => *asker,
        }
    }
}

/// A question, or the answer to one, with the addresses of who asked and who answered.
enum Exchange {
    Asks(Question),
    Answers(Question, (IpAddr, IpAddr)),
}

/// What a frame asks or answers; what a tunnel carries is another network's.
fn exchange(frame: &Frame<'_>) -> Option<Exchange> {
    let layers = &frame.layers;
    if layers.has_tunnel() {
        return None;
    }
    if let Some(arp) = layers.arp() {
        if arp.is_request() && !arp.is_gratuitous() && !arp.is_probe() {
            return Some(Exchange::Asks(Question::Arp { asker: arp.sender_mac(), wanted: arp.target_ip() }));
        }
        let question = Question::Arp { asker: arp.target_mac(), wanted: arp.sender_ip() };
        let ends = (arp.target_ip().into(), arp.sender_ip().into());
        return arp.is_reply().then_some(Exchange::Answers(question, ends));
    }
    let (is_request, is_reply, id, seq) = match (layers.icmp(), layers.icmpv6()) {
        (Some(icmp), _) => (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.id(), icmp.seq()),
        (_, Some(icmp)) => (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.id(), icmp.seq()),
        _ => return None,
    };
    let ip = layers.ip()?;
    if is_request {
        Some(Exchange::Asks(Question::Echo { asker: layers.link_src()?, to: ip.dst(), id, seq }))
    } else if is_reply {
        let question = Question::Echo { asker: layers.link_dst()?, to: ip.src(), id, seq };
        Some(Exchange::Answers(question, (ip.dst(), ip.src())))
    } else {
        None
    }
}

impl Line {
    /// Where both the question and the answer were seen with the same tags: the question's sighting there.
    fn even_at(&self, vantage: VantageId, cx: &Context<'_>) -> Option<Sighting> {
        let (question, answer) = self.packets?;
        let answers = cx.world.sightings.journey(answer);
        let is_even = |q: &&Sighting| {
            let is_twin = |a: &Sighting| a.at.vantage == q.at.vantage && a.tags.networks() == q.tags.networks();
            q.at.vantage != vantage && answers.iter().any(is_twin)
        };
        cx.world.sightings.journey(question).iter().find(is_even).copied()
    }

    fn claim(&self, key: &LineKey, sure: bool, even_at: Option<&Sighting>, cx: &Context<'_>) -> Claim {
        let (vantage, vid, is_answer) = *key;
        let (mac, asker) = (self.asker.0, self.asker.1);
        let (interface, answerer) = (name(vantage, cx), self.answerer);
        let mut headline = if is_answer {
            format!(
                "{interface}: answers from {answerer} to {asker} still wear the tag of VLAN {vid}; the questions pass there {}",
                worn(&self.tags.0)
            )
        } else {
            format!(
                "{interface}: what {asker} asks {answerer} wears the tag of VLAN {vid}; the answers pass there {}",
                worn(&self.tags.1)
            )
        };
        if self.has_changed {
            headline.push_str(if is_answer { ", as the answers did before" } else { ", as the questions did before" });
        }
        if let Some(question) = even_at {
            let place = name(question.at.vantage, cx);
            headline.push_str(&format!("; at {place} both are {}", worn_there(&question.tags)));
        }
        if self.again >= AGAIN {
            headline.push_str(&format!("; {asker} asks again as if it had heard nothing"));
        }
        headline.push('.');
        let (confidence, severity) =
            if sure { (Confidence::Confirmed, Severity::Error) } else { (Confidence::Likely, Severity::Warning) };
        let host = if is_answer { asker } else { answerer };
        let ip = if host.is_ipv4() { "ip" } else { "ipv6" };
        Claim::new(claim_key(key, cx), confidence, severity, headline)
            .number("mac", mac.to_string())
            .number("asker", asker.to_string())
            .number("answerer", answerer.to_string())
            .number("question_tags", self.tags.0.to_string())
            .number("answer_tags", self.tags.1.to_string())
            .number("asked_again", self.again)
            .filter(match asker {
                IpAddr::V4(v4) => format!("({ip}.addr == {asker} || arp.dst.proto_ipv4 == {v4}) && vlan.id == {vid}"),
                IpAddr::V6(_) => format!("{ip}.addr == {asker} && vlan.id == {vid}"),
            })
            .cause(format!(
                "the switch port sends VLAN {vid} tagged and takes it untagged: it is the port's native VLAN one way only"
            ))
            .cause(format!("a trunk's two ends disagree about the native VLAN, one of them means {vid}"))
            .cause("a VLAN device rides on a VLAN device, and only one tag is taken off (VLAN001)")
            .cause("a bridge has both a VLAN device and the device below it as ports")
            .step("On a Linux bridge, see which ports send the VLAN untagged", Command::with("bridge vlan show | grep -B1 -w {}", &[&vid]))
            .step("And make the port take the tag off", Command::with("bridge vlan add dev PORT vid {} pvid untagged", &[&vid]))
            .step(
                "On a switch, compare the native VLAN of both ends of each link on the way",
                "show interfaces trunk   # switchport trunk native vlan, or switchport access vlan",
            )
            .step("On a host, see whether a bridge holds a VLAN device and its parent", "bridge link; ip -d link show type vlan")
    }
}

/// What packets wear, for a sentence.
fn worn(tags: &TagStack) -> String {
    if tags.is_empty() { "untagged".to_owned() } else { format!("with {tags} alone") }
}

/// What packets wear elsewhere, for a sentence.
fn worn_there(tags: &TagStack) -> String {
    if tags.is_empty() { "untagged".to_owned() } else { format!("tagged {tags}") }
}

fn claim_key((vantage, vid, is_answer): &LineKey, cx: &Context<'_>) -> Key {
    let side = if *is_answer { "answers" } else { "questions" };
    Key::new().with("interface", name(*vantage, cx)).with("vlan", vid).with("tagged", side)
}

fn name(vantage: VantageId, cx: &Context<'_>) -> String {
    cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default()
}
