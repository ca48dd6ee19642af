//! Any bytes as a DHCP server's list of leases: a line is a lease or refused, and the leases can be judged.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netdiag::settings::Settings;
use netdiag::source::Case;

/// A file of this process.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("netdiag-fuzz-{}.leases", std::process::id())));

fuzz_target!(|input: &[u8]| {
    fs::write(&*FILE, input).unwrap();
    let mut case = Case::default();
    if case.add_leases(&FILE).is_ok() {
        let report = netdiag::cli::judge(case, &Settings::default(), true, &mut ());
        assert_eq!(report.lost.internal_errors, 0);
    }
});
