//! By what a packet is recognised at another vantage (findings.md 2.2): what stays of it while it travels.

use super::Frame;
use crate::value::Fingerprint;
use crate::wire::Layer;

/// Bytes behind the tags that must be equal: the headers, with sequence numbers, identifications and transaction numbers. Not more, because
/// a snap length leaves fewer bytes of a packet where it wears more tags: of 96 bytes these are whole in four tags, and the same packet
/// looks the same at every place.
const COMPARED: usize = 64;
/// The same where another packet is inside.
const COMPARED_IN_TUNNEL: usize = 128;

impl Frame<'_> {
    /// What stays of a packet while it travels through one layer-2 network: source, protocol, and what is behind the tags without what
    /// offloads change.
    pub fn fingerprint(&self) -> Fingerprint {
        let source = self.layers.link_src().map(|mac| mac.0).unwrap_or_default();
        let (packet, length) = self.packet();
        // A checksum that the network card was to fill in differs between the devices above and below it.
        let [before, rest] = without(packet, checksum_at(packet), 2);
        Fingerprint::of(&[&source, &length, before, rest])
    }

    /// What stays of a packet when routers forward it, too: of IP neither addresses of layer 2 nor the hops that are left
    /// (RFC 1812 section 5.3.1; RFC 8200 section 3), of anything else the same as of `fingerprint`.
    pub fn routed_fingerprint(&self) -> Fingerprint {
        let (packet, length) = self.packet();
        let [before, rest] = without(packet, checksum_at(packet), 2);
        match packet.first().map(|b| b >> 4) {
            Some(4) if self.layers.ip().is_some() => {
                let [first, after] = without(before, 8, 1);
                // Protocol, then the header's checksum.
                let [protocol, behind] = without(after, 1, 2);
                Fingerprint::of(&[&length, first, protocol, behind, rest])
            }
            Some(6) if self.layers.ip().is_some() => {
                let [first, after] = without(before, 7, 1);
                Fingerprint::of(&[&length, first, after, rest])
            }
            _ => self.fingerprint(),
        }
    }

    /// What is behind the tags, as much of it as is compared, and the length of the packet.
    fn packet(&self) -> (&[u8], [u8; 4]) {
        let header = match self.layers.as_slice().first() {
            Some(Layer::Ethernet(_)) => 14_usize,
            Some(Layer::Sll(_)) => 16,
            Some(Layer::Sll2(_)) => 20,
            Some(Layer::Null(_)) => 4,
            _ => 0,
        };
        let start = header.saturating_add(self.layers.tag_depth().saturating_mul(4));
        let packet = self.bytes.get(start..).unwrap_or(&[]);
        let whole = self.layers.ip().map_or(packet.len(), |ip| packet.len().min(ip.packet_len() as usize));
        let length = self.layers.ip().map_or(0, |ip| ip.packet_len()).to_be_bytes();
        let compared = if self.layers.has_tunnel() { COMPARED_IN_TUNNEL } else { COMPARED };
        (packet.get(..whole.min(compared)).unwrap_or(packet), length)
    }
}

/// What stands before `at`, and what stands `length` bytes further on.
fn without(bytes: &[u8], at: usize, length: usize) -> [&[u8]; 2] {
    let (before, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    [before, rest.get(length..).unwrap_or(&[])]
}

/// Where the TCP or UDP checksum of a packet stands; past its end where it has none.
fn checksum_at(packet: &[u8]) -> usize {
    let (header, protocol) = match packet.first().map(|b| b >> 4) {
        Some(4) => (packet.first().map_or(0, |b| usize::from(b & 0x0f).saturating_mul(4)), packet.get(9)),
        Some(6) => (40, packet.get(6)),
        _ => return usize::MAX,
    };
    match protocol {
        Some(6) => header.saturating_add(16),
        Some(17) => header.saturating_add(6),
        _ => usize::MAX,
    }
}
