//! What the kernel told so far, and which facts follow from each piece of news. A fact that says nothing new is not told again.
//! At most 100,000 devices, ports, addresses and forwarding entries each; what is beyond is not kept, and that is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::link::{self, Port};
use super::neighbour::Entry;
use crate::event::{Fact, Guest, Link, LinkKind};
use crate::source::live::Device;
use crate::value::{Mac, Outside};

/// Entries of each kind that are kept; `world::Host` keeps as many.
const MOST: usize = 100_000;
/// Devices on one another that are followed: more than any host stacks.
const DEEPEST: usize = 12;

/// What the kernel told so far. Everything bears the number of the reading that confirmed it last.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// The number of the reading that is under way.
    reading: u64,
    /// Whether all was told once, so that from now on only news is.
    is_told: bool,
    devices: BTreeMap<u32, Device>,
    names: BTreeMap<Outside, u32>,
    confirmed: BTreeMap<u32, u64>,
    /// The fact that was told last of each device.
    told: BTreeMap<u32, Link>,
    /// Bridge and state of each port.
    ports: BTreeMap<u32, (u32, u8)>,
    /// Port, and reading, of each address that a bridge knows.
    fdb: BTreeMap<(u32, Option<u16>, Mac), (u32, u64)>,
    addresses: BTreeMap<(u32, IpAddr), u64>,
    guests: BTreeMap<Mac, u32>,
    missing: BTreeSet<String>,
}

impl Picture {
    /// The devices by number.
    pub const fn devices(&self) -> &BTreeMap<u32, Device> {
        &self.devices
    }

    /// Everything is read anew: what the reading does not confirm is gone.
    pub const fn begin(&mut self) {
        self.reading = self.reading.saturating_add(1);
    }

    /// A device is there, or changed.
    pub fn device(&mut self, device: Device, out: &mut Vec<Fact>) {
        let index = device.index;
        if self.devices.len() >= MOST && !self.devices.contains_key(&index) {
            return self.miss("links", &format!("more than {MOST} devices; the others are not kept"), out);
        }
        // A name belongs to one device: whoever had it before is gone, whether or not that was heard.
        if let Some(before) = self.names.insert(device.name.clone(), index).filter(|before| *before != index) {
            self.gone(before, out);
            self.names.insert(device.name.clone(), index);
        }
        self.confirmed.insert(index, self.reading);
        let (name, master, state) = (device.name.clone(), device.master, device.port_state);
        let old = self.devices.insert(index, device).map(|old| old.name);
        let is_new_name = old.as_ref() != Some(&name);
        if let (Some(old), true) = (old, is_new_name) {
            self.names.remove(&old);
            self.told.remove(&index);
            self.ports.remove(&index);
            out.push(Fact::LinkGone { name: old });
        }
        self.tell(index, out);
        match (master, state) {
            (Some(bridge), Some(state)) => self.port(Port { device: index, bridge, state }, out),
            _ => self.port_gone(index, out),
        }
        if is_new_name && self.is_told {
            self.tell_others(index, out);
        }
    }

    /// A device is gone, and all that hung on it.
    pub fn gone(&mut self, index: u32, out: &mut Vec<Fact>) {
        let Some(device) = self.devices.remove(&index) else { return };
        self.names.remove(&device.name);
        self.confirmed.remove(&index);
        self.told.remove(&index);
        self.ports.remove(&index);
        self.fdb.retain(|(bridge, ..), (port, _)| *bridge != index && *port != index);
        self.addresses.retain(|(owner, _), _| *owner != index);
        self.guests.retain(|_, tap| *tap != index);
        out.push(Fact::LinkGone { name: device.name });
        let leaning: Vec<u32> = self.leaning_on(index);
        leaning.into_iter().for_each(|other| self.tell(other, out));
    }

    /// A bridge told about one of its ports.
    pub fn port(&mut self, port: Port, out: &mut Vec<Fact>) {
        let Port { device, bridge, state } = port;
        if !self.devices.contains_key(&device) || self.ports.insert(device, (bridge, state)) == Some((bridge, state)) {
            return;
        }
        out.extend(self.port_fact(device));
    }

