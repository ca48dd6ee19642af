//! One layer of a frame, of any protocol.

use std::fmt;

use super::Kind;
use super::arp::Arp;
use super::cdp::Cdp;
use super::dhcp::Dhcp;
use super::ethernet::Ethernet;
use super::icmp::{Icmp, Icmpv6};
use super::ipv4::Ipv4;
use super::ipv6::{Ipv6, Ipv6Extension};
use super::lacp::Lacp;
use super::llc::{Llc, Snap};
use super::lldp::Lldp;
use super::sll::{Null, Sll, Sll2};
use super::stp::Stp;
use super::tcp::Tcp;
use super::tunnel::{Geneve, Gre, Vxlan};
use super::udp::Udp;
use super::unopened::Unopened;
use super::vlan::Vlan;

macro_rules! layers {
    ($($name:ident($($of:tt)*),)*) => {
        /// One layer: a view over the captured bytes.
        #[derive(Clone, Copy, Debug)]
        #[expect(missing_docs, reason = "each is the name of its header, which says what it is")]
        pub enum Layer<'a> {
            /// An empty place.
            None,
            $($name($($of)*),)*
        }

        impl Layer<'_> {
            /// Its kind.
            #[inline]
            pub const fn kind(&self) -> Kind {
                match self {
                    Self::None => Kind::None,
                    $(Self::$name(_) => Kind::$name,)*
                }
            }
        }

        impl fmt::Display for Layer<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::None => f.write_str("not decoded"),
                    $(Self::$name(layer) => layer.fmt(f),)*
                }
            }
        }
    };
}

layers! {
    Ethernet(Ethernet<'a>),
    Sll(Sll<'a>),
    Sll2(Sll2<'a>),
    Null(Null),
    Vlan(Vlan<'a>),
    Llc(Llc<'a>),
    Snap(Snap<'a>),
    Arp(Arp<'a>),
    Ipv4(Ipv4<'a>),
    Ipv6(Ipv6<'a>),
    Ipv6Extension(Ipv6Extension<'a>),
    Icmp(Icmp<'a>),
    Icmpv6(Icmpv6<'a>),
    Udp(Udp<'a>),
    Tcp(Tcp<'a>),
    Vxlan(Vxlan<'a>),
    Geneve(Geneve<'a>),
    Gre(Gre<'a>),
    Dhcp(Dhcp<'a>),
    Stp(Stp<'a>),
    Lacp(Lacp<'a>),
    Lldp(Lldp<'a>),
    Cdp(Cdp<'a>),
    Unopened(Unopened),
}

// Sixteen of these stand in every frame that is judged.
const _: () = assert!(size_of::<Layer<'_>>() <= 40);
