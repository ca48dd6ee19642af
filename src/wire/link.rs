//! Link types: how a capture says its frames begin (the LINKTYPE_ registry of tcpdump.org).

use std::fmt;

/// How the frames of a capture begin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkType {
    /// An Ethernet header (1).
    Ethernet,
    /// Linux "cooked", version 1 (113).
    LinuxSll,
    /// Linux "cooked", version 2 (276).
    LinuxSll2,
    /// No link header: IPv4 or IPv6, told by the version (101; also 12, 14, 228, 229).
    RawIp,
    /// BSD loopback: an address family in the byte order of the capturing host (0).
    Null,
    /// OpenBSD loopback: an address family in network order (108).
    Loop,
    /// A type that is not decoded.
    Other(u32),
}

impl LinkType {
    /// The link type of a number in a capture file.
    pub const fn from_pcap(number: u32) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// The number that stands in a capture file; 101 for every kind of raw IP.
    pub const fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Other(number) => number,
        }
    }

    /// Whether frames begin with a header of the link, which Linux may have replaced: what stations say below IP is there.
    pub const fn has_header(self) -> bool {
        matches!(self, Self::Ethernet) || self.is_cooked()
    }

    /// Whether Linux replaced the link header, which may have taken tags with it.
    pub const fn is_cooked(self) -> bool {
        matches!(self, Self::LinuxSll | Self::LinuxSll2)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::LinuxSll => "Linux cooked v1",
            Self::LinuxSll2 => "Linux cooked v2",
            Self::RawIp => "raw IP",
            Self::Null => "BSD loopback",
            Self::Loop => "OpenBSD loopback",
            Self::Other(number) => return write!(f, "link type {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways() {
        for number in [0, 1, 101, 105, 108, 113, 276] {
            assert_eq!(LinkType::from_pcap(number).number(), number);
        }
        assert_eq!(LinkType::from_pcap(229), LinkType::RawIp);
        assert_eq!(LinkType::from_pcap(105).to_string(), "link type 105");
        assert!(LinkType::from_pcap(276).is_cooked());
    }
}