    /// A device has left its bridge.
    pub fn port_gone(&mut self, index: u32, out: &mut Vec<Fact>) {
        let Some((bridge, _)) = self.ports.remove(&index) else { return };
        self.fdb.retain(|_, (port, _)| *port != index);
        if let (Some(port), Some(bridge)) = (self.name(index), self.name(bridge)) {
            out.push(Fact::BridgePortGone { port, bridge });
        }
    }

    /// A bridge has learned where an address lives.
    pub fn learned(&mut self, entry: Entry, out: &mut Vec<Fact>) {
        if entry.is_own {
            return self.forgot(entry, out);
        }
        let Entry { bridge, port, vlan, mac, .. } = entry;
        let key = (bridge, vlan, mac);
        if self.fdb.len() >= MOST && !self.fdb.contains_key(&key) {
            return self.miss("fdb", &format!("more than {MOST} forwarding entries; the others are not kept"), out);
        }
        let before = self.fdb.insert(key, (port, self.reading));
        if before.is_none_or(|(before, _)| before != port) {
            out.extend(self.name(port).map(|port| Fact::Fdb { mac, port, vlan }));
            self.guest(mac, port, out);
        }
    }

    /// A bridge has forgotten where an address lives.
    pub fn forgot(&mut self, entry: Entry, out: &mut Vec<Fact>) {
        let Entry { bridge, vlan, mac, .. } = entry;
        let Some((port, _)) = self.fdb.remove(&(bridge, vlan, mac)) else { return };
        out.extend(self.name(port).map(|port| Fact::FdbGone { mac, port, vlan }));
    }

    /// A device has an address.
    pub fn address(&mut self, index: u32, address: IpAddr, out: &mut Vec<Fact>) {
        let key = (index, address);
        if self.addresses.len() >= MOST && !self.addresses.contains_key(&key) {
            return self.miss("addresses", &format!("more than {MOST} addresses; the others are not kept"), out);
        }
        if self.addresses.insert(key, self.reading).is_none() {
            out.extend(self.name(index).map(|link| Fact::Address { link, address }));
        }
    }

    /// A device no longer has an address.
    pub fn address_gone(&mut self, index: u32, address: IpAddr, out: &mut Vec<Fact>) {
        if self.addresses.remove(&(index, address)).is_some() {
            out.extend(self.name(index).map(|link| Fact::AddressGone { link, address }));
        }
    }

    /// Something could not be learned; said once in the same words.
    pub fn miss(&mut self, what: &str, why: &str, out: &mut Vec<Fact>) {
        if self.missing.len() < MOST && self.missing.insert(format!("{what}: {why}")) {
            out.push(Fact::Missing { what: Outside::from(what), why: Outside::from(why) });
        }
    }

    /// All devices were read: those that the reading did not confirm are gone.
    pub fn sweep_devices(&mut self, out: &mut Vec<Fact>) {
        let stale = self.confirmed.iter().filter(|(_, reading)| **reading != self.reading);
        let stale: Vec<u32> = stale.map(|(index, _)| *index).collect();
        stale.into_iter().for_each(|index| self.gone(index, out));
    }

    /// All addresses were read.
    pub fn sweep_addresses(&mut self, out: &mut Vec<Fact>) {
        let stale = self.addresses.iter().filter(|(_, reading)| **reading != self.reading);
        let stale: Vec<(u32, IpAddr)> = stale.map(|(key, _)| *key).collect();
        stale.into_iter().for_each(|(index, address)| self.address_gone(index, address, out));
    }

