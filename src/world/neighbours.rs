//! Who is at the other end, as LLDP and CDP tell it at uplinks. What a guest says of itself is no word about the network and is not kept.
//! At most 256 neighbours, the one silent for longest goes.

use super::{Derived, Domains, Observation, Tracker};
use crate::event::{Direction, VantageId};
use crate::value::{BoundedMap, Mac, Outside, Timestamp};
use crate::wire::{Kind, Kinds, Layers};

/// Neighbours that are held.
const MOST: usize = 256;

/// All neighbours.
pub struct Neighbours {
    table: BoundedMap<NeighbourKey, Neighbour>,
    /// Vantages at which others are heard, and not guests.
    uplinks: Vec<VantageId>,
}

/// Where, the source of its frames, and by which protocol.
pub type NeighbourKey = (VantageId, Mac, &'static str);

/// One neighbour.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Where it is heard.
    pub vantage: VantageId,
    /// The source of its frames.
    pub mac: Mac,
    /// `lldp` or `cdp`.
    pub protocol: &'static str,
    /// Its chassis, by address or name.
    pub chassis: Outside,
    /// Its port.
    pub port: Outside,
    /// Its name.
    pub system: Option<Outside>,
    /// The VLAN of untagged frames at its port.
    pub port_vlan: Option<u16>,
    /// The largest frame that its port takes.
    pub max_frame: Option<u16>,
    /// For how many seconds its word holds.
    pub ttl: u16,
    /// First heard.
    pub first: Timestamp,
    /// Last heard.
    pub last: Timestamp,
}

impl Default for Neighbours {
    /// Nobody yet.
    fn default() -> Self {
        Self { table: BoundedMap::new(MOST), uplinks: Vec::new() }
    }
}

impl Neighbours {
    /// Frames at `vantage` come from the network.
    pub(super) fn add_uplink(&mut self, id: VantageId) {
        self.uplinks.push(id);
    }

    /// All of them, the one silent for longest first.
    pub fn all(&self) -> impl Iterator<Item = &Neighbour> {
        self.table.by_age().map(|(_, neighbour)| neighbour)
    }

    /// The one called `key`.
    pub fn neighbour(&self, key: &NeighbourKey) -> Option<&Neighbour> {
        self.table.peek(key)
    }

    /// The one heard last at `vantage`.
    pub fn at(&self, vantage: VantageId) -> Option<&Neighbour> {
        self.all().filter(|n| n.vantage == vantage).max_by_key(|n| n.last)
    }
}

impl Neighbour {
    /// Its name and port as one writes them into a ticket: `sw-1 port Ethernet35`.
    pub fn name(&self) -> String {
        format!("{} port {}", self.system.as_ref().unwrap_or(&self.chassis), self.port)
    }

    fn of(layers: &Layers<'_>, vantage: VantageId, mac: Mac, now: Timestamp) -> Option<Self> {
        let base = Self {
            vantage,
            mac,
            protocol: "lldp",
            chassis: Outside::default(),
            port: Outside::default(),
            system: None,
            port_vlan: None,
            max_frame: None,
            ttl: 0,
            first: now,
            last: now,
        };
        if let Some(lldp) = layers.lldp() {
            return Some(Self {
                chassis: lldp.chassis()?,
                port: lldp.port()?,
                system: lldp.system_name(),
                port_vlan: lldp.port_vlan().filter(|vlan| *vlan != 0),
                max_frame: lldp.max_frame(),
                ttl: lldp.ttl().unwrap_or(0),
                ..base
            });
        }
        let cdp = layers.cdp()?;
        let (chassis, port) = (cdp.device()?, cdp.port()?);
        let port_vlan = cdp.native_vlan();
        Some(Self { protocol: "cdp", chassis, port, port_vlan, ttl: u16::from(cdp.ttl()), ..base })
    }
}

impl Tracker for Neighbours {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Lldp, Kind::Cdp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, _domains: &Domains, _out: &mut Vec<Derived>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        let vantage = frame.at.vantage;
        let is_from_outside = self.uplinks.contains(&vantage) && frame.direction != Direction::Out;
        let (Some(mac), true, None) = (frame.layers.link_src(), is_from_outside, frame.layers.overlay()) else {
            return;
        };
        let Some(fresh) = Neighbour::of(&frame.layers, vantage, mac, frame.order) else { return };
        let key = (vantage, mac, fresh.protocol);
        let known = self.table.entry(&key, || fresh.clone());
        *known = Neighbour { first: known.first, ..fresh };
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
