//! DHCP message types (RFC 2132 section 9.6, RFC 3203, 4388, 6926, 7724), unknown numbers kept.

use std::fmt;

macro_rules! kinds {
    ($($number:literal $name:ident $upper:literal $spoken:literal,)*) => {
        /// The type of a DHCP message (option 53).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum DhcpKind {
            $(#[doc = concat!("DHCP", $upper, " (", $number, ").")] $name,)*
            /// A number without a name.
            Other(u8),
        }

        impl DhcpKind {
            /// The kind of this number.
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// Its number.
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Other(number) => number,
                }
            }

            /// Its name in the upper case of the standards; `None` for a number without a name.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($upper),)*
                    Self::Other(_) => None,
                }
            }

            /// For a sentence: `Offer`, `lease query`.
            pub(super) const fn spoken(self) -> Spoken {
                match self {
                    $(Self::$name => Spoken(Some($spoken), $number),)*
                    Self::Other(number) => Spoken(None, number),
                }
            }
        }
    };
}

kinds! {
    1 Discover "DISCOVER" "Discover",
    2 Offer "OFFER" "Offer",
    3 Request "REQUEST" "Request",
    4 Decline "DECLINE" "Decline",
    5 Ack "ACK" "Ack",
    6 Nak "NAK" "Nak",
    7 Release "RELEASE" "Release",
    8 Inform "INFORM" "Inform",
    9 ForceRenew "FORCERENEW" "force renew",
    10 LeaseQuery "LEASEQUERY" "lease query",
    11 LeaseUnassigned "LEASEUNASSIGNED" "lease unassigned",
    12 LeaseUnknown "LEASEUNKNOWN" "lease unknown",
    13 LeaseActive "LEASEACTIVE" "lease active",
    14 BulkLeaseQuery "BULKLEASEQUERY" "bulk lease query",
    15 LeaseQueryDone "LEASEQUERYDONE" "lease query done",
    16 ActiveLeaseQuery "ACTIVELEASEQUERY" "active lease query",
    17 LeaseQueryStatus "LEASEQUERYSTATUS" "lease query status",
    18 Tls "TLS" "TLS",
}

/// A kind as it stands in a sentence.
pub(super) struct Spoken(Option<&'static str>, u8);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(name), _) => f.write_str(name),
            Self(None, number) => write!(f, "message type {number}"),
        }
    }
}

impl fmt::Display for DhcpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "type {}", self.number()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_goes_both_ways() {
        for number in 0..=255 {
            assert_eq!(DhcpKind::from_number(number).number(), number);
        }
        assert_eq!(DhcpKind::Nak.to_string(), "NAK");
        assert_eq!(DhcpKind::from_number(77).to_string(), "type 77");
        assert_eq!(DhcpKind::LeaseQuery.spoken().to_string(), "lease query");
    }
}
