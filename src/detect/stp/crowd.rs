//! Guests behind one uplink that all speak spanning tree, for STP001: more than five are told as one (findings.md, STP001 and 1.2).

use std::collections::BTreeMap;

use crate::detect::Context;
use crate::detect::stp::verdict::Verdict;
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Key};
use crate::value::{Mac, Span, Timestamp};

/// So many are told each by itself.
const EACH: usize = 5;
/// Uplinks whose guests are followed; what is behind another joins the last one's.
const MOST: usize = 256;
/// Addresses that are told apart; past that, one that comes back counts again.
const MOST_SENDERS: usize = 4_096;
/// Frames that are cited: one of each of the first guests.
const CITED: usize = 4;
/// How often more of the same is told: as often as a finding is updated (findings.md 1.2).
const TOLD_EVERY: Span = Span::secs(10);

/// The guests behind each uplink that speak.
#[derive(Default)]
pub struct Crowds {
    crowds: Vec<Crowd>,
}

/// The guests behind one uplink, of this node or of others.
struct Crowd {
    uplink: String,
    vantage: VantageId,
    is_remote: bool,
    /// Whose BPDUs they are, each with its networks and families; and how many more there are.
    macs: BTreeMap<Mac, u32>,
    beyond: usize,
    /// What was said of each before they were many.
    singles: Vec<Key>,
    first: Timestamp,
    last: Timestamp,
    /// The worst of them, and its guest.
    worst: Verdict,
    mac: Mac,
    /// The port of the first, and whether all have it.
    port: Option<String>,
    is_one_port: bool,
    cited: usize,
    fresh: Vec<Cited>,
    /// When they were told as one last, and of how many.
    said: Option<(Timestamp, usize)>,
    /// When it is looked at again.
    due: Option<Timestamp>,
}

/// A guest's BPDU.
pub struct Heard<'a> {
    /// Where it was seen.
    pub vantage: VantageId,
    /// Its sender.
    pub mac: Mac,
    /// What is to be said of it.
    pub verdict: Verdict,
    /// Behind which port.
    pub port: Option<&'a str>,
    /// When.
    pub at: Timestamp,
    /// The frame.
    pub frame: Option<&'a Cited>,
}

impl Crowds {
    /// A guest was heard for the first time: where it belongs.
    pub fn join(&mut self, heard: &Heard<'_>, cx: &Context<'_>) -> usize {
        let uplink = cx.world.uplink(heard.vantage).unwrap_or_else(|| cx.world.interface(heard.vantage));
        let is_it = |c: &Crowd| c.uplink == uplink && c.is_remote == heard.verdict.is_remote;
        let at = self.crowds.iter().position(is_it).unwrap_or_else(|| {
            if self.crowds.len() < MOST {
                self.crowds.push(Crowd::new(uplink, heard));
            }
            self.crowds.len().saturating_sub(1)
        });
        if let Some(crowd) = self.crowds.get_mut(at) {
            if crowd.len() == 0 {
                *crowd = Crowd::new(std::mem::take(&mut crowd.uplink), heard);
            }
            crowd.take(heard);
        }
        at
    }

    /// Whether those there are told as one.
    pub fn speaks_for(&self, at: usize) -> bool {
        self.crowds.get(at).is_some_and(|crowd| crowd.said.is_some() || crowd.len() > EACH)
    }

    /// `single` was said of one of them.
    pub fn name(&mut self, at: usize, single: &Key) {
        if let Some(crowd) = self.crowds.get_mut(at) {
            crowd.singles.push(single.clone());
        }
    }

    /// The guest `mac` has been silent for so long that it is over.
    pub fn leave(&mut self, at: usize, mac: Mac, single: Option<&Key>) {
        let Some(crowd) = self.crowds.get_mut(at).filter(|crowd| crowd.said.is_none()) else { return };
        crowd.singles.retain(|key| Some(key) != single);
        if let Some(n) = crowd.macs.get_mut(&mac) {
            *n = n.saturating_sub(1);
        }
        crowd.macs.retain(|_, n| *n > 0);
    }

    /// One of those that are told as one was heard.
    pub fn hear(&mut self, at: usize, heard: &Heard<'_>, cx: &mut Context<'_>) {
        let Some(crowd) = self.crowds.get_mut(at) else { return };
        let is_worse = crowd.note(heard);
        match crowd.said {
            Some((at, _)) if !is_worse => {
                let soon = at.after(TOLD_EVERY).max(cx.now);
                crowd.due = Some(crowd.due.map_or(soon, |due| due.min(soon)));
            }
            _ => crowd.claim(cx),
        }
    }

    /// An uplink is back: what was not over while it was silent may be, at `due`.
    pub fn look_again(&mut self, due: Timestamp) {
        for crowd in self.crowds.iter_mut().filter(|crowd| crowd.said.is_some()) {
            crowd.due.get_or_insert(due);
        }
    }

