//! Who sent a frame: a guest of this host, a guest elsewhere, the host, or the network (findings.md 2.7). Keeps nothing; asks what is known.

use super::{Host, Role, Station};
use crate::event::{Direction, Place, Sighting, Vantage, VantageId};
use crate::settings::Stp;
use crate::value::Mac;

/// Who sent a frame, and how far that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A guest of this host, proven by its port: seen coming in there, or told by the host.
    Guest {
        /// The port, where it has a name.
        port: Option<String>,
        /// What became of the frame.
        reach: Reach,
    },
    /// A guest very likely: it left through the uplink and the host has no such address, or it behaves as guests do.
    LikelyGuest,
    /// A guest by its address alone.
    GuestByPrefix,
    /// A guest of another host: the frame came in from the network with a guest's address.
    RemoteGuest,
    /// The host itself.
    Host,
    /// The network: a switch or a router.
    Network,
}

/// How far a guest's frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It was seen on the uplink.
    Left,
    /// The uplink was captured, and it was not there.
    Contained,
    /// The uplink was not captured, but the bridge forwards such frames.
    Forwarded,
    /// The uplink was not captured.
    Unknown,
}

/// Judges who sent the packet with source `mac` that was seen at `sightings`; `station` is what else is known of that address.
pub fn origin(
    mac: Mac,
    sightings: &[Sighting],
    station: Option<&Station>,
    (vantages, host, settings): (&[(VantageId, Vantage)], &Host, &Stp),
) -> Origin {
    let place = |id: VantageId| vantages.iter().find(|(v, _)| *v == id).map_or(Place::Unknown, |(_, v)| v.place);
    let is_uplink = |place: Place| matches!(place, Place::Bond | Place::Nic | Place::Switch | Place::Span);
    // A tap's own address is the host's end of the guest's interface.
    if host.is_own(mac) || settings.is_tap_of_guest(mac) {
        return Origin::Host;
    }
    let on_uplink = |s: &&Sighting| is_uplink(place(s.at.vantage));
    // At a switch's port "in" is what the node sent, and a mirror has no direction of its own.
    let is_nodes_own = |s: &&Sighting| matches!(place(s.at.vantage), Place::Bond | Place::Nic);
    // What left first and came in after was returned: it is still ours.
    let first_way = sightings.iter().filter(is_nodes_own).map(|s| s.direction).find(|d| *d != Direction::Unknown);
    let came_in = first_way == Some(Direction::In);
    // A capture may not tell directions; then a frame that was on a tap before it was on the uplink came in there.
    let comes_later = |tap: &Sighting| sightings.iter().filter(is_nodes_own).any(|s| s.time > tap.time);
    let is_from_tap = |s: &Sighting| match s.direction {
        Direction::In => true,
        Direction::Out => false,
        Direction::Unknown => !came_in && comes_later(s),
    };
    // What came in from the network before is only returned there: a guest joins two of its cards.
    let is_returned = |tap: &Sighting| {
        sightings.iter().filter(is_nodes_own).any(|s| s.direction == Direction::In && s.time < tap.time)
    };
    let is_first_there = |s: &&Sighting| place(s.at.vantage) == Place::Tap && is_from_tap(s) && !is_returned(s);
    let tap_in = sightings.iter().find(is_first_there);
    let port = match (host.guest_port(mac), tap_in) {
        (Some(port), _) => Some(Some(port)),
        (None, Some(tap)) => Some(vantages.iter().find(|(v, _)| *v == tap.at.vantage).map(|(_, v)| v.name.to_string())),
        (None, None) => None,
    };
    if let Some(port) = port.filter(|_| !came_in || tap_in.is_some()) {
        let has_left = sightings.iter().filter(on_uplink).any(|s| s.direction != Direction::In);
        let was_captured = vantages.iter().any(|(_, v)| matches!(v.place, Place::Bond | Place::Nic));
        let forwards = port.as_deref().and_then(|p| host.bridge_speaks_stp(p)) == Some(false);
        let reach = match (has_left, was_captured, forwards) {
            (true, ..) => Reach::Left,
            (false, true, _) => Reach::Contained,
            (false, false, true) => Reach::Forwarded,
            (false, false, false) => Reach::Unknown,
        };
        return Origin::Guest { port, reach };
    }
    let has_prefix = settings.is_guest_prefix(mac);
    let behaves = station.is_some_and(|s| s.has(Role::DhcpClient) || s.has(Role::Arp));
    // Where nothing tells directions: at a tap and, though it was captured, on no uplink. It came from this tap or from one beside it.
    let is_at_tap = sightings.iter().any(|s| place(s.at.vantage) == Place::Tap && s.direction == Direction::Unknown);
    let is_off_uplinks = is_at_tap && !sightings.iter().any(|s| is_uplink(place(s.at.vantage)));
    let has_uplink = vantages.iter().any(|(_, v)| matches!(v.place, Place::Bond | Place::Nic));
    if is_off_uplinks && has_uplink && (has_prefix || behaves) {
        return Origin::Guest { port: None, reach: Reach::Contained };
    }
    let went_out = sightings.iter().filter(is_nodes_own).any(|s| s.direction == Direction::Out);
    let serves = station.is_some_and(|s| s.has(Role::DhcpServer) || s.has(Role::Infrastructure));
    match (has_prefix, came_in) {
        (true, true) => Origin::RemoteGuest,
        (false, true) => Origin::Network,
        (_, false) if went_out && host.is_known() => Origin::LikelyGuest,
        (true, false) if behaves && !serves => Origin::LikelyGuest,
        (true, false) => Origin::GuestByPrefix,
        (false, false) => Origin::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FrameRef;
    use crate::value::{TagStack, Timestamp};
    use crate::wire::LinkType;

    const GUEST: Mac = Mac([0xfa, 0x16, 0x3e, 0x24, 0xe7, 0x22]);

    fn vantage(lane: u16, name: &str) -> (VantageId, Vantage) {
        (VantageId { lane, interface: 0 }, Vantage::called(name, LinkType::Ethernet))
    }

    fn seen(lane: u16, direction: Direction) -> Sighting {
        let at = FrameRef { vantage: VantageId { lane, interface: 0 }, number: 1 };
        Sighting { at, time: Timestamp::from_nanos(0), tags: TagStack::default(), direction, wire_len: 60 }
    }

    fn judged(sightings: &[Sighting]) -> Origin {
        let vantages = [vantage(0, "bond0"), vantage(1, "tap7")];
        origin(GUEST, sightings, None, (&vantages, &Host::default(), &Stp::default()))
    }

    #[test]
    fn a_frame_that_comes_in_on_a_tap_is_the_guests() {
        let port = Some("tap7".to_owned());
        assert_eq!(
            judged(&[seen(1, Direction::In), seen(0, Direction::Out)]),
            Origin::Guest { port: port.clone(), reach: Reach::Left }
        );
        assert_eq!(judged(&[seen(1, Direction::In)]), Origin::Guest { port, reach: Reach::Contained });
    }

    #[test]
    fn where_no_direction_is_told_the_order_tells() {
        let at = |sighting: Sighting, nanos| Sighting { time: Timestamp::from_nanos(nanos), ..sighting };
        let (tap, bond) = (seen(1, Direction::Unknown), seen(0, Direction::Unknown));
        let port = Some("tap7".to_owned());
        assert_eq!(judged(&[at(tap, 1), at(bond, 2)]), Origin::Guest { port, reach: Reach::Left });
        assert_eq!(judged(&[at(bond, 1), at(tap, 2)]), Origin::GuestByPrefix);
        assert_eq!(judged(&[at(bond, 1), at(tap, 1)]), Origin::GuestByPrefix);
        assert_eq!(judged(&[at(tap, 1)]), Origin::Guest { port: None, reach: Reach::Contained });
    }

    #[test]
    fn a_frame_that_goes_out_to_a_tap_is_not() {
        assert_eq!(judged(&[seen(0, Direction::In), seen(1, Direction::Out)]), Origin::RemoteGuest);
        assert_eq!(judged(&[seen(0, Direction::Unknown)]), Origin::GuestByPrefix);
    }
}
