//! A server grants a renewal and the client behaves as if it had heard nothing (RFC 2131 section 4.4.5). Whether its network stopped before,
//! the verdict says; why it is deaf is HOST001's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::verdict::Verdict;
use super::{network, server_of};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Place};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP005",
        name: "renewal-answer-ignored",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("renewal_answer_ignored.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Request, Topic::Ack, Topic::Nak, Topic::OtherDhcp, Topic::Station],
    needs: Needs::Frames,
    make: |settings| Box::new(RenewalAnswerIgnored::new(settings)),
};

/// A question this soon after an answer was sent before the answer could be heard.
const CROSSING: Span = Span::millis(10);
/// How long after a grant a proof must come to be no echo of what was before it.
const AFTER_GRANT: Span = Span::secs(1);
/// Grants in a row that a client did not act on, before it is more than a lost packet; one more makes it certain.
const IGNORED: u64 = 2;
/// Grants that are remembered until it is known whether they were heard.
const MOST_DOUBTFUL: usize = 8;
/// Frames that are cited of the conversation.
const CITED: usize = 5;

struct RenewalAnswerIgnored {
    limit: usize,
    talks: BTreeMap<TalkId, Chain>,
}

/// Renewals of one client and their answers, since it last acted on one.
#[derive(Default)]
struct Chain {
    /// The latest renewal, its answer, and when the client had proved last, once it had been granted that before, that it hears other things.
    asked: Option<Arc<DhcpStep>>,
    granted: Option<Arc<DhcpStep>>,
    proved: Option<Timestamp>,
    /// When the first of the chain was asked, as it is shown.
    since: Option<Timestamp>,
    /// When it was granted first, and when it proved last that it hears other things, between two grants that it did not act on.
    first_grant: Option<Timestamp>,
    heard: Option<Timestamp>,
    asks: u64,
    grants: u64,
    /// Grants after which the client asked again as one who heard nothing.
    ignored: u64,
    /// Grants after which it asked again as one might who was told to, by their times.
    doubtful: Vec<Timestamp>,
    /// Whether the client went over to broadcast, or started over, although it had been granted what it asked for.
    gave_up: bool,
    slowest: Span,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
    /// By what it was claimed last.
    latest: Option<Arc<DhcpStep>>,
}

