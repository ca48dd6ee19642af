//! Layer 2: frames that multiply, addresses that move, floods.

pub mod broadcast_storm;
pub mod duplicate_frames;
pub mod mac_flapping;
pub mod spoofed_source;
pub mod unknown_unicast_flood;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "L2",
    title: "Layer 2",
    entries: &[
        &duplicate_frames::ENTRY,
        &broadcast_storm::ENTRY,
        &mac_flapping::ENTRY,
        &spoofed_source::ENTRY,
        &unknown_unicast_flood::ENTRY,
    ],
};
