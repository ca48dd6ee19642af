//! A client has given up on its server and asks everybody to keep its address (RFC 2131 section 4.4.5, REBINDING).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{answers_pass, network, server_of};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Few, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Lease, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP006",
        name: "rebinding-reached",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("rebinding_reached.md"),
    },
    hears: &[],
    follows: &[Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(RebindingReached::new(settings)),
};

/// Unicast renewals in vain after which a broadcast is a last resort: some clients try the second time by broadcast already.
const UNICASTS: usize = 2;
/// Unicast renewals that are remembered of a client.
const MOST_UNICASTS: usize = 8;
/// Frames that are cited of one attempt.
const CITED: usize = 4;
/// Broadcasts this far apart are two tries: closer ones may both precede the answer.
const ANOTHER_TRY: Span = Span::secs(2);
/// The longest pause between two tries of one attempt (RFC 2131 section 4.1), with its second of chance.
const LONGEST_PAUSE: Span = Span::secs(65);

struct RebindingReached {
    limit: usize,
    talks: BTreeMap<TalkId, Run>,
}

/// Renewals of one client since it last acted on a grant.
#[derive(Default)]
struct Run {
    /// The latest unicast renewal, and when each came.
    renewed: Option<Arc<DhcpStep>>,
    unicasts: Few<Timestamp>,
    /// The first broadcast.
    first: Option<Arc<DhcpStep>>,
    /// The latest grant.
    granted: Option<Arc<DhcpStep>>,
    last_broadcast: Option<Timestamp>,
    broadcasts: u64,
    fresh: Few<Cited>,
    claimed: Option<Key>,
    /// Whether the client did not act on a grant.
    is_deaf: bool,
}

impl RebindingReached {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), talks: BTreeMap::new() }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if self.talks.len() >= self.limit && !self.talks.contains_key(&step.talk) {
            self.talks.pop_first();
        }
        let run = self.talks.entry(step.talk).or_default();
        let is_heeded = run.granted.as_ref().is_some_and(|granted| {
            let t1 = granted.terms.as_ref().and_then(|terms| terms.t1).unwrap_or(0);
            step.time.since(granted.time) >= Span::millis(i64::from(t1).saturating_mul(500))
        });
        if is_heeded {
            if let Some(key) = run.claimed.take() {
                cx.resolve(key, "the client acted on a grant");
            }
            *run = Run::default();
        }
        run.is_deaf |= run.granted.is_some();
        if step.asking == Some(Asking::Renewing) {
            run.renewed = Some(Arc::clone(step));
            if run.unicasts.len() >= MOST_UNICASTS {
                run.unicasts.remove(0);
            }
            run.unicasts.push(step.time);
            run.fresh.clear();
            run.fresh.push(step.cited.clone());
            return;
        }
        run.broadcasts = run.broadcasts.saturating_add(1);
        if run.fresh.len() < CITED {
            run.fresh.push(step.cited.clone());
        }
        let first = Arc::clone(run.first.get_or_insert_with(|| Arc::clone(step)));
        let is_late = step.lease.is_some_and(|lease| is_near_t2(&lease, step));
        let before = run.last_broadcast.replace(step.time).unwrap_or(step.time);
        // Some clients broadcast each renewal: where the answers do not pass, those that come in their time were answered.
        let is_at_once = step.time.since(before) <= LONGEST_PAUSE;
        let is_repeated =
            step.time.since(first.time) >= ANOTHER_TRY && (is_at_once || answers_pass(step, cx).is_some());
        if step.secs > 0 {
            // Only what came since the client began to ask is part of it: a person may have let it renew before.
            let begun = step.time.after(Span::secs(i64::from(step.secs).saturating_add(1)).times(-1));
            run.unicasts.retain(|at| *at >= begun);
        }
        if run.unicasts.len() >= UNICASTS || is_late || is_repeated {
            run.claim(&first, step, cx);
        }
    }

    fn answered(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(run) = self.talks.get_mut(&step.talk) else { return };
        let is_renewal = step.asked.is_some_and(|a| a.asking.is_some_and(Asking::is_keeping));
        if is_renewal && step.kind == DhcpKind::Ack && run.is_deaf {
            run.granted = Some(Arc::clone(step));
            return;
        }
        if let Some(key) = run.claimed.take() {
            let what = match (step.kind, step.server) {
                (DhcpKind::Nak, _) => "the client was refused".to_owned(),
                (_, Some(server)) => format!("{server} granted {}", step.yiaddr),
                (_, None) => format!("the client was granted {}", step.yiaddr),
            };
            cx.resolve(key, what);
        }
        let before = std::mem::take(run);
        if is_renewal && step.kind == DhcpKind::Ack {
            (run.granted, run.unicasts) = (Some(Arc::clone(step)), before.unicasts);
        }
    }
}

impl Detector for RebindingReached {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        // Behind a relay all renewals that it had in hand came by broadcast: what the client did is told on its own side.
        if step.is_copy || step.is_relayed && step.kind == DhcpKind::Request {
            return;
        }
        match step.kind {
            DhcpKind::Request if step.is_renewal() => self.asked(step, cx),
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack | DhcpKind::Nak => self.answered(step, cx),
            _ => {}
        }
    }
}

