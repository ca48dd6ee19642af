//! A case: a folder with captures, what the host said, and `case.toml`. A recording, a bug report and a test are the same folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chain::{Chain, parts};
use super::live::Filter;
use super::{HostLog, Lane, SourceError, Survey, align, inventory, leases, open, survey};
use crate::event::{Fact, Place, Stamped};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::LinkType;

/// What `case.toml` says.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What happened, in one sentence.
    pub sentence: String,
    /// `forged`, `recorded`, or where else it came from.
    #[serde(default)]
    pub origin: String,
    /// How it was made: the code, or the tools and their versions.
    #[serde(default)]
    pub how: String,
    /// The way of a packet through the vantages, from its sender to its receiver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// When netdiag began to record it; captures may then go on in further files, `bond0.00001.pcapng` behind `bond0.pcapng`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// When the recording ended; it was not finished where only its beginning is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The DHCP server's list of leases in the folder, as it stood when the capture began or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<String>,
    /// The vantages; without any, every capture in the folder is one.
    #[serde(default, rename = "vantage", skip_serializing_if = "Vec::is_empty")]
    pub vantages: Vec<CaseVantage>,
    /// What it was kept for, where a finding was the occasion.
    #[serde(default, rename = "finding", skip_serializing_if = "Vec::is_empty")]
    pub occasions: Vec<Occasion>,
}

/// One vantage of a case.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CaseVantage {
    /// The capture's file name in the folder.
    pub file: String,
    /// How the vantage is called, where the capture does not tell or tells it wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of place it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Nanoseconds to add to its stamps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_ns: i64,
    /// From when on it was listened to, where the others were before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<Timestamp>,
}

/// A finding that a case was kept for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Occasion {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What makes it one.
    #[serde(default)]
    pub key: BTreeMap<String, String>,
    /// What it said when it opened.
    pub headline: String,
    /// When it opened.
    pub opened: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What is judged together: lanes, facts, and what could not be used.
#[derive(Default)]
pub struct Case {
    /// Captures.
    pub lanes: Vec<Lane>,
    /// What the host said.
    pub facts: Vec<Stamped<Fact>>,
    /// Sentences about what was refused.
    pub refused: Vec<String>,
    /// Sentences about what must be known, and is no trouble.
    pub notes: Vec<String>,
    /// Whether it ran all along from its beginning to its end, as what netdiag records does: silence in it is silence.
    pub is_watched: bool,
}

/// How long after its last frame a capture is still taken to have run.
const AFTERWARDS: Span = Span::secs(2);

/// The name of the file that makes a folder a case.
pub const CASE_FILE: &str = "case.toml";
/// The name of the file with what the host said.
pub(super) const HOST_FILE: &str = "host.jsonl";

