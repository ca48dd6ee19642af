//! What may follow what: the tables by EtherType, IP protocol, and what tunnels and cooked headers announce.

use super::ipv6;
use super::stp::StpFamily;
use super::unopened::Unopened;
use crate::value::Tpid;

/// What comes next.
#[derive(Clone, Copy)]
pub(super) enum Next {
    Ethernet,
    Sll,
    Sll2,
    Null { is_network_order: bool },
    Tag(u16),
    Length(u16),
    Llc,
    Snap,
    Bpdu(StpFamily),
    Arp,
    AnyIp,
    Ipv4,
    Ipv6,
    Extension(u8),
    Icmp,
    Icmpv6,
    Udp,
    Tcp,
    Vxlan,
    Geneve,
    Gre,
    Dhcp { length: u16 },
    Slow,
    Lldp,
    Cdp,
    Unopened(Unopened),
    End,
}

/// What an EtherType, or a length in its place, announces.
#[inline]
pub(super) const fn by_type(ethertype: u16) -> Next {
    match ethertype {
        0x0800 => Next::Ipv4,
        0x86dd => Next::Ipv6,
        tpid if Tpid::is_tag(tpid) => Next::Tag(tpid),
        // ARP and reverse ARP.
        0x0806 | 0x8035 => Next::Arp,
        0..=1535 => Next::Length(ethertype),
        0x8809 => Next::Slow,
        0x88cc => Next::Lldp,
        other => unopened(Unopened::by_type(other)),
    }
}

/// What the protocol field of a cooked header announces.
pub(super) const fn cooked(hardware: u16, protocol: u16) -> Next {
    match (hardware, protocol) {
        // Netlink (824) puts its own numbers there.
        (824, _) => Next::End,
        // ETH_P_802_2 of Linux.
        (_, 0x0004) => Next::Llc,
        (_, 0x0600..) => by_type(protocol),
        _ => Next::End,
    }
}

/// What a tunnel carries.
pub(super) const fn carried(ethertype: u16) -> Next {
    match ethertype {
        // Transparent Ethernet bridging (RFC 1701).
        0x6558 => Next::Ethernet,
        0x0800 => Next::Ipv4,
        0x86dd => Next::Ipv6,
        other => unopened(Unopened::carried(other)),
    }
}

/// What an IP protocol number announces; extension headers are IPv6's only.
#[inline]
pub(super) const fn by_protocol(protocol: u8, is_v6: bool) -> Next {
    match protocol {
        6 => Next::Tcp,
        17 => Next::Udp,
        1 => Next::Icmp,
        58 => Next::Icmpv6,
        4 => Next::Ipv4,
        41 => Next::Ipv6,
        47 => Next::Gre,
        number if is_v6 && ipv6::is_extension(number) => Next::Extension(number),
        other => unopened(Unopened::by_protocol(other)),
    }
}

/// What is announced and carries something that is not read, if it does.
pub(super) const fn unopened(what: Option<Unopened>) -> Next {
    match what {
        Some(what) => Next::Unopened(what),
        None => Next::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_length_a_tag_or_a_type() {
        assert!(matches!(by_type(38), Next::Length(38)));
        assert!(matches!(by_type(1_535), Next::Length(1_535)));
        assert!(matches!(by_type(1_536), Next::End));
        for tpid in [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300] {
            assert!(matches!(by_type(tpid), Next::Tag(t) if t == tpid));
        }
    }

    #[test]
    fn extension_headers_are_of_ipv6_only() {
        assert!(matches!(by_protocol(51, true), Next::Extension(51)));
        assert!(matches!(by_protocol(51, false), Next::Unopened(Unopened::Ah)));
        assert!(matches!(by_protocol(50, true), Next::Unopened(Unopened::Esp)));
        assert!(matches!(by_protocol(132, true), Next::End));
    }

    #[test]
    fn cooked_headers_have_numbers_of_their_own() {
        assert!(matches!(cooked(1, 4), Next::Llc));
        assert!(matches!(cooked(1, 1), Next::End));
        assert!(matches!(cooked(824, 0x0800), Next::End));
        assert!(matches!(carried(0x8847), Next::Unopened(Unopened::Mpls)));
        assert!(matches!(carried(0x2000), Next::End));
    }
}
