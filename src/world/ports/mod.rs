//! Behind which port of this host an address lives: the tap or the uplink at which its frames came in last. Only where taps were captured beside, and
//! only by frames whose direction is known. At most 65,536 addresses, the one silent for longest goes. And which frames leave at a tap although they
//! are for somebody elsewhere.

mod overheard;

pub use overheard::{Heed, Overheard};

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Direction, Fact, LinkKind, Place, Vantage, VantageId};
use crate::value::{BoundedMap, Mac, Outside};
use crate::wire::{Kind, Kinds};
use overheard::{Home, Led, Tap};

/// Addresses that are followed.
const MOST: usize = 65_536;

/// All ports.
pub struct Ports {
    places: Vec<(VantageId, bool)>,
    has_taps: bool,
    table: BoundedMap<(Mac, DomainId), VantageId>,
    /// Whose each tap is, as the host tells: a guest's address, or a tap's own.
    told: BoundedMap<Mac, Outside>,
    /// In order of their vantages.
    taps: Vec<(Outside, Tap)>,
    led: Led,
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
        Self {
            places: Vec::new(),
            has_taps: false,
            table: BoundedMap::new(MOST),
            told: BoundedMap::new(MOST),
            taps: Vec::new(),
            led: Led::default(),
        }
    }

    /// Another vantage is there: taps, and what leads to the network.
    pub(super) fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        let is_tap = vantage.place == Place::Tap;
        let is_uplink = matches!(vantage.place, Place::Bond | Place::Nic);
        if is_tap || is_uplink {
            self.places.push((id, is_tap));
            self.has_taps |= is_tap;
        }
        if is_tap && let Err(at) = self.tap(id) {
            self.taps.insert(at, (vantage.name.clone(), Tap::new(id)));
        }
    }

    /// The port: a tap is one, and all that lead to the network are one together.
    fn port(&self, vantage: VantageId) -> Option<VantageId> {
        let (_, is_tap) = self.places.iter().find(|(v, _)| *v == vantage)?;
        if *is_tap { Some(vantage) } else { self.places.iter().find(|(_, is_tap)| !is_tap).map(|(v, _)| *v) }
    }

    fn tap(&self, vantage: VantageId) -> Result<usize, usize> {
        self.taps.binary_search_by_key(&vantage, |(_, tap)| tap.vantage)
    }

    fn learn(&mut self, fact: &Fact) {
        match fact {
            Fact::Link(link) if link.kind == LinkKind::Tap => {
                // The guest's with fe in front; any other says nothing of the guest.
                if let Some(mac) = link.mac.filter(|mac| mac.starts_with(&[0xfe])) {
                    self.told.insert(mac, link.name.clone());
                }
            }
            Fact::Guest(guest) => {
                if let Some(tap) = &guest.tap {
                    self.told.insert(guest.mac, tap.clone());
                }
            }
            _ => {}
        }
    }

    /// A frame leaves this host by a port: at a tap it should be for the guest there.
    #[inline]
    fn leaves(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let Some(to) = seen.frame.layers.link_dst() else { return };
        let Ok(at) = self.tap(seen.frame.at.vantage) else { return };
        let Some((name, tap)) = self.taps.get_mut(at) else { return };
        let (port, told, table, led) = (tap.vantage, &self.told, &self.table, &mut self.led);
        let home = || {
            let of = |is_here: bool| if is_here { Home::Here } else { Home::Elsewhere };
            // Virtual routers' addresses are not followed from port to port.
            if is_virtual(to) {
                return Home::Here;
            }
            if let Some(owner) = told.peek(&to).or_else(|| told.peek(&to.of_tap())) {
                return of(owner == name);
            }
            table.peek(&(to, domains.root(seen.domain))).map_or(Home::Unknown, |known| of(*known == port))
        };
        let overheard = tap.hears(seen, to, home, || led.elsewhere(seen.packet, port, to));
        out.extend(overheard.map(|overheard| Derived::Overheard(Box::new(overheard))));
    }
}

/// Whether the address belongs to a virtual router, and moves on purpose (RFC 9568 section 7.3, HSRP).
fn is_virtual(mac: Mac) -> bool {
    mac.starts_with(&[0, 0, 0x5e, 0]) || mac.starts_with(&[0, 0, 0x0c, 0x07, 0xac])
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
        let (seen, is_first) = match seen {
            Observation::Packet(seen) => (seen, true),
            Observation::Sighting(seen) => (seen, false),
            Observation::Host(fact) => return self.learn(&fact.what),
            _ => return,
        };
        let frame = seen.frame;
        match frame.direction {
            // A bridge that is captured beside shows it with the same stamp, and may come first.
            Direction::In if is_first || seen.is_at_once => {}
            Direction::Out => return self.leaves(seen, domains, out),
            _ => return,
        }
        let (Some(mac), Some(dst), Some(port)) =
            (frame.layers.link_src(), frame.layers.link_dst(), self.port(frame.at.vantage))
        else {
            return;
        };
        // What bridges never pass on says nothing about them.
        let is_link_local = dst.starts_with(&[0x01, 0x80, 0xc2, 0, 0]);
        if !mac.is_station() || is_link_local || is_virtual(mac) {
            return;
        }
        if let Ok(at) = self.tap(port)
            && let Some((_, tap)) = self.taps.get_mut(at)
        {
            tap.sends();
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
