//! `netdiag live IFACE…`: judges live interfaces, says what is wrong while it happens, and reports at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::args::{self, Backend, Format, Live};
use super::review::{read_settings, say_text, write_evidence};
use super::{Exit, Judgement, Progress, Watch, say};
use crate::event::{FrameRef, VantageId};
use crate::finding::{Change, Finding, Report};
use crate::render;
use crate::source::live::{Capture, Receiver, links, now, wait};
use crate::source::{Case, Lane};
use crate::value::Outside;

/// Frames after which the clock and the signals are looked at, where nothing is ever idle.
const LOOK_EVERY: u32 = 4_096;

/// Runs the command.
///
/// # Errors
/// When the settings cannot be read, no interface can be captured on, or the output cannot be written.
pub fn run(args: &Live) -> anyhow::Result<Exit> {
    let settings = read_settings(args.settings.as_deref())?;
    let stop = stop_on_signals()?;
    let (lanes, is_troubled) = open(&args.capture)?;
    let case = Case { lanes, ..Case::default() };
    let mut watch = Watcher { format: args.format, names: Vec::new(), is_unread: false };
    let mut judgement = Judgement::new(case, &settings, &watch);
    let started = now();
    let (mut frames, mut until_look) = (0_u64, LOOK_EVERY);
    let mut is_closed = false;
    loop {
        let progress = judgement.go_on(&mut watch);
        match progress {
            Progress::Over => break,
            Progress::Frame => frames += 1,
            Progress::Idle(_) | Progress::Other => {}
        }
        until_look -= 1;
        let is_enough = args.count.is_some_and(|count| frames >= count);
        if until_look == 0 || is_enough || matches!(progress, Progress::Idle(_)) {
            until_look = LOOK_EVERY;
            let now = now();
            let is_over = args.capture.duration.is_some_and(|most| now.since(started) >= most);
            if !is_closed && (is_over || is_enough || watch.is_unread || stop.load(Ordering::Relaxed)) {
                is_closed = true;
                judgement.merge.close(now);
                if is_enough {
                    break;
                }
            }
        }
        if matches!(progress, Progress::Idle(_)) && !is_closed {
            wait(&judgement.merge);
        }
    }
    let report = judgement.finish(false);
    end(args, report, is_troubled)
}

/// The interfaces that are asked for, each as a lane, and whether one of them could not be opened.
fn open(args: &args::Capture) -> anyhow::Result<(Vec<Lane>, bool)> {
    let capture = Capture {
        receiver: match args.backend {
            Backend::Ring => Receiver::Ring,
            Backend::Pcap => Receiver::Libpcap,
        },
        ring: args.ring,
        snap_len: args.snap_len.map(|bytes| if bytes == 0 { WHOLE } else { bytes }),
        is_promiscuous: !args.no_promiscuous_mode,
        filter: args.filter.clone(),
    };
    let mut names = args.interfaces.clone();
    if names.iter().any(|name| name == "all") {
        names = links();
        names.retain(|name| name != "lo");
    }
    names.sort();
    names.dedup();
    let (mut lanes, mut refusals) = (Vec::new(), Vec::new());
    for name in &names {
        match capture.open(name) {
            Ok(lane) => lanes.push(lane),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if let (true, Some(first)) = (lanes.is_empty(), refusals.first()) {
        anyhow::bail!("{first}");
    }
    for refusal in &refusals {
        anstream::eprintln!("netdiag: {refusal}; the other interfaces are captured");
    }
    let shown: Vec<String> = lanes.iter().map(|lane| lane.path.to_string()).collect();
    anstream::eprintln!(
        "netdiag: capturing on {}, with a ring of {} MiB each; Ctrl-C ends it",
        shown.join(", "),
        args.ring >> 20
    );
    Ok((lanes, !refusals.is_empty()))
}

/// What "all of a frame" is, in bytes: as libpcap has it.
const WHOLE: u32 = 262_144;

/// A flag that the signals which end a capture raise; the second of them ends the process at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop)).context("listening to signals")?;
        flag::register(signal, Arc::clone(&stop)).context("listening to signals")?;
    }
    Ok(stop)
}

/// Says the report, and what it comes to.
fn end(args: &Live, report: Report, is_troubled: bool) -> anyhow::Result<Exit> {
    let is_damaged = report.inputs.iter().filter_map(|input| input.damage.as_ref()).fold(false, |_, damage| {
        anstream::eprintln!("netdiag: {damage}");
        true
    });
    let fails = args.fail_on.fails(report.worst());
    let has_failed = report.lost.internal_errors > 0;
    let reports = [report];
    match args.format {
        Format::Text => say_text(&reports)?,
        Format::Json => say(&format!("{}\n", render::reports_json(&reports)?))?,
        Format::Ndjson => {}
    }
    if let Some(path) = &args.write {
        write_evidence(path, &reports)?;
    }
    Ok(match (is_troubled || is_damaged || has_failed, fails) {
        (true, _) => Exit::Trouble,
        (false, true) => Exit::Found,
        (false, false) => Exit::Clean,
    })
}

/// Prints changes as they happen.
struct Watcher {
    format: Format,
    names: Vec<(VantageId, Outside)>,
    /// Whether whoever read us has gone.
    is_unread: bool,
}

impl Watch for Watcher {
    fn wants_changes(&self) -> bool {
        true
    }

    fn vantage(&mut self, id: VantageId, name: &Outside) {
        self.names.push((id, name.clone()));
    }

    fn change(&mut self, change: Change, finding: &Finding) {
        let name_of = |at: FrameRef| {
            self.names.iter().find(|(id, _)| *id == at.vantage).map(|(_, n)| n.clone()).unwrap_or_default()
        };
        let line = match self.format {
            Format::Text => Some(render::change_text(change, finding)),
            Format::Ndjson => render::change_line(change, finding, &name_of).ok(),
            // One document, at the end.
            Format::Json => None,
        };
        if let Some(line) = line {
            self.is_unread |= say(&format!("{line}\n")).is_err();
        }
    }
}
