//! What two hosts send each other again, for TCP001: what is known of a pair, and what is said of it, or of one host and the many others with
//! which it is so (findings.md 1.2).

use std::net::IpAddr;

use crate::detect::{filter, many};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Confidence, Key, Severity};
use crate::value::{Mac, Span, Timestamp};
use crate::world::{DomainId, Storm, Stuck};

/// Frames that are cited of a pair.
const CITED: usize = 4;

/// Two hosts, the lower first, and the network.
pub type Hosts = (IpAddr, IpAddr, DomainId);

/// What is known of two hosts.
pub struct Pair {
    /// Where it was seen.
    pub vantage: VantageId,
    /// The network by the name that it had then.
    pub domain: DomainId,
    /// Sender and next hop of the repeats on the link.
    macs: (Mac, Mac),
    /// The first repeat.
    pub first: Timestamp,
    /// The latest news.
    pub last: Timestamp,
    /// The most repeats in thirty seconds, and all segments then.
    pub storm: Option<(u32, u32)>,
    /// The segment that was sent most often: who sends it to whom, how often, over how long.
    pub stuck: Option<(IpAddr, IpAddr, u32, Span)>,
    earliest: Option<Cited>,
    cited: usize,
    fresh: Vec<Cited>,
}

impl Pair {
    /// Nothing is known yet but where repeats were seen.
    pub const fn new(vantage: VantageId, domain: DomainId, macs: (Mac, Mac), now: Timestamp) -> Self {
        Self {
            vantage,
            domain,
            macs,
            first: now,
            last: now,
            storm: None,
            stuck: None,
            earliest: None,
            cited: 0,
            fresh: Vec::new(),
        }
    }

    /// Much is sent again.
    pub fn note_storm(&mut self, storm: &Storm) {
        if self.storm.is_none_or(|(repeats, _)| repeats < storm.repeats) {
            self.storm = Some((storm.repeats, storm.segments));
        }
        self.cite(std::slice::from_ref(&storm.cited));
    }

    /// One segment is sent again and again.
    pub fn note_stuck(&mut self, stuck: &Stuck) {
        if self.stuck.is_none_or(|(_, _, sends, _)| sends <= stuck.sends) {
            self.stuck = Some((stuck.path.src, stuck.path.dst, stuck.sends, stuck.last.since(stuck.first)));
        }
        self.first = self.first.min(stuck.first);
        self.cite(&stuck.cited);
    }

    fn cite(&mut self, frames: &[Cited]) {
        if self.earliest.is_none() {
            self.earliest = frames.first().cloned();
        }
        for cited in frames.iter().take(CITED.saturating_sub(self.cited)) {
            self.fresh.push(cited.clone());
            self.cited = self.cited.saturating_add(1);
        }
    }

    fn sends(&self) -> u32 {
        self.stuck.map_or(0, |(_, _, sends, _)| sends)
    }

    fn count(&self) -> u64 {
        self.storm.map_or(0, |(repeats, _)| repeats).max(self.sends()).into()
    }

    /// What is said of these two alone.
    pub fn claim(&mut self, key: Key, (low, high): (IpAddr, IpAddr)) -> Claim {
        let mut said = Vec::new();
        if let Some((repeats, segments)) = self.storm {
            let share = repeats.saturating_mul(100).checked_div(segments).unwrap_or(0);
            said.push(format!("{share} % of the data segments are repeats ({repeats} of about {segments} in 30 s)"));
        }
        if let Some((src, dst, sends, span)) = self.stuck {
            said.push(format!(
                "one segment from {src} to {dst} was sent {sends} times, its repeats over {span}, without being acknowledged"
            ));
        }
        let headline = format!("{low} ↔ {high}: {}.", said.join("; "));
        let (repeats, segments) = self.storm.unwrap_or_default();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(self.first, self.count())
            .at(self.vantage)
            .number("repeats", repeats)
            .number("segments", segments)
            .number("sends", self.sends())
            .number("host", low.to_string())
            .number("other_host", high.to_string())
            .number("mac", self.macs.0.to_string())
            .number("next_hop", self.macs.1.to_string())
            .proved_by(self.fresh.drain(..))
            .filter(format!("{} && {} && tcp.analysis.retransmission", filter::host(low), filter::host(high)))
            .cause("loss on the way: a bad cable or transceiver, a port at half duplex, a full queue")
            .cause("one member of a bond loses frames while the others do not: compare them one by one")
            .cause("the other end is gone, or its path back is");
        told(claim)
    }
}

