//! One truth: the report is a function of its inputs. Twice is the same; arguments in any order are the same.

mod support;

use netdiag::finding::Report;
use netdiag::render::report_json;

fn json(report: &Report) -> String {
    report_json(report).unwrap()
}

#[test]
fn twice_is_the_same() {
    for case in support::cases_below(&support::captures()) {
        assert_eq!(json(&support::review_case(&case)), json(&support::review_case(&case)), "{}", case.display());
    }
}

#[test]
fn files_in_any_order_are_the_same() {
    for case in support::cases_below(&support::captures()) {
        let files = support::files_below(&case);
        let forward: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        assert_eq!(json(&support::review(&forward)), json(&support::review(&backward)), "{}", case.display());
    }
}
