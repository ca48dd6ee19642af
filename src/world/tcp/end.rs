//! One end of a connection as a sender (RFC 9293 section 3.4): how far it has sent and was acknowledged, in one cache line, since every
//! segment passes both ends. From this follows whether a segment comes again, whether it proves that its sender hears, what was
//! acknowledged unseen, and how large a packet arrived. Numbers wrap; a leap past `FAR` is another connection's number.
//! Round trips past a second are not known here: a sender's own patience is.

use super::holes::{Holes, Missing};
use super::numbers::{Acknowledged, FAR, Numbers, Sent, is_after, is_behind, is_far};
use super::waiting::Queue;
use crate::value::{Span, Timestamp};

/// How long an acknowledgement may take before sending again means something (findings.md 2.8; RFC 6298 section 2.4).
const PATIENCE: Span = Span::secs(1);

/// Bytes of a packet that is small for bulk (RFC 791: what every host takes).
const SMALL: u32 = 576;

/// What is remembered of one end.
#[derive(Debug)]
pub struct End {
    /// When it was heard last; `MIN` if never.
    pub heard: Timestamp,
    /// Since when `una` waits, or a probe does.
    since: Timestamp,
    /// What only few ends have.
    aside: Option<Box<Aside>>,
    /// The oldest byte that was not acknowledged.
    una: u32,
    /// The number behind the furthest byte that was sent or acknowledged.
    next: u32,
    /// The number behind the furthest byte that was sent.
    sent: u32,
    /// The number behind the first data that was seen: once it is acknowledged, both directions are captured.
    data: u32,
    /// The number behind the packet whose acknowledgement is awaited, to learn that its size arrives.
    probe_end: u32,
    /// The second since 1970 in which a packet of the largest size was acknowledged last.
    second: u32,
    /// Under which number its trouble is kept; 0 where it has none.
    pub trouble: u32,
    /// The length of the packet whose acknowledgement is awaited; 0 where none is.
    probe_len: u16,
    /// The largest packet that was acknowledged, in bytes of layer 3; 0 if none was.
    largest: u16,
    /// Its segments with payload before the other end was heard.
    pub alone: u16,
    /// The MSS that it announced, the most that the other end may send it; 0 if it announced none.
    mss: u16,
    /// Bytes of options in its data segments; they are taken from the MSS.
    pub options: u8,
    stage: Stage,
    /// Whether the other end ever acknowledged something here: from then on it owes answers.
    is_answered: bool,
    is_probing: bool,
}

/// What was seen of the bytes of an end. Nothing is concluded from what is missing before the other end has acknowledged data that was seen:
/// a capture may begin in mid-connection, keep the first and last segments only, or show one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No numbers are known.
    #[default]
    Unheard,
    /// Its numbers are known, but no data of it was seen that could be counted.
    Heard,
    /// Data was seen, and it was not acknowledged yet.
    Carrying,
    /// Data was seen, and so was its acknowledgement.
    Followed,
}

/// What is seldom remembered.
#[derive(Debug, Default)]
struct Aside {
    holes: Holes,
    waiting: Queue,
}

impl Default for End {
    fn default() -> Self {
        Self {
            heard: Timestamp::MIN,
            since: Timestamp::MIN,
            aside: None,
            una: 0,
            next: 0,
            sent: 0,
            data: 0,
            probe_end: 0,
            second: 0,
            trouble: 0,
            probe_len: 0,
            largest: 0,
            alone: 0,
            mss: 0,
            options: 0,
            stage: Stage::Unheard,
            is_answered: false,
            is_probing: false,
        }
    }
}

impl End {
    /// Whether it sent anything.
    #[inline]
    pub fn is_heard(&self) -> bool {
        self.heard != Timestamp::MIN
    }

    /// Whether it was heard, and nothing of it is missing, waited for or in trouble.
    #[inline(always)]
    pub fn is_calm(&self) -> bool {
        let is_waited_for =
            self.aside.as_deref().is_some_and(|Aside { holes, waiting }| !(holes.is_empty() && waiting.is_empty()));
        self.is_heard() && self.stage != Stage::Unheard && self.trouble == 0 && !is_waited_for
    }

    /// Whether all before `number` is known to have been sent.
    #[inline]
    pub const fn has_sent(&self, number: u32) -> bool {
        is_behind(number, self.next)
    }

    /// Whether the acknowledgement of a packet is awaited, to learn that its size arrives.
    #[inline]
    pub const fn is_probed(&self) -> bool {
        self.probe_len > 0
    }

    /// The number behind the furthest byte that it sent, or that was acknowledged.
    #[inline]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Whether all that it sent was acknowledged.
    pub const fn is_acknowledged(&self) -> bool {
        self.una == self.next
    }

    /// The MSS that it announced.
    pub fn mss(&self) -> Option<u16> {
        Some(self.mss).filter(|mss| *mss > 0)
    }

    /// It announced `mss`.
    pub const fn announce(&mut self, mss: u16) {
        self.mss = mss;
    }

