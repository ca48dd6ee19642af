//! MTU007: what a tunnel puts around packets makes them longer than its way takes, and they travel in pieces (RFC 7348 section 4.3: the ends of
//! a VXLAN tunnel must not fragment). Only pieces are looked at: a long outer packet by itself may have the room.

use std::net::IpAddr;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Frame, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Span, Timestamp};
use crate::wire::{Ip, Kind};
use crate::world::{Derived, Observation, Topic, Torn};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU007",
        name: "overlay-overhead-overflow",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("overlay_overhead_overflow.md"),
    },
    hears: &[Kind::Fragment],
    follows: &[Topic::Fragment],
    needs: Needs::Frames,
    make: |_| Box::new(OverlayOverheadOverflow { tunnels: Followed::new(MOST, ENOUGH, CITED) }),
};

/// Packets in pieces that make it more than an exception.
const ENOUGH: u64 = 3;
/// Packets that must lack a piece for the tunnel to be known to lose them (findings.md, MTU006).
const TORN: u32 = 3;
/// Without such a packet for that long it is over (findings.md, MTU007).
const QUIET_FOR: Span = Span::secs(60);
/// Tunnels that are followed, and frames that are cited.
const MOST: usize = 1_024;
const CITED: u64 = 3;

struct OverlayOverheadOverflow {
    tunnels: Followed<TunnelKey, Tunnel>,
}

/// The two ends, and the encapsulation.
type TunnelKey = (IpAddr, IpAddr, Kind);

/// What was seen of one tunnel.
#[derive(Clone, Copy)]
struct Tunnel {
    vantage: VantageId,
    /// Bytes that it puts around a packet, its own header of layer 3 included.
    overhead: u32,
    /// The largest packet inside, and the largest piece outside.
    inner: u32,
    piece: u32,
    /// Packets that lack a piece, and that do not.
    torn: (u32, u32),
}

impl OverlayOverheadOverflow {
    fn frame(&mut self, frame: &Frame<'_>, cx: &Context<'_>) {
        let Some((ip, encapsulation, inner, overhead)) = begun(frame) else { return };
        let key = (ip.src(), ip.dst(), encapsulation);
        let vantage = frame.at.vantage;
        let tunnel =
            self.tunnels.see(&key, frame, cx, || Tunnel { vantage, overhead, inner: 0, piece: 0, torn: (0, 0) });
        if inner > tunnel.what.inner {
            (tunnel.what.inner, tunnel.what.overhead) = (inner, overhead);
        }
        tunnel.what.piece = tunnel.what.piece.max(ip.packet_len());
    }

    /// A packet of the tunnel lacks a piece.
    fn torn(&mut self, torn: &Torn, cx: &mut Context<'_>) {
        let (src, dst, _) = torn.pair;
        for encapsulation in [Kind::Vxlan, Kind::Geneve, Kind::Gre] {
            let key = (src, dst, encapsulation);
            let Some(tunnel) = self.tunnels.get_mut(&key).filter(|tunnel| tunnel.count >= ENOUGH) else { continue };
            tunnel.what.torn = (torn.pieces.incomplete, torn.pieces.complete);
            if torn.pieces.incomplete >= TORN {
                self.claim(&key, cx);
            }
        }
    }

