//! What the merge hands out, copied and in its order: some 256 KiB at a time go to the thread that writes, or stay in memory.

use crate::event::{Direction, Drops, Fact, Offload, Record, Stamped, Vantage, VantageId};
use crate::source::Item;
use crate::value::Timestamp;

/// Bytes of a fact on the heap, roughly, so that a flood of them is counted too.
const FACT: usize = 256;

/// Some of what the merge handed out.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// The frames, one behind the other.
    bytes: Vec<u8>,
    /// Bytes that facts have elsewhere.
    facts: usize,
    frames: u64,
    /// The place of the first frame in the order.
    from: Option<Timestamp>,
}

/// One thing that was handed out.
#[derive(Debug)]
enum Entry {
    Vantage(VantageId, Box<Vantage>, Timestamp),
    Fact(Box<Stamped<Fact>>),
    Lost(VantageId, Timestamp, u64),
    Frame(Kept),
    Settled(Timestamp),
    Ended(u16, Timestamp),
}

/// A frame without its bytes.
#[derive(Debug)]
struct Kept {
    vantage: VantageId,
    time: Timestamp,
    order: Timestamp,
    wire_len: u32,
    captured: u32,
    direction: Direction,
    offload: Offload,
}

/// What a batch gives back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// A vantage appeared, and nothing before this moment was seen there.
    Vantage(VantageId, &'a Vantage, Timestamp),
    /// The host said something.
    Fact(&'a Stamped<Fact>),
    /// A vantage lost so many frames, as was told at this moment.
    Lost(VantageId, Timestamp, u64),
    /// A frame, with its vantage and its place in the order.
    Frame(Record<'a>, VantageId, Timestamp),
    /// Nothing earlier than this will come.
    Settled(Timestamp),
    /// Nothing more comes from a lane, which was listened to up to this moment.
    Ended(u16, Timestamp),
}

impl Batch {
    /// A batch with room for so many bytes of frames.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds what the merge hands out; nothing before `now` comes after it.
    pub(super) fn add(&mut self, item: &Item<'_>, now: Timestamp) {
        match item {
            Item::Frame(record, vantage, _, order) => {
                self.frames = self.frames.saturating_add(1);
                self.from = self.from.or(Some(*order));
                self.bytes.extend_from_slice(record.bytes);
                self.entries.push(Entry::Frame(Kept {
                    vantage: *vantage,
                    time: record.time,
                    order: *order,
                    wire_len: record.wire_len,
                    captured: u32::try_from(record.bytes.len()).unwrap_or(u32::MAX),
                    direction: record.direction,
                    offload: record.offload,
                }));
            }
            Item::Vantage(id, vantage) => self.entries.push(Entry::Vantage(*id, vantage.clone(), now)),
            Item::Fact(fact) => self.add_fact(fact.as_ref().clone()),
            Item::Lost(Drops { vantage, until, frames, .. }) => self.add_loss(*vantage, *until, *frames),
            Item::Ended(lane, until) => self.entries.push(Entry::Ended(*lane, until.unwrap_or(now))),
            Item::Tick(time) => match self.entries.last_mut() {
                Some(Entry::Settled(settled)) => *settled = *time,
                _ => self.entries.push(Entry::Settled(*time)),
            },
        }
    }

    /// Adds a fact.
    pub(super) fn add_fact(&mut self, fact: Stamped<Fact>) {
        self.facts = self.facts.saturating_add(FACT);
        self.entries.push(Entry::Fact(Box::new(fact)));
    }

    /// Adds that a vantage lost so many frames, as was told at `time`.
    pub(super) fn add_loss(&mut self, vantage: VantageId, time: Timestamp, frames: u64) {
        self.entries.push(Entry::Lost(vantage, time, frames));
    }

    /// Throws away the frames, and keeps the rest: how many there were of which vantage.
    pub(super) fn shed(&mut self) -> Vec<(VantageId, u64)> {
        let shed = self.counts();
        self.entries.retain(|entry| !matches!(entry, Entry::Frame(_)));
        self.bytes.clear();
        (self.frames, self.from) = (0, None);
        shed
    }

    /// How many frames of which vantage are in it.
    pub(super) fn counts(&self) -> Vec<(VantageId, u64)> {
        let mut counts: Vec<(VantageId, u64)> = Vec::new();
        for entry in &self.entries {
            let Entry::Frame(kept) = entry else { continue };
            match counts.iter_mut().find(|(vantage, _)| *vantage == kept.vantage) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => counts.push((kept.vantage, 1)),
            }
        }
        counts
    }

    /// Gives memory back that is not needed: nothing more is added.
    pub(super) fn trim(&mut self) {
        self.bytes.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Whether nothing was added.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Frames in it.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// The place of its first frame in the order.
    pub(super) const fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Bytes of memory that it takes once it is trimmed: about as many as it becomes in a file.
    pub(super) const fn weight(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Entry>());
        self.bytes.len().saturating_add(entries).saturating_add(self.facts)
    }

    /// What was added, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut rest = self.bytes.as_slice();
        self.entries.iter().map(move |entry| match entry {
            Entry::Vantage(id, vantage, since) => Piece::Vantage(*id, vantage, *since),
            Entry::Fact(fact) => Piece::Fact(fact),
            Entry::Lost(vantage, time, frames) => Piece::Lost(*vantage, *time, *frames),
            Entry::Settled(time) => Piece::Settled(*time),
            Entry::Ended(lane, until) => Piece::Ended(*lane, *until),
            Entry::Frame(kept) => {
                let (bytes, after) = rest.split_at_checked(kept.captured as usize).unwrap_or_default();
                rest = after;
                Piece::Frame(kept.record(bytes), kept.vantage, kept.order)
            }
        })
    }
}

