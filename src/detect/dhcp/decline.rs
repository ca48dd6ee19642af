//! A client finds the address that it was given in use, and declines it (RFC 2131 section 3.1, step 5; RFC 5227).

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{DhcpKind, Kind};
use crate::world::{Derived, DhcpStep, DomainId, Observation, Seen, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP010",
        name: "decline",
        levels: &[(Confidence::Confirmed, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("decline.md"),
    },
    // Who has an address says so in ARP.
    hears: &[Kind::Arp],
    follows: &[Topic::Discover, Topic::Ack, Topic::OtherDhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(Decline::new(settings)),
};

/// Who held the address said so this soon before: three probes and the pause before them (RFC 5227 section 1.1).
const BEFORE: Span = Span::secs(10);
/// The pause that a client must keep before it starts over (RFC 2131 section 3.1, step 5).
const PAUSE: Span = Span::secs(10);
/// Declines within this span are counted together.
const TOGETHER: Span = Span::secs(600);
/// Who says that an address is its own is remembered for that long, and so many times at most: those of the last seconds of a busy network.
const MOST_HOLDERS: usize = 32_768;

struct Decline {
    limit: usize,
    /// Who said lately that an address is its own, the latest last.
    holders: VecDeque<Holder>,
    declined: BTreeMap<(DomainId, Ipv4Addr), Declined>,
}

/// Somebody who said that an address is its own.
struct Holder {
    place: (DomainId, Ipv4Addr),
    mac: Mac,
    time: Timestamp,
    cited: Cited,
}

/// An address that was declined.
struct Declined {
    last: Arc<DhcpStep>,
    first: Timestamp,
    count: u64,
    holder: Option<Mac>,
    /// How soon the client started over, if sooner than it may.
    hurried: Option<Span>,
    fresh: Vec<Cited>,
    claimed: bool,
}

impl Decline {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), holders: VecDeque::new(), declined: BTreeMap::new() }
    }

    fn said(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let Some(arp) = seen.frame.layers.arp().filter(|arp| arp.is_ethernet_ipv4()) else { return };
        if arp.sender_ip().is_unspecified() {
            return;
        }
        let (mac, time) = (arp.sender_mac(), seen.frame.order);
        while self.holders.len() >= MOST_HOLDERS || self.holders.front().is_some_and(|h| time.since(h.time) > BEFORE) {
            self.holders.pop_front();
        }
        let place = (cx.world.domains.root(seen.domain), arp.sender_ip());
        self.holders.push_back(Holder { place, mac, time, cited: Cited::beginning(seen.frame) });
    }

    fn declined(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        let Some(address) = step.wanted else { return };
        let key = (cx.world.domains.root(step.domain), address);
        if self.declined.len() >= self.limit && !self.declined.contains_key(&key) {
            self.declined.pop_first();
        }
        let holder = self.holders.iter().rfind(|holder| holder.place == key);
        let holder = holder.filter(|h| h.mac != step.client && step.time.since(h.time) <= BEFORE);
        let fresh = || Declined {
            last: Arc::clone(step),
            first: step.cited.time,
            count: 0,
            holder: None,
            hurried: None,
            fresh: Vec::new(),
            claimed: false,
        };
        let entry = self.declined.entry(key).or_insert_with(fresh);
        if step.time.since(entry.last.time) > TOGETHER {
            (entry.first, entry.count) = (step.cited.time, 0);
        }
        entry.last = Arc::clone(step);
        entry.count = entry.count.saturating_add(1);
        if let Some(holder) = holder {
            entry.holder = Some(holder.mac);
            entry.fresh.push(holder.cited.clone());
        }
        entry.fresh.push(step.cited.clone());
        self.judge(step, cx);
    }

    /// Claims for every address that the client of `step` declined lately: two of them make each an error.
    fn judge(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let root = cx.world.domains.root(step.domain);
        let recent = |d: &Declined| step.time.since(d.last.time) <= TOGETHER;
        let of_network = self.declined.iter().filter(|((domain, _), d)| *domain == root && recent(d));
        let addresses = of_network.clone().count();
        let of_client = of_network.filter(|(_, d)| d.last.client == step.client).map(|(_, d)| d.count).sum::<u64>();
        let holders: Vec<Mac> = self.declined.values().filter(|d| recent(d)).filter_map(|d| d.holder).collect();
        for ((_, address), entry) in
            self.declined.range_mut((root, Ipv4Addr::UNSPECIFIED)..=(root, Ipv4Addr::BROADCAST))
        {
            // What is over stays over, unless it is this one.
            let is_this = entry.last.time == step.time;
            if step.time.since(entry.last.time) > TOGETHER || !(entry.claimed || is_this) {
                continue;
            }
            let is_many = entry.holder.is_some_and(|mac| holders.iter().filter(|h| **h == mac).count() > 1);
            let is_bad = addresses > 1 || of_client > 1 || entry.holder.is_some();
            entry.claim(*address, is_bad, is_many, addresses, cx);
        }
    }

    /// The client of `step` starts over, or is served.
    fn went_on(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let own = self.declined.iter_mut().filter(|(_, d)| d.last.client == step.client && d.claimed);
        for ((_, address), entry) in own {
            let after = step.time.since(entry.last.time);
            if step.kind == DhcpKind::Discover {
                if after < PAUSE && entry.hurried.is_none() {
                    entry.hurried = Some(after);
                }
            } else if step.yiaddr != *address && !step.yiaddr.is_unspecified() {
                entry.claimed = false;
                cx.resolve(Key::new().with("address", address), format!("the client was given {}", step.yiaddr));
            }
        }
    }
}

