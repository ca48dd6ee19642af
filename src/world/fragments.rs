//! Packets that travel in pieces (RFC 791 section 3.2, RFC 8200 section 4.5): which arrived whole, and which pieces of the others did not.
//! A packet is waited for as long as its receiver would: 30 s, 60 s in IPv6. At most 4,096 packets and 1,024 pairs of hosts; the oldest goes first.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, VantageId};
use crate::value::{BoundedMap, Span, TimedMap, Timestamp};
use crate::wire::{Fragment, Kind, Kinds};

/// Packets that wait for their pieces.
const MOST_TRAINS: usize = 4_096;
/// Pairs of hosts that are counted.
const MOST_PAIRS: usize = 1_024;
/// Runs of bytes that are held of one packet: more pieces out of order than any network makes.
const MOST_RUNS: usize = 16;
/// How long a receiver waits for the rest (Linux ipfrag_time; RFC 8200 section 4.5).
const PATIENCE_V4: Span = Span::secs(30);
const PATIENCE_V6: Span = Span::secs(60);
/// Packets that lack their beginning this soon after the first piece of all may have begun before the capture.
const BEGINNING: Span = Span::secs(1);

/// Packets in pieces.
pub struct Fragments {
    trains: TimedMap<TrainKey, Train>,
    pairs: BoundedMap<PairKey, Pieces>,
    since: Option<Timestamp>,
    /// Vantages at which something was seen that has no ports: no capture filter by ports can be at work there. In order of their ids.
    portless: Vec<VantageId>,
}

/// By what the pieces of one packet are known.
type TrainKey = (IpAddr, IpAddr, u8, u32);
/// Sender, receiver, protocol.
pub type PairKey = (IpAddr, IpAddr, u8);

/// What is known of the packets in pieces between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Packets that arrived whole.
    pub complete: u32,
    /// Packets that did not.
    pub incomplete: u32,
    /// Of these, those whose first piece is missing.
    pub first: u32,
    /// Those whose last piece is missing, and not the first.
    pub last: u32,
    /// Those that lack something between.
    pub middle: u32,
    /// The largest piece that was seen, in bytes of layer 3; of packets that are not complete.
    pub largest: u32,
}

/// A packet whose pieces did not all come.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Where a piece was seen first.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// Sender, receiver, protocol.
    pub pair: PairKey,
    /// All such packets between the two so far, this one included.
    pub pieces: Pieces,
    /// When its first piece was seen.
    pub first: Timestamp,
    /// A piece of it.
    pub cited: Cited,
    /// Whether nothing without ports was ever seen there, and of no packet a piece behind the first: a capture filter by ports hides those too.
    pub may_be_filtered: bool,
}

struct Train {
    vantage: VantageId,
    domain: DomainId,
    first: Timestamp,
    runs: Vec<(u32, u32)>,
    /// Bytes of the whole packet's payload, once its last piece was seen.
    whole: Option<u32>,
    largest: u32,
    cited: Cited,
}

impl Default for Fragments {
    fn default() -> Self {
        Self {
            trains: TimedMap::new(MOST_TRAINS),
            pairs: BoundedMap::new(MOST_PAIRS),
            since: None,
            portless: Vec::new(),
        }
    }
}

impl Fragments {
    /// What is known of the packets in pieces from one host to another.
    pub fn pieces(&self, pair: &PairKey) -> Pieces {
        self.pairs.peek(pair).copied().unwrap_or_default()
    }

    fn note(&mut self, seen: &Seen<'_>) {
        let frame = seen.frame;
        let fragment = frame.layers.fragment();
        if fragment.is_none_or(|fragment| fragment.offset > 0) {
            self.sees_portless(frame.at.vantage);
        }
        let Some(fragment) = fragment.filter(|fragment| fragment.is_sound) else { return };
        let now = frame.order;
        self.since.get_or_insert(now);
        let pair = (fragment.src, fragment.dst, fragment.protocol);
        let key = (fragment.src, fragment.dst, fragment.protocol, fragment.id);
        if self.trains.peek(&key).is_none() {
            let train = Train {
                vantage: frame.at.vantage,
                domain: seen.domain,
                first: now,
                runs: Vec::new(),
                whole: None,
                largest: 0,
                cited: Cited::of(frame),
            };
            self.trains.insert(key, train);
            let patience = if fragment.src.is_ipv4() { PATIENCE_V4 } else { PATIENCE_V6 };
            self.trains.wake(&key, now.after(patience));
        }
        let Some(train) = self.trains.get_mut(&key) else { return };
        train.add(&fragment);
        if train.is_complete() {
            self.trains.remove(&key);
            let pieces = self.pairs.entry(&pair, Pieces::default);
            pieces.complete = pieces.complete.saturating_add(1);
        }
    }

