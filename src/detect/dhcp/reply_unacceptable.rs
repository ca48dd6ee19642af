//! What a server offers or grants cannot be used as it is (RFC 2131 section 4.3.1, table 3; RFC 6842), and its clients act so.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::heed::{Heed, Reaction};
use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Few, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Defect, Derived, DhcpStep, Observation, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP018",
        name: "reply-unacceptable",
        levels: &[(Confidence::Risk, Severity::Info), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("reply_unacceptable.md"),
    },
    hears: &[],
    follows: &[Topic::Discover, Topic::Offer, Topic::Request, Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(ReplyUnacceptable::new(settings)),
};

/// Answers left unheard that make it certain: one may be lost anywhere.
const IGNORED: u64 = 2;
/// Faults of servers that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: usize = 4;

/// A server, and what is wrong with its answers.
type Fault = (Ipv4Addr, Defect);

struct ReplyUnacceptable {
    heed: Heed<Fault>,
    faults: BoundedMap<Fault, Answers>,
}

/// Answers with one fault.
struct Answers {
    latest: Arc<DhcpStep>,
    since: Timestamp,
    count: u64,
    ignored: u64,
    /// Whether some client takes them as they are.
    is_taken: bool,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl ReplyUnacceptable {
    fn new(settings: &Settings) -> Self {
        Self { heed: Heed::new(settings), faults: BoundedMap::new(MOST) }
    }

    fn answered(&mut self, step: &Arc<DhcpStep>) {
        let Some(server) = step.server.filter(|_| !step.is_copy && !step.is_probe) else { return };
        for defect in step.defects.iter() {
            let fault = (server, *defect);
            let answers = self.faults.entry(&fault, || Answers::new(step));
            answers.count = answers.count.saturating_add(1);
            answers.latest = Arc::clone(step);
            answers.cite(&step.cited);
            let t1 = step.terms.as_ref().and_then(|terms| terms.t1);
            self.heed.told(step.client, step.kind == DhcpKind::Ack, t1, step.time, fault);
        }
    }

    fn reacted(&mut self, reaction: Reaction, faults: &Few<Fault>, asked: Option<&DhcpStep>, cx: &mut Context<'_>) {
        for (server, defect) in faults.iter() {
            let Some(answers) = self.faults.get_mut(&(*server, *defect)) else { continue };
            match reaction {
                Reaction::Heeded => {
                    answers.is_taken = true;
                    if let Some(key) = answers.claimed.take() {
                        cx.resolve(key, format!("{} took such an answer", answers.latest.client));
                    }
                }
                // Where others take them as they are, it is not the fault that this client minds.
                _ if answers.is_taken => {}
                // dnsmasq 2.90 and dhcpd 4.4.3 repeat none, and clients take that: who asks on has another reason.
                Reaction::Ignored if *defect == Defect::NoClientId => {}
                Reaction::Ignored => {
                    answers.ignored = answers.ignored.saturating_add(1);
                    asked.into_iter().for_each(|step| answers.cite(&step.cited));
                    if answers.ignored >= IGNORED {
                        answers.claim(*server, *defect, cx);
                    }
                }
                Reaction::Silent => answers.claim(*server, *defect, cx),
            }
        }
    }
}

impl Detector for ReplyUnacceptable {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        match step.kind {
            DhcpKind::Offer => self.answered(step),
            _ => {
                if let Some((reaction, faults)) = self.heed.heard(step) {
                    self.reacted(reaction, &faults, Some(step), cx);
                }
                if step.kind == DhcpKind::Ack {
                    self.answered(step);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.heed.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((reaction, faults)) = self.heed.due(cx.now) {
            self.reacted(reaction, &faults, None, cx);
        }
    }
}

impl Answers {
    fn new(step: &Arc<DhcpStep>) -> Self {
        Self {
            latest: Arc::clone(step),
            since: step.cited.time,
            count: 0,
            ignored: 0,
            is_taken: false,
            fresh: Vec::new(),
            claimed: None,
        }
    }

