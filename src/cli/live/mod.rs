//! `netdiag live IFACE…`: judges live interfaces, says what is wrong while it happens, and reports at the end.

mod evidence;
mod session;
mod state;
mod wanted;

pub use session::{Run, Session};

use super::args::{Format, Live};
use super::review::{read_settings, say_text, write_evidence};
use super::{Exit, Judgement, Progress, Watch, say};
use crate::event::{FrameRef, VantageId};
use crate::finding::{Change, Exchange, Finding, Report};
use crate::render;
use crate::source::{Item, Merge};
use crate::value::Outside;
use evidence::Evidence;
use state::Kept;

/// Items between two looks at whether it is time to keep what is known, where nothing is ever idle.
const LOOK_EVERY: u32 = 4_096;

/// Runs the command.
///
/// # Errors
/// When the settings cannot be read, no interface can be captured on, or the output cannot be written.
pub fn run(args: &Live) -> anyhow::Result<Exit> {
    let settings = read_settings(args.settings.as_deref())?;
    let (mut session, mut case) = Session::begin(&args.capture, args.count)?;
    for inventory in &args.inventory {
        case.add_inventory(inventory)?;
    }
    session.follow_leases(&args.leases, &mut case)?;
    for refused in &case.refused {
        session.is_troubled = true;
        anstream::eprintln!("netdiag: {refused}");
    }
    let evidence = Evidence::begin(&args.evidence)?;
    let kept = args.state.as_deref().map(|folder| Kept::begin(folder, &mut case, session.started()));
    let watch = Watcher {
        format: args.format,
        wants_exchanges: args.exchanges,
        names: Vec::new(),
        evidence,
        kept,
        is_unread: false,
    };
    let judgement = Judgement::new(case, &settings, &watch);
    let mut judging = Judging { judgement, watch, until_look: LOOK_EVERY };
    session.drive(&mut judging);
    let Judging { mut judgement, mut watch, .. } = judging;
    let ended = judgement.merge.end();
    if let Some(kept) = watch.kept.take() {
        kept.finish(judgement.left());
    }
    let report = judgement.finish(false, &mut watch);
    if let Some(evidence) = watch.evidence {
        evidence.finish(&report, ended)?;
    }
    end(args, report, session.is_troubled)
}

/// A judgement, and who follows it.
struct Judging {
    judgement: Judgement,
    watch: Watcher,
    until_look: u32,
}

impl Run for Judging {
    fn go_on(&mut self) -> Progress {
        let progress = self.judgement.go_on(&mut self.watch);
        self.until_look = self.until_look.saturating_sub(1);
        if matches!(progress, Progress::Idle(_)) || self.until_look == 0 {
            self.until_look = LOOK_EVERY;
            if let Some(kept) = &mut self.watch.kept {
                kept.look(&mut self.judgement);
            }
        }
        progress
    }

    fn merge(&mut self) -> &mut Merge {
        &mut self.judgement.merge
    }

    fn is_futile(&self) -> bool {
        self.watch.is_unread
    }
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
    wants_exchanges: bool,
    names: Vec<(VantageId, Outside)>,
    evidence: Option<Evidence>,
    kept: Option<Kept>,
    /// Whether whoever read us has gone.
    is_unread: bool,
}

impl Watcher {
    fn name_of(&self, at: FrameRef) -> Outside {
        self.names.iter().find(|(id, _)| *id == at.vantage).map(|(_, n)| n.clone()).unwrap_or_default()
    }
}

impl Watch for Watcher {
    fn wants_changes(&self) -> bool {
        true
    }

    fn wants_exchanges(&self) -> bool {
        self.wants_exchanges
    }

    fn follows_exchanges(&self) -> bool {
        // One document, at the end.
        self.format != Format::Json
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let line = match self.format {
            Format::Text => Some(render::exchange_text(exchange)),
            Format::Ndjson => render::exchange_line(exchange, &|at| self.name_of(at)).ok(),
            Format::Json => None,
        };
        if let Some(line) = line {
            self.is_unread |= say(&format!("{line}\n")).is_err();
        }
    }

    fn wants_items(&self) -> bool {
        self.evidence.is_some()
    }

    fn item(&mut self, item: &Item<'_>) {
        if let Some(evidence) = &mut self.evidence {
            evidence.item(item);
        }
    }

    fn vantage(&mut self, id: VantageId, name: &Outside) {
        self.names.push((id, name.clone()));
    }

    fn change(&mut self, change: Change, finding: &Finding) {
        if let Some(evidence) = &mut self.evidence {
            evidence.change(change, finding);
        }
        if let (Some(kept), true) = (&mut self.kept, change != Change::Updated) {
            kept.changed();
        }
        let line = match self.format {
            Format::Text => Some(render::change_text(change, finding)),
            Format::Ndjson => render::change_line(change, finding, &|at| self.name_of(at)).ok(),
            // One document, at the end.
            Format::Json => None,
        };
        if let Some(line) = line {
            self.is_unread |= say(&format!("{line}\n")).is_err();
        }
    }
}
