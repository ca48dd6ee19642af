//! Reachability: networks that do not answer.

mod subnet_unreachable;

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "IP", title: "Reachability", entries: &[&subnet_unreachable::ENTRY] };
