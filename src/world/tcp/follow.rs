//! A segment of a connection that goes on as it should: behind the last one of its end, acknowledging what was seen, and nobody in trouble.
//! It changes what any other changes, by the same functions, and nothing follows from it but that its sender may have heard something.

use super::end::End;
use super::key::FlowKey;
use super::numbers::Numbers;
use super::{Flow, Flows};
use crate::event::{Offload, VantageId};
use crate::value::{Spot, Timestamp};
use crate::wire::{Plain, Tcp};

/// A segment, and its connection.
pub struct Step {
    spot: Spot,
    /// Whether its sender is the lower end.
    is_low: bool,
    numbers: Numbers,
    packet_len: u16,
    /// Bytes of options.
    options: u8,
}

impl Flows {
    /// Where the connection of the segment that was taken in last lies, if it may go on as it should.
    pub const fn calm(&self) -> Option<Spot> {
        self.calm
    }

    /// Has the connection that lies there brought into the cache.
    #[inline(always)]
    pub fn prefetch(&self, spot: Spot) {
        self.table.prefetch(spot);
    }

    /// Whether packets of `packet_len` bytes travel on any link: whether longer ones do is learnt from what a tunnel makes of segments.
    pub const fn is_ordinary(&self, packet_len: u16) -> bool {
        packet_len as u32 <= self.assumed
    }

    /// The segment in its connection, which most likely lies `near`, if that goes on as it should; `offload` is what the kernel told of the frame.
    #[inline(always)]
    pub fn step(
        &self,
        near: Spot,
        vantage: VantageId,
        plain: &Plain<'_>,
        tcp: &Tcp<'_>,
        offload: Offload,
    ) -> Option<Step> {
        let packet_len = plain.packet_len();
        let is_packet = match offload {
            Offload::None | Offload::Unsummed => true,
            Offload::Unknown => u32::from(packet_len) <= self.assumed,
            Offload::Segmented { .. } => false,
        };
        if !is_packet {
            return None;
        }
        let (from, to) = ((plain.src(), tcp.src_port()), (plain.dst(), tcp.dst_port()));
        let (key, is_low) = FlowKey::of_ipv4(vantage, from, to);
        let spot = self.table.spot(near, &key)?;
        let (_, Flow { ends: [low, high] }) = self.table.peek_at(spot)?;
        let (own, peer) = if is_low { (low, high) } else { (high, low) };
        let is_news = self.troubles.is_watching() && peer.is_probed();
        let numbers = Numbers::plain(tcp);
        (own.steps(&numbers, peer) && !is_news).then_some(Step {
            spot,
            is_low,
            numbers,
            packet_len,
            options: u8::try_from(tcp.header_len().saturating_sub(20)).unwrap_or(0),
        })
    }

    /// Takes the segment in, which was seen at `vantage`. Whether its sender must have heard something.
    #[inline(always)]
    pub fn follow(&mut self, step: &Step, vantage: VantageId, now: Timestamp) -> bool {
        let Step { spot, is_low, numbers, packet_len, options } = step;
        let (Some(flow), Some(view)) = (self.table.get_at(*spot), self.views.entry(vantage)) else { return false };
        let [low, high] = &mut flow.ends;
        let (own, peer) = if *is_low { (low, high) } else { (high, low) };
        own.heard = now;
        view.is_two_way = true;
        if numbers.payload > 0 {
            own.options = *options;
            view.segments = view.segments.saturating_add(1);
        }
        let acknowledged = peer.acknowledged(numbers, own.is_bare(numbers), now);
        let sent = own.sends(numbers, u32::from(*packet_len), true, now);
        debug_assert!(!acknowledged.is_unseen && !sent.is_again && sent.waits_since.is_none());
        acknowledged.is_proof
    }
}

impl End {
    /// Whether `tcp` is the segment that this end is to send next, as far as anybody knows, and acknowledges what was seen of `peer`.
    #[inline(always)]
    fn steps(&self, tcp: &Numbers, peer: &Self) -> bool {
        let is_calm = self.is_calm() && peer.is_calm();
        is_calm && tcp.seq == self.next() && tcp.ack.is_some_and(|ack| peer.has_sent(ack))
    }
}
