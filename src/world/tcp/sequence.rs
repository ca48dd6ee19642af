//! One end's sequence space (RFC 9293 section 3.4): how far its bytes were seen, and which of them were acknowledged unseen.
//! Nothing is concluded before the other end has acknowledged data that was seen: a capture may begin in mid-connection, keep the
//! first and last segments only, or show one direction. Numbers wrap; a leap past `FAR` is another connection's number.

use crate::value::{Span, Timestamp};

/// Holes of one end that are remembered; the oldest goes first.
const MOST_HOLES: usize = 8;
/// Bytes that no honest end has on the way at a time here; past it a number belongs to another connection, or to a forger.
const FAR: u32 = 1 << 24;
/// Half of the space: what lies further ahead lies behind.
const HALF: u32 = 1 << 31;
/// How long after its acknowledgement a segment may still turn up: files of two taps put together are some milliseconds apart.
pub const OUT_OF_ORDER: Span = Span::secs(1);

/// What was seen of the bytes that one end sent.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    state: State,
    /// The number behind the furthest byte that was seen or acknowledged.
    next: u32,
    /// Few ends ever have any.
    holes: Option<Box<Holes>>,
}

/// Bytes that were acknowledged and never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Acknowledgements that told of them.
    pub acknowledgements: u32,
    /// The last of these.
    pub last: Timestamp,
    /// How many bytes.
    pub bytes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing was heard of this end.
    #[default]
    Unheard,
    /// Its numbers are known, but no data of it was seen.
    Heard,
    /// Data was seen up to this number, and it was not acknowledged yet.
    Carrying(u32),
    /// Data was seen, and so was its acknowledgement: both directions are captured.
    Followed,
}

#[derive(Clone, Debug, Default)]
struct Holes(Vec<Hole>);

/// Bytes that were not seen, and how often they were acknowledged all the same, from when until when.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: u32,
    /// The number behind the last byte.
    end: u32,
    acknowledgements: u32,
    acknowledged: Option<(Timestamp, Timestamp)>,
}

impl Sequence {
    /// This end opens a connection, `seq` being its first number.
    pub fn open(&mut self, seq: u32) {
        *self = Self { state: State::Heard, next: seq, holes: None };
    }

    /// This end sent `length` numbers from `seq` on, `payload` bytes of them data.
    pub fn sent(&mut self, seq: u32, length: u32, payload: u32) {
        let end = seq.wrapping_add(length);
        let ahead = seq.wrapping_sub(self.next);
        if self.state == State::Unheard || is_far(ahead) {
            *self = Self { state: State::Heard, next: end, holes: None };
        } else {
            if let Some(holes) = self.holes.as_deref_mut().filter(|_| length > 0) {
                holes.fill(seq, end);
            }
            if (1..FAR).contains(&ahead) && self.state == State::Followed {
                self.holes.get_or_insert_default().add(self.next, seq);
            }
            if is_behind(self.next, end) {
                self.next = end;
            }
        }
        if self.state == State::Heard && payload > 0 {
            self.state = State::Carrying(end);
        }
    }

    /// The other end acknowledged all before `ack`, at `now`. Whether that covers bytes which nobody waits for yet: they are
    /// `overdue` after `OUT_OF_ORDER`.
    pub fn acknowledged(&mut self, ack: u32, now: Timestamp) -> bool {
        let ahead = ack.wrapping_sub(self.next);
        if self.state == State::Unheard || is_far(ahead) {
            return false;
        }
        if let State::Carrying(data) = self.state
            && is_behind(ack, self.next)
            && is_behind(data, ack)
        {
            self.state = State::Followed;
        }
        let mut is_new = false;
        // One number ahead is a FIN, or a keepalive's byte that was never data.
        if (1..FAR).contains(&ahead) {
            if ahead > 1 && self.state == State::Followed {
                is_new = !self.holes.get_or_insert_default().stretch(self.next, ack, now);
            }
            self.next = ack;
        }
        if let Some(holes) = &mut self.holes {
            is_new |= holes.acknowledge(ack, now);
        }
        is_new
    }

