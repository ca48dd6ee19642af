//! Large messages of AMQP (0-9-1, section 4.2.6): how large their sender says they are, where they go, and how much of them has passed, by TCP's
//! sequence numbers. At most 1,024 directions of connections, eight messages in each; other segments are heard only while one of these is
//! on its way, and then told apart by a word of 64 bits.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, TELL_EVERY, Tracker};
use crate::event::{Cited, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Outside, PortSet, Timestamp};
use crate::wire::stream::amqp::{self, Address, Part};
use crate::wire::{Kind, Kinds, Tcp};

/// Directions of connections with a large message, or with a method whose message did not begin.
const MOST: usize = 1_024;
/// Messages of one direction at a time, on different channels.
const MOST_CHANNELS: usize = 8;
/// What a body is cut into where nothing else was agreed on (RabbitMQ), and what frames it (section 4.2.3).
const FRAME: u64 = 131_072;
const AROUND: u64 = 8;
/// Bytes that a capture may have missed in a row; past that a number belongs to something else.
const MOST_UNSEEN: u32 = 1 << 30;

/// All large messages on their way.
pub struct Contents {
    large: u64,
    flows: BoundedMap<Flow, Vec<Run>>,
    /// Where messages go whose method is the last of its segment: the header may begin the next.
    addressed: BoundedMap<(Flow, u16), Letter>,
    /// The ports of senders of large messages: most segments are none of theirs.
    ports: PortSet,
}

/// A network, the sender, and the receiver.
type Flow = (DomainId, (IpAddr, u16), (IpAddr, u16));

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    is_delivery: bool,
    exchange: Outside,
    routing_key: Outside,
}

impl Letter {
    fn of(address: Address<'_>) -> Self {
        let (exchange, routing_key) = (Outside::from_bytes(address.exchange), Outside::from_bytes(address.routing_key));
        Self { is_delivery: address.is_delivery, exchange, routing_key }
    }
}

struct Run {
    channel: u16,
    /// The sequence number with which the body begins, and the next that is expected.
    begins: u32,
    next: u32,
    /// Bytes of the connection since it began.
    carried: u64,
    told: Timestamp,
    content: Content,
}

/// A large message.
#[derive(Clone, Debug)]
pub struct Content {
    /// In which network.
    pub domain: DomainId,
    /// Where it was seen.
    pub vantage: VantageId,
    /// Who sends it: address and port.
    pub from: (IpAddr, u16),
    /// Who takes it.
    pub to: (IpAddr, u16),
    /// Whether the broker hands it to a consumer; else a client gives it to the broker.
    pub is_delivery: bool,
    /// To which exchange, and by which routing key; `None` where the method was not captured.
    pub address: Option<(Outside, Outside)>,
    /// Bytes that it has.
    pub size: u64,
    /// Bytes of its connection since it began, at most as many as it has.
    pub passed: u64,
    /// When it was announced.
    pub since: Timestamp,
    /// When more of it came last.
    pub last: Timestamp,
    /// How it goes.
    pub state: Transfer,
    /// The frame that announces it.
    pub cited: Cited,
}

/// How the transfer of a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// It is on its way.
    Going,
    /// All of it passed.
    Whole,
    /// Its connection ended before, or its channel went on to another.
    Broken,
}

