//! TCP (RFC 9293) with the options of RFC 7323 (window scale, timestamps) and RFC 2018 (selective acknowledgement).

use std::fmt;

use super::stop::Why;
use super::window::{Window, piece};

/// A TCP header.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    header: &'a [u8; 20],
    options: &'a [u8],
    payload: u32,
}

/// What a segment says for a person, without its ports: `[ACK] seq 1 len 1448`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpState {
    flags: u8,
    seq: u32,
    payload: u32,
}

/// An option: its kind and value.
type TcpOption<'a> = (u8, &'a [u8]);

impl<'a> Tcp<'a> {
    /// That of a header which is known to be one, with the options behind it, before so many bytes of payload.
    #[inline]
    pub(super) const fn of(header: &'a [u8; 20], options: &'a [u8], payload: u32) -> Self {
        Self { header, options, payload }
    }

    /// Reads the header; options that are not here are a fault.
    #[inline(always)]
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let header = window.take::<20>()?;
        let mut tcp = Self { header, options: &[], payload: 0 };
        let Some(options) = tcp.header_len().checked_sub(20) else {
            return Err(Why::Bad("TCP data offset is less than 5"));
        };
        tcp.options = window.take_some(20, options);
        tcp.payload = window.wire_len();
        Ok(tcp)
    }

    /// The source port.
    #[inline]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// The destination port.
    #[inline]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The sequence number of the first payload byte, or of SYN.
    #[inline]
    pub const fn seq(&self) -> u32 {
        u32::from_be_bytes([self.header[4], self.header[5], self.header[6], self.header[7]])
    }

    /// The acknowledgement number; means nothing without ACK.
    #[inline]
    pub const fn ack(&self) -> u32 {
        u32::from_be_bytes([self.header[8], self.header[9], self.header[10], self.header[11]])
    }

    /// Length of the header with options, 20 to 60 bytes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        ((self.header[12] >> 4) as usize).saturating_mul(4)
    }

    /// The flag bits: FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.header[13]
    }

    /// Whether the sender has no more to send.
    #[inline]
    pub const fn is_fin(&self) -> bool {
        self.flags() & 0x01 != 0
    }

    /// Whether it opens a connection.
    #[inline]
    pub const fn is_syn(&self) -> bool {
        self.flags() & 0x02 != 0
    }

    /// Whether it resets the connection.
    #[inline]
    pub const fn is_rst(&self) -> bool {
        self.flags() & 0x04 != 0
    }

    /// Whether the receiver is asked to hand on what it has.
    #[inline]
    pub const fn is_psh(&self) -> bool {
        self.flags() & 0x08 != 0
    }

    /// Whether the acknowledgement number counts.
    #[inline]
    pub const fn is_ack(&self) -> bool {
        self.flags() & 0x10 != 0
    }

    /// The window field, before scaling.
    #[inline]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    /// The checksum field.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[16], self.header[17]])
    }

    /// Maximum segment size, in a SYN.
    pub fn mss(&self) -> Option<u16> {
        self.option(2).and_then(|value| value.try_into().ok()).map(u16::from_be_bytes)
    }

    /// Window scale: the shift count, in a SYN; RFC 7323 allows 0 to 14.
    pub fn window_scale(&self) -> Option<u8> {
        self.option(3)?.first().copied()
    }

    /// Whether the sender takes selective acknowledgements, in a SYN.
    pub fn sack_permitted(&self) -> bool {
        self.option(4).is_some()
    }

    /// The blocks that arrived beyond the acknowledgement: first and last-plus-one sequence number; at most four fit.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let blocks = self.option(5).unwrap_or(&[]);
        blocks.chunks_exact(8).take(4).filter_map(|b| Some((be32(b, 0)?, be32(b, 4)?)))
    }

    /// Whether it may carry blocks: a look at how long the options are, and at the first where they are as long as timestamps alone.
    #[inline]
    pub fn may_have_blocks(&self) -> bool {
        match self.options.len() {
            0..12 => false,
            12 => self.options.get(2) != Some(&8),
            _ => !self.is_syn(),
        }
    }

    /// Whether it carries timestamps.
    pub fn has_timestamps(&self) -> bool {
        self.timestamps().is_some()
    }

    /// Timestamp value and echo reply.
    pub fn timestamps(&self) -> Option<(u32, u32)> {
        let value = self.option(8)?;
        Some((be32(value, 0)?, be32(value, 4)?))
    }

    /// Payload bytes on the wire, by the length of IP; not what was captured of them.
    #[inline]
    pub const fn payload_len(&self) -> u32 {
        self.payload
    }

    /// Flags, sequence number and length, for a line about it.
    pub(super) const fn state(&self) -> TcpState {
        TcpState { flags: self.flags(), seq: self.seq(), payload: self.payload }
    }

    fn option(&self, kind: u8) -> Option<&'a [u8]> {
        self.options().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    fn options(&self) -> impl Iterator<Item = TcpOption<'a>> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            loop {
                let (&kind, behind) = rest.split_first()?;
                match kind {
                    0 => return None,
                    1 => rest = behind,
                    _ => {
                        let (&len, _) = behind.split_first()?;
                        let whole = rest.get(..usize::from(len))?;
                        let value = whole.get(2..)?;
                        rest = rest.get(usize::from(len)..)?;
                        return Some((kind, value));
                    }
                }
            }
        })
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    piece(bytes, at).map(u32::from_be_bytes)
}

