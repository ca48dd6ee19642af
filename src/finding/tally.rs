//! What was counted, frame by frame as the files hold them: the report's `tally`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ExchangeKind, Latency, Outcome};
use crate::value::{TagStack, Tpid, Vid};

/// Counts over all frames of all inputs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Frames read.
    pub frames: u64,
    /// Bytes that those frames had on the wire.
    pub bytes: u64,
    /// Frames of which the capture holds less than the wire carried.
    pub cut: u64,
    /// VLAN tags.
    pub vlan: VlanTally,
    /// DHCPv4 messages by type, those inside tunnels included.
    pub dhcp: BTreeMap<String, u64>,
    /// DHCP exchanges by what was asked for and what it came to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dhcp_exchanges: BTreeMap<ExchangeKind, BTreeMap<Outcome, u64>>,
    /// How long DHCP servers took to answer, from the first try on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dhcp_latency: Vec<Latency>,
    /// BPDUs by kind; `pvst` counts those of every kind in Cisco's per-VLAN encapsulation.
    pub stp: StpTally,
    /// ARP packets by operation.
    pub arp: BTreeMap<&'static str, u64>,
    /// LACP frames.
    pub lacp: u64,
    /// LLDP frames.
    pub lldp: u64,
    /// ICMP "fragmentation needed" messages.
    pub icmp_frag_needed: u64,
    /// ICMPv6 "packet too big" messages.
    pub icmpv6_packet_too_big: u64,
    /// Where decoding ended early, and whose fault that was.
    pub stops: StopTally,
    /// Frames by link type, where the link type is not one that is decoded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub undecoded_links: BTreeMap<String, u64>,
    /// Frames by the header behind which they carry frames or packets that are not read: MPLS, ESP, ERSPAN and the like.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unopened: BTreeMap<&'static str, u64>,
}

/// VLAN tags, by how many a frame carries and by which.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VlanTally {
    /// Frames by the number of their tags.
    pub depth: BTreeMap<usize, u64>,
    /// Frames by their tags, the most frequent first.
    pub stacks: Vec<StackTally>,
}

/// Frames that carry the same tags.
#[derive(Clone, Debug, Serialize)]
pub struct StackTally {
    /// TPIDs, outermost first.
    pub tpids: Vec<String>,
    /// VIDs, outermost first.
    pub vids: Vec<u16>,
    /// How many frames.
    pub frames: u64,
}

/// BPDUs by kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StpTally {
    /// Configuration BPDUs (802.1D).
    pub config: u64,
    /// Topology change notifications.
    pub tcn: u64,
    /// Rapid spanning tree.
    pub rst: u64,
    /// Multiple spanning tree.
    pub mst: u64,
    /// Shortest path tree (802.1aq).
    #[serde(skip_serializing_if = "is_zero")]
    pub spt: u64,
    /// Of a kind that no standard names, or cut before its kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub untyped: u64,
    /// Of any kind, in PVST+ encapsulation.
    pub pvst: u64,
}

/// Why decoding ended early.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StopTally {
    /// The capture is short: nobody's fault.
    pub cut: u64,
    /// The sender promised more than it sent.
    pub short: u64,
    /// A value that the standard forbids.
    pub bad: u64,
    /// More layers than are decoded.
    pub deep: u64,
}

impl Tally {
    /// Frames that were not read, or not to what they carry.
    pub fn unread(&self) -> u64 {
        self.undecoded_links.values().chain(self.unopened.values()).fold(0, |sum, n| sum.saturating_add(*n))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl StackTally {
    /// `frames` frames with the tags of `stack`.
    pub fn new(stack: &TagStack, frames: u64) -> Self {
        let (tpids, vids): (Vec<Tpid>, Vec<Vid>) = stack.as_slice().iter().copied().unzip();
        Self {
            tpids: tpids.iter().map(ToString::to_string).collect(),
            vids: vids.iter().map(|vid| vid.number()).collect(),
            frames,
        }
    }
}
