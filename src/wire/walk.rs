//! The walk from layer to layer, by the tables of `next`. A loop, never a recursion.
//!
//! Headers that carry what is not read (`unopened`) end it, and are named; protocols that carry nothing end it quietly.

use super::arp::Arp;
use super::cdp::Cdp;
use super::dhcp::Dhcp;
use super::ethernet::Ethernet;
use super::icmp::{Icmp, Icmpv6};
use super::ipv4::Ipv4;
use super::ipv6::{Ipv6, Ipv6Extension};
use super::lacp::Lacp;
use super::layer::Layer;
use super::layers::Layers;
use super::llc::{Llc, Snap};
use super::lldp::Lldp;
use super::next::{Next, by_protocol, by_type, carried, cooked, unopened};
use super::sll::{Null, Sll, Sll2};
use super::stop::{Stop, Why};
use super::stp::{Stp, StpFamily};
use super::stream;
use super::tcp::Tcp;
use super::tunnel::{Geneve, Gre, Vxlan};
use super::udp::Udp;
use super::unopened::Unopened;
use super::vlan::Vlan;
use super::window::Window;
use super::{Kind, LOW_TTL, LinkType};
use crate::value::Mac;

/// Tunnels within tunnels that are followed.
const MOST_TUNNELS: u8 = 4;

/// Where bridges and provider bridges send BPDUs (IEEE 802.1Q-2018 tables 8-1 and 8-2).
const IEEE_BRIDGES: [Mac; 2] = [Mac::BRIDGES, Mac([0x01, 0x80, 0xc2, 0x00, 0x00, 0x08])];
/// Where Cisco's per-VLAN spanning tree sends its BPDUs.
const PVST_BRIDGES: [Mac; 1] = [Mac::PVST];

struct Walk<'a, 'l> {
    layers: &'l mut Layers<'a>,
    /// What is left to read.
    window: Window<'a>,
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

impl<'a> Layers<'a> {
    /// Reads those of a frame that began as `link` says and had `wire_len` bytes on the wire, of which `bytes` were captured.
    pub fn read(&mut self, link: LinkType, bytes: &'a [u8], wire_len: u32) {
        self.clear();
        let window = Window::new(bytes, wire_len);
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
            self.mark(Kind::Cut);
        }
        let (tags, is_inside, is_fragment, tunnels, dst) = (0, false, false, 0, None);
        Walk { layers: self, window, tags, is_inside, is_fragment, tunnels, dst }.run(first);
    }
}

