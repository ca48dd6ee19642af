//! CAP006: a capture on several devices at once loses VLAN tags: the kernel keeps the outer one apart, and a cooked header has no place for it.

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::{Cited, Frame, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::wire::{Kind, LinkType};
use crate::world::Observation;

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "CAP006",
        name: "vlan-tags-hidden",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("vlan_tags_hidden.md"),
    },
    hears: &[Kind::Sll, Kind::Sll2],
    follows: &[],
    needs: Needs::Frames,
    make: |_| Box::new(VlanTagsHidden::default()),
};

/// Frames that are cited.
const CITED: u64 = 2;

#[derive(Default)]
struct VlanTagsHidden {
    vantages: Vec<(VantageId, u64)>,
}

impl Detector for VlanTagsHidden {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let (Observation::Packet(seen) | Observation::Sighting(seen)) = seen else { return };
        let frame = seen.frame;
        if frame.layers.tags().is_empty() && !has_stray_tag(frame) {
            return;
        }
        let vantage = frame.at.vantage;
        let at = self.vantages.iter().position(|(v, _)| *v == vantage).unwrap_or(self.vantages.len());
        if at == self.vantages.len() {
            self.vantages.push((vantage, 0));
        }
        let Some((_, frames)) = self.vantages.get_mut(at) else { return };
        *frames = frames.saturating_add(1);
        if *frames > CITED {
            return;
        }
        let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let headline = format!(
            "{interface} was captured with a cooked header, which loses VLAN tags: which frame wore which tags cannot be told from it."
        );
        let claim =
            Claim::new(Key::new().with("interface", &interface), Confidence::Confirmed, Severity::Warning, headline)
                .at(vantage)
                .seen(frame.time, *frames)
                .proved_by([Cited::of(frame)])
                .filter("sll")
                .cause("the capture was made on `any`")
                .step("Capture on the device that carries the tags instead", "tcpdump -i bond0 -w FILE");
        cx.raise(claim);
    }
}

/// Whether the payload begins with what is left of a tag: two bytes of tag control information and the EtherType once more,
/// where the cooked header has named that protocol already.
fn has_stray_tag(frame: &Frame<'_>) -> bool {
    let (protocol, header) = match frame.link {
        LinkType::LinuxSll => (frame.bytes.get(14..16), 16),
        LinkType::LinuxSll2 => (frame.bytes.get(0..2), 20),
        _ => return false,
    };
    let payload = frame.bytes.get(header..).unwrap_or(&[]);
    // ARP, IPv4 and IPv6 never repeat their own EtherType in their third and fourth byte while their first two read as a VLAN.
    let is_known = matches!(protocol, Some([0x08, 0x00 | 0x06] | [0x86, 0xdd]));
    let own_start = match protocol {
        Some([0x08, 0x00]) => payload.first().is_some_and(|byte| byte >> 4 == 4),
        Some([0x08, 0x06]) => payload.starts_with(&[0, 1]),
        _ => payload.first().is_some_and(|byte| byte >> 4 == 6),
    };
    is_known && !own_start && payload.get(2..4) == protocol
}
