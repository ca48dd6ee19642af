//! What one end of a connection has sent so far (RFC 9293 section 3.4), in as few words as will do: the number behind its last byte, so that
//! a segment that comes again is known as one; and the largest packet that was acknowledged, with the second in which one of that size was.
//! Every segment passes here; what follows from a repeat is remembered elsewhere.

use crate::value::Timestamp;

/// Half of the numbers: what lies further ahead lies behind.
const HALF: u32 = 1 << 31;
/// Bytes that no honest end has on the way at a time; past it a number belongs to another connection on the same ports.
const FAR: u32 = 1 << 26;

/// One end as a sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trail {
    /// The number behind the furthest byte; means nothing before the first segment.
    next: u32,
    /// The number behind the packet whose acknowledgement is awaited.
    probe_end: u32,
    /// Its length; 0 where none is awaited.
    probe_len: u16,
    /// The largest packet that was acknowledged; 0 if none was.
    largest: u16,
    /// The second since 1970 in which a packet of that size was acknowledged last.
    second: u32,
    /// Under which number its trouble is kept; 0 where it has none.
    pub trouble: u32,
    is_heard: bool,
}

/// What a segment is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Bytes that were not sent before, or none.
    New,
    /// Bytes that were sent before, or that stand before some that were.
    Again,
}

impl Trail {
    /// The end opens a connection with the number `seq`.
    pub fn open(&mut self, seq: u32) {
        *self = Self { next: seq, is_heard: true, ..Self::default() };
    }

    /// The end sent `payload` bytes, and `flags` numbers for SYN and FIN, from `seq` on in packets of `packet_len` bytes of layer 3.
    pub fn sent(&mut self, seq: u32, payload: u32, flags: u32, packet_len: u32) -> Sent {
        let end = seq.wrapping_add(payload).wrapping_add(flags);
        let behind = self.next.wrapping_sub(seq);
        let is_far = behind >= FAR && behind.wrapping_neg() >= FAR;
        if !self.is_heard || is_far {
            (self.next, self.is_heard, self.probe_len) = (end, true, 0);
        } else if behind != 0 && behind < HALF && payload > 0 {
            if is_behind(self.next, end) {
                self.next = end;
            }
            // A keepalive repeats the last byte, or one that was never sent.
            if payload == 1 && behind == 1 {
                return Sent::New;
            }
            // An acknowledgement does not tell which of the two arrived.
            if is_behind(seq, self.probe_end) {
                self.probe_len = 0;
            }
            return Sent::Again;
        } else if is_behind(self.next, end) {
            self.next = end;
        }
        let packet_len = u16::try_from(packet_len).unwrap_or(0);
        if end != seq && packet_len >= self.largest && packet_len > self.probe_len {
            (self.probe_end, self.probe_len) = (end, packet_len);
        }
        Sent::New
    }

    /// The other end acknowledged all before `ack`: gives the length of the packet that was awaited, if it is covered.
    pub fn acknowledged(&mut self, ack: u32, now: Timestamp) -> Option<u32> {
        if self.probe_len == 0 || !is_behind(self.probe_end, ack) {
            return None;
        }
        let arrived = std::mem::take(&mut self.probe_len);
        self.largest = self.largest.max(arrived);
        self.second = second_of(now);
        Some(u32::from(arrived))
    }

    /// The largest packet that was acknowledged, in bytes of layer 3; 0 if none was.
    pub const fn largest(&self) -> u32 {
        self.largest as u32
    }

    /// Whole seconds since a packet of the largest size was acknowledged.
    pub fn seconds_since(&self, now: Timestamp) -> u32 {
        second_of(now).saturating_sub(self.second)
    }
}

/// Whether `number` is `limit` or lies before it.
pub const fn is_behind(number: u32, limit: u32) -> bool {
    limit.wrapping_sub(number) < HALF
}

fn second_of(now: Timestamp) -> u32 {
    u32::try_from(now.nanos().div_euclid(1_000_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_parts(1_000, 0);

    #[test]
    fn what_was_sent_before_comes_again() {
        let mut trail = Trail::default();
        let sends = [(100, 10), (110, 10), (110, 10), (105, 30), (135, 5), (139, 1), (139, 2)];
        let told = sends.map(|(seq, payload)| trail.sent(seq, payload, 0, payload + 40));
        assert_eq!(told, [Sent::New, Sent::New, Sent::Again, Sent::Again, Sent::New, Sent::New, Sent::Again]);
    }

    #[test]
    fn numbers_wrap_and_ports_are_used_again() {
        let mut trail = Trail::default();
        assert_eq!(trail.sent(u32::MAX - 4, 10, 0, 50), Sent::New);
        assert_eq!((trail.sent(5, 10, 0, 50), trail.sent(u32::MAX - 4, 10, 0, 50)), (Sent::New, Sent::Again));
        assert_eq!(trail.sent(1 << 30, 10, 0, 50), Sent::New);
        trail.open(77);
        assert_eq!((trail.sent(77, 0, 1, 60), trail.sent(78, 10, 0, 50)), (Sent::New, Sent::New));
    }

    #[test]
    fn the_largest_packet_that_arrived_is_known() {
        let mut trail = Trail::default();
        trail.sent(0, 100, 0, 140);
        trail.sent(100, 1_460, 0, 1_500);
        trail.sent(1_560, 100, 0, 140);
        assert_eq!((trail.acknowledged(100, NOW), trail.largest()), (None, 0));
        assert_eq!(
            (trail.acknowledged(1_560, NOW), trail.largest(), trail.seconds_since(NOW)),
            (Some(1_500), 1_500, 0)
        );
    }

    #[test]
    fn what_was_sent_twice_proves_no_size() {
        let mut trail = Trail::default();
        trail.sent(0, 1_460, 0, 1_500);
        assert_eq!(trail.sent(0, 500, 0, 540), Sent::Again);
        assert_eq!((trail.acknowledged(1_460, NOW), trail.largest()), (None, 0));
        assert!(size_of::<Trail>() <= 24);
    }
}
