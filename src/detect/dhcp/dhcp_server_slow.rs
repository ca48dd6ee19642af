//! A DHCP server takes longer to answer than its clients wait (RFC 2131 section 4.1). Tries that were lost on the way are told from it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::world::{Derived, DhcpStep, DomainId, Observation, Pair, Times, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP014",
        name: "dhcp-server-slow",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("dhcp_server_slow.md"),
    },
    hears: &[],
    follows: &[Topic::Offer, Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(DhcpServerSlow::new(settings)),
};

/// Latest answers that are judged: as many as the rule needs twice over, so that old ones leave.
const WINDOW: usize = 40;
/// Servers and questions that are followed.
const MOST: usize = 256;

/// A server, where it serves, and what it is asked.
type Id = (DomainId, Ipv4Addr, Pair);

struct DhcpServerSlow {
    offer: Span,
    ack: Span,
    answers: usize,
    single: Span,
    singles: usize,
    servers: BTreeMap<Id, Answers>,
}

/// What one server answered to one kind of question.
#[derive(Default)]
struct Answers {
    latest: VecDeque<Answer>,
    /// All that were ever slow, for the count.
    slow: u64,
    /// The first slow one.
    since: Option<Timestamp>,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
    /// Answers since the claim was made.
    since_claim: usize,
}

/// One answer.
struct Answer {
    took: Span,
    /// Further tries of the client until it came.
    again: u64,
}

impl DhcpServerSlow {
    fn new(settings: &Settings) -> Self {
        let dhcp = &settings.dhcp;
        Self {
            offer: Span::millis(dhcp.slow_offer_ms),
            ack: Span::millis(dhcp.slow_ack_ms),
            answers: dhcp.slow_answers,
            single: Span::secs(dhcp.slow_single_s),
            singles: dhcp.slow_singles,
            servers: BTreeMap::new(),
        }
    }

    const fn limit(&self, pair: Pair) -> Span {
        match pair {
            Pair::DiscoverOffer => self.offer,
            Pair::RequestAck | Pair::RenewalAck | Pair::InformAck => self.ack,
        }
    }

    fn answered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let (Some(pair), Some(took), Some(asked), Some(server)) = (step.pair(), step.took, step.asked, step.server)
        else {
            return;
        };
        let limit = self.limit(pair);
        // Who asked several times may have been heard only the last time: nobody can tell which try this answers.
        if asked.tries > 1 && step.time.since(asked.last) <= limit {
            return;
        }
        let id = (cx.world.domains.root(step.domain), server, pair);
        if self.servers.len() >= MOST && !self.servers.contains_key(&id) {
            self.servers.pop_first();
        }
        let answers = self.servers.entry(id).or_default();
        if answers.latest.len() >= WINDOW {
            answers.latest.pop_front();
        }
        answers.since_claim = answers.since_claim.saturating_add(1);
        if took > limit {
            answers.slow = answers.slow.saturating_add(1);
            answers.since.get_or_insert(step.cited.time);
            answers.cite(step);
        }
        let again = u64::from(asked.tries.saturating_sub(1));
        answers.latest.push_back(Answer { took, again });
        if answers.claimed.is_some() {
            let calm = Span::nanos(limit.as_nanos() / 2);
            if answers.since_claim >= self.answers && answers.p95(self.answers) < calm {
                answers.over(self.answers, cx);
                return;
            }
        }
        // What comes in time is no news.
        if took <= limit {
            return;
        }
        let enough = answers.latest.len() >= self.answers && answers.p95(WINDOW) > limit;
        let stuck = answers.latest.iter().filter(|answer| answer.took > self.single).count() >= self.singles;
        if enough || stuck {
            answers.claim(step, server, pair, limit, cx);
        }
    }
}

impl Detector for DhcpServerSlow {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if !step.is_copy {
            self.answered(step, cx);
        }
    }
}

impl Answers {
    fn cite(&mut self, step: &DhcpStep) {
        if self.fresh.len() >= 4 {
            self.fresh.pop();
        }
        self.fresh.push(step.cited.clone());
    }

    /// What 95 of 100 of the latest answers did not exceed.
    fn p95(&self, latest: usize) -> Span {
        self.times(latest).quantile(0.95)
    }

    fn times(&self, latest: usize) -> Times {
        let mut times = Times::default();
        self.latest.iter().rev().take(latest).for_each(|answer| times.note(answer.took));
        times
    }

    fn over(&mut self, latest: usize, cx: &mut Context<'_>) {
        if let Some(key) = self.claimed.take() {
            cx.resolve(key, format!("95 of 100 of its last {latest} answers took no more than {}", self.p95(latest)));
        }
        self.latest.clear();
        (self.slow, self.since) = (0, None);
    }

