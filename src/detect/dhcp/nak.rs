//! A server refuses an address to a client (RFC 2131 sections 3.1 and 4.3.2). Servers that contradict each other are not judged.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP008",
        name: "nak",
        levels: &[(Confidence::Confirmed, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("nak.md"),
    },
    hears: &[],
    follows: &[Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(Nak::new(settings)),
};

/// Refusals within this span are counted together (findings.md DHCP008).
const TOGETHER: Span = Span::secs(300);
/// A client that starts in a new network has its new address within this span of the refusal of the old one.
const NEW_NETWORK: Span = Span::secs(10);
/// A relay may carry several copies of one request, of which some are granted and some refused, all within this span.
const BESIDE: Span = Span::millis(500);
/// Answers of several servers to one request come within this span: one that looks for an address meanwhile does nothing else (findings.md DHCP009).
const ONE_REQUEST: Span = Span::secs(5);
/// Clients that must be refused by one server to call it an error.
const CLIENTS: usize = 3;
/// Clients of one server that are counted.
const MOST_COUNTED: usize = 64;

type Pair = (TalkId, Option<Ipv4Addr>);

struct Nak {
    many: usize,
    limit: usize,
    refused: BTreeMap<Pair, Refused>,
    /// When a client was granted something last, in which transaction, and by whom.
    granted: BTreeMap<TalkId, (u32, Timestamp, Option<Ipv4Addr>)>,
    /// When each server refused each of its clients last.
    by_server: BTreeMap<Option<Ipv4Addr>, BTreeMap<TalkId, Timestamp>>,
    due: Deadlines<Pair>,
}

/// A client that a server refuses.
struct Refused {
    last: Arc<DhcpStep>,
    first: Timestamp,
    count: u64,
    /// The latest refusals, as many as make an error.
    times: Vec<Timestamp>,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl Nak {
    fn new(settings: &Settings) -> Self {
        Self {
            many: usize::try_from(settings.dhcp.naks).unwrap_or(usize::MAX).max(1),
            limit: settings.tables.clients.max(1),
            refused: BTreeMap::new(),
            granted: BTreeMap::new(),
            by_server: BTreeMap::new(),
            due: Deadlines::new(),
        }
    }

    fn refused(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        // What another server has granted already is none of this one's to refuse (DHCP009).
        let beside = |(xid, at, by): &(u32, Timestamp, Option<Ipv4Addr>)| {
            let within = if *by == step.server { BESIDE } else { ONE_REQUEST };
            *xid == step.xid && step.time.since(*at) <= within
        };
        if step.is_copy || self.granted.get(&step.talk).is_some_and(beside) {
            return;
        }
        let pair = (step.talk, step.server);
        if !self.refused.contains_key(&pair)
            && self.refused.len() >= self.limit
            && let Some((oldest, _)) = self.refused.pop_first()
        {
            self.due.clear(&oldest);
        }
        let many = self.many;
        let refused = self.refused.entry(pair).or_insert_with(|| Refused::new(step));
        refused.note(step, many);
        // What may yet turn out well is waited for; a refusal that follows another is not.
        let wait = match step.asking {
            _ if refused.claimed.is_some() || refused.is_repeated() => None,
            // A question that was not seen may have been that of a start.
            Some(Asking::InitReboot) | None => Some(NEW_NETWORK),
            _ if step.is_relayed => Some(BESIDE),
            _ => None,
        };
        match wait {
            Some(wait) => self.due.set(pair, step.time.after(wait)),
            None => {
                self.due.clear(&pair);
                self.judge(pair, cx);
            }
        }
    }

    fn judge(&mut self, pair: Pair, cx: &mut Context<'_>) {
        let Some(refused) = self.refused.get_mut(&pair) else { return };
        let now = refused.last.time;
        if self.by_server.len() >= self.limit && !self.by_server.contains_key(&pair.1) {
            self.by_server.pop_first();
        }
        let clients = self.by_server.entry(pair.1).or_default();
        clients.retain(|_, at| now.since(*at) <= TOGETHER);
        clients.insert(pair.0, now);
        if clients.len() > MOST_COUNTED {
            clients.pop_first();
        }
        let count = clients.len();
        let is_wide = count >= CLIENTS;
        let is_often = refused.times.len() >= self.many;
        refused.claim(pair.1, if is_wide || is_often { Severity::Error } else { Severity::Warning }, count, cx);
        if count == CLIENTS {
            // The third client makes an error of the refusals of the first two.
            let others: Vec<TalkId> = clients.keys().copied().filter(|id| *id != pair.0).collect();
            for id in others {
                if let Some(other) = self.refused.get_mut(&(id, pair.1)).filter(|o| o.claimed.is_some()) {
                    other.claim(pair.1, Severity::Error, count, cx);
                }
            }
        }
    }

    fn granted(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        if self.granted.len() >= self.limit && !self.granted.contains_key(&step.talk) {
            self.granted.pop_first();
        }
        self.granted.insert(step.talk, (step.xid, step.time, step.server));
        let pairs: Vec<Pair> =
            self.refused.range((step.talk, None)..).map(|(pair, _)| *pair).take_while(|p| p.0 == step.talk).collect();
        for pair in pairs {
            // A client that is refused again and again between grants is still refused too often: the counting goes on.
            let was_waiting = self.due.of(&pair).is_some();
            self.due.clear(&pair);
            let key = self.refused.get_mut(&pair).and_then(|refused| refused.claimed.take());
            if let Some(key) = key {
                cx.resolve(key, format!("the client was given {}", given(step)));
            } else if was_waiting {
                self.refused.remove(&pair);
            }
        }
    }
}

impl Detector for Nak {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            DhcpKind::Nak => self.refused(step, cx),
            DhcpKind::Ack => self.granted(step, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(pair) = self.due.pop(cx.now) {
            self.judge(pair, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (_, pair) in self.due.waiting() {
            let Some(refused) = self.refused.get(pair) else { continue };
            cx.pending(
                format!("{} was refused an address and may yet get another", refused.last.client),
                refused.last.cited.time,
            );
        }
    }
}

impl Refused {
    fn new(step: &Arc<DhcpStep>) -> Self {
        Self {
            last: Arc::clone(step),
            first: step.cited.time,
            count: 0,
            times: Vec::new(),
            fresh: Vec::new(),
            claimed: None,
        }
    }

    fn note(&mut self, step: &Arc<DhcpStep>, many: usize) {
        self.times.retain(|at| step.time.since(*at) <= TOGETHER);
        if self.times.is_empty() && self.claimed.is_none() {
            (self.first, self.count) = (step.cited.time, 0);
            self.fresh.clear();
        }
        if self.times.len() >= many {
            self.times.remove(0);
        }
        self.times.push(step.time);
        self.count = self.count.saturating_add(1);
        self.last = Arc::clone(step);
        if self.fresh.len() >= 4 {
            self.fresh.pop();
        }
        self.fresh.push(step.cited.clone());
    }

    fn is_repeated(&self) -> bool {
        self.times.len() > 1
    }

    fn claim(&mut self, server: Option<Ipv4Addr>, severity: Severity, clients: usize, cx: &mut Context<'_>) {
        let step = &self.last;
        let client = step.client;
        let server = server.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let what = step.wanted.map_or_else(|| "an address".to_owned(), |ip| ip.to_string());
        let words = step.words.as_ref().map(|w| format!(" ('{}')", w.for_terminal())).unwrap_or_default();
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        let headline = format!(
            "{server} refused {what} to {client} ({}){words}, {times} since {}.",
            network(step.domain, cx),
            self.first.clock(),
        );
        let state = match step.asking {
            Some(Asking::Selecting) => "selecting: it asked for what it had been offered",
            Some(Asking::InitReboot) => "starting: it asked for the address it had before",
            Some(Asking::Renewing) => "renewing with its server",
            Some(Asking::Rebinding) => "rebinding with any server",
            None => "unknown: its request was not seen",
        };
        let key = self.claimed.get_or_insert_with(|| Key::new().with("client", client).with("server", &server)).clone();
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .seen(self.first, self.count)
            .at(step.cited.at.vantage)
            .number("naks", self.count)
            .number("clients_refused", clients)
            .number("client_was", state)
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.option.dhcp == 6 && dhcp.hw.mac_addr == {client}"));
        cx.raise(told(claim, step.asking, &client.to_string()));
    }
}

fn told(claim: Claim, asking: Option<Asking>, client: &str) -> Claim {
    let lost = "the server has lost its leases: it was started again without its lease file";
    let moved = "the address was changed in the cloud's database while the client kept the old one";
    let claim = match asking {
        Some(Asking::InitReboot) => {
            claim.cause("the client was moved to another network and asks for its old address").cause(lost).cause(moved)
        }
        Some(Asking::Selecting) => {
            claim.cause("the address was given to somebody else between offer and request").cause(moved).cause(lost)
        }
        _ => claim.cause(lost).cause(moved).cause("the client is in the wrong network"),
    };
    claim
        .step("Read why the server refuses", "journalctl -t dnsmasq-dhcp | grep -i nak")
        .step(
            "See how the server keeps its leases, and whether it is authoritative",
            "pgrep -a dnsmasq | tr ' ' '\\n' | grep -E 'lease|authoritative'",
        )
        .step(
            "Compare the address with what the cloud has for this port",
            Command::with("openstack port list --mac-address {}", &[&client]),
        )
        .step("Let the client ask anew", "dhclient -r && dhclient")
}

fn given(step: &DhcpStep) -> String {
    let address = if step.yiaddr.is_unspecified() { step.wanted } else { Some(step.yiaddr) };
    address.map_or_else(|| "an address".to_owned(), |ip| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP008", &play("bond0", end, said))
    }

    fn line(levels: &str, client: u8) -> String {
        format!("confirmed/{levels} {} {}", mac(client), ip(9))
    }

    #[test]
    fn a_refused_renewal_is_raised_at_once_and_a_grant_ends_it() {
        let mut said = vec![(0, Say::renew(1)), (2, Say::nak(1, 9))];
        assert_eq!(at(2, &said), [line("warning Open", 1)]);
        said.push((1_000, Say::ack(1, 9).xid(8)));
        assert_eq!(at(2_000, &said), [line("warning Resolved", 1)]);
    }

    #[test]
    fn a_boot_in_a_new_network_is_no_finding_unless_no_address_follows() {
        let mut said = vec![(0, Say::reboot(1)), (5, Say::nak(1, 9))];
        assert_eq!(at(10_004, &said), [""; 0]);
        assert_eq!(play("bond0", 10_004, &said).pending.len(), 1);
        assert_eq!(at(10_005, &said), [line("warning Open", 1)]);
        said.push((700, Say::ack(1, 9).xid(8)));
        assert_eq!(at(60_000, &said), [""; 0]);
    }

    #[test]
    fn a_refusal_beside_a_grant_is_a_relays_copy() {
        let granted_first =
            [(0, Say::renew(1)), (2, Say::ack(1, 9)), (3, Say::nak(1, 9).via(5)), (4, Say::nak(1, 9).via(5))];
        assert_eq!(at(5_000, &granted_first), [""; 0]);
        let refused_first = [(0, Say::renew(1)), (2, Say::nak(1, 9).via(5)), (4, Say::ack(1, 9))];
        assert_eq!(at(5_000, &refused_first), [""; 0]);
        assert_eq!(at(502, &refused_first[..2]), [line("warning Open", 1)]);
    }

    #[test]
    fn three_refusals_in_five_minutes_or_of_three_clients_are_an_error() {
        let thrice = |step: i64| [0, 1, 2].map(|n| (n * step, Say::nak(1, 9)));
        assert_eq!(at(400_000, &thrice(150_000)), [line("error Open", 1)]);
        assert_eq!(at(400_000, &thrice(150_001)), [line("warning Open", 1)]);
        let clients = [1, 2, 3].map(|c| (i64::from(c) * 1_000, Say::nak(c, 9)));
        // Their questions were not seen, and may have been those of a start.
        assert_eq!(at(10_999, &clients), [""; 0]);
        assert_eq!(at(12_500, &clients[..2]), [line("warning Open", 1), line("warning Open", 2)]);
        assert_eq!(at(13_000, &clients), [line("error Open", 1), line("error Open", 2), line("error Open", 3)]);
    }
}
