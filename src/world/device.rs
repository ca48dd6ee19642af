//! Which names are those of network interfaces: only these may stand in a command. Keeps nothing.

use super::World;
use crate::finding::{IFACE, is_device_name};

impl World {
    /// `name` as it may stand in a command; a word for any interface where nothing tells that one is called so.
    pub fn device<'a>(&self, name: &'a str) -> &'a str {
        self.known_device(name).unwrap_or(IFACE)
    }

    /// `name`, if the host or a capture tells that an interface is called so; what a file is called is nothing to hand to a command.
    pub fn known_device<'a>(&self, name: &'a str) -> Option<&'a str> {
        let is_told = || self.vantages().iter().any(|(_, vantage)| vantage.is_named && vantage.name.raw() == name);
        (is_device_name(name) && (self.host.link(name).is_some() || is_told())).then_some(name)
    }
}
