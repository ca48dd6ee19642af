//! A client asks for an address and no server offers one (RFC 2131 section 4.4.1). Where it got lost is left to the reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::silent_server::{nobody, only_this_client};
use super::{OWN_INTERFACE, last_place, network, spoken, visibility};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, DomainId, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP001",
        name: "discover-unanswered",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("discover_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(DiscoverUnanswered::new(settings)),
};

/// Clients unanswered within this span are one trouble of their network.
const TOGETHER: Span = Span::secs(60);
/// After such a pause a lone question is history and a new attempt begins: more than the longest delay of RFC 2131 section 4.1.
const NEW_ATTEMPT: Span = Span::secs(120);
/// Clients that are counted of a network while it is not known to be dead.
const MOST_SILENT: usize = 64;
/// Clients that are named as still waiting when the capture ends.
const MOST_PENDING: usize = 8;
/// How long a client that waits for its turn is left to wait before it is looked at again: a busy server's turns take three seconds.
const TURN: Span = Span::secs(4);
/// Frames that are cited of a client.
const CITED: u64 = 4;

struct DiscoverUnanswered {
    wait: Span,
    last_wait: Span,
    tries: u64,
    clients: usize,
    limit: usize,
    waits: BTreeMap<TalkId, Wait>,
    due: Deadlines<TalkId>,
    nets: BTreeMap<DomainId, Net>,
}

/// A client that waits for an offer.
struct Wait {
    /// Its first question.
    asked: Arc<DhcpStep>,
    last: Timestamp,
    tries: u64,
    /// Questions not cited so far.
    fresh: Vec<Cited>,
    /// The key of the claim that was made, if one was.
    claimed: Option<Key>,
    /// Whether the network's claim speaks for it.
    is_together: bool,
}

/// A network, for what its clients have in common.
#[derive(Default)]
struct Net {
    /// When somebody got an answer last.
    answered: Option<Timestamp>,
    /// Clients that waited too long, and when that was so first.
    silent: BTreeMap<TalkId, Timestamp>,
    /// The claim about the network as a whole, if it stands, and the first question in vain.
    claimed: Option<(Key, Arc<DhcpStep>)>,
}

impl DiscoverUnanswered {
    fn new(settings: &Settings) -> Self {
        let dhcp = &settings.dhcp;
        Self {
            wait: Span::secs(dhcp.discover_wait_s),
            last_wait: Span::secs(dhcp.discover_final_s),
            tries: u64::from(dhcp.discover_tries),
            clients: dhcp.discover_clients,
            limit: settings.tables.clients.max(1),
            waits: BTreeMap::new(),
            due: Deadlines::new(),
            nets: BTreeMap::new(),
        }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if step.is_copy {
            return;
        }
        let is_over = |w: &Wait| {
            w.claimed.is_none() && !w.is_together && w.tries < self.tries && step.time.since(w.last) > NEW_ATTEMPT
        };
        if self.waits.get(&step.talk).is_some_and(is_over) {
            self.waits.remove(&step.talk);
        }
        if !self.waits.contains_key(&step.talk) {
            if self.waits.len() >= self.limit
                && let Some((oldest, _)) = self.waits.pop_first()
            {
                self.due.clear(&oldest);
            }
            self.due.set(step.talk, step.time.after(self.wait));
        }
        let wait = self.waits.entry(step.talk).or_insert_with(|| Wait::new(step));
        wait.tries = wait.tries.saturating_add(1);
        wait.last = step.time;
        // The first ones are kept until they are cited, and of those behind them the latest.
        if wait.tries > CITED {
            wait.fresh.pop();
        }
        wait.fresh.push(step.cited.clone());
        if wait.asked.time.after(self.wait) < step.time {
            self.judge(step.talk, cx);
        }
    }

