//! Connections to message brokers: that a client asks for one, that the broker takes it, and that the broker ends it. Of at most 4,096 is known who
//! closed them, the latest; those of other servers are left at their ports.

use std::net::IpAddr;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Timestamp};
use crate::wire::stream::amqp::{self, Part};
use crate::wire::{Kind, Kinds, Tcp};

/// The reply code with which a broker closes that an operator stops (AMQP 0-9-1 section 1.8).
const FORCED: u16 = 320;
/// Connections of which is known who closed them.
const MOST: usize = 4_096;

/// An address and a port.
pub type Endpoint = (IpAddr, u16);

/// Connections to brokers.
pub struct Brokers {
    ports: Vec<u16>,
    /// Those, by client and broker, that one of them closed.
    closed: BoundedMap<(Endpoint, Endpoint), Closed>,
}

/// Who closed a connection, or was about to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    ByClient,
    ByBroker,
    /// The broker has said that an operator wants it so.
    InOrder,
}

/// Something happened to a connection with a broker.
#[derive(Clone, Debug)]
pub struct BrokerStep {
    /// The broker: address and port.
    pub broker: Endpoint,
    /// The client: address and port.
    pub client: Endpoint,
    /// What.
    pub what: BrokerEvent,
}

/// What happens to a connection with a broker.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// Its client asks for it.
    Asked,
    /// The broker takes it.
    Took,
    /// The broker ends it, and its client has not closed it.
    Ended(Box<BrokerEnd>),
}

/// How a broker ends a connection.
#[derive(Clone, Debug)]
pub struct BrokerEnd {
    /// Its place in the order.
    pub at: Timestamp,
    /// Whether the broker has said before that an operator wants it so.
    pub is_orderly: bool,
    /// To whom that was sent on the link.
    pub to: Option<Mac>,
    /// In which network.
    pub domain: DomainId,
    /// Where it was seen.
    pub vantage: VantageId,
    /// The segment.
    pub cited: Cited,
}

impl Brokers {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        Self { ports: settings.services.broker_ports.clone(), closed: BoundedMap::new(MOST) }
    }

    fn note(&mut self, seen: &Seen<'_>) -> Option<BrokerStep> {
        let layers = &seen.frame.layers;
        let tcp = layers.tcp()?;
        let [from_broker, to_broker] = [tcp.src_port(), tcp.dst_port()].map(|port| self.ports.contains(&port));
        // Nearly every connection is of others.
        if !from_broker && !to_broker {
            return None;
        }
        let ip = layers.inner_ip()?;
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        if to_broker {
            if tcp.is_fin() {
                self.closed.insert((from, to), Closed::ByClient);
            } else if tcp.is_syn() {
                self.closed.remove(&(from, to));
                return Some(BrokerStep { broker: to, client: from, what: BrokerEvent::Asked });
            }
        }
        if !from_broker {
            return None;
        }
        let (broker, client) = (from, to);
        if tcp.is_syn() {
            return Some(BrokerStep { broker, client, what: BrokerEvent::Took });
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
            closed => {
                let end = BrokerEnd::of(seen, closed.is_some());
                Some(BrokerStep { broker, client, what: BrokerEvent::Ended(Box::new(end)) })
            }
        }
    }
}

impl BrokerEnd {
    fn of(seen: &Seen<'_>, is_orderly: bool) -> Self {
        let frame = seen.frame;
        Self {
            at: frame.order,
            is_orderly,
            to: frame.layers.inner_dst(),
            domain: seen.domain,
            vantage: frame.at.vantage,
            cited: Cited::beginning(frame),
        }
    }
}

/// Whether a reset answers a SYN: only then has it no number of its own (RFC 9293 section 3.10.7.1).
const fn is_refusal(tcp: &Tcp<'_>) -> bool {
    tcp.is_ack() && tcp.seq() == 0
}

impl Tracker for Brokers {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::TcpOpening, Kind::TcpClosing, Kind::Message]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            out.extend(self.note(seen).map(Derived::Broker));
        }
    }
}
