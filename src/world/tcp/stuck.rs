//! A segment that is sent again and again: what was seen of it, and what that tells of the path it takes.

use std::net::IpAddr;

use super::numbers::is_behind;
use crate::event::{Cited, Direction, FrameRef, VantageId};
use crate::value::{Fingerprint, Mac, Span, TagStack, Timestamp};
use crate::wire::{Ip, Tcp};
use crate::world::{DomainId, Seen};

/// A sender that waits in vain sends again within this (RFC 6298: the first timer is one second at most).
const MOVED_ON: Span = Span::secs(1);
/// Frames that are kept of one stuck segment: its first repeats.
const CITED: usize = 3;

/// A segment that is sent again and again.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// Where, from whom to whom.
    pub path: Path,
    /// The ports of sender and receiver.
    pub ports: (u16, u16),
    /// The latest repeat.
    pub at: FrameRef,
    /// By what its other sightings are found.
    pub packet: Option<Fingerprint>,
    /// Bytes of layer 3 of the segment.
    pub packet_len: u32,
    /// Bytes of its payload.
    pub payload: u32,
    /// How often it was sent, the first time included.
    pub sends: u32,
    /// When it was repeated first.
    pub first: Timestamp,
    /// When it was repeated last.
    pub last: Timestamp,
    /// The largest packet of the connection that was acknowledged; 0 if none was.
    pub delivered: u32,
    /// A small packet sent meanwhile arrived: when that was known.
    pub small: Option<Timestamp>,
    /// A packet as large as the segment arrived meanwhile, or within a minute before.
    pub is_large_delivered: bool,
    /// Whether routers may not part it.
    pub is_whole: bool,
    /// What both ends agreed on as the largest payload, where the handshake was seen.
    pub most: Option<u32>,
    /// The first repeats.
    pub cited: Vec<Cited>,
}

/// A segment that was stuck and arrived.
#[derive(Clone, Debug)]
pub struct Freed {
    /// Where, from whom to whom.
    pub path: Path,
    /// The ports of sender and receiver.
    pub ports: (u16, u16),
    /// Bytes of layer 3 of the segment that was stuck; of any packet on the path that proves it free, where that was another connection's.
    pub packet_len: u32,
    /// The largest of the pieces in which it arrived; `None` if it arrived whole.
    pub pieces: Option<u32>,
    /// How often it was sent, the first time included.
    pub sends: u32,
    /// When it was repeated first.
    pub first: Timestamp,
    /// The acknowledgement.
    pub cited: Cited,
}

/// One direction between two hosts at a vantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it was seen.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// Which way through the vantage.
    pub direction: Direction,
    /// The tags there.
    pub tags: TagStack,
    /// Who sends, on this link.
    pub from: Mac,
    /// To whom, on this link: the next hop.
    pub to: Mac,
    /// Who sends.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
}

/// By what a path is known at its vantage: sender and receiver.
pub type PathKey = (VantageId, IpAddr, IpAddr);

/// A segment as the tracker of connections hands it over.
pub struct Passing<'a> {
    /// The frame.
    pub seen: &'a Seen<'a>,
    /// Its TCP header.
    pub tcp: &'a Tcp<'a>,
    /// Its sender and receiver.
    pub ends: (IpAddr, IpAddr),
    /// Bytes of layer 3 on the wire; of a super-frame, of each segment.
    pub packet_len: u32,
    /// Bytes of layer 3 of the frame less its payload.
    pub headers: u32,
    /// Whether routers may not part it.
    pub is_whole: bool,
    /// The largest payload that both ends agreed on.
    pub most: Option<u32>,
    /// Whether it brings what was sent before.
    pub is_again: bool,
}

impl<'a> Passing<'a> {
    /// The segment of `seen`, in packets of `packet_len` bytes.
    #[inline]
    pub fn of(
        seen: &'a Seen<'a>,
        tcp: &'a Tcp<'a>,
        ip: &Ip<'_>,
        packet_len: u32,
        most: Option<u32>,
        is_again: bool,
    ) -> Self {
        let headers = ip.packet_len().saturating_sub(tcp.payload_len());
        let ends = (ip.src(), ip.dst());
        Self { seen, tcp, ends, packet_len, headers, is_whole: ip.dont_fragment(), most, is_again }
    }
}

/// The segment that is waited for.
pub struct Held {
    path: Path,
    ports: (u16, u16),
    /// The number of its first byte.
    pub seq: u32,
    /// The number behind its last byte.
    pub end: u32,
    /// Bytes of layer 3.
    pub packet_len: u32,
    /// How often it was sent, the first time included.
    pub sends: u32,
    first: Timestamp,
    last: Timestamp,
    at: FrameRef,
    packet: Option<Fingerprint>,
    is_whole: bool,
    most: Option<u32>,
    /// The largest piece of it that was sent by itself.
    piece: u32,
    /// A packet as small as half of it was sent in vain.
    pub is_small_lost: bool,
    /// When it was known that a smaller packet arrived meanwhile.
    pub small: Option<Timestamp>,
    /// The same of a packet as large.
    large: Option<Timestamp>,
    /// Data of the other end that was acknowledged in a small packet: the number behind it, and when.
    pub answered: Option<(u32, Timestamp)>,
    /// Whether it was told.
    pub is_told: bool,
    cited: Vec<Cited>,
}

