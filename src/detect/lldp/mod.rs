//! Link layer discovery (IEEE 802.1AB): who is at the other end.

pub mod neighbour_facts;

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "LLDP", title: "Neighbours", entries: &[&neighbour_facts::ENTRY] };
