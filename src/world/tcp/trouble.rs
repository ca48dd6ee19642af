//! Ends that had to send again: which segment, of which size, how often, and what got through meanwhile in the same direction. A segment that is
//! sent again and again while smaller packets arrive is the mark of a path that takes less than its sender thinks.
//! At most 4,096 ends and 1,024 paths are held, those without news for longest go first; nothing is held of an end that never repeats.

use std::sync::Arc;

use super::end::End;
use super::numbers::is_behind;
use super::storm::Storms;
use super::stuck::{Freed, Held, Passing, PathKey, Stuck, is_as_large};
use crate::event::Cited;
use crate::settings::Settings;
use crate::value::{BoundedMap, Span, Timestamp};
use crate::wire::{Ip, Tcp};
use crate::world::Derived;

/// Ends in trouble.
const MOST_ENDS: usize = 4_096;
/// Paths on which a segment is stuck.
const MOST_PATHS: usize = 1_024;
/// Segments that an end is taken to have sent in the thirty seconds before its trouble, at most: more would hide what comes.
const MOST_CREDIT: u32 = 1_000;
/// Latest segments of an end in trouble that are remembered, to tell a repeat from a segment that was overtaken or captured twice.
const RECENT: usize = 16;
/// Seconds after which a packet that arrived says nothing of the path as it is now.
const RECENTLY: u32 = 60;
/// Two captures of one segment lie closer than this, two sendings do not: no round trip and no timer is shorter.
const CAPTURED_TWICE: Span = Span::millis(1);
/// A segment that was overtaken on the way follows within this; one that comes later was sent again (Wireshark's own measure).
const OVERTAKEN: Span = Span::millis(3);
/// All ends in trouble.
pub struct Troubles {
    ends: BoundedMap<u32, Trouble>,
    paths: BoundedMap<PathKey, Watched>,
    /// How much is sent again between two hosts.
    pub storms: Storms,
    latest: u32,
    sends: u32,
}

/// A path on which a segment is stuck: what any connection got through.
struct Watched {
    packet_len: u32,
    small: Option<Timestamp>,
    large: Option<Timestamp>,
    /// What was told, if anything was.
    told: Option<Arc<Stuck>>,
}

#[derive(Default)]
struct Trouble {
    recent: [(u32, Timestamp); RECENT],
    at: usize,
    held: Option<Held>,
    /// Bytes that arrived beyond a hole: the number where it begins, the longest run of them, and when that was told.
    beyond: Option<(u32, u32, Timestamp)>,
    /// Data of this end was sent again, and then acknowledged in a small packet: up to which number, the number of that packet, and when.
    relieved: Option<(u32, u32, Timestamp)>,
    /// The latest timestamp of its data, and the number of the latest packet that bore it.
    newest: Option<(u32, u16)>,
    /// The number up to which the other end has acknowledged, since the trouble began.
    acked: Option<u32>,
    is_closed: bool,
}

impl Troubles {
    /// Nobody is in trouble.
    pub fn new(settings: &Settings) -> Self {
        Self {
            ends: BoundedMap::new(MOST_ENDS),
            paths: BoundedMap::new(MOST_PATHS),
            storms: Storms::default(),
            latest: 0,
            sends: settings.mtu.lost_sends,
        }
    }

    /// Whether any path is watched, so that deliveries on it are worth telling.
    pub fn is_watching(&self) -> bool {
        !self.paths.is_empty()
    }

    /// A segment of a connection of which one end is in trouble, or may be from now on, or which tells that a packet of `arrived` bytes has
    /// arrived at its sender.
    #[inline(never)]
    pub fn hear(
        &mut self,
        passing: &Passing<'_>,
        arrived: Option<u32>,
        own: &mut End,
        peer: &mut End,
        out: &mut Vec<Derived>,
    ) {
        if let Some(arrived) = arrived {
            self.delivered(passing, arrived, out);
        }
        self.note(passing, own, peer, out);
    }

    /// A packet of `packet_len` bytes of some connection arrived at the sender of `passing`.
    fn delivered(&mut self, passing: &Passing<'_>, packet_len: u32, out: &mut Vec<Derived>) {
        let frame = passing.seen.frame;
        let key = (frame.at.vantage, passing.ends.1, passing.ends.0);
        let Some(watched) = self.paths.get_mut(&key) else { return };
        if !is_as_large(packet_len, watched.packet_len) {
            watched.small = Some(frame.order);
            return;
        }
        watched.large = Some(frame.order);
        if let Some(stuck) = watched.told.take() {
            let Stuck { path, ports, sends, first, .. } = *stuck;
            let cited = Cited::of(frame);
            let freed = Freed { path, ports, packet_len, pieces: None, sends, first, cited };
            out.push(Derived::SegmentFreed(Arc::new(freed)));
        }
    }

