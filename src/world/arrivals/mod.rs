//! What arrives from the network at each uplink, and since when nothing does. Of each bond and card: frames by the second for half a minute, and the
//! head of the latest frame. Silence is told when nothing has arrived for many times the usual gap while frames elsewhere show that time passes, or
//! the kernel tells that the carrier is gone; a pause of the whole capture is none. A few hundred bytes an uplink.

mod questions;
mod uplink;

pub use questions::Questions;
pub use uplink::Silence;

use super::{Derived, Domains, Observation, Tracker};
use crate::event::{Direction, Fact, Frame, Link, Place, Placed, Stamped, Vantage, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::{Kind, Kinds};
use uplink::{Seconds, State, Uplink};

/// Addresses of this host and its guests that are known.
const MOST_LOCALS: usize = 65_536;

/// All uplinks.
pub struct Arrivals {
    briefly: Span,
    long: Span,
    back: (Span, u32),
    uplinks: Vec<Uplink>,
    at: usize,
    /// Frames of all vantages.
    life: Seconds,
    /// Addresses that are this host's or its guests', as the host tells; of guests behind a tap, the tap's.
    locals: BoundedMap<Mac, ()>,
    /// Vantages inside this host.
    inside: Vec<VantageId>,
    /// What hosts asked while an uplink was silent.
    questions: Questions,
    ended: Vec<(u16, Option<Timestamp>)>,
    /// An uplink waits for a sign that time passes.
    is_waiting: bool,
    due: Option<Timestamp>,
}

impl Arrivals {
    /// No uplink yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            briefly: Span::secs(settings.stp.silence_s),
            long: Span::secs(settings.link.silence_s),
            back: (Span::secs(settings.link.restored_s), settings.link.restored_frames),
            uplinks: Vec::new(),
            at: 0,
            life: Seconds::default(),
            locals: BoundedMap::new(MOST_LOCALS),
            inside: Vec::new(),
            questions: Questions::default(),
            ended: Vec::new(),
            is_waiting: false,
            due: None,
        }
    }

    /// Another vantage is there; bonds and cards are uplinks.
    pub(super) fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        match vantage.place {
            Place::Bond | Place::Nic => self.uplinks.push(Uplink::new(id, vantage.name.clone())),
            Place::Tap | Place::Bridge | Place::Vlan => self.inside.push(id),
            _ => {}
        }
    }

    /// Nobody listened for a while: what arrives from now on arrives for the first time.
    pub(super) fn begin_anew(&mut self) {
        for uplink in &mut self.uplinks {
            *uplink = Uplink { is_dark: uplink.is_dark, ..Uplink::new(uplink.vantage, uplink.name.clone()) };
        }
        (self.life, self.questions) = (Seconds::default(), Questions::default());
        (self.is_waiting, self.due) = (false, None);
    }

    /// Nothing more comes from `lane`, whose capture went on until `until` if that is known.
    pub(super) fn end(&mut self, lane: u16, until: Option<Timestamp>) {
        self.ended.push((lane, until));
    }

    /// When the last frame arrived at `vantage`.
    pub fn latest(&self, vantage: VantageId) -> Option<Timestamp> {
        self.uplinks.iter().find(|u| u.vantage == vantage && !u.is_new()).map(|u| u.latest)
    }

    /// Since when frames arrive at `vantage` without a silence between them; `None` while nothing arrives.
    pub fn heard_since(&self, vantage: VantageId) -> Option<Timestamp> {
        let heard = |u: &&Uplink| u.vantage == vantage && !u.is_new() && !u.is_silent();
        self.uplinks.iter().find(heard).map(|u| u.heard_since)
    }

    /// Whether nothing arrives at `vantage` now.
    pub fn is_silent(&self, vantage: VantageId) -> bool {
        self.uplinks.iter().any(|u| u.vantage == vantage && u.is_silent())
    }

    /// In how many of the seconds after that of `from` up to that of `until` a frame was seen anywhere; of the last half minute.
    pub fn seconds_of_life(&self, from: Timestamp, until: Timestamp) -> usize {
        self.life.seconds(from, until)
    }

    /// Whether nothing arrives at any uplink now.
    pub fn is_any_silent(&self) -> bool {
        self.uplinks.iter().any(Uplink::is_silent)
    }

    /// What hosts behind the silent uplink have asked in vain.
    pub const fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Whether a frame at `vantage` would change no more than what is counted: no silence ends, and nobody is met for the first time.
    #[inline]
    pub(super) fn is_steady(&self, vantage: VantageId) -> bool {
        let is_steady = |uplink: &Uplink| uplink.vantage == vantage && uplink.is_steady();
        self.uplinks.is_empty() || (!self.is_waiting && self.uplinks.get(self.at).is_some_and(is_steady))
    }

    /// Takes a frame from `src` in where all is steady.
    #[inline(always)]
    pub(super) fn pass(&mut self, placed: &Placed<'_>, src: Mac) {
        let second = placed.order.second();
        self.life.count(second);
        let has_come = match placed.record.direction {
            Direction::In => true,
            Direction::Out => false,
            Direction::Unknown => !self.is_local(src),
        };
        if let Some(uplink) = self.uplinks.get_mut(self.at).filter(|_| has_come) {
            uplink.go_on(placed, second);
        }
    }

    /// Takes `frame` in. Without a direction, `is_ours` tells that it was seen inside this host before; the host's facts tell others.
    #[inline]
    pub(super) fn note(&mut self, frame: &Frame<'_>, is_ours: bool, is_doubtful: bool, out: &mut Vec<Derived>) {
        let second = frame.order.second();
        self.life.count(second);
        if self.uplinks.is_empty() {
            return;
        }
        if self.is_waiting {
            self.wake(frame.order);
        }
        let vantage = frame.at.vantage;
        if self.uplinks.get(self.at).is_none_or(|u| u.vantage != vantage) {
            let Some(at) = self.uplinks.iter().position(|u| u.vantage == vantage) else { return };
            self.at = at;
        }
        let has_come = match frame.direction {
            Direction::In => true,
            Direction::Out => false,
            Direction::Unknown => {
                !is_ours && !is_doubtful && !frame.layers.link_src().is_some_and(|src| self.is_local(src))
            }
        };
        let Some(uplink) = self.uplinks.get_mut(self.at).filter(|_| has_come) else { return };
        let (was, is_new) = (uplink.state, uplink.is_new());
        uplink.arrive(frame, second, self.back, out);
        if is_new || uplink.state != was {
            uplink.look = frame.order.after(self.briefly);
            self.schedule();
            if !self.is_any_silent() {
                self.questions = Questions::default();
            }
        }
    }

    /// Time passes again for those who waited for it.
    #[cold]
    fn wake(&mut self, now: Timestamp) {
        self.is_waiting = false;
        let look = now.after(self.long);
        for uplink in self.uplinks.iter_mut().filter(|u| u.state == State::Parked) {
            (uplink.state, uplink.look) = (State::Heard, look);
        }
        self.schedule();
    }

    /// Whether `mac` is one of this host, or of a guest on it.
    #[inline]
    fn is_local(&self, mac: Mac) -> bool {
        !self.locals.is_empty() && (self.locals.peek(&mac).is_some() || self.locals.peek(&mac.of_tap()).is_some())
    }

    fn learn(&mut self, fact: &Stamped<Fact>) {
        match &fact.what {
            Fact::Link(link) => {
                if let Some(mac) = link.mac {
                    self.locals.insert(mac, ());
                }
                self.note_carrier(link, fact.time);
            }
            Fact::Guest(guest) => {
                self.locals.insert(guest.mac, ());
            }
            _ => {}
        }
    }

    /// The kernel says that nothing can arrive any more, or can again: then nobody need be seen to live meanwhile.
    fn note_carrier(&mut self, link: &Link, time: Option<Timestamp>) {
        let is_dark = link.carrier == Some(false) && link.up != Some(false);
        for uplink in self.uplinks.iter_mut().filter(|u| u.name == link.name && u.is_dark != is_dark) {
            uplink.is_dark = is_dark;
            if let (true, false, false, Some(time)) = (is_dark, uplink.is_new(), uplink.is_silent(), time) {
                uplink.look = uplink.latest.after(self.briefly).max(time);
            }
        }
        self.schedule();
    }

    fn schedule(&mut self) {
        self.due = self.uplinks.iter().map(|u| u.look).min().filter(|look| *look < Timestamp::MAX);
    }

    /// Whether the capture of `vantage` went on until `now`, as far as it tells.
    pub fn is_captured(&self, vantage: VantageId, now: Timestamp) -> bool {
        let end = self.ended.iter().find(|(lane, _)| *lane == vantage.lane);
        end.is_none_or(|(_, until)| until.is_some_and(|until| until >= now))
    }
}

