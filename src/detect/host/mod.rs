//! Hosts and their links: who has stopped hearing, who has stopped speaking, and which link it was.

pub mod bond_slave_silent;
pub mod carrier_lost;
pub mod guest_deaf;
pub mod guest_mute;
pub mod link_silent;
mod silences;
mod station;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "HOST",
    title: "Hosts and links",
    entries: &[
        &guest_deaf::ENTRY,
        &guest_mute::ENTRY,
        &link_silent::ENTRY,
        &bond_slave_silent::ENTRY,
        &carrier_lost::ENTRY,
    ],
};
