//! TCP: connections that do not open, or do not get on.

mod connection_refused;
mod crowd;
mod receiver_stalled;
mod refusers;
mod repeats;
pub mod retransmission_storm;
mod syn_unanswered;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "TCP",
    title: "TCP connections",
    entries: &[
        &retransmission_storm::ENTRY,
        &syn_unanswered::ENTRY,
        &connection_refused::ENTRY,
        &receiver_stalled::ENTRY,
    ],
};