impl Tracker for Arrivals {
    /// What asks and what answers; every frame comes by `note`, since whose it is must be known.
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Arp, Kind::Dhcp, Kind::Icmp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, _out: &mut Vec<Derived>) {
        match seen {
            Observation::Host(fact) => self.learn(fact),
            Observation::Packet(seen) if self.is_any_silent() => {
                let vantage = seen.frame.at.vantage;
                let is_here = self.inside.contains(&vantage) || self.uplinks.iter().any(|u| u.vantage == vantage);
                if is_here {
                    self.questions.note(seen.frame);
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        for at in 0..self.uplinks.len() {
            let Some(vantage) = self.uplinks.get(at).filter(|u| u.look <= now).map(|u| u.vantage) else { continue };
            let is_captured = self.is_captured(vantage, now);
            let Some(uplink) = self.uplinks.get_mut(at) else { continue };
            uplink.look(now, (self.briefly, self.long), &self.life, is_captured, out);
            self.is_waiting |= uplink.state == State::Parked;
        }
        self.schedule();
    }
}

/// Whether a frame of unknown direction may be a guest's although its address is no known one: a BPDU with a guest's prefix.
pub(super) fn is_doubtful(frame: &Frame<'_>, settings: &crate::settings::Stp) -> bool {
    frame.direction == Direction::Unknown
        && frame.layers.has(Kind::Stp)
        && frame.layers.link_src().is_some_and(|mac| settings.is_guest_prefix(mac))
}
