//! STP008: a standard BPDU in a VLAN tag: it was never sent so, a bridge on top of a VLAN device forwarded it (IEEE 802.1Q-2018 clause 8.6.3).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Mac, Span, TagStack, Timestamp};
use crate::wire::{Kind, StpFamily};
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP008",
        name: "tagged-bpdu",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("tagged_bpdu.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(TaggedBpdu { senders: Followed::new(MOST, 1, CITED) }),
};

/// Senders that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: u64 = 3;

struct TaggedBpdu {
    senders: Followed<SenderKey>,
}

type SenderKey = (VantageId, TagStack, Mac);

impl Detector for TaggedBpdu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.senders.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(due) = self.senders.due(cx.now, patience) {
            match due {
                Due::Ripe(key) => self.claim(key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(key, cx), format!("no such frame for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.senders.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl TaggedBpdu {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let stack = frame.layers.tags().networks();
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let vantage = frame.at.vantage;
        let is_cooked = cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked);
        // PVST+ is tagged by design; a tunnel's inner frame is another link's matter.
        if stp.family() == StpFamily::Pvst || stack.is_empty() || frame.layers.overlay().is_some() || is_cooked {
            return;
        }
        self.senders.see(&(vantage, stack, mac), frame, cx, || ());
    }

    fn claim(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let (vantage, stack, mac) = key;
        let Some(sender) = self.senders.get_mut(&key) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let interface = cx.world.interface(vantage);
        let headline = format!(
            "Standard BPDUs of {mac} pass {interface} in VLAN {stack} since {}: they are never sent with a tag, so a bridge on top of a VLAN device forwards them.",
            sender.first.clock()
        );
        let claim = Claim::new(claim_key(key, cx), Confidence::Confirmed, Severity::Warning, headline)
            .at(vantage)
            .filter(format!("vlan && eth.dst == 01:80:c2:00:00:00 && eth.src == {mac}"))
            .cause("a guest's BPDU goes through a bridge that has a VLAN device for a port (STP001)")
            .step("Stop such frames at the guest's port, as `netdiag explain STP001` says", "")
            .step("See which bridge has the VLAN device for a port", "bridge link");
        cx.raise(sender.prove(claim));
    }
}

fn claim_key((vantage, stack, mac): SenderKey, cx: &Context<'_>) -> Key {
    Key::new().with("interface", cx.world.interface(vantage)).with("stack", stack).with("mac", mac)
}
