//! All layers of a frame, and the questions that are asked of them.

use super::arp::Arp;
use super::cdp::Cdp;
use super::dhcp::Dhcp;
use super::icmp::{Icmp, Icmpv6};
use super::ip::Ip;
use super::lacp::Lacp;
use super::layer::Layer;
use super::lldp::Lldp;
use super::stop::Stop;
use super::stp::Stp;
use super::tcp::Tcp;
use super::tunnel::{Geneve, Gre, Overlay};
use super::udp::Udp;
use super::unopened::Unopened;
use super::{Kind, Kinds};
use crate::value::{Mac, Tag, TagStack};

/// Layers that are held; what lies deeper ends as `Why::Deep`.
pub const MOST_LAYERS: usize = 16;

/// The layers of a frame, outermost first.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    layers: [Layer<'a>; MOST_LAYERS],
    len: u8,
    kinds: Kinds,
    /// The tags of the outermost link header.
    tags: TagStack,
    /// Captured bytes after the last layer, without padding where a length field tells.
    pub rest: &'a [u8],
    /// Why decoding ended early, or the first length that did not hold.
    pub stop: Option<Stop>,
}

macro_rules! innermost {
    ($($(#[$doc:meta])* $name:ident $kind:ident $of:ident;)*) => {
        impl<'a> Layers<'a> {
            $($(#[$doc])*
            #[inline]
            pub fn $name(&self) -> Option<$of<'a>> {
                if !self.has(Kind::$kind) {
                    return None;
                }
                self.iter().rev().find_map(|layer| if let Layer::$kind(of) = layer { Some(*of) } else { None })
            })*
        }
    };
}

innermost! {
    /// The innermost ARP packet.
    arp Arp Arp;
    /// The innermost ICMP message.
    icmp Icmp Icmp;
    /// The innermost ICMPv6 message.
    icmpv6 Icmpv6 Icmpv6;
    /// The innermost UDP header.
    udp Udp Udp;
    /// The innermost TCP header.
    tcp Tcp Tcp;
    /// The innermost GRE header.
    gre Gre Gre;
    /// The innermost GENEVE header.
    geneve Geneve Geneve;
    /// The DHCP or BOOTP message.
    dhcp Dhcp Dhcp;
    /// The BPDU.
    stp Stp Stp;
    /// The LACPDU.
    lacp Lacp Lacp;
    /// The LLDPDU.
    lldp Lldp Lldp;
    /// The CDP packet.
    cdp Cdp Cdp;
}

impl Default for Layers<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Layers<'a> {
    /// No layer yet.
    #[inline]
    pub const fn new() -> Self {
        Self {
            layers: [Layer::None; MOST_LAYERS],
            len: 0,
            kinds: Kinds::EMPTY,
            tags: TagStack::EMPTY,
            rest: &[],
            stop: None,
        }
    }

    /// Takes all layers away. Their places are large, and stay as they are.
    #[inline]
    pub(super) fn clear(&mut self) {
        (self.len, self.kinds, self.tags, self.rest, self.stop) = (0, Kinds::EMPTY, TagStack::EMPTY, &[], None);
    }

    /// Adds a layer; `false` if there is no place.
    #[inline]
    pub(super) fn push(&mut self, kind: Kind, layer: Layer<'a>) -> bool {
        let Some(place) = self.layers.get_mut(usize::from(self.len)) else { return false };
        self.kinds = self.kinds.with(kind);
        *place = layer;
        self.len = self.len.saturating_add(1);
        true
    }

    /// Notes the tag that was added last, if it belongs to the run of tags behind the outermost link header.
    #[inline]
    pub(super) fn wear(&mut self, tag: Tag) {
        if usize::from(self.len) == self.tags.depth().saturating_add(2) {
            self.tags.push(tag.tpid, tag.vid);
        }
    }

    /// Notes a trait of the whole frame.
    #[inline]
    pub(super) const fn mark(&mut self, kind: Kind) {
        self.kinds = self.kinds.with(kind);
    }

    /// Notes what is wrong; the first that is noted stays.
    #[cold]
    pub(super) fn note(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        self.mark(Kind::Stopped);
    }

    /// The layers, outermost first.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Layer<'a>> {
        self.as_slice().iter()
    }

    /// The layers, outermost first.
    #[inline]
    pub fn as_slice(&self) -> &[Layer<'a>] {
        self.layers.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// What the frame holds, as a set.
    #[inline]
    pub const fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// Whether the frame holds a layer of this kind, or has this trait.
    #[inline]
    pub const fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(kind)
    }

    /// Whether a tunnel was entered: another link or network header lies inside the first.
    #[inline]
    pub const fn has_tunnel(&self) -> bool {
        self.kinds.intersects(const { Kinds::of(&[Kind::Vxlan, Kind::Geneve, Kind::Gre]) })
    }

    /// How many tags the outermost link header has.
    #[inline]
    pub const fn tag_depth(&self) -> usize {
        self.tags.depth()
    }

    /// The tags of the outermost link header, with those of VID 0 and those before an LLC header.
    #[inline]
    pub const fn tags(&self) -> TagStack {
        self.tags
    }

    /// The same, where they lie.
    #[inline]
    pub(crate) const fn tags_ref(&self) -> &TagStack {
        &self.tags
    }

    /// The tags behind the innermost Ethernet header of a tunnel; `None` where no tunnel carries Ethernet.
    pub fn inner_tags(&self) -> Option<TagStack> {
        if !self.has_tunnel() {
            return None;
        }
        let inside = self.as_slice().get(1..)?;
        let at = inside.iter().rposition(|layer| matches!(layer, Layer::Ethernet(_)))?;
        inside.get(at.saturating_add(1)..).map(tags_of)
    }

    /// The network of the innermost Ethernet header, where a tunnel carries that.
    pub fn overlay(&self) -> Option<Overlay> {
        if !self.has_tunnel() {
            return None;
        }
        let at = self.as_slice().iter().rposition(|layer| matches!(layer, Layer::Ethernet(_)))?;
        match self.as_slice().get(at.checked_sub(1)?)? {
            Layer::Vxlan(vxlan) => Some(Overlay::Vni(vxlan.vni())),
            Layer::Geneve(geneve) => Some(Overlay::Vni(geneve.vni())),
            Layer::Gre(gre) => Some(Overlay::Gre(gre.key())),
            _ => None,
        }
    }

    /// The source of the outermost link header.
    #[inline]
    pub fn link_src(&self) -> Option<Mac> {
        self.as_slice().first().and_then(src_of)
    }

    /// The destination of the outermost link header; cooked headers have none.
    #[inline]
    pub fn link_dst(&self) -> Option<Mac> {
        self.as_slice().first().and_then(dst_of)
    }

    /// The source of the innermost link header: the outermost where there is no tunnel.
    #[inline(always)]
    pub fn inner_src(&self) -> Option<Mac> {
        if self.has_tunnel() { self.innermost(src_of) } else { self.link_src() }
    }

    /// The destination of the innermost Ethernet header: the outermost where there is no tunnel.
    #[inline(always)]
    pub fn inner_dst(&self) -> Option<Mac> {
        if self.has_tunnel() { self.innermost(dst_of) } else { self.link_dst() }
    }

    /// An address of the innermost link header that has it.
    #[inline(never)]
    fn innermost(&self, address: fn(&Layer<'a>) -> Option<Mac>) -> Option<Mac> {
        self.iter().rev().find_map(address)
    }

    /// The outermost IP header.
    #[inline]
    pub fn ip(&self) -> Option<Ip<'a>> {
        self.iter().find_map(ip_of)
    }

    /// The innermost IP header.
    #[inline]
    pub fn inner_ip(&self) -> Option<Ip<'a>> {
        self.iter().rev().find_map(ip_of)
    }

    /// What the frame carries and is not read, if anything.
    pub fn unopened(&self) -> Option<Unopened> {
        match self.as_slice().last()? {
            Layer::Unopened(what) => Some(*what),
            _ => None,
        }
    }

    /// The packet type of a cooked header: 0 to us, 1 broadcast, 2 multicast, 3 to another station, 4 sent by us.
    pub fn cooked_packet_type(&self) -> Option<u16> {
        match self.as_slice().first()? {
            Layer::Sll(sll) => Some(sll.packet_type()),
            Layer::Sll2(sll) => Some(sll.packet_type()),
            _ => None,
        }
    }
}

fn tags_of(layers: &[Layer<'_>]) -> TagStack {
    let tags = layers.iter().map_while(|layer| match layer {
        Layer::Vlan(vlan) => Some(vlan.tag()),
        _ => None,
    });
    tags.map(|tag| (tag.tpid, tag.vid)).collect()
}

#[inline]
fn src_of(layer: &Layer<'_>) -> Option<Mac> {
    match layer {
        Layer::Ethernet(ethernet) => Some(ethernet.src()),
        Layer::Sll(sll) => sll.src(),
        Layer::Sll2(sll) => sll.src(),
        _ => None,
    }
}

#[inline]
const fn dst_of(layer: &Layer<'_>) -> Option<Mac> {
    match layer {
        Layer::Ethernet(ethernet) => Some(ethernet.dst()),
        _ => None,
    }
}

#[inline]
const fn ip_of<'a>(layer: &Layer<'a>) -> Option<Ip<'a>> {
    match layer {
        Layer::Ipv4(ip) => Some(Ip::V4(*ip)),
        Layer::Ipv6(ip) => Some(Ip::V6(*ip)),
        _ => None,
    }
}
