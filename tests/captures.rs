//! Every case: what is found is the truth, no more and no less; the text is the blessed text; frames are decoded as Wireshark decodes
//! them, where its word is kept. One named test a case. `NETDIAG_ORACLE=1` asks tshark anew.

mod support;

use std::fs;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use netdiag::cli::{Truth, differences};
use netdiag::finding::Report;
use netdiag::render::report_text;
use support::wireshark;

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
    let mut steps = report.findings.iter().flat_map(|finding| &finding.remedy);
    if let Some(step) = steps.find(|step| step.what.starts_with(char::is_lowercase)) {
        return Err(format!("a step is a sentence: {}", step.what).into());
    }
    let truth: Truth = toml::from_str(&fs::read_to_string(folder.join("findings.toml"))?)?;
    let differences = differences(&truth, &report);
    if !differences.is_empty() {
        return Err(format!("{}\n\n{}", differences.join("\n"), text(&report)).into());
    }
    if is_asked("NETDIAG_ORACLE") {
        wireshark::ask(folder);
    }
    let differences = wireshark::differences(folder);
    if !differences.is_empty() {
        let how = "if the capture is another one now, NETDIAG_ORACLE=1 asks tshark anew";
        return Err(format!("{}\n{how}", differences.join("\n")).into());
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
fn is_asked(variable: &str) -> bool {
    std::env::var(variable).is_ok()
}

fn blessed(file: &Path, have: &str) -> Result<(), Failed> {
    if is_asked("NETDIAG_BLESS") {
        return Ok(fs::write(file, have)?);
    }
    let want = fs::read_to_string(file).unwrap_or_default();
    if want == have {
        return Ok(());
    }
    Err(format!("the text differs; NETDIAG_BLESS=1 writes it anew\n--- blessed\n{want}\n--- now\n{have}").into())
}
