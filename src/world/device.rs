//! Which names are those of network interfaces: only these may stand in a command. Keeps nothing.

use super::World;
use crate::event::Place;
use crate::finding::{IFACE, is_device_name};

impl World {
    /// `name` as it may stand in a command; a word for any interface where nothing tells that one is called so.
    pub fn device<'a>(&self, name: &'a str) -> &'a str {
        self.known_device(name).unwrap_or(IFACE)
    }

    /// `name`, if the host or a capture tells that an interface is called so, or a file is called as interfaces are; what other files are called is
    /// nothing to hand to a command.
    pub fn known_device<'a>(&self, name: &'a str) -> Option<&'a str> {
        let is_usual = |place| matches!(place, Place::Tap | Place::Bond | Place::Vlan | Place::Bridge | Place::Nic);
        let mut told = self.vantages().iter().filter(|(_, v)| v.is_named || is_usual(v.place));
        let is_told = self.host.link(name).is_some() || told.any(|(_, v)| v.name.raw() == name);
        (is_told && is_device_name(name)).then_some(name)
    }
}
