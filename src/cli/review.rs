//! `netdiag review FILE…`: judges captures, and says what is wrong.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;

use super::args::{End, Format, Review};
use super::{Exit, Watch, judge, say};
use crate::event::{FrameRef, VantageId};
use crate::finding::{Change, Exchange, Finding, Report};
use crate::render;
use crate::settings::Settings;
use crate::source::{CASE_FILE, Case, SourceError, lane, survey};
use crate::value::{Outside, Span, Timestamp};

/// Files that follow each other within this span belong to one case.
const FOLLOWS_WITHIN: Span = Span::secs(60);
/// Bytes of input from which on progress is shown: below it, reading takes less than a blink.
const SHOW_FROM: u64 = 64 << 20;
/// Columns of the report where nobody tells.
const WIDTH: usize = 100;
/// The widest that a line of prose is still read with ease.
const WIDEST: usize = 120;

/// Runs the command.
///
/// # Errors
/// When the settings or a case cannot be read, or the output cannot be written.
pub fn run(args: &Review) -> anyhow::Result<Exit> {
    let settings = read_settings(args.settings.as_deref())?;
    let mut reports = Vec::new();
    let mut is_troubled = false;
    for files in groups(args) {
        let mut case = Case::default();
        for file in &files {
            add(&mut case, file)?;
        }
        for host in &args.host {
            case.add_host(host)?;
        }
        for inventory in &args.inventory {
            case.add_inventory(inventory)?;
        }
        for list in &args.leases {
            case.add_leases(list)?;
        }
        for note in &case.notes {
            anstream::eprintln!("netdiag: {note}");
        }
        for refused in &case.refused {
            is_troubled = true;
            anstream::eprintln!("netdiag: {refused}");
        }
        if let Some(expression) = &args.filter {
            case.filter(expression).map_err(anyhow::Error::msg)?;
        }
        case.survey(!args.no_align);
        let mut watch = Watcher::new(args, &files);
        let report = judge(case, &settings, args.eof == End::Final, &mut watch);
        watch.progress.finish_and_clear();
        for damage in report.inputs.iter().filter_map(|input| input.damage.as_ref()) {
            is_troubled = true;
            anstream::eprintln!("netdiag: {damage}");
        }
        reports.push(report);
    }
    match args.format {
        Format::Text => say_text(&reports)?,
        Format::Json => say(&format!("{}\n", render::reports_json(&reports)?))?,
        Format::Ndjson => {}
    }
    if let Some(path) = &args.write {
        write_evidence(path, &reports)?;
    }
    let fails = reports.iter().any(|report| args.fail_on.fails(report.worst()));
    let has_failed = reports.iter().any(|report| report.lost.internal_errors > 0);
    Ok(match (is_troubled || has_failed, fails) {
        (true, _) => Exit::Trouble,
        (false, true) => Exit::Found,
        (false, false) => Exit::Clean,
    })
}

pub(super) fn read_settings(path: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = path else { return Ok(Settings::default()) };
    Ok(read_toml(path)?)
}

/// What the TOML file at `path` says.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, SourceError> {
    let name = Outside::from(path.to_string_lossy().as_ref());
    let text = fs::read_to_string(path).map_err(|error| SourceError::unreadable(&name, &error))?;
    toml::from_str(&text).map_err(|error| SourceError::not_toml(&name, &text, &error))
}

/// Adds a file or the folder of a case.
pub(super) fn add(case: &mut Case, path: &Path) -> anyhow::Result<()> {
    if path.join(CASE_FILE).is_file() {
        let folder = Case::open(path)?;
        case.lanes.extend(folder.lanes);
        case.facts.extend(folder.facts);
        case.refused.extend(folder.refused);
        case.notes.extend(folder.notes);
    } else {
        case.lanes.push(lane(path));
    }
    Ok(())
}

