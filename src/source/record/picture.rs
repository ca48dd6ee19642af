//! What the host was when memory begins: facts that have left memory, as far as they still held then.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::event::{Fact, Stamped};
use crate::value::{Mac, Outside, Timestamp};

/// Facts that are kept at most: a node with a thousand guests has some 20,000.
const MOST: usize = 200_000;

/// What held when memory begins.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Each fact with its place in the order in which they came: one may lean on another.
    facts: BTreeMap<About, (u64, Fact)>,
    told: u64,
    is_full: bool,
}

/// What a fact is about: a later one about the same takes its place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    Link(Outside),
    Port(Outside),
    Entry(Mac, Option<u16>, Outside),
    Guest(Option<Outside>, Mac),
    Name(Mac),
    Lease(Mac, Ipv4Addr),
    Finding(Outside, Vec<(Outside, Outside)>),
    Address(Outside, IpAddr),
    Filter(Outside),
    Asleep,
    Missing(Outside),
}

impl About {
    fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Link(link) => Self::Link(link.name.clone()),
            Fact::LinkGone { name } => Self::Link(name.clone()),
            Fact::BridgePort { port, .. } | Fact::BridgePortGone { port, .. } => Self::Port(port.clone()),
            Fact::Fdb { mac, port, vlan } | Fact::FdbGone { mac, port, vlan } => Self::Entry(*mac, *vlan, port.clone()),
            Fact::Guest(guest) => Self::Guest(guest.tap.clone(), guest.mac),
            Fact::Name(name) => Self::Name(name.mac),
            Fact::Lease(lease) => Self::Lease(lease.mac, lease.address),
            Fact::Finding(left) => Self::Finding(left.code.clone(), left.key.clone()),
            Fact::Address { link, address } | Fact::AddressGone { link, address } => {
                Self::Address(link.clone(), *address)
            }
            Fact::Filter { by, .. } => Self::Filter(by.clone()),
            Fact::Asleep { .. } => Self::Asleep,
            Fact::Missing { what, .. } => Self::Missing(what.clone()),
        }
    }

    /// Whether it goes with the link called `name`.
    fn hangs_on(&self, name: &Outside) -> bool {
        match self {
            Self::Link(link) | Self::Port(link) | Self::Entry(_, _, link) | Self::Address(link, _) => link == name,
            Self::Guest(..)
            | Self::Name(_)
            | Self::Lease(..)
            | Self::Finding(..)
            | Self::Filter(_)
            | Self::Asleep
            | Self::Missing(_) => false,
        }
    }
}

impl Picture {
    /// A fact has left memory.
    pub(super) fn learn(&mut self, fact: &Fact) {
        let about = About::of(fact);
        match fact {
            Fact::LinkGone { name } => self.facts.retain(|about, _| !about.hangs_on(name)),
            Fact::BridgePortGone { .. } | Fact::FdbGone { .. } | Fact::AddressGone { .. } => {
                self.facts.remove(&about);
            }
            // What was before a sleep has left memory, too.
            Fact::Asleep { .. } => {}
            _ if self.facts.len() >= MOST && !self.facts.contains_key(&about) => self.is_full = true,
            _ => {
                self.told = self.told.saturating_add(1);
                self.facts.insert(about, (self.told, fact.clone()));
            }
        }
    }

    /// What holds, told as at the moment `at`.
    pub(super) fn facts(&self, at: Timestamp) -> impl Iterator<Item = Stamped<Fact>> {
        let mut facts: Vec<&(u64, Fact)> = self.facts.values().collect();
        facts.sort_by_key(|(place, _)| *place);
        let why = Outside::from("the host has more to tell than is kept in memory");
        let missing = self.is_full.then(|| Fact::Missing { what: Outside::from("host"), why });
        let facts: Vec<Fact> = facts.into_iter().map(|(_, fact)| fact.clone()).chain(missing).collect();
        facts.into_iter().map(move |what| Stamped { time: Some(at), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &str) -> Vec<Fact> {
        lines.lines().map(|line| serde_json::from_str::<Stamped<Fact>>(line).unwrap().what).collect()
    }

    #[test]
    fn only_what_still_holds_is_told_in_the_order_in_which_it_came() {
        let mut picture = Picture::default();
        let told = facts(
            r#"{"fact":"link","name":"br0","kind":"bridge"}
{"fact":"link","name":"tap1","kind":"tap","master":"br0"}
{"fact":"link","name":"tap2","kind":"tap","master":"br0"}
{"fact":"bridge-port","port":"tap1","bridge":"br0"}
{"fact":"fdb","mac":"fa:16:3e:00:00:01","port":"tap1"}
{"fact":"fdb","mac":"fa:16:3e:00:00:02","port":"tap2"}
{"fact":"address","link":"tap1","address":"10.0.0.1"}
{"fact":"link","name":"br0","kind":"bridge","mtu":1450}
{"fact":"fdb-gone","mac":"fa:16:3e:00:00:02","port":"tap2"}
{"fact":"link-gone","name":"tap1"}"#,
        );
        told.iter().for_each(|fact| picture.learn(fact));
        let at = Timestamp::from_nanos(7);
        let holds: Vec<String> = picture.facts(at).map(|fact| serde_json::to_string(&fact.what).unwrap()).collect();
        assert_eq!(
            holds,
            [
                r#"{"fact":"link","name":"tap2","kind":"tap","master":"br0"}"#,
                r#"{"fact":"link","name":"br0","kind":"bridge","mtu":1450}"#
            ]
        );
        assert!(picture.facts(at).all(|fact| fact.time == Some(at)));
    }
}
