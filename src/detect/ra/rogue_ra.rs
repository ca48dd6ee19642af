//! RA001: a guest advertises itself as an IPv6 router, and its neighbours believe it (RFC 4861 section 6.3.4, RFC 6104).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs, network};
use crate::event::{Place, Sighting, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Fingerprint, Mac, Span, Timestamp};
use crate::wire::{Kind, Prefix};
use crate::world::{DomainId, Observation, Origin, Reach, Role, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "RA001",
        name: "rogue-ra",
        levels: &[
            (Confidence::Likely, Severity::Warning),
            (Confidence::Likely, Severity::Error),
            (Confidence::Confirmed, Severity::Info),
            (Confidence::Confirmed, Severity::Warning),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("rogue_ra.md"),
    },
    hears: &[Kind::Icmpv6],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(RogueRa { routers: Followed::new(MOST, 1, CITED) }),
};

/// So long without an advertisement, it is over (findings.md, RA001): routers send one each 30 minutes at least (RFC 4861 section 6.2.1).
const GONE: Span = Span::secs(1_800);
/// Senders that are followed; a guest could invent more.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: u64 = 3;
/// What crossed a router is no advertisement (RFC 4861 section 6.1.2).
const NEVER_FORWARDED: u8 = 255;

struct RogueRa {
    routers: Followed<(Mac, DomainId), Router>,
}

/// What a sender of advertisements says of itself, as it said last.
#[derive(Clone, Copy)]
struct Router {
    sighting: Sighting,
    packet: Option<Fingerprint>,
    /// Seconds for which it is a way out; 0 where it only hands out addresses.
    lifetime: u16,
    prefix: Option<Prefix>,
    /// Whether it speaks inside a tunnel, in a network of a tenant.
    is_overlay: bool,
}

/// How far it is known that a guest sent it, and what becomes of it.
struct Verdict {
    confidence: Confidence,
    severity: Severity,
    assumption: Option<&'static str>,
    port: Option<String>,
    is_contained: bool,
    /// Somebody else advertises there, who is no guest.
    has_other: bool,
}

