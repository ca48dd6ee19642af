//! A client is given an address again and again: it keeps starting over (RFC 2131 section 4.4.1). Renewals are not counted.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, TimedMap, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, Derived, DhcpStep, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP020",
        name: "lease-churn",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("lease_churn.md"),
    },
    hears: &[],
    follows: &[Topic::Ack, Topic::OtherDhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(LeaseChurn::new(settings)),
};

/// Starts within this span are counted together.
const TOGETHER: Span = Span::secs(300);
/// So long without a start, and it is over.
const CALM: Span = Span::secs(600);
/// Starts that are remembered of a client.
const MOST: usize = 64;

struct LeaseChurn {
    many: usize,
    clients: TimedMap<TalkId, Client>,
}

/// A client, by its identifier: a machine may run several under one hardware address.
struct Client {
    id: Option<Arc<[u8]>>,
    starts: VecDeque<Start>,
    /// All that were counted.
    count: u64,
    since: Timestamp,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

/// One grant that was not a renewal.
struct Start {
    at: Timestamp,
    xid: u32,
    address: Ipv4Addr,
}

impl LeaseChurn {
    fn new(settings: &Settings) -> Self {
        Self { many: settings.dhcp.churn_starts, clients: TimedMap::new(settings.tables.clients) }
    }

    fn granted(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        // Where one hardware address speaks for several clients, each start may be another's.
        if self.clients.get_mut(&step.talk).is_some_and(|c| c.id != step.client_id && step.client_id.is_some()) {
            if let Some(key) = self.clients.remove(&step.talk).and_then(|client| client.claimed) {
                cx.resolve(key, "another client speaks under its hardware address");
            }
            return;
        }
        let fresh = || Client {
            id: step.client_id.clone(),
            starts: VecDeque::new(),
            count: 0,
            since: step.cited.time,
            fresh: Vec::new(),
            claimed: None,
        };
        let many = self.many;
        let client = self.clients.entry(&step.talk, fresh);
        if client.starts.iter().any(|start| start.xid == step.xid) {
            // The same grant once more.
            return;
        }
        client.starts.retain(|start| step.time.since(start.at) <= TOGETHER);
        if client.starts.is_empty() && client.claimed.is_none() {
            (client.count, client.since) = (0, step.cited.time);
            client.fresh.clear();
        }
        if client.starts.len() >= MOST {
            client.starts.pop_front();
        }
        client.starts.push_back(Start { at: step.time, xid: step.xid, address: step.yiaddr });
        client.count = client.count.saturating_add(1);
        client.cite(&step.cited);
        if client.starts.len() >= many {
            client.claim(step, cx);
        }
        self.clients.wake(&step.talk, step.time.after(CALM));
    }
}

impl Detector for LeaseChurn {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.is_copy {
            return;
        }
        match step.kind {
            DhcpKind::Ack if step.is_inform_answer() => {}
            DhcpKind::Ack => {
                let is_start = step.asked.is_some_and(|asked| !asked.asking.is_some_and(Asking::is_keeping));
                if is_start {
                    self.granted(step, cx);
                }
            }
            // What it declined it did not start over from: DHCP010 tells.
            DhcpKind::Decline => {
                if let Some(client) = self.clients.get_mut(&step.talk) {
                    client.starts.pop_back();
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.clients.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(talk) = self.clients.due(cx.now) {
            if let Some(key) = self.clients.remove(&talk).and_then(|client| client.claimed) {
                cx.resolve(key, format!("it did not start over for {CALM}"));
            }
        }
    }
}

impl Client {
    fn cite(&mut self, cited: &Cited) {
        if self.fresh.len() >= 4 {
            self.fresh.pop();
        }
        self.fresh.push(cited.clone());
    }

    fn claim(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let client = step.client;
        let mut addresses: Vec<Ipv4Addr> = self.starts.iter().map(|start| start.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let first = self.starts.front().map_or(step.time, |start| start.at);
        let headline = format!(
            "{client} ({}) was given an address {} times in {}: it keeps starting over.",
            network(step.domain, cx),
            self.starts.len(),
            step.time.since(first),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("client", client)).clone();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .seen(self.since, self.count)
            .at(step.cited.at.vantage)
            .number("starts", self.count)
            .number("addresses", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.hw.mac_addr == {client}"))
            .cause("two DHCP clients run in the guest, each of which undoes the other: dhclient beside NetworkManager or systemd-networkd")
            .cause("the guest restarts again and again")
            .cause("its link goes down and up")
            .cause("it finds its address in use by another, and does not decline it")
            .step("See in the guest which clients run", "ps ax | grep -E 'dhclient|dhcpcd|udhcpc|NetworkManager|networkd'")
            .step("See whether the guest restarts", "virsh domstats GUEST; journalctl -u libvirtd | tail");
        cx.raise(claim);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, mac, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP020", &play("bond0", 1_500_000, said))
    }

    fn starts(times: &[i64]) -> Vec<(i64, Say)> {
        let start = |s: &i64| {
            let xid = 0x700 + *s as u32;
            [(s * 1_000, Say::request(1, 9).xid(xid)), (s * 1_000 + 2, Say::ack(1, 9).lease(3_600).xid(xid))]
        };
        times.iter().flat_map(start).collect()
    }

    #[test]
    fn five_starts_in_five_minutes_are_churn_until_it_is_calm() {
        assert_eq!(at(&starts(&[0, 20, 40, 60])), [""; 0]);
        assert_eq!(at(&starts(&[0, 20, 40, 60, 80])), [format!("confirmed/warning Resolved {}", mac(1))]);
        assert_eq!(at(&starts(&[0, 100, 200, 301, 402, 503])), [""; 0]);
        assert_eq!(at(&starts(&[1_000, 1_020, 1_040, 1_060, 1_080])), [format!("confirmed/warning Open {}", mac(1))]);
    }

    #[test]
    fn renewals_and_declined_addresses_are_not_counted() {
        let mut said = Vec::new();
        for i in 0..20 {
            said.extend([(i * 10_000, Say::renew(1)), (i * 10_000 + 2, Say::ack(1, 9).lease(20))]);
        }
        assert_eq!(at(&said), [""; 0]);
        let mut said = starts(&[0, 20, 40, 60, 80]);
        for i in (0..5).rev() {
            said.insert(2 * i + 2, (i as i64 * 20_000 + 500, Say::decline(1, 1)));
        }
        assert_eq!(at(&said), [""; 0]);
    }
}
