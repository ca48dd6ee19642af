//! MTU009: a connection got past a black hole by cutting its segments smaller (RFC 4821, RFC 8899): it goes on, and hides a broken path.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::world::{Derived, Freed, Observation, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU009",
        name: "mtu-recovered-by-probing",
        levels: &[(Confidence::Confirmed, Severity::Info)],
        page: include_str!("mtu_recovered_by_probing.md"),
    },
    hears: &[],
    follows: &[Topic::Segment],
    needs: Needs::Frames,
    make: |_| Box::new(MtuRecoveredByProbing::default()),
};

/// How long no packet as large as the one that was stuck may arrive: else it was cut for another reason.
const ABSENT_FOR: Span = Span::secs(10);
/// The largest piece, in hundredths of the packet, that is smaller on purpose.
const PIECE: u32 = 80;
/// Connections that are watched; further ones are not judged.
const MOST: usize = 1_024;

#[derive(Default)]
struct MtuRecoveredByProbing {
    freed: BTreeMap<Ends, Arc<Freed>>,
    deadlines: Deadlines<Ends>,
}

/// Sender and receiver, each an address and a port.
type Ends = ((IpAddr, u16), (IpAddr, u16));

impl Detector for MtuRecoveredByProbing {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::SegmentFreed(freed)) = seen else { return };
        let is_cut = |piece: u32| piece.saturating_mul(100) <= freed.packet_len.saturating_mul(PIECE);
        let ends = ((freed.path.src, freed.ports.0), (freed.path.dst, freed.ports.1));
        if freed.pieces.is_some_and(is_cut) && self.freed.len() < MOST && !self.freed.contains_key(&ends) {
            self.freed.insert(ends, Arc::clone(freed));
            self.deadlines.set(ends, cx.now.after(ABSENT_FOR));
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(ends) = self.deadlines.pop(cx.now) {
            let Some(freed) = self.freed.remove(&ends) else { continue };
            let delivered = cx.world.flows.delivered(freed.path.vantage, ends.0, ends.1, cx.now);
            if delivered.is_none_or(|(largest, second)| largest < freed.packet_len || second > ABSENT_FOR) {
                cx.raise(claim(&freed, cx));
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        // The capture ended sooner. A connection that never got a packet of that size through did not cut it for another reason.
        for (ends, freed) in std::mem::take(&mut self.freed) {
            let delivered = cx.world.flows.delivered(freed.path.vantage, ends.0, ends.1, cx.now);
            if delivered.is_none_or(|(largest, _)| largest < freed.packet_len) {
                cx.raise(claim(&freed, cx));
            }
        }
    }
}

fn claim(freed: &Freed, cx: &Context<'_>) -> Claim {
    let (src, dst, (from, to)) = (freed.path.src, freed.path.dst, freed.ports);
    let piece = freed.pieces.unwrap_or(0);
    let took = freed.cited.time.since(freed.first);
    let headline = format!(
        "{src}:{from} → {dst}:{to} got past a black hole after {took} by cutting its packets from {} to {piece} bytes: it goes on, and hides a broken path.",
        freed.packet_len
    );
    let key = Key::new()
        .with("from", format!("{src}:{from}"))
        .with("to", format!("{dst}:{to}"))
        .with("domain", cx.world.domains.name(freed.path.domain));
    let ip = if src.is_ipv4() { "ip" } else { "ipv6" };
    Claim::new(key, Confidence::Confirmed, Severity::Info, headline)
        .at(freed.path.vantage)
        .seen(freed.first, freed.sends.into())
        .number("before", freed.packet_len)
        .number("after", piece)
        .number("seconds", took.as_secs())
        .number("sends", freed.sends)
        .number("mac", freed.path.from.to_string())
        .number("next_hop", freed.path.to.to_string())
        .proved_by([freed.cited.clone()])
        .filter(format!("{ip}.addr == {src} && {ip}.addr == {dst} && tcp.port == {from} && tcp.port == {to}"))
        .cause("a hop on the way takes less than the sender thought, and says nothing (MTU003)")
        .step("Find the hop, and mend its MTU", Command::with("tracepath -n {}", &[&dst]))
}
