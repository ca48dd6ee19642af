//! Reachability: networks that do not answer, routers that refuse, and routes that go in circles.

mod destination_unreachable;
mod routing_loop;
mod subnet_unreachable;
mod tellers;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "IP",
    title: "Reachability",
    entries: &[&destination_unreachable::ENTRY, &subnet_unreachable::ENTRY, &routing_loop::ENTRY],
};
