//! What a host says about itself: links, bridge ports, forwarding entries, guests; and what it could not say. One fact is one line of `host.jsonl`.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::value::{Mac, Outside, Timestamp};

/// Something with the moment from which it holds; without one it holds from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// From when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// What.
    #[serde(flatten)]
    pub what: T,
}

/// One fact about the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// A network device is there, or changed.
    Link(Link),
    /// A network device is gone, and with it all that hung on it: its addresses, its place in a bridge, what lived behind it.
    LinkGone {
        /// Its name.
        name: Outside,
    },
    /// A device is a port of a bridge.
    BridgePort {
        /// The port's device.
        port: Outside,
        /// The bridge.
        bridge: Outside,
        /// Spanning tree state, as the kernel names it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Outside>,
    },
    /// A device has left its bridge.
    BridgePortGone {
        /// The port's device.
        port: Outside,
        /// The bridge.
        bridge: Outside,
    },
    /// A bridge has learned, or was told, where an address lives.
    Fdb {
        /// The address.
        mac: Mac,
        /// The port behind which it lives.
        port: Outside,
        /// The VLAN, where the bridge filters by VLAN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vlan: Option<u16>,
    },
    /// A bridge has forgotten where an address lives.
    FdbGone {
        /// The address.
        mac: Mac,
        /// The port behind which it lived.
        port: Outside,
        /// The VLAN, where the bridge filters by VLAN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vlan: Option<u16>,
    },
    /// A tap belongs to a guest.
    Guest(Guest),
    /// Whoever has an address has a name; whether he lives here is not said.
    Name(Name),
    /// A DHCP server keeps a lease of an address.
    Lease(LeaseEnd),
    /// An earlier run found something, and it was not over when that run ended.
    Finding(LeftOpen),
    /// A device has an address.
    Address {
        /// The device.
        link: Outside,
        /// The address.
        address: IpAddr,
    },
    /// A device no longer has an address.
    AddressGone {
        /// The device.
        link: Outside,
        /// The address.
        address: IpAddr,
    },
    /// What a packet filter of the host's bridges drops by its destination; nothing where the list is empty.
    Filter {
        /// Whose rules were read: `nft` (its bridge family), `nft netdev`, `ebtables`, `tc`.
        by: Outside,
        /// What they drop.
        drops: Vec<Drop>,
    },
    /// The host slept, and with it whoever captured: from this moment until then nothing was heard.
    Asleep {
        /// When something was heard again.
        until: Timestamp,
    },
    /// Something could not be learned.
    Missing {
        /// What: `fdb`, `guest`, `bridge`, …
        what: Outside,
        /// Why, for a person.
        why: Outside,
    },
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: Outside,
    /// What it is.
    pub kind: LinkKind,
    /// The most bytes of a layer-3 packet that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The bond or bridge it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Outside>,
    /// For a device that stands on another (VLAN, macvlan), the one that carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Outside>,
    /// For a VLAN device, its VLAN identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vid: Option<u16>,
    /// For a VLAN device, `802.1Q` (the default) or `802.1ad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Outside>,
    /// For a bridge, whether it takes part in spanning tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stp: Option<bool>,
    /// For a bridge, whether it tells VLANs apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_filtering: Option<bool>,
    /// For a bridge, for how many seconds it remembers where an address lives that is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ageing_s: Option<u32>,
    /// For a bond, its mode as the kernel names it: `active-backup`, `802.3ad`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Outside>,
    /// For a bond, the member that carries its traffic, where only one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Outside>,
    /// Whether it is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Whether there is a carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<bool>,
    /// What an operator wrote on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Outside>,
}

/// What a network device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// A network card.
    Nic,
    /// A bond or team.
    Bond,
    /// A VLAN device.
    Vlan,
    /// A bridge, or an Open vSwitch bridge.
    Bridge,
    /// The host's end of a guest's interface.
    Tap,
    /// One end of a veth pair.
    Veth,
    /// VXLAN, GENEVE, GRE.
    Tunnel,
    /// Anything else.
    Other,
}

/// Frames to an address that are dropped when they come in at a bridge's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// The port; with `*` at its end every port whose name begins so.
    pub port: Outside,
    /// The destination.
    pub to: Mac,
}

impl Drop {
    /// Whether frames to `to` that come in at `port` are dropped.
    pub fn holds(&self, port: &str, to: Mac) -> bool {
        let ours = self.port.raw();
        self.to == to && ours.strip_suffix('*').map_or(ours == port, |start| port.starts_with(start))
    }
}

/// Which guest a tap belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The tap's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<Outside>,
    /// The guest's address behind it.
    pub mac: Mac,
    /// The guest's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Outside>,
}

/// The name of whoever has an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// The address.
    pub mac: Mac,
    /// The name.
    pub name: Outside,
    /// Who says so: `libvirt`, `Open vSwitch`, the name of a file.
    pub source: Outside,
}

/// Until when an address is lent, as the server's own list has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseEnd {
    /// Who has it.
    pub mac: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// When the lease ends, or has ended; without it, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether it would have been told, too, had the lease been prolonged before its end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub followed: bool,
    /// From when on the client may prolong it, where that would be seen here: until then nothing can have been missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Timestamp>,
}

/// A finding that was open when an earlier run ended, in words of its own: rules may have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOpen {
    /// The code of its rule.
    pub code: Outside,
    /// What makes it one: names and values, in order.
    pub key: Vec<(Outside, Outside)>,
    /// How bad.
    pub severity: Outside,
    /// How sure.
    pub confidence: Outside,
    /// What it says.
    pub headline: Outside,
    /// First evidence.
    pub first: Timestamp,
    /// Last evidence.
    pub last: Timestamp,
    /// How often the evidence was seen.
    pub count: u64,
    /// How often it opened.
    pub episodes: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_a_line_and_a_line_is_a_fact() {
        let line = r#"{"time":"2026-11-02T10:00:00.000000000Z","fact":"link","name":"vlan100","kind":"vlan","mtu":1500,"lower":"vlan20","vid":100}"#;
        let fact: Stamped<Fact> = serde_json::from_str(line).unwrap();
        assert!(matches!(&fact.what, Fact::Link(l) if l.vid == Some(100) && l.kind == LinkKind::Vlan));
        assert_eq!(serde_json::to_string(&fact).unwrap(), line);
        let timeless: Stamped<Fact> =
            serde_json::from_str(r#"{"fact":"missing","what":"fdb","why":"not permitted"}"#).unwrap();
        assert_eq!(timeless.time, None);
        assert!(serde_json::from_str::<Stamped<Fact>>(r#"{"fact":"fdb","mac":"nonsense","port":"tap1"}"#).is_err());
    }
}
