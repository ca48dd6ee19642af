//! In which order vantages lie on a way: as the case tells (`path`), else as the host says that its devices carry each other, else as the kinds
//! of places follow each other on a host. Times decide which way a packet went, and where the rest lies, unless clocks are too uncertain for
//! that or stamps are alike. Keeps what is known of each vantage.

use super::Host;
use crate::event::{Direction, Place, Sighting, Vantage, VantageId};
use crate::value::Span;

/// Vantages that are looked up anew when the host changes: no host has more devices that anybody captures at once.
const MOST: usize = 512;

/// What is known of each vantage.
#[derive(Default)]
pub(super) struct Order {
    /// In order of their ids.
    vantages: Vec<(VantageId, Known)>,
}

/// Where a vantage lies, as far as anything tells.
struct Known {
    name: String,
    along: Option<usize>,
    /// The devices behind it, on the way out of its host.
    way_out: Vec<String>,
    place: Place,
    /// Stamps no farther apart than this tell nothing.
    doubt: Span,
}

impl Order {
    /// Another vantage is there.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage, host: &Host) {
        let name = vantage.name.raw().to_owned();
        let way_out = way_out(&name, vantage.place, host);
        let known = Known { name, along: vantage.along, way_out, place: vantage.place, doubt: vantage.doubt };
        let at = self.vantages.partition_point(|(v, _)| *v < id);
        self.vantages.insert(at, (id, known));
    }

    /// The host's devices are not what they were.
    pub fn rearrange(&mut self, host: &Host) {
        for (_, known) in self.vantages.iter_mut().take(MOST) {
            known.way_out = way_out(&known.name, known.place, host);
        }
    }

    /// `vantages` from the inside of a host, or from the beginning of the way that a case tells, to the other end; `None` where that is not known
    /// of all, or two lie side by side.
    pub fn outward(&self, vantages: &[VantageId]) -> Option<Vec<VantageId>> {
        let told = in_line(vantages, |one, other| self.is_told(one, other));
        let deeper = || in_line(vantages, |one, other| self.is_deeper(one, other) == Some(true));
        let (line, is_known) = if told.1 { told } else { deeper() };
        is_known.then_some(line)
    }

    /// The sightings of one packet and the places where it was not seen, in the order of its way; and whether that order is known.
    pub fn along(&self, seen: &[Sighting], unseen: &[VantageId]) -> (Vec<VantageId>, bool) {
        let at: Vec<VantageId> = seen.iter().map(|s| s.at.vantage).chain(unseen.iter().copied()).collect();
        let line = self.line(seen, &at).unwrap_or_default();
        let place = |of: VantageId| line.iter().position(|id| *id == of);
        let sighting = |of: VantageId| seen.iter().find(|s| s.at.vantage == of);
        in_line(&at, |one, other| match (place(one).zip(place(other)), sighting(one), sighting(other)) {
            (Some((one, other)), ..) => one < other,
            (None, Some(one), Some(other)) => self.is_first(one, other) == Some(true),
            // Where a packet is missed is behind where it was seen.
            (None, one, other) => one.is_some() && other.is_none(),
        })
    }

    /// Those of the vantages `at` that lie on one line, in the order in which the packet went; `None` if that is not known.
    fn line(&self, seen: &[Sighting], at: &[VantageId]) -> Option<Vec<VantageId>> {
        let is_near = |one, other| self.is_told(one, other) || self.is_deeper(one, other).is_some();
        let on_it = |one: &VantageId| at.iter().any(|other| is_near(*one, *other) || is_near(*other, *one));
        let on_it: Vec<VantageId> = at.iter().copied().filter(on_it).collect();
        let mut line = self.outward(&on_it)?;
        let seen: Vec<Sighting> = seen.iter().filter(|s| line.contains(&s.at.vantage)).copied().collect();
        if !self.is_along(&seen, &line)? {
            line.reverse();
        }
        Some(line)
    }

    /// Whether the packet went as `way` lists the vantages: by what they say themselves, else by its times, else by where it was last seen.
    fn is_along(&self, seen: &[Sighting], way: &[VantageId]) -> Option<bool> {
        // What comes in at a guest's tap goes out of the host at its uplink.
        let leaves = |s: &Sighting| match (self.known(s.at.vantage)?.place, s.direction) {
            (_, Direction::Unknown) => None,
            (Place::Bond | Place::Nic | Place::Vlan, direction) => Some(direction == Direction::Out),
            (Place::Tap, direction) => Some(direction == Direction::In),
            _ => None,
        };
        let mut told = seen.iter().filter_map(leaves);
        // Between two hosts it leaves the one and comes into the other.
        let leaves = told.next().filter(|first| told.all(|next| next == *first));
        let seen_on: Vec<VantageId> =
            way.iter().copied().filter(|id| seen.iter().any(|s| s.at.vantage == *id)).collect();
        let is_from_inside = || self.is_from_inside(&seen_on).or_else(|| self.is_from_inside(way));
        if let Some((leaves, is_from_inside)) = leaves.zip(is_from_inside()) {
            return Some(leaves == is_from_inside);
        }
        let place = |s: &Sighting| way.iter().position(|id| *id == s.at.vantage);
        let (inner, outer) = (seen.iter().min_by_key(|s| place(s))?, seen.iter().max_by_key(|s| place(s))?);
        if inner.at == outer.at {
            // Seen once: on it went to where it is missed.
            return Some(way.first() == Some(&inner.at.vantage) || way.last() != Some(&inner.at.vantage));
        }
        if let Some(is_along) = self.is_first(inner, outer) {
            return Some(is_along);
        }
        // The clock of an end may be in doubt: then those between tell, if they agree.
        let pairs = seen.iter().flat_map(|one| seen.iter().map(move |other| (one, other)));
        let mut told =
            pairs.filter(|(one, other)| place(one) < place(other)).filter_map(|(one, other)| self.is_first(one, other));
        told.next().filter(|first| told.all(|next| next == *first))
    }

    /// Whether `way` lists what lies inside a host before what lies outside; `None` where nothing tells.
    fn is_from_inside(&self, way: &[VantageId]) -> Option<bool> {
        let pairs = (1..).zip(way).flat_map(|(next, one)| way.iter().skip(next).map(move |other| (*one, *other)));
        pairs.into_iter().find_map(|(one, other)| self.is_deeper(one, other))
    }

    /// Whether the case tells that `one` comes before `other`.
    fn is_told(&self, one: VantageId, other: VantageId) -> bool {
        let along = |id| self.known(id)?.along;
        along(one).zip(along(other)).is_some_and(|(one, other)| one < other)
    }

    /// Whether `one` lies farther inside its host than `other`: by what its devices stand on, else by what kinds of places they are.
    fn is_deeper(&self, one: VantageId, other: VantageId) -> Option<bool> {
        let (one, other) = (self.known(one)?, self.known(other)?);
        match (one.way_out.contains(&other.name), other.way_out.contains(&one.name)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => {
                let (one, other) = (outward(one.place)?, outward(other.place)?);
                (one != other).then_some(one < other)
            }
        }
    }

    /// Whether the packet was here before it was there; `None` where its stamps do not tell.
    fn is_first(&self, here: &Sighting, there: &Sighting) -> Option<bool> {
        let took = there.time.since(here.time);
        (took.abs() > self.doubt(here, there)).then_some(took > Span::ZERO)
    }

    /// How far apart the stamps of one packet at two places may be and tell nothing.
    pub fn doubt(&self, one: &Sighting, other: &Sighting) -> Span {
        let doubt = |s: &Sighting| self.known(s.at.vantage).map_or(Span::ZERO, |known| known.doubt);
        doubt(one).max(doubt(other))
    }

    fn known(&self, id: VantageId) -> Option<&Known> {
        let at = self.vantages.binary_search_by_key(&id, |(v, _)| *v).ok()?;
        self.vantages.get(at).map(|(_, known)| known)
    }
}