impl Contents {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let large = settings.services.amqp_message;
        Self { large, flows: BoundedMap::new(MOST), addressed: BoundedMap::new(MOST), ports: PortSet::default() }
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let layers = &seen.frame.layers;
        let Some(tcp) = layers.tcp() else { return };
        let is_message = layers.kinds().contains(Kind::Message);
        let is_watched = self.ports.may_hold(tcp.src_port()) || self.ports.may_hold(tcp.dst_port());
        if !is_message && !is_watched {
            return;
        }
        let Some(ip) = layers.inner_ip() else { return };
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        let flow = (domains.root(seen.domain), from, to);
        if is_watched {
            // The numbers of a reset may be anything, and those of an opening belong to another connection.
            if !tcp.is_syn() && !tcp.is_rst() {
                self.goes_on(&flow, &tcp, seen, out);
            }
            if tcp.is_syn() || tcp.is_rst() || tcp.is_fin() {
                self.ends(&flow, out);
                self.ends(&(flow.0, to, from), out);
            }
        }
        if is_message {
            self.begins(&flow, seen, out);
        }
    }

    /// More of a connection passed.
    fn goes_on(&mut self, flow: &Flow, tcp: &Tcp<'_>, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let Some(runs) = self.flows.get_mut(flow) else { return };
        let now = seen.frame.order;
        runs.retain_mut(|run| {
            run.advance(tcp.seq().wrapping_add(tcp.payload_len()), seen.frame.time);
            let is_whole = run.content.passed >= run.content.size;
            if is_whole {
                run.content.state = Transfer::Whole;
            }
            if is_whole || now.since(run.told) >= TELL_EVERY {
                run.told = now;
                out.push(Derived::Content(Arc::new(run.content.clone())));
            }
            !is_whole
        });
        if runs.is_empty() {
            self.forget(flow);
        }
    }

    /// A connection is over, and what was on its way in this direction.
    fn ends(&mut self, flow: &Flow, out: &mut Vec<Derived>) {
        let Some(runs) = self.flows.remove(flow) else { return };
        for run in runs {
            out.push(Derived::Content(Arc::new(Content { state: Transfer::Broken, ..run.content })));
        }
        self.forget(flow);
    }

    fn forget(&mut self, flow: &Flow) {
        self.flows.remove(flow);
        if self.flows.is_empty() {
            self.ports = PortSet::default();
        }
    }

    /// A segment that begins as a message does: what of it announces a large one.
    fn begins(&mut self, flow: &Flow, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let mut address: Option<Address<'_>> = None;
        for part in amqp::parts(seen.frame.layers.rest) {
            match part {
                Part::Address(next) => address = Some(next),
                Part::Close { .. } => {}
                Part::Header { channel, body, behind } => {
                    let own = address.take_if(|address| address.channel == channel);
                    let former = self.addressed.remove(&(*flow, channel));
                    if body >= self.large {
                        let letter = own.map(Letter::of).or(former);
                        self.announced(flow, behind, (channel, body, letter), seen, out);
                    }
                }
            }
        }
        if let Some(address) = address {
            self.addressed.insert((*flow, address.channel), Letter::of(address));
        }
    }

    /// A large message begins after the first `behind` bytes of a segment.
    fn announced(
        &mut self,
        flow: &Flow,
        behind: u32,
        (channel, size, letter): (u16, u64, Option<Letter>),
        seen: &Seen<'_>,
        out: &mut Vec<Derived>,
    ) {
        let frame = seen.frame;
        let Some(tcp) = frame.layers.tcp() else { return };
        let (domain, from, to) = *flow;
        let begins = tcp.seq().wrapping_add(behind);
        // Of the body nothing is kept: it may hold secrets.
        let headers = frame.bytes.len().saturating_sub(frame.layers.rest.len());
        let kept = headers.saturating_add(usize::try_from(behind).unwrap_or(0));
        let runs = self.flows.entry(flow, Vec::new);
        // The same segment again.
        if runs.iter().any(|run| run.begins == begins) {
            return;
        }
        // A channel carries one message at a time: what was on it is over, however it ended.
        if let Some(at) = runs.iter().position(|run| run.channel == channel) {
            let former = runs.swap_remove(at).content;
            out.push(Derived::Content(Arc::new(Content { state: Transfer::Broken, ..former })));
        }
        if runs.len() >= MOST_CHANNELS {
            return;
        }
        let content = Content {
            domain,
            vantage: frame.at.vantage,
            from,
            to,
            is_delivery: letter.as_ref().is_some_and(|letter| letter.is_delivery),
            address: letter.map(|letter| (letter.exchange, letter.routing_key)),
            size,
            passed: 0,
            since: frame.time,
            last: frame.time,
            state: Transfer::Going,
            cited: Cited::first(frame, kept),
        };
        let mut run = Run { channel, begins, next: begins, carried: 0, told: frame.order, content };
        run.advance(tcp.seq().wrapping_add(tcp.payload_len()), frame.time);
        self.ports.add(from.1);
        out.push(Derived::Content(Arc::new(run.content.clone())));
        runs.push(run);
    }
}

impl Run {
    /// All of the connection before the sequence number `end` has passed.
    fn advance(&mut self, end: u32, now: Timestamp) {
        let more = end.wrapping_sub(self.next);
        if more == 0 || more > MOST_UNSEEN {
            return;
        }
        self.next = end;
        self.carried = self.carried.saturating_add(more.into());
        let content = &mut self.content;
        // What frames the pieces is no part of the body.
        let around = self.carried.div_ceil(FRAME).saturating_mul(AROUND);
        content.passed = self.carried.saturating_sub(around).min(content.size);
        content.last = now;
    }
}

impl Tracker for Contents {
    fn hears(&self) -> Kinds {
        if self.flows.is_empty() { const { Kinds::of(&[Kind::Message]) } } else { const { Kinds::of(&[Kind::Tcp]) } }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, domains, out);
        }
    }

    fn conclude(&mut self, out: &mut Vec<Derived>) {
        let runs = self.flows.by_age().flat_map(|(_, runs)| runs);
        out.extend(runs.map(|run| Derived::Content(Arc::new(run.content.clone()))));
    }

    fn forgotten(&self) -> u64 {
        self.flows.forgotten()
    }
}
