//! Whether the UDP checksum of a message is right (RFC 768, RFC 1071): of messages that were captured whole.

use crate::event::Frame;
use crate::wire::Ip;

/// UDP's number as IPv4 carries it.
const UDP: u32 = 17;

/// What the checksum of a message says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Cut, in pieces, or not UDP over IPv4: nobody can tell.
    Unknown,
    /// There is none, which IPv4 permits.
    Absent,
    /// It is right.
    Right,
    /// The sender left it for hardware to fill in: it holds the sum of the addresses only.
    Unfilled {
        /// What it is.
        have: u16,
        /// What it should be.
        want: u16,
    },
    /// It is wrong.
    Wrong {
        /// What it is.
        have: u16,
        /// What it should be.
        want: u16,
    },
}

impl Checksum {
    /// Of the message in `frame`.
    pub fn of(frame: &Frame<'_>) -> Self {
        let layers = &frame.layers;
        let (Some(Ip::V4(ip)), Some(udp), Some(dhcp)) = (layers.inner_ip(), layers.udp(), layers.dhcp()) else {
            return Self::Unknown;
        };
        let is_whole = udp.length() > 8 && u32::from(udp.length()).checked_sub(8) == Some(dhcp.wire_len());
        let Some(message) = dhcp.sum().filter(|_| is_whole && !ip.is_fragment()) else { return Self::Unknown };
        let have = udp.checksum();
        if have == 0 {
            return Self::Absent;
        }
        let halves = |bits: u32| (bits >> 16).saturating_add(bits & 0xffff);
        let length = u32::from(udp.length());
        let addresses = halves(ip.src().to_bits()).saturating_add(halves(ip.dst().to_bits()));
        let pseudo = addresses.saturating_add(UDP).saturating_add(length);
        let ports = u32::from(udp.src_port()).saturating_add(u32::from(udp.dst_port()));
        let all = pseudo.saturating_add(ports).saturating_add(length).saturating_add(u32::from(message));
        // Zero stands for "none", so that a sum of zero is sent as all ones.
        let want = match !fold(all) {
            0 => 0xffff,
            sum => sum,
        };
        match have {
            _ if have == want => Self::Right,
            _ if have == fold(pseudo) => Self::Unfilled { have, want },
            _ => Self::Wrong { have, want },
        }
    }

    /// What it is and what it should be, where it is not right.
    pub const fn fault(self) -> Option<(u16, u16)> {
        match self {
            Self::Unfilled { have, want } | Self::Wrong { have, want } => Some((have, want)),
            Self::Unknown | Self::Absent | Self::Right => None,
        }
    }
}

/// A sum of 16-bit words with its carries added in.
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff).saturating_add(sum >> 16);
    let sum = (sum & 0xffff).saturating_add(sum >> 16);
    (sum & 0xffff) as u16
}
