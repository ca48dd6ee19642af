//! TCP001: much of what two hosts send each other is sent again, or one segment is sent again and again (RFC 9293 section 3.8, RFC 6298).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::repeats::{Hosts, Pair, claim_of_many};
use crate::detect::{Context, Detector, Entry, Needs, many};
use crate::event::VantageId;
use crate::finding::{Confidence, Key, Rule, Severity};
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

#[derive(Default)]
struct RetransmissionStorm {
    pairs: BTreeMap<Hosts, Pair>,
    /// Pairs that have a host in common.
    crowds: many::Crowds<IpAddr, Hosts>,
    deadlines: Deadlines<Hosts>,
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
        while let Some(hosts) = self.deadlines.pop(cx.now) {
            self.look_again(hosts, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (host, domain) in self.crowds.outgrown() {
            self.tell(host, domain, cx);
        }
    }
}

impl RetransmissionStorm {
    fn storm(&mut self, storm: &Storm, cx: &mut Context<'_>) {
        let Some((hosts, pair)) = self.pair(storm.hosts, storm.vantage, storm.domain, storm.macs, cx) else { return };
        pair.note_storm(storm);
        self.raise(hosts, cx);
    }

    fn stuck(&mut self, stuck: &Stuck, cx: &mut Context<'_>) {
        let path = &stuck.path;
        let hosts = (path.src.min(path.dst), path.src.max(path.dst));
        let Some((hosts, pair)) = self.pair(hosts, path.vantage, path.domain, (path.from, path.to), cx) else { return };
        pair.note_stuck(stuck);
        self.raise(hosts, cx);
    }

    /// What was stuck arrived: it is over, or a minute of quiet begins where more than that was sent again.
    fn freed(&mut self, freed: &Freed, cx: &mut Context<'_>) {
        let path = &freed.path;
        let hosts = (path.src.min(path.dst), path.src.max(path.dst), cx.world.domains.root(path.domain));
        let Some(pair) = self.pairs.get_mut(&hosts) else { return };
        pair.last = cx.now;
        if pair.storm.is_some() {
            self.deadlines.set(hosts, cx.now.after(QUIET_FOR));
            return;
        }
        self.end(hosts, "the segment arrived", cx);
        self.deadlines.clear(&hosts);
    }

    fn pair(
        &mut self,
        (low, high): (IpAddr, IpAddr),
        vantage: VantageId,
        domain: DomainId,
        macs: (Mac, Mac),
        cx: &Context<'_>,
    ) -> Option<(Hosts, &mut Pair)> {
        let hosts = (low, high, cx.world.domains.root(domain));
        if self.pairs.len() >= MOST && !self.pairs.contains_key(&hosts) {
            return None;
        }
        let pair = self.pairs.entry(hosts).or_insert_with(|| Pair::new(vantage, domain, macs, cx.now));
        pair.last = cx.now;
        Some((hosts, pair))
    }

    fn raise(&mut self, hosts: Hosts, cx: &mut Context<'_>) {
        self.deadlines.set(hosts, cx.now.after(QUIET_FOR));
        let (low, high, domain) = hosts;
        self.crowds.join([low, high], domain, hosts);
        let many = |host: &IpAddr| self.crowds.of(*host, domain)?.count();
        if let Some(host) = [low, high].into_iter().filter(|host| many(host).is_some()).max_by_key(|host| many(host)) {
            if self.crowds.has_news(host, domain, cx.now) {
                self.tell(host, domain, cx);
            }
        } else if let Some(pair) = self.pairs.get_mut(&hosts) {
            let key = claim_key(&hosts, pair.domain, cx);
            self.crowds.stands_alone(hosts, key.clone());
            cx.raise(pair.claim(key, (low, high)));
        }
    }

    /// Says that much is sent again between `host` and many; what was said of some of them alone leaves the report.
    fn tell(&mut self, host: IpAddr, domain: DomainId, cx: &mut Context<'_>) {
        let (world, severity) = (cx.world, Severity::Warning);
        let fresh = || Key::new().with("host", host).with("domain", world.domains.name(domain));
        let Some((telling, crowd)) = self.crowds.tell((host, domain), severity, fresh, cx) else { return };
        let pairs: Vec<(Hosts, &Pair)> =
            crowd.places().filter_map(|place| Some((place, self.pairs.get(&place)?))).collect();
        cx.raise(claim_of_many(telling.key, host, crowd.at_least(), &pairs, telling.is_first));
    }

    /// A minute has passed since the latest news: it is over if next to nothing is sent again now. Repeats come at doubling intervals, so that
    /// a sender has given up once as much time has passed again as all of them took.
    fn look_again(&mut self, hosts: Hosts, cx: &mut Context<'_>) {
        let Some(pair) = self.pairs.get(&hosts) else { return };
        let (repeats, segments) = cx.world.flows.storms().window(pair.vantage, (hosts.0, hosts.1), cx.now);
        let quiet = cx.now.since(pair.last);
        let patience = pair.stuck.map_or(QUIET_FOR, |(_, _, _, span)| span.times(2).max(QUIET_FOR));
        if repeats.saturating_mul(100) <= segments && quiet >= patience {
            self.end(hosts, &format!("next to nothing was sent again for {quiet}"), cx);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years.
            self.deadlines.set(hosts, cx.now.after(quiet.max(QUIET_FOR)));
        }
    }

    /// Between these two it is over, and so it is between one of them and many if they were the last.
    fn end(&mut self, hosts: Hosts, why: &str, cx: &mut Context<'_>) {
        self.pairs.remove(&hosts);
        self.crowds.leave([hosts.0, hosts.1], hosts.2, hosts, why, cx);
    }
}

fn claim_key((low, high, _): &Hosts, domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new().with("hosts", format!("{low} {high}")).with("domain", cx.world.domains.name(domain))
}
