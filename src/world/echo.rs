//! Echo requests (RFC 792, RFC 4443): which sizes were answered, and which not within a second.
//! At most 1,024 requests wait; the oldest goes first.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, Domains, Observation, Passed, Path, Seen, Tracker};
use crate::event::{Cited, VantageId};
use crate::value::{Span, TimedMap, Timestamp};
use crate::wire::{Kind, Kinds};

/// Requests that wait for their answer.
const MOST: usize = 1_024;
/// How long an answer may take: ping's own interval.
const PATIENCE: Span = Span::secs(1);

/// Requests that wait.
pub struct Echoes {
    waiting: TimedMap<EchoKey, Asked>,
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

struct Asked {
    passed: Passed,
    echo: Echo,
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
            let packet_len = ip.packet_len();
            let passed = Passed { at: frame.at, direction: frame.direction, tags: path.tags, packet_len };
            let echo = Echo { path, packet_len, is_answered: false, sent: frame.order, cited: Cited::beginning(frame) };
            let asked = Asked { passed, echo };
            self.waiting.insert_until(key, asked, frame.order.after(PATIENCE));
        } else if is_reply {
            let key = EchoKey { vantage, from: ip.dst(), to: ip.src(), id, seq };
            if let Some(Asked { passed, echo }) = self.waiting.remove(&key) {
                if passed.tags.depth() > 1 {
                    out.push(Derived::Delivered(passed));
                }
                out.push(Derived::Echo(Arc::new(Echo { is_answered: true, ..echo })));
            }
        }
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
        while let Some(key) = self.waiting.due(now) {
            let Some(Asked { passed, echo }) = self.waiting.remove(&key) else { continue };
            if passed.tags.depth() > 1 {
                out.push(Derived::EchoLost(passed));
            }
            out.push(Derived::Echo(Arc::new(echo)));
        }
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten()
    }
}
