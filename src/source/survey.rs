//! A first look at a capture, before it is judged: from when to when it goes, and when it saw which packets, for the alignment of clocks.
//! Which packets are sampled follows from their content, so that two captures of the same traffic keep the same ones.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Step, open};
use crate::event::{Frame, VantageId};
use crate::value::{Fingerprint, Mac, Span, Timestamp};

/// Packets that are sampled of one capture; past it every second one is let go, again and again.
const MOST: usize = 1 << 16;

/// What a first look tells.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The first and the last moment; `None` where there is no frame.
    pub span: Option<(Timestamp, Timestamp)>,
    /// When each sampled packet passed, and who sent it; those that passed more than once have no moment.
    pub(super) sample: BTreeMap<Fingerprint, Option<(Timestamp, Mac)>>,
    /// Bits of a fingerprint that must be zero for a packet to be sampled.
    thinning: u32,
}

/// Looks at the capture at `path`, as far as it can be read.
pub fn survey(path: &Path) -> Survey {
    let mut survey = Survey::default();
    let Ok(mut source) = open(path) else { return survey };
    while source.advance() == Ok(Step::Record) {
        let record = source.record();
        let time = record.time;
        survey.span = Some(survey.span.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        if let Some(link) = source.interfaces().get(record.interface as usize).map(|interface| interface.link) {
            survey.note(&Frame::decode(record, VantageId::default(), link, time));
        }
    }
    survey
}

impl Survey {
    /// The same, as if stamps were `offset` later.
    #[must_use]
    pub(super) fn moved(mut self, offset: Span) -> Self {
        self.span = self.span.map(|(first, last)| (first.after(offset), last.after(offset)));
        for seen in self.sample.values_mut() {
            *seen = seen.map(|(at, sender)| (at.after(offset), sender));
        }
        self
    }

    fn note(&mut self, frame: &Frame<'_>) {
        let packet = frame.routed_fingerprint();
        if packet.0.trailing_zeros() < self.thinning {
            return;
        }
        let sender = frame.layers.link_src().unwrap_or(Mac::ZERO);
        self.sample.entry(packet).and_modify(|seen| *seen = None).or_insert(Some((frame.time, sender)));
        while self.sample.len() > MOST {
            self.thinning = self.thinning.saturating_add(1);
            let thinning = self.thinning;
            self.sample.retain(|packet, _| packet.0.trailing_zeros() >= thinning);
        }
    }
}