impl<'a> Walk<'a, '_> {
    #[inline]
    fn run(&mut self, mut next: Next) {
        loop {
            // `None` is a layer that could not be read; why is noted.
            let then = match next {
                Next::Ethernet => self.ethernet(),
                Next::Tag(tpid) => self.tag(tpid),
                Next::Ipv4 => self.ipv4(),
                Next::Ipv6 => self.ipv6(),
                Next::Tcp => self.tcp(),
                Next::Udp => self.udp(),
                Next::End => None,
                rare => self.rare(rare),
            };
            match then {
                Some(then) => next = then,
                None => break,
            }
        }
        self.layers.rest = self.window.bytes;
    }

    /// What is not on the path of bulk traffic.
    #[inline(never)]
    fn rare(&mut self, next: Next) -> Option<Next> {
        let window = self.window;
        match next {
            Next::Sll => {
                let sll = self.read(Kind::Sll, Sll::parse, Layer::Sll)?;
                Some(cooked(sll.hardware(), sll.protocol()))
            }
            Next::Sll2 => {
                let sll = self.read(Kind::Sll2, Sll2::parse, Layer::Sll2)?;
                Some(cooked(sll.hardware(), sll.protocol()))
            }
            Next::Null { is_network_order } => {
                let null = self.read(Kind::Null, |w| Null::parse(w, is_network_order), Layer::Null)?;
                null.ethertype().map(by_type)
            }
            Next::AnyIp => match window.bytes.first().map(|byte| byte >> 4) {
                Some(4) | None => Some(Next::Ipv4),
                Some(6) => Some(Next::Ipv6),
                Some(_) => self.halt(Kind::Ipv4, Why::Bad("IP version is neither 4 nor 6")),
            },
            Next::Length(length) => self.length(length),
            Next::Llc => self.llc(),
            Next::Snap => self.snap(),
            Next::Bpdu(family) => self.bpdu(family),
            Next::Arp => self.read(Kind::Arp, Arp::parse, Layer::Arp).map(|_| Next::End),
            Next::Extension(number) => self.extension(number),
            Next::Icmp => {
                let icmp = self.read(Kind::Icmp, Icmp::parse, Layer::Icmp)?;
                self.note_error(icmp.is_error())
            }
            Next::Icmpv6 => {
                let icmp = self.read(Kind::Icmpv6, Icmpv6::parse, Layer::Icmpv6)?;
                self.note_error(icmp.is_error())
            }
            Next::Vxlan => {
                self.read(Kind::Vxlan, Vxlan::parse, Layer::Vxlan)?;
                self.enter(Kind::Vxlan)?;
                Some(Next::Ethernet)
            }
            Next::Geneve => self.geneve(),
            Next::Gre => self.gre(),
            Next::Dhcp { length } => {
                let whole = usize::from(length).saturating_sub(8);
                self.read(Kind::Dhcp, |w| Dhcp::parse(w, whole), Layer::Dhcp).map(|_| Next::End)
            }
            // Slow protocols (IEEE 802.3-2018 annex 57A): only subtype 1 is LACP.
            Next::Slow if matches!(window.bytes.first(), None | Some(1)) => {
                self.read(Kind::Lacp, Lacp::parse, Layer::Lacp).map(|_| Next::End)
            }
            Next::Cdp => self.read(Kind::Cdp, Cdp::parse, Layer::Cdp).map(|_| Next::End),
            Next::Lldp => self.read(Kind::Lldp, |w| Ok(Lldp::parse(w)), Layer::Lldp).map(|_| Next::End),
            Next::Unopened(what) => self.read(Kind::Unopened, |_| Ok(what), Layer::Unopened).map(|_| Next::End),
            _ => None,
        }
    }

    #[inline]
    fn ethernet(&mut self) -> Option<Next> {
        let ethernet = self.read(Kind::Ethernet, Ethernet::parse, Layer::Ethernet)?;
        self.dst = Some(ethernet.dst());
        if !self.is_inside && ethernet.dst().is_group() {
            self.layers.mark(Kind::Group);
        }
        Some(by_type(ethernet.ethertype_or_length()))
    }

    #[inline]
    fn tag(&mut self, tpid: u16) -> Option<Next> {
        let vlan = self.read(Kind::Vlan, |w| Vlan::parse(tpid, w), Layer::Vlan)?;
        if !self.is_inside {
            self.layers.wear(vlan.tag());
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
        Some(by_type(vlan.next()))
    }

    #[inline]
    fn ipv4(&mut self) -> Option<Next> {
        let ip = self.read(Kind::Ipv4, Ipv4::parse, Layer::Ipv4)?;
        self.is_inside = true;
        self.note_fragment(ip.is_fragment());
        self.note_hops(ip.ttl());
        if ip.fragment_offset() == 0 { self.above(ip.protocol(), false) } else { None }
    }

    #[inline]
    fn ipv6(&mut self) -> Option<Next> {
        let ip = self.read(Kind::Ipv6, Ipv6::parse, Layer::Ipv6)?;
        self.is_inside = true;
        self.note_fragment(ip.is_fragment());
        self.note_hops(ip.hop_limit());
        self.above(ip.next_header(), true)
    }

    #[inline]
    const fn note_hops(&mut self, hops: u8) {
        if hops <= LOW_TTL {
            self.layers.mark(Kind::LowTtl);
        }
    }

    #[inline]
    const fn note_fragment(&mut self, is_fragment: bool) {
        if is_fragment {
            self.is_fragment = true;
            self.layers.mark(Kind::Fragment);
        }
    }

    const fn note_error(&mut self, is_error: bool) -> Option<Next> {
        if is_error {
            self.layers.mark(Kind::IcmpError);
        }
        None
    }

    fn extension(&mut self, number: u8) -> Option<Next> {
        let parse = |w: &mut Window<'a>| Ipv6Extension::parse(number, w);
        let extension = self.read(Kind::Ipv6Extension, parse, Layer::Ipv6Extension)?;
        if extension.fragment_offset() == 0 { self.above(extension.next_header(), true) } else { None }
    }

    #[inline]
    fn tcp(&mut self) -> Option<Next> {
        let tcp = self.read(Kind::Tcp, Tcp::parse, Layer::Tcp)?;
        if tcp.is_syn() || tcp.is_rst() {
            self.layers.mark(Kind::TcpOpening);
        } else if tcp.is_fin() {
            self.layers.mark(Kind::TcpClosing);
        } else if tcp.window() == 0 {
            self.layers.mark(Kind::ZeroWindow);
        }
        if stream::begins(self.window.bytes) {
            self.layers.mark(Kind::Message);
        }
        None
    }

    #[inline]
    fn udp(&mut self) -> Option<Next> {
        let is_fragment = self.is_fragment;
        let udp = self.read(Kind::Udp, |w| Udp::parse(w, is_fragment), Layer::Udp)?;
        if udp.is_opaque() {
            return None;
        }
        match udp.dst_port() {
            Vxlan::PORT | Vxlan::LINUX_PORT => Some(Next::Vxlan),
            Geneve::PORT => Some(Next::Geneve),
            dst if (Dhcp::is_port(dst) || Dhcp::is_port(udp.src_port())) && Dhcp::is_here(&self.window) => {
                Some(Next::Dhcp { length: udp.length() })
            }
            dst => Some(unopened(Unopened::by_ports(dst, udp.src_port(), self.window.bytes))),
        }
    }

    fn geneve(&mut self) -> Option<Next> {
        // Another version could mean anything.
        if self.window.bytes.first().is_some_and(|byte| byte >> 6 != 0) {
            return None;
        }
        let geneve = self.read(Kind::Geneve, Geneve::parse, Layer::Geneve)?;
        self.enter(Kind::Geneve)?;
        Some(carried(geneve.protocol()))
    }

    fn gre(&mut self) -> Option<Next> {
        let gre = self.read(Kind::Gre, Gre::parse, Layer::Gre)?;
        self.enter(Kind::Gre)?;
        match gre.version() {
            0 if !gre.has_routing() => Some(carried(gre.protocol())),
            // An acknowledgement of PPTP carries nothing (RFC 2637 section 4.1).
            1 if self.window.wire > 0 => Some(unopened(Unopened::carried(gre.protocol()))),
            _ => None,
        }
    }

    fn length(&mut self, length: u16) -> Option<Next> {
        if length > 1500 {
            return self.halt(Kind::Llc, Why::Bad("neither a length up to 1500 nor an EtherType from 1536"));
        }
        self.window.narrow(0, usize::from(length));
        if let Some(why) = self.window.fault.take() {
            self.halt::<()>(Kind::Llc, why);
        }
        // Novell's frames have no LLC header but begin with an IPX checksum of ones.
        if self.window.bytes.starts_with(&[0xff, 0xff]) { None } else { Some(Next::Llc) }
    }

    fn llc(&mut self) -> Option<Next> {
        let llc = self.read(Kind::Llc, Llc::parse, Layer::Llc)?;
        if llc.is_snap() {
            return Some(Next::Snap);
        }
        if llc.is_bridge() { Some(Next::Bpdu(StpFamily::Ieee)) } else { None }
    }

    fn snap(&mut self) -> Option<Next> {
        let snap = self.read(Kind::Snap, Snap::parse, Layer::Snap)?;
        match snap.ethertype() {
            // A length has no place behind SNAP.
            Some(ethertype) if ethertype >= 1536 => Some(by_type(ethertype)),
            None if snap.is_pvst() => Some(Next::Bpdu(StpFamily::Pvst)),
            None if snap.is_cdp() => Some(Next::Cdp),
            _ => None,
        }
    }

    fn bpdu(&mut self, family: StpFamily) -> Option<Next> {
        let bridges = match family {
            StpFamily::Ieee => IEEE_BRIDGES.as_slice(),
            StpFamily::Pvst => PVST_BRIDGES.as_slice(),
        };
        if self.dst.is_some_and(|dst| !bridges.contains(&dst)) {
            return None;
        }
        if !Stp::is_here(&self.window) {
            return None;
        }
        self.read(Kind::Stp, |w| Stp::parse(family, w), Layer::Stp)?;
        None
    }

    /// Reads a layer; `None` where that is not possible, or there is no place for it.
    #[inline(always)]
    fn read<T: Copy>(
        &mut self,
        kind: Kind,
        parse: impl FnOnce(&mut Window<'a>) -> Result<T, Why>,
        as_layer: impl FnOnce(T) -> Layer<'a>,
    ) -> Option<T> {
        // Field by field, for the optimiser keeps words in registers but whole windows in memory.
        let mut window = Window { fault: None, ..self.window };
        match parse(&mut window) {
            Ok(layer) => {
                if !self.layers.push(kind, as_layer(layer)) {
                    return self.halt(kind, Why::Deep);
                }
                if let Some(why) = window.fault {
                    self.halt::<()>(kind, why);
                }
                (self.window.bytes, self.window.wire, self.window.at) = (window.bytes, window.wire, window.at);
                Some(layer)
            }
            Err(why) => self.halt(kind, why),
        }
    }

    /// What follows an IP header; IP in IP is a tunnel.
    #[inline]
    fn above(&mut self, protocol: u8, is_v6: bool) -> Option<Next> {
        let next = by_protocol(protocol, is_v6);
        match next {
            Next::Ipv4 => self.enter(Kind::Ipv4)?,
            Next::Ipv6 => self.enter(Kind::Ipv6)?,
            _ => {}
        }
        Some(next)
    }

    /// Counts a tunnel.
    fn enter(&mut self, kind: Kind) -> Option<()> {
        if self.tunnels >= MOST_TUNNELS {
            return self.halt(kind, Why::Deep);
        }
        self.tunnels = self.tunnels.saturating_add(1);
        Some(())
    }

    /// Notes what is wrong with a layer. What is missing from a fragment is in the next one: nobody's fault.
    #[cold]
    #[inline(never)]
    fn halt<T>(&mut self, layer: Kind, why: Why) -> Option<T> {
        if !(self.is_fragment && matches!(why, Why::Short { .. })) {
            self.layers.note(Stop { layer, offset: self.window.at, why });
        }
        None
    }
}