impl RenewalAnswerIgnored {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), talks: BTreeMap::new() }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if self.talks.len() >= self.limit && !self.talks.contains_key(&step.talk) {
            self.talks.pop_first();
        }
        let chain = self.talks.entry(step.talk).or_default();
        let is_early = chain.is_early(step);
        if !is_early && chain.granted.is_some() {
            if let Some(key) = chain.claimed.take() {
                let after = chain.granted.as_ref().map_or(Span::ZERO, |granted| step.time.since(granted.time));
                cx.resolve(key, format!("the client acted on a grant and asked again only {after} after it"));
            }
            chain.begin_anew();
        }
        let is_ignored = is_early && chain.count(step);
        chain.since.get_or_insert(step.cited.time);
        chain.asks = chain.asks.saturating_add(1);
        chain.asked = Some(Arc::clone(step));
        chain.cite(&step.cited);
        if is_ignored {
            chain.gave_up |= step.asking == Some(Asking::Rebinding);
            if chain.ignored >= IGNORED {
                chain.claim(step, cx);
            }
        }
    }

    fn granted(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let is_renewal = step.asked.is_some_and(|a| a.asking.is_some_and(Asking::is_keeping));
        if !is_renewal {
            // The client was served anew: what it did not hear before is over.
            if let Some(key) = self.talks.remove(&step.talk).and_then(|chain| chain.claimed) {
                cx.resolve(key, format!("the client was given {}", step.yiaddr));
            }
            return;
        }
        let Some(chain) = self.talks.get_mut(&step.talk).filter(|c| c.asked.is_some()) else { return };
        chain.grants = chain.grants.saturating_add(1);
        let first = *chain.first_grant.get_or_insert(step.cited.time);
        let station = cx.world.stations.station(step.client, step.domain, &cx.world.domains);
        let proof = station.and_then(|s| s.proof).map(|proof| proof.time);
        chain.proved = proof.filter(|proof| *proof > first.after(AFTER_GRANT));
        let took = step.asked.map_or(Span::ZERO, |asked| step.time.since(asked.last));
        chain.slowest = chain.slowest.max(took);
        chain.granted = Some(Arc::clone(step));
        chain.cite(&step.cited);
    }

    /// There is more to tell of what the client does not hear.
    fn judged_anew(&mut self, client: Mac, cx: &mut Context<'_>) {
        let is_claimed =
            |chain: &&mut Chain| chain.claimed.is_some() && chain.asked.as_ref().is_some_and(|a| a.client == client);
        for chain in self.talks.values_mut().filter(is_claimed) {
            if let Some(latest) = chain.latest.clone() {
                chain.claim(&latest, cx);
            }
        }
    }

    /// The client hears again.
    fn revived(&mut self, client: Mac, cx: &mut Context<'_>) {
        for chain in self.talks.values_mut().filter(|c| c.asked.as_ref().is_some_and(|a| a.client == client)) {
            if let Some(key) = chain.claimed.take() {
                cx.resolve(key, "the client proved that it hears again");
            }
            *chain = Chain::default();
        }
    }

    /// The client starts over: after grants that it ignored, that is the end of the story.
    fn started_over(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(chain) = self.talks.get_mut(&step.talk).filter(|c| c.ignored > 0) else { return };
        if !chain.gave_up || chain.granted.is_some() {
            chain.ignored = chain.ignored.saturating_add(u64::from(chain.granted.take().is_some()));
            chain.gave_up = true;
            chain.cite(&step.cited);
            if chain.ignored >= IGNORED {
                chain.claim(step, cx);
            }
        }
    }
}

impl Detector for RenewalAnswerIgnored {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let step = match seen {
            Observation::Derived(Derived::Dhcp(step)) => step,
            Observation::Derived(Derived::Lapsed(lapse)) => return self.judged_anew(lapse.mac, cx),
            Observation::Derived(Derived::Revived(revived)) => return self.revived(revived.mac, cx),
            _ => return,
        };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Request if step.is_renewal() => self.asked(step, cx),
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack => self.granted(step, cx),
            DhcpKind::Discover => self.started_over(step, cx),
            // It was refused, or it leaves: what it had asked for is history.
            DhcpKind::Nak | DhcpKind::Release => {
                if let Some(chain) = self.talks.get_mut(&step.talk).filter(|c| c.claimed.is_none()) {
                    *chain = Chain::default();
                }
            }
            _ => {}
        }
    }
}

impl Chain {
    /// Nothing was said so far; the room for frames stays.
    fn begin_anew(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.clear();
        *self = Self { fresh, ..Self::default() };
    }

    /// Whether `step` asks for what was granted already, sooner than a client that heard the grant would.
    fn is_early(&self, step: &DhcpStep) -> bool {
        let Some(granted) = &self.granted else { return false };
        let Some(t1) = granted.terms.as_ref().and_then(|terms| terms.t1) else { return false };
        let gap = step.time.since(granted.time);
        let half = Span::millis(i64::from(t1).saturating_mul(500));
        step.ciaddr == granted_address(granted) && gap >= CROSSING && gap < half
    }

