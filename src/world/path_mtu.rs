//! What routers said about the largest packet that a path takes: ICMP "fragmentation needed" (RFC 1191) and ICMPv6 "packet too big" (RFC 8201).
//! At most 4,096 pairs of sender and receiver; the one without news for longest goes first.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Direction, VantageId};
use crate::finding::Cited;
use crate::value::{BoundedMap, Timestamp};
use crate::wire::{Kind, Kinds, Quoted};

/// Pairs that are remembered.
const MOST: usize = 4_096;

/// What was said of each pair.
pub struct PathMtus {
    told: BoundedMap<(IpAddr, IpAddr), Told>,
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
    /// The packet that it is about.
    pub quoted: Quoted,
    /// What was said of the pair so far, this message included.
    pub told: Told,
    /// The message.
    pub cited: Cited,
}

impl Default for PathMtus {
    fn default() -> Self {
        Self { told: BoundedMap::new(MOST) }
    }
}

impl PathMtus {
    /// What was said of the path from `src` to `dst`.
    pub fn told(&self, src: IpAddr, dst: IpAddr) -> Option<&Told> {
        self.told.peek(&(src, dst))
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
        let fresh = || Told { mtu, reporter: ip.src(), first: now, last: now, count: 0 };
        let told = self.told.entry(&(quoted.src, quoted.dst), fresh);
        (told.mtu, told.reporter, told.last) = (mtu, ip.src(), now);
        told.count = told.count.saturating_add(u32::from(is_first));
        out.push(Derived::TooBig(Arc::new(TooBig {
            vantage: frame.at.vantage,
            domain: seen.domain,
            direction: frame.direction,
            quoted,
            told: *told,
            cited: Cited::of(frame),
        })));
    }
}

impl Tracker for PathMtus {
    fn hears(&self) -> Kinds {
        Kinds::of(&[Kind::Icmp, Kind::Icmpv6])
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, out: &mut Vec<Derived>) {
        match seen {
            Observation::Packet(seen) => self.note(seen, true, out),
            Observation::Sighting(seen) => self.note(seen, false, out),
            _ => {}
        }
    }
}
