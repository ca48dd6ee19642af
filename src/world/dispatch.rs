//! Who of the trackers hears what, in which order, and when silence means something to the first of them.

use super::{Derived, Domains, Observation, Tracker, World};
use crate::value::Timestamp;
use crate::wire::Kinds;

impl World {
    /// Lets the trackers take in a frame of these kinds. Nearly every frame is bulk, of which few hear: to ask each of the others costs
    /// more than to ask once for all.
    pub(super) fn track_frame(&mut self, observation: &Observation<'_>, kinds: Kinds, out: &mut Vec<Derived>) {
        if !self.heard_by_few().intersects(kinds) {
            let (domains, due) = (&self.domains, &mut self.due);
            tell(&mut self.stations, observation, Some(kinds), domains, due, out);
            tell(&mut self.floods, observation, Some(kinds), domains, due, out);
            return;
        }
        self.track_seldom(observation, Some(kinds), out);
    }

    /// Lets every tracker take in what is no frame.
    pub(super) fn track(&mut self, observation: &Observation<'_>, out: &mut Vec<Derived>) {
        self.track_seldom(observation, None, out);
    }

    #[inline(never)]
    fn track_seldom(&mut self, observation: &Observation<'_>, kinds: Option<Kinds>, out: &mut Vec<Derived>) {
        let (domains, due) = (&self.domains, &mut self.due);
        tell(&mut self.arrivals, observation, kinds, domains, due, out);
        tell(&mut self.stations, observation, kinds, domains, due, out);
        tell(&mut self.echoes, observation, kinds, domains, due, out);
        tell(&mut self.fragments, observation, kinds, domains, due, out);
        tell(&mut self.path_mtus, observation, kinds, domains, due, out);
        tell(&mut self.dhcp, observation, kinds, domains, due, out);
        tell(&mut self.addresses, observation, kinds, domains, due, out);
        tell(&mut self.rivals, observation, kinds, domains, due, out);
        tell(&mut self.stalls, observation, kinds, domains, due, out);
        tell(&mut self.attempts, observation, kinds, domains, due, out);
        tell(&mut self.trees, observation, kinds, domains, due, out);
        tell(&mut self.aggregation, observation, kinds, domains, due, out);
        tell(&mut self.neighbours, observation, kinds, domains, due, out);
        tell(&mut self.floods, observation, kinds, domains, due, out);
        tell(&mut self.ports, observation, kinds, domains, due, out);
    }

    /// What any tracker hears now, but for the two that hear every frame.
    #[inline]
    fn heard_by_few(&self) -> Kinds {
        let heard = [
            self.arrivals.hears(),
            self.echoes.hears(),
            self.fragments.hears(),
            self.path_mtus.hears(),
            self.dhcp.hears(),
            self.addresses.hears(),
            self.rivals.hears(),
            self.stalls.hears(),
            self.attempts.hears(),
            self.trees.hears(),
            self.aggregation.hears(),
            self.neighbours.hears(),
            self.ports.hears(),
        ];
        heard.into_iter().fold(Kinds::EMPTY, Kinds::union)
    }

    /// Nothing follows from silence before this moment; `MAX` if nothing does at all.
    #[inline]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// The next moment at which something follows from silence: `due` may be earlier, where what was awaited came.
    pub fn next_deadline(&mut self) -> Timestamp {
        self.due = self.trackers().into_iter().filter_map(Tracker::next_deadline).min().unwrap_or(Timestamp::MAX);
        self.due
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        for tracker in self.trackers_mut() {
            while tracker.next_deadline().is_some_and(|due| due <= now) {
                tracker.expire(now, out);
            }
        }
    }

    /// The capture ended: what is known by then of what was told goes to `out`.
    pub fn conclude(&mut self, out: &mut Vec<Derived>) {
        for tracker in self.trackers_mut() {
            tracker.conclude(out);
        }
    }

    fn trackers(&self) -> [&dyn Tracker; 12] {
        [
            &self.arrivals,
            &self.stations,
            &self.flows,
            &self.echoes,
            &self.fragments,
            &self.path_mtus,
            &self.dhcp,
            &self.trees,
            &self.aggregation,
            &self.neighbours,
            &self.addresses,
            &self.attempts,
        ]
    }

    fn trackers_mut(&mut self) -> [&mut dyn Tracker; 12] {
        [
            &mut self.arrivals,
            &mut self.stations,
            &mut self.flows,
            &mut self.echoes,
            &mut self.fragments,
            &mut self.path_mtus,
            &mut self.dhcp,
            &mut self.trees,
            &mut self.aggregation,
            &mut self.neighbours,
            &mut self.addresses,
            &mut self.attempts,
        ]
    }
}

/// Lets `tracker` take in what was observed, if it must hear it; `kinds` are those of a frame.
#[inline]
fn tell(
    tracker: &mut impl Tracker,
    observation: &Observation<'_>,
    kinds: Option<Kinds>,
    domains: &Domains,
    due: &mut Timestamp,
    out: &mut Vec<Derived>,
) {
    if kinds.is_none_or(|kinds| tracker.hears().intersects(kinds)) {
        tracker.apply(observation, domains, out);
        sooner(due, tracker);
    }
}

/// What `tracker` waits for may come before all that is awaited so far.
#[inline]
pub(super) fn sooner(due: &mut Timestamp, tracker: &impl Tracker) {
    if let Some(next) = tracker.next_deadline() {
        *due = (*due).min(next);
    }
}
