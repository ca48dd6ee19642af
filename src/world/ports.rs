//! Behind which port of this host an address lives: the tap or the uplink at which its frames came in last. Only where taps were captured beside, and
//! only by frames whose direction is known. At most 65,536 addresses, the one silent for longest goes.

use super::{Derived, DomainId, Domains, Observation, Tracker};
use crate::event::{Cited, Direction, Place, Vantage, VantageId};
use crate::value::{BoundedMap, Mac};
use crate::wire::{Kind, Kinds};

/// Addresses that are followed.
const MOST: usize = 65_536;

/// All ports.
pub struct Ports {
    places: Vec<(VantageId, bool)>,
    has_taps: bool,
    table: BoundedMap<(Mac, DomainId), VantageId>,
}

/// An address came in at a port.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The address.
    pub mac: Mac,
    /// Its network.
    pub domain: DomainId,
    /// Where it came in before; `None` if it is new.
    pub from: Option<VantageId>,
    /// Where it came in now.
    pub to: VantageId,
    /// The frame.
    pub cited: Cited,
}

impl Ports {
    /// Nobody yet.
    pub fn new() -> Self {
        Self { places: Vec::new(), has_taps: false, table: BoundedMap::new(MOST) }
    }

    /// Another vantage is there: taps, and what leads to the network.
    pub(super) fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        let is_tap = vantage.place == Place::Tap;
        let is_uplink = matches!(vantage.place, Place::Bond | Place::Nic);
        if (is_tap || is_uplink) && self.places.iter().all(|(v, _)| *v != id) {
            self.places.push((id, is_tap));
            self.has_taps |= is_tap;
        }
    }

    /// The port: a tap is one, and all that lead to the network are one together.
    fn port(&self, vantage: VantageId) -> Option<VantageId> {
        let (_, is_tap) = self.places.iter().find(|(v, _)| *v == vantage)?;
        if *is_tap { Some(vantage) } else { self.places.iter().find(|(_, is_tap)| !is_tap).map(|(v, _)| *v) }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracker for Ports {
    fn hears(&self) -> Kinds {
        if self.has_taps { const { Kinds::of(&[Kind::Ethernet]) } } else { Kinds::EMPTY }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let Observation::Packet(seen) = seen else { return };
        let frame = seen.frame;
        if frame.direction != Direction::In {
            return;
        }
        let (Some(mac), Some(dst), Some(port)) =
            (frame.layers.link_src(), frame.layers.link_dst(), self.port(frame.at.vantage))
        else {
            return;
        };
        // What bridges never pass on says nothing about them; virtual routers' addresses move on purpose (RFC 9568 section 7.3, HSRP).
        let is_link_local = dst.starts_with(&[0x01, 0x80, 0xc2, 0, 0]);
        let is_virtual = mac.starts_with(&[0, 0, 0x5e, 0]) || mac.starts_with(&[0, 0, 0x0c, 0x07, 0xac]);
        if !mac.is_station() || is_link_local || is_virtual {
            return;
        }
        let key = (mac, domains.root(seen.domain));
        let before = self.table.get_mut(&key).map(|known| std::mem::replace(known, port));
        if before == Some(port) {
            return;
        }
        if before.is_none() {
            self.table.insert(key, port);
        }
        let moved = Moved { mac, domain: seen.domain, from: before, to: port, cited: Cited::of(frame) };
        out.push(Derived::Moved(Box::new(moved)));
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
