//! TCP connections at each vantage by itself (RFC 9293): the segment size both ends agreed on, and, for segments that wear two tags
//! or more, which were sent again and which were acknowledged; and data that was acknowledged without having been captured.
//! At most `tables.flows` connections, and eight waiting segments an end.

mod end;
mod follow;
mod holes;
mod key;
mod numbers;
mod sizes;
mod storm;
mod stuck;
mod trouble;
mod views;
mod waiting;

pub use sizes::Announced;
pub use storm::{Storm, Storms};
pub use stuck::{Freed, Path, Stuck};
pub use views::{OneSided, View};

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use end::End;
use holes::{Missing, OUT_OF_ORDER};
use key::FlowKey;
use numbers::{Acknowledged, Numbers, Sent};
use sizes::on_the_wire;
use stuck::Passing;
use trouble::Troubles;
use views::Views;

use super::{Derived, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Frame, FrameRef, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, Spot, TagStack, Timestamp, Tpid};
use crate::wire::{Ip, Kinds, Tcp};

/// Bytes that a tunnel puts around a packet, at most: IPv6, UDP, GENEVE with the longest options, Ethernet with two tags (RFC 8926 section 3.4).
const MOST_AROUND: u32 = 40 + 8 + 8 + 252 + 22;
/// Acknowledgements of data never seen that wait for it to turn up; further ones are not counted.
const MOST_UNSEEN: usize = 1_024;

/// All connections.
pub struct Flows {
    table: BoundedMap<FlowKey, Flow>,
    assumed: u32,
    one_direction: u64,
    views: Views,
    latest: Option<Segment>,
    /// Where the connection of the latest segment lies, if nobody in it is in trouble.
    calm: Option<Spot>,
    /// In the order in which they are due.
    unseen: VecDeque<Waiter>,
    troubles: Troubles,
}

/// Data that was acknowledged and is not in the capture.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// The first acknowledgement that told.
    pub cited: Cited,
    /// How many told.
    pub acknowledgements: u32,
    /// When the last of them was captured.
    pub last: Timestamp,
    /// How many bytes are not there.
    pub bytes: u32,
}

/// What is known of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The frame it was seen in last.
    pub at: FrameRef,
    /// Bytes of layer 3 that it has on the wire: of a super-frame, those of each segment that is made of it; `None` if nothing tells.
    pub packet_len: Option<u32>,
    /// Whether the frame is a super-frame, which no wire carries as it stands.
    pub is_super: bool,
    /// How often it was sent so far.
    pub sends: u32,
    /// When it was sent first.
    pub first: Timestamp,
    /// Bytes of layer 3 of the largest packet in this direction that was acknowledged; 0 if none was.
    pub delivered: u32,
    /// Whether the other end was heard since the first sending: it lives, and the way back works.
    pub is_peer_alive: bool,
}

#[derive(Default)]
struct Flow {
    ends: [End; 2],
}

/// How far one end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When it was heard last.
    pub heard: Timestamp,
    /// The sequence number behind the furthest byte that it sent, or that was acknowledged.
    pub next: u32,
    /// Whether all of that was acknowledged.
    pub is_acknowledged: bool,
}

/// What a segment tells about hearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Its sender must have received something: it acknowledges what it had not acknowledged before, or answers a probe.
    pub is_proof: bool,
    /// It is sent again, and what it repeats has waited since then.
    pub waits_since: Option<Timestamp>,
}

/// An acknowledgement of data not seen so far.
struct Waiter {
    due: Timestamp,
    flow: FlowKey,
    /// Whether the lower end sent the data.
    is_low: bool,
    cited: Cited,
}