/// The files, parted into those that are judged together: their times overlap, or follow each other within a minute.
fn groups(args: &Review) -> Vec<Vec<PathBuf>> {
    let files = &args.files;
    if args.each {
        return files.iter().map(|file| vec![file.clone()]).collect();
    }
    if args.together || files.len() == 1 || files.iter().any(|f| f.as_os_str() == "-" || f.is_dir()) {
        return vec![files.clone()];
    }
    let mut spans: Vec<(Option<(Timestamp, Timestamp)>, PathBuf)> =
        files.iter().map(|f| (survey(f).span, f.clone())).collect();
    spans.sort();
    let mut groups: Vec<(Timestamp, Vec<PathBuf>)> = Vec::new();
    let mut timeless = Vec::new();
    for (span, file) in spans {
        match (span, groups.last_mut()) {
            (None, _) => timeless.push(file),
            (Some((first, last)), Some((until, group))) if first.since(*until) <= FOLLOWS_WITHIN => {
                *until = (*until).max(last);
                group.push(file);
            }
            (Some((_, last)), _) => groups.push((last, vec![file])),
        }
    }
    // What has no time cannot be told apart from the rest.
    match groups.first_mut() {
        Some((_, group)) => group.append(&mut timeless),
        None => groups.push((Timestamp::MIN, timeless)),
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

pub(super) fn say_text(reports: &[Report]) -> anyhow::Result<()> {
    let width = terminal_size::terminal_size().map_or(WIDTH, |(w, _)| usize::from(w.0)).clamp(40, WIDEST);
    for (at, report) in reports.iter().enumerate() {
        if reports.len() > 1 {
            let names: Vec<String> = report.inputs.iter().map(|input| input.path.to_string()).collect();
            let alone = "judged on its own, since its time neither overlaps nor follows that of the others";
            say(&format!("{}==> {} <== {alone}\n", if at > 0 { "\n" } else { "" }, names.join(" ")))?;
        }
        say(&render::report_text(report, width))?;
    }
    Ok(())
}

pub(super) fn write_evidence(path: &Path, reports: &[Report]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = reports.iter().flat_map(render::evidence).collect();
    fs::write(path, bytes).with_context(|| format!("writing the cited frames to {}", path.display()))
}

/// Shows progress on a terminal, and prints changes where they are asked for.
struct Watcher {
    format: Format,
    wants_exchanges: bool,
    progress: ProgressBar,
    names: Vec<(VantageId, Outside)>,
}

impl Watcher {
    fn new(args: &Review, files: &[PathBuf]) -> Self {
        let total: u64 = files.iter().filter_map(|f| fs::metadata(f).ok()).map(|about| about.len()).sum();
        let is_shown = total >= SHOW_FROM && std::io::stderr().is_terminal();
        let progress = if is_shown { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bytes}/{total_bytes} {bar:30} {bytes_per_sec} {eta}") {
            progress.set_style(style);
        }
        Self { format: args.format, wants_exchanges: args.exchanges, progress, names: Vec::new() }
    }

    fn name_of(&self, at: FrameRef) -> Outside {
        self.names.iter().find(|(id, _)| *id == at.vantage).map(|(_, n)| n.clone()).unwrap_or_default()
    }
}

impl Watch for Watcher {
    fn wants_changes(&self) -> bool {
        self.format == Format::Ndjson
    }

    fn wants_exchanges(&self) -> bool {
        self.wants_exchanges
    }

    fn follows_exchanges(&self) -> bool {
        self.format == Format::Ndjson
    }

    fn exchange(&mut self, exchange: &Exchange) {
        if let Ok(line) = render::exchange_line(exchange, &|at| self.name_of(at)) {
            let _ = say(&format!("{line}\n"));
        }
    }

    fn vantage(&mut self, id: VantageId, name: &Outside) {
        self.names.push((id, name.clone()));
    }

    fn change(&mut self, change: Change, finding: &Finding) {
        if let Ok(line) = render::change_line(change, finding, &|at| self.name_of(at)) {
            // A reader that has gone is met again, and forgiven, at the end.
            let _ = say(&format!("{line}\n"));
        }
    }

    fn position(&mut self, bytes: u64) {
        self.progress.set_position(bytes);
    }
}
