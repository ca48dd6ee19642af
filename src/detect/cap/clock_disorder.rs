//! CAP005: stamps run back by more than ordinary disorder: the clock of the capturing host was set, or files were put together.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::Span;
use crate::world::{Derived, Jump, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP005",
        name: "clock-disorder",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("clock_disorder.md"),
    },
    hears: &[],
    follows: &[Topic::Capture],
    needs: Needs::Frames,
    make: |_| Box::new(ClockDisorder::default()),
};

#[derive(Default)]
struct ClockDisorder {
    furthest: Span,
}

impl Detector for ClockDisorder {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::ClockJumped(jump)) = seen {
            self.claim(jump, cx);
        }
    }
}

impl ClockDisorder {
    fn claim(&mut self, jump: &Jump, cx: &mut Context<'_>) {
        self.furthest = self.furthest.max(jump.back);
        let at = jump.cited.at;
        let interface = cx.world.vantage(at.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let headline = format!(
            "The stamps of {interface} jump back {} at frame {}: times before and after it do not compare.",
            jump.back, at.number
        );
        let jumps = cx.world.clocks.jumps(at.vantage);
        let claim =
            Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Info, headline)
                .at(at.vantage)
                .seen(jump.cited.time, jumps)
                .number("furthest_seconds", self.furthest.as_secs())
                .proved_by([jump.cited.clone()])
                .filter("frame.time_delta < 0")
                .cause("the clock of the capturing host was set while it captured")
                .cause("captures were put one behind the other without regard to time")
                .step("Put the frames in order of time", "reordercap IN OUT");
        cx.raise(claim);
    }
}
