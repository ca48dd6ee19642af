//! What one end of a connection has sent and the other has not acknowledged (RFC 9293 section 3.4): whether a segment proves that its
//! sender hears, or is sent again because nothing came back. Round trips past a second are not known here: a sender's own patience is.

use crate::value::{Span, Timestamp};
use crate::wire::Tcp;

/// How long an acknowledgement may take before sending again means something (findings.md 2.8; RFC 6298 section 2.4).
const PATIENCE: Span = Span::secs(1);

/// What a segment tells about hearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Its sender must have received something: it acknowledges what it had not acknowledged before, or answers a probe.
    pub is_proof: bool,
    /// It is sent again, and what it repeats has waited since then.
    pub waits_since: Option<Timestamp>,
}

/// What one end has sent and waits to hear of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outstanding {
    /// The oldest byte that was not acknowledged.
    una: u32,
    /// The byte after the last that was sent.
    next: u32,
    /// Since when `una` waits, or a probe does.
    since: Timestamp,
    is_known: bool,
    /// Whether the other end ever acknowledged something here: from then on it owes answers.
    is_answered: bool,
    is_probing: bool,
}

/// Whether `a` lies after `b`: sequence numbers wrap.
const fn is_after(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

impl Outstanding {
    /// This end sent a segment at `order`: since when what it repeats waits, if it repeats something that is owed an answer.
    pub fn sends(&mut self, tcp: &Tcp<'_>, order: Timestamp) -> Option<Timestamp> {
        let (seq, length) = (tcp.seq(), length(tcp));
        let end = seq.wrapping_add(length);
        if tcp.is_rst() {
            self.una = self.next;
            self.is_probing = false;
            return None;
        }
        if !self.is_known || (tcp.is_syn() && seq != self.una) {
            *self = Self { una: seq, next: end, since: order, is_known: true, ..Self::default() };
            return None;
        }
        let is_idle = self.una == self.next;
        if is_idle && length <= 1 && seq == self.next.wrapping_sub(1) && !tcp.is_syn() {
            return self.probes(order);
        }
        if length == 0 {
            return None;
        }
        if is_after(end, self.next) {
            if is_idle {
                // What lies between was sent unseen; nobody can say what became of it.
                (self.una, self.since, self.is_probing) = (seq, order, false);
            }
            self.next = end;
            return None;
        }
        let is_repeat = !is_idle && is_after(end, self.una);
        (is_repeat && self.is_owed(order)).then_some(self.since)
    }

    /// The other end sent `tcp`, which acknowledges: whether that proves that it received something. `is_bare` tells that the segment
    /// carries nothing of its own and is no probe.
    pub fn acknowledged(&mut self, tcp: &Tcp<'_>, is_bare: bool, order: Timestamp) -> bool {
        if !self.is_known {
            return false;
        }
        let ack = tcp.ack();
        if is_after(ack, self.una) {
            // What was acknowledged beyond the last byte seen was sent unseen.
            self.next = if is_after(ack, self.next) { ack } else { self.next };
            (self.una, self.since, self.is_answered, self.is_probing) = (ack, order, true, false);
            return true;
        }
        if ack != self.una || !is_bare {
            return false;
        }
        let was_probing = std::mem::take(&mut self.is_probing);
        let is_gap = self.una != self.next;
        if is_gap {
            // Said twice: something arrived, though not what is missing.
            self.since = order;
        }
        was_probing || (is_gap && tcp.sack_blocks().next().is_some())
    }

    /// Where the next new byte begins; a segment that begins before it says nothing new.
    pub const fn next(&self) -> u32 {
        self.next
    }

    fn probes(&mut self, order: Timestamp) -> Option<Timestamp> {
        if self.is_probing {
            return self.is_owed(order).then_some(self.since);
        }
        (self.is_probing, self.since) = (true, order);
        None
    }

    fn is_owed(&self, order: Timestamp) -> bool {
        self.is_answered && order.since(self.since) >= PATIENCE
    }
}

/// Sequence numbers that a segment takes.
fn length(tcp: &Tcp<'_>) -> u32 {
    tcp.payload_len().saturating_add(u32::from(tcp.is_syn())).saturating_add(u32::from(tcp.is_fin()))
}

/// Whether a segment only acknowledges: `own` is what its sender has outstanding, by which a keep-alive probe is told apart.
pub(super) fn is_bare(tcp: &Tcp<'_>, own: &Outstanding) -> bool {
    length(tcp) == 0 && !tcp.is_rst() && (!own.is_known || tcp.seq() == own.next())
}
