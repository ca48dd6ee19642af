//! STP010: BPDUs that every bridge throws away: too short, too old, or from nobody (IEEE 802.1D-2004 clause 9.3.4).

use crate::detect::{Context, Detector, Due, Entry, Followed, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{Kind, Stp, Why};
use crate::world::{Observation, Seen, is_sound};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "STP010",
        name: "malformed-or-aged-bpdu",
        levels: &[(Confidence::Confirmed, Severity::Info), (Confidence::Confirmed, Severity::Warning)],
        page: include_str!("malformed_or_aged_bpdu.md"),
    },
    hears: &[Kind::Stp],
    follows: &[],
    needs: Needs::Link,
    make: |_| Box::new(MalformedOrAgedBpdu { senders: Followed::new(MOST, 1, CITED) }),
};

/// Senders that are followed.
const MOST: usize = 1_024;
/// Such BPDUs that are a warning.
const MANY: u64 = 10;
/// Frames that are cited.
const CITED: u64 = 3;

struct MalformedOrAgedBpdu {
    senders: Followed<SenderKey, Sender>,
}

type SenderKey = (Mac, &'static str);

struct Sender {
    vantage: VantageId,
    detail: String,
}

impl Detector for MalformedOrAgedBpdu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.packet(seen, cx);
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
                Due::Over(key, _) => cx.resolve(claim_key(key), format!("no such BPDU for {patience}")),
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for key in self.senders.unsaid() {
            self.claim(key, cx);
        }
    }
}

impl MalformedOrAgedBpdu {
    fn packet(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let (Some(stp), Some(mac)) = (frame.layers.stp(), frame.layers.link_src()) else { return };
        let short = frame.layers.stop.filter(|stop| stop.layer == Kind::Stp);
        let Some((reason, detail)) = fault(&stp, short.map(|stop| stop.why)) else { return };
        let key = (mac, reason);
        let sender = self.senders.see(&key, frame, cx, || Sender { vantage: frame.at.vantage, detail });
        if sender.count == MANY {
            self.claim(key, cx);
        }
    }

    fn claim(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let (mac, _) = key;
        let Some(sender) = self.senders.get_mut(&key) else { return };
        let severity = if sender.count >= MANY { Severity::Warning } else { Severity::Info };
        let headline = format!(
            "BPDUs of {mac} {}: every bridge throws them away ({} since {}).",
            sender.what.detail,
            sender.count,
            sender.first.clock()
        );
        let claim = Claim::new(claim_key(key), Confidence::Confirmed, severity, headline)
            .at(sender.what.vantage)
            .number("bpdus", sender.count)
            .filter(format!("stp && eth.src == {mac}"))
            .cause("the network has more bridges in a row than the root's maximum age allows, where they are too old")
            .cause("a fuzzer, or a bridge whose program is faulty")
            .step("See the timers on the root; they are set there and nowhere else", "show spanning-tree root detail");
        cx.raise(sender.prove(claim));
    }
}

/// What is wrong with a BPDU, as a word and in words; a frame that the capture cut is not wrong.
fn fault(stp: &Stp<'_>, stop: Option<Why>) -> Option<(&'static str, String)> {
    if let Some(Why::Short { need, have }) = stop {
        return Some(("short", format!("end after {have} of {need} bytes")));
    }
    if is_sound(stp) {
        return None;
    }
    let (age, most) = (stp.message_age().unwrap_or_default(), stp.max_age().unwrap_or_default());
    if age >= most {
        return Some(("aged", format!("are {age} old, and their own limit is {most}")));
    }
    Some(("nobody", "name no bridge as their sender".to_owned()))
}

fn claim_key((mac, reason): SenderKey) -> Key {
    Key::new().with("mac", mac).with("reason", reason)
}
