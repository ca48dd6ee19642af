//! What one station was asked and did not answer since it last proved that it hears (findings.md 2.8): by kind and by who asked, until
//! the next proof, which wipes the slate. At most sixteen questions wait, sixteen kinds of askers and seven frames are held of a station.

use std::fmt;
use std::net::IpAddr;

use super::load::{Load, Meter};
use crate::event::{Cited, FrameRef, VantageId};
use crate::settings::Liveness;
use crate::value::{Few, Mac, Span, Timestamp};
use crate::world::DomainId;

/// Questions that wait at once.
const MOST_WAITING: usize = 16;
/// Pairs of a kind and an asker that are told apart; further ones count with the last.
const MOST_ASKERS: usize = 16;
/// Vantages at which questions were seen that are remembered.
const MOST_PLACES: usize = 8;
/// An asker that asks the same again within this time was not answered, whatever this capture shows: three requests a second apart
/// are what Linux sends (`mcast_solicit`, `retrans_time`), and five seconds cover those who wait longer.
const REPEATED: Span = Span::secs(5);

/// Questions of its own by ARP, each answered and asked again, after which a station may not hear the answers: three are one attempt of Linux.
const OWN_QUESTIONS: u64 = 6;

/// What obliges a station to answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stimulus {
    /// Who has this address (RFC 826).
    Arp,
    /// Who has this IPv6 address (RFC 4861 section 7.2).
    Neighbour,
    /// The answer to its own ARP question, after which it asks again.
    ArpAnswer,
    /// The answer of a DHCP server to its own message, after which it asks again.
    Dhcp,
    /// Data, or a probe, on a connection on which it acknowledged before.
    Tcp,
    /// An echo request, to a station that answered one before.
    Echo,
}

/// Questions of one kind by one asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// What kind.
    pub what: Stimulus,
    /// Who asked.
    pub from: IpAddr,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    last: Timestamp,
    /// Whether the asker showed that it had no answer, by asking again at once.
    is_sure: bool,
}

/// A frame by which a station proved that it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// When.
    pub time: Timestamp,
    /// Which frame.
    pub at: FrameRef,
}

/// A station that does not answer: what a tracker says of it each time that it has more to tell.
#[derive(Clone, Debug)]
pub struct Lapse {
    /// Who.
    pub mac: Mac,
    /// Where.
    pub domain: DomainId,
    /// Its address of layer 3, as far as known.
    pub address: Option<IpAddr>,
    /// When it last proved that it hears; `None` where it never did in this capture.
    pub proof: Option<Proof>,
    /// The first question that stayed unanswered.
    pub since: Timestamp,
    /// By when the latest was known to be.
    pub until: Timestamp,
    /// When it sent last, whatever that was.
    pub sent: Timestamp,
    /// What it was asked, in order of the first question.
    pub unanswered: Vec<Unanswered>,
    /// Echo requests, since when and how many, that it may have dropped on purpose: it was never seen to answer one.
    pub echoes: Option<(Timestamp, u64)>,
    /// What was sent to it before.
    pub load: Load,
    /// Where questions to it were seen.
    pub places: Vec<VantageId>,
    /// The questions.
    pub cited: Vec<Cited>,
}

/// One station's slate.
#[derive(Clone, Debug)]
pub(super) struct Slate {
    waiting: Few<Waiting>,
    askers: Few<Unanswered>,
    echoes: Option<(Timestamp, u64)>,
    meter: Option<Meter>,
    /// The station's address when it fell silent: a client that lost its lease has none by now.
    address: Option<IpAddr>,
    places: Few<VantageId>,
    /// The first of each kind.
    cited: Few<(Stimulus, Cited)>,
    latest: Option<Cited>,
    until: Timestamp,
    told: Option<Told>,
}

/// What was told last, and when.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    count: u64,
    kinds: usize,
    askers: usize,
    is_mute: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    what: Stimulus,
    from: IpAddr,
    at: Timestamp,
    is_owed: bool,
    cited: Cited,
}

impl Slate {
    pub const fn new() -> Self {
        Self {
            waiting: Few::new(),
            askers: Few::new(),
            echoes: None,
            meter: None,
            address: None,
            places: Few::new(),
            cited: Few::new(),
            latest: None,
            until: Timestamp::MIN,
            told: None,
        }
    }

