//! Segments in two tags or more that wait for their acknowledgement: which were sent again, and which arrived.

use super::numbers::is_behind;
use crate::event::Frame;
use crate::value::{TagStack, Timestamp};
use crate::wire::Tcp;
use crate::world::{Derived, Passed};

/// Segments of one end that wait; the first ones tell the story.
const MOST_WAITING: usize = 8;

/// A segment that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    seq: u32,
    end: u32,
    packet_len: u32,
    tags: TagStack,
    first: Timestamp,
    sends: u32,
}

/// Those of one end, in the order in which they were sent first.
#[derive(Debug, Default)]
pub struct Queue(Vec<Waiting>);

impl Queue {
    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A segment was sent in two tags or more, in packets of `packet_len` bytes: how often so far, and when first.
    #[inline(never)]
    pub fn add(&mut self, frame: &Frame<'_>, tcp: &Tcp<'_>, packet_len: u32) -> (u32, Timestamp) {
        let (seq, end) = (tcp.seq(), tcp.seq().wrapping_add(tcp.payload_len()));
        // Cut smaller, it arrives however narrow the path is: when it does, nobody can say in which packets (RFC 4821 section 7.6).
        let is_apart = |w: &Waiting| is_behind(w.end, seq) || is_behind(end, w.seq) || packet_len >= w.packet_len;
        self.0.retain(|w| tcp.payload_len() == 0 || is_apart(w));
        // A super-frame is sent again piece by piece, so that a segment is known by where it begins.
        if let Some(waiting) = self.0.iter_mut().find(|w| w.seq == seq) {
            waiting.sends = waiting.sends.saturating_add(1);
            return (waiting.sends, waiting.first);
        }
        if self.0.len() < MOST_WAITING {
            let tags = frame.layers.tags();
            self.0.push(Waiting { seq, end, packet_len, tags, first: frame.order, sends: 1 });
        }
        (1, frame.order)
    }

    /// What the segment holds was sent once more in fewer tags, or in packets that any link takes: when it arrives, nobody can say in which.
    #[inline(never)]
    pub fn withdraw(&mut self, tcp: &Tcp<'_>) {
        let (seq, end) = (tcp.seq(), tcp.seq().wrapping_add(tcp.payload_len()));
        self.0.retain(|w| is_behind(w.end, seq) || is_behind(end, w.seq));
    }

    /// `frame` acknowledges all before `ack`.
    #[inline(never)]
    pub fn acknowledged(&mut self, ack: u32, frame: &Frame<'_>, out: &mut Vec<Derived>) {
        self.0.retain(|waiting| {
            let is_waiting = !is_behind(waiting.end, ack);
            if !is_waiting {
                out.push(Derived::Delivered(Passed {
                    at: frame.at,
                    direction: frame.direction.reversed(),
                    tags: waiting.tags,
                    packet_len: waiting.packet_len,
                }));
            }
            is_waiting
        });
    }
}
