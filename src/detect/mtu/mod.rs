//! Sizes: what does not fit.

pub mod double_vlan_mtu_overflow;
mod hole;
pub mod mtu_black_hole;
mod overflow;

use super::Family;

/// The family.
pub static FAMILY: Family =
    Family { prefix: "MTU", title: "Sizes", entries: &[&double_vlan_mtu_overflow::ENTRY, &mtu_black_hole::ENTRY] };
