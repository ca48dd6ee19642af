//! Who of the trackers hears what, in which order, and when silence means something to the first of them.

use super::{Derived, Domains, Observation, Tracker, World};
use crate::value::Timestamp;
use crate::wire::Kinds;

/// Does the same with one tracker after the other: with all, or with those only that hear few frames. This is the one list of them: a world that
/// has a further part does not compile before it is told here whether that is a tracker.
macro_rules! each {
    ($world:expr, $who:ident, ($tracker:ident, $domains:pat, $due:pat) => $do:expr) => {{
        let World {
            vantages: _, clocks: _, sightings: _, host: _, oversizes: _, tally: _, predictions: _, stp: _, members: _, forgotten_before: _, domains: $domains, due: $due, heard_by_few: _,
            stations, flows, floods, arrivals, echoes, fragments, path_mtus, dhcp, addresses, rivals, stalls, attempts, brokers, contents, files, requests,
            trees, aggregation, neighbours, ports,
        } = $world;
        each!(@ $tracker, $do, arrivals flows);
        each!(@$who $tracker, $do, stations floods);
        each!(@ $tracker, $do, echoes fragments path_mtus dhcp addresses rivals stalls attempts brokers contents files requests trees aggregation neighbours ports);
    }};
    (@all $tracker:ident, $do:expr, $($bulk:ident)*) => { each!(@ $tracker, $do, $($bulk)*) };
    (@few $tracker:ident, $do:expr, $($bulk:ident)*) => { $(let _ = $bulk;)* };
    (@ $tracker:ident, $do:expr, $($name:ident)*) => { $({ let $tracker = $name; $do; })* };
}

impl World {
    /// Lets the trackers take in a frame of these kinds. Nearly every frame is bulk, of which few hear: to ask each of the others costs
    /// more than to ask once for all.
    pub(super) fn track_frame(&mut self, observation: &Observation<'_>, kinds: Kinds, out: &mut Vec<Derived>) {
        tell(&mut self.stations, observation, Some(kinds), &self.domains, &mut self.due, out);
        debug_assert_eq!(
            self.heard_by_few,
            self.what_few_hear(),
            "who changed what a tracker hears must tell `listen`"
        );
        if self.heard_by_few.intersects(kinds) {
            self.track_seldom(observation, kinds, out);
        }
        if self.floods.hears().intersects(kinds) {
            tell(&mut self.floods, observation, Some(kinds), &self.domains, &mut self.due, out);
        }
    }

    /// Lets every tracker take in what is no frame.
    pub(super) fn track(&mut self, observation: &Observation<'_>, out: &mut Vec<Derived>) {
        each!(self, all, (tracker, domains, due) => tell(tracker, observation, None, domains, due, out));
        self.listen();
    }

    #[inline(never)]
    fn track_seldom(&mut self, observation: &Observation<'_>, kinds: Kinds, out: &mut Vec<Derived>) {
        each!(self, few, (tracker, domains, due) => tell(tracker, observation, Some(kinds), domains, due, out));
        self.listen();
    }

    /// Notes what any tracker hears from now on, but for those that hear every frame: it changes only where one of them has taken something in,
    /// and is asked at every frame.
    pub(super) fn listen(&mut self) {
        self.heard_by_few = self.what_few_hear();
    }

    fn what_few_hear(&self) -> Kinds {
        let mut heard = Kinds::EMPTY;
        each!(self, few, (tracker, _, _) => heard = heard.union(tracker.hears()));
        heard
    }

    /// Nothing follows from silence before this moment; `MAX` if nothing does at all.
    #[inline]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// The next moment at which something follows from silence: `due` may be earlier, where what was awaited came.
    pub fn next_deadline(&mut self) -> Timestamp {
        let mut next = Timestamp::MAX;
        each!(self, all, (tracker, _, _) => next = next.min(tracker.next_deadline().unwrap_or(Timestamp::MAX)));
        self.due = next;
        next
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        each!(self, all, (tracker, _, _) => while tracker.next_deadline().is_some_and(|due| due <= now) {
            tracker.expire(now, out);
        });
        self.listen();
    }

    /// The capture ended, and what would be before `until` has come: what is known by then of what was told goes to `out`.
    pub fn conclude(&mut self, until: Timestamp, out: &mut Vec<Derived>) {
        self.dhcp.end_exchanges_before(until);
        each!(self, all, (tracker, _, _) => tracker.conclude(out));
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
