//! Link aggregation (IEEE 802.1AX-2014 clause 6.4): members that lost their partner, or never had the right one.

pub mod lacp_absent;
pub mod lacp_mismatch;
pub mod lacp_one_way;
pub mod lacp_partner_timeout;
mod member;

use super::Family;

/// The family.
pub static FAMILY: Family = Family {
    prefix: "LACP",
    title: "Link aggregation",
    entries: &[&lacp_partner_timeout::ENTRY, &lacp_mismatch::ENTRY, &lacp_absent::ENTRY, &lacp_one_way::ENTRY],
};