impl Run {
    fn claim(&mut self, first: &DhcpStep, step: &DhcpStep, cx: &mut Context<'_>) {
        let client = first.client;
        let server = self.renewed.as_deref().and_then(server_of).or_else(|| server_of(first));
        let named = server.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let server = server.map_or_else(|| "its server".to_owned(), |ip| ip.to_string());
        let left = match step.lease {
            // A client that did not hear its grants counts by an older clock than the server.
            Some(lease) if !self.is_deaf && lease.end > step.time => {
                format!(", {} before its lease ends", lease.end.since(step.time))
            }
            _ => String::new(),
        };
        let headline = format!(
            "{client} ({}) gave up on {server} and asks everybody to renew {} since {}{left}.",
            network(first.domain, cx),
            first.ciaddr,
            first.cited.time.clock(),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("client", client)).clone();
        let mut claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(first.cited.time, self.broadcasts)
            .at(first.cited.at.vantage)
            .number("broadcasts", self.broadcasts)
            .number("server", named)
            .number("domain", cx.world.domains.name(first.domain))
            .number("secs_field", u64::from(step.secs));
        if let Some(lease) = step.lease.filter(|_| !self.is_deaf) {
            if !lease.is_listed {
                claim = claim.number("since_t1_s", step.time.since(lease.t1).as_secs());
            }
            claim = claim.number("remaining_s", lease.end.since(step.time).as_secs());
        }
        let renewed = self.renewed.as_deref();
        if let Some(renewed) = renewed {
            claim = claim.number("unicast_tried_s", first.time.since(renewed.time).as_secs());
        }
        let claim = claim
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!(
                "dhcp.hw.mac_addr == {client} && dhcp.option.dhcp == 3 && ip.dst == 255.255.255.255 && dhcp.ip.client != 0.0.0.0"
            ))
            .cause(format!("{server} does not answer, or what it answers does not reach the client"))
            .cause("the server's address has changed, and the client asks at the old one")
            .cause("a filter passes broadcasts only")
            .step("See whether the server runs and listens", "ss -lnup 'sport = :67'; pgrep -a dnsmasq")
            .step("Look on the server's side whether unicast renewals arrive and are answered", Command::with("tcpdump -eni any 'udp port 67 and ether host {}'", &[&client]));
        cx.raise(claim);
    }
}

/// Whether `step` comes so late in its lease that the client has long been renewing: past the middle between T1 and T2. Clients
/// that broadcast all their renewals do so at T1.
fn is_near_t2(lease: &Lease, step: &DhcpStep) -> bool {
    let middle = lease.t1.after(Span::nanos(lease.t2.since(lease.t1).as_nanos() / 2));
    lease.address == step.ciaddr && step.time >= middle && step.time <= lease.end
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, mac, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP006", &play("bond0", 900_000, said))
    }

    fn line(state: &str) -> String {
        format!("confirmed/warning {state} {}", mac(1))
    }

    #[test]
    fn broadcast_after_unicast_in_vain_is_raised_and_a_grant_ends_it() {
        let mut said = vec![(0, Say::renew(1)), (10_000, Say::renew(1)), (22_000, Say::rebind(1))];
        assert_eq!(at(&said), [line("Open")]);
        said.push((22_002, Say::ack(1, 9).lease(60)));
        assert_eq!(at(&said), [line("Resolved")]);
    }

    #[test]
    fn alone_it_is_told_from_a_habit_by_the_lease_or_by_being_repeated() {
        let leased = |s: i64| [(0, Say::request(1, 9)), (2, Say::ack(1, 9).lease(60)), (s * 1_000, Say::rebind(1))];
        assert_eq!(at(&leased(30)), [""; 0], "a client that broadcasts all its renewals");
        assert_eq!(at(&leased(52)), [line("Open")]);
        assert_eq!(at(&[(0, Say::rebind(1))]), [""; 0]);
        assert_eq!(at(&[(0, Say::rebind(1)), (4_000, Say::rebind(1))]), [line("Open")]);
        let habit = [(0, Say::rebind(1)), (2, Say::ack(1, 9).lease(60)), (30_000, Say::rebind(1))];
        assert_eq!(at(&habit), [""; 0]);
        // As udhcpc does after one lost grant.
        let second = [(0, Say::renew(1)), (2_000, Say::rebind(1)), (2_002, Say::ack(1, 9).lease(60))];
        assert_eq!(at(&second), [""; 0]);
    }

    #[test]
    fn a_client_that_does_not_hear_its_grants_is_not_over_with_the_next() {
        let granted = |t: i64| [(t, Say::renew(1)), (t + 2, Say::ack(1, 9).lease(60))];
        let mut said = [granted(0), granted(4_000), granted(9_000)].concat();
        said.extend([(20_000, Say::rebind(1)), (20_002, Say::ack(1, 9).lease(60))]);
        assert_eq!(at(&said), [line("Open")]);
        said.push((50_000, Say::renew(1)));
        assert_eq!(at(&said), [line("Resolved")]);
    }
}