    /// The station was asked; it has until `patience` later. `is_owed` tells whether silence would mean anything.
    pub fn asked(&mut self, what: Stimulus, from: IpAddr, at: Timestamp, is_owed: bool, cited: Cited) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push(Waiting { what, from, at, is_owed, cited });
        }
    }

    /// The moment at which the first question that waits is unanswered; `MAX` if none waits.
    pub fn due(&self, patience: Span) -> Timestamp {
        self.waiting.first().map_or(Timestamp::MAX, |w| w.at.after(patience))
    }

    /// Questions that have waited until `now` are unanswered from now on.
    pub fn expire(&mut self, now: Timestamp, patience: Span) {
        let over = self.waiting.take_where(|question| question.at.after(patience) <= now);
        for question in over.iter() {
            if question.is_owed {
                self.failed(question.what, question.from, question.at, question.at, &question.cited);
            } else {
                let (_, count) = self.echoes.get_or_insert((question.cited.time, 0));
                *count = count.saturating_add(1);
            }
            self.until = self.until.max(now);
        }
    }

    /// Keeps what was known of the station as it fell silent: its address, and what was sent to it before.
    pub fn remember(&mut self, address: Option<IpAddr>, meter: Option<&Meter>) {
        self.address = self.address.or(address);
        if self.meter.is_none() {
            self.meter = meter.cloned();
        }
    }

    /// What was asked at `since` is unanswered, as was known at `at`.
    pub fn failed(&mut self, what: Stimulus, from: IpAddr, since: Timestamp, at: Timestamp, cited: &Cited) {
        self.until = self.until.max(at);
        self.cite(what, cited);
        let is_full = self.askers.len() >= MOST_ASKERS;
        let Some(known) = self.askers.iter_mut().find(|u| u.what == what && (u.from == from || is_full)) else {
            if !is_full {
                // Of these three, one is enough: it is the station itself, or a sender that had no answer, that repeats.
                let is_sure = matches!(what, Stimulus::ArpAnswer | Stimulus::Dhcp | Stimulus::Tcp);
                self.askers.push(Unanswered { what, from, count: 1, first: since, last: at, is_sure });
            }
            return;
        };
        known.is_sure |= at.since(known.last) <= REPEATED;
        known.count = known.count.saturating_add(1);
        known.last = known.last.max(at);
    }

    /// The station was asked where `vantage` sees it.
    pub fn seen_at(&mut self, vantage: VantageId) {
        if !self.places.contains(&vantage) && self.places.len() < MOST_PLACES {
            self.places.push(vantage);
        }
    }

    /// What `from` asked since `since` was meant to stay unanswered: a DHCP server looks whether an address is free.
    pub fn forgive(&mut self, from: IpAddr, since: Timestamp) {
        let is_probe = |what| matches!(what, Stimulus::Arp | Stimulus::Echo);
        self.waiting.retain(|w| !(is_probe(w.what) && w.from == from && w.at >= since));
        self.askers.retain(|u| !(is_probe(u.what) && u.from == from && u.first >= since));
    }

    /// Whether a claim may rest on it, as far as this station's trackers told.
    pub const fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether it was told that the station sends nothing any more.
    pub fn is_told_mute(&self) -> bool {
        self.told.is_some_and(|told| told.is_mute)
    }

    /// Whether the station owed an answer to its own ARP question.
    pub fn has_ignored_answers(&self) -> bool {
        self.askers.iter().any(|u| u.what == Stimulus::ArpAnswer)
    }

    /// Whether more stayed unanswered since it was told.
    pub fn is_outgrown(&self) -> bool {
        self.told.is_some_and(|told| self.count() > told.count)
    }

    fn count(&self) -> u64 {
        self.sure().fold(0, |sum, u| sum.saturating_add(u.count))
    }

    fn sure(&self) -> impl Iterator<Item = &Unanswered> + Clone {
        self.askers.iter().filter(|u| u.is_sure)
    }

    /// The first question that stayed unanswered, of those that are not DHCP's, and how many kinds and askers there were before `until`.
    pub fn beside_dhcp(&self, until: Timestamp) -> Option<(Unanswered, usize, usize)> {
        let others = || self.sure().filter(|u| u.what != Stimulus::Dhcp);
        let first = *others().min_by_key(|u| u.first)?;
        let before = || others().filter(|u| u.first < until);
        Some((first, count_of(before().map(|u| u.what)), count_of(before().map(|u| u.from))))
    }

    /// Whether all that is known is that it asks again by ARP although it was answered: who else it might hear was not asked.
    pub fn is_of_own_questions(&self) -> bool {
        self.sure().all(|u| u.what == Stimulus::ArpAnswer)
    }

    /// Whether that is enough to say that the station does not hear, and since when: findings.md 2.8, and besides one of the questions
    /// is of a kind that no packet filter drops, or there are two askers. DHCP alone is a matter of DHCP.
    pub fn verdict(&self, settings: &Liveness) -> Option<Timestamp> {
        let since = self.sure().map(|u| u.first).min()?;
        let count = self.count();
        if count < settings.stimuli || self.until.since(since) < Span::secs(settings.span_s) {
            return None;
        }
        let askers = count_of(self.sure().filter(|u| u.what != Stimulus::Dhcp).map(|u| u.from));
        let is_alone = || self.is_of_own_questions() && count >= OWN_QUESTIONS;
        let has_link = || self.sure().any(|u| u.what.is_of_the_link());
        let is_of_kinds = || count_of(self.sure().map(|u| u.what)) >= settings.kinds;
        let is_enough = askers >= settings.askers || is_alone() || (askers > 0 && has_link() && is_of_kinds());
        is_enough.then_some(since)
    }

    /// Whether there is more to tell than last time; notes that it was told.
    pub fn tell(&mut self, now: Timestamp, is_mute: bool, every: Span) -> bool {
        let (kinds, askers) = (count_of(self.sure().map(|u| u.what)), self.sure().count());
        let is_news = self.told.is_none_or(|told| {
            told.is_mute != is_mute || kinds > told.kinds || askers > told.askers || now.since(told.at) >= every
        });
        if is_news {
            self.told = Some(Told { at: now, count: self.count(), kinds, askers, is_mute });
        }
        is_news
    }

    /// All that it says of the station `mac`.
    pub fn lapse(&self, mac: Mac, domain: DomainId, since: Timestamp, proof: Option<Proof>, fastest: u32) -> Lapse {
        let mut unanswered: Vec<_> = self.sure().copied().collect();
        unanswered.sort_by_key(|u| (u.first, u.what, u.from));
        let until = proof.map_or(since, |proof| proof.time);
        Lapse {
            mac,
            domain,
            address: self.address,
            proof,
            since,
            until: self.until,
            sent: Timestamp::MIN,
            unanswered,
            echoes: self.echoes,
            load: self.meter.as_ref().map(|m| m.load(until, fastest)).unwrap_or_default(),
            places: self.places.to_vec(),
            cited: self.cited.iter().map(|(_, cited)| cited).chain(&self.latest).cloned().collect(),
        }
    }

    fn cite(&mut self, what: Stimulus, cited: &Cited) {
        if self.cited.iter().any(|(cited, _)| *cited == what) {
            self.latest = Some(cited.clone());
        } else {
            self.cited.push((what, cited.clone()));
        }
    }
}

