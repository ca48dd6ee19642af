//! Who speaks by ARP or neighbour discovery for an address that somebody else speaks for (RFC 826, RFC 5227, RFC 4861 section 7.2): each network
//! at each vantage by itself, since tenants may use the same addresses. At most `tables.lapses` addresses, four stations of each, forgotten
//! after a minute of silence; what a cooked capture mixes is not followed, nor an advertisement that overrides nobody: a proxy's, or of an
//! address that many share (anycast).

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Frame};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::{Kind, Kinds, LinkType};

/// How long ago a station must have spoken to be one that has the address still (findings.md, ARP001).
const ACTIVE: Span = Span::secs(60);
/// How soon two answers to one station answer one question: it asks again after a second (Linux `retrans_time`).
const ONE_QUESTION: Span = Span::millis(500);
/// How soon an announcement against another defends an address: who takes over by plan waits until the other is silent.
const DEFENCE: Span = Span::secs(1);
/// How long whoever hands an address over may still answer for it.
const HANDOVER: Span = Span::secs(1);
/// Stations of one address that are told apart.
const MOST_RIVALS: usize = 4;
/// Stations that one was seen to answer.
const MOST_TOLD: usize = 8;
/// Addresses for which one station answers past which it answers in the name of others: proxy ARP (RFC 1027).
const PROXY: usize = 5;
/// Neighbour discovery is heard only from this link: what a router has sent on has fewer hops left (RFC 4861 section 7.1).
const OWN_LINK: u8 = 255;
/// What an advertisement says of itself: it was asked, and it takes the place of what was known (RFC 4861 section 4.4).
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Virtual forwarders of one gateway, of which several answer for one address in turn (Cisco GLBP, 0007.b4).
const FORWARDERS: [u8; 3] = [0x00, 0x07, 0xb4];

/// All addresses, and who speaks for them.
pub struct Rivals {
    contests: BoundedMap<(DomainId, IpAddr), Contest>,
    /// For which addresses a station speaks, those of IPv6 by themselves.
    spoken: BoundedMap<(DomainId, Mac, bool), Vec<IpAddr>>,
}

/// One address.
#[derive(Default)]
struct Contest {
    rivals: Vec<Rival>,
    /// Who spoke last, and since when nobody else did.
    speaker: Option<(Mac, Timestamp)>,
}

/// One station that speaks for it.
struct Rival {
    mac: Mac,
    last: Timestamp,
    /// How often it spoke, and how often after somebody else had.
    count: u64,
    runs: u64,
    announced: Option<Timestamp>,
    /// Whether it spoke to everybody, and whom it answered when.
    is_broadcasting: bool,
    told: Vec<(Mac, Timestamp)>,
    cited: Cited,
}

/// What somebody says of an address.
struct Speech {
    ip: IpAddr,
    mac: Mac,
    at: Timestamp,
    is_announcement: bool,
    /// Whom it answers; `None` where it speaks to everybody.
    asker: Option<Mac>,
}

/// Two stations speak for one address.
#[derive(Clone, Debug)]
pub struct Contested {
    /// The address.
    pub ip: IpAddr,
    /// In which network, as seen at one vantage.
    pub domain: DomainId,
    /// Who spoke before, and who speaks now; how often each did.
    pub rivals: [(Mac, u64); 2],
    /// By what it is known.
    pub how: Conflict,
    /// When the one who spoke before did so last.
    pub since: Timestamp,
    /// The two frames.
    pub cited: Vec<Cited>,
}

/// By what it is known that two stations have one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Conflict {
    /// One speaks again after the other did.
    Returned,
    /// They speak in turn, each twice or more.
    InTurn,
    /// One announces the address, the other announces it at once too (RFC 5227 section 2.4).
    Defended,
    /// Both answer one question.
    BothAnswered,
}

impl Rivals {
    /// Nobody yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.lapses;
        Self { contests: BoundedMap::new(limit), spoken: BoundedMap::new(limit) }
    }

    fn note(&mut self, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let (frame, domain) = (seen.frame, seen.domain);
        let Some(speech) = Speech::by_arp(frame).or_else(|| Speech::by_discovery(frame)) else { return };
        let Speech { ip, mac, asker, .. } = speech;
        let [a, b, c, ..] = mac.0;
        let is_other = ip.is_unspecified() || [a, b, c] == FORWARDERS;
        if frame.link != LinkType::Ethernet || is_other || !mac.is_station() {
            return;
        }
        let (is_many, is_news) = self.speaks_for_many((domain, mac), ip);
        // Of IPv6 a host has as many as it likes.
        if is_news && ip.is_ipv4() {
            out.push(Derived::ProxyArp { domain, mac });
        }
        if is_many && asker.is_some() {
            return;
        }
        let contest = self.contests.entry(&(domain, ip), Contest::default);
        let Some((how, before)) = contest.hear(&speech, Cited::beginning(frame)) else { return };
        if self.spoken.peek(&(domain, before, ip.is_ipv6())).is_some_and(|spoken| spoken.len() >= PROXY)
            && !speech.is_announcement
        {
            return;
        }
        let [Some(one), Some(two)] = [before, mac].map(|mac| contest.rival(mac)) else { return };
        out.push(Derived::Contested(Arc::new(Contested {
            ip,
            domain,
            rivals: [(one.mac, one.count), (two.mac, two.count)],
            how,
            since: one.last,
            cited: vec![one.cited.clone(), two.cited.clone()],
        })));
    }

    /// Notes that `who` speaks for an address; whether it does so for many of that kind, and whether that is news.
    fn speaks_for_many(&mut self, (domain, mac): (DomainId, Mac), ip: IpAddr) -> (bool, bool) {
        let spoken = self.spoken.entry(&(domain, mac, ip.is_ipv6()), Vec::new);
        let is_new = spoken.len() < PROXY && !spoken.contains(&ip);
        if is_new {
            spoken.push(ip);
        }
        (spoken.len() >= PROXY, is_new && spoken.len() >= PROXY)
    }
}

