//! What the network told of itself, as the report says it: trees and neighbours. Keeps nothing; reads what trackers hold.

use super::World;
use crate::finding::{KnownNeighbour, KnownPort, KnownRoot, KnownTeller, KnownTree};

/// The trees, by interface, network and instance.
pub(super) fn trees(world: &World) -> Vec<KnownTree> {
    let one = |(key, tree): (&super::TreeKey, &super::Tree)| KnownTree {
        interface: world.interface(tree.vantage),
        domain: world.domains.name(key.0),
        instance: key.1.to_string(),
        roots: tree.roots.iter().map(|(root, since)| KnownRoot { bridge: root.to_string(), since: *since }).collect(),
        ports: tree.speakers.iter().map(port).collect(),
        topology_changes: tree.changes,
        changes_told_by: tree.tellers.iter().rev().map(teller).collect(),
    };
    let mut trees: Vec<KnownTree> = world.trees.all().map(one).collect();
    trees.sort_by(|a, b| (&a.interface, &a.domain, &a.instance).cmp(&(&b.interface, &b.domain, &b.instance)));
    trees
}

/// The neighbours, by interface and name.
pub(super) fn neighbours(world: &World) -> Vec<KnownNeighbour> {
    let one = |n: &super::Neighbour| KnownNeighbour {
        interface: world.vantage(n.vantage).map(|v| v.name.to_string()).unwrap_or_default(),
        protocol: n.protocol,
        chassis: n.chassis.clone(),
        port: n.port.clone(),
        system: n.system.clone(),
        source: n.mac,
        port_vlan: n.port_vlan,
        max_frame: n.max_frame,
        ttl_s: n.ttl,
        first: n.first,
        last: n.last,
    };
    let mut neighbours: Vec<KnownNeighbour> = world.neighbours.all().map(one).collect();
    neighbours.sort_by(|a, b| (&a.interface, a.source, a.protocol).cmp(&(&b.interface, b.source, b.protocol)));
    neighbours
}

fn teller(teller: &super::Teller) -> KnownTeller {
    KnownTeller { source: teller.mac, changes: teller.changes, last: teller.last }
}

fn port(speaker: &super::Speaker) -> KnownPort {
    KnownPort {
        bridge: speaker.bridge.to_string(),
        port: format!("{:#06x}", speaker.port),
        source: speaker.mac,
        root: speaker.root.to_string(),
        cost: speaker.cost,
        hello_s: speaker.hello.as_secs(),
        bpdus: speaker.count,
        first: speaker.first,
        last: speaker.last,
    }
}