impl Flows {
    /// No connection yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            table: BoundedMap::new(settings.tables.flows),
            assumed: settings.mtu.assumed,
            one_direction: settings.capture.one_direction_segments,
            views: Views::default(),
            latest: None,
            calm: None,
            unseen: VecDeque::new(),
            troubles: Troubles::new(settings),
        }
    }

    /// What is known of the segment in the frame that was seen last.
    pub fn segment(&self, at: FrameRef) -> Option<&Segment> {
        self.latest.as_ref().filter(|segment| segment.at == at)
    }

    /// What `vantage` shows of all connections; `None` before the first.
    pub fn view(&self, vantage: VantageId) -> Option<&View> {
        self.views.of(vantage)
    }

    /// Whether the end that was not heard was heard after all: here since, or at another vantage.
    pub fn hears_back(&self, one_sided: &OneSided) -> bool {
        let flow_at = |view: &View| self.table.peek(&one_sided.flow.at(view.vantage));
        let is_heard = |Flow { ends: [low, high] }: &Flow| if one_sided.is_low { low } else { high }.is_heard();
        self.views.iter().filter_map(flow_at).any(is_heard)
    }

    /// Takes a frame in, and tells what it says about who hears whom; nothing where it is not TCP.
    pub fn hear(&mut self, seen: &Seen<'_>, out: &mut Vec<Derived>) -> Hearing {
        let tcp = seen.frame.layers.tcp();
        tcp.and_then(|tcp| self.note(seen, &tcp, out)).unwrap_or_default()
    }

    /// The largest packet from `from` to `to` that was acknowledged at `vantage`, and how long ago one of that size was.
    pub fn delivered(
        &self,
        vantage: VantageId,
        from: (IpAddr, u16),
        to: (IpAddr, u16),
        now: Timestamp,
    ) -> Option<(u32, Span)> {
        let (key, is_low) = FlowKey::between(vantage, from, to);
        let [low, high] = &self.table.peek(&key)?.ends;
        let end = if is_low { low } else { high };
        Some((end.largest(), Span::secs(end.seconds_since(now).into())))
    }

    /// When `vantage` heard `from` last in its connection with `to`, each an address and a port.
    pub fn heard(&self, vantage: VantageId, from: (IpAddr, u16), to: (IpAddr, u16)) -> Option<Timestamp> {
        self.progress(vantage, from, to).map(|progress| progress.heard)
    }

    /// How far `from` is at `vantage` in its connection with `to`, each an address and a port; `None` where it was not heard.
    pub fn progress(&self, vantage: VantageId, from: (IpAddr, u16), to: (IpAddr, u16)) -> Option<Progress> {
        let (key, is_low) = FlowKey::between(vantage, from, to);
        let [low, high] = &self.table.peek(&key)?.ends;
        let end = if is_low { low } else { high };
        let progress = Progress { heard: end.heard, next: end.next(), is_acknowledged: end.is_acknowledged() };
        Some(progress).filter(|_| end.is_heard())
    }

    /// Every segment passes here. What is seldom stands in functions of its own, out of line: so the rest stays in the cache of instructions.
    fn note(&mut self, seen: &Seen<'_>, tcp: &Tcp<'_>, out: &mut Vec<Derived>) -> Option<Hearing> {
        let frame = seen.frame;
        self.calm = None;
        let ip = frame.layers.inner_ip()?;
        // TCP is between two: a group is nobody's peer (RFC 9293 section 3.9.2.3).
        if ip.dst().is_multicast() {
            return None;
        }
        let (key, is_low) = FlowKey::of(frame.at.vantage, &ip, tcp);
        let (spot, flow) = self.table.entry_at(&key, |_| Flow::default());
        let [a, b] = &mut flow.ends;
        let (own, peer) = if is_low { (a, b) } else { (b, a) };
        let view = self.views.entry(frame.at.vantage)?;
        own.heard = frame.order;
        view.is_two_way |= peer.is_heard();
        if tcp.is_syn() {
            opens(own, seen, &ip, tcp, out);
        }
        let numbers = Numbers::of(tcp);
        if numbers.payload > 0 {
            own.options = u8::try_from(tcp.header_len().saturating_sub(20)).unwrap_or(0);
        }
        // What an end may send in one segment: the smaller of both announcements, less its own options (RFC 6691).
        let agreed = [own.mss(), peer.mss()].into_iter().flatten().min();
        let most = agreed.map(|mss| u32::from(mss.saturating_sub(own.options.into())));
        let (told_len, is_super) = on_the_wire(frame, &ip, numbers.payload, most, self.assumed);
        let packet_len = told_len.unwrap_or(0);
        if let (Some(ack), Some(waiting)) = (numbers.ack, peer.waiting()) {
            waiting.acknowledged(ack, frame, out);
        }
        let Acknowledged { is_proof, is_unseen, arrived } =
            peer.acknowledged(&numbers, own.is_bare(&numbers), frame.order);
        let Sent { is_again, waits_since } = if ip.is_fragment() {
            own.loses_count();
            Sent::default()
        } else {
            own.sends(&numbers, packet_len, ip.has_length(), frame.order)
        };
        let hearing = Hearing { is_proof, waits_since };
        if is_unseen {
            wait(&mut self.unseen, frame, key, !is_low);
        }
        let is_troubled = is_again || own.trouble != 0 || peer.trouble != 0;
        if is_troubled || tcp.may_have_blocks() || (arrived.is_some() && self.troubles.is_watching()) {
            let passing = Passing::of(seen, tcp, &ip, packet_len, most, is_again);
            self.troubles.hear(&passing, arrived, own, peer, out);
        }
        self.calm = Some(spot).filter(|_| own.is_calm() && peer.is_calm());
        if numbers.payload == 0 {
            self.latest = None;
            return Some(hearing);
        }
        view.segments = view.segments.saturating_add(1);
        let is_alone = !peer.is_heard();
        own.alone = own.alone.saturating_add(is_alone.into());
        let is_one_sided = (view.segments == self.one_direction && !view.is_two_way)
            || (is_alone && u64::from(own.alone) == self.one_direction);
        if is_super {
            view.quote_super(frame, ip.packet_len(), out);
        }
        let (sends, first) = queued(own, frame, tcp, packet_len, self.assumed);
        self.latest = Some(Segment {
            at: frame.at,
            packet_len: told_len,
            is_super,
            sends,
            first,
            delivered: own.largest(),
            is_peer_alive: peer.heard >= first,
        });
        if is_one_sided {
            let (cited, is_low) = (Cited::of(frame), !is_low);
            self.tell_one_sided(OneSided { cited, from: ip.src(), to: ip.dst(), flow: key, is_low }, out);
        }
        Some(hearing)
    }

    /// Many segments of one end came, and none of the other: told unless another vantage shows that one.
    #[cold]
    fn tell_one_sided(&mut self, one_sided: OneSided, out: &mut Vec<Derived>) {
        if !self.hears_back(&one_sided) {
            out.push(Derived::OneDirection(one_sided));
        } else if let Some(view) = self.views.entry(one_sided.cited.at.vantage) {
            view.is_two_way = true;
        }
    }

    /// How much is sent again between two hosts.
    pub const fn storms(&self) -> &Storms {
        &self.troubles.storms
    }
}

