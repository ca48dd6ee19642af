//! How large segments are: what a SYN announces (RFC 6691), and what super-frames are on the wire (findings.md 2.6).

use super::stuck::Path;
use crate::event::{Beginning, Frame, Offload};
use crate::wire::{Ip, Tcp};
use crate::world::Seen;

/// Bytes of layer 3 past which no wire of ours carries one packet: the largest jumbo frame.
const LARGEST_JUMBO: u32 = 9_216;

/// A connection that opens in two tags or more, or in a tunnel: how large its segments may be, and what rides along with each.
#[derive(Clone, Debug)]
pub struct Announced {
    /// From whom to whom.
    pub path: Path,
    /// The ports of sender and receiver.
    pub ports: (u16, u16),
    /// The largest payload that the sender takes.
    pub mss: u16,
    /// Bytes of layer 3 of the packets that it takes.
    pub packet_len: u32,
    /// Bytes of layer 3 outside the packet: the tunnel's headers.
    pub tunnel: u32,
    /// The segment.
    pub beginning: Beginning,
}

impl Announced {
    /// What a SYN that takes segments of `mss` bytes says about sizes, where more rides along than one tag.
    pub(super) fn of(seen: &Seen<'_>, ip: &Ip<'_>, tcp: &Tcp<'_>, mss: u16) -> Option<Self> {
        let layers = &seen.frame.layers;
        let tunnel = layers.ip()?.packet_len().saturating_sub(ip.packet_len());
        if layers.tag_depth() <= 1 && tunnel == 0 {
            return None;
        }
        // Headers without options: what an end that speaks of its MTU takes off (RFC 6691).
        let headers = if ip.src().is_ipv4() { 40 } else { 60 };
        let path = Path::of(seen, ip)?;
        let ports = (tcp.src_port(), tcp.dst_port());
        let packet_len = u32::from(mss).saturating_add(headers);
        Some(Self { path, ports, mss, packet_len, tunnel, beginning: Beginning::of(seen.frame) })
    }
}

/// Bytes of layer 3 that a frame has on the wire, as far as anything tells: of a super-frame, those of each segment; and whether it is one.
/// `most` is the largest payload that both ends agreed on, `assumed` what an ordinary link carries.
#[inline]
pub(super) fn on_the_wire(
    frame: &Frame<'_>,
    ip: &Ip<'_>,
    payload: u32,
    most: Option<u32>,
    assumed: u32,
) -> (Option<u32>, bool) {
    let packet_len = ip.packet_len();
    let is_super = match frame.offload {
        Offload::Segmented { .. } => true,
        Offload::None | Offload::Unsummed => false,
        Offload::Unknown => {
            let is_long = packet_len > assumed;
            !ip.has_length() || packet_len > LARGEST_JUMBO || (is_long && most.is_some_and(|most| payload > most))
        }
    };
    if !is_super {
        return (Some(packet_len), false);
    }
    let told = match frame.offload {
        Offload::Segmented { segment } if segment > 0 => Some(u32::from(segment)),
        _ => most,
    };
    let headers = packet_len.saturating_sub(payload);
    (told.map(|segment| segment.min(payload).saturating_add(headers)), true)
}
