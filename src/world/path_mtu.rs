//! What routers said about the largest packet that a path takes: ICMP "fragmentation needed" (RFC 1191) and ICMPv6 "packet too big" (RFC 8201);
//! and whether the sender goes on as before. At most 4,096 pairs of sender and receiver; the one without news for longest goes first.
//! Packets are looked at only for a minute after such a message.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Direction, VantageId};
use crate::value::{BoundedMap, Fingerprint, Span, Timestamp};
use crate::wire::{Ip, Kind, Kinds, Quoted};

/// Pairs that are remembered.
const MOST: usize = 4_096;
/// How long after a message its path is watched.
const WATCHED: Span = Span::secs(60);
/// Packets that were on their way when the message came may still be too large (findings.md, MTU005).
const ON_THE_WAY: Span = Span::secs(1);
/// Too large packets after which a sender is told of, and again after each so many.
const TOLD_EACH: u32 = 3;
/// Packets that are kept of one pair.
const CITED: usize = 3;

/// What was said of each pair.
pub struct PathMtus {
    told: BoundedMap<(IpAddr, IpAddr), Watched>,
    until: Timestamp,
}

/// What was said of one pair so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Bytes of layer 3 that the path takes, by the latest message; 0 from a router older than RFC 1191.
    pub mtu: u32,
    /// Who said so.
    pub reporter: IpAddr,
    /// When it was said first.
    pub first: Timestamp,
    /// When it was said last.
    pub last: Timestamp,
    /// How often it was said.
    pub count: u32,
}

/// One such message.
#[derive(Clone, Debug)]
pub struct TooBig {
    /// Where it was seen.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// Which way it went through the vantage.
    pub direction: Direction,
    /// By what its other sightings are found.
    pub packet: Option<Fingerprint>,
    /// Whether nobody saw it before.
    pub is_first: bool,
    /// The packet that it is about.
    pub quoted: Quoted,
    /// What was said of the pair so far, this message included.
    pub told: Told,
    /// The message.
    pub cited: Cited,
}

/// A sender that was told, and goes on sending packets that are too large and must not be parted.
#[derive(Clone, Debug)]
pub struct StillTooBig {
    /// Where it was seen.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// Who sends to whom.
    pub pair: (IpAddr, IpAddr),
    /// What it was told.
    pub told: Told,
    /// Bytes of layer 3 of the largest packet that it sent since.
    pub packet_len: u32,
    /// How many it sent since.
    pub packets: u32,
    /// When it sent the first of these.
    pub first: Timestamp,
    /// When it sent the last of these.
    pub last: Timestamp,
    /// By what the sightings of the last of these are found.
    pub packet: Option<Fingerprint>,
    /// Some of these.
    pub cited: Vec<Cited>,
}

struct Watched {
    told: Told,
    packet_len: u32,
    packets: u32,
    first: Timestamp,
    last: Timestamp,
    /// Packets with anything in them that fitted, since the last that did not.
    fitting: u32,
    cited: Vec<Cited>,
}

impl Default for PathMtus {
    fn default() -> Self {
        Self { told: BoundedMap::new(MOST), until: Timestamp::MIN }
    }
}

impl PathMtus {
    /// What was said of the path from `src` to `dst`.
    pub fn told(&self, src: IpAddr, dst: IpAddr) -> Option<&Told> {
        self.told.peek(&(src, dst)).map(|watched| &watched.told)
    }

    /// When `src` sent its last packet to `dst` that was too large after it had been told, and how many of as much as 576 bytes fitted since.
    pub fn mended(&self, src: IpAddr, dst: IpAddr) -> Option<(Timestamp, u32)> {
        self.told.peek(&(src, dst)).map(|watched| (watched.last, watched.fitting))
    }

    /// Whether packets are worth a look now: a router has spoken lately.
    #[inline]
    pub fn is_watching(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// A packet that has `packet_len` bytes on the wire.
    pub fn watch(&mut self, seen: &Seen<'_>, ip: &Ip<'_>, packet_len: u32, out: &mut Vec<Derived>) {
        let (frame, pair) = (seen.frame, (ip.src(), ip.dst()));
        let now = frame.order;
        let Some(watched) = self.told.get_mut(&pair) else { return };
        if watched.told.mtu == 0 || now.since(watched.told.first) < ON_THE_WAY {
            return;
        }
        if packet_len <= watched.told.mtu {
            // A short packet fits on every path, and tells nothing of its sender.
            watched.fitting = watched.fitting.saturating_add((packet_len >= 576).into());
            return;
        }
        // Whoever tests a path sends on purpose what is too long for it (`ping -M probe`).
        if !ip.dont_fragment() || frame.layers.icmp().is_some() || frame.layers.icmpv6().is_some() {
            return;
        }
        if watched.packets == 0 {
            watched.first = now;
        }
        (watched.last, watched.fitting) = (now, 0);
        watched.packet_len = watched.packet_len.max(packet_len);
        watched.packets = watched.packets.saturating_add(1);
        if watched.cited.len() < CITED {
            watched.cited.push(Cited::of(frame));
        }
        if watched.packets.checked_rem(TOLD_EACH) == Some(0) {
            out.push(Derived::StillTooBig(Arc::new(StillTooBig {
                vantage: frame.at.vantage,
                domain: seen.domain,
                pair,
                told: watched.told,
                packet_len: watched.packet_len,
                packets: watched.packets,
                first: watched.first,
                last: watched.last,
                packet: seen.packet,
                cited: watched.cited.clone(),
            })));
        }
    }

    fn note(&mut self, seen: &Seen<'_>, is_first: bool, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let layers = &frame.layers;
        let (mtu, quoted) = match (layers.icmp(), layers.icmpv6()) {
            (Some(icmp), _) => (icmp.next_hop_mtu().map(u32::from), icmp.quoted()),
            (_, Some(icmp)) => (icmp.packet_too_big(), icmp.quoted()),
            _ => return,
        };
        let (Some(mtu), Some(quoted), Some(ip)) = (mtu, Quoted::parse(quoted), layers.inner_ip()) else { return };
        let now = frame.order;
        self.until = self.until.max(now.after(WATCHED));
        let told = Told { mtu, reporter: ip.src(), first: now, last: now, count: 0 };
        let fresh =
            || Watched { told, packet_len: 0, packets: 0, first: now, last: now, fitting: 0, cited: Vec::new() };
        let watched = self.told.entry(&(quoted.src, quoted.dst), fresh);
        let (first, count) = (watched.told.first, watched.told.count.saturating_add(is_first.into()));
        watched.told = Told { first, count, ..told };
        out.push(Derived::TooBig(Arc::new(TooBig {
            vantage: frame.at.vantage,
            domain: seen.domain,
            direction: frame.direction,
            packet: seen.packet,
            is_first,
            quoted,
            told: watched.told,
            cited: Cited::of(frame),
        })));
    }
}

impl Tracker for PathMtus {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::IcmpError]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        match seen {
            Observation::Packet(seen) => self.note(seen, true, out),
            Observation::Sighting(seen) => self.note(seen, false, out),
            _ => {}
        }
    }
}