/// `end` opens a connection, or answers one that does.
#[inline(never)]
fn opens(end: &mut End, seen: &Seen<'_>, ip: &Ip<'_>, tcp: &Tcp<'_>, out: &mut Vec<Derived>) {
    let Some(mss) = tcp.mss() else { return };
    end.announce(mss);
    if let Some(announced) = Announced::of(seen, ip, tcp, mss) {
        out.push(Derived::Announced(Arc::new(announced)));
    }
}

/// `frame` acknowledges what was not seen: it is told if it does not turn up.
#[cold]
fn wait(unseen: &mut VecDeque<Waiter>, frame: &Frame<'_>, flow: FlowKey, is_low: bool) {
    if unseen.len() < MOST_UNSEEN {
        let due = frame.order.after(OUT_OF_ORDER);
        unseen.push_back(Waiter { due, flow, is_low, cited: Cited::of(frame) });
    }
}

/// `end` sent data: how often so far, and when first. Only what wears two tags is remembered, but for what a service tag carries and any link
/// takes, and what a tunnel makes longer than that and sends whole.
#[inline]
fn queued(end: &mut End, frame: &Frame<'_>, tcp: &Tcp<'_>, packet_len: u32, assumed: u32) -> (u32, Timestamp) {
    let layers = &frame.layers;
    if layers.tag_depth() > 1 && !is_provided(&layers.tags(), packet_len, assumed) {
        return end.waiting_or_new().add(frame, tcp, packet_len);
    }
    if layers.has_tunnel() {
        let outer = layers.ip().filter(|ip| !ip.is_fragment()).map_or(0, |ip| ip.packet_len());
        // One packet: a super-frame inside would be no sign of room.
        if (assumed.saturating_add(1)..=packet_len.saturating_add(MOST_AROUND)).contains(&outer) {
            return end.waiting_or_new().add(frame, tcp, outer);
        }
    }
    if let Some(waiting) = end.waiting() {
        waiting.withdraw(tcp);
    }
    (1, frame.order)
}

/// Whether the outermost of two tags is a service tag, which is there to carry the other, and a packet of `packet_len` bytes in them is no longer than
/// a link takes that was not made for it: that it arrives is no news.
#[inline(never)]
fn is_provided(tags: &TagStack, packet_len: u32, assumed: u32) -> bool {
    tags.outer().is_some_and(|(kind, _)| kind == Tpid::S) && tags.carry(packet_len) <= assumed
}

impl Tracker for Flows {
    /// Nothing by this way: the world hands it every frame before it tells the others, who hear what follows.
    fn hears(&self) -> Kinds {
        Kinds::EMPTY
    }

    fn apply(&mut self, _seen: &Observation<'_>, _domains: &Domains, _out: &mut Vec<Derived>) {}

    fn next_deadline(&self) -> Option<Timestamp> {
        self.unseen.front().map(|waiter| waiter.due)
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        let Some(Waiter { flow, is_low, cited, .. }) = self.unseen.pop_front() else { return };
        let Some(Flow { ends: [low, high] }) = self.table.get_mut(&flow) else { return };
        let sender = if is_low { low } else { high };
        if let Some(Missing { acknowledgements, last, bytes }) = sender.overdue(now) {
            out.push(Derived::DataUnseen(Unseen { cited, acknowledgements, last, bytes }));
        }
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
