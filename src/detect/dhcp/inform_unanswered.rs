//! A host that has an address asks for everything else (RFC 2131 section 4.4.3), and nobody answers. No lease is at stake.

use std::collections::BTreeMap;

use super::wait::Waits;
use super::{network, visibility};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Derived, DhcpStep, DomainId, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP011",
        name: "inform-unanswered",
        levels: &[(Confidence::Likely, Severity::Info), (Confidence::Likely, Severity::Warning)],
        page: include_str!("inform_unanswered.md"),
    },
    hears: &[],
    follows: &[Topic::Ack, Topic::OtherDhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(InformUnanswered::new(settings)),
};

/// Tries after which silence counts, and so does this time with two of them (RFC 2131 section 4.4.3 leaves both to the client; 3.1 has
/// four tries in a minute).
const TRIES: u64 = 4;
const LASTING: Span = Span::secs(60);
/// So long the last try may still be answered.
const GRACE: Span = Span::secs(2);
/// Hosts of one network that make it more than one host's habit.
const HOSTS: usize = 2;
/// Networks whose hosts are counted.
const MOST_NETS: usize = 1_024;

struct InformUnanswered {
    waits: Waits,
    /// Hosts that ask in vain for more than a proxy's address, by network.
    nets: BTreeMap<DomainId, Vec<TalkId>>,
}

impl InformUnanswered {
    fn new(settings: &Settings) -> Self {
        Self { waits: Waits::new(settings.tables.clients), nets: BTreeMap::new() }
    }

    fn judge(&mut self, talk: TalkId, cx: &mut Context<'_>) {
        let Some(wait) = self.waits.of(talk) else { return };
        let asked = std::sync::Arc::clone(&wait.asked);
        let is_enough = wait.tries >= TRIES || wait.tries >= 2 && wait.waited(cx.now) >= LASTING;
        let Some(why) = visibility(&asked, cx).filter(|_| is_enough) else { return };
        let root = cx.world.domains.root(asked.domain);
        if self.nets.len() >= MOST_NETS && !self.nets.contains_key(&root) {
            self.nets.pop_first();
        }
        let hosts = self.nets.entry(root).or_default();
        // Whoever only looks for a proxy's address (option 252) is used to silence.
        if wait.tries >= TRIES && !asked.wants_proxy && !hosts.contains(&talk) && hosts.len() < HOSTS {
            hosts.push(talk);
        }
        let is_many = hosts.len() >= HOSTS && hosts.contains(&talk);
        let severity = if is_many { Severity::Warning } else { Severity::Info };
        let (client, address) = (asked.client, asked.ciaddr);
        let headline = format!(
            "{client} ({}), which has {address}, asks for further settings since {}: {} in {}, no answer.",
            network(asked.domain, cx),
            asked.cited.time.clock(),
            wait.spoken("INFORM"),
            wait.last.time.since(asked.time),
        );
        let key = wait.claimed.get_or_insert_with(|| Key::new().with("client", client)).clone();
        let mut claim = Claim::new(key, Confidence::Likely, severity, headline)
            .seen(asked.cited.time, wait.tries)
            .at(asked.cited.at.vantage)
            .number("informs", wait.tries)
            .number("address", address.to_string())
            .proved_by(wait.fresh())
            .filter("dhcp.option.dhcp == 8")
            .assuming(why);
        if asked.wants_proxy {
            claim = claim.cause(
                "the host looks for a web proxy (option 252), and the network has none to tell: nothing to mend",
            );
        }
        cx.raise(
            claim
                .cause("the server serves known clients only, and this host was set up by hand")
                .cause("no DHCP server runs for this network")
                .step(
                    "See whether the server hears it",
                    Command::with("journalctl -t dnsmasq-dhcp | grep {}", &[&client]),
                ),
        );
    }
}

impl Detector for InformUnanswered {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Inform => self.asked(step),
            // What answers another question answers this one, too: the host is served.
            DhcpKind::Ack => {
                let Some(wait) = self.waits.close(step.talk) else { return };
                self.nets.values_mut().for_each(|hosts| hosts.retain(|host| *host != step.talk));
                if let Some(key) = wait.claimed {
                    cx.resolve(key, "it was answered");
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

impl InformUnanswered {
    fn asked(&mut self, step: &std::sync::Arc<DhcpStep>) {
        let wait = self.waits.ask(step);
        let (tries, long) = (wait.tries, wait.asked.time.after(LASTING));
        if tries >= TRIES {
            self.waits.judge_by(step.talk, step.time.after(GRACE));
        } else if tries >= 2 {
            self.waits.judge_by(step.talk, long.max(step.time.after(GRACE)));
        }
    }
}
