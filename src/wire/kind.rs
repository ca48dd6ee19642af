//! Kinds of layers, and sets of them: what a frame holds, as one word that is quick to ask.

use std::fmt;

/// Hops left of a packet that are few: paths are not so long that what began with 64 comes down to this, and what circles between routers does.
pub const LOW_TTL: u8 = 32;

/// A kind of layer, or a trait of a whole frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the name of a layer")]
pub enum Kind {
    None,
    Ethernet,
    Sll,
    Sll2,
    Null,
    Vlan,
    Llc,
    Snap,
    Arp,
    Ipv4,
    Ipv6,
    Ipv6Extension,
    Icmp,
    Icmpv6,
    Udp,
    Tcp,
    Vxlan,
    Geneve,
    Gre,
    Dhcp,
    Stp,
    Lacp,
    Lldp,
    Cdp,
    Unopened,
    /// The outermost link header goes to a group, or to everybody.
    Group,
    /// The outermost link header has two or more tags. Of a service tag and a customer's, frames that go on as those before need not be laid out:
    /// how many there were `Domains` knows.
    VlanStack,
    /// The outermost link header has a tag with VID 0.
    PriorityTag,
    /// The outermost link header has a tag with VID 4095.
    ReservedTag,
    /// An IP packet of the frame is a piece of a larger one.
    Fragment,
    /// A TCP segment that opens a connection, refuses one or ends one at once: SYN or RST is set.
    TcpOpening,
    /// A TCP segment whose sender has no more to send, and that neither opens a connection nor refuses one: FIN is set.
    TcpClosing,
    /// A TCP segment whose sender takes no more: its window is zero, and SYN, FIN and RST are not set.
    ZeroWindow,
    /// A TCP segment whose payload begins as a message of a service that is read (`stream`).
    Message,
    /// A message of ICMP that quotes the packet it is about.
    IcmpError,
    /// An IP packet of the frame has few hops left.
    LowTtl,
    /// The capture holds less than the wire carried.
    Cut,
    /// Decoding ended early; `Layers::stop` says why.
    Stopped,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = Self::Stopped as usize + 1;
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kinds(u64);

impl Kinds {
    /// No kind.
    pub const EMPTY: Self = Self(0);

    /// The set of these kinds.
    #[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a const fn has no iterators yet")]
    pub const fn of(kinds: &[Kind]) -> Self {
        let mut set = Self::EMPTY;
        let mut i = 0;
        while i < kinds.len() {
            set = set.with(kinds[i]);
            i += 1;
        }
        set
    }

    /// The kinds of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds that are in both sets.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds of the set as numbers below `Kind::COUNT`, upwards.
    #[inline]
    pub fn bits(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (bit < u64::BITS).then_some(bit as usize)
        })
    }

    /// Whether `kind` is in the set.
    #[inline]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether the sets share a kind.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set and `kind`.
    #[inline]
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | (1 << kind as u8))
    }

    /// Whether no kind is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kinds({:#x})", self.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "nothing",
            Self::Ethernet => "Ethernet",
            Self::Sll => "Linux cooked v1",
            Self::Sll2 => "Linux cooked v2",
            Self::Null => "loopback",
            Self::Vlan => "VLAN tag",
            Self::Llc => "LLC",
            Self::Snap => "SNAP",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Extension => "IPv6 extension",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::Gre => "GRE",
            Self::Dhcp => "DHCP",
            Self::Stp => "STP",
            Self::Lacp => "LACP",
            Self::Lldp => "LLDP",
            Self::Cdp => "CDP",
            Self::Unopened => "unopened header",
            Self::Group => "to a group",
            Self::VlanStack => "tag stack",
            Self::PriorityTag => "priority tag",
            Self::ReservedTag => "reserved VID",
            Self::Fragment => "fragment",
            Self::TcpOpening => "TCP opening",
            Self::TcpClosing => "TCP closing",
            Self::ZeroWindow => "zero window",
            Self::Message => "message of a service",
            Self::IcmpError => "ICMP error",
            Self::LowTtl => "few hops left",
            Self::Cut => "cut frame",
            Self::Stopped => "undecoded",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        const SET: Kinds = Kinds::of(&[Kind::Arp, Kind::Stopped]);
        assert!(SET.contains(Kind::Arp) && SET.contains(Kind::Stopped) && !SET.contains(Kind::Tcp));
        assert!(SET.intersects(Kinds::of(&[Kind::Tcp, Kind::Arp])) && !SET.intersects(Kinds::EMPTY));
        assert!(Kinds::EMPTY.is_empty());
        assert_eq!(SET.bits().collect::<Vec<_>>(), [Kind::Arp as usize, Kind::Stopped as usize]);
        assert_eq!(SET.intersection(Kinds::of(&[Kind::Arp, Kind::Tcp])), Kinds::of(&[Kind::Arp]));
    }
}
