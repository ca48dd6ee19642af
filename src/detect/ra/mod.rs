//! IPv6 routers (RFC 4861): who says that it is one.

pub mod rogue_ra;

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "RA", title: "IPv6 routers", entries: &[&rogue_ra::ENTRY] };
