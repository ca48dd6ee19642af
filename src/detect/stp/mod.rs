//! Spanning tree (IEEE 802.1D, 802.1Q clause 13): who speaks it, and who should not.

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "STP", title: "Spanning tree", entries: &[] };
