//! CAP004: the capture shows buffers that no wire carries: segmentation is left to the card, or received segments were put together.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::Timestamp;
use crate::world::{Derived, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP004",
        name: "offload-super-frames",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("offload_super_frames.md"),
    },
    hears: &[],
    follows: &[Topic::Capture],
    needs: Needs::Frames,
    make: |_| Box::new(OffloadSuperFrames::default()),
};

#[derive(Default)]
struct OffloadSuperFrames {
    vantages: Vec<(VantageId, Timestamp)>,
}

impl Detector for OffloadSuperFrames {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::SuperFrame(cited)) = seen else { return };
        let vantage = cited.at.vantage;
        if self.vantages.iter().all(|(v, _)| *v != vantage) {
            self.vantages.push((vantage, cited.time));
        }
        claim(vantage, cited.time, Some(cited.clone()), cx);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // Once more, with all that was counted.
        for (vantage, first) in &self.vantages {
            claim(*vantage, *first, None, cx);
        }
    }
}

fn claim(vantage: VantageId, first: Timestamp, cited: Option<Cited>, cx: &mut Context<'_>) {
    let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
    let (frames, longest) = cx.world.flows.view(vantage).map_or((0, 0), |view| (view.super_frames, view.longest));
    let headline = format!(
        "{interface} shows buffers of up to {longest} bytes (TSO or GRO), which no wire carried so: their sizes are reconstructed."
    );
    let claim = Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Info, headline)
        .at(vantage)
        .seen(first, frames)
        .number("super_frames", frames)
        .number("longest", longest)
        .proved_by(cited)
        .filter("ip.len > 1500 && tcp")
        .step(
            "To see the frames as they are on the wire, capture on the switch, or switch the offloads off for a while",
            Command::with("ethtool -K {} tso off gso off gro off", &[&cx.world.device(&interface)]),
        );
    cx.raise(claim);
}
