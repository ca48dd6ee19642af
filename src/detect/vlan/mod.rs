//! VLAN tags: stacks, priorities, invalid tags.

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "VLAN", title: "VLAN tags", entries: &[] };
