//! Spanning tree BPDUs: STP, RSTP and MSTP (IEEE 802.1Q-2018 clause 14), SPT is only named; and Cisco's per-VLAN form, which adds the VLAN at the end.

use std::fmt;

use super::stop::Why;
use super::window::{Window, piece};
use crate::value::{Mac, Outside, Span};

/// A BPDU, as far as it was captured: what the body does not hold is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Stp<'a> {
    body: &'a [u8],
    fixed: &'a [u8; 4],
    family: StpFamily,
}

/// Whose encapsulation a BPDU came in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StpFamily {
    /// IEEE 802.1: LLC, one tree or several in one BPDU.
    Ieee,
    /// Cisco per-VLAN: SNAP, one BPDU a VLAN.
    Pvst,
}

/// What kind of BPDU it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BpduKind {
    /// Version 0: configuration.
    Config,
    /// Version 0: topology change notification.
    Tcn,
    /// Version 2: rapid.
    Rst,
    /// Version 3: multiple.
    Mst,
    /// Version 4: shortest path.
    Spt,
    /// A pair the standard does not name.
    Other {
        /// Protocol version identifier.
        version: u8,
        /// BPDU type.
        bpdu_type: u8,
    },
}

/// A bridge identifier; the lower one is better, by priority and then by address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BridgeId {
    /// Four bits of priority and twelve of system-id extension: the VLAN or the MST instance.
    pub priority: u16,
    /// The bridge.
    pub mac: Mac,
}

/// What a BPDU says of one MST instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msti {
    /// The instance, 1 to 4094.
    pub instance: u16,
    /// As of a whole BPDU.
    pub flags: u8,
    /// The regional root, with the instance in the low twelve bits of its priority.
    pub root: BridgeId,
    /// The sender's cost to it.
    pub cost: u32,
}

impl<'a> Stp<'a> {
    /// Whether the protocol is spanning tree, as far as it was captured, and not GARP.
    pub(super) fn is_here(window: &Window<'_>) -> bool {
        window.bytes.iter().take(2).all(|&byte| byte == 0)
    }

    /// Reads all there is; less than the kind takes is a fault.
    pub(super) fn parse(family: StpFamily, window: &mut Window<'a>) -> Result<Self, Why> {
        let body = window.bytes;
        let stp = Self { body, fixed: window.take()?, family };
        window.take_some(4, stp.expected_len().saturating_sub(4));
        window.take_all();
        Ok(stp)
    }

    /// Whose encapsulation it came in.
    pub const fn family(&self) -> StpFamily {
        self.family
    }

    /// The protocol identifier; always 0.
    pub const fn protocol_id(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// The protocol version identifier: 0 STP, 2 RSTP, 3 MSTP, 4 SPT.
    pub const fn version(&self) -> u8 {
        self.fixed[2]
    }

    /// What kind of BPDU it is.
    pub const fn kind(&self) -> BpduKind {
        match (self.fixed[2], self.fixed[3]) {
            (_, 0x80) => BpduKind::Tcn,
            (_, 0x00) => BpduKind::Config,
            (2, 0x02) => BpduKind::Rst,
            (3, 0x02) => BpduKind::Mst,
            (4, 0x02) => BpduKind::Spt,
            (version, bpdu_type) => BpduKind::Other { version, bpdu_type },
        }
    }

    /// Topology change 0x01, proposal 0x02, role 0x0c, learning 0x10, forwarding 0x20, agreement 0x40, acknowledgement 0x80.
    pub fn flags(&self) -> Option<u8> {
        self.body.get(4).copied().filter(|_| self.kind() != BpduKind::Tcn)
    }

    /// The root of the tree, as the sender believes.
    pub fn root(&self) -> Option<BridgeId> {
        self.bridge_at(5)
    }

    /// The sender's cost to the root.
    pub fn root_cost(&self) -> Option<u32> {
        self.at(13).map(u32::from_be_bytes)
    }

    /// The sender; in MSTP the regional root.
    pub fn bridge(&self) -> Option<BridgeId> {
        self.bridge_at(17)
    }

    /// The bridge that sent it, in MSTP too, where it stands after the region.
    pub fn sender(&self) -> Option<BridgeId> {
        let bytes: [u8; 8] = match self.kind() {
            BpduKind::Mst | BpduKind::Spt => self.mst_at(93)?,
            _ => return self.bridge(),
        };
        Some(BridgeId::from_bytes(bytes))
    }

    /// What it says of each MST instance, as far as it was captured (clause 14.4.1).
    pub fn instances(&self) -> impl Iterator<Item = Msti> + use<'a> {
        let records = if self.kind() == BpduKind::Mst { self.body.get(102..).unwrap_or(&[]) } else { &[] };
        // The version 3 length counts all behind it; what is padding is not an instance.
        let length = usize::from(piece(self.body, 36).map_or(0, u16::from_be_bytes)).saturating_sub(64);
        records.get(..length.min(records.len())).unwrap_or(&[]).chunks_exact(16).filter_map(Msti::parse)
    }