impl fmt::Display for Tcp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP {} > {} {}", self.src_port(), self.dst_port(), self.state())
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u8, &str); 8] = [
            (0x02, "SYN"),
            (0x01, "FIN"),
            (0x04, "RST"),
            (0x08, "PSH"),
            (0x10, "ACK"),
            (0x20, "URG"),
            (0x40, "ECE"),
            (0x80, "CWR"),
        ];
        f.write_str("[")?;
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.flags & bit != 0) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        write!(f, "] seq {} len {}", self.seq, self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: u8, options: &[u8]) -> Vec<u8> {
        // Written by hand after RFC 9293: 22 to 4000, sequence 1, acknowledgement 2.
        let mut bytes = vec![0, 22, 0x0f, 0xa0, 0, 0, 0, 1, 0, 0, 0, 2, 0, flags, 0x10, 0, 0, 0, 0, 0];
        bytes[12] = u8::try_from((20 + options.len()) / 4).unwrap() << 4;
        bytes.extend(options);
        bytes
    }

    #[test]
    fn a_syn_tells_its_options() {
        let options = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        let bytes = segment(0x02, &options);
        let mut window = Window::new(&bytes, 40);
        let tcp = Tcp::parse(&mut window).unwrap();
        assert_eq!((tcp.mss(), tcp.window_scale(), tcp.sack_permitted()), (Some(1460), Some(7), true));
        assert_eq!((tcp.timestamps(), tcp.is_syn(), window.wire, window.fault), (Some((1, 0)), true, 0, None));
    }

    #[test]
    fn blocks_and_payload() {
        let options = [1, 1, 5, 10, 0, 0, 0, 9, 0, 0, 0, 12];
        let bytes = segment(0x18, &options);
        let tcp = Tcp::parse(&mut Window::new(&bytes, 1_480)).unwrap();
        assert_eq!(tcp.sack_blocks().collect::<Vec<_>>(), [(9, 12)]);
        assert!(tcp.may_have_blocks());
        let timestamps = segment(0x10, &[1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 12]);
        assert!(!Tcp::parse(&mut Window::new(&timestamps, 32)).unwrap().may_have_blocks());
        assert_eq!(tcp.to_string(), "TCP 22 > 4000 [PSH, ACK] seq 1 len 1448");
    }

    #[test]
    fn options_that_lie_end_the_list() {
        for options in [[2, 0, 0, 0], [2, 1, 3, 3], [2, 200, 0, 0], [0, 2, 4, 5]] {
            let bytes = segment(0x02, &options);
            let tcp = Tcp::parse(&mut Window::new(&bytes, 24)).unwrap();
            assert_eq!((tcp.mss(), tcp.window_scale()), (None, None));
        }
        let bytes = segment(0x02, &[2, 4, 5, 0xb4]);
        let mut window = Window::new(&bytes[..22], 24);
        let tcp = Tcp::parse(&mut window).unwrap();
        assert_eq!((tcp.mss(), window.fault), (None, Some(Why::Cut { need: 24, have: 22 })));
        assert_eq!(tcp.payload_len(), 0, "options that were cut are no payload");
        let mut low = bytes.clone();
        low[12] = 0x40;
        assert!(matches!(Tcp::parse(&mut Window::new(&low, 24)), Err(Why::Bad(_))));
    }
}
