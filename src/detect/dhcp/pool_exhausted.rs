//! A server prolongs leases and offers nothing to those who are new: it has no address left (RFC 2131 section 4.3.1).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::wait::Waits;
use super::{answers_pass, network};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, DomainId, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP016",
        name: "pool-exhausted",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("pool_exhausted.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(PoolExhausted::new(settings)),
};

/// New clients without an offer and old ones that are served are counted over this span.
const TOGETHER: Span = Span::secs(300);
/// So many of each (findings.md DHCP016).
const ENOUGH: usize = 3;
/// Networks, servers and senders of each that are counted.
const MOST: usize = 256;
/// Made-up clients of one sender within `FLOOD_IN` that no test or program needs.
const FLOOD: u64 = 100;
/// Ten a second, for so long.
const FLOOD_IN: Span = Span::secs(10);
/// What servers say in words when nothing is left.
const WORDS: &[&str] =
    &["no leases left", "no free lease", "no address available", "no addresses available", "pool exhausted"];

type Id = (DomainId, Ipv4Addr);

struct PoolExhausted {
    tries: u64,
    wait: Span,
    limit: usize,
    waits: Waits,
    /// New clients without an offer by network, and since when that is told.
    unserved: BTreeMap<DomainId, BTreeMap<TalkId, Timestamp>>,
    servers: BTreeMap<Id, Serving>,
    /// Who asks for others: since when, how often, and in whose name last.
    senders: BTreeMap<Mac, (Timestamp, u64, Mac)>,
}

/// A server, for whom it still serves.
#[derive(Default)]
struct Serving {
    /// Clients whose leases it prolonged, and when.
    kept: BTreeMap<TalkId, Arc<DhcpStep>>,
    /// When it offered something to a client that had nothing.
    offered: Option<Timestamp>,
    claimed: Option<Key>,
}

impl PoolExhausted {
    fn new(settings: &Settings) -> Self {
        Self {
            tries: u64::from(settings.dhcp.discover_tries),
            wait: Span::secs(settings.dhcp.discover_wait_s),
            limit: settings.tables.clients.max(1),
            waits: Waits::new(settings.tables.clients),
            unserved: BTreeMap::new(),
            servers: BTreeMap::new(),
            senders: BTreeMap::new(),
        }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if step.is_probe {
            self.made_up(step, cx);
            return;
        }
        let (tries, wait) = (self.tries, self.wait);
        let asked = self.waits.ask(step);
        if asked.tries >= tries {
            let due = asked.asked.time.after(wait);
            self.waits.judge_by(step.talk, due.max(step.time));
        }
    }

    /// Somebody asks in the name of a client that it is not: one is a test, a hundred in ten seconds use a pool up.
    fn made_up(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let Some(sender) = step.sender.filter(|_| !self.waits.iter().any(|w| w.asked.talk == step.talk)) else {
            return;
        };
        if self.senders.len() >= MOST && !self.senders.contains_key(&sender) {
            self.senders.pop_first();
        }
        let (since, count, last) = self.senders.entry(sender).or_insert((step.time, 0, sender));
        if step.time.since(*since) > FLOOD_IN {
            (*since, *count) = (step.time, 0);
        }
        if std::mem::replace(last, step.client) == step.client {
            return;
        }
        *count = count.saturating_add(1);
        if *count != FLOOD {
            return;
        }
        let took = step.time.since(*since);
        let port = cx.world.interface(step.cited.at.vantage);
        let headline = format!(
            "{sender} ({}) asks under {count} made-up addresses in {took}, seen at {port}: it uses the pool of addresses up.",
            network(step.domain, cx),
        );
        let domain = cx.world.domains.name(step.domain);
        let key = Key::new().with("domain", domain).with("mac", sender);
        let claim = Claim::new(key, Confidence::Likely, Severity::Error, headline)
            .seen(step.cited.time, *count)
            .at(step.cited.at.vantage)
            .number("clients", *count)
            .proved_by([step.cited.clone()])
            .filter(format!("dhcp.option.dhcp == 1 && eth.src == {sender}"))
            .cause("somebody tries to use up the addresses, to be the server himself afterwards")
            .cause("a test of the DHCP server's speed runs here")
            .step("Find the port that it lives behind", Command::with("bridge fdb show | grep {}", &[&sender]));
        cx.raise(claim);
    }

