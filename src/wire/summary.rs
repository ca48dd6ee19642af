//! A frame in one line, by its most telling layer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::ip::Ip;
use super::layer::Layer;
use super::layers::Layers;
use super::stream;

impl Layers<'_> {
    /// One line for a person about the most telling layer; safe for a terminal.
    pub fn summary(&self) -> impl fmt::Display {
        Summary::of(self)
    }
}

/// What is told of a frame: its innermost layer, and the addresses that belong to it.
struct Summary<'a> {
    last: Option<Layer<'a>>,
    ip: Option<Ip<'a>>,
    /// What is behind it.
    rest: &'a [u8],
}

impl<'a> Summary<'a> {
    fn of(layers: &Layers<'a>) -> Self {
        // The header of a tunnel says less than the addresses it was sent between; an extension header less than its packet.
        let dull = |layer: &&Layer<'_>| matches!(layer, Layer::Gre(_) | Layer::Ipv6Extension(_) | Layer::Unopened(_));
        Self { last: layers.iter().rev().find(|layer| !dull(layer)).copied(), ip: layers.inner_ip(), rest: layers.rest }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = match &self.ip {
            Some(ip) => (ip.src(), ip.dst()),
            None => return self.last.unwrap_or(Layer::None).fmt(f),
        };
        let ends = |a: u16, b: u16| (SocketAddr::new(src, a), SocketAddr::new(dst, b));
        match &self.last {
            Some(Layer::Tcp(tcp)) => {
                let (from, to) = ends(tcp.src_port(), tcp.dst_port());
                match stream::summary(self.rest) {
                    Some(said) => write!(f, "{said}, {from} > {to}"),
                    None => write!(f, "TCP {from} > {to} {}", tcp.state()),
                }
            }
            Some(Layer::Udp(udp)) => {
                let (from, to) = ends(udp.src_port(), udp.dst_port());
                write!(f, "UDP {from} > {to} len {}", udp.payload_len())
            }
            Some(layer @ (Layer::Icmp(_) | Layer::Icmpv6(_))) => between(f, layer, src, dst),
            last => last.unwrap_or(Layer::None).fmt(f),
        }
    }
}

fn between(f: &mut fmt::Formatter<'_>, layer: &Layer<'_>, src: IpAddr, dst: IpAddr) -> fmt::Result {
    write!(f, "{layer}, {src} > {dst}")
}