impl Path {
    /// The path of a packet as its frame shows it; `None` where the frame has no link addresses.
    pub fn of(seen: &Seen<'_>, ip: &Ip<'_>) -> Option<Self> {
        let frame = seen.frame;
        Some(Self {
            vantage: frame.at.vantage,
            domain: seen.domain,
            direction: frame.direction,
            tags: frame.layers.tags(),
            from: frame.layers.inner_src()?,
            to: frame.layers.inner_dst().unwrap_or(Mac::ZERO),
            src: ip.src(),
            dst: ip.dst(),
        })
    }

    /// By what the path is known at its vantage.
    pub const fn key(&self) -> PathKey {
        (self.vantage, self.src, self.dst)
    }
}

impl Held {
    /// A segment that is repeated for the first time.
    pub fn of(passing: &Passing<'_>) -> Option<Self> {
        let (tcp, frame) = (passing.tcp, passing.seen.frame);
        let payload = passing.packet_len.saturating_sub(passing.headers);
        let path = Path::of(passing.seen, &frame.layers.inner_ip()?)?;
        Some(Self {
            path,
            ports: (tcp.src_port(), tcp.dst_port()),
            seq: tcp.seq(),
            end: tcp.seq().wrapping_add(payload),
            packet_len: passing.packet_len,
            sends: 2,
            first: frame.order,
            last: frame.order,
            at: frame.at,
            packet: passing.seen.packet,
            is_whole: passing.is_whole,
            most: passing.most,
            piece: 0,
            is_small_lost: false,
            small: None,
            large: None,
            answered: None,
            is_told: false,
            cited: vec![Cited::of(frame)],
        })
    }

    /// It is sent once more, whole or in a piece; or another segment is. Whether it was this one, whole.
    pub fn again(&mut self, passing: &Passing<'_>) -> bool {
        let (seq, frame) = (passing.tcp.seq(), passing.seen.frame);
        if is_behind(self.end, seq) {
            self.is_small_lost |= passing.packet_len.saturating_mul(2) <= self.packet_len;
            return false;
        }
        if seq != self.seq || !is_as_large(passing.packet_len, self.packet_len) {
            self.piece = self.piece.max(passing.packet_len);
            return false;
        }
        self.sends = self.sends.saturating_add(1);
        (self.last, self.at, self.packet) = (frame.order, frame.at, passing.seen.packet);
        if self.cited.len() < CITED {
            self.cited.push(Cited::of(frame));
        }
        true
    }

    /// What is to be told of it: `watched` is what other connections got through on its path, a small packet and a large one;
    /// `delivered` the largest packet of its own connection that arrived, lately or not.
    pub fn told(&self, watched: (Option<Timestamp>, Option<Timestamp>), (delivered, is_recent): (u32, bool)) -> Stuck {
        let since = |moment: Option<Timestamp>| moment.filter(|at| *at > self.first);
        Stuck {
            path: self.path,
            ports: self.ports,
            at: self.at,
            packet: self.packet,
            packet_len: self.packet_len,
            payload: self.end.wrapping_sub(self.seq),
            sends: self.sends,
            first: self.first,
            last: self.last,
            delivered,
            small: self.small.or(since(watched.0)),
            is_large_delivered: is_recent || self.large.is_some() || since(watched.1).is_some(),
            is_whole: self.is_whole,
            most: self.most,
            cited: self.cited.clone(),
        }
    }

    /// By what its path is known at its vantage.
    pub const fn key(&self) -> PathKey {
        self.path.key()
    }

    /// The sender of what is stuck answers data of the other end with a packet that is nothing but an acknowledgement.
    pub fn answer(&mut self, passing: &Passing<'_>) {
        let ack = passing.tcp.ack();
        if passing.tcp.is_ack() && self.answered.is_none() {
            self.answered = Some((ack, passing.seen.frame.order));
        }
    }

    /// The other end speaks: what that tells of packets that reached it.
    pub fn hear(&mut self, passing: &Passing<'_>, now: Timestamp) {
        let tcp = passing.tcp;
        if let Some((answered, at)) = self.answered {
            if tcp.payload_len() > 0 && !is_behind(answered, tcp.seq()) {
                // It sends again what was acknowledged: the acknowledgement did not arrive, or not in time.
                self.answered = None;
            } else if now.since(at) >= MOVED_ON {
                self.small = Some(now);
                self.answered = None;
            }
        }
    }

    /// A run of bytes behind this segment arrived: a shorter run than the segment was a smaller packet.
    pub fn arrived(&mut self, run: u32, at: Timestamp) {
        let arrived = if run >= self.end.wrapping_sub(self.seq) { &mut self.large } else { &mut self.small };
        *arrived = Some(at);
    }

    /// It arrived, as the segment that passes tells.
    pub fn freed(&self, passing: &Passing<'_>) -> Freed {
        Freed {
            path: self.path,
            ports: self.ports,
            packet_len: self.packet_len,
            pieces: Some(self.piece).filter(|piece| *piece > 0),
            sends: self.sends,
            first: self.first,
            cited: Cited::of(passing.seen.frame),
        }
    }
}

/// Whether a packet is as large as another, give or take what options differ (findings.md, MTU003).
pub const fn is_as_large(packet_len: u32, than: u32) -> bool {
    packet_len.saturating_mul(100) >= than.saturating_mul(95)
}
