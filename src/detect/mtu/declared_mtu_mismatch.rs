//! MTU010: what is declared about sizes does not go together: DHCP's interface MTU (RFC 2132 section 5.1), a router advertisement's (RFC 4861
//! section 4.6.4), the largest frame of a switch port (IEEE 802.3 clause 79.3.4), and the MTUs of a bridge's ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Fact, Frame, Link, LinkKind, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{BoundedMap, TagStack, Tpid};
use crate::wire::Kind;
use crate::world::{Derived, DomainId, Observation, Seen, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU010",
        name: "declared-mtu-mismatch",
        levels: &[(Confidence::Risk, Severity::Warning)],
        page: include_str!("declared_mtu_mismatch.md"),
    },
    hears: &[Kind::Dhcp, Kind::Icmpv6, Kind::Lldp],
    follows: &[Topic::Delivery],
    needs: Needs::Frames,
    make: |settings| Box::new(DeclaredMtuMismatch::new(settings)),
};

/// Bytes of an Ethernet header: what a switch port says is of the frame (IEEE 802.3-2018 clause 3.1.1).
const HEADER: u32 = 14;
/// Findings that are remembered; further ones are not raised.
const MOST: usize = 256;

struct DeclaredMtuMismatch {
    dhcp: BoundedMap<DomainId, Declared>,
    advertised: BoundedMap<DomainId, Declared>,
    /// Bytes behind the outer tag that were seen to arrive.
    proven: BTreeMap<VantageId, u32>,
    /// What was claimed, and in which words.
    claimed: BTreeMap<Key, String>,
}

/// What somebody said of the size of packets.
#[derive(Clone, Debug)]
struct Declared {
    mtu: u32,
    by: IpAddr,
    cited: Cited,
}

