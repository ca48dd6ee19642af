//! A relay that hands messages round in a circle, or does not hand answers on (RFC 1542 section 4.1, RFC 2131 section 4.1).

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP017",
        name: "relay-failure",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("relay_failure.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(RelayFailure::new(settings)),
};

/// Relays in a row that a message may pass unless somebody allows more (RFC 1542 section 4.1.1).
const HOPS: u8 = 4;
/// Numbers of hops of one message that must be seen: a circle shows many, a long row one.
const DIFFERENT: usize = 3;
/// A question this soon after an answer was sent before the answer could be heard.
const CROSSING: Span = Span::secs(1);
/// Answers that must be kept back: one may be lost anywhere.
const KEPT_BACK: u64 = 2;
/// So long a transaction is followed.
const LASTING: Span = Span::secs(120);
/// Relays that are followed, and frames that are cited.
const MOST_RELAYS: usize = 1_024;
const CITED: usize = 5;

struct RelayFailure {
    talks: BoundedMap<TalkId, Talk>,
    relays: BoundedMap<Ipv4Addr, Relay>,
}

/// One client's latest transaction, as far as relays are concerned.
struct Talk {
    xid: u32,
    since: Timestamp,
    hops: Vec<u8>,
    passed: Vec<Cited>,
    /// Its question before any relay, where that was seen.
    asked: Option<Arc<DhcpStep>>,
    /// The server's answer to a relay, as long as the client did not get it.
    answered: Option<Arc<DhcpStep>>,
}

/// A relay that keeps answers back.
#[derive(Default)]
struct Relay {
    kept_back: u64,
    since: Option<Timestamp>,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl RelayFailure {
    fn new(settings: &Settings) -> Self {
        Self { talks: BoundedMap::new(settings.tables.clients), relays: BoundedMap::new(MOST_RELAYS) }
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let talk = self.talks.entry(&step.talk, || Talk::new(step));
        if talk.xid != step.xid || step.time.since(talk.since) > LASTING {
            *talk = Talk::new(step);
        }
        if step.is_relayed {
            if talk.circles(step) {
                talk.claim_circle(step, cx);
            }
            return;
        }
        if step.is_copy {
            return;
        }
        let before = talk.asked.replace(Arc::clone(step));
        // It asks on although its server answered the relay.
        let kept = talk.answered.take_if(|answer| step.time.since(answer.time) >= CROSSING);
        if let (Some(before), Some(answer)) = (before, kept) {
            self.kept_back(&before, &answer, step, cx);
        }
    }

    fn answered(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(talk) = self.talks.get_mut(&step.talk).filter(|talk| talk.xid == step.xid) else { return };
        if step.to == Some(step.giaddr) {
            // On its way to the relay; where the question before the relay was not seen, only this side is captured.
            if talk.asked.is_some() && !step.is_copy {
                talk.answered = Some(Arc::clone(step));
            }
            return;
        }
        // It came out at the client's side.
        talk.answered = None;
        if let Some(key) = self.relays.remove(&step.giaddr).and_then(|relay| relay.claimed) {
            cx.resolve(key, format!("an answer to {} was handed on", step.client));
        }
    }

    fn kept_back(&mut self, before: &DhcpStep, answer: &DhcpStep, again: &DhcpStep, cx: &mut Context<'_>) {
        let vantage = before.cited.at.vantage;
        let is_on_the_way = cx.world.stations.is_on_the_way(vantage);
        if !before.is_broadcast && !is_on_the_way && !cx.world.dhcp.has_unicast_answer(vantage) {
            return;
        }
        let relay = self.relays.entry(&answer.giaddr, Relay::default);
        relay.kept_back = relay.kept_back.saturating_add(1);
        relay.since.get_or_insert(answer.cited.time);
        for cited in [&before.cited, &answer.cited, &again.cited] {
            if relay.fresh.len() < CITED && relay.fresh.iter().all(|c| c.at != cited.at) {
                relay.fresh.push(cited.clone());
            }
        }
        if relay.kept_back >= KEPT_BACK {
            relay.claim(answer, again, cx);
        }
    }
}

impl Detector for RelayFailure {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            DhcpKind::Discover | DhcpKind::Request => self.asked(step, cx),
            DhcpKind::Offer | DhcpKind::Ack | DhcpKind::Nak if step.is_relayed => self.answered(step, cx),
            _ => {}
        }
    }
}

