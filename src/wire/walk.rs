//! The walk from layer to layer: the one place that knows what may follow what. A loop, never a recursion.
//!
//! MPLS, PPPoE, MACsec, 802.1ah and VN-tags end it quietly, as do protocols that are not read: what they carry is left in `rest`.

use super::arp::Arp;
use super::dhcp::Dhcp;
use super::ethernet::Ethernet;
use super::icmp::{Icmp, Icmpv6};
use super::ipv4::Ipv4;
use super::ipv6::{self, Ipv6, Ipv6Extension};
use super::lacp::Lacp;
use super::layer::Layer;
use super::layers::Layers;
use super::llc::{Llc, Snap};
use super::lldp::Lldp;
use super::sll::{Null, Sll, Sll2};
use super::stop::{Stop, Why};
use super::stp::{Stp, StpFamily};
use super::tcp::Tcp;
use super::tunnel::{Geneve, Gre, Vxlan};
use super::udp::Udp;
use super::vlan::Vlan;
use super::window::Window;
use super::{Kind, LinkType};
use crate::value::{Mac, Tpid};

/// Tunnels within tunnels that are followed.
const MOST_TUNNELS: u8 = 4;

/// Where bridges and provider bridges send BPDUs (IEEE 802.1Q-2018 tables 8-1 and 8-2).
const IEEE_BRIDGES: [Mac; 2] = [Mac([0x01, 0x80, 0xc2, 0x00, 0x00, 0x00]), Mac([0x01, 0x80, 0xc2, 0x00, 0x00, 0x08])];
/// Where Cisco's per-VLAN spanning tree sends its BPDUs.
const PVST_BRIDGES: [Mac; 1] = [Mac([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd])];

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Ethernet,
    Sll,
    Sll2,
    Null { is_network_order: bool },
    Tag(u16),
    Length(u16),
    Llc,
    Snap,
    Bpdu(StpFamily),
    Arp,
    AnyIp,
    Ipv4,
    Ipv6,
    Extension(u8),
    Icmp,
    Icmpv6,
    Udp,
    Tcp,
    Vxlan,
    Geneve,
    Gre,
    Dhcp { whole: usize },
    Slow,
    Lldp,
    End,
}

/// The layer that could not be read, and why.
type Halt = (Kind, Why);
/// What comes next, and where.
type Step<'a> = Result<(Next, Window<'a>), Halt>;

struct Walk<'a, 'l> {
    layers: &'l mut Layers<'a>,
    /// Tags of the outermost link header.
    tags: u8,
    /// Whether the outermost link header is over.
    is_inside: bool,
    /// Whether this is the first of several fragments, in which inner lengths promise more than is here.
    is_fragment: bool,
    tunnels: u8,
    /// Destination of the Ethernet header that holds now; `None` in cooked captures.
    dst: Option<Mac>,
}

/// Fills `layers` from the frame in `window`.
#[inline]
pub(super) fn walk<'a>(link: LinkType, window: Window<'a>, layers: &mut Layers<'a>) {
    let first = match link {
        LinkType::Ethernet => Next::Ethernet,
        LinkType::LinuxSll => Next::Sll,
        LinkType::LinuxSll2 => Next::Sll2,
        LinkType::RawIp => Next::AnyIp,
        LinkType::Null => Next::Null { is_network_order: false },
        LinkType::Loop => Next::Null { is_network_order: true },
        LinkType::Other(_) => Next::End,
    };
    if window.bytes.len() < window.wire {
        layers.mark(Kind::Cut);
    }
    Walk { layers, tags: 0, is_inside: false, is_fragment: false, tunnels: 0, dst: None }.run(first, window);
}

