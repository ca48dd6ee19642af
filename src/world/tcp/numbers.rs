//! Sequence numbers (RFC 9293 section 3.4): what a segment says in them, and which lies before which. They wrap.

use crate::value::Timestamp;
use crate::wire::Tcp;

/// Half of the numbers: what lies further ahead lies behind.
const HALF: u32 = 1 << 31;
/// Bytes that no honest end has on the way at a time here; past it a number belongs to another connection, or to a forger.
pub const FAR: u32 = 1 << 24;

/// What a segment says in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// The first.
    pub seq: u32,
    /// That behind the last.
    pub end: u32,
    /// Bytes of data.
    pub payload: u32,
    /// That before which everything has arrived.
    pub ack: Option<u32>,
    /// Whether it opens a connection.
    pub is_syn: bool,
    /// Whether it breaks one off.
    pub is_rst: bool,
    /// Whether it tells of bytes that arrived beyond a hole.
    pub has_blocks: bool,
    /// Whether its sender has room for nothing.
    pub is_full: bool,
}

/// What a segment is to those that its sender sent before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// It has bytes that were sent before, or that stand before some that were.
    pub is_again: bool,
    /// What it repeats has waited for an answer since then, and an answer is owed.
    pub waits_since: Option<Timestamp>,
}

/// What a segment says of those that the other end sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its sender must have received something: it acknowledges what it had not acknowledged before, or answers a probe.
    pub is_proof: bool,
    /// It covers bytes that were not seen, for which nobody waits yet: they are `overdue` after `OUT_OF_ORDER`.
    pub is_unseen: bool,
    /// The length of the packet whose acknowledgement was awaited.
    pub arrived: Option<u32>,
}

impl Numbers {
    /// Those of a header.
    #[inline]
    pub fn of(tcp: &Tcp<'_>) -> Self {
        let (seq, payload) = (tcp.seq(), tcp.payload_len());
        let flags = u32::from(tcp.is_syn()).wrapping_add(tcp.is_fin().into());
        Self {
            seq,
            end: seq.wrapping_add(payload).wrapping_add(flags),
            payload,
            ack: Some(tcp.ack()).filter(|_| tcp.is_ack()),
            is_syn: tcp.is_syn(),
            is_rst: tcp.is_rst(),
            has_blocks: tcp.may_have_blocks() && tcp.sack_blocks().next().is_some(),
            is_full: tcp.window() == 0,
        }
    }

    /// Those of a plain segment.
    #[inline]
    pub const fn plain(tcp: &Tcp<'_>) -> Self {
        let (seq, payload) = (tcp.seq(), tcp.payload_len());
        let (end, ack) = (seq.wrapping_add(payload), Some(tcp.ack()));
        Self { seq, end, payload, ack, is_syn: false, is_rst: false, has_blocks: false, is_full: false }
    }

    /// How many there are.
    pub const fn len(&self) -> u32 {
        self.end.wrapping_sub(self.seq)
    }
}

/// Whether `number` is `limit` or lies before it.
pub const fn is_behind(number: u32, limit: u32) -> bool {
    limit.wrapping_sub(number) < HALF
}

/// Whether `a` lies after `b`.
pub const fn is_after(a: u32, b: u32) -> bool {
    !is_behind(a, b)
}

/// Whether a number that far ahead, or behind, belongs to something else.
pub const fn is_far(ahead: u32) -> bool {
    ahead >= FAR && ahead.wrapping_neg() >= FAR
}
