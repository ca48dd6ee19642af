//! `netdiag record IFACE… -o DIR`: writes what live interfaces and their host say to a case folder, and judges nothing.

use super::args::Record;
use super::live::{Run, Session};
use super::{Exit, Progress};
use crate::finding::Command;
use crate::source::live::now;
use crate::source::{Item, Merge, Recorder, Rotation, Written};
use crate::value::Outside;

/// With what a recording is made.
const HOW: &str = concat!("netdiag ", env!("CARGO_PKG_VERSION"), ", record");
/// Files that a recording of bounded size is made of, at least: with each that is given up so much of it goes at once.
const PARTS: u64 = 16;
/// The least file that rotation makes, in bytes.
const LEAST: u64 = 1 << 20;

/// Runs the command.
///
/// # Errors
/// When no interface can be captured on, or the folder cannot be written.
pub fn run(args: &Record) -> anyhow::Result<Exit> {
    let (mut session, case) = Session::begin(&args.capture, args.count)?;
    let names: Vec<String> = case.lanes.iter().map(|lane| lane.path.to_string()).collect();
    let total = args.total.map(|bytes| bytes as u64);
    let size = args.rotate_size.map(|bytes| bytes as u64);
    let rotation = Rotation {
        size: size.or(total.and_then(|total| total.checked_div(PARTS))).map(|bytes| bytes.max(LEAST)),
        span: args.rotate_time,
        total,
    };
    let recorder = Recorder::create(&args.output, session.started(), &names, HOW, rotation)?;
    anstream::eprintln!("netdiag: recording into {}", Outside::from(args.output.to_string_lossy().as_ref()));
    let mut recording = Recording { merge: Merge::new(case.lanes, case.facts), recorder, has_failed: false };
    session.drive(&mut recording);
    let Recording { merge, recorder, .. } = recording;
    let written = recorder.finish(merge.end().unwrap_or_else(now), merge.missed())?;
    say_end(&written, merge);
    Ok(if session.is_troubled { Exit::Trouble } else { Exit::Clean })
}

/// A recording that runs.
struct Recording {
    merge: Merge,
    recorder: Recorder,
    has_failed: bool,
}

impl Run for Recording {
    fn go_on(&mut self) -> Progress {
        let Some(item) = self.merge.next() else { return Progress::Over };
        self.has_failed |= !self.recorder.item(&item);
        match item {
            _ if self.has_failed => Progress::Over,
            Item::Frame(..) => Progress::Frame,
            Item::Tick(time) => Progress::Idle(time),
            Item::Vantage(..) | Item::Fact(_) | Item::Lost(_) | Item::Ended(..) => Progress::Other,
        }
    }

    fn merge(&mut self) -> &mut Merge {
        &mut self.merge
    }

    fn is_futile(&self) -> bool {
        self.has_failed
    }
}

/// Says what was written, and what is missing in it.
fn say_end(written: &Written, merge: Merge) {
    let folder = Outside::from(written.path.to_string_lossy().as_ref());
    let Written { frames, files, given_up, shed, .. } = written;
    let kib = written.bytes.div_ceil(1 << 10);
    let review = Command::with("netdiag review {}", &[&folder]);
    let captures = if *files == 1 { "capture" } else { "captures" };
    anstream::eprintln!(
        "netdiag: {frames} frames and {kib} KiB in {files} {captures} in {folder}; `{}` judges them",
        review.as_str()
    );
    if *given_up > 0 {
        anstream::eprintln!("netdiag: {given_up} older captures were given up for newer ones, as --total asks for");
    }
    let lost = merge.outcomes().iter().map(|outcome| outcome.dropped).sum::<u64>() + shed;
    if lost > 0 {
        anstream::eprintln!(
            "netdiag: {lost} frames are missing: {shed} for which the disk was too slow, the others were lost before"
        );
    }
}
