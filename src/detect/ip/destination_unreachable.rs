//! A router or a host says again and again that packets cannot be delivered (RFC 792, RFC 4443 section 3.1). Traces of routes, scans and
//! strangers are nobody's outage; packets that are too large are MTU004's, a DHCP server that is not there is DHCP022's.

use std::net::IpAddr;

use super::tellers::{Said, Tellers};
use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::{Kind, Quoted};
use crate::world::{DomainId, Observation, Prefix, Seen};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "IP001",
        name: "destination-unreachable",
        levels: &[
            (Confidence::Confirmed, Severity::Info),
            (Confidence::Confirmed, Severity::Warning),
            (Confidence::Confirmed, Severity::Error),
        ],
        page: include_str!("destination_unreachable.md"),
    },
    hears: &[Kind::IcmpError],
    follows: &[],
    needs: Needs::Frames,
    make: |settings| Box::new(DestinationUnreachable::new(settings)),
};

/// How often one destination must be refused, and over how long: who looks around asks each once, and a trace of a route three times at once.
const TIMES: u64 = 3;
const LASTING: Span = Span::secs(5);
/// How long without another word until it is over.
const PATIENCE: Span = Span::secs(300);
const QUIET: &str = "it was not said again for five minutes";
/// Destinations of one network that make it the network's matter (findings.md, IP001).
const MANY: usize = 3;
/// Destinations and senders that are told apart.
const MOST: usize = 64;
/// Messages that are cited.
const CITED: u64 = 4;
/// Ports of services whose absence somebody must know of: DNS, NTP, syslog, RADIUS, VXLAN, Geneve. Other UDP ports close every day.
const SERVICES: [u16; 7] = [53, 123, 514, 1_812, 1_813, 4_789, 6_081];
const DHCP_SERVER: u16 = 67;
const TCP: u8 = 6;
const UDP: u8 = 17;

struct DestinationUnreachable {
    /// Packets that were refused, by their destination.
    refused: BoundedMap<(DomainId, Refused), Times>,
    said: Followed<Place, Word>,
    /// What each sender alone is told.
    tellers: BoundedMap<(DomainId, IpAddr), Tellers<Place>>,
}

/// Who says what of one destination: a host, or a port of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Refused {
    reporter: IpAddr,
    reason: Reason,
    dst: IpAddr,
    service: Option<(u8, u16)>,
}

/// Who says what of one network.
type Place = (DomainId, IpAddr, Prefix, Reason);

/// How often, since when.
struct Times {
    count: u64,
    since: Timestamp,
    /// Whether all of them are counted among what the reporter said.
    is_counted: bool,
}

/// What one reporter says of one network.
struct Word {
    latest: (Refused, IpAddr),
    reporter_mac: Mac,
    destinations: Vec<IpAddr>,
    senders: Vec<IpAddr>,
}

/// Why a packet cannot be delivered, for both versions of IP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Reason {
    Network,
    Host,
    Protocol,
    Port,
    SourceRoute,
    Forbidden,
}

impl DestinationUnreachable {
    fn new(settings: &Settings) -> Self {
        let limit = settings.tables.attempts;
        Self { refused: BoundedMap::new(limit), said: Followed::new(limit, 1, CITED), tellers: BoundedMap::new(limit) }
    }

    fn note(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let (frame, layers) = (seen.frame, &seen.frame.layers);
        let (reason, quoted) = match (layers.icmp(), layers.icmpv6()) {
            (Some(icmp), _) if icmp.kind() == 3 => (Reason::of_v4(icmp.code()), Quoted::parse(icmp.quoted())),
            (_, Some(icmp)) if icmp.kind() == 1 => (Reason::of_v6(icmp.code()), Quoted::parse(icmp.quoted())),
            _ => return,
        };
        let (Some(reason), Some(quoted), Some(ip)) = (reason, quoted, layers.inner_ip()) else { return };
        let domain = cx.world.domains.root(seen.domain);
        let service = if reason == Reason::Port { quoted.ports.map(|(_, to)| (quoted.protocol, to)) } else { None };
        let to = layers.inner_dst().unwrap_or_default();
        if !is_told_to(&quoted, ip.dst(), to, domain, cx) || !is_worth(&quoted, reason) {
            return;
        }
        let refused = Refused { reporter: ip.src(), reason, dst: quoted.dst, service };
        let times =
            self.refused.entry(&(domain, refused), || Times { count: 0, since: frame.order, is_counted: false });
        times.count = times.count.saturating_add(1);
        if times.count < TIMES || frame.order.since(times.since) < LASTING {
            return;
        }
        let since = times.since;
        let earlier = if std::mem::replace(&mut times.is_counted, true) { 0 } else { times.count.saturating_sub(1) };
        let place = (domain, refused.reporter, Prefix::of(refused.dst), reason);
        let word = Word::new(refused, quoted.src, layers.inner_src().unwrap_or_default());
        let matter = self.said.see(&place, frame, cx, || word);
        matter.first = matter.first.min(since);
        matter.count = matter.count.saturating_add(earlier);
        matter.what.latest = (refused, quoted.src);
        for (list, one) in [(&mut matter.what.destinations, quoted.dst), (&mut matter.what.senders, quoted.src)] {
            if !list.contains(&one) && list.len() < MOST {
                list.push(one);
            }
        }
    }

