//! A frame as JSON names it: where a reader finds it.

use serde::Serialize;

use crate::event::FrameRef;
use crate::value::{Outside, Timestamp};

/// Its vantage, its number there, and when it was captured.
#[derive(Serialize)]
pub(super) struct FrameView {
    vantage: Outside,
    number: u64,
    time: Timestamp,
}

impl FrameView {
    /// A frame as a reader finds it.
    pub(super) fn of(at: FrameRef, time: Timestamp, name_of: &dyn Fn(FrameRef) -> Outside) -> Self {
        Self { vantage: name_of(at), number: at.number, time }
    }
}
