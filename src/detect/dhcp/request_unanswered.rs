//! A client takes an offer and gets neither ACK nor NAK (RFC 2131 section 3.1, step 5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::wait::Waits;
use super::{answers_pass, network};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP003",
        name: "request-unanswered",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("request_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(RequestUnanswered::new(settings)),
};

/// So long the last try may still be answered.
const GRACE: Span = Span::secs(2);
/// So much longer a server may take that looks meanwhile whether the address for another client is free (dnsmasq: three seconds each, and it does
/// nothing else).
const BUSY: Span = Span::secs(4);

struct RequestUnanswered {
    tries: u64,
    wait: Span,
    last_wait: Span,
    limit: usize,
    waits: Waits,
    /// The latest offer that each client heard of.
    offers: BTreeMap<TalkId, Arc<DhcpStep>>,
    /// Clients whose DISCOVER was seen, and no offer since.
    expecting: BTreeSet<TalkId>,
}

impl RequestUnanswered {
    fn new(settings: &Settings) -> Self {
        Self {
            tries: u64::from(settings.dhcp.request_tries),
            wait: Span::secs(settings.dhcp.request_wait_s),
            last_wait: Span::secs(settings.dhcp.request_final_s),
            limit: settings.tables.clients.max(1),
            waits: Waits::new(settings.tables.clients),
            offers: BTreeMap::new(),
            expecting: BTreeSet::new(),
        }
    }

    fn discovers(&mut self, step: &DhcpStep) {
        if self.expecting.len() >= self.limit && !self.expecting.contains(&step.talk) {
            self.expecting.pop_first();
        }
        self.expecting.insert(step.talk);
    }

    fn offered(&mut self, step: &Arc<DhcpStep>) {
        self.expecting.remove(&step.talk);
        if self.offers.len() >= self.limit && !self.offers.contains_key(&step.talk) {
            self.offers.pop_first();
        }
        self.offers.insert(step.talk, Arc::clone(step));
    }

    fn asked(&mut self, step: &Arc<DhcpStep>) {
        // A client that takes another offer waits anew.
        if self.waits.of(step.talk).is_some_and(|w| w.asked.server != step.server && w.claimed.is_none()) {
            self.waits.close(step.talk);
        }
        let wait = self.waits.ask(step);
        if wait.tries >= self.tries {
            let due = wait.asked.time.after(self.wait).after(BUSY).max(step.time.after(GRACE));
            self.waits.judge_by(step.talk, due);
        }
    }

    fn judge(&mut self, talk: TalkId, cx: &mut Context<'_>) {
        let offer = self.offers.get(&talk);
        let Some(wait) = self.waits.of(talk) else { return };
        let asked = Arc::clone(&wait.asked);
        let Some(server) = asked.server else { return };
        let offer = offer.filter(|offer| offer.server == Some(server));
        let why = match offer {
            Some(_) => Some("the offer of the same server was seen here, so that its next answer would be seen too"),
            // It names a server whose offer did not pass here, though its DISCOVER did: neither will the ACK.
            None if self.expecting.contains(&talk) => None,
            None => answers_pass(&asked, cx),
        };
        let Some(why) = why else { return };
        if wait.claimed.is_none()
            && wait.waited(cx.now) < self.last_wait
            && cx.world.dhcp.is_behind(cx.world.domains.root(asked.domain), cx.now)
        {
            // It waits for its turn; were it to wait for a minute, that would be told.
            self.waits.judge_by(talk, cx.now.after(BUSY).min(asked.time.after(self.last_wait)));
            return;
        }
        let is_final = wait.starts_over || wait.waited(cx.now) >= self.last_wait;
        let level =
            if is_final { (Confidence::Confirmed, Severity::Error) } else { (Confidence::Likely, Severity::Warning) };
        let (client, tries) = (asked.client, wait.tries);
        let over = if wait.starts_over { ", and starts over" } else { "" };
        // A boot server offers where to boot from, and no address (PXE 2.1 section 2.2.3).
        let address = asked.wanted.filter(|address| !address.is_unspecified());
        let what = address.map_or_else(|| "an offer without an address".to_owned(), |address| address.to_string());
        let headline = format!(
            "{client} ({}) accepted {what} from {server} at {}, but got neither ACK nor NAK: {} in {}{over}.",
            network(asked.domain, cx),
            asked.cited.time.clock(),
            wait.spoken("REQUEST"),
            wait.last.time.since(asked.time),
        );
        let key = wait.claimed.get_or_insert_with(|| Key::new().with("client", client).with("server", server)).clone();
        let evidence = offer.map(|offer| offer.cited.clone()).into_iter().chain(wait.fresh());
        let mut claim = Claim::new(key, level.0, level.1, headline)
            .seen(asked.cited.time, tries)
            .at(asked.cited.at.vantage)
            .number("requests", tries)
            .number("waited_s", wait.waited(cx.now).as_secs());
        if let Some(offer) = offer {
            claim = claim.number("offer_to_request_s", asked.time.since(offer.time).as_secs());
        }
        let claim = claim
            .proved_by(evidence)
            .filter(format!("dhcp.hw.mac_addr == {client} && (dhcp.option.dhcp == 2 || dhcp.option.dhcp == 3)"))
            .assuming(why);
        let claim = if address.is_none() {
            claim.cause(format!("{server} tells where to boot from and gives no addresses (proxyDHCP); the client takes that for the offer of one"))
        } else {
            claim
        };
        let claim = claim
            .cause("the server died between its offer and the request, or its lease file or script keeps it waiting")
            .cause(format!(
                "{server}, which the client names, is no address of the server that offered (moved, or translated on the way), \
                 and servers ignore requests for others"
            ))
            .cause("the request does not reach the server, though the DISCOVER did: a filter, or a path that broke in that moment")
            .step("Read what the server says about it", Command::with("journalctl -t dnsmasq-dhcp | grep {}", &[&client]))
            .step("See whether the disk with its lease file is full", "df -h /var/lib; ls -l /var/lib/misc/dnsmasq.leases")
            .step("Look on the server's side whether the requests arrive", "tcpdump -eni any 'udp port 67'");
        if !is_final {
            self.waits.judge_by(talk, asked.time.after(self.last_wait));
        }
        cx.raise(claim);
    }

