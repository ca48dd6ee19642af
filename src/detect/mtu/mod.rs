//! Sizes: what does not fit.

pub mod double_vlan_mtu_overflow;
mod overflow;

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "MTU", title: "Sizes", entries: &[&double_vlan_mtu_overflow::ENTRY] };