impl Kept {
    const fn record<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        Record {
            interface: self.vantage.interface,
            // Its number follows from its place in the file.
            number: 0,
            time: self.time,
            wire_len: self.wire_len,
            direction: self.direction,
            offload: self.offload,
            bytes,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::LinkType;

    /// A vantage by its number.
    pub(in crate::source::record) const fn at(lane: u16) -> VantageId {
        VantageId { lane, interface: 0 }
    }

    /// A frame as the merge hands it out, `nanos` after 1970.
    pub(in crate::source::record) const fn frame(lane: u16, nanos: i64, bytes: &[u8]) -> Item<'_> {
        let time = Timestamp::from_nanos(nanos);
        let record = Record {
            interface: 0,
            number: 0,
            time,
            wire_len: 60,
            direction: Direction::In,
            offload: Offload::None,
            bytes,
        };
        Item::Frame(record, at(lane), LinkType::Ethernet, time)
    }

    #[test]
    fn what_is_added_comes_back_in_order() {
        let mut batch = Batch::default();
        for item in [frame(0, 5, b"one"), frame(1, 6, b""), frame(0, 7, b"three")] {
            batch.add(&item, Timestamp::MIN);
        }
        batch.add(&Item::Tick(Timestamp::from_nanos(8)), Timestamp::MIN);
        batch.add(&Item::Tick(Timestamp::from_nanos(9)), Timestamp::MIN);
        let told: Vec<String> = batch
            .pieces()
            .map(|piece| match piece {
                Piece::Frame(record, vantage, order) => {
                    format!("{} {} {}", vantage.lane, order.nanos(), String::from_utf8_lossy(record.bytes))
                }
                Piece::Settled(time) => format!("settled {}", time.nanos()),
                _ => panic!("nothing else was added"),
            })
            .collect();
        assert_eq!(told, ["0 5 one", "1 6 ", "0 7 three", "settled 9"]);
        assert_eq!((batch.frames(), batch.from()), (3, Some(Timestamp::from_nanos(5))));
    }

    #[test]
    fn only_frames_are_shed() {
        let mut batch = Batch::default();
        batch.add(&frame(0, 5, b"one"), Timestamp::MIN);
        batch.add_loss(at(0), Timestamp::MIN, 7);
        batch.add(&frame(0, 6, b"two"), Timestamp::MIN);
        assert_eq!(batch.shed(), [(at(0), 2)]);
        assert!(matches!(batch.pieces().collect::<Vec<_>>().as_slice(), [Piece::Lost(_, _, 7)]));
    }
}
