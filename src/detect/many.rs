//! Many of a kind are one line (findings.md 1.2): how many, and how they are named.

use std::collections::BTreeSet;

/// So many are told each by itself.
pub const EACH: usize = 3;
/// Those that are told apart.
pub const MOST: usize = 256;
/// Networks beyond its own that have nothing for one client: it tries whom it has heard of, as peer-to-peer programs and crawlers do, and
/// nobody has to mend that. Not measured: as many as the ports of one host that are a scan.
pub const HEARSAY: usize = 20;
/// Frames that are cited: one of each of the first.
pub const CITED: usize = 4;
/// How many a headline names.
const NAMED: usize = 3;

/// Each once, in order.
pub fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let all: BTreeSet<T> = all.collect();
    all.into_iter().collect()
}

/// The first of them by name, and how many more there are.
pub fn listed(all: &[impl ToString]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