    /// The sender's port.
    pub fn port_id(&self) -> Option<u16> {
        self.at(25).map(u16::from_be_bytes)
    }

    /// How long ago the root spoke.
    pub fn message_age(&self) -> Option<Span> {
        self.span_at(27)
    }

    /// When what the root said grows stale.
    pub fn max_age(&self) -> Option<Span> {
        self.span_at(29)
    }

    /// How often the root speaks.
    pub fn hello(&self) -> Option<Span> {
        self.span_at(31)
    }

    /// How long a port listens, and learns.
    pub fn forward_delay(&self) -> Option<Span> {
        self.span_at(33)
    }

    /// The VLAN that a per-VLAN BPDU names: type 0, length 2 behind the BPDU (one byte later than a config BPDU ends, as RST has it).
    pub fn pvst_vlan(&self) -> Option<u16> {
        if self.family != StpFamily::Pvst {
            return None;
        }
        let after = |at: usize| {
            let [a, b, c, d, e, f] = piece(self.body, at)?;
            if [a, b, c, d] == [0, 0, 0, 2] { Some(u16::from_be_bytes([e, f])) } else { None }
        };
        after(36).or_else(|| after(35))
    }

    /// The name of the sender's MST region.
    pub fn region_name(&self) -> Option<Outside> {
        let name: [u8; 32] = self.mst_at(39)?;
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        Some(Outside::from_bytes(name.get(..end).unwrap_or(&name)))
    }

    /// The revision of the sender's MST region.
    pub fn region_revision(&self) -> Option<u16> {
        self.mst_at(71).map(u16::from_be_bytes)
    }

    /// The digest of the table that maps VLANs to instances.
    pub fn region_digest(&self) -> Option<[u8; 16]> {
        self.mst_at(73)
    }

    /// Bytes that the standard gives this kind (IEEE 802.1Q-2018 clause 14.4); MST without its instances.
    const fn expected_len(&self) -> usize {
        match self.kind() {
            BpduKind::Config => 35,
            BpduKind::Rst => 36,
            BpduKind::Mst | BpduKind::Spt => 102,
            BpduKind::Tcn | BpduKind::Other { .. } => 4,
        }
    }

    fn at<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if self.kind() == BpduKind::Tcn { None } else { piece(self.body, at) }
    }

    fn mst_at<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if matches!(self.kind(), BpduKind::Mst | BpduKind::Spt) { piece(self.body, at) } else { None }
    }

    fn bridge_at(&self, at: usize) -> Option<BridgeId> {
        self.at::<8>(at).map(BridgeId::from_bytes)
    }

    /// Times are in 1/256 s (clause 14.3).
    fn span_at(&self, at: usize) -> Option<Span> {
        self.at(at).map(|bytes| Span::nanos(i64::from(u16::from_be_bytes(bytes)).saturating_mul(3_906_250)))
    }
}

impl BridgeId {
    const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [p, q, a, b, c, d, e, f] = bytes;
        Self { priority: u16::from_be_bytes([p, q]), mac: Mac([a, b, c, d, e, f]) }
    }
}

impl Msti {
    fn parse(record: &[u8]) -> Option<Self> {
        let root = BridgeId::from_bytes(piece(record, 1)?);
        Some(Self {
            instance: root.priority & 0x0fff,
            flags: *record.first()?,
            root,
            cost: piece(record, 9).map(u32::from_be_bytes)?,
        })
    }
}

impl fmt::Display for Stp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.family == StpFamily::Pvst { "PVST" } else { "STP" };
        write!(f, "{name} {}", self.kind())?;
        if let Some(vlan) = self.pvst_vlan() {
            write!(f, ", VLAN {vlan}")?;
        }
        match self.root() {
            Some(root) => write!(f, ", root {root}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for BpduKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Tcn => "tcn",
            Self::Rst => "rst",
            Self::Mst => "mst",
            Self::Spt => "spt",
            Self::Other { version, bpdu_type } => return write!(f, "version {version} type 0x{bpdu_type:02x}"),
        })
    }
}

