//! L2002: far more broadcasts than usual for seconds on end (no standard; switches call the remedy storm control).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::world::{Burst, Derived, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "L2002",
        name: "broadcast-storm",
        levels: &[(Confidence::Confirmed, Severity::Error), (Confidence::Confirmed, Severity::Critical)],
        page: include_str!("broadcast_storm.md"),
    },
    hears: &[],
    follows: &[Topic::Broadcast],
    needs: Needs::Ethernet,
    make: |_| Box::new(BroadcastStorm::default()),
};

/// Links that are followed.
const MOST: usize = 1_024;
/// Seconds in a row that make a storm.
const SECONDS: u32 = 5;
/// How many times the usual rate it must be.
const TIMES: u32 = 20;
/// Broadcasts a second that are critical.
const CRITICAL: u32 = 10_000;
/// Broadcasts a second of each sender, up to which many hosts that start at once are not a storm.
const BOOTING: u32 = 5;
/// Without a loud second for this long it is over.
const OVER_AFTER: Span = Span::secs(30);

#[derive(Default)]
struct BroadcastStorm {
    links: BTreeMap<VantageId, Storm>,
    deadlines: Deadlines<VantageId>,
}

struct Storm {
    first: Timestamp,
    last: Timestamp,
    seconds: u32,
    most: u32,
    frames: u64,
    fresh: Vec<Cited>,
    raised: Option<Key>,
}

impl Detector for BroadcastStorm {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Burst(burst)) = seen {
            self.burst(burst, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(vantage) = self.deadlines.pop(cx.now) {
            if let Some(key) = self.links.remove(&vantage).and_then(|storm| storm.raised) {
                cx.resolve(key, format!("no such second for {OVER_AFTER}"));
            }
        }
    }
}

impl BroadcastStorm {
    fn burst(&mut self, burst: &Burst, cx: &mut Context<'_>) {
        let vantage = burst.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        let senders = u32::try_from(burst.senders).unwrap_or(u32::MAX);
        let is_booting = burst.broadcasts <= senders.saturating_mul(BOOTING);
        let is_usual = burst.broadcasts <= burst.usual.saturating_mul(TIMES);
        let is_known = self.links.contains_key(&vantage);
        let is_second_name = place == Place::Cooked || cx.world.sightings.link_of(vantage) != vantage;
        if is_booting || is_usual || is_second_name || self.links.len() >= MOST && !is_known {
            return;
        }
        let begun = burst.until.after(Span::secs(-1));
        let fresh =
            || Storm { first: begun, last: begun, seconds: 0, most: 0, frames: 0, fresh: Vec::new(), raised: None };
        let storm = self.links.entry(vantage).or_insert_with(fresh);
        if storm.last != begun && storm.raised.is_none() {
            *storm = fresh();
        }
        (storm.last, storm.seconds) = (burst.until, storm.seconds.saturating_add(1));
        storm.most = storm.most.max(burst.broadcasts);
        storm.frames = storm.frames.saturating_add(u64::from(burst.broadcasts));
        storm.fresh.extend(burst.cited.clone().filter(|_| storm.fresh.len() < 2));
        self.deadlines.set(vantage, cx.now.after(OVER_AFTER));
        if storm.seconds < SECONDS {
            return;
        }
        let severity = if storm.most > CRITICAL { Severity::Critical } else { Severity::Error };
        let interface = cx.world.interface(vantage);
        let loudest: Vec<String> = burst.loudest.iter().map(|(mac, n)| format!("{mac} ({n}/s)")).collect();
        let headline = format!(
            "{interface}: up to {} broadcasts a second since {}; usual are {}. Loudest: {}.",
            storm.most,
            storm.first.clock(),
            burst.usual,
            loudest.join(", ")
        );
        let port = match burst.loudest.first() {
            Some((mac, _)) => Command::with("bridge fdb show | grep {}", &[mac]),
            None => "bridge fdb show | grep MAC".into(),
        };
        let key = Key::new().with("interface", &interface);
        storm.raised = Some(key.clone());
        let claim = Claim::new(key, Confidence::Confirmed, severity, headline)
            .at(vantage)
            .seen(storm.first, storm.frames)
            .number("most_a_second", storm.most)
            .number("usual_a_second", burst.usual)
            .number("senders", burst.senders)
            .number("loudest", loudest.join(" "))
            .proved_by(storm.fresh.drain(..))
            .filter("eth.dst == ff:ff:ff:ff:ff:ff")
            .cause("a bridging loop (L2001)")
            .cause("somebody asks for every address of a network (a scan, or a router whose neighbours are gone)")
            .cause("a network card or a program that is faulty")
            .step("Find the port of the loudest sender", port)
            .step("Limit broadcasts at the ports of hosts", "storm-control broadcast level pps 1k");
        cx.raise(claim);
    }
}
