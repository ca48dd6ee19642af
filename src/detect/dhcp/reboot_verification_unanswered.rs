//! A client that starts asks for the address it had, and no server says a word (RFC 2131 section 4.3.2: a server without a record must be
//! silent).

use std::net::Ipv4Addr;

use super::wait::{Wait, Waits};
use super::{network, visibility};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP023",
        name: "reboot-verification-unanswered",
        levels: &[(Confidence::Likely, Severity::Info), (Confidence::Likely, Severity::Warning)],
        page: include_str!("reboot_verification_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Request, Topic::Ack, Topic::Nak],
    needs: Needs::Frames,
    make: |settings| Box::new(RebootVerificationUnanswered::new(settings)),
};

/// A client that got no address in this time, by whatever question, is without one.
const WITHOUT: Span = Span::secs(60);
/// The longest pause between two tries of one attempt (RFC 2131 section 4.1), with its second of chance.
const LONGEST_PAUSE: Span = Span::secs(65);

struct RebootVerificationUnanswered {
    tries: u64,
    wait: Span,
    waits: Waits,
}

impl RebootVerificationUnanswered {
    fn new(settings: &Settings) -> Self {
        Self {
            tries: u64::from(settings.dhcp.request_tries),
            wait: Span::secs(settings.dhcp.request_wait_s),
            waits: Waits::new(settings.tables.clients),
        }
    }

    fn judge(&mut self, talk: TalkId, cx: &mut Context<'_>) {
        let Some(wait) = self.waits.of(talk) else { return };
        let Some(why) = visibility(&wait.asked, cx) else { return };
        let asked = std::sync::Arc::clone(&wait.asked);
        let client = asked.client;
        let is_without = wait.waited(cx.now) >= WITHOUT && wait.last.time.since(asked.time) >= self.wait;
        let severity = if is_without { Severity::Warning } else { Severity::Info };
        let then = match (wait.starts_over, is_without) {
            (true, true) => ", and its DISCOVER after that brought it none either",
            (true, false) => ", and it starts over",
            (false, _) => "",
        };
        let headline = format!(
            "{client} ({}) started and asked to keep {} at {}: {}, and no server knows it{then}.",
            network(asked.domain, cx),
            asked.wanted.unwrap_or(Ipv4Addr::UNSPECIFIED),
            asked.cited.time.clock(),
            wait.spoken("REQUEST"),
        );
        let domain = cx.world.domains.name(asked.domain);
        let key = wait.claimed.get_or_insert_with(|| Key::new().with("client", client)).clone();
        let claim = Claim::new(key, Confidence::Likely, severity, headline)
            .seen(asked.cited.time, wait.tries)
            .at(asked.cited.at.vantage)
            .number("requests", wait.tries)
            .number("domain", domain)
            .proved_by(wait.fresh())
            .filter(format!(
                "dhcp.hw.mac_addr == {client} && dhcp.option.dhcp == 3 && dhcp.option.requested_ip_address && !dhcp.option.dhcp_server_id"
            ))
            .assuming(why)
            .cause("the server has lost its record of leases: it was set up anew, or keeps none on its disk")
            .cause("the client was moved to another network, whose server does not speak for the old address")
            .cause("no DHCP server runs for this network")
            .step("See what the server remembers", "cat /var/lib/misc/dnsmasq.leases")
            .step(
                "Let the only server of a network refuse what it does not know, so that clients start over at once",
                "echo dhcp-authoritative > /etc/dnsmasq.d/authoritative.conf",
            );
        if !is_without {
            self.waits.judge_by(talk, asked.time.after(WITHOUT));
        }
        cx.raise(claim);
    }

    /// The client was answered.
    fn answered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        if let Some(key) = self.waits.close(step.talk).and_then(|wait| wait.claimed) {
            let why = match step.kind {
                DhcpKind::Nak => "a server refused it".to_owned(),
                _ => format!("it was given {}", step.yiaddr),
            };
            cx.resolve(key, why);
        }
    }
}

impl Detector for RebootVerificationUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Request if step.asking == Some(Asking::InitReboot) => {
                // A start of long ago was answered where nobody could see it, or given up.
                let is_another =
                    |wait: &Wait| step.time.since(wait.last.time) > LONGEST_PAUSE && wait.claimed.is_none();
                if self.waits.of(step.talk).is_some_and(|wait| is_another(wait)) {
                    self.waits.close(step.talk);
                }
                let wait = self.waits.ask(step);
                let due = wait.asked.time.after(self.wait).max(step.time.after(Span::secs(2)));
                if wait.tries >= self.tries {
                    self.waits.judge_by(step.talk, due);
                }
            }
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack | DhcpKind::Nak => self.answered(step, cx),
            // It has given the old address up: after several tries that tells that nobody spoke for it.
            DhcpKind::Discover => {
                let is_news = self.waits.start_over(step, self.tries);
                if let Some(wait) = self.waits.of(step.talk) {
                    wait.last = std::sync::Arc::clone(step);
                }
                if is_news {
                    self.judge(step.talk, cx);
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
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP023", &play("bond0", end, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {}", mac(1))
    }

    #[test]
    fn two_tries_and_a_new_start_are_told_and_a_minute_without_an_address_is_a_warning() {
        let mut said = vec![(0, Say::reboot(1)), (4_000, Say::reboot(1))];
        assert_eq!(at(5_999, &said), [""; 0]);
        assert_eq!(at(6_000, &said), [line("likely/info Open")]);
        said.extend([(5_000, Say::discover(1)), (9_000, Say::discover(1))]);
        assert_eq!(at(5_500, &said[..3]), [line("likely/info Open")]);
        assert_eq!(at(60_000, &said), [line("likely/warning Open")]);
        said.push((9_500, Say::ack(1, 9)));
        assert_eq!(at(80_000, &said), [line("likely/info Resolved")]);
    }

    #[test]
    fn an_answer_of_any_kind_or_a_single_lost_question_says_nothing() {
        assert_eq!(at(90_000, &[(0, Say::reboot(1)), (2, Say::nak(1, 9))]), [""; 0]);
        assert_eq!(at(90_000, &[(0, Say::reboot(1)), (4_000, Say::reboot(1)), (4_002, Say::ack(1, 9))]), [""; 0]);
        assert_eq!(at(90_000, &[(0, Say::reboot(1)), (4_000, Say::discover(1))]), [""; 0]);
    }
}