impl fmt::Display for BridgeId {
    /// `8000.00:1c:73:00:00:01`, priority in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}.{}", self.priority, self.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after IEEE 802.1D-1998 clause 9.3.1: root 8000.00:1c:73:00:00:01 at cost 4.
    const CONFIG: [u8; 35] = [
        0, 0, 0, 0, 1, 0x80, 0, 0x00, 0x1c, 0x73, 0, 0, 1, 0, 0, 0, 4, 0x80, 0, 0x00, 0x1c, 0x73, 0, 0, 2, 0x80, 0x01,
        1, 0, 20, 0, 2, 0, 15, 0,
    ];

    fn parse(family: StpFamily, bytes: &[u8], wire: u32) -> (Stp<'_>, Option<Why>) {
        let mut window = Window::new(bytes, wire);
        (Stp::parse(family, &mut window).unwrap(), window.fault)
    }

    #[test]
    fn a_config_bpdu() {
        let (stp, fault) = parse(StpFamily::Ieee, &CONFIG, 35);
        assert_eq!(stp.to_string(), "STP config, root 8000.00:1c:73:00:00:01");
        assert_eq!((stp.root_cost(), stp.port_id(), stp.flags(), fault), (Some(4), Some(0x8001), Some(1), None));
        assert_eq!((stp.max_age(), stp.hello()), (Some(Span::secs(20)), Some(Span::secs(2))));
        assert_eq!((stp.message_age(), stp.forward_delay()), (Some(Span::secs(1)), Some(Span::secs(15))));
        assert!(stp.root() < stp.bridge() && stp.region_name().is_none() && stp.pvst_vlan().is_none());
    }

    #[test]
    fn a_short_bpdu_tells_what_it_holds() {
        let (stp, fault) = parse(StpFamily::Ieee, &CONFIG[..20], 35);
        assert_eq!(fault, Some(Why::Cut { need: 35, have: 20 }));
        assert_eq!((stp.root_cost(), stp.bridge()), (Some(4), None));
        // A topology change notification is four bytes; the padding behind it means nothing.
        let (stp, fault) = parse(StpFamily::Ieee, &[0, 0, 0, 0x80, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], 14);
        assert_eq!((stp.kind(), stp.root(), stp.flags(), fault), (BpduKind::Tcn, None, None, None));
    }

    #[test]
    fn a_per_vlan_bpdu_names_its_vlan_and_garp_is_none() {
        let mut bytes = CONFIG.to_vec();
        (bytes[2], bytes[3]) = (2, 2);
        bytes.extend([0, 0, 0, 0, 2, 0, 100]);
        let (stp, _) = parse(StpFamily::Pvst, &bytes, 42);
        assert_eq!(stp.to_string(), "PVST rst, VLAN 100, root 8000.00:1c:73:00:00:01");
        assert!(!Stp::is_here(&Window::new(&[0, 1, 1, 2], 4)));
        assert!(Stp::is_here(&Window::new(&bytes, 42)) && Stp::is_here(&Window::new(&[0], 42)));
    }

    #[test]
    fn an_mst_bpdu_names_its_region() {
        let mut bytes = CONFIG.to_vec();
        (bytes[2], bytes[3]) = (3, 2);
        bytes.extend([0, 0, 64, 0]);
        bytes.extend(b"region1");
        bytes.resize(71, 0);
        bytes.extend([0, 5]);
        bytes.resize(102, 0xac);
        let (stp, fault) = parse(StpFamily::Ieee, &bytes, 102);
        assert_eq!((stp.kind(), stp.region_revision(), fault), (BpduKind::Mst, Some(5), None));
        // The sender stands at 93; one record for instance 3 behind it, root 4003.ac:…, and padding that is no record.
        let mut longer = bytes.clone();
        longer[36..38].copy_from_slice(&80_u16.to_be_bytes());
        longer.extend([0x3c, 0x40, 0x03, 0, 0x1c, 0x73, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x80, 20]);
        longer.extend([0; 16]);
        let (with, _) = parse(StpFamily::Ieee, &longer, 134);
        let told: Vec<Msti> = with.instances().collect();
        assert_eq!((told.len(), told[0].instance, told[0].cost), (1, 3, 5));
        assert_eq!(with.sender().map(|b| b.priority), Some(0xacac));
        assert_eq!((stp.region_name(), stp.region_digest()), (Some(Outside::from("region1")), Some([0xac; 16])));
    }
}