impl Speech {
    /// What an ARP packet says of its sender.
    fn by_arp(frame: &Frame<'_>) -> Option<Self> {
        let arp = frame.layers.arp().filter(|arp| arp.is_ethernet_ipv4() && (arp.is_request() || arp.is_reply()))?;
        let asker = frame.layers.inner_dst().filter(|dst| dst.is_station());
        let (ip, mac, is_announcement) = (arp.sender_ip().into(), arp.sender_mac(), arp.is_gratuitous());
        Some(Self { ip, mac, at: frame.order, is_announcement, asker })
    }

    /// What an advertisement says of its target, or a solicitation of its sender; one from no address looks whether another is free.
    fn by_discovery(frame: &Frame<'_>) -> Option<Self> {
        let layers = &frame.layers;
        let (icmp, ip, mac) = (layers.icmpv6()?, layers.inner_ip()?, layers.inner_src()?);
        if ip.ttl() != OWN_LINK {
            return None;
        }
        let asker = layers.inner_dst().filter(|dst| dst.is_station());
        let speech = |ip, is_announcement, asker| Self { ip, mac, at: frame.order, is_announcement, asker };
        if let Some(target) = icmp.advertisement_target() {
            let flags = *icmp.body().first()?;
            return (flags & OVERRIDE != 0).then(|| speech(target.into(), flags & SOLICITED == 0, asker));
        }
        icmp.solicitation_target()?;
        Some(speech(ip.src(), false, asker))
    }
}

impl Tracker for Rivals {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Arp, Kind::Icmpv6]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        // Every vantage by itself: what is one network elsewhere may be two where tags are hidden.
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.note(seen, out);
        }
    }

    fn forgotten(&self) -> u64 {
        self.contests.forgotten()
    }
}

impl Contest {
    /// Somebody speaks for the address; whether that contradicts another, and whom.
    fn hear(&mut self, speech: &Speech, cited: Cited) -> Option<(Conflict, Mac)> {
        let Speech { mac, at, .. } = *speech;
        let is_active = |rival: &Rival| at.since(rival.last) <= ACTIVE;
        if !self.rivals.iter().all(is_active) {
            self.rivals.retain(is_active);
        }
        let (before, since) = self.speaker.unwrap_or((mac, at));
        let is_turn = before != mac;
        if is_turn || self.speaker.is_none() {
            self.speaker = Some((mac, at));
        }
        let is_full = self.rivals.len() >= MOST_RIVALS;
        match self.rivals.iter_mut().find(|rival| rival.mac == mac) {
            Some(rival) => rival.speaks(speech, is_turn, cited),
            None if is_full => return None,
            None => self.rivals.push(Rival::new(speech, cited)),
        }
        if !is_turn {
            return None;
        }
        let (mine, other) = (self.rival(mac)?, self.rival(before)?);
        mine.contradicts(other, speech, at.since(since) >= HANDOVER).map(|how| (how, before))
    }

    fn rival(&self, mac: Mac) -> Option<&Rival> {
        self.rivals.iter().find(|rival| rival.mac == mac)
    }
}

impl Rival {
    fn new(speech: &Speech, cited: Cited) -> Self {
        let (mac, last) = (speech.mac, speech.at);
        let mut rival = Self {
            mac,
            last,
            count: 0,
            runs: 1,
            announced: None,
            is_broadcasting: false,
            told: Vec::new(),
            cited: cited.clone(),
        };
        rival.speaks(speech, false, cited);
        rival
    }

    fn speaks(&mut self, speech: &Speech, is_turn: bool, cited: Cited) {
        (self.last, self.cited) = (speech.at, cited);
        self.count = self.count.saturating_add(1);
        self.runs = self.runs.saturating_add(u64::from(is_turn));
        if speech.is_announcement {
            self.announced = Some(speech.at);
        }
        let Some(asker) = speech.asker else {
            self.is_broadcasting = true;
            return;
        };
        let is_full = self.told.len() >= MOST_TOLD;
        match self.told.iter_mut().find(|(mac, _)| *mac == asker) {
            Some((_, at)) => *at = speech.at,
            None if !is_full => self.told.push((asker, speech.at)),
            None => {}
        }
    }

    /// Whether what it says now contradicts what `other` said last.
    fn contradicts(&self, other: &Self, speech: &Speech, is_settled: bool) -> Option<Conflict> {
        let answered = |at: &Timestamp| speech.at.since(*at) <= ONE_QUESTION;
        let is_answer = !speech.is_announcement;
        if is_answer && other.told.iter().any(|(mac, at)| Some(*mac) == speech.asker && answered(at)) {
            return Some(Conflict::BothAnswered);
        }
        let is_challenged = other.announced.is_some_and(|at| speech.at.since(at) <= DEFENCE);
        if speech.is_announcement && is_challenged && self.count > 1 {
            return Some(Conflict::Defended);
        }
        // A bond that balances what it receives answers each of its peers from another card, and each peer from one (balance-alb).
        let is_shared = self.is_broadcasting && other.is_broadcasting
            || self.told.iter().any(|(mac, _)| other.told.iter().any(|(to, _)| to == mac));
        if !is_shared || self.runs < 2 {
            None
        } else if other.runs >= 2 {
            Some(Conflict::InTurn)
        } else {
            // Who takes an address back by plan announces it first.
            (is_answer && is_settled).then_some(Conflict::Returned)
        }
    }
}
