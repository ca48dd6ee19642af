//! A second DHCP server gives addresses of another subnet, or another gateway, in one network. Pairs that give the same are meant.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Derived, DhcpStep, DomainId, Observation, Server, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP015",
        name: "rogue-dhcp-server",
        levels: &[(Confidence::Likely, Severity::Error), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("rogue_dhcp_server.md"),
    },
    hears: &[],
    follows: &[Topic::Offer, Topic::Ack],
    needs: Needs::Frames,
    make: |settings| Box::new(RogueDhcpServer::new(settings)),
};

/// So long without an answer of it, it is gone.
const GONE: Span = Span::secs(600);
/// A server answers each DISCOVER that it hears: after so many clients that only others offered something, it is gone, too.
const CLIENTS: usize = 3;
/// How much later than others it may offer something to the last of them (findings.md, `dhcp.offer_wait`).
const LATE: Span = Span::secs(10);
/// Servers that are judged; more than the world remembers are never told apart.
const MOST: usize = 256;

type Id = (DomainId, Ipv4Addr, Mac);

struct RogueDhcpServer {
    meant: Vec<Ipv4Addr>,
    found: BTreeMap<Id, Key>,
    gone: Deadlines<Id>,
    /// Clients that others have offered something since each rogue gave something last.
    silent: BTreeMap<Id, Vec<Mac>>,
    /// When each of those that are gone gave something last.
    over: BTreeMap<Id, Timestamp>,
}

impl RogueDhcpServer {
    fn new(settings: &Settings) -> Self {
        Self {
            meant: settings.dhcp.servers.clone(),
            found: BTreeMap::new(),
            gone: Deadlines::new(),
            silent: BTreeMap::new(),
            over: BTreeMap::new(),
        }
    }

    fn gave(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let servers = cx.world.dhcp.servers_of(cx.world.domains.root(step.domain));
        if servers.len() < 2 {
            return;
        }
        let speaks = |s: &&Server| Some(s.address) == step.server && Some(s.sender) == step.sender;
        let Some(speaker) = servers.iter().find(speaks) else { return };
        let differs = |s: &&Server| s.address != speaker.address && s.sender != speaker.sender && is_other(s, speaker);
        let Some(other) = servers.iter().find(differs) else { return };
        let (rogue, right) = self.rank(speaker, other, cx);
        if rogue.address != speaker.address {
            // What the right one says is no news about the other.
            let id = id(rogue, cx);
            let is_over = self.over.get(&id).is_some_and(|last| rogue.last <= *last) || cx.now.since(rogue.last) > GONE;
            if !self.found.contains_key(&id) && !is_over {
                self.claim(&rogue.clone(), &right.clone(), cx);
            }
            return;
        }
        self.claim(&rogue.clone(), &right.clone(), cx);
    }

