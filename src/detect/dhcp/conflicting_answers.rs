//! Two servers answer one REQUEST, and contradict each other (RFC 2131 sections 3.1 and 4.3.2). Offers may differ; grants may not.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs, network};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Deadlines, Few, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP009",
        name: "conflicting-answers",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("conflicting_answers.md"),
    },
    hears: &[],
    follows: &[Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(ConflictingAnswers::new(settings)),
};

/// Answers to one request come within this span (findings.md DHCP009).
const ONE_REQUEST: Span = Span::secs(5);
/// So long without a contradiction, it is over.
const CALM: Span = Span::secs(600);
/// Answers that are remembered of a request.
const MOST_ANSWERS: usize = 4;

struct ConflictingAnswers {
    limit: usize,
    asked: BTreeMap<TalkId, Asked>,
    counts: BTreeMap<Key, u64>,
    calm: Deadlines<Key>,
}

/// The latest request of a client, and its answers.
struct Asked {
    step: Arc<DhcpStep>,
    answers: Few<Arc<DhcpStep>>,
}

impl ConflictingAnswers {
    fn new(settings: &Settings) -> Self {
        Self {
            limit: settings.tables.clients.max(1),
            asked: BTreeMap::new(),
            counts: BTreeMap::new(),
            calm: Deadlines::new(),
        }
    }

    fn answered(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(asked) = self.asked.get_mut(&step.talk) else { return };
        let is_of_it = asked.step.xid == step.xid && step.time.since(asked.step.time) <= ONE_REQUEST;
        let (true, Some(server)) = (is_of_it, step.server) else { return };
        // What the client chose, and who else said otherwise.
        let contradicts = |other: &&Arc<DhcpStep>| {
            other.server != step.server && (other.kind != step.kind || other.yiaddr != step.yiaddr)
        };
        let against = asked.answers.iter().find(contradicts).cloned();
        let chosen = asked.step.server.filter(|chosen| *chosen != server);
        let is_foreign = step.kind == DhcpKind::Nak && chosen.is_some();
        if asked.answers.len() < MOST_ANSWERS {
            asked.answers.push(Arc::clone(step));
        }
        let request = Arc::clone(&asked.step);
        let pair = match (&against, chosen) {
            (Some(against), _) => against.server.map(|other| (server, other)),
            (None, Some(chosen)) if is_foreign => Some((server, chosen)),
            _ => None,
        };
        let Some((mut server, mut other)) = pair else { return };
        // The one that the client did not choose is the one that contradicts; without a choice, the one that refuses.
        let is_later_right = chosen.is_none() && step.kind == DhcpKind::Ack;
        if request.server == Some(server) || is_later_right {
            std::mem::swap(&mut server, &mut other);
        }
        self.claim(&request, step, against.as_deref(), (server, other), cx);
    }

    fn claim(
        &mut self,
        request: &DhcpStep,
        step: &DhcpStep,
        against: Option<&DhcpStep>,
        (server, other): (Ipv4Addr, Ipv4Addr),
        cx: &mut Context<'_>,
    ) {
        let client = request.client;
        let key = Key::new().with("client", client).with("server", server).with("other", other);
        if self.counts.len() >= self.limit && !self.counts.contains_key(&key) {
            self.counts.pop_first();
        }
        let count = self.counts.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let place = network(request.domain, cx);
        let said = |by: &DhcpStep| match by.kind {
            DhcpKind::Nak => "refused it".to_owned(),
            _ => format!("granted {}", by.yiaddr),
        };
        let one = if step.server == Some(server) { Some(step) } else { against };
        let two = if step.server == Some(server) { against } else { Some(step) };
        let first = one.map_or_else(|| "contradicted".to_owned(), said);
        let second = two.map_or_else(|| "was the one it had chosen".to_owned(), said);
        let wanted = request.wanted.map_or_else(|| "an address".to_owned(), |ip| ip.to_string());
        let headline = format!(
            "{client} asked for {wanted} at {}: {server} {first}, and {other} {second}; two servers believe that they own {place}.",
            request.cited.time.clock(),
        );
        let gap = against.map_or(Span::ZERO, |against| step.time.since(against.time));
        let evidence = [Some(request), against, Some(step)].into_iter().flatten().map(|s| s.cited.clone());
        let claim = Claim::new(key.clone(), Confidence::Confirmed, Severity::Error, headline)
            .seen(request.cited.time, *count)
            .at(step.cited.at.vantage)
            .number("contradictions", *count)
            .number("gap_s", gap.as_secs())
            .proved_by(evidence)
            .filter(format!("dhcp.hw.mac_addr == {client} && (dhcp.option.dhcp == 5 || dhcp.option.dhcp == 6)"))
            .cause("two servers with lists of their own are both told that they are authoritative")
            .cause(format!("{server} should not be in this network at all"))
            .step("See who answers here", "nmap --script broadcast-dhcp-discover -e IFACE")
            .step("Find the port that it lives behind", Command::with("ip neigh show {}; bridge fdb show", &[&server]))
            .step(
                "Leave one of them authoritative, or give both the same list of hosts",
                "grep -rE 'authoritative|dhcp-hostsfile' /etc/dnsmasq.conf /etc/dnsmasq.d",
            );
        self.calm.set(key, step.time.after(CALM));
        cx.raise(claim);
    }
}

impl Detector for ConflictingAnswers {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            DhcpKind::Request if !step.is_copy => {
                if self.asked.len() >= self.limit && !self.asked.contains_key(&step.talk) {
                    self.asked.pop_first();
                }
                self.asked.insert(step.talk, Asked { step: Arc::clone(step), answers: Few::new() });
            }
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack | DhcpKind::Nak if !step.is_copy => self.answered(step, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.calm.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.calm.pop(cx.now) {
            self.counts.remove(&key);
            cx.resolve(key, format!("the servers did not contradict each other for {CALM}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP009", &play("bond0", 30_000, said))
    }

    #[test]
    fn a_grant_and_a_refusal_or_two_grants_that_differ_are_a_contradiction() {
        let line = format!("confirmed/error Open {} {} {}", mac(1), ip(8), ip(9));
        let refused = [(0, Say::request(1, 9)), (2, Say::ack(1, 9)), (3, Say::nak(1, 8))];
        assert_eq!(at(&refused), [line.as_str()]);
        assert_eq!(at(&[refused[0].clone(), refused[2].clone()]), [line.as_str()], "who was not chosen must be silent");
        let swapped = [refused[0].clone(), (2, Say::nak(1, 8)), (3, Say::ack(1, 9))];
        assert_eq!(at(&swapped), [line.as_str()]);
        let reboot = [(0, Say::reboot(1)), (2, Say::ack(1, 9)), (3, Say::ack(1, 8).giving(7))];
        assert_eq!(at(&reboot).len(), 1);
    }

    #[test]
    fn equal_grants_an_earlier_request_and_one_server_say_nothing() {
        let equal = [(0, Say::reboot(1)), (2, Say::ack(1, 9)), (3, Say::ack(1, 8))];
        assert_eq!(at(&equal), [""; 0]);
        let earlier = [(0, Say::request(1, 9)), (2, Say::ack(1, 9)), (3, Say::nak(1, 8).xid(7))];
        assert_eq!(at(&earlier), [""; 0]);
        let one = [(0, Say::renew(1)), (2, Say::ack(1, 9)), (3, Say::nak(1, 9).via(5))];
        assert_eq!(at(&one), [""; 0]);
    }
}
