//! A frame in a tunnel of VXLAN or GENEVE (RFC 7348, RFC 8926) by one look, where what is around it is as plain as what nearly all packets are: IPv4
//! without options over Ethernet with one tag at most.

use super::ethernet::Ethernet;
use super::tunnel::{Geneve, is_port};
use super::udp::Udp;
use super::{Heading, LinkType, Plain};

/// Bytes of the longest header of a tunnel that is looked at: GENEVE with one option of four bytes, as OVN sends it.
const LONGEST: usize = 16;

/// A frame that another one carries.
#[derive(Clone, Copy, Debug)]
pub struct Wrapped<'a> {
    /// The link header of the frame around it.
    pub around: Ethernet<'a>,
    /// Bytes of the packet around it.
    pub packet_len: u16,
    /// What it has in common with others of its end.
    pub within: Within,
    /// As much of it as was captured.
    bytes: &'a [u8],
    /// Bytes that it had on the wire.
    wire_len: u32,
    /// Where IPv4 begins in it.
    ip: usize,
    trace: u32,
}

/// What frames have in common that travel from one end to another in one tunnel: the header of the tunnel, and their own heading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    header: u128,
    heading: Heading,
}

impl<'a> Wrapped<'a> {
    /// Whether the frame in `bytes`, in which IPv4 begins at `ip`, goes to a port of such tunnels, if it is one of UDP and without options.
    #[inline(always)]
    pub fn is_here(bytes: &[u8], ip: usize) -> bool {
        let packet = bytes.get(ip..).and_then(|packet| packet.first_chunk::<24>());
        packet.is_some_and(|packet| packet[9] == 17 && is_port(u16::from_be_bytes([packet[22], packet[23]])))
    }

    /// The frame that the one in `bytes` carries, which is `wire_len` on the wire, and in which IPv4 begins at `ip`; `None` where what is around it leaves
    /// a doubt.
    #[inline]
    pub fn look(bytes: &'a [u8], wire_len: u32, ip: usize) -> Option<Self> {
        let (link, (packet, behind)) = (bytes.first_chunk()?, bytes.get(ip..)?.split_first_chunk::<20>()?);
        let (udp, behind) = behind.split_first_chunk::<8>()?;
        let udp = Udp::of(udp, 0);
        let packet_len = u16::from_be_bytes([packet[2], packet[3]]);
        let fits = packet[0] == 0x45
            && is_port(udp.dst_port())
            && packet_len.checked_sub(20) == Some(udp.length())
            && usize::from(packet_len).saturating_add(ip) <= wire_len as usize;
        let header = header(udp.dst_port(), behind).filter(|_| fits)?;
        let inside = usize::from(udp.length()).checked_sub(header.len().saturating_add(8))?;
        let captured = behind.get(header.len()..)?;
        let captured = captured.get(..inside).unwrap_or(captured);
        let (heading, trace, ip) = Heading::of(LinkType::Ethernet, captured)?;
        let mut padded = [0; LONGEST];
        padded.get_mut(..header.len())?.copy_from_slice(header);
        let within = Within { header: u128::from_ne_bytes(padded), heading };
        let around = Ethernet::of(link);
        Some(Self { around, packet_len, within, bytes: captured, wire_len: inside as u32, ip, trace })
    }

    /// The trace of the frame in `bytes`, in which IPv4 begins at `ip` and whose heading has the trace `around`; `None` where it carries no other.
    #[inline(always)]
    pub fn trace_in(bytes: &[u8], ip: usize, around: u32) -> Option<u32> {
        if Self::is_here(bytes, ip) {
            Wrapped::look(bytes, u32::MAX, ip).map(|wrapped| wrapped.trace(around))
        } else {
            None
        }
    }

    /// What it carries in turn, if its headers leave no doubt.
    #[inline]
    pub fn plain(&self) -> Option<Plain<'a>> {
        Plain::look(self.bytes, self.wire_len, self.ip)
    }

    /// A number that most such frames of one capture have for themselves, where `around` is that of the headings around them.
    #[inline]
    pub const fn trace(&self, around: u32) -> u32 {
        self.trace.wrapping_mul(3) ^ around
    }
}

/// The header of a tunnel to `port`, if it is not longer than most.
#[inline]
fn header(port: u16, bytes: &[u8]) -> Option<&[u8]> {
    let options = match port {
        Geneve::PORT => Some(Geneve::of(bytes.first_chunk()?)).filter(|geneve| geneve.version() == 0)?.options_len(),
        _ => 0,
    };
    bytes.get(..options.saturating_add(8)).filter(|header| header.len() <= LONGEST)
}
