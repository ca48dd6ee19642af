//! DHCPv4 (RFC 2131): who asked, who answered, who did not.

use super::Family;

/// The family.
pub static FAMILY: Family = Family { prefix: "DHCP", title: "DHCPv4", entries: &[] };
