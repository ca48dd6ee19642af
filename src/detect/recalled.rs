//! How what an earlier run left open is seen to be over, rule by rule: no detector of this run remembers its beginning. A rule without a line
//! here tells of a state that shows itself anew while it lasts (a tag, a size, a second server, a tree); the books end it when it was not
//! seen for ten minutes.

use crate::finding::{Key, Rule};
use crate::value::Timestamp;
use crate::wire::{Arp, DhcpKind};
use crate::world::{Derived, DhcpStep, DomainId, Observation, Prefix, Seen, World};

/// Findings that are remembered: as many as the books open of a few rules.
const MOST: usize = 500;

/// What ends a finding.
#[derive(Clone, Copy)]
enum End {
    /// A server says one of these to the client of the key; to anybody, where the key names none.
    Told(&'static [DhcpKind]),
    /// The client names a server, or is granted an address: it has heard an offer.
    Took,
    /// The server of the key answers anybody by DHCP.
    Serves,
    /// Somebody speaks for the address by ARP.
    Spoken,
    /// The station sends.
    Sends,
    /// The station proves that it hears.
    Hears,
    /// A connection is accepted: at the server and port of the key, from its network, for its client, as far as it names them.
    Accepts,
    /// Somebody in the network answers its client with a connection or an echo.
    Reached,
}

static ENDS: &[(&str, End)] = &[
    ("DHCP001", End::Told(&[DhcpKind::Offer, DhcpKind::Ack, DhcpKind::Nak])),
    ("DHCP002", End::Took),
    ("DHCP003", End::Told(&[DhcpKind::Ack, DhcpKind::Nak])),
    ("DHCP004", End::Told(&[DhcpKind::Ack, DhcpKind::Nak])),
    ("DHCP006", End::Told(&[DhcpKind::Ack])),
    ("DHCP008", End::Told(&[DhcpKind::Ack])),
    ("DHCP016", End::Told(&[DhcpKind::Offer])),
    ("DHCP022", End::Serves),
    ("DHCP023", End::Told(&[DhcpKind::Ack, DhcpKind::Nak])),
    ("TCP002", End::Accepts),
    ("TCP003", End::Accepts),
    ("IP002", End::Reached),
    ("ARP002", End::Spoken),
    ("ARP003", End::Spoken),
    ("HOST001", End::Hears),
    ("HOST002", End::Sends),
];

/// What an earlier run left open and nobody has seen the end of.
#[derive(Default)]
pub struct Recalled {
    left: Vec<Left>,
}

struct Left {
    rule: &'static Rule,
    key: Key,
    since: Timestamp,
    end: End,
}

impl Recalled {
    /// What was found of `rule` and `key` is taken to last at `since`.
    pub fn add(&mut self, rule: &'static Rule, key: Key, since: Timestamp) {
        if let Some((_, end)) = ENDS.iter().find(|(code, _)| *code == rule.code)
            && self.left.len() < MOST
        {
            self.left.push(Left { rule, key, since, end: *end });
        }
    }

    /// Whether there is nothing of which the end might be seen.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is over by what was observed, and why.
    pub fn over(&mut self, seen: &Observation<'_>, world: &World) -> Vec<(&'static Rule, Key, String)> {
        let mut over = Vec::new();
        self.left.retain(|left| match left.why(seen, world) {
            Some(why) => {
                over.push((left.rule, left.key.clone(), why));
                false
            }
            None => true,
        });
        over
    }
}

impl Left {
    fn why(&self, seen: &Observation<'_>, world: &World) -> Option<String> {
        match seen {
            Observation::Derived(Derived::Dhcp(step)) => self.by_dhcp(step, world),
            Observation::Packet(seen) | Observation::Sighting(seen) => self.by_packet(seen, world),
            _ => None,
        }
    }

    fn by_dhcp(&self, step: &DhcpStep, world: &World) -> Option<String> {
        if step.is_inform_answer() || !self.is_in(step.domain, world) {
            return None;
        }
        let is_answer = matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack | DhcpKind::Nak);
        let is_client = self.key.part("client").map(|client| client == step.client.to_string());
        let server = step.server.map(|server| server.to_string());
        let is_server = self.key.part("server").is_none_or(|known| Some(known) == server.as_deref());
        let is_it = is_client.unwrap_or(is_server);
        let is_over = match self.end {
            End::Told(kinds) => {
                is_it && kinds.contains(&step.kind) && !(step.kind == DhcpKind::Offer && step.yiaddr.is_unspecified())
            }
            End::Took => {
                is_it && (step.kind == DhcpKind::Ack || step.kind == DhcpKind::Request && step.server.is_some())
            }
            End::Serves => is_server && is_answer,
            _ => false,
        };
        is_over.then(|| format!("{} was answered", step.client))
    }

    fn by_packet(&self, seen: &Seen<'_>, world: &World) -> Option<String> {
        let layers = &seen.frame.layers;
        let at = seen.frame.time;
        let is_mac = || layers.inner_src().is_some_and(|src| self.key.part("mac") == Some(&src.to_string()));
        match self.end {
            End::Spoken => {
                let arp = layers.arp().filter(Arp::is_ethernet_ipv4)?;
                let is_it = self.key.part("ip") == Some(&arp.sender_ip().to_string()) && self.is_in(seen.domain, world);
                is_it.then(|| format!("{} spoke for it at {}", arp.sender_mac(), at.clock()))
            }
            End::Sends => {
                (is_mac() && self.is_in(seen.domain, world)).then(|| format!("it sent again at {}", at.clock()))
            }
            End::Hears => {
                let mac = layers.inner_src().filter(|_| is_mac() && self.is_in(seen.domain, world))?;
                let proof = world.stations.station(mac, seen.domain, &world.domains)?.proof?;
                (proof.time > self.since).then(|| format!("it proved at {} that it hears", proof.time.clock()))
            }
            End::Accepts | End::Reached => self.by_answer(seen, world).then(|| {
                let from = layers.inner_ip().map(|ip| ip.src().to_string()).unwrap_or_default();
                format!("{from} answered at {}", at.clock())
            }),
            End::Told(_) | End::Took | End::Serves => None,
        }
    }

    /// Whether a server answers as the key has it.
    fn by_answer(&self, seen: &Seen<'_>, world: &World) -> bool {
        let layers = &seen.frame.layers;
        let Some(ip) = layers.inner_ip() else { return false };
        let port = layers.tcp().filter(|tcp| tcp.is_syn() && tcp.is_ack()).map(|tcp| tcp.src_port().to_string());
        let has_echo = layers.icmp().is_some_and(|icmp| icmp.is_echo_reply())
            || layers.icmpv6().is_some_and(|icmp| icmp.is_echo_reply());
        if port.is_none() && !(has_echo && matches!(self.end, End::Reached)) {
            return false;
        }
        let is = |name: &str, found: &str| self.key.part(name).is_none_or(|known| known == found);
        let (src, dst, prefix) = (ip.src().to_string(), ip.dst().to_string(), Prefix::of(ip.src()).to_string());
        let is_port = port.is_none_or(|port| is("port", &port));
        is("server", &src)
            && is("prefix", &prefix)
            && is("client", &dst)
            && is("source", &dst)
            && is_port
            && self.is_in(seen.domain, world)
    }

    /// Whether `domain` is the network of the key, if it names one.
    fn is_in(&self, domain: DomainId, world: &World) -> bool {
        self.key.part("domain").is_none_or(|known| known == world.domains.name(domain))
    }
}