    /// All forwarding entries were read.
    pub fn sweep_fdb(&mut self, out: &mut Vec<Fact>) {
        let stale = self.fdb.iter().filter(|(_, (_, reading))| *reading != self.reading);
        let entry = |((bridge, vlan, mac), (port, _)): (&(u32, Option<u16>, Mac), &(u32, u64))| Entry {
            bridge: *bridge,
            port: *port,
            vlan: *vlan,
            mac: *mac,
            is_own: false,
        };
        let stale: Vec<Entry> = stale.map(entry).collect();
        stale.into_iter().for_each(|entry| self.forgot(entry, out));
    }

    /// All that is known, lower devices before what stands on them, then by name. `out` is what was told while it was read, of which
    /// only `Missing` stays. From now on only news is told.
    pub fn facts(&mut self, out: Vec<Fact>) -> Vec<Fact> {
        let order = self.order();
        let links: Vec<(u32, Link)> = order.iter().filter_map(|index| Some((*index, self.link(*index)?))).collect();
        self.told = links.iter().cloned().collect();
        self.is_told = true;
        let mut facts: Vec<Fact> = links.into_iter().map(|(_, link)| Fact::Link(link)).collect();
        facts.extend(order.iter().filter_map(|index| self.port_fact(*index)));
        let ranks: BTreeMap<u32, usize> = (0..).zip(&order).map(|(rank, index)| (*index, rank)).collect();
        let mut addresses: Vec<_> = self.addresses.keys().map(|(index, a)| (ranks.get(index), *a, *index)).collect();
        addresses.sort();
        let address = |(_, address, index)| Some(Fact::Address { link: self.name(index)?, address });
        facts.extend(addresses.into_iter().filter_map(address));
        let entry = |((_, vlan, mac), (port, _)): (&(u32, Option<u16>, Mac), &(u32, u64))| (*port, *vlan, *mac);
        let mut entries: Vec<_> = self.fdb.iter().map(entry).collect();
        entries.sort_by_key(|(port, vlan, mac)| (ranks.get(port), *vlan, *mac));
        let entry = |(port, vlan, mac)| Some(Fact::Fdb { mac, port: self.name(port)?, vlan });
        facts.extend(entries.into_iter().filter_map(entry));
        facts.extend(self.guests.iter().filter_map(|(mac, tap)| self.guest_fact(*mac, *tap)));
        let mut missing: Vec<Fact> = out.into_iter().filter(|fact| matches!(fact, Fact::Missing { .. })).collect();
        if self.devices.values().any(|device| device.driver.raw() == "openvswitch") {
            let why = "Open vSwitch tells its bridges, tags and forwarding entries to nobody but `ovs-vsctl show` and its like";
            self.miss("bridge", why, &mut missing);
        }
        facts.extend(missing);
        facts
    }

    /// Tells a device if there is something new to tell.
    fn tell(&mut self, index: u32, out: &mut Vec<Fact>) {
        let Some(link) = self.link(index) else { return };
        if self.told.get(&index) == Some(&link) {
            return;
        }
        self.told.insert(index, link.clone());
        out.push(Fact::Link(link));
        let Some(device) = self.devices.get(&index) else { return };
        if device.is_lower_elsewhere {
            let why = format!("what carries {} lies in another network namespace", device.name.raw());
            self.miss("lower", &why, out);
        } else if let ("macvtap", Some(mac)) = (device.driver.raw(), device.mac) {
            // A macvtap bears the address of the guest that opened it.
            if self.guests.insert(mac, index) != Some(index) {
                out.extend(self.guest_fact(mac, index));
            }
        }
    }