    /// A segment of a connection of which one end is in trouble, or is from now on.
    fn note(&mut self, passing: &Passing<'_>, own: &mut End, peer: &mut End, out: &mut Vec<Derived>) {
        if passing.tcp.is_rst() || passing.tcp.is_syn() {
            self.ends.remove(&own.trouble);
            self.ends.remove(&peer.trouble);
            return;
        }
        if peer.trouble == 0 && passing.tcp.sack_blocks().next().is_some() {
            self.begin(peer, passing);
        }
        self.answered(passing, peer, out);
        if passing.tcp.payload_len() > 0 {
            self.sent(passing, own, peer, out);
        } else if let Some(held) = self.held(own) {
            held.answer(passing);
        }
    }

    fn begin(&mut self, end: &mut End, passing: &Passing<'_>) {
        self.storms.credit(passing, end.segments().min(MOST_CREDIT));
        self.latest = self.latest.wrapping_add(1).max(1);
        end.trouble = self.latest;
        self.ends.insert(end.trouble, Trouble::default());
    }

    fn held(&mut self, end: &End) -> Option<&mut Held> {
        self.ends.get_mut(&end.trouble)?.held.as_mut()
    }

    /// The segment speaks for its sender as a receiver: what it acknowledges, and that it lives.
    fn answered(&mut self, passing: &Passing<'_>, peer: &End, out: &mut Vec<Derived>) {
        let (tcp, now) = (passing.tcp, passing.seen.frame.order);
        let Some(trouble) = self.ends.get_mut(&peer.trouble) else { return };
        let was_known = trouble.held.as_ref().is_some_and(|held| held.small.is_some());
        trouble.is_closed = tcp.window() == 0;
        trouble.acked = Some(tcp.ack()).filter(|_| tcp.is_ack()).or(trouble.acked);
        trouble.note_blocks(tcp, now);
        let Some(held) = trouble.held.as_mut() else { return };
        if tcp.is_ack() && is_behind(held.end, tcp.ack()) {
            if held.is_told {
                self.paths.remove(&held.key());
                out.push(Derived::SegmentFreed(Arc::new(held.freed(passing))));
            }
            trouble.held = None;
            trouble.relieved = Some((tcp.ack(), tcp.seq(), now)).filter(|_| tcp.payload_len() == 0);
            return;
        }
        held.hear(passing, now);
        if held.small.is_some() && !was_known && !trouble.is_closed {
            self.judge(peer, now, out);
        }
    }

    /// An end that is in trouble sent data.
    fn sent(&mut self, passing: &Passing<'_>, own: &mut End, peer: &End, out: &mut Vec<Derived>) {
        let (tcp, now) = (passing.tcp, passing.seen.frame.order);
        let is_again = passing.is_again;
        if self.ends.peek(&own.trouble).is_none() {
            own.trouble = 0;
            if !is_again {
                return;
            }
            self.begin(own, passing);
        }
        let relieved = self.ends.peek(&peer.trouble).and_then(|trouble| trouble.relieved);
        let trouble = self.ends.entry(&own.trouble, Trouble::default);
        let is_overtaken = trouble.is_overtaken(passing) && is_again;
        let is_repeat = is_again && !is_overtaken && trouble.is_repeat(tcp.seq(), now);
        trouble.remember(tcp.seq(), now);
        // What was acknowledged already is sent again for want of patience, not for want of arrival.
        let is_spurious =
            trouble.acked.is_some_and(|acked| is_behind(tcp.seq().wrapping_add(tcp.payload_len()), acked));
        if !is_again || is_overtaken || (is_repeat && !is_spurious) {
            self.storms.count(passing, is_again && !is_overtaken, out);
        }
        let is_repeat = is_repeat && !is_spurious;
        if is_repeat && trouble.hold(passing, relieved) && !trouble.is_closed {
            self.judge(own, now, out);
        }
    }