    fn claim(&mut self, place: &Place, cx: &mut Context<'_>) {
        if self.is_told_with_others(place, cx) {
            return;
        }
        let Some(matter) = self.said.get_mut(place) else { return };
        let word = &matter.what;
        let (Refused { reporter, reason, dst, service }, src) = word.latest;
        let is_network =
            word.destinations.len() >= MANY && matches!(reason, Reason::Network | Reason::Host | Reason::SourceRoute);
        let severity = if is_network { Severity::Error } else { Severity::Warning };
        let whom = match (service, word.destinations.as_slice()) {
            (Some((protocol, port)), _) => format!("{} {port} of {dst}", protocol_name(protocol)),
            (None, [one]) => one.to_string(),
            (None, many) => format!("{} addresses in {}", many.len(), place.2),
        };
        let from = match word.senders.as_slice() {
            [one] => one.to_string(),
            many => format!("{} senders", many.len()),
        };
        let itself = if reporter == dst { " itself" } else { "" };
        let headline = format!(
            "{reporter}{itself} answers \"{}\" for {whom}: {} packets from {from} since {}.",
            reason.words(),
            matter.count,
            matter.first.clock()
        );
        let claim = Claim::new(key(place, cx), Confidence::Confirmed, severity, headline)
            .number("messages", matter.count)
            .number("destinations", word.destinations.len())
            .number("senders", word.senders.len())
            .number("source", src.to_string())
            .number("mac", word.reporter_mac.to_string())
            .filter(format!("(icmp.type == 3 || icmpv6.type == 1) && ip.src == {reporter}"));
        let claim = told(claim, reason, (reporter, dst), src);
        let claim = matter.prove(claim);
        cx.raise(claim);
    }

    /// Whether what is said at `place` is told with what others say, as one sender alone hears it from many; of it alone nothing is said then.
    fn is_told_with_others(&mut self, place: &Place, cx: &mut Context<'_>) -> bool {
        let Some(matter) = self.said.get_mut(place) else { return false };
        let [sender] = *matter.what.senders.as_slice() else {
            for sender in &matter.what.senders {
                self.tellers.peek_mut(&(place.0, *sender)).into_iter().for_each(|tellers| tellers.part(*place, cx));
            }
            return false;
        };
        let of = (place.0, sender);
        let tellers = self.tellers.entry(&of, Tellers::default);
        tellers.join(*place, Said { by: place.1, since: matter.first, count: matter.count });
        let Some((claim, telling)) = tellers.claim(of, cx) else { return false };
        let alone: Vec<Key> = tellers.places().map(|place| key(&place, cx)).collect();
        telling.absorb(alone, cx);
        let (since, messages) = tellers.seen(cx.now);
        cx.raise(matter.prove(claim).seen(since, messages));
        true
    }

    /// What was said at `place` is not said any more.
    fn is_over(&mut self, place: &Place, senders: &[IpAddr], cx: &mut Context<'_>) {
        let mut was_told = false;
        for sender in senders {
            let Some(tellers) = self.tellers.peek_mut(&(place.0, *sender)) else { continue };
            let (with_others, over) = tellers.leave(*place);
            was_told |= with_others;
            over.into_iter().for_each(|key| cx.resolve(key, QUIET));
        }
        if !was_told {
            cx.resolve(key(place, cx), QUIET);
        }
    }
}

