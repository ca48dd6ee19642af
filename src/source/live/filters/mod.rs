//! What packet filters of the host's bridges drop by its destination: read, and nothing is changed. Only what is certain counts. nftables tells by
//! `nft`, tc by netlink, legacy ebtables by its program where its tables are loaded; XDP and eBPF are not read.

mod chain;
mod ebtables;
mod nft;
mod program;
#[cfg(target_os = "linux")]
mod tc;

use std::collections::BTreeMap;

use super::Device;
use crate::event::{Drop, Fact, LinkKind};
use crate::value::{Outside, Span, Timestamp};

/// Ports that are asked for one by one.
const MOST: usize = 4_096;
/// How long after a guest's port is new or has changed they are read again: whoever starts a guest sets its filters in that time.
const SETTLES: Span = Span::secs(5);

/// The filters of this host, as they were told last.
#[derive(Debug, Default)]
pub struct Filters {
    told: Vec<Fact>,
    due: Option<Timestamp>,
}

impl Filters {
    /// What is dropped at the guests' ports among `links`, one fact a filter, or why that is not known; what is as it was told last is not told again.
    pub fn read(&mut self, links: &BTreeMap<u32, Device>) -> Vec<Fact> {
        let taps = links.iter().filter(|(_, device)| device.kind == LinkKind::Tap).take(MOST);
        let ports: Vec<(u32, String)> = taps.map(|(index, device)| (*index, device.name.raw().to_owned())).collect();
        #[cfg(target_os = "linux")]
        let tc = tc::drops(&ports).map_err(|error| format!("the kernel does not tell: {error}"));
        #[cfg(not(target_os = "linux"))]
        let tc = Ok(Vec::new());
        let facts = vec![
            told("nft", nft::drops()),
            told("nft netdev", nft::drops_at_ingress()),
            told("ebtables", ebtables::drops()),
            told("tc", tc),
        ];
        let news = facts.iter().filter(|fact| !self.told.contains(fact)).cloned().collect();
        self.told = facts;
        news
    }

    /// Guests' ports have changed: the filters are to be read again, soon.
    pub fn expect(&mut self, now: Timestamp) {
        self.due.get_or_insert(now.after(SETTLES));
    }

    /// What is new, where they were to be read by now.
    pub fn news(&mut self, now: Timestamp, links: &BTreeMap<u32, Device>) -> Vec<Fact> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due = None;
        self.read(links)
    }
}

fn told(by: &str, drops: Result<Vec<Drop>, String>) -> Fact {
    match drops {
        Ok(drops) => Fact::Filter { by: Outside::from(by), drops },
        Err(why) => Fact::Missing { what: Outside::from(by), why: Outside::from(why.as_str()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Mac;

    #[test]
    fn a_port_is_named_or_begins_so() {
        let drop = |port: &str| Drop { port: Outside::from(port), to: Mac::ZERO };
        let holds = |port: &str, at: &str| drop(port).holds(at, Mac::ZERO);
        assert!(holds("tap*", "tap7") && holds("*", "vnet0") && holds("tap7", "tap7"));
        assert!(!holds("tap7", "tap77") && !holds("tap*", "vnet0") && !drop("*").holds("tap7", Mac::BROADCAST));
    }
}
