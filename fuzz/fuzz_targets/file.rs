//! A file in memory, judged as `netdiag review` would.

use std::io::{Cursor, Read};

use netdiag::render::{report_json, report_text};
use netdiag::settings::Settings;
use netdiag::source::{Case, Lane, open_reader};
use netdiag::value::Outside;

/// Judges `input`, which begins with `magic` or is put behind it; the report can be shown.
pub fn judge(magic: &[u8], input: &[u8]) {
    let magic = if input.starts_with(magic) { &[] } else { magic };
    let stream: Box<dyn Read + Send> = Box::new(Cursor::new([magic, input].concat()));
    let name = Outside::from("input");
    let lane = match open_reader(name.clone(), stream) {
        Ok(source) => Lane::new("input".to_owned(), name, source),
        Err(damage) => Lane::broken("input".to_owned(), name, damage),
    };
    let case = Case { lanes: vec![lane], ..Case::default() };
    let report = netdiag::cli::judge(case, &Settings::default(), true, &mut ());
    assert_eq!(report.lost.internal_errors, 0);
    assert!(report_json(&report).is_ok());
    assert!(!report_text(&report, 100).is_empty());
}
