//! `netdiag verify DIR…`: judges every case below a folder and compares with the truth beside it: a regression test of a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::args::Verify;
use super::review::read_toml;
use super::{Exit, Truth, differences, judge, say};
use crate::settings::Settings;
use crate::source::{CASE_FILE, Case};

/// The name of the file with the truth.
const TRUTH_FILE: &str = "findings.toml";
/// Folders inside folders that are looked into.
const DEEPEST: usize = 16;

/// Runs the command.
///
/// # Errors
/// When a folder or the truth in it cannot be read, or there is no case at all.
pub fn run(args: &Verify) -> anyhow::Result<Exit> {
    let mut cases = Vec::new();
    for folder in &args.folders {
        find(folder, 0, &mut cases)?;
    }
    anyhow::ensure!(
        !cases.is_empty(),
        "no case below {}: a case is a folder with {CASE_FILE} and {TRUTH_FILE}",
        args.folders[0].display()
    );
    let (mut differing, mut is_damaged) = (0, false);
    for folder in &cases {
        let (report, differences) = check(folder)?;
        is_damaged |= report.lost.internal_errors > 0;
        if differences.is_empty() {
            say(&format!("ok    {}\n", shown(folder)))?;
            continue;
        }
        differing += 1;
        say(&format!("DIFFERS  {}\n", shown(folder)))?;
        for difference in differences {
            say(&format!("    {difference}\n"))?;
        }
    }
    let plural = if cases.len() == 1 { "" } else { "s" };
    say(&format!("{} case{plural}, {differing} differ\n", cases.len()))?;
    Ok(match (is_damaged, differing) {
        (true, _) => Exit::Trouble,
        (false, 0) => Exit::Clean,
        _ => Exit::Found,
    })
}

/// Judges the case in `folder`: the report, and where it differs from the truth.
fn check(folder: &Path) -> anyhow::Result<(crate::finding::Report, Vec<String>)> {
    let file = folder.join(TRUTH_FILE);
    let truth: Truth = read_toml(&file)?;
    let mut case = Case::open(folder)?;
    case.survey(true);
    let report = judge(case, &Settings::default(), false, &mut ());
    let differences = differences(&truth, &report);
    Ok((report, differences))
}

/// The folders with a case and its truth, in the order of their names.
fn find(folder: &Path, depth: usize, cases: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if folder.join(CASE_FILE).is_file() && folder.join(TRUTH_FILE).is_file() {
        cases.push(folder.to_owned());
    }
    if depth == DEEPEST {
        return Ok(());
    }
    let listing = fs::read_dir(folder).with_context(|| format!("looking for cases in {}", folder.display()))?;
    let mut below: Vec<PathBuf> =
        listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    below.sort();
    below.iter().try_for_each(|folder| find(folder, depth + 1, cases))
}

fn shown(path: &Path) -> crate::value::Outside {
    crate::value::Outside::from(path.to_string_lossy().as_ref())
}