    /// Which of the two should not be there: who is not meant, else a guest, else who came later.
    fn rank<'s>(&self, a: &'s Server, b: &'s Server, cx: &Context<'_>) -> (&'s Server, &'s Server) {
        let doubt = |s: &Server| {
            let is_meant = self.meant.contains(&s.address);
            let is_guest = cx.world.host.guest_port(s.sender).is_some();
            (!is_meant, is_guest, s.first, s.address)
        };
        if doubt(a) > doubt(b) { (a, b) } else { (b, a) }
    }

    /// A client got something of a server: those that are known as rogues and did not offer it anything may be gone.
    fn passed_over(&mut self, step: &DhcpStep, cx: &Context<'_>) {
        let domain = cx.world.domains.root(step.domain);
        for id in self.found.keys().filter(|id| id.0 == domain && Some(id.1) != step.server) {
            let silent = self.silent.entry(*id).or_default();
            if silent.len() < CLIENTS && !silent.contains(&step.client) {
                silent.push(step.client);
                if silent.len() == CLIENTS {
                    // It has its time to offer this client something, too.
                    self.gone.set(*id, step.time.after(LATE));
                }
            }
        }
        let speaks = |id: &Id| id.0 == domain && Some(id.1) == step.server;
        self.silent.retain(|id, _| !speaks(id));
    }

    fn claim(&mut self, rogue: &Server, right: &Server, cx: &mut Context<'_>) {
        if self.meant.contains(&rogue.address) {
            return;
        }
        let id = id(rogue, cx);
        if self.found.len() >= MOST && !self.found.contains_key(&id) {
            return;
        }
        let port = cx.world.host.guest_port(rogue.sender);
        let level = match port {
            Some(_) => (Confidence::Confirmed, Severity::Critical),
            None => (Confidence::Likely, Severity::Error),
        };
        let domain = cx.world.domains.name(rogue.domain);
        let fresh = || Key::new().with("domain", domain).with("server", rogue.address).with("mac", rogue.sender);
        let key = self.found.entry(id).or_insert_with(fresh).clone();
        let who = match &port {
            Some(port) => format!("Guest {} on {port}", rogue.sender),
            None => format!("A second DHCP server, {} at {},", rogue.address, rogue.sender),
        };
        let gives = |s: &Server| {
            let router = s.terms().and_then(|t| t.routers.first().copied());
            router.map_or_else(|| "no gateway".to_owned(), |ip| format!("gateway {ip}"))
        };
        let headline = format!(
            "{who} hands out addresses in {}: {} with {}, where {} gives {} with {}.",
            network(rogue.domain, cx),
            rogue.gives.yiaddr,
            gives(rogue),
            right.address,
            right.gives.yiaddr,
            gives(right),
        );
        let mut claim = Claim::new(key, level.0, level.1, headline)
            .seen(rogue.gives.cited.time, 1)
            .at(rogue.gives.cited.at.vantage)
            .number("accepted", rogue.grants)
            .number("offers", rogue.gives.yiaddr.to_string())
            .number("right", right.gives.yiaddr.to_string())
            .proved_by([right.gives.cited.clone(), rogue.gives.cited.clone()])
            .filter(format!("dhcp.type == 2 && eth.src == {}", rogue.sender));
        if port.is_none() && self.meant.is_empty() {
            claim = claim.assuming("of two servers the one that was heard first is the right one; the settings can name those that are meant");
        }
        let tap = port.as_deref().and_then(|port| cx.world.known_device(port)).unwrap_or("TAP");
        let claim = claim
            .cause("a guest runs a DHCP server for a network of its own (dnsmasq, Internet sharing, libvirt) on the wrong interface")
            .cause("nothing keeps guests from answering DHCP: port security is off, or the rule is missing")
            .cause("two VLANs are joined, and this is the server of the other")
            .step("Find the port that it lives behind", Command::with("bridge fdb show | grep {}", &[&rogue.sender]))
            .step("Drop what it answers at that port", Command::with("nft add table bridge netdiag; nft 'add chain bridge netdiag dhcp { type filter hook forward priority 0; }'; \
                     nft add rule bridge netdiag dhcp iifname {} udp sport 67 drop", &[&tap]))
            .step("Let those who took its address ask anew", "dhclient -r && dhclient");
        self.gone.set(id, rogue.last.after(GONE));
        cx.raise(claim);
    }
}

impl Detector for RogueDhcpServer {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        let gives = matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack) && !step.yiaddr.is_unspecified();
        if step.kind == DhcpKind::Offer && !step.is_copy {
            self.passed_over(step, cx);
        }
        if gives && !step.is_copy && !step.is_relayed {
            self.gave(step, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.gone.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(id) = self.gone.pop(cx.now) {
            let silent = self.silent.remove(&id).map_or(0, |clients| clients.len());
            let Some(key) = self.found.remove(&id) else { continue };
            if self.over.len() < MOST || self.over.contains_key(&id) {
                let domains = &cx.world.domains;
                let is_it = |s: &&Server| (s.address, s.sender) == (id.1, id.2) && domains.is_same(s.domain, id.0);
                let last = cx.world.dhcp.servers().find(is_it).map_or(cx.now, |s| s.last);
                self.over.insert(id, last);
            }
            let why = match silent {
                CLIENTS => format!("{CLIENTS} clients were offered something, and not by it"),
                _ => format!("it gave nothing for {GONE}"),
            };
            cx.resolve(key, why);
        }
    }
}

fn id(server: &Server, cx: &Context<'_>) -> Id {
    (cx.world.domains.root(server.domain), server.address, server.sender)
}

/// Whether two servers send their clients to different subnets, or to different gateways.
fn is_other(a: &Server, b: &Server) -> bool {
    let routers = |s: &Server| {
        let mut routers = s.terms().map(|t| t.routers.to_vec()).unwrap_or_default();
        routers.sort_unstable();
        routers
    };
    let subnets = a.subnet().zip(b.subnet()).is_some_and(|(a, b)| a != b);
    let (of_a, of_b) = (routers(a), routers(b));
    subnets || (!of_a.is_empty() && !of_b.is_empty() && of_a != of_b)
}
