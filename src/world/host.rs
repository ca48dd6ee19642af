//! What the host says of itself: links by name, what carries what, who lives behind which port; and what it could not say.
//! Bounded by the size of the host: one entry a link, one a forwarding entry, at most 100,000 of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Drop, Fact, Guest, Link, LinkKind, Name, Stamped};
use crate::value::{Mac, Outside, TagStack, Timestamp, Tpid, Vid};

/// Entries of each kind that are held.
const MOST: usize = 100_000;
/// Devices on one another that are followed: more than any host stacks.
const DEEPEST: usize = 12;

/// The facts that hold now.
#[derive(Debug, Default)]
pub struct Host {
    links: BTreeMap<String, Link>,
    ports: BTreeMap<String, String>,
    /// What belongs to each bond and bridge.
    belonging: BTreeMap<String, BTreeSet<String>>,
    fdb: BTreeMap<Mac, String>,
    guests: BTreeMap<Mac, Guest>,
    names: BTreeMap<Mac, Name>,
    missing: BTreeMap<String, String>,
    /// What packet filters drop, by whose rules; empty where none were read.
    drops: BTreeMap<String, Vec<Drop>>,
    /// Links that had a carrier and lost it while they were up, and when.
    lost: BTreeMap<String, Timestamp>,
    /// Links that were switched off or had no carrier, and until when that is known.
    dark: BTreeMap<String, Timestamp>,
}

/// A VLAN device on a VLAN device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacked {
    /// The device on top.
    pub device: Outside,
    /// The VLAN device that it rides on.
    pub lower: Outside,
    /// What carries all of them: the bond or network card at the bottom.
    pub carrier: Outside,
    /// All tags that frames of the device wear on the carrier, outermost first.
    pub tags: TagStack,
    /// The device's MTU.
    pub mtu: Option<u32>,
    /// The carrier's MTU.
    pub carrier_mtu: Option<u32>,
}

impl Host {
    /// Takes a fact in; a later one about the same thing replaces the earlier. Whether devices now stand otherwise
    /// on each other than before, or take packets of another size.
    pub fn learn(&mut self, fact: &Stamped<Fact>) -> bool {
        let device = match &fact.what {
            Fact::Link(Link { name, .. }) | Fact::LinkGone { name } => name.raw(),
            Fact::BridgePort { port, .. } | Fact::BridgePortGone { port, .. } => port.raw(),
            _ => {
                self.note(fact);
                return false;
            }
        };
        let stands = |host: &Self| host.link(device).map(|link| (link.kind, link.lower.clone(), link.mtu));
        let belongs = |host: &Self| host.bridge_of(device).map(str::to_owned);
        let (stood, belonged) = (stands(self), belongs(self));
        self.note(fact);
        let now = belongs(self);
        if belonged == now {
            return stood != stands(self);
        }
        if let Some(before) = belonged
            && let Some(others) = self.belonging.get_mut(&before)
        {
            others.remove(device);
            if others.is_empty() {
                self.belonging.remove(&before);
            }
        }
        if let Some(now) = now {
            self.belonging.entry(now).or_default().insert(device.to_owned());
        }
        true
    }

    fn note(&mut self, fact: &Stamped<Fact>) {
        match &fact.what {
            Fact::Link(link) if self.links.len() < MOST => {
                self.note_carrier(link, fact.time);
                self.links.insert(link.name.raw().to_owned(), link.clone());
            }
            Fact::LinkGone { name } => {
                let name = name.raw();
                self.links.remove(name);
                self.lost.remove(name);
                self.dark.remove(name);
                self.ports.remove(name);
                self.fdb.retain(|_, port| port != name);
                self.guests.retain(|_, guest| guest.tap.as_ref().is_none_or(|tap| tap.raw() != name));
            }
            Fact::BridgePort { port, bridge, .. } if self.ports.len() < MOST => {
                self.ports.insert(port.raw().to_owned(), bridge.raw().to_owned());
            }
            Fact::BridgePortGone { port, .. } => {
                self.ports.remove(port.raw());
            }
            Fact::FdbGone { mac, port, .. } if self.fdb.get(mac).is_some_and(|told| told == port.raw()) => {
                self.fdb.remove(mac);
            }
            Fact::Fdb { mac, port, .. } if self.fdb.len() < MOST => {
                self.fdb.insert(*mac, port.raw().to_owned());
            }
            Fact::Name(name) if self.names.len() < MOST => {
                self.names.insert(name.mac, name.clone());
            }
            Fact::Guest(guest) if self.guests.len() < MOST => {
                if let Some(name) = &guest.name {
                    let (mac, name, source) = (guest.mac, name.clone(), Outside::from("host"));
                    self.names.entry(mac).or_insert(Name { mac, name, source });
                }
                self.guests.insert(guest.mac, guest.clone());
            }
            Fact::Filter { by, drops } if self.drops.len() < MOST => {
                self.missing.remove(by.raw());
                self.drops.insert(by.raw().to_owned(), drops.iter().take(MOST).cloned().collect());
            }
            Fact::Missing { what, why } if self.missing.len() < MOST => {
                // What was read of a filter holds no longer than until it cannot be read any more.
                self.drops.remove(what.raw());
                self.missing.insert(what.raw().to_owned(), why.raw().to_owned());
            }
            _ => {}
        }
    }

