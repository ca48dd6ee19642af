//! TCP001: much of what two hosts send each other is sent again, or one segment is sent again and again (RFC 9293 section 3.8, RFC 6298).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::world::{Derived, DomainId, Freed, Observation, Storm, Stuck, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "TCP001",
        name: "retransmission-storm",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("retransmission_storm.md"),
    },
    hears: &[],
    follows: &[Topic::Segment],
    needs: Needs::Frames,
    make: |_| Box::new(RetransmissionStorm::default()),
};

/// Times a segment must have been sent for its repeats to be a storm of their own: four repeats (findings.md, TCP001).
const SENDS: u32 = 5;
/// The span without a storm after which it is over.
const QUIET_FOR: Span = Span::secs(60);
/// Pairs of hosts that are remembered; further ones are not judged.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 4;

#[derive(Default)]
struct RetransmissionStorm {
    pairs: BTreeMap<PairKey, Pair>,
    deadlines: Deadlines<PairKey>,
}

/// The hosts, the lower first, and the network.
type PairKey = (IpAddr, IpAddr, DomainId);

struct Pair {
    vantage: VantageId,
    domain: DomainId,
    /// Sender and next hop of the repeats on the link.
    macs: (Mac, Mac),
    first: Timestamp,
    last: Timestamp,
    /// The most repeats in thirty seconds, and all segments then.
    storm: Option<(u32, u32)>,
    /// The segment that was sent most often: who sends it to whom, how often, over how long.
    stuck: Option<(IpAddr, IpAddr, u32, Span)>,
    cited: usize,
    fresh: Vec<Cited>,
}

impl Detector for RetransmissionStorm {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Storm(storm)) => self.storm(storm, cx),
            Observation::Derived(Derived::SegmentStuck(stuck)) if stuck.sends >= SENDS => self.stuck(stuck, cx),
            Observation::Derived(Derived::SegmentFreed(freed)) => self.freed(freed, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.deadlines.pop(cx.now) {
            self.look_again(key, cx);
        }
    }
}

impl RetransmissionStorm {
    fn storm(&mut self, storm: &Storm, cx: &mut Context<'_>) {
        let Some((key, pair)) = self.pair(storm.hosts, storm.vantage, storm.domain, storm.macs, cx) else { return };
        if pair.storm.is_none_or(|(repeats, _)| repeats < storm.repeats) {
            pair.storm = Some((storm.repeats, storm.segments));
        }
        pair.cite(std::slice::from_ref(&storm.cited));
        self.raise(key, cx);
    }

    fn stuck(&mut self, stuck: &Stuck, cx: &mut Context<'_>) {
        let path = &stuck.path;
        let hosts = (path.src.min(path.dst), path.src.max(path.dst));
        let Some((key, pair)) = self.pair(hosts, path.vantage, path.domain, (path.from, path.to), cx) else { return };
        if pair.stuck.is_none_or(|(_, _, sends, _)| sends <= stuck.sends) {
            pair.stuck = Some((path.src, path.dst, stuck.sends, stuck.last.since(stuck.first)));
        }
        pair.first = pair.first.min(stuck.first);
        pair.cite(&stuck.cited);
        self.raise(key, cx);
    }

    /// What was stuck arrived: it is over, or a minute of quiet begins where more than that was sent again.
    fn freed(&mut self, freed: &Freed, cx: &mut Context<'_>) {
        let path = &freed.path;
        let key = (path.src.min(path.dst), path.src.max(path.dst), cx.world.domains.root(path.domain));
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        pair.last = cx.now;
        if pair.storm.is_some() {
            self.deadlines.set(key, cx.now.after(QUIET_FOR));
            return;
        }
        cx.resolve(claim_key(&key, pair.domain, cx), "the segment arrived");
        self.pairs.remove(&key);
        self.deadlines.clear(&key);
    }

