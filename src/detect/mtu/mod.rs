//! Sizes: what does not fit.

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "MTU", title: "Sizes", entries: &[] };
