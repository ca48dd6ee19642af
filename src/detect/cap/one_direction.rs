//! CAP003: only one direction of the traffic is in the capture, so that silence of the other means nothing.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::Timestamp;
use crate::world::{Derived, Observation};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP003",
        name: "one-direction",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("one_direction.md"),
    },
    hears: &[],
    needs: Needs::Frames,
    make: |_| Box::new(OneDirection),
};

struct OneDirection;

impl Detector for OneDirection {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::OneDirection(vantage)) = seen else { return };
        let interface = cx.world.vantage(*vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let segments = cx.world.flows.view(*vantage).map_or(0, |view| view.segments);
        let headline = format!(
            "{interface} shows {segments} TCP segments and not one frame of the other direction: answers are not visible from here."
        );
        let claim =
            Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Warning, headline)
                .at(*vantage)
                .doubting(Timestamp::MIN, Timestamp::MAX)
                .number("segments", segments)
                .filter("tcp.len > 0")
                .cause("a mirror session that copies one direction only")
                .cause("the answers take another way: another member of the bond, another router")
                .step("Mirror both directions, or capture on the host", format!("tcpdump -i {interface} -w FILE"));
        cx.raise(claim);
    }
}
