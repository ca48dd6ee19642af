//! A piece of an IP packet (RFC 791 section 3.2, RFC 8200 section 4.5): which packet it belongs to, and where.

use std::net::IpAddr;

use super::ip::Ip;
use super::layer::Layer;
use super::layers::Layers;

/// A piece of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Who sent it.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// What the whole packet carries, as far as this piece tells.
    pub protocol: u8,
    /// What all pieces of the packet share.
    pub id: u32,
    /// Where its payload begins in that of the packet, in bytes.
    pub offset: u32,
    /// Bytes of its payload.
    pub len: u32,
    /// Whether it is the last piece.
    pub is_last: bool,
    /// Bytes of layer 3 of this piece.
    pub packet_len: u32,
    /// Whether its header is not damaged: what is may be no piece at all, and nobody takes it for one.
    pub is_sound: bool,
}

impl Layers<'_> {
    /// The outermost piece in the frame: of what a tunnel's packet holds its first piece alone could be read.
    pub fn fragment(&self) -> Option<Fragment> {
        let is_piece = |layer: &Layer<'_>| match layer {
            Layer::Ipv4(ip) => ip.is_fragment(),
            Layer::Ipv6(ip) => ip.is_fragment(),
            _ => false,
        };
        let at = self.as_slice().iter().position(is_piece)?;
        let (ip, id, headers, is_last) = match self.as_slice().get(at)? {
            Layer::Ipv4(ip) => (Ip::V4(*ip), u32::from(ip.id()), ip.header_len(), !ip.more_fragments()),
            Layer::Ipv6(ip) => {
                let (mut headers, mut id) = (40_usize, None);
                for layer in self.as_slice().get(at.saturating_add(1)..)? {
                    let Layer::Ipv6Extension(extension) = layer else { break };
                    headers = headers.saturating_add(extension.header_len());
                    id = extension.fragment_id();
                    if id.is_some() {
                        break;
                    }
                }
                (Ip::V6(*ip), id?, headers, !ip.more_fragments())
            }
            _ => return None,
        };
        let len = ip.packet_len().saturating_sub(u32::try_from(headers).unwrap_or(0));
        Some(Fragment {
            src: ip.src(),
            dst: ip.dst(),
            protocol: ip.protocol(),
            id,
            offset: ip.fragment_offset(),
            len,
            is_last,
            packet_len: ip.packet_len(),
            is_sound: !matches!(ip, Ip::V4(header) if !header.is_sound()),
        })
    }
}
