//! Capture quality: what this capture cannot tell.

pub mod capture_drops;
pub mod clock_disorder;
pub mod filter_hides;
pub mod mirror_duplicates;
pub mod offload_super_frames;
pub mod one_direction;
pub mod snaplen_cut;
pub mod vlan_tags_hidden;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "CAP",
    title: "Capture quality",
    entries: &[
        &capture_drops::ENTRY,
        &snaplen_cut::ENTRY,
        &one_direction::ENTRY,
        &offload_super_frames::ENTRY,
        &clock_disorder::ENTRY,
        &vlan_tags_hidden::ENTRY,
        &mirror_duplicates::ENTRY,
        &filter_hides::ENTRY,
    ],
};