    /// What was acknowledged `OUT_OF_ORDER` before `now` or earlier and has not been seen since; it is told once.
    pub fn overdue(&mut self, now: Timestamp) -> Option<Missing> {
        let holes = self.holes.as_deref_mut()?;
        let mut missing = None;
        holes.0.retain(|hole| {
            let Some((_, last)) = hole.acknowledged.filter(|(first, _)| first.after(OUT_OF_ORDER) <= now) else {
                return true;
            };
            let sum = missing.get_or_insert(Missing { acknowledgements: 0, last, bytes: 0 });
            sum.acknowledgements = sum.acknowledgements.saturating_add(hole.acknowledgements);
            sum.last = sum.last.max(last);
            sum.bytes = sum.bytes.saturating_add(hole.end.wrapping_sub(hole.start));
            false
        });
        if holes.0.is_empty() {
            self.holes = None;
        }
        missing
    }
}

impl Holes {
    fn add(&mut self, start: u32, end: u32) {
        if self.0.len() >= MOST_HOLES {
            self.0.remove(0);
        }
        self.0.push(Hole { start, end, acknowledged: None, acknowledgements: 0 });
    }

    /// The bytes from `start` to `end` are acknowledged unseen; whether they follow such bytes, so that these wait for them.
    fn stretch(&mut self, start: u32, end: u32, now: Timestamp) -> bool {
        if let Some(hole) = self.0.last_mut().filter(|hole| hole.end == start)
            && let Some((_, last)) = &mut hole.acknowledged
        {
            (hole.end, *last) = (end, now);
            hole.acknowledgements = hole.acknowledgements.saturating_add(1);
            return true;
        }
        self.add(start, end);
        false
    }

    /// Whether all before `ack` covers a hole for the first time.
    fn acknowledge(&mut self, ack: u32, now: Timestamp) -> bool {
        let mut is_new = false;
        for hole in self.0.iter_mut().filter(|h| h.acknowledged.is_none() && is_behind(h.end, ack)) {
            (hole.acknowledged, hole.acknowledgements, is_new) = (Some((now, now)), 1, true);
        }
        is_new
    }

    /// The bytes from `start` to `end` were seen after all: sent again, or captured out of order.
    fn fill(&mut self, start: u32, end: u32) {
        let mut beyond = None;
        for hole in &mut self.0 {
            match (is_behind(start, hole.start), is_behind(hole.end, end)) {
                (true, true) => hole.start = hole.end,
                (true, false) if is_behind(hole.start, end) => hole.start = end,
                (false, true) if is_behind(start, hole.end) => hole.end = start,
                (false, false) => {
                    beyond = Some(Hole { start: end, ..*hole });
                    hole.end = start;
                }
                _ => {}
            }
        }
        self.0.retain(|hole| hole.start != hole.end);
        self.0.extend(beyond.filter(|_| self.0.len() < MOST_HOLES));
    }
}

/// Whether `number` is `limit` or lies before it.
const fn is_behind(number: u32, limit: u32) -> bool {
    limit.wrapping_sub(number) < HALF
}