    /// Tells what is stuck, once it was sent often enough over long enough.
    fn judge(&mut self, end: &End, now: Timestamp, out: &mut Vec<Derived>) {
        let Some(held) = self.ends.get_mut(&end.trouble).and_then(|trouble| trouble.held.as_mut()) else { return };
        let fresh = || Watched { packet_len: held.packet_len, small: None, large: None, told: None };
        let watched = self.paths.entry(&held.key(), fresh);
        if held.sends < self.sends || held.is_small_lost {
            return;
        }
        let is_recent = is_as_large(end.largest(), held.packet_len) && end.seconds_since(now) < RECENTLY;
        let stuck = Arc::new(held.told((watched.small, watched.large), (end.largest(), is_recent)));
        held.is_told = true;
        watched.told = Some(Arc::clone(&stuck));
        out.push(Derived::SegmentStuck(stuck));
    }
}

impl Trouble {
    /// Whether a segment left its sender before another that came earlier, as its timestamp tells: it was overtaken, however late it is. Clocks
    /// tick once a second at worst (RFC 7323 section 5.4); within a tick the number of the packet tells, where the sender counts its packets.
    fn is_overtaken(&mut self, passing: &Passing<'_>) -> bool {
        let Some((stamp, _)) = passing.tcp.timestamps() else { return false };
        let number = match passing.seen.frame.layers.inner_ip() {
            Some(Ip::V4(ip)) => ip.id(),
            _ => 0,
        };
        let (newest, latest) = *self.newest.get_or_insert((stamp, number));
        let ahead = number.wrapping_sub(latest);
        let is_before = if stamp == newest { ahead >= 1 << 15 } else { is_behind(stamp, newest) };
        if !is_before {
            self.newest = Some((stamp, number));
        }
        is_before
    }

    /// Whether a segment that begins before some that were sent is a repeat; it may have been captured twice, or overtaken on the way.
    fn is_repeat(&self, seq: u32, now: Timestamp) -> bool {
        let known = || self.recent.iter().filter(|(_, at)| *at != Timestamp::default());
        if let Some((_, before)) = known().find(|(s, _)| *s == seq) {
            return now.since(*before) >= CAPTURED_TWICE;
        }
        if known().all(|(s, _)| is_behind(seq, *s)) {
            return true;
        }
        let next = known().filter(|(s, _)| is_behind(seq, *s)).min_by_key(|(s, _)| s.wrapping_sub(seq));
        next.is_none_or(|(_, at)| now.since(*at) >= OVERTAKEN)
    }

    fn remember(&mut self, seq: u32, now: Timestamp) {
        let known = self.recent.iter().position(|(s, at)| *s == seq && *at != Timestamp::default());
        if let Some(slot) = self.recent.get_mut(known.unwrap_or(self.at)) {
            *slot = (seq, now);
        }
        if known.is_none() {
            self.at = if self.at.saturating_add(1) < RECENT { self.at.saturating_add(1) } else { 0 };
        }
    }

    /// What arrived beyond a hole, as the other end tells; a block below it tells of bytes that came twice (RFC 2883).
    fn note_blocks(&mut self, tcp: &Tcp<'_>, now: Timestamp) {
        let beyond = tcp.sack_blocks().filter(|(start, _)| !is_behind(*start, tcp.ack()));
        let Some(longest) = beyond.map(|(start, end)| end.wrapping_sub(start)).max() else { return };
        self.beyond = Some((tcp.ack(), longest, now));
        if let Some(held) = self.held.as_mut().filter(|held| held.seq == tcp.ack()) {
            held.arrived(longest, now);
        }
    }

    /// Takes a repeat in; whether it is the segment that is waited for.
    fn hold(&mut self, passing: &Passing<'_>, relieved: Option<(u32, u32, Timestamp)>) -> bool {
        let tcp = passing.tcp;
        let Some(held) = self.held.as_mut().filter(|held| !is_behind(tcp.seq().wrapping_add(1), held.seq)) else {
            self.held = Held::of(passing);
            let Some(held) = &mut self.held else { return false };
            if let Some((_, longest, at)) = self.beyond.filter(|(hole, ..)| *hole == held.seq) {
                held.arrived(longest, at);
            }
            // The small packet left after this segment did: its number says so.
            if let Some((acknowledged, _, at)) = relieved.filter(|(_, number, _)| is_behind(held.end, *number)) {
                held.answered = Some((acknowledged, at));
            }
            return false;
        };
        held.again(passing)
    }
}
