//! A live run without a network: the captures of a case, played by a clock that jumps as the schedule has it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use netdiag::event::{Direction, Offload, Record};
use netdiag::source::{Interface, Source, SourceError, Step, open};
use netdiag::value::{Outside, Timestamp};

/// What a live source holds back.
pub const HOLD: i64 = 200_000_000;

/// A frame of a capture.
#[derive(Clone)]
pub struct Kept {
    /// When.
    pub time: Timestamp,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Which way.
    pub direction: Direction,
    /// What the kernel told.
    pub offload: Offload,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A live source without a network: it has a frame as soon as the clock says so.
pub struct Played {
    /// What it has.
    pub frames: Vec<Kept>,
    /// Frames that were told.
    pub next: usize,
    /// Where.
    pub interface: [Interface; 1],
    /// What time it is.
    pub clock: Arc<AtomicI64>,
    /// When frames were lost.
    pub losses: Vec<i64>,
}

impl Source for Played {
    fn advance(&mut self) -> Result<Step, SourceError> {
        let now = self.clock.load(Ordering::Relaxed);
        let lost = self.losses.iter().filter(|at| **at <= now).count() as u64;
        (self.interface[0].dropped, self.interface[0].missed) = (lost * 7, lost * 3);
        match self.frames.get(self.next) {
            Some(frame) if frame.time.nanos() <= now => {
                self.next += 1;
                Ok(Step::Record)
            }
            _ => Ok(Step::Idle(Timestamp::from_nanos(now - HOLD))),
        }
    }

    fn record(&self) -> Record<'_> {
        let Kept { time, wire_len, direction, offload, bytes } = &self.frames[self.next - 1];
        Record {
            interface: 0,
            number: self.next as u64,
            time: *time,
            wire_len: *wire_len,
            direction: *direction,
            offload: *offload,
            bytes,
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }

    fn format(&self) -> String {
        "played".to_owned()
    }

    fn position(&self) -> u64 {
        0
    }
}

/// Numbers that look random: a linear congruence (Knuth, MMIX).
pub struct Dice(pub u64);

impl Dice {
    /// One of 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The captures of a case with one interface each, in the order of their names.
pub fn captures_of(case: &Path, dice: &mut Dice) -> Vec<(String, Interface, Vec<Kept>)> {
    let mut captures = Vec::new();
    for file in super::files_below(case) {
        let mut source = open(&file).unwrap();
        let mut frames: Vec<Kept> = Vec::new();
        while source.advance() == Ok(Step::Record) {
            let Record { time, wire_len, direction, offload, bytes, .. } = source.record();
            // What only a packet ring tells.
            let offload = if offload == Offload::Unknown && dice.below(2) == 0 { Offload::None } else { offload };
            frames.push(Kept { time, wire_len, direction, offload, bytes: bytes.to_vec() });
        }
        let [interface] = source.interfaces() else { continue };
        let stem = file.file_name().unwrap().to_string_lossy().split(".pcap").next().unwrap().to_owned();
        let name = Some(interface.name.clone().unwrap_or_else(|| Outside::from(stem.as_str())));
        let about = Interface { name, tells_offload: dice.below(2) == 0, dropped: 0, end: None, ..interface.clone() };
        captures.push((stem, about, frames));
    }
    captures
}
