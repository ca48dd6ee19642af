//! STP008: a standard BPDU in a VLAN tag: it was never sent so, a bridge on top of a VLAN device forwarded it (IEEE 802.1Q-2018 clause 8.6.3).

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Place, VantageId};
use crate::finding::{Cited, Claim, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Deadlines, Mac, Span, TagStack, Timestamp};
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
    needs: Needs::Ethernet,
    make: |_| Box::new(TaggedBpdu { senders: BoundedMap::new(MOST), deadlines: Deadlines::new() }),
};

/// Senders that are followed.
const MOST: usize = 1_024;
/// Frames that are cited.
const CITED: u64 = 3;

struct TaggedBpdu {
    senders: BoundedMap<SenderKey, Sender>,
    deadlines: Deadlines<SenderKey>,
}

type SenderKey = (VantageId, TagStack, Mac);

struct Sender {
    first: Timestamp,
    last: Timestamp,
    count: u64,
    is_raised: bool,
    fresh: Vec<Cited>,
}

impl Detector for TaggedBpdu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(key) = self.deadlines.pop(cx.now) {
            let Some(sender) = self.senders.peek(&key) else { continue };
            if !sender.is_raised {
                self.claim(key, cx);
            } else if cx.now.since(sender.last) >= patience {
                cx.resolve(claim_key(&cx.world.interface(key.0), &key), format!("no such frame for {patience}"));
                self.senders.remove(&key);
            } else {
                self.deadlines.set(key, sender.last.after(patience));
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let waiting: Vec<SenderKey> = self.deadlines.waiting().map(|(_, key)| *key).collect();
        for key in waiting {
            if self.senders.peek(&key).is_some_and(|sender| !sender.is_raised || !sender.fresh.is_empty()) {
                self.claim(key, cx);
            }
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
        if stp.family() == StpFamily::Pvst || stack.is_empty() || frame.layers.vni().is_some() || is_cooked {
            return;
        }
        let key = (vantage, stack, mac);
        let fresh = || Sender { first: frame.time, last: cx.now, count: 0, is_raised: false, fresh: Vec::new() };
        let sender = self.senders.entry(&key, fresh);
        sender.count = sender.count.saturating_add(1);
        sender.last = cx.now;
        if sender.count <= CITED {
            sender.fresh.push(Cited::of(frame));
        }
        if sender.count == 1 {
            self.deadlines.set(key, cx.now.after(cx.world.sightings.settle()));
        }
    }

    fn claim(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let (vantage, stack, mac) = key;
        let Some(sender) = self.senders.get_mut(&key) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        sender.is_raised = true;
        let interface = cx.world.interface(vantage);
        let headline = format!(
            "Standard BPDUs of {mac} pass {interface} in VLAN {stack} since {}: they are never sent with a tag, so a bridge on top of a VLAN device forwards them.",
            sender.first.clock()
        );
        let claim = Claim::new(claim_key(&interface, &key), Confidence::Confirmed, Severity::Warning, headline)
            .at(vantage)
            .seen(sender.first, sender.count)
            .proved_by(sender.fresh.drain(..))
            .filter(format!("vlan && eth.dst == 01:80:c2:00:00:00 && eth.src == {mac}"))
            .cause("a guest's BPDU goes through a bridge that has a VLAN device for a port (STP001)")
            .step("Stop such frames at the guest's port, as `netdiag explain STP001` says", "")
            .step("See which bridge has the VLAN device for a port", "bridge link");
        cx.raise(claim);
        self.deadlines.set(key, sender.last.after(Span::secs(cx.settings.stp.resolve_s)));
    }
}

fn claim_key(interface: &str, (_, stack, mac): &SenderKey) -> Key {
    Key::new().with("interface", interface).with("stack", stack).with("mac", mac)
}
