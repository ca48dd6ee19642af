//! Any text as the `case.toml` and the `findings.toml` of a case: it is understood or refused, and no file outside its folder is opened.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netdiag::cli::{Truth, differences};
use netdiag::settings::Settings;
use netdiag::source::{CASE_FILE, Case};

/// An empty folder of this process.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("netdiag-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
});

fuzz_target!(|input: &str| {
    fs::write(FOLDER.join(CASE_FILE), input).unwrap();
    let Ok(case) = Case::open(&FOLDER) else { return };
    assert!(case.lanes.iter().all(|lane| lane.path.raw().starts_with(&*FOLDER.to_string_lossy())));
    let report = netdiag::cli::judge(case, &Settings::default(), true, &mut ());
    if let Ok(truth) = toml::from_str::<Truth>(input) {
        let _ = differences(&truth, &report);
    }
});
