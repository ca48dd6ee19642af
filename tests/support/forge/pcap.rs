//! Capture files from frames: classic pcap with microseconds, and pcapng with several named interfaces, nanoseconds, directions and statistics.
//! (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.) Little-endian always; the readers' other shapes have tests of their own.

use netdiag::value::Mac;

use super::EPOCH;

/// What tcpdump calls "everything".
const SNAP: u32 = 262_144;

/// A frame and the moment at which it was captured.
#[derive(Clone, Debug)]
pub struct Shot {
    nanos: i64,
    bytes: Vec<u8>,
    wire_len: u32,
    interface: u32,
    /// pcapng's direction bits: 0 unknown, 1 in, 2 out.
    direction: u32,
}

/// A frame captured `seconds` after the epoch, to the microsecond.
pub fn at(seconds: f64, bytes: Vec<u8>) -> Shot {
    let nanos = EPOCH + (seconds * 1e6).round() as i64 * 1_000;
    Shot { nanos, wire_len: bytes.len() as u32, bytes, interface: 0, direction: 0 }
}

impl Shot {
    /// On the interface with this number (pcapng).
    pub fn on(mut self, interface: u32) -> Self {
        self.interface = interface;
        self
    }

    /// This many microseconds later.
    pub fn later(mut self, micros: i64) -> Self {
        self.nanos += micros * 1_000;
        self
    }

    /// As a bond's member shows it: 3 µs earlier what arrives, as much later what leaves.
    pub fn beside(self) -> Self {
        let micros = if self.direction == 1 { -3 } else { 3 };
        self.later(micros)
    }

    /// Received (pcapng).
    pub fn inward(mut self) -> Self {
        self.direction = 1;
        self
    }

    /// Sent (pcapng).
    pub fn outward(mut self) -> Self {
        self.direction = 2;
        self
    }

    /// Only the first `kept` bytes were kept of a frame that was `wire_len` bytes long.
    pub fn of_length(mut self, wire_len: u32) -> Self {
        self.wire_len = wire_len;
        self
    }

    /// The capture kept the first `bytes` bytes.
    pub fn kept(mut self, bytes: usize) -> Self {
        self.bytes.truncate(bytes);
        self
    }

    /// As it is behind the device that takes the outermost tag away.
    pub fn untagged(mut self) -> Self {
        self.bytes.drain(12..16);
        self.wire_len -= 4;
        self
    }

    /// With another frame around it.
    pub fn inside(mut self, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        self.bytes = wrap(&self.bytes);
        self.wire_len = self.bytes.len() as u32;
        self
    }

    /// When, in nanoseconds since 1970.
    pub fn nanos(&self) -> i64 {
        self.nanos
    }

    /// The source address of the frame.
    pub fn source(&self) -> Mac {
        Mac(self.bytes[6..12].try_into().unwrap())
    }

    /// The captured bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `mac` sends it, or it is meant for `mac`, alone or with all others.
    pub fn is_of(&self, mac: Mac) -> bool {
        let to = Mac(self.bytes[..6].try_into().unwrap());
        self.source() == mac || to == mac || to.is_group()
    }

    /// The untagged IPv4 packet in two fragments (RFC 791 section 3.2), the first with `first` bytes of payload, which is a multiple of 8.
    pub fn in_fragments(self, first: usize) -> Vec<Self> {
        let (head, payload) = self.bytes.split_at(34);
        let fragment = |offset: usize, payload: &[u8], more: bool| {
            let (mut ip, _) = etherparse::Ipv4Header::from_slice(&head[14..]).unwrap();
            ip.total_len = 20 + payload.len() as u16;
            (ip.dont_fragment, ip.more_fragments) = (false, more);
            ip.fragment_offset = etherparse::IpFragOffset::try_new(offset as u16 / 8).unwrap();
            ip.header_checksum = ip.calc_header_checksum();
            let bytes = [&head[..14], &ip.to_bytes(), payload].concat();
            Self { wire_len: bytes.len() as u32, bytes, ..self.clone() }
        };
        match payload.split_at_checked(first) {
            Some((a, b)) if !b.is_empty() => vec![fragment(0, a, true), fragment(first, b, false).later(1)],
            _ => vec![self],
        }
    }

    fn cut(mut self, snap: u32) -> Self {
        self.bytes.truncate(snap as usize);
        self
    }
}

