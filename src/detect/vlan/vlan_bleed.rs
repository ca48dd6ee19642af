//! VLAN009: the same broadcast of the same station passes in two VLANs at once, so that somebody joins them (IEEE 802.1Q-2018 clause 6: a VLAN
//! is a network of its own). ARP requests and DHCP DISCOVERs are compared, whose content names their sender.

use std::collections::BTreeSet;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Cited, Direction, Frame, Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Fingerprint, Mac, Span, TagStack, Timestamp};
use crate::wire::{DhcpKind, Kind};
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN009",
        name: "vlan-bleed",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("vlan_bleed.md"),
    },
    hears: &[Kind::Arp, Kind::Dhcp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(VlanBleed::default()),
};

/// Broadcasts that must pass in both, and stations that they are from (findings.md, VLAN009).
const ENOUGH: u64 = 3;
const STATIONS: usize = 2;
/// What passes in both passes this close (findings.md, VLAN009).
const APART: Span = Span::millis(50);
/// Without such a pair for that long it is over (findings.md, VLAN009).
const QUIET_FOR: Span = Span::secs(300);
/// Broadcasts under comparison, and pairs of VLANs that are followed.
const MOST: usize = 1_024;
/// Stations that are told apart.
const MOST_STATIONS: usize = 64;
/// Pairs of which both frames are cited.
const CITED: u64 = 2;

struct VlanBleed {
    latest: BoundedMap<(VantageId, Direction, Fingerprint), (Timestamp, TagStack, Cited)>,
    pairs: Followed<PairKey, BTreeSet<Mac>>,
}

/// Two VLANs at one vantage, the smaller first.
type PairKey = (VantageId, TagStack, TagStack);

impl Default for VlanBleed {
    fn default() -> Self {
        Self { latest: BoundedMap::new(MOST), pairs: Followed::new(MOST, ENOUGH, CITED) }
    }
}

impl VlanBleed {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let vantage = frame.at.vantage;
        let Some((station, said)) = said(frame) else { return };
        if cx.world.vantage(vantage).is_none_or(|v| v.place == Place::Cooked) || frame.layers.has_tunnel() {
            return;
        }
        let tags = frame.layers.tags().networks();
        let now = (cx.now, tags, Cited::of(frame));
        let Some((at, other, cited)) = self.latest.insert((vantage, frame.direction, said), now) else { return };
        // Of two stacks of which one is the inner end of the other the longer is the same network further out.
        if cx.now.since(at) > APART || other.is_compatible(&tags) {
            return;
        }
        let key = (vantage, tags.min(other), tags.max(other));
        let first = cited.time;
        let pair = self.pairs.note(&key, first, cx, BTreeSet::new, || [cited, Cited::of(frame)]);
        if pair.what.len() < MOST_STATIONS {
            pair.what.insert(station);
        }
    }

    fn claim(&mut self, key: &PairKey, cx: &mut Context<'_>) {
        let (vantage, one, other) = *key;
        let Some(pair) = self.pairs.get_mut(key).filter(|pair| pair.what.len() >= STATIONS) else { return };
        if cx.world.sightings.link_of(vantage) != vantage {
            return;
        }
        let Some(station) = pair.what.first().copied() else { return };
        let others = match pair.what.len().saturating_sub(1) {
            1 => " and of another station".to_owned(),
            more => format!(" and of {more} more stations"),
        };
        let headline = format!(
            "{}: the same broadcasts of {station}{others} pass in VLAN {one} and in VLAN {other} within {APART}: the two networks are joined.",
            cx.world.interface(vantage)
        );
        let claim = Claim::new(claim_key(key, cx), Confidence::Confirmed, Severity::Error, headline)
            .number("stations", pair.what.len())
            .filter(format!("eth.src == {station} && eth.dst == ff:ff:ff:ff:ff:ff"))
            .cause("a guest bridges two of its interfaces")
            .cause("a VLAN device is a port of the wrong bridge")
            .cause("two switches disagree about the native VLAN of a trunk, which joins the two (STP007)")
            .step("See which bridge holds which VLAN device", "bridge link; ip -d link show type vlan")
            .step(
                "Find the port where the station came in last",
                Command::with("bridge fdb show | grep {}", &[&station]),
            )
            .step("Take the guest's port down that has an interface in either", "ip link set TAP down")
            .step("On switches, compare the native VLAN at both ends of each trunk", "show interfaces trunk");
        cx.raise(pair.prove(claim).at(vantage));
    }
}

impl Detector for VlanBleed {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.pairs.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(due) = self.pairs.due(cx.now, QUIET_FOR) {
            match due {
                Due::Ripe(key) => self.claim(&key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(&key, cx), format!("no such pair for {QUIET_FOR}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.pairs.unsaid() {
            self.claim(&key, cx);
        }
    }
}

/// Who says by broadcast what; a relay or a reflector says the same in its own name.
fn said(frame: &Frame<'_>) -> Option<(Mac, Fingerprint)> {
    let layers = &frame.layers;
    let source = layers.link_src()?;
    layers.link_dst().filter(|dst| *dst == Mac::BROADCAST)?;
    if let Some(arp) = layers.arp() {
        let (own, asked) = (arp.sender_ip().octets(), arp.target_ip().octets());
        let is_own = arp.is_request() && arp.sender_mac() == source && !arp.is_gratuitous() && !arp.is_probe();
        return is_own.then(|| (source, Fingerprint::of(&[&source.0, &own, &asked])));
    }
    let dhcp = layers.dhcp().filter(|dhcp| dhcp.message_type() == Some(DhcpKind::Discover))?;
    let is_own = dhcp.chaddr() == source && dhcp.hops() == 0;
    is_own.then(|| (source, Fingerprint::of(&[&source.0, &dhcp.xid().to_be_bytes()])))
}

fn claim_key((vantage, one, other): &PairKey, cx: &Context<'_>) -> Key {
    Key::new().with("interface", cx.world.interface(*vantage)).with("domain", one).with("other", other)
}