    /// The largest packet that was acknowledged, in bytes of layer 3; 0 if none was.
    pub const fn largest(&self) -> u32 {
        self.largest as u32
    }

    /// About how many segments with data it sent since data of it was seen first; fewer where it also sends small ones.
    pub fn segments(&self) -> u32 {
        let bytes = self.sent.wrapping_sub(self.data);
        let is_known = self.stage >= Stage::Carrying && !is_far(bytes);
        bytes.checked_div(self.largest().max(SMALL)).filter(|_| is_known).unwrap_or(0)
    }

    /// Whole seconds since a packet of the largest size was acknowledged.
    pub fn seconds_since(&self, now: Timestamp) -> u32 {
        second_of(now).saturating_sub(self.second)
    }

    /// Segments that wait for their acknowledgement, if any ever did.
    #[inline]
    pub fn waiting(&mut self) -> Option<&mut Queue> {
        self.aside.as_deref_mut().map(|aside| &mut aside.waiting)
    }

    /// The same, for the first of them.
    #[inline(never)]
    pub fn waiting_or_new(&mut self) -> &mut Queue {
        &mut self.aside.get_or_insert_default().waiting
    }

    /// Whether a segment only acknowledges, and is no keep-alive probe.
    #[inline]
    pub fn is_bare(&self, tcp: &Numbers) -> bool {
        tcp.len() == 0 && !tcp.is_rst && (self.stage == Stage::Unheard || tcp.seq == self.next)
    }

    /// It sent a segment in packets of `packet_len` bytes of layer 3; `is_counted` tells that these are all of its bytes.
    #[inline(always)]
    pub fn sends(&mut self, tcp: &Numbers, packet_len: u32, is_counted: bool, now: Timestamp) -> Sent {
        // The numbers of a reset may be anything, and nothing waits behind it.
        if tcp.is_rst {
            (self.una, self.is_probing) = (self.next, false);
            return Sent::default();
        }
        if tcp.is_syn {
            self.open(tcp.seq);
        }
        let ahead = tcp.seq.wrapping_sub(self.next);
        let is_other = is_far(ahead) || (tcp.is_syn && tcp.seq != self.una);
        let sent = if self.stage == Stage::Unheard || is_other {
            self.begin(tcp, now);
            self.awaits(tcp, packet_len);
            Sent::default()
        } else {
            let is_again = self.repeats(tcp, packet_len);
            Sent { is_again, waits_since: self.goes_on(tcp, ahead, now) }
        };
        if !is_counted {
            self.loses_count();
        } else if self.stage == Stage::Heard && tcp.payload > 0 {
            (self.stage, self.data) = (Stage::Carrying, tcp.end);
        }
        sent
    }

    /// It sent what nobody can count: what a fragment carries, or a packet without a length.
    #[inline(never)]
    pub fn loses_count(&mut self) {
        self.stage = self.stage.min(Stage::Heard);
        self.fills_all();
    }

    /// The other end acknowledged what this one sent; `is_bare` tells that the segment carries nothing of its own and is no probe.
    #[inline(always)]
    pub fn acknowledged(&mut self, tcp: &Numbers, is_bare: bool, now: Timestamp) -> Acknowledged {
        let Some(ack) = tcp.ack.filter(|ack| self.stage != Stage::Unheard && !is_far(ack.wrapping_sub(self.next)))
        else {
            return Acknowledged::default();
        };
        let is_unseen = !tcp.is_rst && self.covers_unseen(ack, now);
        let is_proof = if is_after(ack, self.una) {
            // What was acknowledged beyond the last byte seen was sent unseen.
            self.next = if is_after(ack, self.next) { ack } else { self.next };
            (self.una, self.since, self.is_answered, self.is_probing) = (ack, now, true, false);
            true
        } else {
            ack == self.una && is_bare && self.answers_probe(tcp, now)
        };
        Acknowledged { is_proof, is_unseen, arrived: self.arrived(ack, now) }
    }

    /// What was acknowledged long enough before `now` and has not been seen since; it is told once.
    pub fn overdue(&mut self, now: Timestamp) -> Option<Missing> {
        self.aside.as_deref_mut()?.holes.overdue(now)
    }

    /// It opens a connection with the number `seq`: what was learnt of sizes and trouble was of another.
    #[inline(never)]
    fn open(&mut self, seq: u32) {
        self.stage = self.stage.min(Stage::Heard);
        self.fills_all();
        (self.sent, self.probe_len, self.largest, self.second, self.trouble) = (seq, 0, 0, 0, 0);
    }

    /// Its first segment, or the first of another connection on the same ports.
    #[inline(never)]
    fn begin(&mut self, tcp: &Numbers, now: Timestamp) {
        (self.una, self.next, self.sent, self.since) = (tcp.seq, tcp.end, tcp.end, now);
        (self.stage, self.is_answered, self.is_probing, self.probe_len) = (Stage::Heard, false, false, 0);
        self.fills_all();
    }

