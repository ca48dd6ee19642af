//! Spanning tree (IEEE 802.1D, 802.1Q clause 13): who speaks it, and who should not.

pub mod bpdu_returned;
pub mod bpdu_then_link_silent;
mod crowd;
mod exposure;
pub mod guest_originated_bpdu;
pub mod host_originated_bpdu;
pub mod malformed_or_aged_bpdu;
pub mod mst_region_mismatch;
pub mod multiple_roots;
pub mod pvst_vlan_mismatch;
pub mod root_lost;
pub mod root_takeover;
pub mod switch_bpdu_on_host_port;
pub mod tagged_bpdu;
pub mod topology_change_storm;
mod tree;
mod verdict;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "STP",
    title: "Spanning tree",
    entries: &[
        &guest_originated_bpdu::ENTRY,
        &bpdu_then_link_silent::ENTRY,
        &root_takeover::ENTRY,
        &multiple_roots::ENTRY,
        &topology_change_storm::ENTRY,
        &switch_bpdu_on_host_port::ENTRY,
        &pvst_vlan_mismatch::ENTRY,
        &tagged_bpdu::ENTRY,
        &mst_region_mismatch::ENTRY,
        &malformed_or_aged_bpdu::ENTRY,
        &host_originated_bpdu::ENTRY,
        &bpdu_returned::ENTRY,
        &root_lost::ENTRY,
    ],
};