    fn closed(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        self.offers.remove(&step.talk);
        self.expecting.remove(&step.talk);
        if let Some(key) = self.waits.close(step.talk).and_then(|wait| wait.claimed) {
            let what =
                if step.kind == DhcpKind::Nak { "the client was refused" } else { "the client was given its address" };
            cx.resolve(key, what);
        }
    }
}

impl Detector for RequestUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Offer => self.offered(step),
            DhcpKind::Request if step.asking == Some(Asking::Selecting) => self.asked(step),
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack | DhcpKind::Nak => self.closed(step, cx),
            DhcpKind::Discover => {
                if self.waits.start_over(step, self.tries) {
                    self.judge(step.talk, cx);
                }
                if self.offers.get(&step.talk).is_none_or(|offer| offer.xid != step.xid) {
                    self.discovers(step);
                }
            }
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

    fn finish(&mut self, cx: &mut Context<'_>) {
        for wait in self.waits.iter().filter(|w| w.claimed.is_none() && self.offers.contains_key(&w.asked.talk)) {
            let (client, tries) = (wait.asked.client, wait.spoken("REQUEST"));
            cx.pending(format!("{client} waits for what it was offered, {tries} so far"), wait.asked.cited.time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP003", &play("mirror", end, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {} {}", mac(1), ip(9))
    }

    fn taking(at: &[i64]) -> Vec<(i64, Say)> {
        let offered = vec![(0, Say::discover(1)), (5, Say::offer(1, 9))];
        offered.into_iter().chain(at.iter().map(|s| (s * 1_000 + 10, Say::request(1, 9)))).collect()
    }

    #[test]
    fn two_tries_make_it_likely_and_a_minute_or_a_new_start_certain() {
        let mut said = taking(&[0, 4]);
        assert_eq!(at(10_009, &said), [""; 0]);
        assert_eq!(at(10_010, &said), [line("likely/warning Open")]);
        assert_eq!(at(60_010, &said), [line("confirmed/error Open")]);
        said.push((12_000, Say::discover(1)));
        assert_eq!(at(12_000, &said), [line("confirmed/error Open")]);
        said.push((13_000, Say::ack(1, 9)));
        assert_eq!(at(90_000, &said), [line("confirmed/error Resolved")]);
    }

    #[test]
    fn one_try_a_late_answer_and_answers_that_pass_elsewhere_say_nothing() {
        assert_eq!(at(90_000, &taking(&[0])), [""; 0]);
        let mut late = taking(&[0, 4]);
        late.push((5_000, Say::ack(1, 9)));
        assert_eq!(at(90_000, &late), [""; 0]);
        let mut unseen = taking(&[0, 4]);
        unseen.remove(1);
        unseen.insert(0, (0, Say::ack(2, 8)));
        assert_eq!(
            at(90_000, &unseen),
            [""; 0],
            "the DISCOVER was seen, its offer was not: answers to this client pass elsewhere"
        );
        assert_eq!(at(90_000, &taking(&[0, 4])[2..]), [""; 0], "no offer was seen, so the answer may be unseen too");
    }
}