    /// Whether the host said anything about its links.
    pub fn is_known(&self) -> bool {
        !self.links.is_empty()
    }

    /// The link called `name`.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(name)
    }

    /// The MTU of the link called `name`, in bytes of layer 3.
    pub fn mtu(&self, name: &str) -> Option<u32> {
        self.link(name)?.mtu
    }

    /// The MTU of the link called `name`, and its address if it takes only what is sent to that; `None` of a tunnel, which may be wider at its
    /// other end, and of a bridge, whose MTU is that of its narrowest port and no limit between the others.
    pub fn room(&self, name: &str) -> Option<(u32, Option<Mac>)> {
        let link = self.link(name)?;
        // A card that hands on to nobody may be where a mirror of other links arrives.
        let is_alone = link.kind == LinkKind::Nic && link.master.is_none();
        let is_wire = !matches!(link.kind, LinkKind::Tunnel | LinkKind::Bridge | LinkKind::Other);
        link.mtu.filter(|_| is_wire).map(|mtu| (mtu, link.mac.filter(|_| is_alone)))
    }

    /// The tags that a frame of the device `name` gets on the way down, outermost first, and the device at the bottom.
    pub fn below(&self, name: &str) -> Option<(TagStack, &Link)> {
        let mut at = self.link(name)?;
        let mut tags = Vec::new();
        for _ in 0..DEEPEST {
            if at.kind != LinkKind::Vlan {
                break;
            }
            let tpid = if at.protocol.as_ref().is_some_and(|p| p.raw().eq_ignore_ascii_case("802.1ad")) {
                Tpid::S
            } else {
                Tpid::C
            };
            tags.push((tpid, Vid::from_tci(at.vid.unwrap_or(0))));
            at = self.link(at.lower.as_ref()?.raw())?;
        }
        tags.reverse();
        Some((tags.into_iter().collect(), at))
    }

    /// Every VLAN device that rides on a VLAN device, in order of name.
    pub fn stacked(&self) -> Vec<Stacked> {
        let devices = self.links.values().filter(|link| link.kind == LinkKind::Vlan);
        let stacks = devices.filter_map(|device| {
            let (tags, carrier) = self.below(device.name.raw())?;
            (tags.depth() > 1).then(|| Stacked {
                device: device.name.clone(),
                lower: device.lower.clone().unwrap_or_default(),
                carrier: carrier.name.clone(),
                tags,
                mtu: device.mtu,
                carrier_mtu: carrier.mtu,
            })
        });
        stacks.collect()
    }

    /// The bond or bridge that `name` belongs to.
    pub fn master(&self, name: &str) -> Option<&Outside> {
        self.link(name)?.master.as_ref()
    }

    /// When the link called `name` lost its carrier, if it has none now, had one before, and nobody switched it off.
    pub fn carrier_lost(&self, name: &str) -> Option<Timestamp> {
        self.lost.get(name).copied()
    }

    /// Until when the link called `name` was switched off or without a carrier; what is so now is no earlier than the latest fact about it.
    pub fn dark_until(&self, name: &str) -> Option<Timestamp> {
        self.dark.get(name).copied()
    }

    /// The members of the bond called `name`, in order of name.
    pub fn members(&self, name: &str) -> Vec<&Link> {
        let is_bond = self.link(name).is_some_and(|link| link.kind == LinkKind::Bond);
        let is_member = |link: &&Link| is_bond && link.master.as_ref().is_some_and(|master| master.raw() == name);
        self.belonging_to(name).filter(is_member).collect()
    }

    /// When the last of all carriers of the uplink `name` was lost: its own, or those of every member that is switched on.
    pub fn cut_off(&self, name: &str) -> Option<Timestamp> {
        let mut members = self.members(name);
        members.retain(|link| link.up != Some(false));
        if members.is_empty() {
            return self.carrier_lost(name);
        }
        members
            .into_iter()
            .map(|link| self.carrier_lost(link.name.raw()))
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()
    }

    /// The bond or card through which the device `name` reaches the network: itself, its bond, what carries it, or the bridge's port that leads out.
    pub fn uplink(&self, name: &str) -> Option<String> {
        let mut at = self.link(name)?;
        for _ in 0..DEEPEST {
            let Some(next) = self.outward(at) else { break };
            at = next;
        }
        let bond = at.master.as_ref().and_then(|master| self.link(master.raw())).filter(|m| m.kind == LinkKind::Bond);
        let end = if at.kind == LinkKind::Nic { bond.unwrap_or(at) } else { at };
        matches!(end.kind, LinkKind::Bond | LinkKind::Nic).then(|| end.name.raw().to_owned())
    }

    /// The devices that a frame of `name` passes on its way out of the host, in their order; of a bond any of its members.
    pub fn way_out(&self, name: &str) -> Vec<String> {
        let mut way = Vec::new();
        let mut at = self.link(name);
        while let Some(next) = at.and_then(|at| self.outward(at)).filter(|_| way.len() < DEEPEST) {
            way.push(next.name.raw().to_owned());
            at = Some(next);
        }
        let members = at.map(|bond| self.members(bond.name.raw())).unwrap_or_default();
        way.extend(members.into_iter().map(|link| link.name.raw().to_owned()));
        way
    }

    /// The device through which what `link` sends goes next; `None` where it leaves the host, or nothing tells.
    fn outward(&self, link: &Link) -> Option<&Link> {
        match link.kind {
            LinkKind::Bond | LinkKind::Nic => None,
            LinkKind::Vlan => self.link(link.lower.as_ref()?.raw()),
            LinkKind::Bridge => {
                let leads_out = |port: &&Link| matches!(port.kind, LinkKind::Bond | LinkKind::Nic | LinkKind::Vlan);
                self.belonging_to(link.name.raw()).find(leads_out)
            }
            _ => self.link(self.bridge_of(link.name.raw())?),
        }
    }

    /// The bridge that `port` belongs to.
    pub fn bridge_of(&self, port: &str) -> Option<&str> {
        self.ports.get(port).map(String::as_str).or_else(|| self.master(port).map(Outside::raw))
    }

    /// Ports of the bridge called `name`, in order of name.
    pub fn bridge_ports(&self, name: &str) -> Vec<&Link> {
        self.belonging_to(name).collect()
    }

    /// What belongs to the bond or bridge called `name`, in order of name.
    fn belonging_to(&self, name: &str) -> impl Iterator<Item = &Link> {
        self.belonging.get(name).into_iter().flatten().filter_map(|link| self.link(link))
    }

    /// All bridges, in order of name.
    pub fn bridges(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| link.kind == LinkKind::Bridge)
    }

    fn note_carrier(&mut self, link: &Link, time: Option<Timestamp>) {
        let name = link.name.raw();
        let is_dark = |link: &Link| link.carrier == Some(false) || link.up == Some(false);
        if let Some(time) = time
            && (is_dark(link) || self.links.get(name).is_some_and(is_dark))
        {
            self.dark.insert(name.to_owned(), time);
        }
        if link.carrier != Some(false) || link.up == Some(false) {
            self.lost.remove(name);
            return;
        }
        let had_one =
            self.links.get(name).is_some_and(|before| before.carrier != Some(false) && before.up != Some(false));
        if let (true, Some(time)) = (had_one, time) {
            self.lost.insert(name.to_owned(), time);
        }
    }

    /// The port of a guest behind which `mac` lives: told, learned by a bridge, or a tap that bears the guest's address with fe in front.
    pub fn guest_port(&self, mac: Mac) -> Option<String> {
        let is_tap = |name: &str| self.link(name).is_some_and(|link| link.kind == LinkKind::Tap);
        let learned = || self.fdb.get(&mac).filter(|port| is_tap(port)).cloned();
        self.guests.get(&mac).map(port_of).or_else(learned).or_else(|| self.own_port(mac))
    }

    /// The port of the guest whose own address `mac` is: told, or by the tap that bears it with fe in front. What a bridge has learned does not
    /// count: it learns what anybody claims.
    pub fn own_port(&self, mac: Mac) -> Option<String> {
        let of_tap = || self.links.values().find(|l| l.kind == LinkKind::Tap && l.mac == Some(mac.of_tap()));
        self.guests.get(&mac).map(port_of).or_else(|| of_tap().map(|tap| tap.name.raw().to_owned()))
    }

    /// The guest behind `port`, if the host tells of one.
    pub fn guest_of(&self, port: &str) -> Option<&Guest> {
        self.guests.values().find(|guest| guest.tap.as_ref().is_some_and(|tap| tap.raw() == port))
    }

    /// Whether `mac` is the own address of the guest behind `port`; `None` where nothing tells whose port it is.
    pub fn lives_behind(&self, mac: Mac, port: &str) -> Option<bool> {
        let tap = self.link(port).filter(|link| link.kind == LinkKind::Tap).and_then(|link| link.mac);
        let by_tap = tap.filter(|tap| tap.starts_with(&[0xfe])).map(|tap| tap == mac.of_tap());
        let is_told = self.guests.get(&mac).is_some_and(|guest| port_of(guest) == port);
        if is_told || by_tap == Some(true) {
            return Some(true);
        }
        by_tap.or_else(|| self.guest_of(port).map(|_| false))
    }

    /// The name of whoever has `mac`.
    pub fn name_of(&self, mac: Mac) -> Option<&Name> {
        self.names.get(&mac)
    }

    /// Whether `mac` is an address of one of the host's own devices; taps do not count, they stand for guests.
    pub fn is_own(&self, mac: Mac) -> bool {
        self.links.values().any(|link| link.kind != LinkKind::Tap && link.mac == Some(mac))
    }

    /// Whether a filter drops frames to `to` that come in at `port`; `None` where no filter's rules were read.
    pub fn drops(&self, port: &str, to: Mac) -> Option<bool> {
        let is_known = !self.drops.is_empty();
        is_known.then(|| self.drops.values().flatten().any(|drop| drop.holds(port, to)))
    }

    /// Whether the rules of the filter called `by` were read.
    pub fn is_filter_known(&self, by: &str) -> bool {
        self.drops.contains_key(by)
    }

    /// Why something could not be learned: `filter`, `fdb`, `guest`, …
    pub fn missing(&self, what: &str) -> Option<&str> {
        self.missing.get(what).map(String::as_str)
    }

    /// Whether the bridge that `port` belongs to takes part in spanning tree; `None` where nothing tells.
    pub fn bridge_speaks_stp(&self, port: &str) -> Option<bool> {
        self.link(self.bridge_of(port)?)?.stp
    }

    /// Guests on this host, as far as the host tells.
    pub fn guests(&self) -> usize {
        let taps = self.links.values().filter(|link| link.kind == LinkKind::Tap).count();
        self.guests.len().max(taps)
    }
}

