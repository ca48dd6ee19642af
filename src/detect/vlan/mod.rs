//! VLAN tags: stacks, tags left on, VLANs that go one way, priorities, invalid tags.

pub mod invalid_vlan_tag;
pub mod mixed_tpid_stack;
pub mod priority_tag;
pub mod provider_bridging;
pub mod stacked_vlan;
pub mod vlan_bleed;
pub mod vlan_one_way;
pub mod vlan_stack_too_deep;
pub mod vlan_tag_left_on;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "VLAN",
    title: "VLAN tags",
    entries: &[
        &stacked_vlan::ENTRY,
        &vlan_tag_left_on::ENTRY,
        &vlan_one_way::ENTRY,
        &priority_tag::ENTRY,
        &invalid_vlan_tag::ENTRY,
        &mixed_tpid_stack::ENTRY,
        &provider_bridging::ENTRY,
        &vlan_stack_too_deep::ENTRY,
        &vlan_bleed::ENTRY,
    ],
};