    /// Counts the grant that `step` comes after, and says whether it proves that grants are not heard. A renewal that a person or a
    /// script asks for starts counting its seconds anew, and may keep the transaction (udhcpc does); some clients never count.
    fn count(&mut self, step: &DhcpStep) -> bool {
        let Some(granted) = self.granted.take() else { return false };
        self.heard = self.proved.or(self.heard);
        let before = self.asked.as_ref().map_or(0, |asked| asked.secs);
        if step.secs <= before && step.asking != Some(Asking::Rebinding) {
            if self.doubtful.len() < MOST_DOUBTFUL {
                self.doubtful.push(granted.time);
            }
            return false;
        }
        if step.secs > 0 {
            // Only what came since the client began is its own.
            let begun = step.time.after(Span::secs(i64::from(step.secs).saturating_add(1)).times(-1));
            self.doubtful.retain(|at| *at >= begun);
        }
        let doubtful = u64::try_from(self.doubtful.len()).unwrap_or(0);
        self.doubtful.clear();
        self.ignored = self.ignored.saturating_add(doubtful).saturating_add(1);
        true
    }

    fn cite(&mut self, cited: &Cited) {
        if self.fresh.len() >= CITED {
            self.fresh.pop();
        }
        self.fresh.push(cited.clone());
    }

    fn claim(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(asked) = self.asked.clone() else { return };
        let client = asked.client;
        self.latest = Some(Arc::clone(step));
        let server = server_of(&asked).map_or_else(|| "its server".to_owned(), |ip| ip.to_string());
        let is_sure = self.ignored > IGNORED || self.gave_up;
        let confidence = if is_sure { Confidence::Confirmed } else { Confidence::Likely };
        let does = match (step.kind, step.asking) {
            (DhcpKind::Discover, _) => "starts over as if it had heard nothing",
            (_, Some(Asking::Rebinding)) => "asks everybody as if it had heard nothing",
            _ => "keeps asking as if it had heard nothing",
        };
        let since = self.since.unwrap_or(asked.cited.time);
        let verdict = Verdict::of(client, asked.domain, since, self.heard, cx);
        let headline = format!(
            "{client} ({}) renews {} since {}: {server} granted it {} within {}, and the client {does}. {}",
            network(asked.domain, cx),
            asked.ciaddr,
            since.clock(),
            if self.grants == 1 { "once".to_owned() } else { format!("{} times", self.grants) },
            self.slowest,
            verdict.sentence(since),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("client", client).with("server", &server)).clone();
        let claim = Claim::new(key, confidence, Severity::Error, headline)
            .seen(since, self.ignored)
            .at(asked.cited.at.vantage)
            .number("requests", self.asks)
            .number("acks", self.grants)
            .number("ignored", self.ignored)
            .number("slowest_answer_s", self.slowest.as_secs())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.hw.mac_addr == {client} || (eth.addr == {client} && arp)"));
        cx.raise(told(claim, verdict, &asked, cx));
    }
}

/// The claim with causes and remedies, by how near to the client the answers were seen.
fn told(claim: Claim, verdict: Verdict, asked: &DhcpStep, cx: &Context<'_>) -> Claim {
    let world = cx.world;
    let is_only_dhcp = matches!(verdict, Verdict::OnlyDhcp(_));
    let deaf = |claim: Claim, cause: &str| if is_only_dhcp { claim } else { claim.cause(cause) };
    let is_tap = |id: &_| world.vantage(*id).is_some_and(|v| v.place == Place::Tap);
    let asked_at = world.dhcp.places(asked.client, asked.talk).iter().find(|id| is_tap(id));
    let answered_at = world.dhcp.answered_at(asked.client, asked.talk);
    let claim = match asked_at {
        Some(tap) if answered_at.contains(tap) => deaf(
            claim.number("seen_at_tap", "yes"),
            "the guest's receive path is dead: what reaches its tap does not reach its network card",
        ),
        Some(_) => claim
            .number("seen_at_tap", "no")
            .cause("the answers are lost on this host: they come in, and do not reach the guest's tap"),
        None => deaf(
            claim.assuming("whether the answers reached the client's own interface is not known from here; a capture there would tell"),
            "the guest's network card or driver receives nothing; it only sends",
        ),
    };
    claim
        .cause("a filter or security group drops replies from port 67 to port 68")
        .cause("the UDP checksum of the answers was left for hardware to fill in, and an old client drops them")
        .cause("the guest's DHCP client is dead at heart: it sends by its timer and reads no more")
        .step(
            "See whether the guest still takes anything from its tap (a growing TX dropped says no)",
            "ip -s link show TAP",
        )
        .step(
            "Look whether the answers reach the guest's tap, and with a good checksum",
            "tcpdump -eni TAP -vv 'udp port 68'",
        )
        .step(
            "Take the guest's link down and up, then restart the guest; a longer lease would only hide this",
            "virsh domif-setlink GUEST TAP down; virsh domif-setlink GUEST TAP up",
        )
        .step("See what filters the guest's port", "ebtables -L; iptables-save | grep -i 'dport 68'")
}