    /// `vantage` shows something that has no ports: a piece behind the first among others.
    fn sees_portless(&mut self, vantage: VantageId) {
        if let Err(at) = self.portless.binary_search(&vantage) {
            self.portless.insert(at, vantage);
        }
    }

    fn tear(&mut self, key: TrainKey, out: &mut Vec<Derived>) {
        let Some(train) = self.trains.remove(&key) else { return };
        let has_first = train.runs.iter().any(|(start, _)| *start == 0);
        let is_early = self.since.is_some_and(|since| train.first.since(since) < BEGINNING);
        if !has_first && is_early {
            return;
        }
        let pair = (key.0, key.1, key.2);
        let pieces = self.pairs.entry(&pair, Pieces::default);
        pieces.incomplete = pieces.incomplete.saturating_add(1);
        pieces.largest = pieces.largest.max(train.largest);
        let missing = match (has_first, train.whole) {
            (false, _) => &mut pieces.first,
            (true, None) => &mut pieces.last,
            (true, Some(_)) => &mut pieces.middle,
        };
        *missing = missing.saturating_add(1);
        out.push(Derived::Torn(Arc::new(Torn {
            vantage: train.vantage,
            domain: train.domain,
            pair,
            pieces: *pieces,
            first: train.first,
            cited: train.cited,
            may_be_filtered: self.portless.binary_search(&train.vantage).is_err(),
        })));
    }
}

impl Train {
    fn add(&mut self, fragment: &Fragment) {
        let (start, end) = (fragment.offset, fragment.offset.saturating_add(fragment.len));
        if fragment.is_last {
            self.whole = Some(end);
        }
        self.largest = self.largest.max(fragment.packet_len);
        let at = self.runs.partition_point(|(before, _)| *before <= start);
        if self.runs.len() < MOST_RUNS {
            self.runs.insert(at, (start, end));
        }
        // Runs that touch become one.
        self.runs.dedup_by(|next, run| {
            let touches = next.0 <= run.1;
            if touches {
                run.1 = run.1.max(next.1);
            }
            touches
        });
    }

    fn is_complete(&self) -> bool {
        matches!((self.runs.as_slice(), self.whole), ([(0, end)], Some(whole)) if *end >= whole)
    }
}

impl Tracker for Fragments {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Fragment, Kind::Arp, Kind::Icmp, Kind::Icmpv6]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, _out: &mut Vec<Derived>) {
        // A packet once, wherever its pieces are seen: the members of a bond carry some each.
        if let Observation::Packet(seen) = seen {
            self.note(seen);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.trains.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        while let Some(key) = self.trains.due(now) {
            self.tear(key, out);
        }
    }

    fn forgotten(&self) -> u64 {
        self.trains.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network, and a frame in it.
    fn domain() -> (DomainId, Cited) {
        let mut domains = Domains::new(&crate::settings::Settings::default());
        let bytes = [0; 60];
        let (direction, offload) = (crate::event::Direction::Unknown, crate::event::Offload::Unknown);
        let time = Timestamp::MIN;
        let record =
            crate::event::Record { interface: 0, number: 1, time, wire_len: 60, direction, offload, bytes: &bytes };
        let link = crate::wire::LinkType::Ethernet;
        let frame = crate::event::Frame::decode(record, VantageId::default(), link, time);
        (domains.note(&frame), Cited::of(&frame))
    }

    fn train(pieces: &[(u32, u32, bool)]) -> bool {
        let (domain, cited) = domain();
        let mut train = Train {
            vantage: VantageId::default(),
            domain,
            first: Timestamp::MIN,
            runs: Vec::new(),
            whole: None,
            largest: 0,
            cited,
        };
        for &(offset, len, is_last) in pieces {
            let address = IpAddr::from([10, 0, 0, 1]);
            let packet_len = len + 20;
            train.add(&Fragment {
                src: address,
                dst: address,
                protocol: 17,
                id: 1,
                offset,
                len,
                is_last,
                packet_len,
                is_sound: true,
            });
        }
        train.is_complete()
    }

    #[test]
    fn pieces_in_any_order_and_twice_are_a_packet() {
        assert!(train(&[(0, 1_480, false), (1_480, 520, true)]));
        assert!(train(&[(2_960, 40, true), (0, 1_480, false), (1_480, 1_480, false)]));
        assert!(train(&[(0, 1_480, false), (0, 1_480, false), (1_480, 520, true)]));
        assert!(train(&[(0, 1_480, false), (1_000, 1_000, true)]));
    }

    #[test]
    fn a_piece_that_is_missing_is_missed() {
        assert!(!train(&[(0, 1_480, false)]));
        assert!(!train(&[(1_480, 520, true)]));
        assert!(!train(&[(0, 1_480, false), (2_960, 40, true)]));
    }
}