    fn claim(&mut self, step: &DhcpStep, server: Ipv4Addr, pair: Pair, limit: Span, cx: &mut Context<'_>) {
        let times = self.times(WINDOW);
        let again = self.latest.iter().fold(0_u64, |sum, answer| sum.saturating_add(answer.again));
        let since = self.since.unwrap_or(step.cited.time);
        let what = match pair {
            Pair::DiscoverOffer => "to offer an address",
            Pair::RequestAck => "to grant what it offered",
            Pair::RenewalAck => "to renew a lease",
            Pair::InformAck => "to answer an INFORM",
        };
        let repeats = match again {
            0 => String::new(),
            1 => ", and a client asked again meanwhile".to_owned(),
            n => format!(", and clients asked again {n} times meanwhile"),
        };
        let headline = format!(
            "{server} ({}) takes {} {what} since {} (p95 of {} answers, limit {limit}){repeats}.",
            network(step.domain, cx),
            times.quantile(0.95),
            since.clock(),
            times.len(),
        );
        let domain = cx.world.domains.name(step.domain);
        let fresh = || Key::new().with("server", server).with("pair", pair).with("domain", domain);
        if self.claimed.is_none() {
            self.since_claim = 0;
        }
        let key = self.claimed.get_or_insert_with(fresh).clone();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(since, self.slow)
            .at(step.cited.at.vantage)
            .number("answers", times.len())
            .number("p50_s", times.quantile(0.50).as_secs())
            .number("p95_s", times.quantile(0.95).as_secs())
            .number("p99_s", times.quantile(0.99).as_secs())
            .number("max_s", times.max().as_secs())
            .number("asked_again", again)
            .proved_by(std::mem::take(&mut self.fresh))
            .filter("dhcp.option.dhcp == 2 || dhcp.option.dhcp == 5");
        cx.raise(told(claim, pair, step));
    }
}

/// The claim with causes and remedies.
fn told(claim: Claim, pair: Pair, step: &DhcpStep) -> Claim {
    let claim = if pair == Pair::DiscoverOffer {
        claim.cause("the server looks whether an address is free before it offers it, one client after the other (dnsmasq: 3 s each)")
    } else {
        claim
    };
    let claim = claim
        .cause("the server waits for its lease file, its database, or a script that it runs at each lease")
        .cause("its host has no time for it: heavy load on processor, disk or network");
    let claim = if step.is_relayed { claim.cause("a relay on the way is slow") } else { claim };
    let claim = claim
        .step("See what the server does meanwhile", "pidstat -u -d -p $(pgrep -d, dnsmasq) 1 5")
        .step("See how long its disk takes", "iostat -x 1 3")
        .step("Read what the server says, with its own times", "journalctl -t dnsmasq-dhcp -o short-precise");
    if pair == Pair::DiscoverOffer {
        claim.step(
            "With dnsmasq, leave out the look for free addresses where nobody takes addresses by hand",
            "echo no-ping > /etc/dnsmasq.d/no-ping.conf",
        )
    } else {
        claim
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP014", &play("bond0", 3_000_000, said))
    }

    /// So many clients, one every ten seconds, each offered an address after so many milliseconds.
    fn offered(clients: std::ops::Range<u8>, took: i64) -> Vec<(i64, Say)> {
        let one = |client: u8| {
            let t = i64::from(client) * 15_000;
            [
                (t, Say::discover(client)),
                (t + took, Say::offer(client, 9)),
                (t + took + 5, Say::request(client, 9)),
                (t + took + 9, Say::ack(client, 9)),
            ]
        };
        clients.flat_map(one).collect()
    }

    fn line(state: &str) -> String {
        format!("confirmed/warning {state} {} DISCOVER to OFFER untagged", ip(9))
    }

    #[test]
    fn twenty_answers_over_the_limit_or_three_very_slow_ones_are_slow() {
        assert_eq!(at(&offered(1..20, 4_600)), [""; 0]);
        assert_eq!(at(&offered(1..21, 4_600)), [line("Open")]);
        assert_eq!(at(&offered(1..3, 10_500)), [""; 0]);
        assert_eq!(at(&offered(1..4, 10_500)), [line("Open")]);
    }

    #[test]
    fn a_look_for_free_addresses_is_no_slowness_and_twenty_quick_answers_end_it() {
        assert_eq!(at(&offered(1..41, 3_020)), [""; 0]);
        let mut said = offered(1..21, 4_600);
        said.extend(offered(21..40, 20));
        assert_eq!(at(&said), [line("Open")]);
        said.extend(offered(40..42, 20));
        assert_eq!(at(&said), [line("Resolved")]);
    }

    #[test]
    fn where_the_first_tries_may_be_lost_the_server_is_not_slow() {
        let lost = |client: u8| {
            let t = i64::from(client) * 15_000;
            [
                (t, Say::discover(client)),
                (t + 4_200, Say::discover(client)),
                (t + 7_220, Say::offer(client, 9)),
                (t + 7_300, Say::request(client, 9)),
                (t + 7_303, Say::ack(client, 9)),
            ]
        };
        assert_eq!(at(&(1..40).flat_map(lost).collect::<Vec<_>>()), [""; 0]);
    }
}
