//! Time, order and delivery: engine time is the largest event time so far; every deadline fires at its own time, the world's
//! before the detectors', those in the order of the catalogue; an answer at the very deadline is in time.

mod audience;
mod dues;
mod pause;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use audience::{Audience, Rules};
use dues::Dues;

use crate::detect::{self, Context, Detector, Entry, Needs, Recalled, Said};
use crate::event::{Drops, Event, Fact, Frame, Place, Placed, Record, Stamped, Vantage, VantageId};
use crate::finding::{Change, Exchange, Finding, Input, Key, Ledger, Lost, NotChecked, Pending, Report, relate};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::wire::{LinkType, Plain};
use crate::world::{Derived, Observation, Renamed, Seen, Topic, World};

/// How long after the end of a complete capture deadlines still fire: longer than any client of any protocol here keeps trying.
const AFTER_THE_END: Span = Span::secs(86_400);
/// Moments between two events at which deadlines fire, each at its own. What would look again and again through a leap over years,
/// which a damaged stamp is enough for, looks once more at its end.
const MOST_MOMENTS: u32 = 100_000;

/// The judging core: events in, a report out. No clock, no socket, no randomness.
pub struct Engine {
    settings: Settings,
    world: World,
    slots: Vec<Slot>,
    /// When silence means something to each detector next.
    dues: Dues,
    audience: Audience,
    ledger: Ledger,
    now: Timestamp,
    /// Whether anything has a time so far.
    has_begun: bool,
    /// The latest event, and since when they follow on one another steadily.
    heard: Timestamp,
    steady_since: Timestamp,
    /// Whether the capture is known to run all along, so that silence in it is silence.
    is_watched: bool,
    /// How long the capture had paused, while deadlines fire that lie in its pause: what follows from silence there is not known.
    pause: Option<Span>,
    /// Rules that would have claimed something in this pause.
    misled: BTreeSet<usize>,
    /// The earliest deadline of all; `MAX` if there is none.
    due: Timestamp,
    derived: Vec<Derived>,
    said: Vec<Said>,
    changes: Vec<(Change, Finding)>,
    /// What an earlier run left open.
    recalled: Recalled,
    keeps_changes: bool,
    keeps_exchanges: bool,
    pending: Vec<Pending>,
    lost: Lost,
}

/// A rule with its detector.
struct Slot {
    entry: &'static Entry,
    detector: Box<dyn Detector>,
}

impl Engine {
    /// An engine that judges by every rule.
    pub fn new(settings: Settings) -> Self {
        let slots: Vec<Slot> =
            detect::entries().map(|entry| Slot { entry, detector: (entry.make)(&settings) }).collect();
        Self {
            dues: Dues::new(slots.len()),
            slots,
            audience: Audience::new(detect::entries()),
            world: World::new(&settings),
            settings,
            ledger: Ledger::default(),
            now: Timestamp::MIN,
            has_begun: false,
            heard: Timestamp::MIN,
            steady_since: Timestamp::MIN,
            is_watched: false,
            pause: None,
            misled: BTreeSet::new(),
            due: Timestamp::MAX,
            derived: Vec::new(),
            said: Vec::new(),
            changes: Vec::new(),
            recalled: Recalled::default(),
            keeps_changes: false,
            keeps_exchanges: false,
            pending: Vec::new(),
            lost: Lost::default(),
        }
    }

    /// Keeps changes of findings for `changes`, for those who print them as they happen.
    pub const fn keep_changes(&mut self) {
        self.keeps_changes = true;
    }

    /// The capture is known to run all along: what it does not show was not there.
    pub const fn watch(&mut self) {
        self.is_watched = true;
    }

    /// Keeps DHCP exchanges, for `exchanges` and the report.
    pub fn keep_exchanges(&mut self) {
        self.keeps_exchanges = true;
        self.world.dhcp.keep_exchanges();
    }

    /// DHCP exchanges that ended since this was asked last; the report holds the others.
    pub fn exchanges(&mut self) -> Vec<Exchange> {
        self.world.ended_exchanges()
    }