impl Lapse {
    /// How many kinds of questions stay unanswered.
    pub fn kinds(&self) -> usize {
        count_of(self.unanswered.iter().map(|u| u.what))
    }

    /// Whether all that is known is that it asks one station again by ARP, although it was answered. A bond may do so by habit: it means something
    /// only where the answers are seen not to reach it.
    pub fn is_of_own_questions(&self) -> bool {
        self.unanswered.iter().all(|u| u.what == Stimulus::ArpAnswer) && self.askers() == 1
    }

    /// How many ask.
    pub fn askers(&self) -> usize {
        count_of(self.unanswered.iter().map(|u| u.from))
    }

    /// How many questions.
    pub fn count(&self) -> u64 {
        self.unanswered.iter().fold(0, |sum, u| sum.saturating_add(u.count))
    }

    /// How many of one kind.
    pub fn count_of(&self, what: Stimulus) -> u64 {
        self.unanswered.iter().filter(|u| u.what == what).fold(0, |sum, u| sum.saturating_add(u.count))
    }

    /// Whether the station has sent anything since the first question should have been answered.
    pub fn is_still_sending(&self, patience: Span) -> bool {
        self.sent > self.since.after(patience)
    }
}

impl Stimulus {
    /// All kinds, in the order in which they are told.
    pub const ALL: [Self; 6] = [Self::Arp, Self::Neighbour, Self::ArpAnswer, Self::Dhcp, Self::Tcp, Self::Echo];

    /// Whether no packet filter of a guest takes it away: it belongs to the link, or to a service that needs none.
    pub const fn is_of_the_link(self) -> bool {
        matches!(self, Self::Arp | Self::Neighbour | Self::ArpAnswer | Self::Dhcp)
    }
}

impl fmt::Display for Stimulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "ARP",
            Self::Neighbour => "neighbour solicitation",
            Self::ArpAnswer => "answer to its own ARP",
            Self::Dhcp => "DHCP answer",
            Self::Tcp => "TCP",
            Self::Echo => "echo",
        })
    }
}

/// How many different ones there are of a few: each counts where it comes for the last time.
fn count_of<T: PartialEq>(mut of: impl Iterator<Item = T> + Clone) -> usize {
    let mut count = 0_usize;
    while let Some(one) = of.next() {
        count = count.saturating_add(usize::from(of.clone().all(|other| other != one)));
    }
    count
}
