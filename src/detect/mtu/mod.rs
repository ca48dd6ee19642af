//! Sizes: what does not fit.

pub mod declared_mtu_mismatch;
pub mod double_vlan_mtu_overflow;
pub mod fragments_lost;
pub mod frame_exceeds_link_mtu;
mod hole;
mod hops;
pub mod mss_exceeds_path;
pub mod mtu_black_hole;
pub mod mtu_recovered_by_probing;
mod overflow;
pub mod overlay_overhead_overflow;
pub mod path_mtu_message_ignored;
pub mod path_mtu_reduced;
mod torn;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "MTU",
    title: "Sizes",
    entries: &[
        &double_vlan_mtu_overflow::ENTRY,
        &frame_exceeds_link_mtu::ENTRY,
        &mtu_black_hole::ENTRY,
        &path_mtu_reduced::ENTRY,
        &path_mtu_message_ignored::ENTRY,
        &fragments_lost::ENTRY,
        &overlay_overhead_overflow::ENTRY,
        &mss_exceeds_path::ENTRY,
        &mtu_recovered_by_probing::ENTRY,
        &declared_mtu_mismatch::ENTRY,
    ],
};
