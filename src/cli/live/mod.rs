//! `netdiag live IFACE…`: judges live interfaces, says what is wrong while it happens, and reports at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

mod wanted;

use super::args::{Format, Live};
use super::review::{read_settings, say_text, write_evidence};
use super::{Exit, Judgement, Progress, Watch, say};
use crate::event::{Fact, FrameRef, Stamped, VantageId};
use crate::finding::{Change, Finding, Report};
use crate::render;
use crate::source::live::{HostFacts, now, wait};
use crate::source::{Case, Lane, Merge};
use crate::value::{Outside, Timestamp};
use wanted::Wanted;

/// Frames after which the clock and the signals are looked at, where nothing is ever idle.
const LOOK_EVERY: u32 = 4_096;

/// Runs the command.
///
/// # Errors
/// When the settings cannot be read, no interface can be captured on, or the output cannot be written.
pub fn run(args: &Live) -> anyhow::Result<Exit> {
    let settings = read_settings(args.settings.as_deref())?;
    let stop = stop_on_signals()?;
    let mut wanted = Wanted::new(&args.capture);
    let (mut host, facts) = ask_host();
    let (lanes, is_troubled) = open(&mut wanted, host.as_ref())?;
    let case = Case { lanes, facts, ..Case::default() };
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
        if until_look > 0 && !is_enough && !matches!(progress, Progress::Idle(_)) {
            continue;
        }
        until_look = LOOK_EVERY;
        if !is_closed {
            let now = now();
            listen(&mut host, now, &mut wanted, &mut judgement.merge);
            let is_over = args.capture.duration.is_some_and(|most| now.since(started) >= most);
            if is_over || is_enough || watch.is_unread || stop.load(Ordering::Relaxed) {
                is_closed = true;
                judgement.merge.close(now);
            }
        }
        if is_enough {
            break;
        }
        if matches!(progress, Progress::Idle(_)) {
            wait(&judgement.merge, host.as_ref().and_then(HostFacts::descriptor));
        }
    }
    let report = judgement.finish(false);
    end(args, report, is_troubled)
}

/// Asks the host for its facts; where it does not answer, that is the only fact.
fn ask_host() -> (Option<HostFacts>, Vec<Stamped<Fact>>) {
    let (host, told) = match HostFacts::open() {
        Ok(mut host) => {
            let told = host.read_all();
            (Some(host), told)
        }
        Err(error) => {
            let why = Outside::from(error.to_string().as_str());
            (None, vec![Fact::Missing { what: Outside::from("host"), why }])
        }
    };
    let at = Some(now());
    (host, told.into_iter().map(|what| Stamped { time: at, what }).collect())
}

/// Hears what the host has to say, and takes up links that it has now.
fn listen(host: &mut Option<HostFacts>, now: Timestamp, wanted: &mut Wanted, merge: &mut Merge) {
    let Some(facts) = host else { return };
    match facts.poll() {
        Ok(news) if news.is_empty() => {}
        Ok(news) => {
            news.into_iter().for_each(|what| merge.tell(Stamped { time: Some(now), what }));
            wanted.follow(facts.links(), merge);
        }
        Err(error) => {
            anstream::eprintln!("netdiag: {error}; what changes on this host from now on is not heard");
            let why = Outside::from(error.to_string().as_str());
            merge.tell(Stamped { time: Some(now), what: Fact::Missing { what: Outside::from("host"), why } });
            *host = None;
        }
    }
}

/// The interfaces that are asked for, each as a lane, and whether one of them could not be opened.
fn open(wanted: &mut Wanted, host: Option<&HostFacts>) -> anyhow::Result<(Vec<Lane>, bool)> {
    let nothing = BTreeMap::new();
    let (lanes, refusals) = wanted.open(host.map_or(&nothing, HostFacts::links));
    if lanes.is_empty() {
        match refusals.first() {
            Some(first) => anyhow::bail!("{first}"),
            None => anyhow::bail!("there is no link to capture on: none is up but the loopback"),
        }
    }
    for refusal in &refusals {
        anstream::eprintln!("netdiag: {refusal}; the other interfaces are captured");
    }
    let shown: Vec<String> = lanes.iter().map(|lane| lane.path.to_string()).collect();
    anstream::eprintln!(
        "netdiag: capturing on {}, with {} MiB for the frames that wait on each; Ctrl-C ends it",
        shown.join(", "),
        wanted.ring() >> 20
    );
    Ok((lanes, !refusals.is_empty()))
}

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