/// The devices behind a vantage, on the way out of its host. What is called as a card leads out itself, though its kind be that of a container's end.
fn way_out(name: &str, place: Place, host: &Host) -> Vec<String> {
    if place == Place::Nic { Vec::new() } else { host.way_out(name) }
}

/// `all`, each behind those that are before it, and whether that is the only such order; what nothing orders stays as it was listed.
pub(super) fn in_line<T: Copy + PartialEq>(all: &[T], is_before: impl Fn(T, T) -> bool) -> (Vec<T>, bool) {
    let (mut rest, mut line, mut is_known) = (all.to_vec(), Vec::with_capacity(all.len()), true);
    while let Some(listed) = rest.first().copied() {
        let is_next = |one: &T| !rest.iter().any(|other| other != one && is_before(*other, *one));
        let mut next = rest.iter().copied().filter(is_next);
        let first = next.next();
        is_known &= first.is_some() && next.next().is_none();
        let first = first.unwrap_or(listed);
        rest.retain(|one| *one != first);
        line.push(first);
    }
    (line, is_known)
}

/// How far out a kind of place lies, seen from a guest.
const fn outward(place: Place) -> Option<usize> {
    match place {
        Place::Guest => Some(0),
        Place::Tap => Some(1),
        Place::Bridge => Some(2),
        Place::Vlan => Some(3),
        Place::Bond => Some(4),
        Place::Nic => Some(5),
        Place::Switch => Some(6),
        Place::Span | Place::Cooked | Place::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FrameRef;
    use crate::value::{TagStack, Timestamp};
    use crate::wire::LinkType;

    const fn id(lane: u16) -> VantageId {
        VantageId { lane, interface: 0 }
    }

    /// Vantages, each with its place, its place on the way that a case tells, and how far its clock is in doubt.
    fn order(vantages: &[(Place, Option<usize>, i64)]) -> Order {
        let mut order = Order::default();
        for (lane, (place, along, doubt)) in (0..).zip(vantages) {
            let (place, along, doubt) = (*place, *along, Span::nanos(1_000 * *doubt));
            let vantage = Vantage { place, along, doubt, ..Vantage::called("somewhere", LinkType::Ethernet) };
            order.add_vantage(id(lane), &vantage, &Host::default());
        }
        order
    }

    fn seen(lane: u16, micros: i64, direction: Direction) -> Sighting {
        let time = Timestamp::from_nanos(0).after(Span::nanos(1_000 * micros));
        Sighting {
            at: FrameRef { vantage: id(lane), number: 1 },
            time,
            tags: TagStack::default(),
            direction,
            wire_len: 60,
        }
    }

    fn lanes((way, is_known): (Vec<VantageId>, bool)) -> (Vec<u16>, bool) {
        (way.into_iter().map(|v| v.lane).collect(), is_known)
    }

    #[test]
    fn devices_of_a_host_lie_one_behind_the_other_whatever_their_stamps_say() {
        let order = order(&[(Place::Bond, None, 0), (Place::Tap, None, 0), (Place::Bridge, None, 0)]);
        let unknown = Direction::Unknown;
        let out = [seen(1, 0, unknown), seen(0, 10, unknown), seen(2, 10, unknown)];
        assert_eq!(lanes(order.along(&out, &[])), (vec![1, 2, 0], true));
        let back = [seen(0, 0, unknown), seen(2, 0, unknown), seen(1, 7, unknown)];
        assert_eq!(lanes(order.along(&back, &[])), (vec![0, 2, 1], true));
        // Where a packet is missed is behind where it was seen.
        assert_eq!(lanes(order.along(&[seen(0, 0, unknown)], &[id(1)])), (vec![0, 1], true));
    }

    #[test]
    fn a_clock_in_doubt_orders_nothing_by_itself() {
        let unknown = Direction::Unknown;
        let nothing_tells = order(&[(Place::Unknown, None, 0), (Place::Unknown, None, 400)]);
        assert!(!nothing_tells.along(&[seen(1, 0, unknown), seen(0, 100, unknown)], &[]).1);
        assert!(nothing_tells.along(&[seen(1, 0, unknown), seen(0, 500, unknown)], &[]).1);
        // The bond says that it goes out, and the case what lies behind it.
        let told = order(&[(Place::Bond, Some(1), 0), (Place::Tap, Some(0), 0), (Place::Unknown, Some(2), 400)]);
        let way = [seen(2, 0, unknown), seen(1, 100, unknown), seen(0, 110, Direction::Out)];
        assert_eq!(lanes(told.along(&way, &[])), (vec![1, 0, 2], true));
        // Nothing is said: those two tell whose clock is one.
        let timed = [seen(2, 0, unknown), seen(1, 100, unknown), seen(0, 110, unknown)];
        assert_eq!(lanes(told.along(&timed, &[])), (vec![1, 0, 2], true));
        let alike = [seen(2, 0, unknown), seen(1, 100, unknown), seen(0, 100, unknown)];
        assert!(!told.along(&alike, &[]).1);
    }

    #[test]
    fn what_a_device_stands_on_counts_more_than_what_it_is_called() {
        let mut host = Host::default();
        let links = [
            r#"{"fact":"link","name":"eth0","kind":"nic","master":"br0"}"#,
            r#"{"fact":"link","name":"br0","kind":"bridge"}"#,
            r#"{"fact":"link","name":"br0.100","kind":"vlan","vid":100,"lower":"br0"}"#,
        ];
        for line in links {
            host.learn(&serde_json::from_str(line).unwrap());
        }
        let mut order = Order::default();
        for (lane, name) in (0..).zip(["br0", "eth0", "br0.100"]) {
            order.add_vantage(id(lane), &Vantage::called(name, LinkType::Ethernet), &Host::default());
        }
        let unknown = Direction::Unknown;
        let out = [seen(2, 0, unknown), seen(0, 0, unknown), seen(1, 9, unknown)];
        assert_eq!(lanes(order.along(&out, &[])), (vec![0, 2, 1], true));
        order.rearrange(&host);
        assert_eq!(lanes(order.along(&out, &[])), (vec![2, 0, 1], true));
    }

    #[test]
    fn between_two_hosts_times_tell() {
        let order =
            order(&[(Place::Tap, None, 0), (Place::Bond, None, 0), (Place::Bond, None, 0), (Place::Tap, None, 0)]);
        let way = [
            seen(0, 0, Direction::In),
            seen(1, 5, Direction::Out),
            seen(2, 40, Direction::In),
            seen(3, 50, Direction::Out),
        ];
        assert_eq!(lanes(order.along(&way, &[])), (vec![0, 1, 2, 3], true));
        // Without the tap of the one and the bond of the other, too, which alone would be a way out.
        assert_eq!(lanes(order.along(&[way[1], way[3]], &[])), (vec![1, 3], true));
        let alike = [seen(1, 5, Direction::Unknown), seen(2, 5, Direction::Unknown)];
        assert_eq!(lanes(order.along(&alike, &[])), (vec![1, 2], false));
    }
}
