//! How sure and how bad a guest's BPDU is, and what stops it: for STP001.

use crate::finding::{Claim, Command, Confidence, Severity};
use crate::world::{Origin, Reach};

/// The rule that was proved to drop both families and to let other broadcast pass (`fwd` is a reserved word: not a chain's name).
const NFT: &str = "nft add table bridge netdiag\n\
     nft add chain bridge netdiag stpdrop '{ type filter hook forward priority 0; }'\n\
     nft add rule bridge netdiag stpdrop iifname \"tap*\" ether daddr { 01:80:c2:00:00:00, 01:80:c2:00:00:08, 01:00:0c:cc:cc:cd } counter drop";

/// How sure and how bad, by who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub confidence: Confidence,
    pub severity: Severity,
    assumption: Option<&'static str>,
    is_contained: bool,
    /// The guest is on another node.
    pub is_remote: bool,
}

impl Verdict {
    /// Its operator means it to; the guard does not care, so that it is said all the same.
    pub const fn of_appliance() -> Self {
        Self {
            confidence: Confidence::Likely,
            severity: Severity::Warning,
            assumption: Some("declared an appliance in the settings"),
            is_contained: false,
            is_remote: false,
        }
    }

    /// What is to be said of a guest of this origin; `None` if it is no guest.
    pub fn of(origin: &Origin) -> Option<Self> {
        let verdict = |confidence, severity, assumption| Self {
            confidence,
            severity,
            assumption,
            is_contained: false,
            is_remote: false,
        };
        Some(match origin {
            Origin::Guest { reach: Reach::Left | Reach::Forwarded, .. } => {
                verdict(Confidence::Confirmed, Severity::Critical, None)
            }
            Origin::Guest { reach: Reach::Contained, .. } => {
                Self { is_contained: true, ..verdict(Confidence::Confirmed, Severity::Error, None) }
            }
            Origin::Guest { reach: Reach::Unknown, .. } => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("the uplink was not captured: whether the frames leave is not known"),
            ),
            Origin::LikelyGuest => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("no tap was captured: origin by where the frame was seen, or by what else its sender does"),
            ),
            Origin::GuestByPrefix => verdict(
                Confidence::Likely,
                Severity::Critical,
                Some("origin by MAC prefix only: routers' and DHCP ports have it too, but they send no BPDUs"),
            ),
            Origin::RemoteGuest => Self {
                is_remote: true,
                ..verdict(
                    Confidence::Likely,
                    Severity::Warning,
                    Some("origin by MAC prefix, and by its coming in from the network"),
                )
            },
            Origin::Host | Origin::Network => return None,
        })
    }

    /// What follows from it, where so many guests are behind the same uplink.
    pub fn so_that(&self, guests: usize) -> String {
        if self.is_contained {
            "they do not leave the node, and would reach the switch if what holds them were removed".to_owned()
        } else if self.is_remote {
            "that node's switch port does not guard against it".to_owned()
        } else {
            let victims = if guests > 1 { format!(", with all {guests} guests on it") } else { String::new() };
            format!("a switch port with BPDU guard shuts the whole node down{victims}")
        }
    }

    /// `claim` with what stops such frames at `port`, or at every tap, and what it rests on.
    pub fn with_remedy(&self, claim: Claim, port: Option<&str>) -> Claim {
        let port = port.unwrap_or("tap+");
        let claim = claim
            .step("Stop such frames at the guest's port now", NFT)
            .step("Or with ebtables, for both families", Command::with("ebtables -I FORWARD -i {} -d 01:80:c2:00:00:00 -j DROP && ebtables -I FORWARD -i {} -d 01:00:0c:cc:cc:cd -j DROP", &[&port, &port]))
            .step("Then switch it off in the guest", "ip link set br0 type bridge stp_state 0")
            .step("Then clear err-disable on the switch port, if it is down", "");
        self.assumption.into_iter().fold(claim, Claim::assuming)
    }
}
