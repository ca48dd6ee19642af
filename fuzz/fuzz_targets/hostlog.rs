//! Any bytes as a host log: a line is a fact or refused, and the facts can be judged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdiag::settings::Settings;
use netdiag::source::{Case, HostLog};
use netdiag::value::Outside;

fuzz_target!(|input: &[u8]| {
    let Ok(log) = HostLog::read(&Outside::from("host.jsonl"), input) else { return };
    let case = Case { facts: log.facts, refused: log.refused, ..Case::default() };
    let report = netdiag::cli::judge(case, &Settings::default(), true, &mut ());
    assert_eq!(report.lost.internal_errors, 0);
});