    /// The client has waited at least `wait`.
    fn judge(&mut self, talk: TalkId, cx: &mut Context<'_>) {
        let Some(wait) = self.waits.get_mut(&talk) else { return };
        let first = wait.asked.time;
        if wait.tries < self.tries {
            return;
        }
        let Some(why) = visibility(&wait.asked, cx) else { return };
        let last = first.after(self.last_wait);
        if cx.now < last
            && wait.claimed.is_none()
            && cx.world.dhcp.is_behind(cx.world.domains.root(wait.asked.domain), cx.now)
        {
            self.due.set(talk, cx.now.after(TURN).min(last));
            return;
        }
        let net = self.nets.entry(cx.world.domains.root(wait.asked.domain)).or_default();
        net.add(talk, cx.now);
        if net.is_dead(self.clients, cx.now, &self.waits) {
            self.together(talk, why, cx);
            return;
        }
        let is_final = cx.now.since(first) >= self.last_wait;
        let Some(wait) = self.waits.get_mut(&talk) else { return };
        // Tries must have gone on: who asked twice and left may not want an address any more.
        let level = if is_final && wait.last > first.after(self.wait) {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, Severity::Warning)
        };
        let domain = cx.world.domains.name(wait.asked.domain);
        let client = wait.asked.client;
        let key = wait.claimed.get_or_insert_with(|| Key::new().with("client", client).with("domain", domain)).clone();
        let waited = cx.now.since(first);
        let others = net.answered.is_some_and(|at| at >= first);
        let headline = format!(
            "{client} ({}) asks for an address since {}: {} DISCOVERs in {waited}, no server offers one.",
            network(wait.asked.domain, cx),
            wait.asked.cited.time.clock(),
            wait.tries,
        );
        let mut claim = Claim::new(key, level.0, level.1, headline)
            .seen(wait.asked.cited.time, wait.tries)
            .at(wait.asked.cited.at.vantage)
            .number("discovers", wait.tries)
            .number("waited_s", waited.as_secs())
            .number("secs_field", u64::from(wait.asked.secs))
            .number("others_answered", if others { "yes" } else { "no" })
            .number("last_seen_at", last_place(&wait.asked, cx))
            .proved_by(std::mem::take(&mut wait.fresh))
            .filter(format!("dhcp.hw.mac_addr == {client}"))
            .assuming(why);
        if why == OWN_INTERFACE {
            claim = claim.cause(
                "offers are sent but do not reach this interface; a capture on the host or at the server would tell",
            );
        }
        claim = if others { only_this_client(claim, &client.to_string()) } else { nobody(claim) };
        if !is_final {
            self.due.set(talk, first.after(self.last_wait));
        }
        cx.raise(claim);
    }

    /// Several clients of the network of `talk` wait in vain: one claim for all of them.
    fn together(&mut self, talk: TalkId, why: &'static str, cx: &mut Context<'_>) {
        let Some(asked) = self.waits.get(&talk).map(|w| Arc::clone(&w.asked)) else { return };
        let Some(net) = self.nets.get_mut(&cx.world.domains.root(asked.domain)) else { return };
        let name = cx.world.domains.name(asked.domain);
        let waiting: Vec<TalkId> = match net.claimed {
            // Those before are in the claim already.
            Some(_) => vec![talk],
            None => net.silent.keys().copied().collect(),
        };
        let begun = waiting.iter().filter_map(|id| self.waits.get(id)).map(|w| &w.asked).min_by_key(|step| step.time);
        let begun = begun.unwrap_or(&asked);
        let fresh = || (Key::new().with("domain", &name), Arc::clone(begun));
        let (key, first) = net.claimed.get_or_insert_with(fresh).clone();
        let mut evidence = Vec::new();
        for id in &waiting {
            let Some(wait) = self.waits.get_mut(id) else { continue };
            wait.is_together = true;
            self.due.clear(id);
            evidence.push(if waiting.len() > 1 {
                wait.asked.cited.clone()
            } else {
                wait.fresh.last().unwrap_or(&wait.asked.cited).clone()
            });
            wait.fresh.clear();
            if let Some(single) = wait.claimed.take() {
                cx.absorb(
                    single,
                    format!("it is one of several, and the finding about {} speaks for them", spoken(&name)),
                );
            }
        }
        evidence.sort_by_key(|cited| cited.time);
        let clients = net.silent.len();
        let headline = format!(
            "No DHCP server answers in {} since {}: {clients} clients ask for an address, and none is offered one.",
            spoken(&name),
            first.cited.time.clock(),
        );
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Error, headline)
            .seen(first.cited.time, clients as u64)
            .at(asked.cited.at.vantage)
            .number("clients", clients)
            .number("unserved", name.clone())
            .number("waited_s", cx.now.since(first.time).as_secs())
            .proved_by(evidence)
            .filter("dhcp.option.dhcp == 1")
            .assuming(why);
        cx.raise(nobody(claim));
    }

    /// The client of `step` got an answer, or shows that it did.
    fn answered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let is_answer = matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack);
        let root = cx.world.domains.root(step.domain);
        if is_answer {
            let net = self.nets.entry(root).or_default();
            net.answered = net.answered.max(Some(step.time));
            if let Some((key, _)) = net.claimed.take() {
                cx.resolve(key, format!("{} was answered", step.client));
                for wait in net.silent.keys() {
                    if let Some(wait) = self.waits.get_mut(wait) {
                        wait.is_together = false;
                    }
                }
            }
        }
        self.due.clear(&step.talk);
        let Some(wait) = self.waits.remove(&step.talk) else { return };
        // Networks may have been found to be one since: the client is taken out wherever it was entered.
        for net in self.nets.values_mut() {
            net.silent.remove(&step.talk);
        }
        if let Some(key) = wait.claimed {
            let after = step.time.since(wait.asked.time);
            let what = match step.kind {
                DhcpKind::Offer => "an offer came",
                DhcpKind::Ack => "it was given an address",
                DhcpKind::Nak => "a server refused it",
                _ => "it asks for an address by name, so that it has heard a server",
            };
            cx.resolve(key, format!("{what} {after} after the first of {} tries", wait.tries));
        }
    }
}

