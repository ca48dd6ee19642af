//! CAP002: the snap length cut off what a decoder wanted to read. Cut payload that nobody reads is no matter.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::Timestamp;
use crate::wire::{Kind, Why};
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP002",
        name: "snaplen-cut",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("snaplen_cut.md"),
    },
    hears: &[Kind::Stopped],
    follows: &[],
    needs: Needs::Frames,
    make: |_| Box::new(SnaplenCut::default()),
};

/// Frames that are cited.
const CITED: u64 = 2;

#[derive(Default)]
struct SnaplenCut {
    vantages: Vec<Cut>,
}

struct Cut {
    vantage: VantageId,
    first: Timestamp,
    frames: u64,
    layers: Vec<Kind>,
    kept: usize,
}

impl Detector for SnaplenCut {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // Once more, with all that was counted.
        for cut in &self.vantages {
            cx.raise(cut.claim(cx));
        }
    }
}

impl SnaplenCut {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let Some(stop) = frame.layers.stop.filter(|stop| matches!(stop.why, Why::Cut { .. })) else { return };
        let vantage = frame.at.vantage;
        let at = self.vantages.iter().position(|cut| cut.vantage == vantage).unwrap_or(self.vantages.len());
        if at == self.vantages.len() {
            self.vantages.push(Cut {
                vantage,
                first: frame.time,
                frames: 0,
                layers: Vec::new(),
                kept: frame.bytes.len(),
            });
        }
        let Some(cut) = self.vantages.get_mut(at) else { return };
        cut.frames = cut.frames.saturating_add(1);
        cut.kept = cut.kept.max(frame.bytes.len());
        if !cut.layers.contains(&stop.layer) {
            cut.layers.push(stop.layer);
        }
        if cut.frames <= CITED {
            cx.raise(cut.claim(cx).proved_by([Cited::of(frame)]));
        }
    }
}

impl Cut {
    fn claim(&self, cx: &Context<'_>) -> Claim {
        let interface = cx.world.vantage(self.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let layers: Vec<String> = self.layers.iter().map(ToString::to_string).collect();
        let frames = if self.frames == 1 { "1 frame was".to_owned() } else { format!("{} frames were", self.frames) };
        let headline = format!(
            "{frames} cut by the snap length on {interface}, {} bytes of each at most: their {} cannot be read to its end.",
            self.kept,
            layers.join(" and ")
        );
        Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Info, headline)
            .at(self.vantage)
            .seen(self.first, self.frames)
            .number("frames", self.frames)
            .number("kept_bytes", self.kept)
            .filter("frame.cap_len < frame.len")
            .step(
                "Capture again and keep enough for DHCP behind two tags",
                Command::with("tcpdump -i {} -s 640 -w FILE", &[&cx.world.device(&interface)]),
            )
    }
}
