//! CAP001: the capture lost frames, as it says itself (pcapng interface statistics and drop counts).

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Drops, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP001",
        name: "capture-drops",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("capture_drops.md"),
    },
    hears: &[],
    needs: Needs::Frames,
    make: |_| Box::new(CaptureDrops::default()),
};

#[derive(Default)]
struct CaptureDrops {
    lost: Vec<(VantageId, u64)>,
}

impl Detector for CaptureDrops {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Lost(drops) = seen {
            self.claim(drops, cx);
        }
    }
}

impl CaptureDrops {
    fn claim(&mut self, drops: &Drops, cx: &mut Context<'_>) {
        let known = self.lost.iter_mut().find(|(vantage, _)| *vantage == drops.vantage);
        let total = match known {
            Some((_, lost)) => {
                *lost = lost.saturating_add(drops.frames);
                *lost
            }
            None => {
                self.lost.push((drops.vantage, drops.frames));
                drops.frames
            }
        };
        // A loss belongs to the interface that counted it, not to another that shows the same link.
        let interface = cx.world.vantage(drops.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let headline = format!(
            "The capture on {interface} lost {total} frames between {} and {}: what seems missing may only not have been captured.",
            drops.from.clock(),
            drops.until.clock()
        );
        let claim =
            Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Warning, headline)
                .at(drops.vantage)
                .doubting(drops.from, drops.until)
                .seen(drops.from, total)
                .number("lost", total)
                .cause("the capturing program or its disk was too slow for the traffic")
                .step(
                    "Give the capture a larger ring and keep less of each frame",
                    format!("tcpdump -i {interface} -B 65536 -s 640 -w FILE"),
                );
        cx.raise(claim);
    }
}