    fn cite(&mut self, cited: &Cited) {
        if self.fresh.len() > CITED {
            self.fresh.pop();
        }
        self.fresh.push(cited.clone());
    }

    fn claim(&mut self, server: Ipv4Addr, defect: Defect, cx: &mut Context<'_>) {
        let step = Arc::clone(&self.latest);
        let is_sure = self.ignored >= IGNORED;
        let (confidence, severity) =
            if is_sure { (Confidence::Confirmed, Severity::Error) } else { (Confidence::Risk, Severity::Info) };
        let what = if step.kind == DhcpKind::Offer { "offers" } else { "grants" };
        let does = if is_sure { "and the client asks on as if nothing had come" } else { "which a client may refuse" };
        let headline = format!(
            "What {server} {what} to {} ({}) since {} cannot be used by the standard: {}, {does}.",
            step.client,
            network(step.domain, cx),
            self.since.clock(),
            defect.spoken(step.terms.as_ref(), step.sent_to),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("server", server).with("defect", defect)).clone();
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(self.since, self.count)
            .at(step.cited.at.vantage)
            .number("answers", self.count)
            .number("ignored", self.ignored)
            .number("client", step.client.to_string())
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.option.dhcp == 2 || dhcp.option.dhcp == 5 || dhcp.hw.mac_addr == {}", step.client));
        cx.raise(told(claim, defect));
    }
}

/// The claim with causes and remedies, by what is wrong.
fn told(claim: Claim, defect: Defect) -> Claim {
    match defect {
        Defect::RouterOutside | Defect::Clock => claim
            .cause("the subnet, its gateway or its times are configured wrongly at the server")
            .step("See what the server is told to give", "openstack subnet show SUBNET; cat /etc/dnsmasq.d/*.conf"),
        Defect::NoClientId | Defect::OtherClientId => claim
            .cause("the server is older than RFC 6842, or gives a lease that it keeps under another identifier")
            .step(
                "Let the client be known by its hardware address (netplan: dhcp-identifier: mac)",
                "grep -rn ClientIdentifier /etc/systemd/network",
            ),
        Defect::OtherStation | Defect::NotBroadcast => claim
            .cause("something between server and client rewrites addresses: a relay, an access point, a virtual switch")
            .cause("the server looks the client up by its address, and an old entry of another client answers")
            .step("See whom the server believes to have the address", "ip neigh show; arp -n"),
        Defect::NoServer | Defect::NoLease | Defect::NoAddress | Defect::TooLong | Defect::Unreadable => claim
            .cause("the server, or something that changes its answers on the way, is faulty")
            .step("See what the answer holds, option by option", "tcpdump -eni any -vvv 'udp port 68'"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, ip, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP018", &play("bond0", 90_000, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {} no lease time", ip(9))
    }

    #[test]
    fn what_clients_do_decides() {
        // Offers that do not say for how long.
        let (d, o) = (Say::discover(1), Say::offer(1, 9));
        let said = [(0, d.clone()), (5, o.clone()), (4_000, d.clone()), (4_005, o.clone()), (9_000, d), (9_005, o)];
        assert_eq!(at(&said[..2]), [line("risk/info Open")]);
        assert_eq!(at(&said), [line("confirmed/error Open")]);
        let taken = [(0, Say::discover(1)), (5, Say::offer(1, 9)), (20, Say::request(1, 9))];
        assert_eq!(at(&taken), [""; 0]);
    }

    #[test]
    fn where_only_servers_are_heard_a_grant_tells_that_the_offer_was_taken() {
        assert_eq!(at(&[(0, Say::offer(1, 9)), (20, Say::ack(1, 9).lease(600))]), [""; 0]);
        assert_eq!(at(&[(0, Say::offer(1, 9)), (20, Say::ack(1, 9))]), [""; 0]);
    }
}
