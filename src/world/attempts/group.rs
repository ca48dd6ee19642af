//! One client's attempts at one network behind its gateway, since anybody there answered it.

use std::net::IpAddr;

use super::cite;
use super::fresh::Asked;
use super::target::Prefix;
use crate::event::{Cited, VantageId};
use crate::value::{Few, Mac, Span, Timestamp};

/// Destinations that are told apart; further ones count with them.
const MOST_TARGETS: usize = 64;
/// Ports that are remembered.
const MOST_PORTS: usize = 8;
/// How long it must have been tried (findings.md, IP002).
const SPAN: Span = Span::secs(30);
/// Destinations that are enough, or two and this many attempts.
const TARGETS: usize = 3;
const ATTEMPTS: u64 = 10;
/// At most one word about a network in this time.
const TELL_EVERY: Span = Span::secs(30);

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub client_mac: Mac,
    pub gateway: Mac,
    pub vantage: VantageId,
    pub targets: Few<IpAddr>,
    pub ports: Few<u16>,
    pub has_echo: bool,
    pub attempts: u64,
    /// Questions that repeat one: a client that means it, unlike one that looks around.
    pub repeats: u64,
    pub since: Timestamp,
    pub last: Timestamp,
    /// When anybody of that network answered before.
    pub answered: Option<Timestamp>,
    /// What a router said about it: the ICMP code, and which router.
    pub refusal: Option<(u8, IpAddr)>,
    /// When it was told of last, and how many attempts.
    told: Option<(Timestamp, u64)>,
    cited: Few<Cited>,
}

/// A network that one client tries in vain.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// Who tries.
    pub client: IpAddr,
    /// By its address on the link.
    pub client_mac: Mac,
    /// The network.
    pub prefix: Prefix,
    /// The gateway that it is tried through.
    pub gateway: Mac,
    /// Where it was seen.
    pub vantage: VantageId,
    /// The first question without an answer.
    pub since: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// Destinations.
    pub targets: Vec<IpAddr>,
    /// TCP ports that were tried.
    pub ports: Vec<u16>,
    /// Whether echo requests were among the questions.
    pub has_echo: bool,
    /// Questions, repeats among them.
    pub attempts: u64,
    /// When anybody of that network answered before; `None` if nobody ever did.
    pub answered: Option<Timestamp>,
    /// What a router said about it: the ICMP code, and which router.
    pub refusal: Option<(u8, IpAddr)>,
    /// Other networks that answer the same client.
    pub answering: Vec<Prefix>,
    /// The questions.
    pub cited: Vec<Cited>,
}

impl Group {
    /// A network that begins to be silent with what was `asked` of `target`; anybody there had `answered` before.
    pub fn new(target: IpAddr, port: Option<u16>, asked: &Asked, answered: Option<Timestamp>) -> Self {
        Self {
            client_mac: asked.src,
            gateway: asked.dst,
            vantage: asked.vantage(),
            targets: Few::of(target),
            ports: port.map(Few::of).unwrap_or_default(),
            has_echo: port.is_none(),
            attempts: 1,
            repeats: 0,
            since: asked.at,
            last: asked.at,
            answered,
            refusal: None,
            told: None,
            cited: Few::of(asked.cited.clone()),
        }
    }

    /// A further question, to `target`: at a port, or an echo.
    pub fn asked(&mut self, target: IpAddr, port: Option<u16>, asked: &Asked) {
        let at = asked.at;
        self.since = if self.attempts == 0 { at } else { self.since.min(at) };
        self.last = self.last.max(at);
        self.attempts = self.attempts.saturating_add(1);
        if self.targets.contains(&target) {
            self.repeats = self.repeats.saturating_add(1);
        } else if self.targets.len() < MOST_TARGETS {
            self.targets.push(target);
        }
        match port {
            Some(port) if !self.ports.contains(&port) && self.ports.len() < MOST_PORTS => self.ports.push(port),
            Some(_) => {}
            None => self.has_echo = true,
        }
        cite(&mut self.cited, asked.cited.clone());
    }

    /// Somebody there answered; whether the silence had been told of.
    pub fn settle(&mut self, at: Timestamp) -> bool {
        // What was allocated stays: the next attempt is on its way.
        self.targets.clear();
        self.ports.clear();
        self.cited.clear();
        (self.attempts, self.repeats, self.has_echo) = (0, 0, false);
        (self.since, self.last, self.answered, self.refusal) = (at, at, Some(at), None);
        self.told.take().is_some()
    }

    /// Whether there is enough to tell at `now`, and more than last time; notes that it was told.
    pub fn tells(&mut self, now: Timestamp) -> bool {
        let targets = self.targets.len();
        // Whoever looks around asks each once; whoever needs it asks again.
        let is_meant = self.repeats >= targets as u64;
        let is_enough = now.since(self.since) >= SPAN
            && is_meant
            && (targets >= TARGETS || targets >= 2 && self.attempts >= ATTEMPTS);
        let is_news = self.told.is_none_or(|(at, _)| now.since(at) >= TELL_EVERY);
        if is_enough && is_news {
            self.told = Some((now, self.attempts));
        }
        is_enough && is_news
    }

    /// Whether more was tried since it was told of.
    pub fn is_outgrown(&self) -> bool {
        self.told.is_some_and(|(_, told)| self.attempts > told)
    }

    pub fn unreached(&self, client: IpAddr, prefix: Prefix, answering: Vec<Prefix>) -> Unreached {
        Unreached {
            client,
            client_mac: self.client_mac,
            prefix,
            gateway: self.gateway,
            vantage: self.vantage,
            since: self.since,
            last: self.last,
            targets: self.targets.to_vec(),
            ports: self.ports.to_vec(),
            has_echo: self.has_echo,
            attempts: self.attempts,
            answered: self.answered,
            refusal: self.refusal,
            answering,
            cited: self.cited.to_vec(),
        }
    }
}