fn granted_address(step: &DhcpStep) -> std::net::Ipv4Addr {
    if step.yiaddr.is_unspecified() { step.ciaddr } else { step.yiaddr }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP005", &play("bond0", 900_000, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {} {}", mac(1), ip(9))
    }

    /// A renewal at each of these seconds, granted for a minute 2 ms later; the client counts for how long it has been asking.
    fn granted(at: &[u16]) -> Vec<(i64, Say)> {
        let ask = |s: &u16| {
            let t = i64::from(*s) * 1_000;
            [(t, Say::renew(1).secs(*s)), (t + 2, Say::ack(1, 9).lease(60))]
        };
        at.iter().flat_map(ask).collect()
    }

    #[test]
    fn one_lost_grant_says_nothing_two_are_likely_and_three_certain() {
        assert_eq!(at(&granted(&[0, 4])), [""; 0]);
        assert_eq!(at(&granted(&[0, 4, 9])), [line("likely/error Open")]);
        assert_eq!(at(&granted(&[0, 4, 9, 15])), [line("confirmed/error Open")]);
    }

    #[test]
    fn broadcast_or_a_new_start_after_two_grants_makes_it_certain() {
        let mut said = granted(&[0, 4]);
        said.push((14_000, Say::rebind(1)));
        assert_eq!(at(&said), [line("confirmed/error Open")]);
        said[4] = (20_000, Say::discover(1).xid(7));
        assert_eq!(at(&said), [line("confirmed/error Open")]);
        // udhcpc asks by broadcast two seconds after one lost grant.
        let mut lost = granted(&[0]);
        lost.push((2_000, Say::rebind(1)));
        assert_eq!(at(&lost), [""; 0]);
    }

    #[test]
    fn a_renewal_each_half_lease_is_healthy_and_ends_it() {
        assert_eq!(at(&granted(&[0, 28, 57, 85])), [""; 0]);
        assert_eq!(at(&granted(&[0, 4, 9, 37])), [line("likely/error Resolved")]);
    }

    #[test]
    fn what_crosses_or_was_asked_for_by_hand_says_nothing() {
        let crossing = [(0, Say::renew(1)), (3, Say::ack(1, 9).lease(60)), (6, Say::renew(1).xid(8).secs(4))];
        assert_eq!(at(&crossing), [""; 0]);
        // As udhcpc asks when told to: the same transaction, and the seconds from zero each time.
        let by_hand = |t: i64| [(t, Say::renew(1)), (t + 2, Say::ack(1, 9).lease(60))];
        let mut said = [by_hand(0), by_hand(2_000), by_hand(4_000), by_hand(6_000)].concat();
        assert_eq!(at(&said), [""; 0]);
        // Its last grant is lost: it has been asking for two seconds, and not for eight.
        said.push((8_000, Say::rebind(1).secs(2)));
        assert_eq!(at(&said), [""; 0]);
        // A client that never counts its seconds, and goes over to broadcast.
        said[8] = (8_000, Say::rebind(1));
        assert_eq!(at(&said), [line("confirmed/error Open")]);
    }
}