    /// A new client has waited long enough.
    fn judge(&mut self, talk: TalkId, cx: &mut Context<'_>) {
        let Some(asked) = self.waits.peek(talk).map(|w| Arc::clone(&w.asked)) else { return };
        if answers_pass(&asked, cx).is_none() {
            return;
        }
        let root = cx.world.domains.root(asked.domain);
        if self.unserved.len() >= MOST && !self.unserved.contains_key(&root) {
            self.unserved.pop_first();
        }
        let now = cx.now;
        let unserved = self.unserved.entry(root).or_default();
        unserved.retain(|id, since| now.since(*since) <= TOGETHER && self.waits.peek(*id).is_some());
        unserved.insert(talk, now);
        if unserved.len() > self.limit {
            unserved.pop_first();
        }
        let talks: Vec<TalkId> = unserved.keys().copied().collect();
        let firsts: Vec<Arc<DhcpStep>> =
            talks.iter().filter_map(|id| self.waits.peek(*id)).map(|w| Arc::clone(&w.asked)).collect();
        let Some(begun) = firsts.iter().map(|step| step.time).min().filter(|_| firsts.len() >= ENOUGH) else { return };
        let here: Vec<Id> = self.servers.keys().copied().filter(|(domain, _)| *domain == root).collect();
        for id in here {
            let Some(serving) = self.servers.get_mut(&id) else { continue };
            serving.kept.retain(|_, step| now.since(step.time) <= TOGETHER);
            let is_empty = serving.offered.is_none_or(|at| at < begun);
            let is_alive = serving.kept.values().any(|step| step.time >= begun);
            if is_empty && is_alive && serving.kept.len() >= ENOUGH {
                claim(id.1, serving, &firsts, cx);
            }
        }
    }

    fn serving(&mut self, step: &DhcpStep, cx: &Context<'_>) -> Option<&mut Serving> {
        let id = (cx.world.domains.root(step.domain), step.server?);
        if self.servers.len() >= MOST && !self.servers.contains_key(&id) {
            self.servers.pop_first();
        }
        Some(self.servers.entry(id).or_default())
    }

    fn offered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        self.waits.close(step.talk);
        let Some(serving) = self.serving(step, cx) else { return };
        serving.offered = Some(step.time);
        if let Some(key) = serving.claimed.take() {
            cx.resolve(key, format!("{} was offered {}", step.client, step.yiaddr));
        }
    }

    fn granted(&mut self, step: &Arc<DhcpStep>, cx: &Context<'_>) {
        self.waits.close(step.talk);
        let is_old = step.asked.is_some_and(|a| a.asking.is_some_and(|how| how != Asking::Selecting));
        let limit = self.limit;
        if let Some(serving) = self.serving(step, cx).filter(|_| is_old) {
            serving.kept.insert(step.talk, Arc::clone(step));
            if serving.kept.len() > limit {
                serving.kept.pop_first();
            }
        }
    }

    /// A server says itself that it has nothing left.
    fn refused(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let Some(words) = step.words.clone() else { return };
        let lower = words.raw().to_lowercase();
        let (true, Some(server)) = (WORDS.iter().any(|w| lower.contains(w)), step.server) else { return };
        let domain = cx.world.domains.name(step.domain);
        let headline = format!(
            "{server} has no address left in {}: it refused {} in these words: '{}'.",
            network(step.domain, cx),
            step.client,
            words.for_terminal(),
        );
        let Some(serving) = self.serving(step, cx) else { return };
        let fresh = || Key::new().with("domain", domain).with("server", server);
        let key = serving.claimed.get_or_insert_with(fresh).clone();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Error, headline)
            .seen(step.cited.time, 1)
            .at(step.cited.at.vantage)
            .number("renewed", serving.kept.len())
            .proved_by([step.cited.clone()])
            .filter("dhcp.option.dhcp == 6");
        cx.raise(told(claim));
    }
}

impl Detector for PoolExhausted {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            _ if step.is_copy => {}
            DhcpKind::Discover => self.asked(step, cx),
            DhcpKind::Offer if !step.yiaddr.is_unspecified() => self.offered(step, cx),
            DhcpKind::Ack if !step.is_inform_answer() => self.granted(step, cx),
            DhcpKind::Nak => self.refused(step, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waits.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(talk) = self.waits.due(cx.now) {
            self.judge(talk, cx);
        }
    }
}