    /// A device has a new name: what was told with the old one, or could not be told without one, is told again.
    fn tell_others(&mut self, index: u32, out: &mut Vec<Fact>) {
        let leaning = self.leaning_on(index);
        leaning.into_iter().for_each(|other| self.tell(other, out));
        let ports = self.ports.iter().filter(|(port, (bridge, _))| **port == index || *bridge == index);
        // The port itself was told with its device.
        out.extend(ports.filter(|(port, _)| **port != index).filter_map(|(port, _)| self.port_fact(*port)));
        let Some(name) = self.name(index) else { return };
        let addresses = self.addresses.range((index, IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))..);
        let own = addresses.take_while(|((owner, _), _)| *owner == index);
        out.extend(own.map(|((_, address), _)| Fact::Address { link: name.clone(), address: *address }));
        let entries = self.fdb.iter().filter(|(_, (port, _))| *port == index);
        out.extend(entries.map(|((_, vlan, mac), _)| Fact::Fdb { mac: *mac, port: name.clone(), vlan: *vlan }));
        let guests = self.guests.iter().filter(|(_, tap)| **tap == index);
        out.extend(guests.filter_map(|(mac, tap)| self.guest_fact(*mac, *tap)));
    }

    /// An address behind a tap that bears it with fe in front is the guest's: libvirt names taps so.
    fn guest(&mut self, mac: Mac, port: u32, out: &mut Vec<Fact>) {
        let is_of = |tap: &Device| tap.kind == LinkKind::Tap && tap.mac == Some(mac.of_tap());
        if self.devices.get(&port).is_some_and(is_of) && self.guests.insert(mac, port) != Some(port) {
            out.extend(self.guest_fact(mac, port));
        }
    }

    fn guest_fact(&self, mac: Mac, tap: u32) -> Option<Fact> {
        Some(Fact::Guest(Guest { tap: Some(self.name(tap)?), mac, name: None }))
    }

    /// Devices whose fact names the device `index`.
    fn leaning_on(&self, index: u32) -> Vec<u32> {
        let leans = |d: &&Device| [d.master, d.lower, d.active].contains(&Some(index));
        self.devices.values().filter(leans).map(|d| d.index).collect()
    }

    fn name(&self, index: u32) -> Option<Outside> {
        self.devices.get(&index).map(|device| device.name.clone())
    }

    /// The fact about a device.
    fn link(&self, index: u32) -> Option<Link> {
        let device = self.devices.get(&index)?;
        let name = |index: Option<u32>| self.name(index?);
        Some(Link {
            name: device.name.clone(),
            kind: device.kind,
            mtu: device.mtu,
            mac: device.mac,
            master: name(device.master),
            lower: name(device.lower),
            vid: device.vid,
            protocol: device.tpid.map(link::protocol),
            stp: device.stp,
            vlan_filtering: device.vlan_filtering,
            ageing_s: device.ageing_s,
            mode: device.mode.map(link::mode),
            active: name(device.active),
            up: Some(device.is_up),
            carrier: device.has_carrier,
            alias: device.alias.clone(),
        })
    }

    /// The fact about a port.
    fn port_fact(&self, index: u32) -> Option<Fact> {
        let (bridge, state) = self.ports.get(&index)?;
        Some(Fact::BridgePort {
            port: self.name(index)?,
            bridge: self.name(*bridge)?,
            state: Some(link::state(*state)),
        })
    }

    /// All devices, lower ones before what stands on them, then by name.
    fn order(&self) -> Vec<u32> {
        let mut ranks: BTreeMap<u32, usize> = self.devices.keys().map(|index| (*index, 0)).collect();
        // Whoever stands on something stands higher than it; in a circle, or past the deepest stack, the climb ends.
        for _ in 0..DEEPEST {
            let mut is_settled = true;
            for device in self.devices.values() {
                let under = device.lower.map(|lower| (lower, device.index));
                let member = device.master.map(|master| (device.index, master));
                for (below, above) in [under, member].into_iter().flatten() {
                    let least = ranks.get(&below).map_or(0, |rank| rank.saturating_add(1));
                    if let Some(rank) = ranks.get_mut(&above).filter(|rank| **rank < least) {
                        *rank = least;
                        is_settled = false;
                    }
                }
            }
            if is_settled {
                break;
            }
        }
        let mut order: Vec<(usize, &Outside, u32)> =
            self.devices.values().map(|d| (ranks.get(&d.index).copied().unwrap_or(0), &d.name, d.index)).collect();
        order.sort();
        order.into_iter().map(|(.., index)| index).collect()
    }
}
