//! A TCP conversation told as a story: who says what, what arrives, what is lost, what is sent again. Sequence numbers follow; nothing happens by itself.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::frame::{Ip, Link, Segment, frame, pattern};
use super::pcap::{Shot, at};

/// One end.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Its address on the link.
    pub mac: Mac,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Its port.
    pub port: u16,
}

/// Which end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The end that called.
    Caller,
    /// The end that was called.
    Called,
}

/// A conversation so far.
#[derive(Clone, Debug)]
pub struct Talk {
    ends: [End; 2],
    tags: Vec<(u16, u16)>,
    /// The next byte that each end will send.
    next: [u32; 2],
    /// The next byte that each end waits for.
    awaited: [u32; 2],
    shots: Vec<Shot>,
}

impl Talk {
    /// A conversation that has not begun, in these tags (TPID and VLAN, outermost first).
    pub fn new(caller: End, called: End, tags: &[(u16, u16)]) -> Self {
        Self { ends: [caller, called], tags: tags.to_vec(), next: [1_000, 5_000], awaited: [0, 0], shots: Vec::new() }
    }

    /// A conversation that began before the capture.
    pub fn midway(caller: End, called: End, tags: &[(u16, u16)]) -> Self {
        let fresh = Self::new(caller, called, tags);
        Self { awaited: [fresh.next[1], fresh.next[0]], ..fresh }
    }

    /// Three segments, 1 ms apart; both ends announce `mss`.
    pub fn handshake(&mut self, seconds: f64, mss: u16) -> &mut Self {
        let [a, b] = self.next;
        self.send(seconds, Who::Caller, Segment { seq: a, syn: Some(mss), ..Segment::default() }, &[]);
        self.send(
            seconds + 0.001,
            Who::Called,
            Segment { seq: b, ack: a + 1, syn: Some(mss), ..Segment::default() },
            &[],
        );
        self.next = [a + 1, b + 1];
        self.awaited = [b + 1, a + 1];
        self.acknowledge(seconds + 0.002, Who::Caller)
    }

    /// `length` bytes that arrive (unless bytes before them are missing).
    pub fn say(&mut self, seconds: f64, who: Who, length: usize) -> &mut Self {
        let seq = self.next[who as usize];
        self.lose(seconds, who, length);
        let awaited = &mut self.awaited[1 - who as usize];
        if *awaited == seq {
            *awaited = seq + length as u32;
        }
        self
    }

    /// These bytes, which arrive, in one segment.
    pub fn tell(&mut self, seconds: f64, who: Who, bytes: &[u8]) -> &mut Self {
        let (own, other) = (who as usize, 1 - who as usize);
        let segment = Segment { seq: self.next[own], ack: self.awaited[own], ..Segment::default() };
        self.next[own] += bytes.len() as u32;
        self.awaited[other] = self.next[own];
        self.send(seconds, who, segment, bytes)
    }

    /// `length` bytes that are sent and do not arrive.
    pub fn lose(&mut self, seconds: f64, who: Who, length: usize) -> &mut Self {
        let seq = self.next[who as usize];
        self.next[who as usize] = seq + length as u32;
        self.resend(seconds, who, seq, length)
    }

    /// The `length` bytes from `seq` on, once more; they do not arrive.
    pub fn resend(&mut self, seconds: f64, who: Who, seq: u32, length: usize) -> &mut Self {
        let segment = Segment { seq, ack: self.awaited[who as usize], ..Segment::default() };
        self.send(seconds, who, segment, &pattern(seq, length))
    }

    /// A bare acknowledgement of all that arrived in order.
    pub fn acknowledge(&mut self, seconds: f64, who: Who) -> &mut Self {
        self.resend(seconds, who, self.next[who as usize], 0)
    }

    /// All that the other end has sent, lost or not, is there after all, and `who` acknowledges it.
    pub fn arrived(&mut self, seconds: f64, who: Who) -> &mut Self {
        self.awaited[who as usize] = self.next[1 - who as usize];
        self.acknowledge(seconds, who)
    }

    /// An acknowledgement that also tells of bytes that arrived beyond a hole.
    pub fn report(&mut self, seconds: f64, who: Who, beyond: (u32, u32)) -> &mut Self {
        let (seq, ack) = (self.next[who as usize], self.awaited[who as usize]);
        self.send(seconds, who, Segment { seq, ack, beyond: Some(beyond), ..Segment::default() }, &[])
    }

    /// `say`, and 1 ms later the other end acknowledges.
    pub fn exchange(&mut self, seconds: f64, who: Who, length: usize) -> &mut Self {
        let other = if who == Who::Caller { Who::Called } else { Who::Caller };
        self.say(seconds, who, length).acknowledge(seconds + 0.001, other)
    }

    /// The last frame was on the wire and is not in the capture.
    pub fn uncaptured(&mut self) -> &mut Self {
        self.shots.pop();
        self
    }

    /// From now on in these tags.
    pub fn retag(&mut self, tags: &[(u16, u16)]) -> &mut Self {
        self.tags = tags.to_vec();
        self
    }

    /// The next sequence number of an end: where bytes that will be lost begin.
    pub fn next(&self, who: Who) -> u32 {
        self.next[who as usize]
    }

    /// The frames, in order of time.
    pub fn shots(&self) -> Vec<Shot> {
        self.shots.clone()
    }

    fn send(&mut self, seconds: f64, who: Who, segment: Segment, payload: &[u8]) -> &mut Self {
        let (from, to) = (self.ends[who as usize], self.ends[1 - who as usize]);
        self.shots.push(at(seconds, self.ip(from, to).tcp((from.port, to.port), segment, payload)));
        self
    }

    fn ip(&self, from: End, to: End) -> Ip {
        let link: Link =
            self.tags.iter().fold(frame().from(from.mac).to(to.mac), |l, (tpid, tci)| l.tag_as(*tpid, *tci));
        link.ipv4(from.ip, to.ip)
    }
}
