//! Where frames were seen: one interface of one file or socket.

use serde::{Deserialize, Serialize};

use super::hidden::{Protocol, hides};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::LinkType;

/// A vantage by its lane in the merge and its interface in that lane; lanes are numbered in the order of their names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct VantageId {
    /// The lane: one file, socket or log.
    pub lane: u16,
    /// The interface in the lane, from 0, over all sections of a pcapng file.
    pub interface: u32,
}

/// One interface of one file or socket.
#[derive(Clone, Debug)]
pub struct Vantage {
    /// The interface's name where the capture tells it, else the name of the file without its ending.
    pub name: Outside,
    /// Whether the name is the interface's: told by the capture or by a case, and not read off a file's name.
    pub is_named: bool,
    /// What kind of place it is.
    pub place: Place,
    /// Whether that is told, by a case or by the interface's own name, and not read off a file's name.
    pub is_placed: bool,
    /// How its frames begin.
    pub link: LinkType,
    /// The most bytes it kept of a frame; 0 where there was no limit.
    pub snap_len: u32,
    /// The capture filter, where the capture tells it.
    pub filter: Option<Outside>,
    /// Whether the kernel tells of the offloads of its frames.
    pub tells_offload: bool,
    /// What was added to its stamps.
    pub offset: Span,
    /// Its stamps and those of another vantage that are no farther apart than this do not tell which came first.
    pub doubt: Span,
    /// Its place on the way that a case tells.
    pub along: Option<usize>,
}

impl Vantage {
    /// The interface called `name`: frames come whole and unfiltered, by a clock that nobody doubts, and its place is what interfaces of that name are.
    pub fn called(name: &str, link: LinkType) -> Self {
        Self {
            name: Outside::from(name),
            is_named: true,
            place: Place::from_name(name, link),
            is_placed: true,
            link,
            snap_len: 0,
            filter: None,
            tells_offload: false,
            offset: Span::ZERO,
            doubt: Span::ZERO,
            along: None,
        }
    }

    /// Whether its capture filter lets no frame of this protocol pass.
    pub fn hides(&self, protocol: Protocol) -> bool {
        self.filter.as_ref().is_some_and(|filter| hides(filter.raw(), protocol))
    }

    /// What its capture filter hides of these protocols.
    pub fn hidden(&self, of: &[Protocol]) -> Vec<Protocol> {
        of.iter().copied().filter(|protocol| self.hides(*protocol)).collect()
    }
}

/// Kinds of places (findings.md 2.4), in the order in which one of several names for the same link is chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A bond: all tags, no LACP.
    Bond,
    /// A network card, or a bond's slave.
    Nic,
    /// A switch port.
    Switch,
    /// A mirror of a switch: no direction, frames may come twice.
    Span,
    /// A VLAN device: its own tag is gone.
    Vlan,
    /// A Linux bridge.
    Bridge,
    /// The host's end of a guest's interface: what comes in was sent by the guest.
    Tap,
    /// Inside a guest.
    Guest,
    /// Several devices at once, with a cooked header: tags may be gone.
    Cooked,
    /// Nothing tells.
    #[default]
    Unknown,
}

/// A vantage lost frames between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops {
    /// Where.
    pub vantage: VantageId,
    /// The end of the last stretch known to be whole.
    pub from: Timestamp,
    /// When the loss was told.
    pub until: Timestamp,
    /// Frames lost in that stretch.
    pub frames: u64,
}

impl Place {
    /// The place that an interface's name gives away by the habits of Linux, libvirt and OpenStack; `Unknown` if none does.
    pub fn from_name(name: &str, link: LinkType) -> Self {
        if link.is_cooked() {
            return Self::Cooked;
        }
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
        let numbered =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        if starts(&["tap", "vnet", "vif"]) {
            Self::Tap
        } else if numbered("bond") || name == "bond" {
            Self::Bond
        } else if numbered("vlan") || name.split_once('.').is_some_and(|(_, vid)| vid.parse::<u16>().is_ok()) {
            Self::Vlan
        } else if numbered("br") || starts(&["brq", "br-", "virbr", "qbr"]) {
            Self::Bridge
        } else if numbered("eth") || starts(&["enp", "eno", "ens", "enx", "em1", "em2", "p1p", "p2p"]) {
            Self::Nic
        } else if name == "guest" || name == "instance" {
            Self::Guest
        } else if starts(&["switch", "swp"]) {
            Self::Switch
        } else if starts(&["span", "mirror", "erspan"]) {
            Self::Span
        } else {
            Self::Unknown
        }
    }

    /// Whether traffic between other stations passes here, so that the answer to a frame seen here would be seen too.
    pub const fn is_on_the_way(self) -> bool {
        matches!(self, Self::Bond | Self::Switch | Self::Vlan | Self::Bridge | Self::Tap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_place_away() {
        let place = |name| Place::from_name(name, LinkType::Ethernet);
        assert_eq!(place("tap3f2a91c0-5d"), Place::Tap);
        assert_eq!(place("bond0"), Place::Bond);
        assert_eq!(place("eth0.100"), Place::Vlan);
        assert_eq!(place("brq1f"), Place::Bridge);
        assert_eq!(place("enp3s0f1"), Place::Nic);
        assert_eq!(place("android"), Place::Unknown);
        assert_eq!(Place::from_name("bond0", LinkType::LinuxSll2), Place::Cooked);
    }
}