    /// Whether any finding changed since `changes` was asked last.
    #[inline]
    pub const fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Findings that changed since this was asked last.
    pub fn changes(&mut self) -> Vec<(Change, Finding)> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.iter_mut().for_each(|(_, finding)| finding.tell_names(|mac| self.world.host.name_of(mac)));
        changes
    }

    /// A vantage is there from now on.
    #[inline(never)]
    pub fn add_vantage(&mut self, id: VantageId, vantage: Vantage) {
        self.world.add_vantage(id, vantage);
    }

    /// The frame three behind the next will most likely be of these `bytes`, and begin as `link` says: what it will need is fetched meanwhile.
    #[inline]
    pub fn expect(&mut self, bytes: &[u8], link: LinkType) {
        self.world.expect(bytes, link);
    }

    /// Hears a frame that was read at `vantage`; `time` is its place in the order, which may be later than its stamp.
    pub fn frame(&mut self, record: Record<'_>, vantage: VantageId, link: LinkType, time: Timestamp) {
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let placed = Placed { record, vantage, link, order: time };
            self.hear(&Event::Frame(&placed), time);
        }));
        if judged.is_err() {
            // One frame is lost to a fault of ours, and it is counted; the next is judged as if nothing had been.
            self.lost.internal_errors = self.lost.internal_errors.saturating_add(1);
            self.derived.clear();
            self.said.clear();
        }
    }

    /// Hears a fact about the host.
    #[inline(never)]
    pub fn fact(&mut self, fact: &Stamped<Fact>) {
        self.hear(&Event::Host(fact), fact.time.unwrap_or(self.now));
        if let Fact::Finding(left) = &fact.what
            && let Some(entry) = detect::entries().find(|entry| entry.rule.code == left.code.raw())
        {
            let change = self.ledger.recall(&entry.rule, left, self.now);
            if change.is_some() {
                self.recalled.add(&entry.rule, Key::recalled(left), self.now);
            }
            self.note(change);
            self.due = self.due.min(self.ledger.next_deadline().unwrap_or(Timestamp::MAX));
        }
        if let Fact::Asleep { until } = fact.what {
            self.sleep(until.max(self.now));
        }
    }

    /// What a later run should know: facts that it is told at its beginning.
    pub fn left(&mut self) -> Vec<Fact> {
        let leases = self.world.dhcp.left().into_iter().map(Fact::Lease);
        leases.chain(self.ledger.left().map(Fact::Finding)).collect()
    }

    /// Hears that a vantage lost frames.
    #[inline(never)]
    pub fn drops(&mut self, drops: &Drops) {
        self.lost.kernel = self.lost.kernel.saturating_add(drops.frames);
        self.hear(&Event::Lost(drops), drops.until);
    }

    /// So many frames came too late for their place in the order, so that this run may differ from its replay.
    pub const fn count_late(&mut self, frames: u64) {
        self.lost.late = frames;
    }

    /// Hears that nothing earlier than `time` will come: deadlines fire sooner, and nothing else changes, the clock included. A replay has
    /// no such moments; and where the next event may show that the capture had paused, none fires before it.
    #[inline(never)]
    pub fn tick(&mut self, time: Timestamp) {
        if self.is_watched && self.due < time {
            self.advance_to(time);
        }
    }

    /// Hears that nothing more comes from `lane`, whose capture went on until `until` if that is known.
    #[inline(never)]
    pub fn ended(&mut self, lane: u16, until: Option<Timestamp>) {
        self.hear(&Event::Ended { lane, until }, self.now);
    }

    /// The capture ended, `end` being when it stopped if that is known. With `is_final` it is complete, and what waits for
    /// less than a day fires. Told once; `changes` knows what came of it.
    pub fn close(&mut self, end: Option<Timestamp>, is_final: bool) {
        let mut until = self.now;
        if let Some(end) = end {
            // Deadlines up to the end fire, the end itself included.
            until = end.after(Span::nanos(1));
            self.advance_to(until);
        }
        if is_final {
            until = end.unwrap_or(self.now).after(AFTER_THE_END);
            self.advance_to(until);
        }
        self.conclude(until);
    }

    /// The report, after `close`.
    pub fn finish(mut self, inputs: Vec<Input>) -> Report {
        let ledger = std::mem::take(&mut self.ledger);
        let (mut findings, more) = ledger.into_findings();
        findings.iter_mut().for_each(|finding| finding.tell_names(|mac| self.world.host.name_of(mac)));
        let (checked, not_checked) = self.checked();
        let mut pending = self.pending;
        pending.extend(more.into_iter().map(|(code, n)| Pending {
            code,
            what: format!("and {n} more claims of {code}, which are counted and not listed"),
            since: self.now,
        }));
        let mut lost = self.lost;
        lost.disordered = self.world.clocks.disordered();
        lost.forgotten = self.world.forgotten();
        lost.card = inputs.iter().fold(0, |sum, input| input.missed.saturating_add(sum));
        lost.damaged_inputs = inputs.iter().filter(|input| input.damage.is_some()).count() as u64;
        Report {
            inputs,
            vantages: self.world.vantages().to_vec(),
            tally: self.world.tally(),
            exchanges: self.keeps_exchanges.then(|| self.world.last_exchanges()),
            leases: if self.keeps_exchanges { self.world.dhcp.leases(self.now) } else { Vec::new() },
            findings: relate(findings),
            pending,
            checked,
            neighbours: self.world.known_neighbours(),
            trees: self.world.known_trees(),
            not_checked,
            lost,
        }
    }

    /// Every frame passes here, so that it stands in line where it is called; what is seldom does not.
    #[inline(always)]
    fn hear(&mut self, event: &Event<'_>, time: Timestamp) {
        if self.due < time {
            self.catch_up(time);
        }
        if time.since(self.heard) > pause::STEADY_STEP {
            self.steady_since = time;
        }
        self.heard = self.heard.max(time);
        if !self.has_begun {
            self.begin(time);
        }
        self.now = self.now.max(time);
        match event {
            Event::Frame(placed) => {
                if !self.passes(placed) {
                    self.see(placed);
                }
            }
            Event::Host(fact) => {
                self.world.learn(fact, &mut self.derived);
                self.deliver(&Observation::Host(fact), self.audience.all());
            }
            Event::Lost(drops) => {
                self.world.lose(drops, &mut self.derived);
                self.deliver(&Observation::Lost(drops), self.audience.all());
            }
            Event::Ended { lane, until } => self.world.end(*lane, *until),
        }
        self.deliver_derived();
    }

    /// Whether the frame was a packet as those before it, of which nothing follows for any rule, and is judged by that.
    #[inline(always)]
    fn passes(&mut self, placed: &Placed<'_>) -> bool {
        let is_heard = self.audience.hears(Plain::KINDS) || !self.recalled.is_empty();
        !is_heard && self.world.pass(placed, &mut self.derived)
    }

    /// Lets the world see a frame, and the rules that hear of such.
    #[inline(never)]
    fn see(&mut self, &Placed { record, vantage, link, order }: &Placed<'_>) {
        let mut frame = Frame::new(record, vantage, link, order);
        frame.read();
        let mut seen = Seen::new(&frame);
        let is_first = self.world.see(&mut seen, &mut self.derived);
        if !is_first {
            self.rename();
        }
        let rules = self.audience.of_frame(frame.layers.kinds());
        if !(rules.is_empty() && self.recalled.is_empty()) {
            let observation = if is_first { Observation::Packet(&seen) } else { Observation::Sighting(&seen) };
            self.deliver(&observation, rules);
        }
    }

    /// The first event that has a time, or those before it.
    #[cold]
    fn begin(&mut self, time: Timestamp) {
        self.ledger.begin(time);
        self.has_begun = time > Timestamp::MIN;
    }

    /// Lets happen what was to happen before `time`.
    #[inline(never)]
    fn catch_up(&mut self, time: Timestamp) {
        self.pause = self.pause_until(time);
        self.advance_to(time);
        self.go_on(time);
    }

    /// A packet at another vantage may have told how its network is called where it wears all its tags.
    fn rename(&mut self) {
        for Renamed { vantages, from, to } in self.world.domains.renamed() {
            self.ledger.rename(&vantages, ("domain", &from), &to);
        }
    }

    /// Gives an observation to those who must hear it, and ends what an earlier run left open if that is over by it.
    fn deliver(&mut self, observation: &Observation<'_>, rules: Rules) {
        if !self.recalled.is_empty() {
            for (rule, key, why) in self.recalled.over(observation, &self.world) {
                let change = self.ledger.resolve(rule, &key, &why, self.now);
                self.note(change);
            }
        }
        for at in rules {
            self.call(at, |detector, cx| detector.observe(observation, cx));
        }
    }

    #[inline]
    fn deliver_derived(&mut self) {
        // Trackers may have moved their deadlines.
        self.due = self.due.min(self.world.due());
        if !self.derived.is_empty() {
            self.deliver_all_derived();
        }
    }

    #[inline(never)]
    fn deliver_all_derived(&mut self) {
        let mut derived = std::mem::take(&mut self.derived);
        for conclusion in derived.drain(..) {
            self.deliver(&Observation::Derived(&conclusion), self.audience.of_topic(conclusion.topic()));
        }
        self.derived = derived;
    }

    /// Fires every deadline before `time`, each at its own moment.
    fn advance_to(&mut self, time: Timestamp) {
        let mut moments = 0_u32;
        loop {
            let world = self.world.next_deadline();
            let rules = self.dues.next();
            let books = self.ledger.next_deadline().unwrap_or(Timestamp::MAX);
            let due = world.min(rules).min(books);
            self.due = due;
            if due >= time {
                return;
            }
            moments = moments.saturating_add(1);
            let due = if moments > MOST_MOMENTS {
                due.max(Timestamp::from_nanos(time.nanos().saturating_sub(1)))
            } else {
                due
            };
            self.now = self.now.max(due);
            if world <= due {
                self.world.expire(due, &mut self.derived);
                self.deliver_derived();
            }
            if self.dues.next() <= due {
                self.expire_rules(due);
            }
            for change in self.ledger.expire(due) {
                self.note(Some(change));
            }
        }
    }

    /// The moment `due` has come for rules, each of which is asked in the order of the catalogue.
    fn expire_rules(&mut self, due: Timestamp) {
        for at in 0..self.slots.len() {
            if self.dues.of(at) <= due {
                self.call(at, |detector, cx| detector.expire(cx));
                let code = self.slots[at].entry.rule.code;
                debug_assert!(self.dues.of(at) > due, "{code} would wait for {due:?} for ever");
            }
        }
    }

    /// Lets one detector judge, and enters what it says into the books.
    fn call(&mut self, at: usize, judge: impl FnOnce(&mut dyn Detector, &mut Context<'_>)) {
        let slot = &mut self.slots[at];
        let mut cx = Context::new(self.now, &self.world, &self.settings, &mut self.said);
        judge(slot.detector.as_mut(), &mut cx);
        let due = slot.detector.next_deadline().unwrap_or(Timestamp::MAX);
        self.dues.set(at, due);
        self.due = self.due.min(due);
        if self.said.is_empty() {
            return;
        }
        let rule = &slot.entry.rule;
        // Where a link shows nothing at all, that is just what those say who watch it: after a switch has shut a port, minutes pass.
        let pause = self.pause.filter(|_| !slot.entry.follows.contains(&Topic::Uplink));
        for said in std::mem::take(&mut self.said) {
            let change = match (said, pause) {
                (Said::Raise(claim), Some(pause)) => {
                    self.misled.insert(at);
                    self.wait_for(rule.code, &claim.spelled(), pause);
                    None
                }
                (Said::Raise(mut claim), None) => {
                    claim.uplink = claim.uplink.or_else(|| self.world.uplink(claim.vantage?));
                    self.ledger.raise(rule, *claim, self.now)
                }
                (Said::Resolve(key, why), _) => self.ledger.resolve(rule, &key, &why, self.now),
                (Said::Absorb(key, why), _) => self.ledger.absorb(rule, &key, &why, self.now),
                (Said::Pending(what, since), _) => {
                    self.pending.push(Pending { code: rule.code, what, since });
                    None
                }
            };
            self.note(change);
            for lowered in self.ledger.lowered() {
                self.note(Some((lowered, Change::Lowered)));
            }
        }
    }

    /// All that is known before `until` is told, and what still waits.
    fn conclude(&mut self, until: Timestamp) {
        self.world.conclude(until, &mut self.derived);
        self.deliver_derived();
        for at in 0..self.slots.len() {
            self.call(at, |detector, cx| detector.finish(cx));
        }
    }

    /// Keeps a change of a finding for those who ask.
    fn note(&mut self, change: Option<(usize, Change)>) {
        if let (true, Some((at, change))) = (self.keeps_changes, change) {
            self.changes.extend(self.ledger.finding(at).map(|finding| (change, finding.clone())));
        }
    }

    /// Which codes were checked, and which could not be.
    fn checked(&self) -> (Vec<&'static str>, Vec<NotChecked>) {
        let vantages = self.world.vantages();
        let has_ethernet = vantages.iter().any(|(_, v)| v.place != Place::Cooked && v.link == LinkType::Ethernet);
        let has_link = vantages.iter().any(|(_, v)| v.link.has_header());
        let (mut checked, mut not_checked) = (Vec::new(), Vec::new());
        for Slot { entry, .. } in &self.slots {
            let why = match entry.needs {
                Needs::Frames => None,
                Needs::Link if has_link => None,
                Needs::Link => Some("no vantage whose frames begin with a header of the link"),
                Needs::Ethernet if has_ethernet => None,
                Needs::Host if self.world.host.is_known() => None,
                Needs::Host => Some("no facts about the host were given (--host)"),
                Needs::Ethernet => Some("no vantage whose frames begin with an Ethernet header"),
            };
            let code = entry.rule.code;
            match why.map(str::to_owned).or_else(|| detect::hidden_from(code, vantages)) {
                None => checked.push(code),
                Some(why) => not_checked.push(NotChecked { code, why }),
            }
        }
        (checked, not_checked)
    }
}