impl Detector for DiscoverUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            DhcpKind::Discover => self.asked(step, cx),
            // A boot server's offer without an address is none.
            DhcpKind::Offer if step.yiaddr.is_unspecified() => {}
            // A client that starts with its old address has not heard anybody yet.
            DhcpKind::Request if step.asking == Some(Asking::InitReboot) => {}
            DhcpKind::Offer | DhcpKind::Ack | DhcpKind::Nak | DhcpKind::Request => self.answered(step, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(talk) = self.due.pop(cx.now) {
            self.judge(talk, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let waits = self.waits.values().filter(|w| w.claimed.is_none() && !w.is_together && !w.asked.is_probe);
        let waits: Vec<&Wait> = waits.filter(|w| visibility(&w.asked, cx).is_some()).collect();
        for wait in waits.iter().take(MOST_PENDING) {
            let tries = if wait.tries == 1 { "1 DISCOVER".to_owned() } else { format!("{} DISCOVERs", wait.tries) };
            cx.pending(format!("{} waits for an offer, {tries} so far", wait.asked.client), wait.asked.cited.time);
        }
        if let Some(next) = waits.get(MOST_PENDING) {
            let more = waits.len().saturating_sub(MOST_PENDING);
            cx.pending(format!("and {more} more clients wait for an offer"), next.asked.cited.time);
        }
    }
}

impl Wait {
    fn new(step: &Arc<DhcpStep>) -> Self {
        let asked = Arc::clone(step);
        Self { asked, last: step.time, tries: 0, fresh: Vec::new(), claimed: None, is_together: false }
    }
}

impl Net {
    fn add(&mut self, talk: TalkId, now: Timestamp) {
        self.silent.entry(talk).or_insert(now);
        // As long as it is not the network's trouble, a few are enough to tell whether it becomes that.
        if self.claimed.is_none() && self.silent.len() > MOST_SILENT {
            self.silent.pop_first();
        }
    }

    /// Whether so many clients wait in vain at the same time, and nobody was answered meanwhile, that it is the network.
    fn is_dead(&mut self, clients: usize, now: Timestamp, waits: &BTreeMap<TalkId, Wait>) -> bool {
        if self.claimed.is_some() {
            return true;
        }
        let recent = |since: &Timestamp| now.since(*since) <= TOGETHER;
        let answered = self.answered;
        let in_vain = |id: &TalkId| waits.get(id).is_some_and(|w| answered.is_none_or(|at| at < w.asked.time));
        // Counting ends at the number asked for; who is forgotten goes out.
        self.silent.retain(|id, _| waits.contains_key(id));
        self.silent.iter().filter(|(id, since)| recent(since) && in_vain(id)).take(clients).count() >= clients
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, play};

    const SINGLE: &str = "likely/warning Open fa:16:3e:00:00:01 untagged";

    fn at(name: &str, end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP001", &play(name, end, said))
    }

    fn asks(client: u8, times: &[i64]) -> Vec<(i64, Say)> {
        times.iter().map(|ms| (*ms, Say::discover(client))).collect()
    }

    #[test]
    fn two_tries_and_ten_seconds_make_it_likely_and_a_minute_makes_it_certain() {
        let said = asks(1, &[0, 4_200, 12_100]);
        assert_eq!(at("bond0", 9_999, &said[..2]), [""; 0]);
        assert_eq!(at("bond0", 10_000, &said[..2]), [SINGLE]);
        assert_eq!(at("bond0", 60_000, &said), ["confirmed/error Open fa:16:3e:00:00:01 untagged"]);
        // Who asked twice and left may not want an address any more.
        assert_eq!(at("bond0", 90_000, &said[..2]), [SINGLE]);
    }

    #[test]
    fn what_waits_at_the_end_is_pending() {
        let report = play("bond0", 6_000, &asks(1, &[0]));
        assert_eq!(found("DHCP001", &report), [""; 0]);
        assert_eq!(report.pending[0].what, "fa:16:3e:00:00:01 waits for an offer, 1 DISCOVER so far");
    }

    #[test]
    fn what_could_not_be_judged_for_long_is_proved_by_its_first_frames_and_the_latest() {
        let mut said = asks(1, &[0, 2_000, 6_000, 14_000, 22_000, 30_000]);
        said.insert(0, (-100, Say::arp(2)));
        // That answers pass here is seen only now.
        said.extend([(40_000, Say::ack(3, 9)), (50_000, Say::discover(1))]);
        let report = play("eth0", 55_000, &said);
        assert_eq!(found("DHCP001", &report), [SINGLE]);
        let proofs: Vec<u64> = report.findings[0].evidence.iter().map(|cited| cited.at.number).collect();
        assert_eq!(proofs, [2, 3, 4, 9]);
    }

    #[test]
    fn an_answer_at_the_deadline_is_in_time_and_one_after_it_resolves() {
        let mut said = asks(1, &[0, 4_000]);
        said.push((10_000, Say::offer(1, 9)));
        assert_eq!(at("bond0", 20_000, &said), [""; 0]);
        said[2] = (10_001, Say::ack(1, 9));
        assert_eq!(at("bond0", 20_000, &said), ["likely/warning Resolved fa:16:3e:00:00:01 untagged"]);
        // An offer without an address is a boot server's.
        said[2] = (5_000, Say::offer(1, 9).without_address());
        assert_eq!(at("bond0", 20_000, &said), [SINGLE]);
    }

    #[test]
    fn a_new_transaction_is_the_same_attempt_and_a_copy_is_no_try() {
        let fresh = [(0, Say::discover(1)), (4_000, Say::discover(1).xid(7))];
        assert_eq!(at("bond0", 20_000, &fresh), [SINGLE]);
        let copied = [(0, Say::discover(1)), (30, Say::discover(1).via(5)), (40, Say::discover(1))];
        assert_eq!(at("bond0", 20_000, &copied), [""; 0]);
    }

    #[test]
    fn three_clients_are_their_networks_trouble_and_one_answer_ends_it() {
        let mut said: Vec<_> =
            (1..=4).flat_map(|c| asks(c, &[i64::from(c) * 500, i64::from(c) * 500 + 4_000])).collect();
        said.sort_by_key(|(ms, _)| *ms);
        assert_eq!(at("bond0", 11_200, &said).len(), 2);
        assert_eq!(at("bond0", 11_500, &said), ["confirmed/error Open untagged"]);
        assert_eq!(at("bond0", 70_000, &said), ["confirmed/error Open untagged"]);
        said.push((20_000, Say::offer(2, 9)));
        assert_eq!(at("bond0", 21_000, &said), ["confirmed/error Resolved untagged"]);
        // Where one is answered while the others wait, a server is there.
        said.insert(8, (9_000, Say::ack(7, 9)));
        assert_eq!(at("bond0", 15_000, &said[..9]).len(), 4);
    }

    #[test]
    fn where_answers_may_pass_unseen_nothing_is_said() {
        let mut said = asks(1, &[0, 4_000, 12_000]);
        assert_eq!(at("eth0", 20_000, &said), [SINGLE], "nobody else was heard: the client's own capture");
        said.insert(1, (100, Say::arp(2)));
        assert_eq!(at("eth0", 20_000, &said), [""; 0]);
        said.insert(2, (200, Say::ack(3, 9)));
        assert_eq!(at("eth0", 20_000, &said), [SINGLE], "an answer to one client alone was seen");
    }
    #[test]
    fn one_address_in_two_networks_is_two_clients_and_a_relayed_answer_belongs_to_its_question() {
        let ask = |vid| Say::discover(1).tagged(vid).xid(u32::from(vid));
        let mut said = vec![(0, ask(100)), (1, ask(200)), (4_000, ask(100)), (4_001, ask(200))];
        said.push((5_000, Say::offer(1, 9).tagged(100).xid(100)));
        assert_eq!(at("bond0", 20_000, &said), ["likely/warning Open fa:16:3e:00:00:01 200"]);
        // The other side of a relay: another VLAN, the same transaction.
        said.push((6_000, Say::offer(1, 9).tagged(300).xid(200).via(5)));
        assert_eq!(at("bond0", 20_000, &said), [""; 0]);
    }
}
