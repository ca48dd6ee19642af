//! Where the world is looked at from: the vantages by what they show, and who a packet came from by where it was seen.

use super::{DomainId, Origin, World, origin};
use crate::event::{Place, Sighting, Vantage, VantageId};
use crate::settings::Settings;
use crate::value::{Fingerprint, Mac};

/// Vantages among which members of bonds are looked for: no host has more links, and a file may name any number of them.
const MOST: usize = 512;

impl World {
    /// A vantage is there from now on; one that is known stays as it is.
    pub fn add_vantage(&mut self, id: VantageId, vantage: Vantage) {
        let Err(at) = self.vantages.binary_search_by_key(&id, |(v, _)| *v) else { return };
        self.sightings.add_vantage(id, &vantage, &self.host);
        self.arrivals.add_vantage(id, &vantage);
        self.stations.add_vantage(id, &vantage);
        self.ports.add_vantage(id, &vantage);
        self.listen();
        if matches!(vantage.place, Place::Bond | Place::Nic | Place::Switch | Place::Span | Place::Unknown) {
            self.neighbours.add_uplink(id);
        }
        let is_told = self.host.link(vantage.name.raw()).is_some();
        let may_be_member = matches!(vantage.place, Place::Bond | Place::Nic) && self.vantages.len() < MOST;
        self.vantages.insert(at, (id, vantage));
        if may_be_member {
            self.find_members();
        }
        if is_told {
            self.oversizes.arrange(&self.vantages, &self.host);
        }
    }

    pub(super) fn find_members(&mut self) {
        let members = self.vantages.iter().map(|(id, _)| *id).filter(|id| self.is_found_member(*id));
        self.members = members.collect();
    }

    /// The vantage called `id`.
    pub fn vantage(&self, id: VantageId) -> Option<&Vantage> {
        let at = self.vantages.binary_search_by_key(&id, |(v, _)| *v).ok()?;
        self.vantages.get(at).map(|(_, vantage)| vantage)
    }

    /// All vantages, in order of their ids.
    pub fn vantages(&self) -> &[(VantageId, Vantage)] {
        &self.vantages
    }

    /// The name under which findings speak of a vantage: where several vantages show the same link, that of the highest rank.
    pub fn interface(&self, id: VantageId) -> String {
        self.link(id).map_or_else(|| "?".to_owned(), |v| v.name.to_string())
    }

    /// The MTU of the link that a vantage shows, where the host tells it.
    pub fn mtu(&self, id: VantageId) -> Option<u32> {
        // Most captures come without facts, and this is asked of each frame in two tags.
        if !self.host.is_known() {
            return None;
        }
        self.host.mtu(self.link(id)?.name.raw())
    }

    /// The vantage of the highest rank that shows the same link.
    fn link(&self, id: VantageId) -> Option<&Vantage> {
        self.vantage(self.sightings.link_of(id))
    }

    /// The bond or card through which the host reaches the network from `id`; `None` where nothing tells.
    pub fn uplink(&self, id: VantageId) -> Option<String> {
        let vantage = self.vantage(id)?;
        if !matches!(vantage.place, Place::Bond | Place::Nic | Place::Vlan | Place::Bridge | Place::Tap) {
            return None;
        }
        if let Some(told) = self.host.uplink(vantage.name.raw()) {
            return Some(told);
        }
        // Without facts: the one bond that was captured, else the one card.
        let one = |place: Place| {
            let mut names = self.vantages.iter().filter(|(_, v)| v.place == place).map(|(_, v)| v.name.raw());
            let first = names.next()?;
            names.all(|name| name == first).then(|| first.to_owned())
        };
        match vantage.place {
            Place::Bond => Some(vantage.name.raw().to_owned()),
            Place::Nic => one(Place::Bond).or_else(|| Some(vantage.name.raw().to_owned())),
            _ => one(Place::Bond).or_else(|| one(Place::Nic)),
        }
    }

    /// Whether `id` is a member of a bond that was captured itself.
    pub fn is_member(&self, id: VantageId) -> bool {
        !self.members.is_empty() && self.members.contains(&id)
    }

    fn is_found_member(&self, id: VantageId) -> bool {
        let Some(vantage) = self.vantage(id).filter(|v| v.place == Place::Nic) else { return false };
        let uplink = self.uplink(id);
        let is_captured =
            self.vantages.iter().any(|(_, v)| v.place == Place::Bond && Some(v.name.raw()) == uplink.as_deref());
        is_captured && uplink.as_deref() != Some(vantage.name.raw())
    }

    /// Guests on this host: as the host tells, or as many as taps were captured.
    pub fn guests(&self) -> usize {
        let taps: std::collections::BTreeSet<&str> =
            self.vantages.iter().filter(|(_, v)| v.place == Place::Tap).map(|(_, v)| v.name.raw()).collect();
        self.host.guests().max(taps.len())
    }

    /// Whether `first` lies inside this host: what was seen there first goes out.
    pub(super) fn is_inside(&self, first: VantageId) -> bool {
        let place = self.vantage(first).map(|v| v.place);
        matches!(place, Some(Place::Tap | Place::Guest | Place::Bridge | Place::Vlan))
    }

    /// Whether what `a` and `b` say to each other goes past `id`: both are guests of this host, as it tells itself, and there frames leave it.
    pub fn goes_past(&self, id: VantageId, a: Mac, b: Mac) -> bool {
        let leaves = |place| matches!(place, Place::Bond | Place::Nic | Place::Vlan | Place::Switch | Place::Span);
        let is_guest = |mac| self.host.guest_port(mac).is_some();
        self.vantage(id).is_some_and(|vantage| leaves(vantage.place)) && is_guest(a) && is_guest(b)
    }

    /// Whether `id` is a guest's own port: what leaves there for a station has come to its machine. What a file is called is taken for that until
    /// traffic is in it that no guest's port shows.
    pub fn is_port(&self, id: VantageId) -> bool {
        let port = self.vantage(id).filter(|v| matches!(v.place, Place::Tap | Place::Guest));
        port.is_some_and(|v| v.is_placed || !self.stations.has_strangers(id))
    }

    /// Who sent the packet that `seen` is a sighting of, as far as its sightings so far and the host tell.
    pub fn origin(
        &self,
        mac: Mac,
        packet: Option<Fingerprint>,
        first: Sighting,
        domain: DomainId,
        settings: &Settings,
    ) -> Origin {
        let journey = packet.map_or(&[][..], |packet| self.sightings.journey(packet));
        let journey = if journey.is_empty() { std::slice::from_ref(&first) } else { journey };
        let station = self.stations.station(mac, domain, &self.domains);
        origin::origin(mac, journey, station, (&self.vantages, &self.host, &settings.stp))
    }
}
