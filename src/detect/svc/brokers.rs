//! What a frame says about a connection to a message broker: that a client asks for one, that the broker takes it, and that the broker ends it.

use std::net::IpAddr;

use crate::settings::Settings;
use crate::value::{BoundedMap, Span};
use crate::wire::stream::amqp::{self, Part};
use crate::wire::{Kind, Tcp};
use crate::world::Seen;

/// Connections that end within so long of each other, and clients among them, that are an end of all (findings.md, SVC004).
pub(super) const CONNECTIONS: usize = 3;
pub(super) const CLIENTS: usize = 2;
pub(super) const AT_ONCE: Span = Span::secs(10);
/// The reply code with which a broker closes that an operator stops (AMQP 0-9-1 section 1.8).
const FORCED: u16 = 320;
/// Connections of which is known who closed them.
const MOST: usize = 4_096;

/// An address and a port.
pub(super) type Place = (IpAddr, u16);

/// Connections to brokers.
pub(super) struct Brokers {
    ports: Vec<u16>,
    /// Those, by client and broker, that one of them closed.
    closed: BoundedMap<(Place, Place), Closed>,
}

/// Who closed a connection, or was about to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    ByClient,
    ByBroker,
    /// The broker has said that an operator wants it so.
    InOrder,
}

/// What a frame says.
pub(super) enum Heard {
    /// A client asks for a connection.
    Asked {
        /// Whom.
        broker: Place,
        /// Who.
        client: Place,
    },
    /// A broker takes a connection.
    Took {
        /// Which.
        broker: Place,
        /// Whose.
        client: Place,
    },
    /// A broker ends a connection that its client has not closed.
    Ended {
        /// Which.
        broker: Place,
        /// Whose.
        client: Place,
        /// Whether it has said before that an operator wants it so.
        is_orderly: bool,
    },
}

impl Brokers {
    /// What must be heard for it.
    pub const HEARS: &'static [Kind] = &[Kind::TcpOpening, Kind::TcpClosing, Kind::Message];

    pub fn new(settings: &Settings) -> Self {
        Self { ports: settings.services.broker_ports.clone(), closed: BoundedMap::new(MOST) }
    }

    /// Takes a frame in.
    pub fn hear(&mut self, seen: &Seen<'_>) -> Option<Heard> {
        let layers = &seen.frame.layers;
        let tcp = layers.tcp()?;
        // Nearly every connection is of others.
        if !self.ports.contains(&tcp.src_port()) && !self.ports.contains(&tcp.dst_port()) {
            return None;
        }
        let ip = layers.inner_ip()?;
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        if self.ports.contains(&to.1) {
            if tcp.is_fin() {
                self.closed.insert((from, to), Closed::ByClient);
            } else if tcp.is_syn() {
                self.closed.remove(&(from, to));
                return Some(Heard::Asked { broker: to, client: from });
            }
        }
        if !self.ports.contains(&from.1) {
            return None;
        }
        let (broker, client) = (from, to);
        if tcp.is_syn() {
            return Some(Heard::Took { broker, client });
        }
        let mut parts = amqp::parts(layers.rest);
        if layers.has(Kind::Message) && parts.any(|part| part == Part::Close { code: FORCED }) {
            self.closed.insert((client, broker), Closed::InOrder);
        }
        if !tcp.is_fin() && (!tcp.is_rst() || is_refusal(&tcp)) {
            return None;
        }
        match self.closed.insert((client, broker), Closed::ByBroker) {
            // A reset may come behind the end.
            Some(Closed::ByClient | Closed::ByBroker) => None,
            closed => Some(Heard::Ended { broker, client, is_orderly: closed.is_some() }),
        }
    }
}

/// Whether a reset answers a SYN: only then has it no number of its own (RFC 9293 section 3.10.7.1).
const fn is_refusal(tcp: &Tcp<'_>) -> bool {
    tcp.is_ack() && tcp.seq() == 0
}
