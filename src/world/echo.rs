//! Echo requests in two tags or more (RFC 792, RFC 4443): which sizes were answered, and which not within a second.
//! At most 4,096 requests wait; the oldest goes first.

use std::net::IpAddr;

use super::{Derived, Domains, Observation, Passed, Tracker};
use crate::event::{Frame, VantageId};
use crate::value::{BoundedMap, Deadlines, Span, Timestamp};
use crate::wire::{Kind, Kinds};

/// Requests that wait for their answer.
const MOST: usize = 4_096;
/// How long an answer may take: ping's own interval.
const PATIENCE: Span = Span::secs(1);

/// Requests that wait.
pub struct Echoes {
    waiting: BoundedMap<EchoKey, Passed>,
    deadlines: Deadlines<EchoKey>,
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
        Self { waiting: BoundedMap::new(MOST), deadlines: Deadlines::new() }
    }
}

impl Echoes {
    fn note(&mut self, frame: &Frame<'_>, out: &mut Vec<Derived>) {
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
        if is_request {
            let key = EchoKey { vantage, from: ip.src(), to: ip.dst(), id, seq };
            if self.waiting.len() >= MOST
                && let Some((oldest, _)) = self.waiting.oldest()
            {
                self.deadlines.clear(&oldest.clone());
            }
            let passed =
                Passed { at: frame.at, direction: frame.direction, tags: layers.tags(), packet_len: ip.packet_len() };
            self.waiting.insert(key.clone(), passed);
            self.deadlines.set(key, frame.order.after(PATIENCE));
        } else if is_reply {
            let key = EchoKey { vantage, from: ip.dst(), to: ip.src(), id, seq };
            if let Some(passed) = self.waiting.remove(&key) {
                self.deadlines.clear(&key);
                out.push(Derived::Delivered(passed));
            }
        }
    }
}

impl Tracker for Echoes {
    fn hears(&self) -> Kinds {
        Kinds::of(&[Kind::Icmp, Kind::Icmpv6])
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        if seen.frame.layers.has(Kind::VlanStack) {
            self.note(seen.frame, out);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        while let Some(key) = self.deadlines.pop(now) {
            out.extend(self.waiting.remove(&key).map(Derived::EchoLost));
        }
    }
}