impl Detector for RogueRa {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.advertised(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.routers.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.routers.due(cx.now, GONE) {
            match due {
                Due::Ripe(key) => self.judge(&key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(&key, cx), format!("it advertised nothing for {GONE}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.routers.unsaid() {
            self.judge(&key, cx);
        }
    }
}

impl RogueRa {
    fn advertised(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let frame = seen.frame;
        let layers = &frame.layers;
        let Some(lifetime) = layers.icmpv6().and_then(|icmp| icmp.router_lifetime()) else { return };
        let is_of_the_link = layers.inner_ip().is_some_and(|ip| ip.ttl() == NEVER_FORWARDED);
        let Some(mac) = layers.inner_src().filter(|_| is_of_the_link) else { return };
        let prefix = layers.icmpv6().and_then(|icmp| icmp.advertised_prefix());
        let is_overlay = layers.overlay().is_some();
        let router = Router { sighting: Sighting::of(frame), packet: seen.packet, lifetime, prefix, is_overlay };
        self.routers.see(&(mac, seen.domain), frame, cx, || router).what = router;
    }

    /// What is to be said of one of them, by what it is and who else is there.
    fn verdict(&self, key: &(Mac, DomainId), cx: &Context<'_>) -> Option<Verdict> {
        let (mac, domain) = *key;
        let router = &self.routers.get(key)?.what;
        if cx.settings.stp.appliances.contains(&mac) {
            return None;
        }
        let verdict = Verdict::of(mac, domain, router, cx)?;
        let is_other = |(other, at): &(Mac, DomainId), of: &Router| {
            *other != mac && cx.world.domains.is_same(*at, domain) && Verdict::of(*other, *at, of, cx).is_none()
        };
        let has_other = self.routers.iter().any(|(key, matter)| is_other(key, &matter.what));
        // A tenant's own network may have a router of its own.
        if router.is_overlay && !has_other {
            return None;
        }
        // The only one may be meant; and who only hands out addresses takes no traffic.
        let is_less = !has_other || router.lifetime == 0;
        let severity = if is_less { verdict.severity.min(Severity::Warning) } else { verdict.severity };
        Some(Verdict { severity, has_other, ..verdict })
    }

    fn judge(&mut self, key: &(Mac, DomainId), cx: &mut Context<'_>) {
        let (mac, domain) = *key;
        let Some(verdict) = self.verdict(key, cx) else { return };
        let Some(matter) = self.routers.get_mut(key) else { return };
        let router = &matter.what;
        let who = match &verdict.port {
            Some(port) => format!("The guest {mac} behind {port}"),
            None => format!("The guest {mac}"),
        };
        let prefix = router.prefix.map(|prefix| prefix.to_string());
        let says = match (router.lifetime, &prefix) {
            (0, Some(prefix)) => format!("hands out IPv6 addresses of {prefix}"),
            (0, None) => "speaks as an IPv6 router".to_owned(),
            (_, Some(prefix)) => format!("advertises itself as an IPv6 router, and addresses of {prefix}"),
            (_, None) => "advertises itself as an IPv6 router".to_owned(),
        };
        let so = match (verdict.is_contained, router.lifetime) {
            (true, _) => "what it says does not leave the node".to_owned(),
            (_, 0) => "its neighbours take such addresses".to_owned(),
            (_, seconds) => format!("its neighbours send it what leaves the network, for {seconds} s after each time"),
        };
        let beside =
            if verdict.has_other { ", beside the router that is there" } else { "; no other router was heard" };
        let headline = format!("{who} {says} in {} since {}{beside}: {so}.", network(domain, cx), matter.first.clock());
        let (lifetime, vantage) = (router.lifetime, router.sighting.at.vantage);
        let device = verdict.port.as_deref().and_then(|port| cx.world.known_device(port)).unwrap_or("TAP");
        let claim = Claim::new(claim_key(key, cx), verdict.confidence, verdict.severity, headline)
            .at(vantage)
            .number("advertisements", matter.count)
            .number("lifetime_s", u64::from(lifetime))
            .filter(format!("icmpv6.type == 134 && eth.src == {mac}"))
            .cause("the guest shares a connection or serves a network of its own (radvd, dnsmasq, libvirt, Windows' connection sharing) on the wrong card")
            .cause("nothing keeps guests from advertising: port security is off, or the rule is missing (RA guard, RFC 6105)")
            .cause("the guest is a router that is meant to be one; declare it with stp.appliances in the settings")
            .step(
                "Drop what it advertises at its port",
                Command::with(
                    "nft add table bridge netdiag; nft 'add chain bridge netdiag ra { type filter hook forward priority 0; }'; \
                     nft add rule bridge netdiag ra iifname {} icmpv6 type nd-router-advert drop",
                    &[&device],
                ),
            )
            .step("Then stop it in the guest", "systemctl disable --now radvd")
            .step("See on a neighbour what it left behind; it goes with its lifetime", "ip -6 route show default; ip -6 address show");
        let is_uplink = |place: Place| matches!(place, Place::Bond | Place::Nic);
        let uplinks = cx.world.vantages().iter().filter(|(_, v)| verdict.is_contained && is_uplink(v.place));
        let unseen: Vec<VantageId> = uplinks.map(|(id, _)| *id).collect();
        let way = router.packet.map(|packet| cx.world.sightings.way("the latest", packet, &unseen));
        let claim = prefix.into_iter().fold(claim, |claim, prefix| claim.number("prefix", prefix));
        let claim = verdict.assumption.into_iter().fold(claim, Claim::assuming);
        cx.raise(matter.prove(claim.going(way)));
    }
}

impl Verdict {
    /// What is to be said of who advertises; `None` where nothing tells that it is a guest. Neutron's routers have guests' prefixes and live on
    /// taps, so that only the host's word counts, or that it asked for its own address, as no router does at its inner side.
    fn of(mac: Mac, domain: DomainId, router: &Router, cx: &Context<'_>) -> Option<Self> {
        let world = cx.world;
        let origin = world.origin(mac, router.packet, router.sighting, domain, cx.settings);
        let (seen_at, reach) = match origin {
            Origin::Guest { port, reach } => (port, Some(reach)),
            _ => (None, None),
        };
        let station = world.stations.station(mac, domain, &world.domains);
        let asks = station.is_some_and(|s| s.has(Role::DhcpClient) && !s.has(Role::DhcpServer));
        let told = world.host.own_port(mac);
        let (confidence, severity, assumption) = match (&told, reach) {
            (Some(_), Some(Reach::Left)) => (Confidence::Confirmed, Severity::Critical, None),
            (Some(_), Some(Reach::Contained)) => (Confidence::Confirmed, Severity::Info, None),
            (Some(_), _) => {
                let why = "the uplink was not captured: whether its neighbours elsewhere hear it is not known";
                (Confidence::Likely, Severity::Error, Some(why))
            }
            (None, Some(Reach::Contained)) => return None,
            (None, _) if asks && cx.settings.stp.is_guest_prefix(mac) => {
                let why = "origin by MAC prefix, and by its asking for an address of its own (DHCP)";
                (Confidence::Likely, Severity::Error, Some(why))
            }
            (None, _) => return None,
        };
        let is_contained = reach == Some(Reach::Contained);
        Some(Self { confidence, severity, assumption, port: told.or(seen_at), is_contained, has_other: false })
    }
}

fn claim_key((mac, domain): &(Mac, DomainId), cx: &Context<'_>) -> Key {
    Key::new().with("mac", mac).with("domain", cx.world.domains.name(*domain))
}