    /// When one of them is to be looked at.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.crowds.iter().filter_map(|crowd| crowd.due).min()
    }

    /// Tells what is new, and what is over.
    pub fn expire(&mut self, patience: Span, cx: &mut Context<'_>) {
        let is_silent = cx.world.arrivals.is_any_silent();
        let now = cx.now;
        for crowd in self.crowds.iter_mut().filter(|crowd| crowd.due.is_some_and(|due| due <= now)) {
            crowd.claim_unsaid(cx);
            let over = crowd.last.after(patience);
            crowd.due = Some(over).filter(|over| *over > now);
            if over <= now && !is_silent {
                cx.resolve(crowd.key(), format!("no BPDU of any of them for {patience}"));
                crowd.macs.clear();
                (crowd.beyond, crowd.said) = (0, None);
            }
        }
    }

    /// The capture ended: tells what was not told.
    pub fn finish(&mut self, cx: &mut Context<'_>) {
        self.crowds.iter_mut().for_each(|crowd| crowd.claim_unsaid(cx));
    }
}

impl Crowd {
    fn new(uplink: String, heard: &Heard<'_>) -> Self {
        Self {
            uplink,
            vantage: heard.vantage,
            is_remote: heard.verdict.is_remote,
            macs: BTreeMap::new(),
            beyond: 0,
            singles: Vec::new(),
            first: heard.at,
            last: heard.at,
            worst: heard.verdict,
            mac: heard.mac,
            port: heard.port.map(str::to_owned),
            is_one_port: true,
            cited: 0,
            fresh: Vec::new(),
            said: None,
            due: None,
        }
    }

    /// How many guests speak.
    fn len(&self) -> usize {
        self.macs.len().saturating_add(self.beyond)
    }

    fn take(&mut self, heard: &Heard<'_>) {
        if self.macs.len() < MOST_SENDERS || self.macs.contains_key(&heard.mac) {
            let n = self.macs.entry(heard.mac).or_default();
            *n = n.saturating_add(1);
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
        if let Some(frame) = heard.frame.filter(|_| self.cited < CITED) {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(frame.clone());
        }
        self.note(heard);
    }

    /// Takes a BPDU in; tells whether it makes what is to be said of them worse.
    fn note(&mut self, heard: &Heard<'_>) -> bool {
        self.last = self.last.max(heard.at);
        self.is_one_port &= self.port.as_deref() == heard.port;
        let rank = |verdict: &Verdict| (verdict.confidence, verdict.severity);
        let is_worse = rank(&heard.verdict) > rank(&self.worst);
        if is_worse {
            (self.worst, self.mac) = (heard.verdict, heard.mac);
        }
        is_worse
    }

    fn key(&self) -> Key {
        let origin = if self.is_remote { "guests elsewhere" } else { "guests here" };
        Key::new().with("interface", &self.uplink).with("origin", origin)
    }

    fn claim_unsaid(&mut self, cx: &mut Context<'_>) {
        if self.said.is_some_and(|(at, n)| n < self.len() || at < self.last) {
            self.claim(cx);
        }
    }

    fn claim(&mut self, cx: &mut Context<'_>) {
        let (key, n) = (self.key(), self.len());
        for single in self.singles.drain(..) {
            cx.absorb(single, format!("it is one of {n}, and one finding speaks for all"));
        }
        self.said = Some((cx.now, n));
        self.due.get_or_insert(self.last.after(Span::secs(cx.settings.stp.resolve_s)));
        let port = self.port.as_deref().filter(|_| self.is_one_port);
        let who = match port {
            Some(port) => format!("The guest behind {port} sends spanning tree frames from {n} addresses"),
            None if self.is_remote => {
                format!("{n} guests on other nodes ({} is one) send spanning tree frames", self.mac)
            }
            None => format!("{n} guests of this node ({} is one) send spanning tree frames", self.mac),
        };
        let guests = cx.world.guests();
        let headline = format!("{who} since {}; {}.", self.first.clock(), self.worst.so_that(guests));
        let cited: Vec<Cited> = self.fresh.drain(..).collect();
        let claim = Claim::new(key, self.worst.confidence, self.worst.severity, headline)
            .at(self.vantage)
            .seen(self.first, n as u64)
            .until(self.last)
            .number("senders", n)
            .number("uplink", self.uplink.as_str())
            .number("guests_behind_the_uplink", guests)
            .proved_by(cited)
            .filter("eth.dst == 01:80:c2:00:00:00 || eth.dst == 01:00:0c:cc:cc:cd")
            .cause("many instances run one image, which bridges its network card with spanning tree on")
            .cause("a guest invents addresses: a fuzzer, or an attack");
        let device = port.and_then(|port| cx.world.known_device(port));
        cx.raise(self.worst.with_remedy(claim, device));
    }
}
