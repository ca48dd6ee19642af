//! Every case: what is found is the truth, no more and no less; the text is the blessed text. One named test a case.

mod support;

use std::fs;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use netdiag::cli::{Truth, differences};
use netdiag::finding::Report;
use netdiag::render::report_text;

/// Columns of the blessed texts.
const WIDTH: usize = 100;

fn main() {
    let root = support::captures();
    let trial = |folder: std::path::PathBuf| {
        let name = folder.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        Trial::test(name, move || check(&folder))
    };
    let trials = support::cases_below(&root).into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn check(folder: &Path) -> Result<(), Failed> {
    let report = support::review_case(folder);
    if report.lost.internal_errors > 0 {
        return Err("netdiag itself failed over a frame".into());
    }
    let truth: Truth = toml::from_str(&fs::read_to_string(folder.join("findings.toml"))?)?;
    let differences = differences(&truth, &report);
    if !differences.is_empty() {
        return Err(format!("{}\n\n{}", differences.join("\n"), text(&report)).into());
    }
    blessed(&folder.join("report.txt"), &text(&report))
}

/// The report as text, without colours and without the folder that this checkout lies in.
fn text(report: &Report) -> String {
    let here = format!("{}/captures/", env!("CARGO_MANIFEST_DIR"));
    let mut report = report.clone();
    for input in &mut report.inputs {
        let path = input.path.raw().replace(&here, "");
        input.path = netdiag::value::Outside::from(path.as_str());
    }
    anstream::adapter::strip_str(&report_text(&report, WIDTH)).to_string()
}

#[expect(clippy::disallowed_methods, reason = "a person asks for new texts, not a capture")]
fn blessed(file: &Path, have: &str) -> Result<(), Failed> {
    if std::env::var("NETDIAG_BLESS").is_ok() {
        return Ok(fs::write(file, have)?);
    }
    let want = fs::read_to_string(file).unwrap_or_default();
    if want == have {
        return Ok(());
    }
    Err(format!("the text differs; NETDIAG_BLESS=1 writes it anew\n--- blessed\n{want}\n--- now\n{have}").into())
}
