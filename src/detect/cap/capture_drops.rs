//! CAP001: the capture lost frames, as it says itself (pcapng interface statistics and drop counts), or as TCP says: data that it
//! does not hold was acknowledged all the same (RFC 9293 section 3.4).

use std::collections::{BTreeMap, VecDeque};

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Drops, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Span, Timestamp};
use crate::world::{Derived, Observation, Topic, Unseen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP001",
        name: "capture-drops",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("capture_drops.md"),
    },
    hears: &[],
    follows: &[Topic::Capture],
    needs: Needs::Frames,
    make: |settings| Box::new(CaptureDrops::new(settings)),
};

struct CaptureDrops {
    /// So many acknowledgements of data never seen, within so long.
    enough: u32,
    within: Span,
    vantages: BTreeMap<VantageId, Loss>,
}

/// What one vantage lost.
#[derive(Default)]
struct Loss {
    /// From the first loss to the last.
    stretch: Option<(Timestamp, Timestamp)>,
    /// Frames, as the capture counts them.
    counted: u64,
    /// Acknowledgements of data never seen, where there were enough of them at a time.
    acknowledgements: u64,
    /// Bytes that they were for.
    bytes: u64,
    /// The latest of them: when, how many, for how many bytes.
    recent: VecDeque<(Timestamp, u32, u32)>,
    /// Whether those are enough.
    is_losing: bool,
}

impl Detector for CaptureDrops {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Lost(drops) => self.counted(drops, cx),
            Observation::Derived(Derived::DataUnseen(unseen)) => self.unseen(unseen, cx),
            _ => {}
        }
    }
}

impl CaptureDrops {
    fn new(settings: &Settings) -> Self {
        let capture = &settings.capture;
        Self { enough: capture.unseen_acks, within: Span::secs(capture.unseen_acks_s), vantages: BTreeMap::new() }
    }

    fn counted(&mut self, drops: &Drops, cx: &mut Context<'_>) {
        let loss = self.vantages.entry(drops.vantage).or_default();
        loss.counted = loss.counted.saturating_add(drops.frames);
        let claim = loss.claim(drops.vantage, drops.from, drops.until, cx);
        cx.raise(claim);
    }

    fn unseen(&mut self, unseen: &Unseen, cx: &mut Context<'_>) {
        let (vantage, now) = (unseen.cited.at.vantage, unseen.cited.time);
        let loss = self.vantages.entry(vantage).or_default();
        loss.recent.push_back((now, unseen.acknowledgements, unseen.bytes));
        while loss.recent.front().is_some_and(|(first, ..)| now.since(*first) > self.within) {
            loss.recent.pop_front();
        }
        // What led to the stretch belongs to it.
        let fresh = if loss.is_losing { 1 } else { loss.recent.len() };
        loss.is_losing = loss.recent.iter().fold(0_u32, |sum, (_, n, _)| sum.saturating_add(*n)) >= self.enough;
        let Some((first, ..)) = loss.recent.front().copied().filter(|_| loss.is_losing) else { return };
        for (_, acknowledgements, bytes) in loss.recent.iter().rev().take(fresh) {
            loss.acknowledgements = loss.acknowledgements.saturating_add(u64::from(*acknowledgements));
            loss.bytes = loss.bytes.saturating_add(u64::from(*bytes));
        }
        let claim = loss.claim(vantage, first, unseen.last.max(now), cx);
        cx.raise(claim.proved_by([unseen.cited.clone()]).filter("tcp.analysis.ack_lost_segment"));
    }
}

impl Loss {
    /// The claim that all this was lost, some of it between `from` and `until`.
    fn claim(&mut self, vantage: VantageId, from: Timestamp, until: Timestamp, cx: &Context<'_>) -> Claim {
        let (first, last) = self.stretch.map_or((from, until), |(first, last)| (first.min(from), last.max(until)));
        self.stretch = Some((first, last));
        // A loss belongs to the interface that counted it, not to another that shows the same link.
        let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let &mut Self { counted, acknowledgements, bytes, .. } = self;
        let when = format!("between {} and {}", first.clock(), last.clock());
        let what = if counted > 0 {
            format!("The capture on {interface} lost {counted} frames {when}")
        } else {
            format!("The capture on {interface} does not hold {bytes} bytes that TCP acknowledged {when}")
        };
        let headline = format!("{what}: what seems missing may only not have been captured.");
        let count = if counted > 0 { counted } else { acknowledgements };
        let key = Key::new().with("interface", &interface);
        let mut claim = Claim::new(key, Confidence::Confirmed, Severity::Warning, headline)
            .at(vantage)
            .doubting(from, until)
            .seen(first, count)
            .cause("the capturing program or its disk was too slow for the traffic");
        if counted > 0 {
            claim = claim.number("lost", counted);
        }
        if acknowledgements > 0 {
            claim = claim
                .number("unseen_acks", acknowledgements)
                .number("unseen_bytes", bytes)
                .cause("a capture filter kept part of the connections out")
                .cause(
                    "part of the segments took another way: another member of a bond, a card that forwards by itself",
                );
        }
        claim.step(
            "Give the capture a larger ring and keep less of each frame",
            Command::with("tcpdump -i {} -B 65536 -s 640 -w FILE", &[&cx.world.device(&interface)]),
        )
    }
}
