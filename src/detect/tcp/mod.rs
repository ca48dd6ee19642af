//! TCP: connections that do not get on.

pub mod retransmission_storm;

use super::Family;

/// The family.
pub static FAMILY: Family =
    Family { prefix: "TCP", title: "TCP connections", entries: &[&retransmission_storm::ENTRY] };
