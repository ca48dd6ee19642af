//! Receivers of TCP that take no more: a window of zero (RFC 9293 section 3.8.6), since when, and how often they said so when probed. At most
//! `tables.lapses` connections; other segments are heard only while one of these is stalled, and then told apart by a word of 64 bits.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, TELL_EVERY, Tracker};
use crate::event::{Cited, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, PortSet, Span, Timestamp};
use crate::wire::{Kind, Kinds};

/// How long a receiver must take nothing (findings.md, TCP004): a program that computes, or waits for its disk, is back by then.
const LASTING: Span = Span::secs(5);
/// How often it must say so: once as it fills, and once when it is asked whether that has changed.
const SAID: u64 = 2;
/// Probes come at doubling intervals up to two minutes (Linux `TCP_RTO_MAX`): past twice that a stall is no longer known.
const STALE: Span = Span::secs(240);
/// Frames that are kept: the first ones and the latest.
const MOST_CITED: usize = 5;

/// All stalled receivers.
pub struct Stalls {
    flows: BoundedMap<Flow, Run>,
    /// The ports of stalled receivers: most segments are none of theirs.
    ports: PortSet,
}

/// A network, the receiver, and the sender.
type Flow = (DomainId, (IpAddr, u16), (IpAddr, u16));

struct Run {
    vantage: VantageId,
    since: Timestamp,
    last: Timestamp,
    count: u64,
    told: Option<Timestamp>,
    cited: Vec<Cited>,
}

/// A receiver that takes no more.
#[derive(Clone, Debug)]
pub struct Stall {
    /// In which network.
    pub domain: DomainId,
    /// Where it was seen.
    pub vantage: VantageId,
    /// Who takes no more: address and port.
    pub receiver: (IpAddr, u16),
    /// Who waits.
    pub sender: (IpAddr, u16),
    /// When its window was zero first.
    pub since: Timestamp,
    /// When it said so last.
    pub last: Timestamp,
    /// How often it said so.
    pub count: u64,
    /// The first times and the latest.
    pub cited: Vec<Cited>,
}

impl Stalls {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        Self { flows: BoundedMap::new(settings.tables.lapses), ports: PortSet::default() }
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let Some(tcp) = frame.layers.tcp() else { return };
        let is_over = tcp.is_syn() || tcp.is_rst() || tcp.is_fin();
        let is_zero = tcp.window() == 0 && !is_over;
        let is_watched = self.ports.may_hold(tcp.src_port()) || self.ports.may_hold(tcp.dst_port());
        if !is_zero && !is_watched {
            return;
        }
        let Some(ip) = frame.layers.inner_ip() else { return };
        let domain = domains.root(seen.domain);
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        if is_zero {
            self.fills((domain, from, to), seen, out);
            return;
        }
        self.opens((domain, from, to), frame.order, out);
        if is_over {
            self.opens((domain, to, from), frame.order, out);
        }
    }

    /// A receiver says that it takes no more.
    fn fills(&mut self, flow: Flow, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let at = frame.order;
        self.ports.add(flow.1.1);
        let run = self.flows.entry(&flow, || Run::new(frame.at.vantage, at));
        if at.since(run.last) > STALE {
            *run = Run::new(frame.at.vantage, at);
        }
        run.last = at;
        run.count = run.count.saturating_add(1);
        if run.cited.len() >= MOST_CITED {
            run.cited.pop();
        }
        run.cited.push(Cited::beginning(frame));
        let is_enough = run.count >= SAID && at.since(run.since) > LASTING;
        if is_enough && run.told.is_none_or(|told| at.since(told) >= TELL_EVERY) {
            run.told = Some(at);
            out.push(Derived::Stalled(Arc::new(Stall {
                domain: flow.0,
                vantage: run.vantage,
                receiver: flow.1,
                sender: flow.2,
                since: run.since,
                last: run.last,
                count: run.count,
                cited: run.cited.clone(),
            })));
        }
    }

    /// A receiver takes data again, or the connection is over.
    fn opens(&mut self, flow: Flow, at: Timestamp, out: &mut Vec<Derived>) {
        let Some(run) = self.flows.remove(&flow) else { return };
        if self.flows.is_empty() {
            self.ports = PortSet::default();
        }
        if run.told.is_some() {
            let (domain, receiver, sender) = flow;
            out.push(Derived::Drained { domain, receiver, sender, at });
        }
    }
}

impl Tracker for Stalls {
    fn hears(&self) -> Kinds {
        if self.flows.is_empty() { const { Kinds::of(&[Kind::ZeroWindow]) } } else { const { Kinds::of(&[Kind::Tcp]) } }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, domains, out);
        }
    }

    fn forgotten(&self) -> u64 {
        self.flows.forgotten()
    }
}

impl Run {
    const fn new(vantage: VantageId, since: Timestamp) -> Self {
        Self { vantage, since, last: since, count: 0, told: None, cited: Vec::new() }
    }
}