impl Talk {
    fn new(step: &DhcpStep) -> Self {
        let (xid, since) = (step.xid, step.time);
        Self { xid, since, hops: Vec::new(), passed: Vec::new(), asked: None, answered: None }
    }

    /// Whether the question passed more relays than any row has, and was seen on its way again and again.
    fn circles(&mut self, step: &DhcpStep) -> bool {
        if self.hops.contains(&step.hops) {
            return false;
        }
        // There are 256 numbers, and each is entered once.
        self.hops.push(step.hops);
        if self.passed.len() < CITED {
            self.passed.push(step.cited.clone());
        }
        step.hops > HOPS && self.hops.len() >= DIFFERENT
    }

    fn claim_circle(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let (client, relay) = (step.client, step.giaddr);
        let most = self.hops.iter().max().copied().unwrap_or(step.hops);
        let first = self.passed.first().map_or(step.cited.time, |cited| cited.time);
        let headline = format!(
            "The same {} of {client} ({}) passed {most} relays since {}: relays hand it round in a circle.",
            step.kind,
            network(step.domain, cx),
            first.clock(),
        );
        let claim = Claim::new(
            Key::new().with("relay", relay).with("failure", "circle"),
            Confidence::Confirmed,
            Severity::Error,
            headline,
        )
        .seen(first, self.hops.len() as u64)
        .at(step.cited.at.vantage)
        .number("hops", u64::from(most))
        .number("client", client.to_string())
        .proved_by(std::mem::take(&mut self.passed))
        .filter(format!("dhcp.id == 0x{:08x} && dhcp.hops > 0", step.xid))
        .cause("a relay hands broadcasts from one network to another that a second relay hands back")
        .cause("two relays name each other as their server")
        .step("See whom each relay hands to", "pgrep -a dhcrelay; vtysh -c 'show running-config' | grep helper-address")
        .step("Let relays discard what passed more than four", "dhcrelay -c 4");
        cx.raise(claim);
    }
}

impl Relay {
    fn claim(&mut self, answer: &DhcpStep, again: &DhcpStep, cx: &mut Context<'_>) {
        let (client, relay) = (again.client, answer.giaddr);
        let server = answer.server.map_or_else(|| "the server".to_owned(), |ip| ip.to_string());
        let since = self.since.unwrap_or(answer.cited.time);
        let headline = format!(
            "Relay {relay} hands questions to {server} and is answered {} times since {}, but nothing comes back to {client} ({}).",
            self.kept_back,
            since.clock(),
            network(again.domain, cx),
        );
        let fresh = || Key::new().with("relay", relay).with("failure", "answers kept back");
        let key = self.claimed.get_or_insert_with(fresh).clone();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Error, headline)
            .seen(since, self.kept_back)
            .at(again.cited.at.vantage)
            .number("kept_back", self.kept_back)
            .number("server", server)
            .number("client", client.to_string())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.ip.relay == {relay} || dhcp.hw.mac_addr == {client}"))
            .cause("answers do not reach the relay's program: a filter on its host drops UDP from port 67 to port 67")
            .cause("the relay does not know the address as its own any more, or listens at the server's side only")
            .cause("the relay drops answers that do not repeat what it added (option 82)")
            .step("See whether the relay's program gets them", "ss -lnup 'sport = :67'; tcpdump -eni any 'udp port 67'")
            .step("See what filters them", "iptables-save | grep -E 'dport (67|68)'; nft list ruleset | grep 67")
            .step("See that the server's way back to the relay is open", Command::with("ip route get {}", &[&relay]));
        cx.raise(claim);
    }
}
