//! Packets that arrive at a device and are longer than it takes, as far as the host tells what it takes (findings.md, MTU002). Super-frames
//! never count, and what is no TCP only where the kernel tells that it is none, or where it puts none together. At most 1,024 senders are held.

use std::sync::Arc;

use super::{DomainId, Host, Seen, Segment};
use crate::event::{Cited, Direction, Offload, Place, Vantage, VantageId};
use crate::value::{BoundedMap, Fingerprint, Mac, Span, Timestamp};
use crate::wire::Ip;

/// Senders that are remembered.
const MOST: usize = 1_024;
/// Vantages whose devices are looked up: no host has more devices that anybody captures at once.
const MOST_VANTAGES: usize = 512;
/// Bytes of an Ethernet header (IEEE 802.3-2018 clause 3.1.1): no shorter frame holds a packet of a given length.
const HEADER: u32 = 14;
/// Such packets of one sender from which on they are told: one may be a probe.
const TOLD_FROM: u64 = 3;
/// From then on no oftener than this.
const TOLD_EACH: Span = Span::secs(1);
/// Frames that are cited.
const CITED: u64 = 3;

/// A sender whose packets arrive and are longer than the device takes; told again when there is more to tell.
#[derive(Clone, Debug)]
pub struct Oversized {
    /// Where they arrive.
    pub vantage: VantageId,
    /// In which network.
    pub domain: DomainId,
    /// Who sends them, on this link.
    pub from: Mac,
    /// Bytes of layer 3 of the longest.
    pub packet_len: u32,
    /// Bytes of layer 3 that the device takes.
    pub mtu: u32,
    /// How many came.
    pub count: u64,
    /// When the first came.
    pub first: Timestamp,
    /// When the latest came.
    pub last: Timestamp,
    /// Bytes of layer 3 of the largest packet of their connections that was acknowledged; 0 if none was.
    pub delivered: u32,
    /// By what the sightings of the latest are found.
    pub packet: Option<Fingerprint>,
    /// Some of them.
    pub cited: Vec<Cited>,
}

/// What devices take, and who sends them more.
pub struct Oversizes {
    /// What the host tells of each vantage's device, in order of their ids.
    room: Vec<(VantageId, Room)>,
    /// No frame up to this length is too long for any of them.
    least: u32,
    senders: BoundedMap<(VantageId, Mac), Watched>,
}

/// What a device takes: so many bytes of layer 3, and of others only what is sent to this address, where one is told.
type Room = (u32, Option<Mac>);

struct Watched {
    so_far: Oversized,
    told: Option<Timestamp>,
}

impl Default for Oversizes {
    fn default() -> Self {
        Self { room: Vec::new(), least: u32::MAX, senders: BoundedMap::new(MOST) }
    }
}

impl Oversizes {
    /// There are other vantages, or the host's devices are not what they were.
    pub fn arrange(&mut self, vantages: &[(VantageId, Vantage)], host: &Host) {
        let known = vantages.iter().filter(|(_, vantage)| vantage.place != Place::Cooked).take(MOST_VANTAGES);
        self.room = known.filter_map(|(id, vantage)| Some((*id, host.room(vantage.name.raw())?))).collect();
        let least = self.room.iter().map(|(_, (mtu, _))| mtu.saturating_add(HEADER)).min();
        self.least = least.unwrap_or(u32::MAX);
    }

    /// Whether a frame of this length is worth a look: nearly none is.
    #[inline]
    pub const fn may_exceed(&self, wire_len: u32) -> bool {
        wire_len > self.least
    }

    /// Bytes of layer 3 that the device takes that `id` shows, as the host tells.
    pub fn mtu(&self, id: VantageId) -> Option<u32> {
        self.room(id).map(|(mtu, _)| mtu)
    }

    fn room(&self, id: VantageId) -> Option<Room> {
        let at = self.room.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.room.get(at).map(|(_, room)| *room)
    }

