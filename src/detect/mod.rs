//! Judgements: one rule a file, its page beside it. A detector says what it sees now; the ledger does the bookkeeping.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod arp;
pub mod cap;
pub mod dhcp;
mod filter;
mod followed;
pub mod host;
pub mod ip;
pub mod l2;
pub mod lacp;
pub mod lldp;
mod many;
pub mod mtu;
pub mod ra;
mod recalled;
mod stacking;
pub mod stp;
pub mod svc;
pub mod tcp;
pub mod vlan;

pub use filter::hidden_from;
use followed::{Due, Followed};
pub use recalled::Recalled;
use stacking::{Mended, Piles, devices, key_of, unstack, vlans};

use crate::event::VantageId;
use crate::finding::{Claim, Key, Rule};
use crate::settings::Settings;
use crate::value::{Timestamp, spelled_out};
use crate::wire::Kind;
use crate::world::{DomainId, Observation, Topic, World};

/// One judgement.
pub trait Detector: Send {
    /// Hears what was observed: frames of the kinds and conclusions on the topics that its entry names, and every host fact and loss.
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>);

    /// The next moment at which silence means something.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The moment `cx.now` has come; afterwards the next deadline is later than now.
    fn expire(&mut self, _cx: &mut Context<'_>) {}

    /// The capture ended: what still waits is pending, never timed out.
    fn finish(&mut self, _cx: &mut Context<'_>) {}
}

/// `claim`, which takes the vantage `port` for a guest's own: that is assumed where only a file is called so.
fn at_port(claim: Claim, port: VantageId, cx: &Context<'_>) -> Claim {
    match cx.world.vantage(port).filter(|vantage| !vantage.is_placed) {
        Some(vantage) => claim.assuming(format!("{} is a guest's own port, as the file is called", vantage.name)),
        None => claim,
    }
}

/// A network as a sentence names it: `VLAN 100`, `the untagged network`.
fn network(domain: DomainId, cx: &Context<'_>) -> String {
    let name = cx.world.domains.name(domain);
    match name.as_str() {
        "untagged" => "the untagged network".to_owned(),
        name if name.starts_with(|c: char| c.is_ascii_digit()) => format!("VLAN {name}"),
        name => name.to_owned(),
    }
}

/// One rule and how its detector is made.
#[derive(Debug)]
pub struct Entry {
    /// The rule.
    pub rule: Rule,
    /// The kinds of frames that the detector must hear.
    pub hears: &'static [Kind],
    /// The topics on which it must hear what trackers conclude.
    pub follows: &'static [Topic],
    /// Without what the rule cannot be checked.
    pub needs: Needs,
    /// Makes the detector.
    pub make: fn(&Settings) -> Box<dyn Detector>,
}

/// Without what a rule cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any capture will do.
    Frames,
    /// A vantage whose frames begin with a header of the link, an Ethernet one or a cooked one: bare packets have lost it.
    Link,
    /// A vantage whose frames begin with an Ethernet header: a cooked one has lost tags and destinations.
    Ethernet,
    /// What the host says about itself: no packet shows it.
    Host,
}

/// A family of rules.
#[derive(Debug)]
pub struct Family {
    /// The prefix of its codes.
    pub prefix: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Its rules, by code.
    pub entries: &'static [&'static Entry],
}

/// All families, in the order of the catalogue.
pub static FAMILIES: &[&Family] = &[
    &vlan::FAMILY,
    &mtu::FAMILY,
    &tcp::FAMILY,
    &ip::FAMILY,
    &dhcp::FAMILY,
    &ra::FAMILY,
    &stp::FAMILY,
    &l2::FAMILY,
    &arp::FAMILY,
    &host::FAMILY,
    &lacp::FAMILY,
    &lldp::FAMILY,
    &svc::FAMILY,
    &cap::FAMILY,
];

/// All rules, in the order of the catalogue.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.entries.iter().copied())
}

/// What a detector may know and say while it judges.
pub struct Context<'a> {
    /// The moment of judgement, in packet time.
    pub now: Timestamp,
    /// What is remembered.
    pub world: &'a World,
    /// The settings.
    pub settings: &'a Settings,
    said: &'a mut Vec<Said>,
}

/// What a detector said.
#[derive(Debug)]
pub enum Said {
    /// This is so.
    Raise(Box<Claim>),
    /// This is over, for a reason in words.
    Resolve(Key, String),
    /// This is told by a wider finding from now on, for a reason in words.
    Absorb(Key, String),
    /// This waited, since then, when the capture ended.
    Pending(String, Timestamp),
}

impl<'a> Context<'a> {
    /// A context in which what is said goes to `said`.
    pub const fn new(now: Timestamp, world: &'a World, settings: &'a Settings, said: &'a mut Vec<Said>) -> Self {
        Self { now, world, settings, said }
    }

    /// Claims that something is so.
    pub fn raise(&mut self, claim: Claim) {
        self.said.push(Said::Raise(Box::new(claim)));
    }

    /// Says that what was claimed about `key` is over, and why, as in "Resolved after 33 s: `why`.".
    pub fn resolve(&mut self, key: Key, why: impl Into<String>) {
        self.said.push(Said::Resolve(key, spelled_out(why.into())));
    }

    /// Says that what was claimed about `key` is told by a wider finding of the same rule from now on, and which.
    pub fn absorb(&mut self, key: Key, why: impl Into<String>) {
        self.said.push(Said::Absorb(key, spelled_out(why.into())));
    }

    /// Says what still waited, since when, as the capture ended.
    pub fn pending(&mut self, what: impl Into<String>, since: Timestamp) {
        self.said.push(Said::Pending(spelled_out(what.into()), since));
    }
}
