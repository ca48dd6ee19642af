//! A server offers an address and the client acts as if it had not heard (RFC 2131 section 3.1). Defects of the offer are not judged here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Defect, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP002",
        name: "offer-unanswered",
        levels: &[
            (Confidence::Likely, Severity::Info),
            (Confidence::Likely, Severity::Warning),
            (Confidence::Likely, Severity::Error),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("offer_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(OfferUnanswered::new(settings)),
};

/// A question this soon after an offer was sent before the offer could be heard and acted upon.
const CROSSING: Span = Span::secs(1);
/// A client that begins to count its seconds anew after such a pause has given up in between: retries come sooner, or say so.
const NEW_ATTEMPT: Span = Span::secs(30);
/// An offer that comes so long after it was asked for may meet a client that has given up meanwhile (RFC 2131 section 4.1: its first retry).
const LATE: Span = Span::secs(4);
/// So long a client may go on asking anew after late offers: the time in which RFC 2131 section 4.1 lets it ask five times.
const LATE_FOR: Span = Span::secs(64);
/// An address that a client used so long ago it may still have: hosts ask for their gateway more often than that.
const KNOWN: Span = Span::secs(300);
/// Servers whose offers to one client are remembered.
const MOST_SERVERS: usize = 8;

struct OfferUnanswered {
    wait: Span,
    pxe_wait: Span,
    limit: usize,
    talks: BTreeMap<TalkId, Talk>,
    /// The transaction in which each client took an offer, until it asks anew: what is offered in it after that comes too late.
    taken: BoundedMap<TalkId, u32>,
    due: Deadlines<TalkId>,
}

/// A client that was offered something.
struct Talk {
    /// Its first question, where that was seen.
    begun: Timestamp,
    offers: Vec<Offers>,
}

/// What one server offers to one client.
struct Offers {
    server: Ipv4Addr,
    last: Arc<DhcpStep>,
    first: Timestamp,
    count: u64,
    /// Offers after which the client asked anew.
    unheard: u64,
    /// Whether the client asked anew after the last.
    is_unheard: bool,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

/// What the client does instead of taking the offer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It keeps asking.
    AsksAnew,
    /// It sends other things.
    SendsOther,
    /// It is silent.
    Silent,
}

impl OfferUnanswered {
    fn new(settings: &Settings) -> Self {
        Self {
            wait: Span::secs(settings.dhcp.offer_wait_s),
            pxe_wait: Span::secs(settings.dhcp.offer_wait_pxe_s),
            limit: settings.tables.clients.max(1),
            talks: BTreeMap::new(),
            taken: BoundedMap::new(settings.tables.clients),
            due: Deadlines::new(),
        }
    }

    fn offered(&mut self, step: &Arc<DhcpStep>) {
        let Some(server) = step.server.filter(|_| !step.is_copy && !step.yiaddr.is_unspecified()) else { return };
        if self.taken.peek(&step.talk) == Some(&step.xid) {
            return;
        }
        if !self.talks.contains_key(&step.talk)
            && self.talks.len() >= self.limit
            && let Some((oldest, _)) = self.talks.pop_first()
        {
            self.due.clear(&oldest);
        }
        let fresh = || Talk { begun: step.time, offers: Vec::new() };
        let talk = self.talks.entry(step.talk).or_insert_with(fresh);
        if talk.offers.iter().all(|o| o.server != server) && talk.offers.len() < MOST_SERVERS {
            talk.offers.push(Offers::new(server, step));
        }
        let Some(offers) = talk.offers.iter_mut().find(|o| o.server == server) else { return };
        offers.count = offers.count.saturating_add(1);
        offers.last = Arc::clone(step);
        offers.is_unheard = false;
        offers.cite(step);
        let due = if step.is_pxe {
            talk.begun.after(self.pxe_wait).max(step.time.after(self.wait))
        } else {
            step.time.after(self.wait)
        };
        self.due.set(step.talk, due);
    }

    fn asked(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if step.is_copy {
            return;
        }
        let Some(talk) = self.talks.get_mut(&step.talk) else { return };
        // A new attempt after a pause says nothing about the offers of the one before.
        let is_new_attempt = |o: &Offers| {
            step.secs == 0
                && step.xid != o.last.xid
                && step.time.since(o.last.time) >= NEW_ATTEMPT
                && o.claimed.is_none()
        };
        talk.offers.retain(|o| !is_new_attempt(o) && !only_looks(&o.last, cx));
        let may_collect = step.is_pxe && step.time.since(talk.begun) <= self.pxe_wait;
        let mut is_new = false;
        // An offer that comes when the client has given up, and rests before it asks anew, is too late, and no sign that it does not hear.
        let begun = talk.begun;
        let is_late = |o: &Offers| {
            let waited = o.last.asked.map_or(Span::ZERO, |asked| o.last.time.since(asked.first));
            waited >= LATE && step.xid != o.last.xid && step.time.since(begun) < LATE_FOR
        };
        let counted = |o: &&mut Offers| step.time.since(o.last.time) >= CROSSING && !o.is_unheard && !is_late(o);
        for offers in talk.offers.iter_mut().filter(|o| counted(o)) {
            offers.is_unheard = true;
            offers.unheard = offers.unheard.saturating_add(1);
            offers.cite(step);
            is_new = true;
        }
        if !is_new {
            return;
        }
        // From here on it is asking that counts, not silence.
        self.due.clear(&step.talk);
        if may_collect {
            return;
        }
        for offers in talk.offers.iter_mut().filter(|o| o.is_unheard) {
            offers.claim(Reading::AsksAnew, cx);
        }
    }

    /// The client shows that it heard, or is served.
    fn closed(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        self.due.clear(&step.talk);
        let Some(talk) = self.talks.remove(&step.talk) else { return };
        for offers in talk.offers {
            let Some(key) = offers.claimed else { continue };
            let why = match (step.kind, step.server) {
                (DhcpKind::Ack, _) => format!("the client was given {}", step.yiaddr),
                (_, Some(server)) if server == offers.server => "the client asked for what was offered".to_owned(),
                (_, Some(server)) => format!("the client chose the offer of {server}"),
                (_, None) => "the client keeps an address that it had".to_owned(),
            };
            cx.resolve(key, why);
        }
    }
}

impl Detector for OfferUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match (step.kind, step.asking) {
            (DhcpKind::Discover, _) => {
                self.taken.remove(&step.talk);
                self.asked(step, cx);
            }
            (DhcpKind::Offer, _) => self.offered(step),
            // A client that starts over with its old address may have heard nothing: what is claimed stays, what waits is dropped.
            (DhcpKind::Request, Some(Asking::InitReboot)) => self.due.clear(&step.talk),
            (DhcpKind::Request | DhcpKind::Ack, asking) => {
                if asking == Some(Asking::Selecting) {
                    self.taken.insert(step.talk, step.xid);
                }
                self.closed(step, cx);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(talk) = self.due.pop(cx.now) {
            let Some(talk) = self.talks.get_mut(&talk) else { continue };
            for offers in talk.offers.iter_mut().filter(|o| !o.is_unheard) {
                let step = &offers.last;
                let station = cx.world.stations.station(step.client, step.domain, &cx.world.domains);
                // Who had an address a moment ago and is silent has it still.
                let spoke = station.and_then(|s| s.had_address);
                if only_looks(step, cx) || spoke.is_some_and(|at| step.time.since(at) <= KNOWN) {
                    continue;
                }
                // Of a client that was never heard to ask, what it says does not pass here.
                if step.asked.is_none() {
                    continue;
                }
                let reading =
                    if station.is_some_and(|s| s.last > step.time) { Reading::SendsOther } else { Reading::Silent };
                offers.claim(reading, cx);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (_, talk) in self.due.waiting() {
            for offers in self.talks.get(talk).into_iter().flat_map(|t| &t.offers).filter(|o| o.claimed.is_none()) {
                let what = format!("{} has not yet asked for what {} offered", offers.last.client, offers.server);
                cx.pending(what, offers.last.cited.time);
            }
        }
    }
}

impl Offers {
    fn new(server: Ipv4Addr, step: &Arc<DhcpStep>) -> Self {
        Self {
            server,
            last: Arc::clone(step),
            first: step.cited.time,
            count: 0,
            unheard: 0,
            is_unheard: false,
            fresh: Vec::new(),
            claimed: None,
        }
    }

    /// Keeps the frame for the next claim: four offers with the question after each, then the latest only.
    fn cite(&mut self, step: &DhcpStep) {
        if self.fresh.len() >= 8 {
            self.fresh.pop();
        }
        self.fresh.push(step.cited.clone());
    }

    fn claim(&mut self, reading: Reading, cx: &mut Context<'_>) {
        let step = Arc::clone(&self.last);
        let (client, server, yiaddr) = (step.client, self.server, step.yiaddr);
        let level = match reading {
            Reading::AsksAnew if self.unheard >= 2 => (Confidence::Confirmed, Severity::Error),
            Reading::AsksAnew | Reading::SendsOther => (Confidence::Likely, Severity::Error),
            Reading::Silent if holds_lease(&step, cx) => (Confidence::Likely, Severity::Info),
            Reading::Silent => (Confidence::Likely, Severity::Warning),
        };
        let does = match reading {
            Reading::AsksAnew => "keeps sending DISCOVER as if it heard nothing",
            Reading::SendsOther => "sends other things, but never asks for it",
            Reading::Silent => "is silent since",
        };
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        let headline = format!(
            "Server {server} offered {yiaddr} {times} to {client} ({}) since {}, and the client {does}.{}",
            network(step.domain, cx),
            self.first.clock(),
            defective(&step, cx),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("client", client).with("server", server)).clone();
        let claim = Claim::new(key, level.0, level.1, headline)
            .seen(self.first, self.count)
            .at(step.cited.at.vantage)
            .number("offers", self.count)
            .number("discovers_after", self.unheard)
            .number("offered", yiaddr.to_string())
            .number("broadcast_flag", if step.is_broadcast { "set" } else { "clear" })
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.hw.mac_addr == {client} && (dhcp.option.dhcp == 1 || dhcp.option.dhcp == 2)"));
        cx.raise(told(claim, reading, &step, cx));
    }
}

/// Whether the client has a lease that has not ended: then it can do without the offer.
fn holds_lease(step: &DhcpStep, cx: &Context<'_>) -> bool {
    cx.world.dhcp.lease(step.client, step.talk).is_some_and(|lease| lease.end > step.time)
}

/// What is wrong with the offer, as a sentence; a checksum only where nothing on the way will fill it in any more.
fn defective(step: &DhcpStep, cx: &Context<'_>) -> String {
    let is_last = cx.world.is_port(step.cited.at.vantage);
    match (step.defects.iter().find(|defect| **defect != Defect::NoClientId), step.checksum.fault().filter(|_| is_last))
    {
        (Some(defect), _) => format!(" The offer is defective: {}.", defect.spoken(step.terms.as_ref(), step.sent_to)),
        (None, Some((have, want))) => {
            format!(" The offer is defective: its UDP checksum is 0x{have:04x}, and should be 0x{want:04x}.")
        }
        (None, None) => String::new(),
    }
}

/// Whether the offer went to one who only looks what servers there are: who has an address since, or asks in another's name.
fn only_looks(offer: &DhcpStep, cx: &Context<'_>) -> bool {
    let station = cx.world.stations.station(offer.client, offer.domain, &cx.world.domains);
    offer.is_probe || station.and_then(|s| s.had_address).is_some_and(|at| at > offer.time)
}

/// The claim with causes and remedies, by how near to the client the offer was seen.
fn told(claim: Claim, reading: Reading, step: &DhcpStep, cx: &Context<'_>) -> Claim {
    let client = step.client;
    let is_near = |id: &VantageId| cx.world.is_port(*id);
    // Its own port is that at which it was heard first: to the others it was flooded.
    let own = cx.world.dhcp.places(client, step.talk).iter().copied().find(is_near);
    let came_to = cx.world.dhcp.answered_at(client, step.talk);
    if let Some(own) = own.filter(|own| !came_to.contains(own)) {
        return lost_on_this_host(claim, client, own, cx);
    }
    let claim = if came_to.iter().any(is_near) {
        claim
            .number("seen_at_tap", "yes")
            .cause("the guest's receive path is dead: what reaches its tap does not reach its network card")
    } else {
        let more =
            "whether the offer reached the client's own interface is not known from here; a capture there would tell";
        claim.assuming(more).cause("the offer is lost between here and the client: a bridge, a filter or a wrong VLAN")
    };
    let claim = match reading {
        Reading::Silent => claim.cause("the client was switched off, or only probed for servers"),
        _ => claim.cause("the guest's network card or driver receives nothing; it only sends"),
    };
    let claim = claim
        .cause("the UDP checksum of the offer was left for hardware to fill in, and an old client drops it")
        .cause("a filter or security group lacks the rule for replies from port 67 to port 68");
    let claim = if step.is_broadcast {
        claim.cause("the offer goes out by broadcast, and something on the way does not forward that")
    } else {
        claim.cause("the client cannot take a unicast offer before it has an address, and did not ask for broadcast")
    };
    claim
        .step(
            "Look whether the offer reaches the guest's tap, and with a good checksum",
            "tcpdump -eni TAP -vv 'udp port 68'",
        )
        .step(
            "Fill in checksums on the server's host",
            "iptables -t mangle -A POSTROUTING -p udp --dport 68 -j CHECKSUM --checksum-fill",
        )
        .step("See what filters the guest's port", "ebtables -L; iptables-save | grep -i 'dport 68'")
        .step(
            "Take the guest's link down and up, then restart the guest",
            "virsh domif-setlink GUEST TAP down; virsh domif-setlink GUEST TAP up",
        )
}

/// The claim where the client's own port was captured, and the offer never came there: it hears nothing because nothing comes.
fn lost_on_this_host(claim: Claim, client: Mac, own: VantageId, cx: &Context<'_>) -> Claim {
    let port = cx.world.vantage(own).map(|v| v.name.to_string()).unwrap_or_default();
    let device = cx.world.known_device(&port).unwrap_or("TAP").to_owned();
    claim
        .number("seen_at_tap", "no")
        .cause(format!("the offer is lost on this host: it comes in, and is not sent out on the client's port {port}"))
        .cause("the bridge has learned the client's address at another port: what it sends comes back from the network, or another has its address")
        .cause("a filter of the host drops it before the port: ebtables, a security group")
        .step("See at which port the bridge believes the client", Command::with("bridge fdb show | grep {}", &[&client]))
        .step("See whether the port forwards, and in which bridge it is", Command::with("bridge -d link show dev {}", &[&device]))
        .step("See what the host drops", "ebtables -L --Lc; nft list ruleset")
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP002", &play("bond0", end, said))
    }

    fn line(levels: &str, server: u8) -> String {
        format!("{levels} {} {}", mac(1), ip(server))
    }

    #[test]
    fn asking_anew_after_an_offer_is_likely_and_after_two_certain() {
        let (d, o) = (Say::discover(1), Say::offer(1, 9));
        let said = [(0, d.clone()), (20, o.clone()), (4_000, d.clone()), (4_020, o.clone()), (12_000, d)];
        assert_eq!(at(3_999, &said[..2]), [""; 0]);
        assert_eq!(at(4_010, &said[..3]), [line("likely/error Open", 9)]);
        assert_eq!(at(12_000, &said), [line("confirmed/error Open", 9)]);
        let report = play("bond0", 12_000, &said);
        let cited: Vec<u64> = report.findings[0].evidence.iter().map(|c| c.at.number).collect();
        assert_eq!(cited, [2, 3, 4, 5]);
    }

    #[test]
    fn a_question_that_crosses_the_offer_says_nothing() {
        let said = [(0, Say::discover(1)), (3_980, Say::offer(1, 9)), (4_000, Say::discover(1))];
        assert_eq!(at(5_000, &said), [""; 0]);
    }

    #[test]
    fn silence_is_a_warning_and_sending_other_things_an_error() {
        let mut said = vec![(0, Say::discover(1)), (20, Say::offer(1, 9))];
        assert_eq!(at(10_019, &said), [""; 0]);
        assert_eq!(at(10_020, &said), [line("likely/warning Open", 9)]);
        said.push((2_000, Say::arp(1)));
        assert_eq!(at(10_020, &said), [line("likely/error Open", 9)]);
        // Who has an address and keeps it only looked what servers there are.
        said[2] = (2_000, Say::arp(1).holding(1));
        assert_eq!(at(10_020, &said), [""; 0]);
        said[2] = (9_900, Say::request(1, 9));
        assert_eq!(at(30_000, &said), [""; 0]);
    }

    #[test]
    fn another_servers_offer_taken_closes_all_and_resolves() {
        let mut said = vec![(0, Say::discover(1)), (20, Say::offer(1, 8)), (30, Say::offer(1, 9))];
        said.push((40, Say::request(1, 9)));
        assert_eq!(at(30_000, &said), [""; 0]);
        said[3] = (4_000, Say::discover(1));
        said.push((4_500, Say::request(1, 9)));
        assert_eq!(at(30_000, &said), [line("likely/error Resolved", 8), line("likely/error Resolved", 9)]);
    }

    #[test]
    fn a_boot_rom_collects_offers_and_a_boot_server_offers_nothing() {
        let (d, o) = (Say::discover(1).pxe(), Say::offer(1, 9));
        let proxy = Say::offer(1, 8).without_address();
        let mut said = vec![(0, d.clone()), (10, o.clone()), (20, proxy), (4_000, d.clone()), (4_010, o.clone())];
        said.extend([(12_000, d.clone()), (12_010, o)]);
        assert_eq!(at(20_000, &said), [""; 0]);
        said.push((28_000, d));
        assert_eq!(at(28_000, &said), [line("confirmed/error Open", 9)]);
    }
}