impl Detector for DestinationUnreachable {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.said.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.said.due(cx.now, PATIENCE) {
            match due {
                Due::Ripe(place) => self.claim(&place, cx),
                Due::Over(place, matter) => self.is_over(&place, &matter.what.senders, cx),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for place in self.said.unsaid() {
            self.claim(&place, cx);
        }
    }
}

impl Word {
    const fn new(refused: Refused, src: IpAddr, reporter_mac: Mac) -> Self {
        Self { latest: (refused, src), reporter_mac, destinations: Vec::new(), senders: Vec::new() }
    }
}

impl Reason {
    /// RFC 792, and RFC 1812 section 5.2.7.1; a packet that is too large is no matter of this rule.
    const fn of_v4(code: u8) -> Option<Self> {
        match code {
            0 | 6 | 11 => Some(Self::Network),
            1 | 7 | 8 | 12 => Some(Self::Host),
            2 => Some(Self::Protocol),
            3 => Some(Self::Port),
            5 => Some(Self::SourceRoute),
            9 | 10 | 13 => Some(Self::Forbidden),
            _ => None,
        }
    }

    /// RFC 4443 section 3.1.
    const fn of_v6(code: u8) -> Option<Self> {
        match code {
            0 | 6 => Some(Self::Network),
            1 | 5 => Some(Self::Forbidden),
            2 | 3 => Some(Self::Host),
            4 => Some(Self::Port),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Protocol => "protocol unreachable",
            Self::Port => "port unreachable",
            Self::SourceRoute => "source route failed",
            Self::Forbidden => "forbidden by rule",
        }
    }
}

/// Whether the message goes to whoever sent the packet, and that is a station of this network and no stranger behind a router.
fn is_told_to(quoted: &Quoted, to: IpAddr, mac: Mac, domain: DomainId, cx: &Context<'_>) -> bool {
    let (stations, domains) = (&cx.world.stations, &cx.world.domains);
    quoted.src == to && stations.is_own_word(to, mac, domain, domains)
}

/// Whether the packet was sent to be delivered: no trace of a route, and no UDP port that anybody may close.
fn is_worth(quoted: &Quoted, reason: Reason) -> bool {
    let is_one = match quoted.dst {
        IpAddr::V4(ip) => !(ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => !ip.is_multicast(),
    };
    let is_meant = match (quoted.protocol, quoted.ports) {
        // traceroute sends to 33434 and upwards.
        (UDP, Some((_, 33_434..=33_534))) => false,
        (UDP, Some((_, DHCP_SERVER))) => false,
        (UDP, Some((_, to))) => reason != Reason::Port || SERVICES.contains(&to),
        (_, _) => true,
    };
    is_one && is_meant
}

fn key((domain, reporter, prefix, reason): &Place, cx: &Context<'_>) -> Key {
    let key = Key::new().with("reporter", *reporter).with("prefix", *prefix).with("reason", reason.words());
    key.with("domain", cx.world.domains.name(*domain))
}

fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        TCP => "TCP",
        UDP => "UDP",
        _ => "port",
    }
}

/// The claim with causes and remedies, by the reason that was given.
fn told(claim: Claim, reason: Reason, (reporter, dst): (IpAddr, IpAddr), src: IpAddr) -> Claim {
    match reason {
        Reason::Network | Reason::SourceRoute => claim
            .cause(format!("{reporter} has no route to {dst}, or a route that says so on purpose"))
            .cause(format!("{src} sends through the wrong gateway"))
            .step(format!("On {reporter}, see where it would send that"), Command::with("ip route get {}", &[&dst]))
            .step(format!("On {src}, see whom it asks"), Command::with("ip route get {}", &[&dst])),
        Reason::Host => claim
            .cause(format!("{dst} is switched off or gone: {reporter} asks for it by ARP and nobody answers"))
            .cause("the address is wrong, or lies in another network than the router believes")
            .step(format!("On {reporter}, see whether it finds the host"), Command::with("ip neigh show {}", &[&dst]))
            .step("See whether the host runs, and which address it has", "openstack server list --ip ADDRESS"),
        Reason::Forbidden => claim
            .cause(format!("a rule of a filter on {reporter} refuses it"))
            .step(format!("On {reporter}, look for the rule"), "nft list ruleset | grep -i reject"),
        Reason::Protocol | Reason::Port => claim
            .cause("the service does not run, or listens at another address")
            .cause("a packet filter of the host refuses (REJECT)")
            .step("See who listens there", "ss -lnptu")
            .step("See whether a filter refuses", "nft list ruleset | grep -i reject"),
    }
}