    fn pair(
        &mut self,
        (low, high): (IpAddr, IpAddr),
        vantage: VantageId,
        domain: DomainId,
        macs: (Mac, Mac),
        cx: &Context<'_>,
    ) -> Option<(PairKey, &mut Pair)> {
        let key = (low, high, cx.world.domains.root(domain));
        if self.pairs.len() >= MOST && !self.pairs.contains_key(&key) {
            return None;
        }
        let fresh = || Pair {
            vantage,
            domain,
            macs,
            first: cx.now,
            last: cx.now,
            storm: None,
            stuck: None,
            cited: 0,
            fresh: Vec::new(),
        };
        let pair = self.pairs.entry(key).or_insert_with(fresh);
        pair.last = cx.now;
        Some((key, pair))
    }

    fn raise(&mut self, key: PairKey, cx: &mut Context<'_>) {
        let Some(pair) = self.pairs.get_mut(&key) else { return };
        let claim = pair.claim(claim_key(&key, pair.domain, cx), (key.0, key.1));
        cx.raise(claim.at(pair.vantage));
        self.deadlines.set(key, cx.now.after(QUIET_FOR));
    }

    /// A minute has passed since the latest news: it is over if next to nothing is sent again now. Repeats come at doubling intervals, so that
    /// a sender has given up once as much time has passed again as all of them took.
    fn look_again(&mut self, key: PairKey, cx: &mut Context<'_>) {
        let Some(pair) = self.pairs.get(&key) else { return };
        let (repeats, segments) = cx.world.flows.storms().window(pair.vantage, (key.0, key.1), cx.now);
        let quiet = cx.now.since(pair.last);
        let patience = pair.stuck.map_or(QUIET_FOR, |(_, _, _, span)| span.times(2).max(QUIET_FOR));
        if repeats.saturating_mul(100) <= segments && quiet >= patience {
            cx.resolve(claim_key(&key, pair.domain, cx), format!("next to nothing was sent again for {quiet}"));
            self.pairs.remove(&key);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years.
            self.deadlines.set(key, cx.now.after(quiet.max(QUIET_FOR)));
        }
    }
}

impl Pair {
    fn cite(&mut self, frames: &[Cited]) {
        for cited in frames.iter().take(CITED.saturating_sub(self.cited)) {
            self.fresh.push(cited.clone());
            self.cited = self.cited.saturating_add(1);
        }
    }

    fn claim(&mut self, key: Key, (low, high): (IpAddr, IpAddr)) -> Claim {
        let mut said = Vec::new();
        if let Some((repeats, segments)) = self.storm {
            let share = repeats.saturating_mul(100).checked_div(segments).unwrap_or(0);
            said.push(format!("{share} % of the data segments are repeats ({repeats} of about {segments} in 30 s)"));
        }
        if let Some((src, dst, sends, span)) = self.stuck {
            said.push(format!(
                "one segment from {src} to {dst} was sent {sends} times, its repeats over {span}, and never acknowledged"
            ));
        }
        let headline = format!("{low} ↔ {high}: {}.", said.join("; "));
        let (repeats, segments) = self.storm.unwrap_or_default();
        Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(self.first, u64::from(repeats.max(self.stuck.map_or(0, |(_, _, sends, _)| sends))))
            .number("repeats", repeats)
            .number("segments", segments)
            .number("sends", self.stuck.map_or(0, |(_, _, sends, _)| sends))
            .number("host", low.to_string())
            .number("other_host", high.to_string())
            .number("mac", self.macs.0.to_string())
            .number("next_hop", self.macs.1.to_string())
            .proved_by(self.fresh.drain(..))
            .filter(format!("{} && {} && tcp.analysis.retransmission", filter::host(low), filter::host(high)))
            .cause("loss on the way: a bad cable or transceiver, a port at half duplex, a full queue")
            .cause("one member of a bond loses frames while the others do not: compare them one by one")
            .cause("the other end is gone, or its path back is")
            .step("Look for errors and drops at each device on the way through this host", "ip -s link")
            .step(
                "And at the card itself, for each member of the bond",
                "ethtool -S eth0 | grep -iE 'err|drop|crc|discard'",
            )
    }
}

fn claim_key((low, high, _): &PairKey, domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new().with("hosts", format!("{low} {high}")).with("domain", cx.world.domains.name(domain))
}