/// Whether a number that far ahead, or behind, belongs to something else.
const fn is_far(ahead: u32) -> bool {
    ahead >= FAR && ahead.wrapping_neg() >= FAR
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `S(seq, len)`: the end sent; `A(ack)`: the other end acknowledged.
    #[derive(Clone, Copy)]
    enum Step {
        S(u32, u32),
        A(u32),
    }
    use Step::{A, S};

    /// How often somebody had to wait, and for how many acknowledgements and bytes in the end.
    fn holes(steps: &[Step]) -> (usize, u32, u32) {
        let (mut sequence, mut waits) = (Sequence::default(), 0);
        let now = Timestamp::from_parts(1, 0);
        for step in steps {
            match step {
                S(seq, len) => sequence.sent(*seq, *len, *len),
                A(ack) => waits += usize::from(sequence.acknowledged(*ack, now)),
            }
        }
        assert_eq!(sequence.overdue(now), None);
        let missing = sequence.overdue(now.after(OUT_OF_ORDER));
        assert!(sequence.holes.is_none_or(|holes| holes.0.iter().all(|hole| hole.acknowledged.is_none())));
        (waits, missing.map_or(0, |m| m.acknowledgements), missing.map_or(0, |m| m.bytes))
    }

    const NONE: (usize, u32, u32) = (0, 0, 0);

    #[test]
    fn data_that_is_acknowledged_and_not_there_is_a_hole() {
        assert_eq!(holes(&[S(100, 10), A(110), A(150)]), (1, 1, 40));
        assert_eq!(holes(&[S(100, 10), A(110), S(120, 10), A(110), A(130)]), (1, 1, 10));
        assert_eq!(holes(&[S(100, 10), A(110), A(150), A(150), S(150, 10), A(160)]), (1, 1, 40));
        // A burst is one wait, and each acknowledgement counts.
        assert_eq!(holes(&[S(100, 10), A(110), A(130), A(150), A(170)]), (1, 3, 60));
    }

    #[test]
    fn data_that_comes_late_or_again_fills_it() {
        assert_eq!(holes(&[S(100, 10), A(110), A(120), S(110, 10)]), (1, 0, 0));
        assert_eq!(holes(&[S(100, 10), A(110), S(120, 10), S(110, 10), A(130)]), NONE);
        assert_eq!(holes(&[S(100, 10), A(110), S(130, 10), S(110, 10), S(120, 5), A(140)]), (1, 1, 5));
        // The middle first, then the rest in any order.
        assert_eq!(holes(&[S(100, 10), A(110), A(140), S(120, 10), S(130, 10), S(110, 10)]), (1, 0, 0));
        assert_eq!(holes(&[S(100, 10), A(110), A(140), S(120, 10)]), (1, 2, 20));
    }

    #[test]
    fn a_capture_that_begins_in_mid_connection_or_shows_one_direction_says_nothing() {
        assert_eq!(holes(&[A(150), A(300)]), NONE);
        // The first segment seen is an old one, sent again.
        assert_eq!(holes(&[S(100, 10), A(300), S(300, 10), A(310)]), NONE);
        // Only the handshake and the end were kept.
        assert_eq!(holes(&[S(100, 0), A(100), S(5_000, 0), A(5_001)]), NONE);
    }

    #[test]
    fn keepalives_and_wrapped_numbers_are_ordinary_and_strange_ones_are_not_believed() {
        assert_eq!(holes(&[S(100, 10), A(110), S(109, 1), A(110), A(111)]), NONE);
        assert_eq!(holes(&[S(u32::MAX - 4, 10), A(5), S(5, 10), A(15)]), NONE);
        assert_eq!(holes(&[S(u32::MAX - 14, 10), A(u32::MAX - 4), A(5)]), (1, 1, 10));
        assert_eq!(holes(&[S(100, 10), A(110), A(1 << 25), S(110, 10), A(120)]), NONE);
        assert_eq!(holes(&[S(100, 10), A(110), S(1 << 30, 10), A((1 << 30) + 20)]), NONE);
    }

    #[test]
    fn another_connection_on_the_same_ports_begins_anew() {
        let mut sequence = Sequence::default();
        sequence.sent(100, 10, 10);
        sequence.acknowledged(110, Timestamp::MIN);
        sequence.open(100_000);
        sequence.sent(100_000, 1, 0);
        assert!(!sequence.acknowledged(100_001, Timestamp::MIN));
        assert!(!sequence.acknowledged(100_500, Timestamp::MIN), "no data of the new one was seen");
    }

    #[test]
    fn holes_are_bounded() {
        let mut sequence = Sequence::default();
        sequence.sent(0, 10, 10);
        sequence.acknowledged(10, Timestamp::MIN);
        (0..1_000_u32).for_each(|i| sequence.sent(20 + 20 * i, 10, 10));
        assert_eq!(sequence.holes.map(|holes| holes.0.len()), Some(MOST_HOLES));
        assert!(size_of::<Sequence>() <= 24);
    }
}