impl DeclaredMtuMismatch {
    fn new(settings: &Settings) -> Self {
        let most = settings.tables.stacks;
        Self {
            dhcp: BoundedMap::new(most),
            advertised: BoundedMap::new(most),
            proven: BTreeMap::new(),
            claimed: BTreeMap::new(),
        }
    }

    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let (frame, domain) = (seen.frame, cx.world.domains.root(seen.domain));
        let layers = &frame.layers;
        if layers.has(Kind::Lldp) {
            self.neighbours(cx);
        }
        let Some(ip) = layers.inner_ip() else { return };
        let declared = |mtu: u32| Declared { mtu, by: ip.src(), cited: Cited::of(frame) };
        if let Some(mtu) = layers.icmpv6().and_then(|icmp| icmp.advertised_mtu()) {
            self.advertised.insert(domain, declared(mtu));
            self.compare(domain, cx);
        }
        // Only who serves declares: a client repeats nothing.
        if let Some(mtu) = layers.dhcp().filter(|dhcp| dhcp.op() == 2).and_then(|dhcp| dhcp.mtu()) {
            let told = declared(mtu.into());
            self.tags(frame, &told, domain, cx);
            self.dhcp.insert(domain, told);
            self.compare(domain, cx);
        }
    }

    /// DHCP against the room that two tags or more leave.
    fn tags(&mut self, frame: &Frame<'_>, told: &Declared, domain: DomainId, cx: &mut Context<'_>) {
        let tags: TagStack = frame.layers.inner_tags().unwrap_or_else(|| frame.layers.tags());
        let vantage = frame.at.vantage;
        let Some((tpid, outer)) = tags.outer().filter(|_| tags.depth() > 1 && !frame.layers.has_tunnel()) else {
            return;
        };
        // Stacking on purpose comes with the room for it (VLAN007).
        if tpid == Tpid::S || cx.settings.vlan.qinq.contains(&outer.number()) {
            return;
        }
        let told_room = cx.world.mtu(vantage);
        let proven = self.proven.get(&vantage).copied().unwrap_or(0);
        let room = told_room.unwrap_or(cx.settings.mtu.assumed).max(proven);
        let fits = room.saturating_sub(tags.carry(0));
        let key = Key::new().with("domain", cx.world.domains.name(domain)).with("source", "dhcp and tags");
        if told.mtu <= fits {
            self.mended(&key, format!("{} tells guests {} now, and {fits} fit", told.by, told.mtu), cx);
            return;
        }
        let headline = format!(
            "{} tells guests by DHCP that packets of {} bytes fit, and in {} tags this network has room for {fits}.",
            told.by,
            told.mtu,
            tags.depth()
        );
        let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
            .number("declared", told.mtu)
            .number("room", fits)
            .number("server", told.by.to_string())
            .number("outer", format!("{tpid}:{outer}"))
            .proved_by([told.cited.clone()])
            .filter("dhcp.option.interface_mtu")
            .cause("the second tag was not meant (VLAN001)")
            .cause("the DHCP server was not told of it")
            .step("Take the second tag away where it was not meant", "netdiag explain VLAN001")
            .step("Else tell guests what fits", Command::with("dnsmasq --dhcp-option-force=26,{}", &[&fits]));
        let claim = match told_room {
            Some(_) => claim,
            None => claim.assuming(format!("link MTU assumed {room}: a capture does not hold it; --host tells")),
        };
        self.raise(claim.at(vantage), cx);
    }

    /// DHCP against router advertisements in one network.
    fn compare(&mut self, domain: DomainId, cx: &mut Context<'_>) {
        let (Some(dhcp), Some(router)) = (self.dhcp.peek(&domain).cloned(), self.advertised.peek(&domain).cloned())
        else {
            return;
        };
        let key = Key::new().with("domain", cx.world.domains.name(domain)).with("source", "dhcp and routers");
        if dhcp.mtu == router.mtu {
            self.mended(&key, format!("both say {} now", dhcp.mtu), cx);
            return;
        }
        let headline = format!(
            "{} tells guests by DHCP that packets of {} bytes fit, and router {} says {} in the same network: one of them is wrong.",
            dhcp.by, dhcp.mtu, router.by, router.mtu
        );
        let least = dhcp.mtu.min(router.mtu);
        let vantage = dhcp.cited.at.vantage;
        let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
            .number("dhcp", dhcp.mtu)
            .number("router", router.mtu)
            .proved_by([dhcp.cited, router.cited])
            .filter("dhcp.option.interface_mtu || icmpv6.opt.mtu")
            .cause("one of the two was forgotten when the network's MTU was changed")
            .cause("the network is an overlay, and only one of the two knows")
            .step("Let DHCP say what fits", Command::with("dnsmasq --dhcp-option-force=26,{}", &[&least]))
            .step("And the router", Command::with("AdvLinkMTU {};   # in radvd.conf", &[&least]))
            .step("See what fits", "ping -M do -s 1472 OTHER-HOST");
        self.raise(claim.at(vantage), cx);
    }

    /// The largest frame of a switch port against the MTU of the host's interface at its other end.
    fn neighbours(&mut self, cx: &mut Context<'_>) {
        let told: Vec<(VantageId, u16, String)> = cx
            .world
            .neighbours
            .all()
            .filter_map(|n| Some((n.vantage, n.max_frame.filter(|bytes| *bytes > 0)?, n.name())))
            .collect();
        for (vantage, max_frame, neighbour) in told {
            let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
            let Some(mtu) = cx.world.host.mtu(&interface) else { continue };
            let key = Key::new().with("interface", &interface).with("source", "switch port");
            if mtu.saturating_add(HEADER) <= max_frame.into() {
                self.mended(&key, format!("the port takes {max_frame} bytes now"), cx);
                continue;
            }
            let headline = format!(
                "{interface} takes packets of {mtu} bytes, which are frames of {} and more, and {neighbour} says that its port takes {max_frame}.",
                mtu.saturating_add(HEADER)
            );
            let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
                .number("mtu", mtu)
                .number("max_frame", max_frame)
                .filter("lldp")
                .cause("jumbo frames were switched on here and not at the switch")
                .cause("the switch tells what its hardware is made for and not what is set")
                .step("See what the port is set to", "show interfaces | include MTU")
                .step(
                    "Raise it there, or come down here",
                    Command::with("ip link set {} mtu 1500", &[&cx.world.device(&interface)]),
                );
            self.raise(claim.at(vantage), cx);
        }
    }

    /// A bridge of which the way out takes less than a guest's port.
    fn bridges(&mut self, cx: &mut Context<'_>) {
        let host = &cx.world.host;
        let mut news = Vec::new();
        for bridge in host.bridges() {
            let ports = host.bridge_ports(bridge.name.raw());
            let is_out = |link: &&&Link| matches!(link.kind, LinkKind::Vlan | LinkKind::Nic | LinkKind::Bond);
            let out =
                ports.iter().filter(is_out).filter_map(|link| Some((link.mtu?, *link))).min_by_key(|(mtu, _)| *mtu);
            let taps = ports.iter().filter(|link| link.kind == LinkKind::Tap);
            let tap = taps.filter_map(|link| Some((link.mtu?, *link))).max_by_key(|(mtu, _)| *mtu);
            let (Some((room, out)), Some((largest, tap))) = (out, tap) else { continue };
            let key = Key::new().with("interface", &bridge.name).with("source", "bridge ports");
            if largest <= room {
                news.push(Err((key, format!("{} takes {room} bytes now", out.name))));
                continue;
            }
            let headline = format!(
                "{}: {} takes packets of {largest} bytes and {}, the way out, {room}: what a guest sends above that the bridge drops without a word.",
                bridge.name, tap.name, out.name
            );
            news.push(Ok(Claim::new(key, Confidence::Risk, Severity::Warning, headline)
                .number("guest_port", largest)
                .number("way_out", room)
                .assuming(format!(
                    "guests were not told by DHCP that {room} bytes are the most; from the host's configuration"
                ))
                .cause("the MTU of one device was changed, and not that of the others")
                .step(
                    "Compare the devices of the bridge",
                    Command::with("ip link show master {}", &[&cx.world.device(bridge.name.raw())]),
                )
                .step(
                    "Make the way out as large as the guests' ports",
                    Command::with("ip link set {} mtu {}", &[&cx.world.device(out.name.raw()), &largest]),
                )
                .step("Or tell guests what fits", Command::with("dnsmasq --dhcp-option-force=26,{}", &[&room]))));
        }
        for one in news {
            match one {
                Ok(claim) => self.raise(claim, cx),
                Err((key, why)) => self.mended(&key, why, cx),
            }
        }
    }

    fn raise(&mut self, claim: Claim, cx: &mut Context<'_>) {
        let is_known = self.claimed.get(&claim.key).is_some_and(|headline| *headline == claim.headline);
        if is_known || (self.claimed.len() >= MOST && !self.claimed.contains_key(&claim.key)) {
            return;
        }
        self.claimed.insert(claim.key.clone(), claim.headline.clone());
        cx.raise(claim.correcting());
    }

    fn mended(&mut self, key: &Key, why: String, cx: &mut Context<'_>) {
        if self.claimed.remove(key).is_some() {
            cx.resolve(key.clone(), why);
        }
    }
}

impl Detector for DeclaredMtuMismatch {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Derived(Derived::Delivered(passed)) => {
                let carry = self.proven.entry(passed.at.vantage).or_default();
                *carry = (*carry).max(passed.tags.carry(passed.packet_len));
            }
            Observation::Host(fact) => match fact.what {
                Fact::Link(_) => {
                    self.bridges(cx);
                    self.neighbours(cx);
                }
                Fact::BridgePort { .. } | Fact::BridgePortGone { .. } | Fact::LinkGone { .. } => self.bridges(cx),
                _ => {}
            },
            _ => {}
        }
    }
}
