//! A host tells its DHCP clients that nothing listens at the server's port (RFC 792, type 3 code 3; RFC 1122 section 3.2.2.1).

use std::net::{IpAddr, Ipv4Addr};

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Frame};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, TimedMap, Timestamp};
use crate::wire::{DhcpKind, Ip, Kind, Quoted};
use crate::world::{Derived, DhcpStep, DomainId, Observation, TELL_EVERY, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP022",
        name: "dhcp-server-not-listening",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("dhcp_server_not_listening.md"),
    },
    hears: &[Kind::IcmpError],
    follows: &[Topic::Offer, Topic::Request, Topic::Ack, Topic::Nak, Topic::OtherDhcp],
    needs: Needs::Frames,
    make: |settings| Box::new(DhcpServerNotListening::new(settings)),
};

/// The ports of clients and servers (RFC 2131 section 4.1).
const PORTS: (u16, u16) = (68, 67);
/// So long a server that reads frames behind its system's back may answer what the system refuses: servers grant from memory.
const BESIDE: Span = Span::secs(2);
/// Servers that are followed.
const MOST: usize = 256;
/// Clients that are counted of a server, and frames that are cited.
const MOST_CLIENTS: usize = 64;
const CITED: usize = 5;

struct DhcpServerNotListening {
    servers: TimedMap<Ipv4Addr, Refuser>,
    /// The latest unicast question to each server.
    asked: BoundedMap<Ipv4Addr, (Timestamp, Cited)>,
}

/// A host that refuses.
struct Refuser {
    by: IpAddr,
    domain: DomainId,
    first: Cited,
    last: Timestamp,
    count: u64,
    clients: Vec<IpAddr>,
    fresh: Vec<Cited>,
    claimed: Option<Key>,
}

impl DhcpServerNotListening {
    fn new(settings: &Settings) -> Self {
        Self { servers: TimedMap::new(MOST), asked: BoundedMap::new(settings.tables.clients.min(MOST)) }
    }

    fn refused(&mut self, frame: &Frame<'_>, domain: DomainId, cx: &Context<'_>) {
        let Some(icmp) = frame.layers.icmp().filter(|icmp| (icmp.kind(), icmp.code()) == (3, 3)) else { return };
        let Some(quoted) = Quoted::parse(icmp.quoted()).filter(|q| q.protocol == 17 && q.ports == Some(PORTS)) else {
            return;
        };
        let (IpAddr::V4(server), Some(Ip::V4(ip))) = (quoted.dst, frame.layers.inner_ip()) else { return };
        let cited = Cited::of(frame);
        let question = self.asked.peek(&server).map(|(_, cited)| cited.clone());
        let fresh = || Refuser {
            by: IpAddr::V4(ip.src()),
            domain,
            first: cited.clone(),
            last: frame.order,
            count: 0,
            clients: Vec::new(),
            fresh: Vec::new(),
            claimed: None,
        };
        let refuser = self.servers.entry(&server, fresh);
        refuser.count = refuser.count.saturating_add(1);
        refuser.last = frame.order;
        if !refuser.clients.contains(&quoted.src) && refuser.clients.len() < MOST_CLIENTS {
            refuser.clients.push(quoted.src);
        }
        if refuser.fresh.len().saturating_add(1) < CITED {
            refuser.fresh.extend(question);
            refuser.fresh.push(cited);
        }
        if self.servers.deadline(&server).is_none() {
            let wait =
                if self.servers.peek(&server).is_some_and(|r| r.claimed.is_some()) { TELL_EVERY } else { BESIDE };
            self.servers.wake(&server, cx.now.after(wait));
        }
    }

    /// A server that answers is there, whatever its system says.
    fn answered(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let Some(refuser) = step.server.and_then(|server| self.servers.remove(&server)) else { return };
        if let Some(key) = refuser.claimed {
            cx.resolve(key, format!("it answered {}", step.client));
        }
    }
}

impl Detector for DhcpServerNotListening {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) => self.refused(seen.frame, seen.domain, cx),
            Observation::Derived(Derived::Dhcp(step)) => match (step.kind, step.to) {
                (DhcpKind::Offer | DhcpKind::Ack | DhcpKind::Nak, _) => self.answered(step, cx),
                (DhcpKind::Request | DhcpKind::Inform | DhcpKind::Release, Some(to)) if step.is_unicast => {
                    self.asked.insert(to, (step.time, step.cited.clone()));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.servers.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(server) = self.servers.due(cx.now) {
            if let Some(refuser) = self.servers.get_mut(&server) {
                refuser.claim(server, cx);
            }
        }
    }
}

impl Refuser {
    fn claim(&mut self, server: Ipv4Addr, cx: &mut Context<'_>) {
        let is_itself = self.by == IpAddr::V4(server);
        let clients = match self.clients.as_slice() {
            [one] => one.to_string(),
            many => format!("{} clients", many.len()),
        };
        let times = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        let (who, means) = if is_itself {
            (server.to_string(), "no DHCP server runs there".to_owned())
        } else {
            (self.by.to_string(), format!("it does not let DHCP through to {server}"))
        };
        let headline = format!(
            "{who} ({}) told {clients} {times} since {} that the DHCP port of {server} is unreachable: {means}.",
            network(self.domain, cx),
            self.first.time.clock(),
        );
        let key = self.claimed.get_or_insert_with(|| Key::new().with("server", server)).clone();
        let claim = Claim::new(key, Confidence::Confirmed, Severity::Error, headline)
            .seen(self.first.time, self.count)
            .at(self.first.at.vantage)
            .number("clients", self.clients.len())
            .number("domain", cx.world.domains.name(self.domain))
            .proved_by(self.fresh.drain(..))
            .filter("icmp.type == 3 && icmp.code == 3 && udp.dstport == 67");
        let claim = if is_itself {
            claim
                .cause("the DHCP server has died or was not started: dnsmasq, dhcpd, the DHCP agent")
                .cause("it runs in another network namespace, or listens at another interface only")
                .cause("a filter on that host rejects DHCP, in the words of a closed port")
        } else {
            claim.cause("a filter on the way rejects DHCP, in the words of a closed port")
        };
        cx.raise(
            claim
                .step("See whether the server runs and listens", "ss -lnup 'sport = :67'; pgrep -a dnsmasq")
                .step("See what rejects", "iptables-save | grep REJECT; nft list ruleset | grep reject")
                .step("Start the server again", "systemctl restart neutron-dhcp-agent"),
        );
    }
}
