//! STP009: two bridges claim the same MST region and mean different things by it (IEEE 802.1Q-2018 clause 13.8: configuration identifier).

use std::collections::BTreeMap;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::{BpduKind, Kind};
use crate::world::{DomainId, Observation, Region, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP009",
        name: "mst-region-mismatch",
        levels: &[(Confidence::Risk, Severity::Warning)],
        page: include_str!("mst_region_mismatch.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Link,
    make: |_| Box::new(MstRegionMismatch::default()),
};

/// Bridges that are followed.
const MOST: usize = 256;
/// The digest of a table with every VLAN in instance 0 (IEEE 802.1Q-2018 table 13-2).
const DEFAULT_MAP: [u8; 16] =
    [0xac, 0x36, 0x17, 0x7f, 0x50, 0x28, 0x3c, 0xd4, 0xb8, 0x38, 0x21, 0xd8, 0xab, 0x26, 0xde, 0x62];

#[derive(Default)]
struct MstRegionMismatch {
    bridges: BTreeMap<Mac, Member>,
    /// What was raised, of which two bridges, and since when they agree.
    open: Vec<(Key, Mac, Mac)>,
    deadlines: Deadlines<(Mac, Mac)>,
}

struct Member {
    region: Region,
    domain: DomainId,
    cited: Cited,
}

impl Detector for MstRegionMismatch {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.packet(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((a, b)) = self.deadlines.pop(cx.now) {
            let regions = self.bridges.get(&a).map(|m| &m.region).zip(self.bridges.get(&b).map(|m| &m.region));
            if regions.is_some_and(|(a, b)| !differ(a, b)) {
                for (key, ..) in self.open.iter().filter(|(_, x, y)| (*x, *y) == (a, b)) {
                    cx.resolve(key.clone(), "both have meant the same by it for a minute");
                }
                self.open.retain(|(_, x, y)| (*x, *y) != (a, b));
            }
        }
    }
}

impl MstRegionMismatch {
    fn packet(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let Some(stp) = frame.layers.stp().filter(|stp| stp.kind() == BpduKind::Mst) else { return };
        let (Some(region), Some(bridge)) = (Region::of(&stp), stp.sender()) else { return };
        let is_known = self.bridges.get(&bridge.mac).is_some_and(|known| known.region == region);
        if is_known || self.bridges.len() >= MOST && !self.bridges.contains_key(&bridge.mac) {
            return;
        }
        let member = Member { region, domain: seen.domain, cited: Cited::of(frame) };
        self.bridges.insert(bridge.mac, member);
        let Some(fresh) = self.bridges.get(&bridge.mac) else { return };
        for (mac, other) in self.bridges.iter().filter(|(mac, _)| **mac != bridge.mac) {
            let pair = ((*mac).min(bridge.mac), (*mac).max(bridge.mac));
            let is_open = self.open.iter().any(|(_, a, b)| (*a, *b) == pair);
            let is_wrong = differ(&fresh.region, &other.region) && cx.world.domains.is_same(fresh.domain, other.domain);
            if is_open {
                self.deadlines.set(pair, cx.now.after(Span::secs(cx.settings.stp.resolve_s)));
            } else if is_wrong {
                let key = Key::new().with("region", &fresh.region.name).with("bridge", pair.0).with("other", pair.1);
                self.open.push((key.clone(), pair.0, pair.1));
                cx.raise(claim(key, (bridge.mac, fresh), (*mac, other), frame.at.vantage));
            }
        }
    }
}

/// One name, and something else that is not the same.
fn differ(a: &Region, b: &Region) -> bool {
    a.name == b.name && (a.revision != b.revision || a.digest != b.digest)
}

fn claim(key: Key, (mac, a): (Mac, &Member), (other, b): (Mac, &Member), at: crate::event::VantageId) -> Claim {
    let name = &a.region.name;
    let what = if a.region.digest != b.region.digest {
        format!("their tables of VLANs differ ({} against {})", digest(&b.region.digest), digest(&a.region.digest))
    } else {
        format!("their revisions differ ({} against {})", b.region.revision, a.region.revision)
    };
    let headline = format!(
        "{other} and {mac} both claim the MST region \"{name}\", but {what}: they are two regions, and VLANs that one maps to an instance of its own are blocked as a whole between them."
    );
    Claim::new(key, Confidence::Risk, Severity::Warning, headline)
        .at(at)
        .number("revision", a.region.revision)
        .number("digest", digest(&a.region.digest))
        .number("other_digest", digest(&b.region.digest))
        .proved_by([b.cited.clone(), a.cited.clone()])
        .filter("mstp.config_name")
        .cause("the table of VLANs was edited on one switch only")
        .step("Compare the region on both, and make them equal", "show spanning-tree mst configuration digest")
}

/// The digest for a person: the one that everybody has before anything is configured is named.
fn digest(bytes: &[u8; 16]) -> String {
    if *bytes == DEFAULT_MAP {
        return "the default table".to_owned();
    }
    bytes.iter().take(4).map(|b| format!("{b:02x}")).collect::<String>() + "…"
}