/// A classic pcap file of Ethernet frames.
pub fn pcap(shots: Vec<Shot>) -> Vec<u8> {
    pcap_cut(SNAP, shots)
}

/// A classic pcap file whose snap length cut the frames.
pub fn pcap_cut(snap: u32, shots: Vec<Shot>) -> Vec<u8> {
    let mut file = Vec::new();
    words(&mut file, &[0xa1b2_c3d4, 0x0004_0002, 0, 0, snap, 1]);
    for shot in shots.into_iter().map(|s| s.cut(snap)) {
        let (seconds, nanos) = (shot.nanos / 1_000_000_000, shot.nanos % 1_000_000_000);
        words(&mut file, &[seconds as u32, (nanos / 1_000) as u32, shot.bytes.len() as u32, shot.wire_len]);
        file.extend(shot.bytes);
    }
    file
}

/// A pcapng file in the making.
#[derive(Clone, Debug, Default)]
pub struct Pcapng {
    bytes: Vec<u8>,
}

impl Pcapng {
    /// A section of unknown length with these interfaces, numbered from 0, with nanosecond stamps.
    pub fn with_interfaces(names: &[&str]) -> Self {
        let mut file = Self::default();
        let mut section = Vec::new();
        words(&mut section, &[0x1a2b_3c4d, 0x0000_0001, u32::MAX, u32::MAX]);
        file.block(0x0a0d_0d0a, section);
        for name in names {
            file.interface(name, None);
        }
        file
    }

    /// A section with one interface, whose capture was filtered.
    pub fn filtered(name: &str, filter: &str) -> Self {
        let mut file = Self::with_interfaces(&[]);
        file.interface(name, Some(filter));
        file
    }

    fn interface(&mut self, name: &str, filter: Option<&str>) {
        let mut interface = Vec::new();
        words(&mut interface, &[1, SNAP]);
        option(&mut interface, 2, name.as_bytes());
        option(&mut interface, 9, &[9]);
        if let Some(filter) = filter {
            option(&mut interface, 11, &[&[0], filter.as_bytes()].concat());
        }
        words(&mut interface, &[0]);
        self.block(1, interface);
    }

    /// These frames, in this order.
    pub fn frames(mut self, shots: Vec<Shot>) -> Self {
        for shot in shots {
            let mut packet = Vec::new();
            let (high, low) = halves(shot.nanos);
            words(&mut packet, &[shot.interface, high, low, shot.bytes.len() as u32, shot.wire_len]);
            packet.extend(&shot.bytes);
            pad(&mut packet);
            if shot.direction != 0 {
                option(&mut packet, 2, &shot.direction.to_le_bytes());
                words(&mut packet, &[0]);
            }
            self.block(6, packet);
        }
        self
    }

    /// What an interface counted until `seconds`, when its capture ended: frames received, and frames lost for want of room.
    pub fn statistics(mut self, interface: u32, seconds: f64, received: u64, lost: u64) -> Self {
        let end = at(seconds, Vec::new()).nanos;
        let mut statistics = Vec::new();
        let (high, low) = halves(end);
        words(&mut statistics, &[interface, high, low]);
        for (code, moment) in [(2, EPOCH), (3, end)] {
            let (high, low) = halves(moment);
            option(&mut statistics, code, &[high.to_le_bytes(), low.to_le_bytes()].concat());
        }
        option(&mut statistics, 4, &received.to_le_bytes());
        option(&mut statistics, 5, &lost.to_le_bytes());
        words(&mut statistics, &[0]);
        self.block(5, statistics);
        self
    }

    /// The file.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn block(&mut self, kind: u32, body: Vec<u8>) {
        let length = body.len() as u32 + 12;
        words(&mut self.bytes, &[kind, length]);
        self.bytes.extend(body);
        words(&mut self.bytes, &[length]);
    }
}

fn words(to: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|w| to.extend(w.to_le_bytes()));
}

fn option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    to.extend(code.to_le_bytes());
    to.extend((value.len() as u16).to_le_bytes());
    to.extend(value);
    pad(to);
}

fn pad(to: &mut Vec<u8>) {
    to.resize(to.len().next_multiple_of(4), 0);
}

/// pcapng writes a stamp as its high word and its low word.
fn halves(nanos: i64) -> (u32, u32) {
    ((nanos >> 32) as u32, nanos as u32)
}
