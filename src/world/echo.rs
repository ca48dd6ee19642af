//! Echo requests (RFC 792, RFC 4443): which sizes were answered, and which not within a second.
//! At most 1,024 requests wait; the oldest goes first.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, Domains, Observation, Passed, Path, Seen, Tracker};
use crate::event::{Cited, Direction, VantageId};
use crate::value::{Span, TimedMap, Timestamp};
use crate::wire::{Kind, Kinds};

/// Requests that wait for their answer.
const MOST: usize = 1_024;
/// How long an answer may take: ping's own interval.
const PATIENCE: Span = Span::secs(1);

/// Requests that wait.
pub struct Echoes {
    waiting: TimedMap<EchoKey, Arc<Echo>>,
}

/// An echo request, and whether it was answered.
#[derive(Clone, Debug)]
pub struct Echo {
    /// From whom to whom.
    pub path: Path,
    /// Bytes of layer 3 of the request.
    pub packet_len: u32,
    /// Whether the answer came.
    pub is_answered: bool,
    /// When the request was sent.
    pub sent: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// The request.
    pub cited: Cited,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct EchoKey {
    vantage: VantageId,
    from: IpAddr,
    to: IpAddr,
    id: u16,
    seq: u16,
}

impl Default for Echoes {
    fn default() -> Self {
        Self { waiting: TimedMap::new(MOST) }
    }
}

impl Echoes {
    fn note(&mut self, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let layers = &frame.layers;
        let Some(ip) = layers.inner_ip() else { return };
        let (is_request, is_reply, id, seq) = if let Some(icmp) = layers.icmp() {
            (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.id(), icmp.seq())
        } else if let Some(icmp) = layers.icmpv6() {
            (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.id(), icmp.seq())
        } else {
            return;
        };
        let vantage = frame.at.vantage;
        // Of a request in fragments nobody knows which of them was lost.
        if is_request && !ip.is_fragment() && !ip.dst().is_multicast() {
            let key = EchoKey { vantage, from: ip.src(), to: ip.dst(), id, seq };
            let Some(path) = Path::of(seen, &ip) else { return };
            let (packet_len, direction, cited) = (ip.packet_len(), frame.direction, Cited::beginning(frame));
            let echo = Echo { path, packet_len, is_answered: false, sent: frame.order, direction, cited };
            self.waiting.insert_until(key, Arc::new(echo), frame.order.after(PATIENCE));
        } else if is_reply {
            let key = EchoKey { vantage, from: ip.dst(), to: ip.src(), id, seq };
            if let Some(mut echo) = self.waiting.remove(&key) {
                out.extend(echo.passed().map(Derived::Delivered));
                Arc::make_mut(&mut echo).is_answered = true;
                out.push(Derived::Echo(echo));
            }
        }
    }
}

impl Echo {
    /// The request as a packet in several tags, if it is one.
    fn passed(&self) -> Option<Passed> {
        let (tags, packet_len) = (self.path.tags, self.packet_len);
        (tags.depth() > 1).then_some(Passed { at: self.cited.at, direction: self.direction, tags, packet_len })
    }
}

impl Tracker for Echoes {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Icmp, Kind::Icmpv6]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.note(seen, out);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        while let Some((_, echo)) = self.waiting.pop(now) {
            out.extend(echo.passed().map(Derived::EchoLost));
            out.push(Derived::Echo(echo));
        }
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten()
    }
}
