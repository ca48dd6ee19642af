//! MTU008: hosts announce segments that leave no room for the tags or the tunnel they travel in (RFC 6691, RFC 9293 section 3.7.1).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Deadlines, Span, TagStack, Timestamp, Tpid};
use crate::world::{Announced, Derived, DomainId, Observation, Passed, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU008",
        name: "mss-exceeds-path",
        levels: &[(Confidence::Risk, Severity::Warning)],
        page: include_str!("mss_exceeds_path.md"),
    },
    hears: &[],
    follows: &[Topic::SegmentSize, Topic::Delivery],
    needs: Needs::Ethernet,
    make: |_| Box::new(MssExceedsPath::default()),
};

/// Connections that must say so (findings.md, MTU008).
const CONNECTIONS: usize = 2;
/// The span in which only fitting sizes were announced after which it is over.
const FITTING_FOR: Span = Span::secs(60);
/// How long a large packet may take to arrive and show that there is room, before two connections are enough to say that there is none.
const PATIENCE: Span = Span::secs(10);
/// Networks that are remembered; further ones are not judged.
const MOST: usize = 1_024;
/// Hosts, and connections, that are counted in one network.
const MOST_HOSTS: usize = 1_000;
/// Frames that are cited.
const CITED: usize = 3;

#[derive(Default)]
struct MssExceedsPath {
    networks: BTreeMap<DomainId, Network>,
    deadlines: Deadlines<DomainId>,
    /// Networks of which nothing was said yet, and when it is to be.
    ripe: Deadlines<DomainId>,
    /// Room that was seen: where, in which tags, and bytes behind the outer one.
    proven: BTreeMap<(VantageId, TagStack), u32>,
}

/// What was announced in one network.
struct Network {
    first: Timestamp,
    last: Timestamp,
    /// When it is looked at again, once it was told of.
    due: Timestamp,
    hosts: BoundedMap<IpAddr, ()>,
    /// Both ends of each connection, the lower first.
    connections: BoundedMap<[(IpAddr, u16); 2], ()>,
    largest: Option<Announced>,
    /// Connections since the last that announced too much.
    fitting: u32,
    /// Of how many connections was told; 0 before the first claim.
    said: usize,
    /// Whether a larger segment was announced since.
    is_larger: bool,
    cited: usize,
    fresh: Vec<Cited>,
}

