//! STP012: a BPDU that left through the uplink comes back in: the network has a loop through this node's links (IEEE 802.1D-2004 clause 17.1).

use std::collections::VecDeque;

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::{Cited, Direction, Place, VantageId};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Fingerprint, Span, Timestamp};
use crate::wire::{BridgeId, Kind};
use crate::world::{Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP012",
        name: "bpdu-returned",
        levels: &[(Confidence::Confirmed, Severity::Error)],
        page: include_str!("bpdu_returned.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| {
        Box::new(BpduReturned {
            sent: VecDeque::new(),
            came: VecDeque::new(),
            loops: Followed::new(MOST, ENOUGH, ENOUGH),
        })
    },
};

/// Ports whose BPDUs came back that are followed.
const MOST: usize = 256;
/// BPDUs on their way out that are remembered.
const MOST_SENT: usize = 64;
/// Within this time it is the same frame: the next one comes a hello later at the earliest, which is 1 s.
const WITHIN: Span = Span::millis(900);
/// BPDUs that came back that make it sure.
const ENOUGH: u64 = 2;

struct BpduReturned {
    sent: Passed,
    came: Passed,
    loops: Followed<PortKey, Returned>,
}

/// BPDUs that passed an uplink one way, and may do so the other way.
type Passed = VecDeque<(Fingerprint, Timestamp, Cited)>;

type PortKey = (BridgeId, u16);

struct Returned {
    vantage: VantageId,
    after: Span,
    /// It came from the network, and was led back there.
    is_led_back: bool,
}

impl Detector for BpduReturned {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) | Observation::Sighting(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.loops.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.stp.resolve_s);
        while let Some(due) = self.loops.due(cx.now, patience) {
            match due {
                Due::Ripe(key) => self.claim(key, cx),
                Due::Over(key, _) => cx.resolve(claim_key(key), format!("none has come back for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.loops.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl BpduReturned {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let Some(stp) = frame.layers.stp() else { return };
        let (Some(bridge), Some(port)) = (stp.sender(), stp.port_id()) else { return };
        let vantage = frame.at.vantage;
        let place = cx.world.vantage(vantage).map_or(Place::Unknown, |v| v.place);
        if !matches!(place, Place::Bond | Place::Nic) || frame.layers.overlay().is_some() {
            return;
        }
        let body = frame.bytes.get(..64).unwrap_or(frame.bytes);
        let print = Fingerprint::of(&[body]);
        let is_led_back = match frame.direction {
            Direction::Out => true,
            Direction::In if !hears_floods(vantage, place, cx) => false,
            Direction::In | Direction::Unknown => return,
        };
        let (before, mine) = if is_led_back { (&self.came, &mut self.sent) } else { (&self.sent, &mut self.came) };
        // What a bridge between two cards leads from one to the other is no loop.
        let is_same_uplink = |other: VantageId| cx.world.uplink(other) == cx.world.uplink(vantage);
        let is_it = |(p, at, passed): &&(Fingerprint, Timestamp, Cited)| {
            *p == print && frame.order.since(*at) <= WITHIN && (!is_led_back || is_same_uplink(passed.at.vantage))
        };
        if let Some((_, at, sent)) = before.iter().rev().find(is_it) {
            let after = frame.order.since(*at);
            let cite = || [sent.clone(), Cited::of(frame)];
            self.loops.note(&(bridge, port), frame.time, cx, || Returned { vantage, after, is_led_back }, cite);
            return;
        }
        if mine.len() >= MOST_SENT {
            mine.pop_front();
        }
        mine.push_back((print, frame.order, Cited::beginning(frame)));
    }

    fn claim(&mut self, key: PortKey, cx: &mut Context<'_>) {
        let Some(returned) = self.loops.get_mut(&key) else { return };
        let Returned { vantage, after, is_led_back } = returned.what;
        let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let (bridge, port, n, since) = (key.0, key.1, returned.count, returned.first.clock());
        let headline = if is_led_back {
            format!(
                "BPDUs of {bridge} port {port:#06x} that come in from the network leave through {interface} again {after} later ({n} since {since}): this node leads the switch's own frames back to it, a loop."
            )
        } else {
            format!(
                "BPDUs of {bridge} port {port:#06x} that leave this node come back in on {interface} {after} later ({n} since {since}): the network returns what the node sends, a loop."
            )
        };
        let claim = Claim::new(claim_key(key), Confidence::Confirmed, Severity::Error, headline)
            .at(vantage)
            .number("returned", returned.count)
            .number("interface", interface.as_str())
            .number("after_ms", after.as_secs() * 1_000.0)
            .filter(format!("stp.bridge.hw == {}", key.0.mac));
        let claim = if is_led_back {
            claim
                .cause("a guest bridges two of its network cards")
                .step("Take a guest's port out of the bridge", "ip link set tapX nomaster")
        } else {
            claim
                .cause(
                    "the members are bonded here and not on the switch, which floods to one what it hears on the other",
                )
                .step("Let both sides speak LACP, or bond on neither", "cat /proc/net/bonding/bond0")
        };
        let claim = claim
            .cause("two uplinks are ports of one bridge")
            .step("See which uplinks are ports of one bridge", "bridge link");
        cx.raise(returned.prove(claim));
    }
}

/// Whether what this vantage hears may be a flood that the bond throws away: a member of an active-backup bond, or of one whose mode is not known.
fn hears_floods(vantage: VantageId, place: Place, cx: &Context<'_>) -> bool {
    if place != Place::Nic {
        return false;
    }
    let name = cx.world.vantage(vantage).map(|v| v.name.raw().to_owned()).unwrap_or_default();
    let Some(uplink) = cx.world.uplink(vantage).filter(|uplink| *uplink != name) else { return false };
    let mode = cx.world.host.link(&uplink).and_then(|bond| bond.mode.as_ref());
    mode.is_none_or(|mode| mode.raw() == "active-backup")
}

fn claim_key((bridge, port): PortKey) -> Key {
    Key::new().with("bridge", bridge).with("port", format!("{port:#06x}"))
}
