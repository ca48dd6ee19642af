//! What the network told of itself, for the report: its spanning trees over time, and who is at the other end of links. Facts, not findings.

use serde::Serialize;

use crate::value::{Mac, Outside, Timestamp};

/// A spanning tree, as its BPDUs told it.
#[derive(Clone, Debug, Serialize)]
pub struct KnownTree {
    /// Where it was seen first.
    pub interface: String,
    /// The network: `untagged`, or its tags.
    pub domain: String,
    /// `cist`, `vlan 20` or `msti 3`.
    pub instance: String,
    /// Its roots, one after another; the last is that of the end.
    pub roots: Vec<KnownRoot>,
    /// The ports that spoke.
    pub ports: Vec<KnownPort>,
    /// How often its topology changed.
    pub topology_changes: u64,
    /// By whom that was told, the latest first.
    pub changes_told_by: Vec<KnownTeller>,
}

/// A station that told of changes.
#[derive(Clone, Debug, Serialize)]
pub struct KnownTeller {
    /// The source of its frames.
    pub source: Mac,
    /// Changes that it told of.
    pub changes: u64,
    /// When it did so last.
    pub last: Timestamp,
}

/// A root, and since when it was named.
#[derive(Clone, Debug, Serialize)]
pub struct KnownRoot {
    /// Priority and address.
    pub bridge: String,
    /// Since when.
    pub since: Timestamp,
}

/// A port that sent BPDUs.
#[derive(Clone, Debug, Serialize)]
pub struct KnownPort {
    /// Its bridge: priority and address.
    pub bridge: String,
    /// Its identifier.
    pub port: String,
    /// The source of its frames.
    pub source: Mac,
    /// Whom it named as root last.
    pub root: String,
    /// Its cost to it.
    pub cost: u32,
    /// Seconds between two BPDUs, as it says.
    pub hello_s: f64,
    /// BPDUs seen.
    pub bpdus: u64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

/// Somebody at the other end of a link, by LLDP or CDP.
#[derive(Clone, Debug, Serialize)]
pub struct KnownNeighbour {
    /// Where it was heard.
    pub interface: String,
    /// `lldp` or `cdp`.
    pub protocol: &'static str,
    /// Its chassis, by address or name.
    pub chassis: Outside,
    /// Its port.
    pub port: Outside,
    /// Its name.
    pub system: Option<Outside>,
    /// The source of its frames.
    pub source: Mac,
    /// The VLAN of untagged frames at its port.
    pub port_vlan: Option<u16>,
    /// The largest frame that its port takes.
    pub max_frame: Option<u16>,
    /// For how many seconds its word holds.
    pub ttl_s: u16,
    /// First heard.
    pub first: Timestamp,
    /// Last heard.
    pub last: Timestamp,
}
