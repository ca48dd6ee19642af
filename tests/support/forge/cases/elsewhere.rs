//! Healthy stories seen from where not everything passes: what other cases tell whole, by one direction, by broadcasts alone, by a mirror
//! that shows each frame twice. Silence of what cannot be seen here means nothing.

use netdiag::value::Mac;

use super::super::{GUEST, NEIGHBOUR, SERVER, Shot, pcap};
use super::dhcp::in_order;
use super::dhcp_habits::confirmed;
use super::dhcp_lease::broadcast_by_habit;
use super::healthy_dhcp::failover_pair;
use super::healthy_life::{boot_of_fifty, free_check, migration};
use super::{Case, case};

pub fn cases() -> Vec<Case> {
    vec![
        case("healthy/dhcp-answers-of-one-of-two-servers", "mirror.pcap", pcap(sent_by(SERVER, failover_pair()))),
        case(
            "healthy/dhcp-renewals-by-broadcast-heard-alone",
            "guest.pcap",
            pcap(heard_by(NEIGHBOUR, broadcast_by_habit())),
        ),
        case("healthy/dhcp-old-address-confirmed-unseen", "capture.pcap", pcap(sent_by(GUEST, confirmed()))),
        case("healthy/life-free-check-heard-by-a-guest", "guest.pcap", pcap(heard_by(NEIGHBOUR, free_check()))),
        case("healthy/life-boot-of-fifty-heard-by-a-guest", "guest.pcap", pcap(heard_by(NEIGHBOUR, boot_of_fifty()))),
        case("healthy/life-boot-of-fifty-one-direction", "mirror.pcap", pcap(sent_by(SERVER, boot_of_fifty()))),
        case("healthy/life-boot-of-fifty-other-direction", "mirror.pcap", pcap(not_sent_by(SERVER, boot_of_fifty()))),
        case("healthy/life-live-migration-mirrored-twice", "mirror.pcap", pcap(twice(migration()))),
    ]
}

/// What a mirror of one port's incoming frames shows.
fn sent_by(mac: Mac, shots: Vec<Shot>) -> Vec<Shot> {
    shots.into_iter().filter(|shot| shot.source() == mac).collect()
}

/// What a mirror of one port's outgoing frames shows.
fn not_sent_by(mac: Mac, shots: Vec<Shot>) -> Vec<Shot> {
    shots.into_iter().filter(|shot| shot.source() != mac).collect()
}

/// What a station hears that none of this is about.
fn heard_by(mac: Mac, shots: Vec<Shot>) -> Vec<Shot> {
    shots.into_iter().filter(|shot| shot.is_of(mac)).collect()
}

/// What a mirror of both directions of a switch's ports shows: each frame as it comes in, and as it goes out 200 µs later.
fn twice(shots: Vec<Shot>) -> Vec<Shot> {
    let out = shots.iter().cloned().map(|shot| shot.later(200)).collect();
    in_order(vec![shots, out])
}