    /// Whether a segment brings bytes that were sent before, or that stand before some that were.
    #[inline(always)]
    fn repeats(&mut self, tcp: &Numbers, packet_len: u32) -> bool {
        let behind = self.sent.wrapping_sub(tcp.seq);
        let is_new = tcp.payload == 0 || !is_after(self.sent, tcp.seq);
        if is_after(tcp.end, self.sent) {
            self.sent = tcp.end;
        }
        if is_new {
            self.awaits(tcp, packet_len);
            return false;
        }
        // A keepalive repeats the last byte, or one that was never sent.
        if tcp.payload == 1 && behind == 1 {
            return false;
        }
        // An acknowledgement does not tell which of the two arrived.
        if is_behind(tcp.seq, self.probe_end) {
            self.probe_len = 0;
        }
        true
    }

    /// Waits for the acknowledgement of a segment, if its size is not known to arrive.
    #[inline]
    fn awaits(&mut self, tcp: &Numbers, packet_len: u32) {
        let packet_len = u16::try_from(packet_len).unwrap_or(0);
        if tcp.len() > 0 && packet_len >= self.largest && packet_len > self.probe_len {
            (self.probe_end, self.probe_len) = (tcp.end, packet_len);
        }
    }

    /// All before `ack` arrived: the length of the packet that was awaited, if it is covered.
    #[inline]
    fn arrived(&mut self, ack: u32, now: Timestamp) -> Option<u32> {
        if self.probe_len == 0 || !is_behind(self.probe_end, ack) {
            return None;
        }
        let arrived = std::mem::take(&mut self.probe_len);
        (self.largest, self.second) = (self.largest.max(arrived), second_of(now));
        Some(u32::from(arrived))
    }

    /// A segment that begins `ahead` of the furthest byte: since when what it repeats waits, if it repeats something that is owed an answer.
    #[inline(always)]
    fn goes_on(&mut self, tcp: &Numbers, ahead: u32, now: Timestamp) -> Option<Timestamp> {
        let (len, is_idle) = (tcp.len(), self.una == self.next);
        if let Some(aside) = self.aside.as_deref_mut().filter(|_| len > 0) {
            aside.holes.fill(tcp.seq, tcp.end);
        }
        if (1..FAR).contains(&ahead) && self.stage == Stage::Followed {
            let next = self.next;
            self.holes().add(next, tcp.seq);
        }
        if is_after(tcp.end, self.next) {
            if is_idle {
                // What lies between was sent unseen; nobody can say what became of it.
                (self.una, self.since, self.is_probing) = (tcp.seq, now, false);
            }
            self.next = tcp.end;
            return None;
        }
        if is_idle && len <= 1 && ahead == u32::MAX && !tcp.is_syn {
            return self.probes(now);
        }
        let is_repeat = len > 0 && !is_idle && is_after(tcp.end, self.una);
        (is_repeat && self.is_owed(now)).then_some(self.since)
    }

    #[inline(never)]
    fn probes(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.is_probing {
            return self.is_owed(now).then_some(self.since);
        }
        (self.is_probing, self.since) = (true, now);
        None
    }

    fn is_owed(&self, now: Timestamp) -> bool {
        self.is_answered && now.since(self.since) >= PATIENCE
    }

    /// Whether saying once more what was acknowledged before proves that something was received.
    #[inline(never)]
    fn answers_probe(&mut self, tcp: &Numbers, now: Timestamp) -> bool {
        let was_probing = std::mem::take(&mut self.is_probing);
        let is_gap = self.una != self.next;
        if is_gap {
            // Said twice: something arrived, though not what is missing.
            self.since = now;
        }
        // Unasked, an end tells of room only: that it still has none is its answer (RFC 9293 section 3.8.6.1).
        was_probing || (is_gap && (tcp.has_blocks || tcp.is_full))
    }

    /// Whether all before `ack` covers bytes that were not seen, for which nobody waits yet.
    #[inline(always)]
    fn covers_unseen(&mut self, ack: u32, now: Timestamp) -> bool {
        if self.stage == Stage::Carrying && is_behind(ack, self.next) && is_behind(self.data, ack) {
            self.stage = Stage::Followed;
        }
        let (ahead, next) = (ack.wrapping_sub(self.next), self.next);
        // One number ahead is a FIN, or a keepalive's byte that was never data.
        let mut is_unseen = false;
        if (2..FAR).contains(&ahead) && self.stage == Stage::Followed {
            is_unseen = !self.holes().stretch(next, ack, now);
        }
        if let Some(aside) = self.aside.as_deref_mut() {
            is_unseen |= aside.holes.acknowledge(ack, now);
        }
        is_unseen
    }

    #[cold]
    fn holes(&mut self) -> &mut Holes {
        &mut self.aside.get_or_insert_default().holes
    }

    #[inline(never)]
    fn fills_all(&mut self) {
        if let Some(aside) = self.aside.as_deref_mut() {
            aside.holes = Holes::default();
        }
    }
}

fn second_of(now: Timestamp) -> u32 {
    u32::try_from(now.second()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
