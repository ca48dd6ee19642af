//! Capture quality: what this capture cannot tell.

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "CAP", title: "Capture quality", entries: &[] };
