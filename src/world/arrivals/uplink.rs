//! What arrives at one uplink: frames by the second, the head of the latest, and when the gap after it has become silence.

use crate::event::{Cited, Direction, Frame, FrameRef, Offload, Placed, Record, VantageId};
use crate::value::{Mac, Outside, Span, Timestamp};
use crate::wire::LinkType;
use crate::world::Derived;

/// Seconds for which frames are counted one by one.
const REMEMBERED: usize = 32;
/// Bytes kept of the latest frame: every header that a line about it is made of.
const KEPT: usize = 128;
/// Mean gaps between frames that a silence must last at least: ten gaps without a frame are chance once in 20,000 (e⁻¹⁰).
const GAPS: i64 = 10;
/// For how many times the span in which a link must be busy again a few frames must have come, each within that span of the one before.
const TRICKLE: i64 = 2;
/// Seconds in which a frame must have been seen elsewhere before silence is told.
const SECONDS_OF_LIFE: usize = 2;

/// Nothing arrives at an uplink.
#[derive(Clone, Debug)]
pub struct Silence {
    /// Where.
    pub vantage: VantageId,
    /// When the last frame arrived.
    pub since: Timestamp,
    /// That frame.
    pub last: Cited,
    /// How long nothing has arrived when this is told.
    pub lasted: Span,
    /// Frames that arrived in the 10 s before.
    pub before: u32,
    /// In how many of the seconds looked at, which are up to 30, a frame arrived.
    pub seconds_heard: u32,
    /// Seconds looked at.
    pub seconds: u32,
    /// Seconds since in which a frame was seen elsewhere.
    pub seconds_of_life: usize,
    /// Whether this vantage's own capture went on; where it ended, only others show that time passed.
    pub is_captured: bool,
    /// Who sent all that ever arrived, where that was one station.
    pub only: Option<Mac>,
}

/// One uplink.
pub(super) struct Uplink {
    /// Where.
    pub(super) vantage: VantageId,
    /// How the kernel calls it.
    pub(super) name: Outside,
    /// It has no carrier although it is switched on.
    pub(super) is_dark: bool,
    /// When the first frame arrived.
    pub(super) first: Timestamp,
    /// When the latest did, before a silence.
    pub(super) latest: Timestamp,
    /// Since when frames arrive without a silence between them.
    pub(super) heard_since: Timestamp,
    /// Frames so far.
    pub(super) seconds: Seconds,
    /// The beginning of the latest.
    pub(super) head: Head,
    /// Who sends what arrives.
    pub(super) senders: Senders,
    /// How it stands.
    pub(super) state: State,
    /// When to look at it next.
    pub(super) look: Timestamp,
}

/// Who sends what arrives at an uplink.
#[derive(Clone, Copy)]
pub(super) enum Senders {
    Nobody,
    One(Mac),
    Several,
}

/// How an uplink stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Frames arrive.
    Heard,
    /// Heard, and nobody has been seen to live since.
    Parked,
    /// Told once.
    Quiet,
    /// Told for good.
    Silent,
}

/// The beginning of the latest frame.
pub(super) struct Head {
    at: Option<FrameRef>,
    time: Timestamp,
    link: LinkType,
    wire_len: u32,
    len: usize,
    bytes: [u8; KEPT],
    /// Since it became silent: when frames came back, when the latest did, and how many.
    back: (Timestamp, Timestamp, u32),
}

/// Frames by the second.
#[derive(Default)]
pub(super) struct Seconds([(i64, u32); REMEMBERED]);

impl Uplink {
    /// An uplink at which nothing has arrived yet.
    pub(super) const fn new(vantage: VantageId, name: Outside) -> Self {
        Self {
            vantage,
            name,
            is_dark: false,
            first: Timestamp::MAX,
            latest: Timestamp::MIN,
            heard_since: Timestamp::MAX,
            seconds: Seconds([(0, 0); REMEMBERED]),
            head: Head {
                at: None,
                time: Timestamp::MIN,
                link: LinkType::Ethernet,
                wire_len: 0,
                len: 0,
                bytes: [0; KEPT],
                back: (Timestamp::MIN, Timestamp::MIN, 0),
            },
            senders: Senders::Nobody,
            state: State::Heard,
            look: Timestamp::MAX,
        }
    }

    /// Whether nothing has arrived yet.
    pub(super) const fn is_new(&self) -> bool {
        self.head.at.is_none()
    }