impl Detector for Decline {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) => self.said(seen, cx),
            Observation::Derived(Derived::Dhcp(step)) if !step.is_copy => match step.kind {
                DhcpKind::Decline => self.declined(step, cx),
                DhcpKind::Discover => self.went_on(step, cx),
                DhcpKind::Ack if !step.is_inform_answer() => self.went_on(step, cx),
                _ => {}
            },
            _ => {}
        }
    }
}

impl Declined {
    fn claim(&mut self, address: Ipv4Addr, is_bad: bool, is_many: bool, addresses: usize, cx: &mut Context<'_>) {
        let client = self.last.client;
        self.claimed = true;
        let who = match self.holder {
            Some(holder) => format!("{holder} has it"),
            None => "somebody has it already".to_owned(),
        };
        let times = if self.count == 1 { String::new() } else { format!(" {} times", self.count) };
        let headline = format!(
            "{client} ({}) declined {address}{times} since {}: {who}.",
            network(self.last.domain, cx),
            self.first.clock(),
        );
        let severity = if is_bad { Severity::Error } else { Severity::Warning };
        let key = Key::new().with("address", address);
        let mut claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .seen(self.first, self.count)
            .at(self.last.cited.at.vantage)
            .number("declines", self.count)
            .number("addresses_declined", addresses)
            .number("holder", self.holder.map_or_else(|| "not seen".to_owned(), |mac| mac.to_string()))
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("dhcp.option.dhcp == 4 || arp.src.proto_ipv4 == {address}"));
        if let Some(after) = self.hurried {
            claim = claim.number("started_over_after_s", after.as_secs());
        }
        if let (Some(holder), true) = (self.holder, is_many) {
            claim = claim
                .cause(format!("{holder} answers for addresses that are not its own (proxy ARP), for any client's"));
        }
        let (whose_port, port) = match self.holder {
            Some(holder) => ("Find the port it lives behind", Command::with("bridge fdb show | grep {}", &[&holder])),
            None => ("Find the port it lives behind, MAC being who answered", "bridge fdb show | grep MAC".into()),
        };
        let claim = claim
            .cause("a machine has an address of the pool set by hand")
            .cause("a client kept its address after its lease had ended, and the server gave it away")
            .step(
                "Find out who has the address",
                Command::with("arping -c 3 -I IFACE {}; ip neigh show {}", &[&address, &address]),
            )
            .step(whose_port, port);
        let claim = if is_many {
            claim.step("Switch proxy ARP off where it answers for all", "sysctl -w net.ipv4.conf.IFACE.proxy_arp=0")
        } else {
            claim.step(
                "Take the address out of the pool, or off the machine",
                "grep -r dhcp-range /etc/dnsmasq.conf /etc/dnsmasq.d",
            )
        };
        cx.raise(claim);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP010", &play("bond0", 900_000, said))
    }

    #[test]
    fn a_decline_is_a_warning_and_a_known_holder_or_a_second_one_an_error() {
        let mut said = vec![(0, Say::ack(1, 9)), (4_000, Say::decline(1, 1))];
        assert_eq!(at(&said), ["confirmed/warning Open 10.0.0.1"]);
        said.push((20_000, Say::decline(1, 7)));
        assert_eq!(at(&said), ["confirmed/error Open 10.0.0.1", "confirmed/error Open 10.0.0.7"]);
        said[1] = (700_000, Say::decline(1, 1));
        said.swap(1, 2);
        assert_eq!(at(&said), ["confirmed/warning Open 10.0.0.7", "confirmed/warning Open 10.0.0.1"]);
        said.insert(1, (3_900, Say::arp(5).holding(7)));
        said.truncate(3);
        said[2] = (4_000, Say::decline(1, 7));
        assert_eq!(at(&said), ["confirmed/error Open 10.0.0.7"]);
    }

    #[test]
    fn another_address_ends_it_and_the_own_announcement_holds_nothing() {
        let mut said = vec![(0, Say::ack(1, 9)), (10, Say::arp(1).holding(1)), (4_000, Say::decline(1, 1))];
        assert_eq!(at(&said), ["confirmed/warning Open 10.0.0.1"]);
        said.push((20_000, Say::ack(1, 9).giving(7)));
        assert_eq!(at(&said), ["confirmed/warning Resolved 10.0.0.1"]);
    }
}