/// What is said of `host` and the many others in `pairs`, of whom there may be more if `at_least` says so; `is_first` where it is said anew.
pub fn claim_of_many(key: Key, host: IpAddr, at_least: &str, pairs: &[(Hosts, &Pair)], is_first: bool) -> Claim {
    let other = |(low, high, _): &Hosts| if *low == host { *high } else { *low };
    let others = many::distinct(pairs.iter().map(|(hosts, _)| other(hosts)));
    let stuck: Vec<_> = pairs.iter().filter_map(|(_, pair)| pair.stuck).collect();
    let stormy = pairs.iter().filter(|(_, pair)| pair.storm.is_some()).count();
    let mut said = Vec::new();
    if let Some((_, _, sends, span)) = stuck.iter().max_by_key(|(_, _, sends, _)| sends) {
        let whose = match (stuck.iter().all(|(src, ..)| *src == host), stuck.iter().all(|(_, dst, ..)| *dst == host)) {
            (true, _) => "from it",
            (_, true) => "to it",
            _ => "from it or to it",
        };
        said.push(format!(
            "with {} of them one segment {whose} was sent again and again without being acknowledged, {sends} times over {span} at most",
            stuck.len()
        ));
    }
    if stormy > 0 {
        said.push(format!("with {stormy} of them 5 % of the data segments or more are repeats"));
    }
    let (count, ending) = (others.len(), if others.len() == 1 { "" } else { "s" });
    let headline =
        format!("{host} and {at_least}{count} other{ending} ({}): {}.", many::listed(&others), said.join("; "));
    let mut by_time: Vec<&Pair> = pairs.iter().map(|(_, pair)| *pair).collect();
    by_time.sort_by_key(|pair| pair.first);
    let cited = by_time.iter().filter_map(|pair| pair.earliest.clone()).take(if is_first { many::CITED } else { 0 });
    let count = by_time.iter().fold(0, |sum: u64, pair| sum.saturating_add(pair.count()));
    let first = by_time.first().map_or(Timestamp::MIN, |pair| pair.first);
    let latest = by_time.iter().max_by_key(|pair| pair.last);
    let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
        .seen(first, count)
        .until(latest.map_or(first, |pair| pair.last))
        .number("others", others.len())
        .number("stuck", stuck.len())
        .number("storms", stormy)
        .number("host", host.to_string())
        .proved_by(cited)
        .filter(format!("{} && tcp.analysis.retransmission", filter::host(host)))
        .cause("loss where all of it passes: a bad cable or transceiver, a port at half duplex, a full queue")
        .cause("one member of a bond loses frames while the others do not: compare them one by one")
        .cause("a firewall on the way lets connections open and drops what they say next")
        .cause("it is gone, or the others are, or the path back is");
    // What all have in common on the link is what may explain them.
    let macs = many::distinct(pairs.iter().map(|(_, pair)| pair.macs.0));
    let next_hops = many::distinct(pairs.iter().map(|(_, pair)| pair.macs.1));
    let claim = match macs.as_slice() {
        [mac] => claim.number("mac", mac.to_string()).number("common_mac", mac.to_string()),
        _ => claim,
    };
    let claim = latest.into_iter().fold(claim, |claim, pair| claim.at(pair.vantage));
    told(match next_hops.as_slice() {
        [hop] => claim.number("next_hop", hop.to_string()).number("common_next_hop", hop.to_string()),
        _ => claim,
    })
}

/// The claim with what to do.
fn told(claim: Claim) -> Claim {
    claim.step("Look for errors and drops at each device on the way through this host", "ip -s link").step(
        "And at the card itself, for each member of the bond",
        "ethtool -S eth0 | grep -iE 'err|drop|crc|discard'",
    )
}
