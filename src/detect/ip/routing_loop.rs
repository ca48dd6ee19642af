//! Packets circle between routers until their time to live is used up (RFC 1812 section 5.3.1): the same packet passes the same place again
//! and again, each time with fewer hops left. A copy with the same hops is L2001's, a trace of a route sends each packet once.

use std::net::IpAddr;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Cited, Frame, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Mac, Span, Timestamp};
use crate::wire::{Kind, LOW_TTL};
use crate::world::{DomainId, Observation, Prefix, Seen};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "IP003",
        name: "routing-loop",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("routing_loop.md"),
    },
    hears: &[Kind::LowTtl],
    follows: &[],
    needs: Needs::Frames,
    make: |settings| Box::new(RoutingLoop::new(settings)),
};

/// Passes that make a loop, and in what time; a router between two networks of one trunk makes two.
const PASSES: usize = 3;
const WITHIN: Span = Span::secs(2);
/// How long without one until it is over (findings.md, IP003).
const PATIENCE: Span = Span::secs(30);
/// Packets that are watched at once, and frames of each that are kept.
const MOST_PACKETS: usize = 1_024;
const MOST_CITED: usize = 3;
/// Routers that are told apart.
const MOST_ROUTERS: usize = 8;
/// Packets of which the frames are cited.
const CITED: u64 = 1;

struct RoutingLoop {
    packets: BoundedMap<(VantageId, Fingerprint), Passes>,
    loops: Followed<(DomainId, Prefix), Loop>,
}

/// One packet at one place.
struct Passes {
    since: Timestamp,
    first_ttl: u8,
    last_ttl: u8,
    count: usize,
    /// Who sent it on, and whether one of them did so twice: routers one behind the other each do so once.
    routers: Vec<Mac>,
    has_come_back: bool,
    is_told: bool,
    cited: Vec<Cited>,
}

/// What circles for one network.
struct Loop {
    vantage: VantageId,
    dst: IpAddr,
    routers: Vec<Mac>,
    /// Of the packet that was seen most often: how often, and the hops it had left first and last.
    passes: (usize, u8, u8),
}

impl RoutingLoop {
    fn new(settings: &Settings) -> Self {
        Self {
            packets: BoundedMap::new(MOST_PACKETS),
            loops: Followed::new(settings.tables.attempts.min(MOST_PACKETS), 1, CITED),
        }
    }

    fn note(&mut self, seen: &Seen<'_>, cx: &Context<'_>) {
        let frame = seen.frame;
        let (Some(ip), Some(src), Some(dst)) = (frame.layers.ip(), frame.layers.link_src(), frame.layers.link_dst())
        else {
            return;
        };
        if ip.ttl() > LOW_TTL || is_to_many(ip.dst()) || !dst.is_station() {
            return;
        }
        let id = (frame.at.vantage, frame.routed_fingerprint());
        let passes = self.packets.entry(&id, || Passes::new(frame, ip.ttl()));
        passes.pass(frame, src, ip.ttl());
        if passes.count < PASSES || !passes.has_come_back {
            return;
        }
        let place = (cx.world.domains.root(seen.domain), Prefix::of(ip.dst()));
        let fresh = || Loop::new(frame.at.vantage, ip.dst());
        if !std::mem::replace(&mut passes.is_told, true) {
            let cite = || passes.cited.clone();
            self.loops.note(&place, passes.since, cx, fresh, cite);
        }
        let told = (passes.count, passes.first_ttl, passes.last_ttl);
        if let Some(matter) = self.loops.get_mut(&place) {
            matter.what.passes = matter.what.passes.max(told);
            for router in [src, dst] {
                if !matter.what.routers.contains(&router) && matter.what.routers.len() < MOST_ROUTERS {
                    matter.what.routers.push(router);
                }
            }
        }
    }

    fn claim(&mut self, place: &(DomainId, Prefix), cx: &mut Context<'_>) {
        let Some(matter) = self.loops.get_mut(place) else { return };
        let Loop { vantage, dst, passes: (passes, first, last), .. } = matter.what;
        let mut routers: Vec<String> = matter.what.routers.iter().map(ToString::to_string).collect();
        routers.sort();
        let packets = if matter.count == 1 { "one packet".to_owned() } else { format!("{} packets", matter.count) };
        let headline = format!(
            "Packets to {} circle between {}: the same packet passed here {passes} times or more, with {first} down to \
             {last} hops left ({packets} since {}).",
            place.1,
            routers.join(" and "),
            matter.first.clock()
        );
        let claim = Claim::new(key(place, cx), Confidence::Confirmed, Severity::Error, headline)
            .at(vantage)
            .number("packets", matter.count)
            .number("passes", passes)
            .number("first_ttl", u16::from(first))
            .number("last_ttl", u16::from(last))
            .number("routers", routers.join(" "))
            .filter(format!("{} == {} || icmp.type == 11", if dst.is_ipv4() { "ip.dst" } else { "ipv6.dst" }, place.1))
            .cause("each router sends it to the other: two default routes that point at each other")
            .cause(format!(
                "one announces a larger network than it has, and lacks a route for what is missing of it, {} among it",
                place.1
            ))
            .cause("a route that changed, and has not reached all routers yet")
            .step("On each of the routers, see where it would send it", Command::with("ip route get {}", &[&dst]))
            .step(
                "Where the network ends, refuse what nobody has",
                Command::with("ip route add unreachable {}", &[&place.1]),
            );
        let claim = matter.prove(claim);
        cx.raise(claim);
    }
}

impl Detector for RoutingLoop {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        // Each place by itself: what passes two places once each has not come back.
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.note(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.loops.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.loops.due(cx.now, PATIENCE) {
            match due {
                Due::Ripe(place) => self.claim(&place, cx),
                Due::Over(place, _) => cx.resolve(key(&place, cx), "nothing circled for half a minute"),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for place in self.loops.unsaid() {
            self.claim(&place, cx);
        }
    }
}

impl Passes {
    const fn new(frame: &Frame<'_>, ttl: u8) -> Self {
        Self {
            since: frame.order,
            first_ttl: ttl,
            last_ttl: u8::MAX,
            count: 0,
            routers: Vec::new(),
            has_come_back: false,
            is_told: false,
            cited: Vec::new(),
        }
    }

    /// The packet passes; with more hops left than before, or long after, it is another one that looks the same.
    fn pass(&mut self, frame: &Frame<'_>, src: Mac, ttl: u8) {
        if ttl >= self.last_ttl || frame.order.since(self.since) > WITHIN {
            *self = Self::new(frame, ttl);
        }
        self.last_ttl = ttl;
        self.has_come_back |= self.routers.contains(&src);
        if self.routers.len() < MOST_ROUTERS {
            self.routers.push(src);
        }
        self.count = self.count.saturating_add(1);
        if self.cited.len() < MOST_CITED {
            self.cited.push(Cited::beginning(frame));
        }
    }
}

impl Loop {
    const fn new(vantage: VantageId, dst: IpAddr) -> Self {
        Self { vantage, dst, routers: Vec::new(), passes: (0, 0, 0) }
    }
}

fn is_to_many(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    }
}

fn key((domain, prefix): &(DomainId, Prefix), cx: &Context<'_>) -> Key {
    Key::new().with("prefix", *prefix).with("domain", cx.world.domains.name(*domain))
}