impl<'a> Walk<'a, '_> {
    #[inline]
    fn run(&mut self, mut next: Next, mut window: Window<'a>) {
        while !matches!(next, Next::End) {
            match self.step(next, window) {
                Ok((then, behind)) => (next, window) = (then, behind),
                Err((layer, why)) => {
                    self.layers.note(Stop { layer, offset: window.at, why });
                    break;
                }
            }
        }
        self.layers.rest = window.bytes;
    }

    #[inline]
    fn step(&mut self, next: Next, window: Window<'a>) -> Step<'a> {
        match next {
            Next::Ethernet => self.ethernet(window),
            Next::Tag(tpid) => self.tag(tpid, window),
            Next::Ipv4 => self.ipv4(window),
            Next::Ipv6 => self.ipv6(window),
            Next::Tcp => self.tcp(window),
            Next::Udp => self.udp(window),
            other => self.rare(other, window),
        }
    }

    /// What is not on the path of bulk traffic.
    fn rare(&mut self, next: Next, window: Window<'a>) -> Step<'a> {
        match next {
            Next::Sll => {
                let (sll, rest) = Sll::parse(window).map_err(|why| (Kind::Sll, why))?;
                self.push(Layer::Sll(sll))?;
                Ok((cooked(sll.hardware(), sll.protocol()), rest))
            }
            Next::Sll2 => {
                let (sll, rest) = Sll2::parse(window).map_err(|why| (Kind::Sll2, why))?;
                self.push(Layer::Sll2(sll))?;
                Ok((cooked(sll.hardware(), sll.protocol()), rest))
            }
            Next::Null { is_network_order } => {
                let (null, rest) = Null::parse(window, is_network_order).map_err(|why| (Kind::Null, why))?;
                self.push(Layer::Null(null))?;
                Ok((null.ethertype().map_or(Next::End, by_type), rest))
            }
            Next::AnyIp => match window.bytes.first().map(|byte| byte >> 4) {
                Some(4) | None => self.ipv4(window),
                Some(6) => self.ipv6(window),
                Some(_) => Err((Kind::Ipv4, Why::Bad("IP version is neither 4 nor 6"))),
            },
            Next::Length(length) => self.length(length, window),
            Next::Llc => self.llc(window),
            Next::Snap => self.snap(window),
            Next::Bpdu(family) => self.bpdu(family, window),
            Next::Arp => {
                let (arp, rest) = Arp::parse(window).map_err(|why| (Kind::Arp, why))?;
                self.push(Layer::Arp(arp))?;
                Ok((Next::End, rest))
            }
            Next::Extension(number) => self.extension(number, window),
            Next::Icmp => {
                let (icmp, rest) = Icmp::parse(window).map_err(|why| (Kind::Icmp, why))?;
                self.push(Layer::Icmp(icmp))?;
                Ok((Next::End, rest))
            }
            Next::Icmpv6 => {
                let (icmp, rest) = Icmpv6::parse(window).map_err(|why| (Kind::Icmpv6, why))?;
                self.push(Layer::Icmpv6(icmp))?;
                Ok((Next::End, rest))
            }
            Next::Vxlan => {
                let (vxlan, rest) = Vxlan::parse(window).map_err(|why| (Kind::Vxlan, why))?;
                self.enter(Kind::Vxlan)?;
                self.push(Layer::Vxlan(vxlan))?;
                Ok((Next::Ethernet, rest))
            }
            Next::Geneve => self.geneve(window),
            Next::Gre => self.gre(window),
            Next::Dhcp { whole } => {
                let (dhcp, cut) = Dhcp::parse(window, whole).map_err(|why| (Kind::Dhcp, why))?;
                self.push(Layer::Dhcp(dhcp))?;
                self.fault(Kind::Dhcp, window, cut);
                Ok((Next::End, behind(window)))
            }
            Next::Slow => {
                // Slow protocols (IEEE 802.3-2018 annex 57A): only subtype 1 is LACP.
                if !matches!(window.bytes.first(), None | Some(1)) {
                    return Ok((Next::End, window));
                }
                let (lacp, _) = Lacp::parse(window).map_err(|why| (Kind::Lacp, why))?;
                self.push(Layer::Lacp(lacp))?;
                Ok((Next::End, behind(window)))
            }
            Next::Lldp => {
                self.push(Layer::Lldp(Lldp::parse(window)))?;
                Ok((Next::End, behind(window)))
            }
            Next::Ethernet | Next::Tag(_) | Next::Ipv4 | Next::Ipv6 | Next::Tcp | Next::Udp | Next::End => {
                Ok((Next::End, window))
            }
        }
    }

    #[inline]
    fn ethernet(&mut self, window: Window<'a>) -> Step<'a> {
        let (ethernet, rest) = Ethernet::parse(window).map_err(|why| (Kind::Ethernet, why))?;
        self.push(Layer::Ethernet(ethernet))?;
        self.dst = Some(ethernet.dst());
        Ok((by_type(ethernet.ethertype_or_length()), rest))
    }

    #[inline]
    fn tag(&mut self, tpid: u16, window: Window<'a>) -> Step<'a> {
        let (vlan, rest) = Vlan::parse(tpid, window).map_err(|why| (Kind::Vlan, why))?;
        self.push(Layer::Vlan(vlan))?;
        if !self.is_inside {
            self.tags = self.tags.saturating_add(1);
            if self.tags == 2 {
                self.layers.mark(Kind::VlanStack);
            }
            match vlan.tag().vid.number() {
                0 => self.layers.mark(Kind::PriorityTag),
                4095 => self.layers.mark(Kind::ReservedTag),
                _ => {}
            }
        }
        Ok((by_type(vlan.next()), rest))
    }

    #[inline]
    fn ipv4(&mut self, window: Window<'a>) -> Step<'a> {
        let (ip, rest, fault) = Ipv4::parse(window).map_err(|why| (Kind::Ipv4, why))?;
        self.push(Layer::Ipv4(ip))?;
        self.fault(Kind::Ipv4, window, fault);
        self.is_inside = true;
        self.is_fragment |= ip.is_fragment();
        let next = if ip.fragment_offset() == 0 { self.above(ip.protocol(), false)? } else { Next::End };
        Ok((next, rest))
    }

    #[inline]
    fn ipv6(&mut self, window: Window<'a>) -> Step<'a> {
        let (ip, rest, fault) = Ipv6::parse(window).map_err(|why| (Kind::Ipv6, why))?;
        self.push(Layer::Ipv6(ip))?;
        self.fault(Kind::Ipv6, window, fault);
        self.is_inside = true;
        self.is_fragment |= ip.is_fragment();
        Ok((self.above(ip.next_header(), true)?, rest))
    }

    fn extension(&mut self, number: u8, window: Window<'a>) -> Step<'a> {
        let (extension, rest, lack) = Ipv6Extension::parse(number, window).map_err(|why| (Kind::Ipv6Extension, why))?;
        self.push(Layer::Ipv6Extension(extension))?;
        if let Some(why) = lack {
            return Err((Kind::Ipv6Extension, why));
        }
        let next =
            if extension.fragment_offset() == 0 { self.above(extension.next_header(), true)? } else { Next::End };
        Ok((next, rest))
    }

    #[inline]
    fn tcp(&mut self, window: Window<'a>) -> Step<'a> {
        let (tcp, rest, lack) = Tcp::parse(window).map_err(|why| (Kind::Tcp, why))?;
        self.push(Layer::Tcp(tcp))?;
        self.fault(Kind::Tcp, window, lack);
        Ok((Next::End, rest))
    }

    #[inline]
    fn udp(&mut self, window: Window<'a>) -> Step<'a> {
        let (udp, rest, fault) = Udp::parse(window, self.is_fragment).map_err(|why| (Kind::Udp, why))?;
        self.push(Layer::Udp(udp))?;
        self.fault(Kind::Udp, window, fault);
        // 1067 and 1068 stand in for 67 and 68 where a test may not use low ports, as tshark has it.
        let is_dhcp = |port| matches!(port, 67 | 68 | 1067 | 1068);
        let next = match udp.dst_port() {
            4789 | 8472 => Next::Vxlan,
            6081 => Next::Geneve,
            dst if (is_dhcp(dst) || is_dhcp(udp.src_port())) && Dhcp::is_here(&rest) => {
                Next::Dhcp { whole: usize::from(udp.length()).saturating_sub(8) }
            }
            _ => Next::End,
        };
        Ok((next, rest))
    }

    fn geneve(&mut self, window: Window<'a>) -> Step<'a> {
        let (geneve, rest, lack) = Geneve::parse(window).map_err(|why| (Kind::Geneve, why))?;
        if geneve.version() != 0 {
            return Ok((Next::End, window));
        }
        self.enter(Kind::Geneve)?;
        self.push(Layer::Geneve(geneve))?;
        match lack {
            Some(why) => Err((Kind::Geneve, why)),
            None => Ok((carried(geneve.protocol()), rest)),
        }
    }

    fn gre(&mut self, window: Window<'a>) -> Step<'a> {
        let (gre, rest, lack) = Gre::parse(window).map_err(|why| (Kind::Gre, why))?;
        self.enter(Kind::Gre)?;
        self.push(Layer::Gre(gre))?;
        match lack {
            Some(why) => Err((Kind::Gre, why)),
            None if gre.version() == 0 && !gre.has_routing() => Ok((carried(gre.protocol()), rest)),
            None => Ok((Next::End, rest)),
        }
    }

    fn length(&mut self, length: u16, window: Window<'a>) -> Step<'a> {
        if length > 1500 {
            return Err((Kind::Llc, Why::Bad("neither a length up to 1500 nor an EtherType from 1536")));
        }
        let (rest, fault) = window.narrow(usize::from(length));
        self.fault(Kind::Llc, window, fault);
        // Novell's frames have no LLC header but begin with an IPX checksum of ones.
        let is_raw_ipx = rest.bytes.starts_with(&[0xff, 0xff]);
        Ok((if is_raw_ipx { Next::End } else { Next::Llc }, rest))
    }

    fn llc(&mut self, window: Window<'a>) -> Step<'a> {
        let (llc, rest) = Llc::parse(window).map_err(|why| (Kind::Llc, why))?;
        self.push(Layer::Llc(llc))?;
        let next = match () {
            () if llc.is_snap() => Next::Snap,
            () if llc.is_bridge() => Next::Bpdu(StpFamily::Ieee),
            () => Next::End,
        };
        Ok((next, rest))
    }

    fn snap(&mut self, window: Window<'a>) -> Step<'a> {
        let (snap, rest) = Snap::parse(window).map_err(|why| (Kind::Snap, why))?;
        self.push(Layer::Snap(snap))?;
        let next = match snap.ethertype() {
            // A length has no place behind SNAP.
            Some(ethertype) if ethertype >= 1536 => by_type(ethertype),
            None if snap.is_pvst() => Next::Bpdu(StpFamily::Pvst),
            _ => Next::End,
        };
        Ok((next, rest))
    }

    fn bpdu(&mut self, family: StpFamily, window: Window<'a>) -> Step<'a> {
        let bridges = match family {
            StpFamily::Ieee => IEEE_BRIDGES.as_slice(),
            StpFamily::Pvst => PVST_BRIDGES.as_slice(),
        };
        if self.dst.is_some_and(|dst| !bridges.contains(&dst)) {
            return Ok((Next::End, window));
        }
        match Stp::parse(family, window).map_err(|why| (Kind::Stp, why))? {
            Some((stp, fault)) => {
                self.push(Layer::Stp(stp))?;
                self.fault(Kind::Stp, window, fault);
                Ok((Next::End, behind(window)))
            }
            None => Ok((Next::End, window)),
        }
    }

    #[inline]
    fn push(&mut self, layer: Layer<'a>) -> Result<(), Halt> {
        if self.layers.push(layer) { Ok(()) } else { Err((layer.kind(), Why::Deep)) }
    }

    /// What follows an IP header; IP in IP is a tunnel.
    #[inline]
    fn above(&mut self, protocol: u8, is_v6: bool) -> Result<Next, Halt> {
        let next = by_protocol(protocol, is_v6);
        match next {
            Next::Ipv4 => self.enter(Kind::Ipv4)?,
            Next::Ipv6 => self.enter(Kind::Ipv6)?,
            _ => {}
        }
        Ok(next)
    }

    /// Counts a tunnel.
    fn enter(&mut self, kind: Kind) -> Result<(), Halt> {
        if self.tunnels >= MOST_TUNNELS {
            return Err((kind, Why::Deep));
        }
        self.tunnels = self.tunnels.saturating_add(1);
        Ok(())
    }

    /// Notes what is wrong with a layer behind which decoding goes on.
    #[inline]
    fn fault(&mut self, layer: Kind, window: Window<'a>, fault: Option<Why>) {
        let Some(why) = fault else { return };
        if self.is_fragment && matches!(why, Why::Short { .. }) {
            return;
        }
        self.layers.note(Stop { layer, offset: window.at, why });
    }
}

/// What an EtherType, or a length in its place, announces.
#[inline]
const fn by_type(ethertype: u16) -> Next {
    match ethertype {
        0x0800 => Next::Ipv4,
        0x86dd => Next::Ipv6,
        tpid if Tpid::is_tag(tpid) => Next::Tag(tpid),
        // ARP and reverse ARP.
        0x0806 | 0x8035 => Next::Arp,
        0..=1535 => Next::Length(ethertype),
        0x8809 => Next::Slow,
        0x88cc => Next::Lldp,
        _ => Next::End,
    }
}

/// What the protocol field of a cooked header announces.
const fn cooked(hardware: u16, protocol: u16) -> Next {
    match (hardware, protocol) {
        // Netlink (824) puts its own numbers there.
        (824, _) => Next::End,
        // ETH_P_802_2 of Linux.
        (_, 0x0004) => Next::Llc,
        (_, 0x0600..) => by_type(protocol),
        _ => Next::End,
    }
}

/// What a tunnel carries.
const fn carried(ethertype: u16) -> Next {
    match ethertype {
        // Transparent Ethernet bridging (RFC 1701).
        0x6558 => Next::Ethernet,
        0x0800 => Next::Ipv4,
        0x86dd => Next::Ipv6,
        _ => Next::End,
    }
}

/// What an IP protocol number announces; extension headers are IPv6's only.
#[inline]
const fn by_protocol(protocol: u8, is_v6: bool) -> Next {
    match protocol {
        6 => Next::Tcp,
        17 => Next::Udp,
        1 => Next::Icmp,
        58 => Next::Icmpv6,
        4 => Next::Ipv4,
        41 => Next::Ipv6,
        47 => Next::Gre,
        number if is_v6 && ipv6::is_extension(number) => Next::Extension(number),
        _ => Next::End,
    }
}

/// The window behind a layer that takes all that is there.
const fn behind(window: Window<'_>) -> Window<'_> {
    let end = window.at.saturating_add(window.bytes.len());
    Window { bytes: &[], wire: window.wire.saturating_sub(window.bytes.len()), at: end }
}