impl Detector for MssExceedsPath {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Announced(announced)) => self.announced(announced, cx),
            Observation::Derived(Derived::Delivered(passed)) => self.delivered(passed, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next().into_iter().chain(self.ripe.next()).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(domain) = self.ripe.pop(cx.now) {
            if let Some(network) = self.networks.get_mut(&domain) {
                network.tell(domain, cx);
                network.due = cx.now.after(FITTING_FOR);
                self.deadlines.set(domain, network.due);
            }
        }
        while let Some(domain) = self.deadlines.pop(cx.now) {
            let Some(network) = self.networks.get_mut(&domain) else { continue };
            let quiet = cx.now.since(network.last);
            if quiet >= FITTING_FOR && network.fitting > 0 {
                network.tell(domain, cx);
                cx.resolve(claim_key(domain, cx), format!("what was announced for {quiet} fits"));
                self.networks.remove(&domain);
            } else {
                // Each look waits as long again as all before it: a capture may leap over years.
                let begins = if quiet < FITTING_FOR { network.last } else { cx.now };
                network.due = begins.after(quiet.max(FITTING_FOR));
                self.deadlines.set(domain, network.due);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (domain, network) in &mut self.networks {
            network.tell(*domain, cx);
        }
    }
}

impl MssExceedsPath {
    fn announced(&mut self, announced: &Announced, cx: &mut Context<'_>) {
        let Some((room, _)) = room(announced, cx) else { return };
        let domain = cx.world.domains.root(announced.path.domain);
        if announced.packet_len <= room {
            if let Some(network) = self.networks.get_mut(&domain) {
                network.fitting = network.fitting.saturating_add(1);
            }
            return;
        }
        if self.has_room(announced) || (self.networks.len() >= MOST && !self.networks.contains_key(&domain)) {
            return;
        }
        let network = self.networks.entry(domain).or_insert_with(|| Network::new(cx.now));
        network.add(announced, cx.now);
        if network.said > 0 && network.is_news() {
            network.tell(domain, cx);
        } else if network.is_news() && self.ripe.of(&domain).is_none() {
            self.ripe.set(domain, cx.now.after(PATIENCE));
        }
        // What is due sooner is put off then, not with each that is announced meanwhile.
        let due = cx.now.after(FITTING_FOR);
        if network.said > 0 && network.due > due {
            network.due = due;
            self.deadlines.set(domain, due);
        }
    }

    /// A packet that needs more room than the link was thought to have arrived: the link was made for it.
    fn delivered(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let carry = passed.tags.carry(passed.packet_len);
        let place = (passed.at.vantage, passed.tags);
        if self.proven.get(&place).is_some_and(|most| *most >= carry)
            || (self.proven.len() >= MOST && !self.proven.contains_key(&place))
        {
            return;
        }
        self.proven.insert(place, carry);
        let is_proven = |network: &Network| {
            let largest = network.largest.as_ref();
            largest.is_some_and(|a| {
                a.path.vantage == passed.at.vantage && a.path.tags == passed.tags && carried(a) <= carry
            })
        };
        let proven: Vec<DomainId> =
            self.networks.iter().filter(|(_, n)| is_proven(n)).map(|(domain, _)| *domain).collect();
        for domain in proven {
            let Some(mut network) = self.networks.remove(&domain) else { continue };
            self.deadlines.clear(&domain);
            self.ripe.clear(&domain);
            if network.said > 0 {
                network.tell(domain, cx);
                let what = if passed.tags.depth() > 1 { "behind the outer tag" } else { "of the tunnel" };
                cx.resolve(claim_key(domain, cx), format!("{carry} bytes {what} arrived, so that there is room"));
            }
        }
    }

    /// Whether packets as large as those that are announced were seen to arrive.
    fn has_room(&self, announced: &Announced) -> bool {
        let path = &announced.path;
        self.proven.get(&(path.vantage, path.tags)).is_some_and(|most| carried(announced) <= *most)
    }
}

/// Bytes behind the outer tag of the packets that are announced.
fn carried(announced: &Announced) -> u32 {
    announced.path.tags.carry(announced.packet_len.saturating_add(announced.tunnel))
}

impl Network {
    fn new(first: Timestamp) -> Self {
        Self {
            first,
            last: first,
            due: Timestamp::MAX,
            hosts: BoundedMap::new(MOST_HOSTS),
            connections: BoundedMap::new(MOST_HOSTS),
            largest: None,
            fitting: 0,
            said: 0,
            is_larger: false,
            cited: 0,
            fresh: Vec::new(),
        }
    }

    fn add(&mut self, announced: &Announced, now: Timestamp) {
        let (path, ports) = (&announced.path, announced.ports);
        let (from, to) = ((path.src, ports.0), (path.dst, ports.1));
        let ends = if from <= to { [from, to] } else { [to, from] };
        if self.connections.len() < MOST_HOSTS {
            self.connections.insert(ends, ());
        }
        (self.last, self.fitting) = (now, 0);
        if self.hosts.len() < MOST_HOSTS {
            self.hosts.insert(path.src, ());
        }
        if self.largest.as_ref().is_none_or(|largest| largest.mss < announced.mss) {
            self.largest = Some(announced.clone());
            self.is_larger = true;
        }
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(announced.beginning.cited());
        }
    }

    /// Whether there is more to say than that one more connection did the same, which is said at the end.
    fn is_news(&self) -> bool {
        let connections = self.connections.len();
        let is_fresh = self.is_larger || !self.fresh.is_empty();
        connections >= CONNECTIONS && (is_fresh || connections >= self.said.saturating_mul(2))
    }

    /// Says what has not been said.
    fn tell(&mut self, domain: DomainId, cx: &mut Context<'_>) {
        let connections = self.connections.len();
        if connections < CONNECTIONS || (connections == self.said && !self.is_larger && self.fresh.is_empty()) {
            return;
        }
        let Some(vantage) = self.largest.as_ref().map(|announced| announced.path.vantage) else { return };
        (self.said, self.is_larger) = (connections, false);
        let claim = self.claim(claim_key(domain, cx), cx);
        cx.raise(claim.at(vantage));
    }

    fn claim(&mut self, key: Key, cx: &Context<'_>) -> Claim {
        let Some((announced, (room, link))) = self.largest.as_ref().and_then(|a| Some((a, room(a, cx)?))) else {
            return Claim::new(key, Confidence::Risk, Severity::Warning, String::new());
        };
        let (src, mss) = (announced.path.src, announced.mss);
        let fits = u32::from(mss).saturating_sub(announced.packet_len.saturating_sub(room));
        let others = match self.hosts.len() {
            0 | 1 => String::new(),
            2 => " and 1 host more".to_owned(),
            n => format!(" and {} hosts more", n.saturating_sub(1)),
        };
        let (announce, they) = if self.hosts.len() == 1 { ("announces", "its") } else { ("announce", "their") };
        let wrapping = if announced.tunnel > 0 {
            format!("in a tunnel of {} bytes of headers", announced.tunnel)
        } else {
            format!("in {} VLAN tags", announced.path.tags.depth())
        };
        let headline = format!(
            "{src}{others} {announce} segments of {mss} bytes, although {they} packets travel {wrapping}, which leaves room for {fits}."
        );
        let told = cx.world.mtu(announced.path.vantage);
        let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
            .seen(self.first, self.connections.len() as u64)
            .until(self.last)
            .number("mss", mss)
            .number("packet", announced.packet_len)
            .number("room", room)
            .number("fitting_mss", fits)
            .number("hosts", self.hosts.len())
            .number("interface", cx.world.interface(announced.path.vantage))
            .proved_by(self.fresh.drain(..))
            .filter(format!("tcp.flags.syn == 1 && tcp.options.mss_val > {fits}"))
            .cause("a VLAN device on a VLAN device (MTU001), or a tunnel below networks whose MTU was not lowered (MTU007)")
            .cause("the guests were told an MTU of 1500, by DHCP option 26 or by nobody")
            .step("Tell the guests what fits", Command::with("dnsmasq --dhcp-option-force=26,{}", &[&room]))
            .step("Or cut the segments where they pass", Command::with("nft add rule inet mangle forward tcp flags syn tcp option maxseg size set {}", &[&fits]));
        let claim = match announced.path.tags.outer().filter(|_| announced.tunnel == 0) {
            Some((tpid, vid)) => claim.number("outer", format!("{tpid}:{vid}")),
            None => claim,
        };
        if told.is_none() {
            claim.assuming(format!("link MTU assumed {link}: a capture does not hold it; --host tells"))
        } else {
            claim
        }
    }
}

/// The largest packet that fits into the tags or the tunnel of a connection, and the MTU that this follows from; `None` where nothing can be said.
fn room(announced: &Announced, cx: &Context<'_>) -> Option<(u32, u32)> {
    let told = cx.world.mtu(announced.path.vantage);
    let link = told.unwrap_or(cx.settings.mtu.assumed);
    // A host that announces more than an ordinary link takes knows of a larger one; and 802.1ad links normally have the room.
    let is_provider = announced.path.tags.outer().is_some_and(|(tpid, _)| tpid == Tpid::S);
    if told.is_none() && (announced.packet_len > link || is_provider) {
        return None;
    }
    let tags = announced.path.tags.carry(0);
    Some((link.saturating_sub(tags).saturating_sub(announced.tunnel), link))
}

fn claim_key(domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new().with("domain", cx.world.domains.name(domain))
}
