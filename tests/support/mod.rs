//! What several tests share: cases on disk, the public captures where they are, judging a file.
#![allow(dead_code, reason = "each test uses its part")]

pub mod played;
pub mod wireshark;

use std::path::{Path, PathBuf};

use netdiag::cli::judge;
use netdiag::finding::Report;
use netdiag::settings::Settings;
use netdiag::source::{Case, lane};

/// The project's own cases.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The public captures beside the project, or `None`, said on standard error: they are not on a user's machine.
pub fn public_captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    if folder.join("MANIFEST.jsonl").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: the public captures are not beside the project, at ../shared/captures");
    None
}

/// Every file below `folder` whose name says capture, in order.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.to_string_lossy().contains(".pcap") || path.extension().is_some_and(|e| e == "cap") {
            files.push(path);
        }
    }
    files
}

/// Every Rust file below `folder`, in order.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every case below `folder`, in order.
pub fn cases_below(folder: &Path) -> Vec<PathBuf> {
    let mut cases = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries.iter().filter(|p| p.is_dir()) {
        if path.join("case.toml").is_file() {
            cases.push(path.clone());
        }
        cases.extend(cases_below(path));
    }
    cases
}

/// The report on these files, judged as one case.
pub fn review(files: &[&Path]) -> Report {
    judged(Case { lanes: files.iter().map(|file| lane(file)).collect(), ..Case::default() })
}

/// The report on a case.
pub fn judged(mut case: Case) -> Report {
    case.survey(true);
    judge(case, &Settings::default(), false, &mut ())
}

/// The report on the case in `folder`.
pub fn review_case(folder: &Path) -> Report {
    judged(Case::open(folder).unwrap())
}