impl Case {
    /// Opens the case in `folder`. A capture that cannot be opened becomes a lane that says so; the others are used.
    ///
    /// # Errors
    /// When the folder or its `case.toml` cannot be read.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        let file = folder.join(CASE_FILE);
        let name = Outside::from(file.to_string_lossy().as_ref());
        let text = fs::read_to_string(&file).map_err(|e| SourceError::unreadable(&name, &e))?;
        let said: CaseFile = toml::from_str(&text).map_err(|e| SourceError::not_toml(&name, &text, &e))?;
        let mut case = Self::default();
        let (is_recorded, is_unfinished) = (said.began.is_some(), said.began.is_some() && said.ended.is_none());
        case.is_watched = is_recorded;
        let vantages = if said.vantages.is_empty() { captures_in(folder)? } else { said.vantages };
        // A case may come from anybody: it speaks of its own files and opens no other.
        let mut named = vantages.iter().map(|vantage| &vantage.file).chain(&said.leases);
        if let Some(file) = named.find(|file| !is_of_its_folder(file)) {
            let file = Outside::from(file.as_str());
            return Err(SourceError::nonsense(&name, &format!("{file} is no file of this folder")));
        }
        let files: Vec<&str> = vantages.iter().map(|vantage| vantage.file.as_str()).collect();
        for vantage in &vantages {
            let mut lane = if is_recorded {
                chain(folder, &vantage.file, &files, is_unfinished)
            } else {
                lane(&folder.join(&vantage.file))
            };
            lane.vantage.clone_from(&vantage.name);
            lane.place = vantage.place;
            lane.offset = Span::nanos(vantage.offset_ns);
            lane.way.clone_from(&said.path);
            lane.joined = vantage.joined;
            // What a recording tells of itself is not looked for.
            lane.captured = vantage.joined.or(said.began).zip(said.ended);
            case.lanes.push(lane);
        }
        if is_unfinished {
            case.notes.push(format!(
                "{}: the recording was not finished, or goes on still; what was written is judged up to its last whole frame",
                Outside::from(folder.to_string_lossy().as_ref())
            ));
        }
        if let Some(list) = &said.leases {
            case.add_leases(&folder.join(list))?;
        }
        let host = folder.join(HOST_FILE);
        if host.exists() {
            let torn = case.add_host_log(&host)?;
            case.refused.extend(torn.filter(|_| !is_unfinished));
        }
        Ok(case)
    }

    /// Adds the facts of the host log at `path`.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn add_host(&mut self, path: &Path) -> Result<(), SourceError> {
        let torn = self.add_host_log(path)?;
        self.refused.extend(torn);
        Ok(())
    }

    /// Adds the facts of the host log at `path`; what is said of its last line where that breaks off.
    fn add_host_log(&mut self, path: &Path) -> Result<Option<String>, SourceError> {
        let log = HostLog::open(path)?;
        self.facts.extend(log.facts);
        self.refused.extend(log.refused);
        Ok(log.torn)
    }

    /// Adds the names of the inventory at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn add_inventory(&mut self, path: &Path) -> Result<(), SourceError> {
        let log = inventory(path)?;
        self.facts.extend(log.facts);
        self.refused.extend(log.refused);
        Ok(())
    }

    /// Adds the leases of the DHCP server's list at `path`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add_leases(&mut self, path: &Path) -> Result<(), SourceError> {
        let log = leases(path, false)?;
        self.facts.extend(log.facts);
        self.refused.extend(log.refused.into_iter().chain(log.torn));
        Ok(())
    }

    /// Takes a first look at the captures, where there are several: from when to when each goes, and, with `aligns`, what their clocks are
    /// off. An offset that was told stays as it is.
    pub fn survey(&mut self, aligns: bool) {
        if self.lanes.len() < 2 {
            return;
        }
        let look = |lane: &Lane| lane.file.as_deref().map(survey).unwrap_or_default().moved(lane.offset);
        let surveys: Vec<Survey> = self.lanes.iter().map(look).collect();
        let offsets = if aligns { align(&surveys) } else { vec![None; surveys.len()] };
        for ((lane, survey), aligned) in self.lanes.iter_mut().zip(surveys).zip(offsets) {
            let aligned = aligned.filter(|_| lane.offset == Span::ZERO);
            let offset = aligned.map_or(Span::ZERO, |aligned| aligned.offset);
            lane.doubt = aligned.map_or(Span::ZERO, |aligned| aligned.doubt);
            lane.clock = aligned.filter(|aligned| aligned.offset != Span::ZERO);
            lane.offset = Span::nanos(lane.offset.as_nanos().saturating_add(offset.as_nanos()));
            let seen = survey.span.map(|(first, last)| (first.after(offset), last.after(offset).after(AFTERWARDS)));
            lane.captured = seen.or(lane.captured);
        }
    }

    /// Takes only frames for which the expression `text` holds; numbers stay those of the files.
    ///
    /// # Errors
    /// One sentence if the expression is none.
    pub fn filter(&mut self, text: &str) -> Result<(), String> {
        // An expression that is none is told once, before anything is read.
        Filter::new(text, LinkType::Ethernet)?;
        for lane in &mut self.lanes {
            lane.filter(text);
        }
        Ok(())
    }
}

/// Whether `file` is a bare name.
fn is_of_its_folder(file: &str) -> bool {
    Path::new(file).file_name().is_some_and(|name| name == file)
}

/// The capture at `path` as a lane, named after the file without its endings.
pub fn lane(path: &Path) -> Lane {
    let shown = Outside::from(path.to_string_lossy().as_ref());
    match open(path) {
        Ok(source) => {
            let mut lane = Lane::new(stem(path), shown, source);
            lane.file = path.is_file().then(|| path.to_owned());
            lane
        }
        Err(damage) => Lane::broken(stem(path), shown, damage),
    }
}

/// The recording in `folder` whose first file is called `first`, as a lane; none of its further files is among `others`.
fn chain(folder: &Path, first: &str, others: &[&str], is_unfinished: bool) -> Lane {
    let path = folder.join(first);
    let shown = Outside::from(path.to_string_lossy().as_ref());
    match Chain::open(parts(folder, first, others), is_unfinished) {
        Ok(source) => Lane::new(stem(&path), shown, Box::new(source)),
        Err(damage) => Lane::broken(stem(&path), shown, damage),
    }
}

/// The captures of a folder in the order of their names.
fn captures_in(folder: &Path) -> Result<Vec<CaseVantage>, SourceError> {
    let shown = Outside::from(folder.to_string_lossy().as_ref());
    let listing = fs::read_dir(folder).map_err(|e| SourceError::unreadable(&shown, &e))?;
    let mut files: Vec<PathBuf> =
        listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| is_capture(p)).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let vantage = |file| CaseVantage { file, ..CaseVantage::default() };
    Ok(files.iter().filter_map(name).map(vantage).collect())
}

/// Whether the name says capture: `.pcap`, `.pcapng`, `.cap`, with or without an ending of compression.
fn is_capture(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = [".gz", ".zst", ".lz4"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    [".pcap", ".pcapng", ".cap"].iter().any(|end| plain.ends_with(end))
}

/// The file's name without the endings that say what it is.
fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "stdin".to_owned(), |n| n.to_string_lossy().into_owned());
    if name == "-" {
        return "stdin".to_owned();
    }
    let plain = [".gz", ".zst", ".lz4"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let plain = [".pcapng", ".pcap", ".cap"].iter().find_map(|end| plain.strip_suffix(end)).unwrap_or(plain);
    if plain.is_empty() { name.clone() } else { plain.to_owned() }
}
