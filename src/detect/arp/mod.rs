//! Address resolution: who is asked for and does not answer, and who answers for whom.

mod arp_unanswered;
mod duplicate_ip;
mod gateway_silent;

use super::{Context, Family, network};
use crate::value::Mac;
use crate::world::{Asker, Wanted};

/// The family.
pub static FAMILY: Family = Family {
    prefix: "ARP",
    title: "Address resolution",
    entries: &[&duplicate_ip::ENTRY, &arp_unanswered::ENTRY, &gateway_silent::ENTRY],
};

/// Requests of one address that must stay unanswered: as many as Linux sends (`mcast_solicit`).
const REQUESTS: u64 = 3;

/// Those who ask in vain, as far as the answer would be seen where they were seen, and the address is one that they may expect there.
fn askers<'w>(wanted: &'w Wanted, cx: &Context<'_>) -> Vec<&'w Asker> {
    let owner = wanted.owner.map(|(mac, _)| mac);
    let is_between_guests = |a: &Asker| owner.is_some_and(|owner| cx.world.goes_past(a.vantage, a.mac, owner));
    let is_seen = |a: &Asker| cx.world.stations.shows_answers(a.vantage, a.mac, owner) && !is_between_guests(a);
    let counts = |a: &&Asker| (owner.is_some() || !a.is_sweeping) && is_seen(a);
    wanted.askers.iter().filter(counts).collect()
}

/// How often they asked, all together.
fn requests(askers: &[&Asker]) -> u64 {
    askers.iter().fold(0, |sum, asker| sum.saturating_add(asker.count))
}

/// Whether the address is the way out: DHCP says so, or its owner was seen to send on what others sent.
fn is_gateway(wanted: &Wanted, cx: &Context<'_>) -> bool {
    let world = cx.world;
    let forwards = |mac: Mac| {
        world.stations.station(mac, wanted.domain, &world.domains).is_some_and(|station| station.is_forwarding)
    };
    wanted.is_router || wanted.owner.is_some_and(|(mac, _)| forwards(mac))
}