    fn claim(&mut self, key: &TunnelKey, cx: &mut Context<'_>) {
        let (src, dst, encapsulation) = *key;
        let Some(tunnel) = self.tunnels.get_mut(key).filter(|tunnel| tunnel.count >= ENOUGH) else { return };
        let Tunnel { vantage, overhead, inner, piece, torn: (torn, whole) } = tunnel.what;
        let outer = inner.saturating_add(overhead);
        let fits = piece.saturating_sub(overhead);
        let lost = match torn {
            TORN.. => format!(" Of {} such packets {torn} never arrived whole.", torn.saturating_add(whole)),
            _ => String::new(),
        };
        let headline = format!(
            "{encapsulation} from {src} to {dst}: inner packets of {inner} bytes become {outer} outside, and travel in pieces of up to {piece}: over by {}. Inner packets of up to {fits} fit.{lost}",
            outer.saturating_sub(piece)
        );
        let (confidence, severity) = if torn >= TORN {
            (Confidence::Confirmed, Severity::Error)
        } else {
            (Confidence::Likely, Severity::Warning)
        };
        let ip = if src.is_ipv4() { "ip" } else { "ipv6" };
        let claim = Claim::new(claim_key(key), confidence, severity, headline)
            .number("inner_packet", inner)
            .number("overhead", overhead)
            .number("outer_packet", outer)
            .number("largest_piece", piece)
            .number("safe_inner_packet", fits)
            .number("torn", torn)
            .filter(match src {
                IpAddr::V4(_) => {
                    format!("{ip}.src == {src} && {ip}.dst == {dst} && (ip.flags.mf == 1 || ip.frag_offset > 0)")
                }
                IpAddr::V6(_) => format!("{ip}.src == {src} && {ip}.dst == {dst} && ipv6.fraghdr"),
            })
            .cause("guests were left at an MTU of 1500: nobody told them what the tunnel takes")
            .cause("the network below was not made larger for the tunnel")
            .cause("a guest's MTU was set by hand")
            .step(
                "Make the network below larger, at every hop and on the switches",
                Command::with("ip link set bond0 mtu {}", &[&outer.max(1_600)]),
            )
            .step("Or tell guests what fits", Command::with("dnsmasq --dhcp-option-force=26,{}", &[&fits]))
            .step(
                "With OpenStack, tell Neutron what the network below takes",
                "grep -E 'global_physnet_mtu|path_mtu' /etc/neutron/neutron.conf /etc/neutron/plugins/ml2/ml2_conf.ini",
            );
        cx.raise(tunnel.prove(claim).at(vantage));
    }
}

impl Detector for OverlayOverheadOverflow {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) => self.frame(seen.frame, cx),
            Observation::Derived(Derived::Torn(torn)) => self.torn(torn, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.tunnels.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.tunnels.due(cx.now, QUIET_FOR) {
            match due {
                Due::Ripe(key) => self.claim(&key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(&key), format!("no packet in pieces for {QUIET_FOR}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.tunnels.unsaid() {
            self.claim(&key, cx);
        }
    }
}

/// The first piece of a tunnel's packet: its outer header, the encapsulation, the length of the packet inside, and what the tunnel adds to it.
fn begun<'a>(frame: &Frame<'a>) -> Option<(Ip<'a>, Kind, u32, u32)> {
    let layers = &frame.layers;
    let ip = layers.ip().filter(Ip::is_first_fragment)?;
    let inner = layers.inner_ip().filter(|_| layers.has_tunnel())?;
    let (kind, header) = if layers.has(Kind::Vxlan) {
        (Kind::Vxlan, 16)
    } else if let Some(geneve) = layers.geneve() {
        (Kind::Geneve, u32::try_from(geneve.options_len()).ok()?.saturating_add(16))
    } else {
        (Kind::Gre, u32::try_from(layers.gre()?.header_len()).ok()?)
    };
    let outer = match ip {
        Ip::V4(ip) => u32::try_from(ip.header_len()).ok()?,
        // Forty bytes; the header that tells of the pieces is not there when the packet is whole.
        Ip::V6(_) => 40,
    };
    // An Ethernet header, and the tags in it; GRE carries IP without one, too (RFC 2784 section 2.4).
    let is_framed = layers.gre().is_none_or(|gre| gre.protocol() == 0x6558);
    let ethernet = layers.inner_tags().filter(|_| is_framed).map_or(0, |tags| tags.bytes());
    let ethernet = if is_framed { ethernet.saturating_add(14) } else { 0 };
    Some((ip, kind, inner.packet_len(), outer.saturating_add(header).saturating_add(ethernet)))
}

fn claim_key((src, dst, encapsulation): &TunnelKey) -> Key {
    Key::new().with("src", src).with("dst", dst).with("encapsulation", encapsulation)
}
