//! Spanning tree (IEEE 802.1D, 802.1Q clause 13): who speaks it, and who should not.

pub mod bpdu_then_link_silent;
pub mod guest_originated_bpdu;
pub mod switch_bpdu_on_host_port;
pub mod tagged_bpdu;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "STP",
    title: "Spanning tree",
    entries: &[
        &guest_originated_bpdu::ENTRY,
        &bpdu_then_link_silent::ENTRY,
        &switch_bpdu_on_host_port::ENTRY,
        &tagged_bpdu::ENTRY,
    ],
};