    /// A packet; `segment` is what is known of it where it is TCP outside of tunnels. What is to be told of its sender.
    pub fn note(&mut self, seen: &Seen<'_>, ip: &Ip<'_>, segment: Option<&Segment>) -> Option<Arc<Oversized>> {
        let frame = seen.frame;
        let (mtu, own) = self.room(frame.at.vantage)?;
        let to = frame.layers.link_dst()?;
        if own.is_some_and(|own| to != own && !to.is_group()) {
            return None;
        }
        // One tag has room of its own beside the MTU, and what a second one takes is another finding's (MTU001).
        if frame.direction == Direction::Out || frame.layers.tags().depth() > 1 {
            return None;
        }
        let is_whole = matches!(frame.offload, Offload::None | Offload::Unsummed);
        let is_echo = frame.layers.icmp().is_some() || frame.layers.icmpv6().is_some();
        let packet_len = match segment {
            Some(segment) if segment.is_super => return None,
            Some(segment) => segment.packet_len?,
            None => Some(ip.packet_len()).filter(|_| is_whole || is_echo)?,
        };
        if packet_len <= mtu {
            return None;
        }
        let (vantage, from, now) = (frame.at.vantage, frame.layers.link_src()?, frame.order);
        let watched = self.senders.entry(&(vantage, from), || Watched {
            told: None,
            so_far: Oversized {
                vantage,
                domain: seen.domain,
                from,
                packet_len,
                mtu,
                count: 0,
                first: frame.time,
                last: frame.time,
                delivered: 0,
                packet: None,
                cited: Vec::new(),
            },
        });
        let so_far = &mut watched.so_far;
        (so_far.last, so_far.mtu, so_far.packet) = (frame.time, mtu, seen.packet);
        so_far.packet_len = so_far.packet_len.max(packet_len);
        so_far.count = so_far.count.saturating_add(1);
        if so_far.count <= CITED {
            so_far.cited.push(Cited::of(frame));
        }
        so_far.delivered = so_far.delivered.max(segment.map_or(0, |segment| segment.delivered));
        if so_far.count < TOLD_FROM || watched.told.is_some_and(|told| now.since(told) < TOLD_EACH) {
            return None;
        }
        watched.told = Some(now);
        Some(Arc::new(so_far.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Frame, Record};
    use crate::wire::LinkType;
    use crate::world::{Domains, Hearing};

    const GUEST: Mac = Mac([0xfa, 0x16, 0x3e, 0, 0, 1]);
    const CARD: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 1]);
    const ID: VantageId = VantageId { lane: 0, interface: 0 };

    /// How many of five datagrams of L = `len` from the guest to `to`, behind these tags, are told of at the device of this `kind`, which takes 1500.
    fn told(
        kind: &str,
        (direction, offload): (Direction, Offload),
        len: u16,
        to: Mac,
        tags: &[u16],
    ) -> Option<(u64, u32)> {
        let mut host = Host::default();
        let link = format!(r#"{{"fact":"link","name":"eth0","kind":"{kind}","mtu":1500,"mac":"{CARD}"}}"#);
        host.learn(&serde_json::from_str(&link).unwrap());
        let mut oversizes = Oversizes::default();
        oversizes.arrange(&[(ID, Vantage::called("eth0", LinkType::Ethernet))], &host);
        let mut bytes = [to.0, GUEST.0].concat();
        tags.iter().for_each(|vid| bytes.extend([[0x81, 0], vid.to_be_bytes()].concat()));
        let [high, low] = len.to_be_bytes();
        bytes.extend([8, 0, 0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.resize(14 + 4 * tags.len() + usize::from(len), 0);
        let mut last = None;
        for number in 1..=5 {
            let time = Timestamp::from_parts(i64::try_from(number).unwrap(), 0);
            let wire_len = u32::try_from(bytes.len()).unwrap();
            let record = Record { interface: 0, number, time, wire_len, direction, offload, bytes: &bytes };
            let frame = Frame::decode(record, ID, LinkType::Ethernet, time);
            let mut domains = Domains::new(&crate::settings::Settings::default());
            let (domain, hearing) = (domains.note(&frame), Hearing::default());
            let seen = Seen {
                frame: &frame,
                domain,
                packet: None,
                hearing,
                is_at_member: false,
                was_at_member: false,
                is_at_once: false,
            };
            let note = oversizes.note(&seen, &frame.layers.ip().unwrap(), None);
            assert!(note.is_none() || oversizes.may_exceed(wire_len));
            last = note.map(|told| (told.count, told.packet_len)).or(last);
        }
        last
    }

    #[test]
    fn what_arrives_and_is_too_long_is_told_from_the_third_on() {
        let whole = (Direction::In, Offload::None);
        assert_eq!(told("tap", whole, 1_501, CARD, &[]), Some((5, 1_501)));
        assert_eq!(told("tap", whole, 1_500, CARD, &[]), None);
        // One tag has its own room; two are another rule's.
        assert_eq!(told("bond", whole, 1_500, CARD, &[100]), None);
        assert_eq!(told("bond", whole, 1_504, CARD, &[100]), Some((5, 1_504)));
        assert_eq!(told("bond", whole, 1_504, CARD, &[20, 100]), None);
    }

    #[test]
    fn what_no_wire_carried_or_is_not_for_the_device_is_not() {
        let super_frame = Offload::Segmented { segment: 1_448 };
        assert_eq!(told("tap", (Direction::In, super_frame), 9_000, CARD, &[]), None);
        assert_eq!(told("tap", (Direction::In, Offload::Unknown), 9_000, CARD, &[]), None);
        assert_eq!(told("tap", (Direction::Out, Offload::None), 9_000, CARD, &[]), None);
        // A mirror of other links, or a tunnel that is wider at its other end.
        assert_eq!(told("nic", (Direction::In, Offload::None), 1_600, GUEST, &[]), None);
        assert_eq!(told("nic", (Direction::In, Offload::None), 1_600, CARD, &[]), Some((5, 1_600)));
        assert_eq!(told("tunnel", (Direction::In, Offload::None), 1_600, CARD, &[]), None);
        assert_eq!(told("bridge", (Direction::In, Offload::None), 1_600, CARD, &[]), None);
    }
}