/// The port of a guest, as findings call it.
fn port_of(guest: &Guest) -> String {
    guest.tap.as_ref().map_or_else(|| "a tap of this host".to_owned(), |tap| tap.raw().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(lines: &[&str]) -> Host {
        let mut host = Host::default();
        for line in lines {
            host.learn(&serde_json::from_str(line).unwrap());
        }
        host
    }

    #[test]
    fn the_tags_of_a_stacked_device_are_found_by_walking_down() {
        let host = host(&[
            r#"{"fact":"link","name":"bond0","kind":"bond","mtu":1500}"#,
            r#"{"fact":"link","name":"vlan20","kind":"vlan","vid":20,"lower":"bond0","mtu":1500}"#,
            r#"{"fact":"link","name":"vlan100","kind":"vlan","vid":100,"lower":"vlan20","mtu":1500}"#,
        ]);
        let stacked = host.stacked();
        assert_eq!(stacked.len(), 1);
        assert_eq!(
            (stacked[0].device.raw(), stacked[0].carrier.raw(), stacked[0].tags.to_string().as_str()),
            ("vlan100", "bond0", "20.100")
        );
    }

    #[test]
    fn the_way_out_leads_through_the_bridge_and_what_carries_its_port() {
        let mut host = host(&[
            r#"{"fact":"link","name":"eth0","kind":"nic","master":"bond0"}"#,
            r#"{"fact":"link","name":"bond0","kind":"bond"}"#,
            r#"{"fact":"link","name":"vlan20","kind":"vlan","vid":20,"lower":"bond0"}"#,
            r#"{"fact":"link","name":"br20","kind":"bridge"}"#,
            r#"{"fact":"bridge-port","port":"vlan20","bridge":"br20"}"#,
            r#"{"fact":"bridge-port","port":"tap7","bridge":"br20"}"#,
            r#"{"fact":"link","name":"tap7","kind":"tap"}"#,
        ]);
        assert_eq!(host.way_out("tap7"), ["br20", "vlan20", "bond0", "eth0"]);
        assert_eq!(host.uplink("tap7").as_deref(), Some("bond0"));
        let mut learn = |line: &str| host.learn(&serde_json::from_str(line).unwrap());
        assert!(!learn(r#"{"fact":"link","name":"tap7","kind":"tap","carrier":false}"#));
        assert!(learn(r#"{"fact":"bridge-port-gone","port":"vlan20","bridge":"br20"}"#));
        assert_eq!((host.way_out("tap7"), host.uplink("tap7")), (vec!["br20".to_owned()], None));
    }

    #[test]
    fn devices_that_carry_each_other_in_a_circle_end() {
        let host = host(&[
            r#"{"fact":"link","name":"a","kind":"vlan","vid":1,"lower":"b"}"#,
            r#"{"fact":"link","name":"b","kind":"vlan","vid":2,"lower":"a"}"#,
        ]);
        assert_eq!(host.below("a").map(|(tags, _)| tags.depth()), Some(DEEPEST));
    }

    #[test]
    fn what_hung_on_a_device_goes_with_it() {
        let mut host = host(&[
            r#"{"fact":"link","name":"tap7","kind":"tap"}"#,
            r#"{"fact":"link","name":"br0","kind":"bridge","stp":true}"#,
            r#"{"fact":"bridge-port","port":"tap7","bridge":"br0","state":"forwarding"}"#,
            r#"{"fact":"fdb","mac":"fa:16:3e:00:00:07","port":"tap7"}"#,
            r#"{"fact":"guest","mac":"fa:16:3e:00:00:08","tap":"tap7"}"#,
        ]);
        let (learned, told) = ("fa:16:3e:00:00:07".parse().unwrap(), "fa:16:3e:00:00:08".parse().unwrap());
        assert_eq!((host.guest_port(learned), host.guest_port(told)), (Some("tap7".into()), Some("tap7".into())));
        assert_eq!(host.bridge_speaks_stp("tap7"), Some(true));
        let mut hear = |line: &str| {
            host.learn(&serde_json::from_str(line).unwrap());
            (host.guest_port(learned), host.guest_port(told), host.bridge_speaks_stp("tap7"))
        };
        hear(r#"{"fact":"fdb-gone","mac":"fa:16:3e:00:00:07","port":"tap8"}"#);
        let (port, ..) = hear(r#"{"fact":"bridge-port-gone","port":"tap7","bridge":"br0"}"#);
        assert_eq!(port.as_deref(), Some("tap7"), "another port has forgotten the address");
        assert_eq!(
            hear(r#"{"fact":"fdb-gone","mac":"fa:16:3e:00:00:07","port":"tap7"}"#),
            (None, Some("tap7".into()), None)
        );
        assert_eq!(hear(r#"{"fact":"link-gone","name":"tap7"}"#), (None, None, None));
    }

    #[test]
    fn a_guest_is_known_by_its_tap() {
        let host = host(&[
            r#"{"fact":"link","name":"tap7","kind":"tap","mac":"fe:16:3e:24:e7:22"}"#,
            r#"{"fact":"link","name":"bond0","kind":"bond","mac":"0c:c4:7a:10:00:01"}"#,
        ]);
        assert_eq!(host.guest_port("fa:16:3e:24:e7:22".parse().unwrap()).as_deref(), Some("tap7"));
        assert!(host.is_own("0c:c4:7a:10:00:01".parse().unwrap()));
        assert!(!host.is_own("fe:16:3e:24:e7:22".parse().unwrap()));
    }
}