fn claim(server: Ipv4Addr, serving: &mut Serving, unserved: &[Arc<DhcpStep>], cx: &mut Context<'_>) {
    let Some(first) = unserved.iter().min_by_key(|step| step.time) else { return };
    let domain = cx.world.domains.name(first.domain);
    let headline = format!(
        "{server} renews {} clients in {} but offered nothing to any of the {} new ones since {}: its pool looks empty.",
        serving.kept.len(),
        network(first.domain, cx),
        unserved.len(),
        first.cited.time.clock(),
    );
    let key = serving.claimed.get_or_insert_with(|| Key::new().with("domain", domain).with("server", server)).clone();
    let highest = serving.kept.values().map(|step| step.yiaddr).max();
    let kept = serving.kept.values().next().map(|step| step.cited.clone());
    let mut evidence: Vec<_> = unserved.iter().take(ENOUGH).map(|step| step.cited.clone()).chain(kept).collect();
    evidence.sort_by_key(|cited| cited.time);
    let claim = Claim::new(key, Confidence::Likely, Severity::Error, headline)
        .seen(first.cited.time, unserved.len() as u64)
        .at(first.cited.at.vantage)
        .number("renewed", serving.kept.len())
        .number("new_unserved", unserved.len())
        .number("highest_address", highest.map_or_else(|| "none".to_owned(), |ip| ip.to_string()))
        .proved_by(evidence)
        .filter("dhcp.option.dhcp == 1 || dhcp.option.dhcp == 5");
    cx.raise(told(claim));
}

fn told(claim: Claim) -> Claim {
    claim
        .cause("every address of the subnet is given away")
        .cause("many leases of machines that are gone have not ended yet")
        .cause("the server knows only hardware addresses that it was told of, and the new ones are not among them")
        .step(
            "See how many addresses are left",
            "openstack ip availability show NETWORK; wc -l /var/lib/misc/dnsmasq.leases",
        )
        .step(
            "See how large the pool is, and how many leases dnsmasq gives at most (1000 unless told)",
            "pgrep -a dnsmasq | tr ' ' '\\n' | grep -E 'range|lease-max'",
        )
        .step(
            "Read what the server says about the new clients",
            "journalctl -t dnsmasq-dhcp | grep -iE 'no address|no leases'",
        )
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP016", &play("bond0", end, said))
    }

    /// Clients 1 to 3 renew; clients 11 to 13 ask twice.
    fn scene() -> Vec<(i64, Say)> {
        let old = (1..=3)
            .flat_map(|c| [(i64::from(c) * 510, Say::renew(c)), (i64::from(c) * 510 + 2, Say::ack(c, 9).lease(600))]);
        let first = (11..=13).map(|c| (i64::from(c) * 100, Say::discover(c)));
        let second = (11..=13).map(|c| (i64::from(c) * 100 + 4_000, Say::discover(c)));
        let mut said: Vec<_> = old.chain(first).chain(second).collect();
        said.sort_by_key(|(ms, _)| *ms);
        said
    }

    #[test]
    fn three_new_without_an_offer_and_three_renewed_are_an_empty_pool_until_somebody_new_is_offered() {
        let mut said = scene();
        assert_eq!(at(11_299, &said), [""; 0]);
        assert_eq!(at(11_300, &said), ["likely/error Open untagged 10.0.0.9"]);
        said.push((12_000, Say::offer(14, 9)));
        assert_eq!(at(12_000, &said), ["likely/error Resolved untagged 10.0.0.9"]);
    }

    #[test]
    fn a_silent_server_and_one_that_offers_to_others_have_addresses() {
        let silent: Vec<_> = scene().into_iter().filter(|(ms, _)| *ms == 510 || *ms == 512 || ms % 510 > 2).collect();
        assert_eq!(at(60_000, &silent), [""; 0]);
        let mut said = scene();
        said.push((6_000, Say::offer(14, 9)));
        assert_eq!(at(60_000, &said), [""; 0]);
    }

    #[test]
    fn a_server_that_says_so_is_believed() {
        let said = [(0, Say::request(1, 9)), (2, Say::nak(1, 9).saying("no leases left"))];
        assert_eq!(at(1_000, &said), ["confirmed/error Open untagged 10.0.0.9"]);
        let said = [(0, Say::request(1, 9)), (2, Say::nak(1, 9).saying("wrong network"))];
        assert_eq!(at(1_000, &said), [""; 0]);
    }
}