    /// Whether nothing arrives any more, and that was told.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.state, State::Quiet | State::Silent)
    }

    /// A frame has arrived.
    #[inline]
    pub(super) fn arrive(&mut self, frame: &Frame<'_>, second: i64, back: (Span, u32), out: &mut Vec<Derived>) {
        self.seconds.count(second);
        if self.is_new() {
            (self.first, self.heard_since) = (frame.order, frame.order);
        }
        if !matches!(self.senders, Senders::Several) {
            self.meet(frame);
        }
        if self.is_silent() {
            self.come_back(frame, back, out);
            return;
        }
        self.state = State::Heard;
        self.latest = self.latest.max(frame.order);
        self.keep(frame.at, frame.time, frame.link, frame.wire_len, frame.bytes);
    }

    /// Whether frames arrive, and of several stations.
    #[inline]
    pub(super) fn is_steady(&self) -> bool {
        self.state == State::Heard && matches!(self.senders, Senders::Several) && !self.is_new()
    }

    /// Takes a frame in where that is steady.
    #[inline]
    pub(super) fn go_on(&mut self, placed: &Placed<'_>, second: i64) {
        self.seconds.count(second);
        self.latest = self.latest.max(placed.order);
        let Record { time, wire_len, bytes, .. } = placed.record;
        self.keep(placed.at(), time, placed.link, wire_len, bytes);
    }

    /// Notes who sent the frame, as long as that was one station alone.
    fn meet(&mut self, frame: &Frame<'_>) {
        let Some(mac) = frame.layers.link_src() else { return };
        self.senders = match self.senders {
            Senders::Nobody => Senders::One(mac),
            Senders::One(one) if one == mac => return,
            Senders::One(_) | Senders::Several => Senders::Several,
        };
    }

    #[inline]
    fn keep(&mut self, at: FrameRef, time: Timestamp, link: LinkType, wire_len: u32, bytes: &[u8]) {
        let (head, len) = (&mut self.head, bytes.len().min(KEPT));
        (head.at, head.time, head.link, head.wire_len, head.len) = (Some(at), time, link, wire_len, len);
        if let (Some(to), Some(from)) = (head.bytes.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
    }

    /// A frame after silence: enough of them, or some for long enough, and it is over.
    fn come_back(&mut self, frame: &Frame<'_>, (within, most): (Span, u32), out: &mut Vec<Derived>) {
        let half = self.seconds.frames(self.latest, 10).checked_div(2).unwrap_or(0);
        let enough = half.clamp(1, most.max(1));
        let (now, head) = (frame.order, &mut self.head);
        let (start, latest, frames) = head.back;
        head.back = if now.since(latest) > within { (now, now, 1) } else { (start, now, frames.saturating_add(1)) };
        let (start, _, frames) = head.back;
        // Where a switch says hello and nobody else speaks the link lives, too.
        if frames >= enough || now.since(start) >= within.times(TRICKLE) {
            head.back = (Timestamp::MIN, Timestamp::MIN, 0);
            self.heard_since = start;
            out.push(Derived::Restored(self.vantage, self.latest));
            self.state = State::Heard;
            self.latest = now;
            self.keep(frame.at, frame.time, frame.link, frame.wire_len, frame.bytes);
        }
    }

    /// The moment to look at it has come.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        (briefly, long): (Span, Span),
        life: &Seconds,
        is_captured: bool,
        out: &mut Vec<Derived>,
    ) {
        let before = self.seconds.frames(self.latest, 10);
        // In 10 s there were so many frames, so this is how long it takes for the usual gap to have passed so often.
        let gaps = Span::secs(10).times(GAPS).as_nanos().checked_div(i64::from(before)).map_or(long, Span::nanos);
        let gaps = if self.is_dark { Span::ZERO } else { gaps };
        let stage = if self.state == State::Quiet { long } else { briefly };
        let awaited = gaps.max(stage);
        let lasted = now.since(self.latest);
        if lasted < awaited {
            // Not later than in a while: by then there may be more frames, and the usual gap is shorter.
            self.look = self.latest.after(awaited).min(now.after(stage));
            return;
        }
        let from = self.latest.max(Timestamp::from_nanos(now.nanos().saturating_sub(Span::secs(30).as_nanos())));
        let seconds_of_life = life.seconds(from, now);
        if seconds_of_life < SECONDS_OF_LIFE && !self.is_dark {
            (self.state, self.look) = (State::Parked, Timestamp::MAX);
            return;
        }
        let Some(last) = self.quote() else { return };
        let looked = self.latest.since(self.first).as_nanos().checked_div(1_000_000_000).unwrap_or(0).clamp(1, 30);
        let start = Timestamp::from_nanos(self.latest.nanos().saturating_sub(Span::secs(looked).as_nanos()));
        let heard = self.seconds.seconds(start, self.latest);
        out.push(Derived::Silent(Box::new(Silence {
            vantage: self.vantage,
            since: self.latest,
            last,
            lasted,
            before,
            seconds_heard: u32::try_from(heard).unwrap_or(0),
            seconds: u32::try_from(looked).unwrap_or(0),
            seconds_of_life,
            is_captured,
            only: if let Senders::One(mac) = self.senders { Some(mac) } else { None },
        })));
        let is_long = lasted >= gaps.max(long);
        self.state = if is_long { State::Silent } else { State::Quiet };
        self.look = if is_long { Timestamp::MAX } else { self.latest.after(gaps.max(long)) };
    }

    /// The latest frame, decoded again from what was kept of it.
    fn quote(&self) -> Option<Cited> {
        let head = &self.head;
        let at = head.at?;
        let record = Record {
            interface: at.vantage.interface,
            number: at.number,
            time: head.time,
            wire_len: head.wire_len,
            direction: Direction::In,
            offload: Offload::Unknown,
            bytes: head.bytes.get(..head.len)?,
        };
        Some(Cited::of(&Frame::decode(record, at.vantage, head.link, head.time)))
    }
}

impl Seconds {
    /// One frame more.
    #[inline]
    pub(super) fn count(&mut self, second: i64) {
        let at = second.rem_euclid(REMEMBERED as i64) as usize;
        if let Some((of, frames)) = self.0.get_mut(at) {
            *frames = if *of == second { frames.saturating_add(1) } else { 1 };
            *of = second;
        }
    }

    /// Frames in the `seconds` up to and with that of `until`, and one more for the second begun.
    fn frames(&self, until: Timestamp, seconds: i64) -> u32 {
        let last = until.second();
        let first = last.saturating_sub(seconds);
        self.0.iter().filter(|(of, _)| (first..=last).contains(of)).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// In how many of the seconds after that of `from` up to that of `until` a frame was counted.
    pub(super) fn seconds(&self, from: Timestamp, until: Timestamp) -> usize {
        let (from, until) = (from.second(), until.second());
        self.0.iter().filter(|(of, n)| *of > from && *of <= until && *n > 0).count()
    }
}
