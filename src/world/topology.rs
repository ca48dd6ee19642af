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
    // Networks that turned out to be one have one tree, though trackers keep what they heard apart.
    let mut trees: Vec<(super::TreeKey, KnownTree)> = Vec::new();
    for (key, tree) in world.trees.all() {
        let root = (world.domains.root(key.0), key.1);
        match trees.iter_mut().find(|(known, _)| *known == root) {
            Some((_, known)) => merge(known, one((key, tree))),
            None => trees.push((root, one((key, tree)))),
        }
    }
    let mut trees: Vec<KnownTree> = trees.into_iter().map(|(_, tree)| tree).collect();
    trees.sort_by(|a, b| (&a.interface, &a.domain, &a.instance).cmp(&(&b.interface, &b.domain, &b.instance)));
    trees
}

/// What was heard of one tree at two places before they were known to be one network.
fn merge(tree: &mut KnownTree, other: KnownTree) {
    tree.roots.extend(other.roots);
    tree.roots.sort_by_key(|root| root.since);
    tree.roots.dedup_by(|later, earlier| later.bridge == earlier.bridge);
    for port in other.ports {
        match tree.ports.iter_mut().find(|known| (known.source, &known.port) == (port.source, &port.port)) {
            None => tree.ports.push(port),
            Some(known) => {
                let (first, bpdus) = (known.first.min(port.first), known.bpdus.saturating_add(port.bpdus));
                if port.last > known.last {
                    *known = port;
                }
                (known.first, known.bpdus) = (first, bpdus);
            }
        }
    }
    // Each place tells of the same changes.
    tree.topology_changes = tree.topology_changes.max(other.topology_changes);
    for teller in other.changes_told_by {
        match tree.changes_told_by.iter_mut().find(|known| known.source == teller.source) {
            None => tree.changes_told_by.push(teller),
            Some(known) => {
                known.changes = known.changes.max(teller.changes);
                known.last = known.last.max(teller.last);
            }
        }
    }
    tree.changes_told_by.sort_by_key(|teller| std::cmp::Reverse(teller.last));
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
