//! DHCPv4 (RFC 2131): who asked, who answered, who did not.

mod conflicting_answers;
mod decline;
mod dhcp_forwarding_delay;
mod dhcp_server_not_listening;
mod dhcp_server_slow;
mod discover_unanswered;
mod heed;
mod inconsistent_offers;
mod inform_unanswered;
mod lease_churn;
mod lease_expired_in_use;
mod nak;
mod offer_unanswered;
mod pool_exhausted;
mod rebinding_reached;
mod reboot_verification_unanswered;
mod relay_failure;
mod release_anomaly;
mod renewal_answer_ignored;
mod renewal_unanswered;
mod reply_bad_checksum;
mod reply_unacceptable;
mod request_unanswered;
mod rogue_dhcp_server;
#[cfg(test)]
mod scene;
mod short_lease;
mod silent_server;
mod verdict;
mod wait;

use std::net::Ipv4Addr;

use super::{Context, Family};
use crate::event::{Place, VantageId};
use crate::world::{DhcpStep, DomainId};

/// The family.
pub static FAMILY: Family = Family {
    prefix: "DHCP",
    title: "DHCPv4",
    entries: &[
        &discover_unanswered::ENTRY,
        &offer_unanswered::ENTRY,
        &request_unanswered::ENTRY,
        &renewal_unanswered::ENTRY,
        &renewal_answer_ignored::ENTRY,
        &rebinding_reached::ENTRY,
        &lease_expired_in_use::ENTRY,
        &nak::ENTRY,
        &conflicting_answers::ENTRY,
        &decline::ENTRY,
        &inform_unanswered::ENTRY,
        &release_anomaly::ENTRY,
        &short_lease::ENTRY,
        &dhcp_server_slow::ENTRY,
        &rogue_dhcp_server::ENTRY,
        &pool_exhausted::ENTRY,
        &relay_failure::ENTRY,
        &reply_unacceptable::ENTRY,
        &reply_bad_checksum::ENTRY,
        &lease_churn::ENTRY,
        &inconsistent_offers::ENTRY,
        &dhcp_server_not_listening::ENTRY,
        &reboot_verification_unanswered::ENTRY,
        &dhcp_forwarding_delay::ENTRY,
    ],
};

/// What is assumed where nobody else was heard.
const OWN_INTERFACE: &str = "this is the client's own interface: nobody else was heard here";

/// Why an answer to the client of `step` would have been seen, were there one; `None` where it might have passed unseen.
fn visibility(step: &DhcpStep, cx: &Context<'_>) -> Option<&'static str> {
    let world = cx.world;
    let places = world.dhcp.places(step.client, step.talk);
    let places = if places.is_empty() { std::slice::from_ref(&step.cited.at.vantage) } else { places };
    let places = own_places(step, places, cx);
    let is_on_the_way = places.iter().any(|id| world.stations.is_on_the_way(*id));
    // What is said to a made-up address alone goes nowhere in particular.
    if step.is_probe && !step.is_broadcast && !is_on_the_way {
        return None;
    }
    if places.iter().any(|id| world.dhcp.has_unicast_answer(*id)) {
        return Some("answers to one client alone pass here");
    }
    // At another guest's tap only what that one says to the client alone is seen.
    let is_overheard = |id: &VantageId| {
        world.vantage(*id).is_some_and(|v| v.place == Place::Tap) && world.stations.is_port_of_another(*id, step.client)
    };
    let is_addressed = world.stations.station(step.client, step.domain, &world.domains).is_some_and(|s| s.is_addressed);
    if is_addressed && !places.iter().all(is_overheard) {
        return Some("frames for the client alone pass here, so that answers to it would be seen too");
    }
    if places.iter().any(|id| world.stations.is_between(*id)) {
        return Some("unicast traffic between others passes here");
    }
    if step.is_broadcast {
        return Some("the client asks for its answer by broadcast, which would be heard here");
    }
    let is_alone = places.iter().any(|id| world.stations.is_only_sender(*id, step.client));
    // What a file is called is contradicted by nothing while nobody but the client speaks in it.
    let is_called_so = || places.iter().any(|id| world.vantage(*id).is_some_and(|v| v.place.is_on_the_way()));
    if is_on_the_way || (is_alone && is_called_so()) {
        return Some("the client lives behind this interface, so that unicast answers to it would pass here");
    }
    is_alone.then_some(OWN_INTERFACE)
}

/// Why the answer of a server to the client of `step` would have been seen, were there one: both directions of the client's traffic,
/// or of somebody's like it, pass where it was heard. A capture of one direction only shows no answers, and proves nothing.
fn answers_pass(step: &DhcpStep, cx: &Context<'_>) -> Option<&'static str> {
    let world = cx.world;
    let places = world.dhcp.places(step.client, step.talk);
    let places = if places.is_empty() { std::slice::from_ref(&step.cited.at.vantage) } else { places };
    let is_one_way = |id| world.flows.view(id).is_some_and(|view| view.segments > 0 && !view.is_two_way);
    let places = own_places(step, places, cx);
    if places.iter().any(|id| world.dhcp.has_unicast_answer(*id)) {
        Some("answers to one client alone pass here")
    } else if world.stations.station(step.client, step.domain, &world.domains).is_some_and(|s| s.is_addressed) {
        Some("frames for the client alone pass here, so that answers to it would be seen too")
    } else if places.iter().any(|id| world.stations.is_on_the_way(*id) && !is_one_way(*id)) {
        Some("the client lives behind this interface, so that answers to it would pass here")
    } else {
        None
    }
}

/// Those of `places` that are not another client's own: at a guest's tap others are heard while they broadcast, and their answers pass elsewhere. It is
/// another's where answers to that one alone were seen, or where the question was sent out and no answer ever was seen.
fn own_places(step: &DhcpStep, places: &[VantageId], cx: &Context<'_>) -> Vec<VantageId> {
    let dhcp = &cx.world.dhcp;
    let is_at = |id, places: &[Place]| cx.world.vantage(id).is_some_and(|v| places.contains(&v.place));
    let is_anothers = |id: VantageId| {
        let others_answered = dhcp.only_answered(id).is_some_and(|only| only != step.client);
        (others_answered && is_at(id, &[Place::Tap, Place::Guest]))
            || (is_at(id, &[Place::Tap]) && dhcp.is_led_out(step.client, step.talk, id) && !dhcp.has_unicast_answer(id))
    };
    places.iter().copied().filter(|id| !is_anothers(*id)).collect()
}

/// What is assumed where the grant of a lease was not seen.
const LISTED: &str = "the lease ends when the server's list of leases says so (--leases)";

/// The server that a renewal asks: the one it is sent to, else the one that gave the lease.
fn server_of(step: &DhcpStep) -> Option<Ipv4Addr> {
    step.to.filter(|_| step.is_unicast).or_else(|| step.lease.and_then(|lease| lease.server))
}

/// A network as a sentence names it: `VLAN 100`, `untagged`.
fn network(domain: DomainId, cx: &Context<'_>) -> String {
    spoken(&cx.world.domains.name(domain))
}

/// The same by the name that keys have.
fn spoken(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("VLAN {name}") } else { name.to_owned() }
}

/// The name of the interface that the question reached last.
fn last_place(asked: &DhcpStep, cx: &Context<'_>) -> String {
    let places = cx.world.dhcp.places(asked.client, asked.talk);
    let last = places.last().copied().unwrap_or(asked.cited.at.vantage);
    cx.world.vantage(last).map_or_else(|| "?".to_owned(), |v| v.name.to_string())
}
