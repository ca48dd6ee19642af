//! The packet that an ICMP error is about, as far as the error quotes it (RFC 792: the header and 8 bytes; RFC 4443: as much as fits).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::window::piece;

/// A quoted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Who sent it.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// Its protocol, or the first of its extension headers.
    pub protocol: u8,
    /// Its bytes of layer 3, as its header says.
    pub packet_len: u32,
    /// Source and destination port of TCP or UDP, where they are quoted.
    pub ports: Option<(u16, u16)>,
    /// The sequence number of TCP, where it is quoted.
    pub seq: Option<u32>,
}

impl Quoted {
    /// Reads what an error quotes; `None` if it is no IP header, or too little of one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, protocol, packet_len, src, dst) = match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes.first()? & 0x0f).saturating_mul(4);
                let len = u32::from(u16::from_be_bytes(piece(bytes, 2)?));
                let (src, dst) = (Ipv4Addr::from(piece::<4>(bytes, 12)?), Ipv4Addr::from(piece::<4>(bytes, 16)?));
                (header, *bytes.get(9)?, len, IpAddr::V4(src), IpAddr::V4(dst))
            }
            6 => {
                let len = u32::from(u16::from_be_bytes(piece(bytes, 4)?)).saturating_add(40);
                let (src, dst) = (Ipv6Addr::from(piece::<16>(bytes, 8)?), Ipv6Addr::from(piece::<16>(bytes, 24)?));
                (40, *bytes.get(6)?, len, IpAddr::V6(src), IpAddr::V6(dst))
            }
            _ => return None,
        };
        let port = |at: usize| piece(bytes, header.saturating_add(at)).map(u16::from_be_bytes);
        let ports = matches!(protocol, 6 | 17).then(|| port(0).zip(port(2))).flatten();
        let seq = piece(bytes, header.saturating_add(4)).map(u32::from_be_bytes).filter(|_| protocol == 6);
        Some(Self { src, dst, protocol, packet_len, ports, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_and_eight_bytes_tell_who_sent_what() {
        // Written by hand after RFC 791 and RFC 9293: 10.0.0.1:22 to 10.0.0.2:4000, 1500 bytes, sequence number 7.
        let mut bytes = vec![0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0, 22, 0x0f, 0xa0, 0, 0, 0, 7]);
        let quoted = Quoted::parse(&bytes).unwrap();
        assert_eq!((quoted.packet_len, quoted.ports, quoted.seq), (1_500, Some((22, 4_000)), Some(7)));
        assert_eq!((quoted.src.to_string().as_str(), quoted.dst.to_string().as_str()), ("10.0.0.1", "10.0.0.2"));
        for cut in 0..bytes.len() {
            let _ = Quoted::parse(&bytes[..cut]);
        }
        assert_eq!(Quoted::parse(&bytes[..19]), None);
        assert_eq!(Quoted::parse(&bytes[..20]).unwrap().ports, None);
    }
}
