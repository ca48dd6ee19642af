//! MTU002: packets arrive at a device that are longer than it takes: the MTU of the sender's link is not the MTU of this one (IEEE 802.3-2018
//! clause 3.2.7; what a Linux bridge will not forward is dropped without a word, `is_skb_forwardable`). Judged where the host tells the MTU.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Mac, Span, TimedMap, Timestamp};
use crate::world::{Derived, Echo, Observation, Oversized, Stuck, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU002",
        name: "frame-exceeds-link-mtu",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("frame_exceeds_link_mtu.md"),
    },
    hears: &[],
    follows: &[Topic::Size, Topic::Echo, Topic::Segment],
    needs: Needs::Host,
    make: |settings| Box::new(FrameExceedsLinkMtu::new(settings)),
};

/// How long acknowledgements may take before packets that are too long count as such that were not seen to arrive.
const PATIENCE: Span = Span::secs(3);
/// The span that repeats of a lost segment must cover: shorter bursts are ordinary loss.
const STUCK_FOR: Span = Span::secs(3);
/// Senders that are remembered.
const MOST: usize = 1_024;
/// Pairs of one sender of which the echoes are counted.
const MOST_PAIRS: usize = 64;

/// A sender, and where its packets arrive.
type SenderKey = (VantageId, Mac);

struct FrameExceedsLinkMtu {
    senders: TimedMap<SenderKey, Sender>,
    /// Echo requests that do not go unanswered by chance.
    lost_echoes: u32,
    /// Without such a packet for that long it is over.
    patience: Span,
}

/// What is known of one sender.
struct Sender {
    seen: Option<Arc<Oversized>>,
    echoes: BTreeMap<(IpAddr, IpAddr), Echoes>,
    lost: Option<Lost>,
    is_claimed: bool,
    /// Packets that are too long are known to have come through.
    passes: bool,
    last: Timestamp,
}

/// How packets that are too long are known to be lost: bytes of layer 3 of the shortest, and of the longest that arrived.
#[derive(Clone, Copy)]
enum Lost {
    Echoes(u32, u32),
    Segment(u32, u32),
}

/// Echo requests from one address to another: the longest answered, and those that are too long and were not.
#[derive(Default)]
struct Echoes {
    answered: u32,
    lost: u32,
    shortest_lost: u32,
}

impl FrameExceedsLinkMtu {
    fn new(settings: &Settings) -> Self {
        Self {
            senders: TimedMap::new(MOST),
            lost_echoes: settings.mtu.lost_echoes,
            patience: Span::secs(settings.vlan.resolve_s),
        }
    }

    fn sized(&mut self, seen: &Arc<Oversized>, cx: &mut Context<'_>) {
        let key = (seen.vantage, seen.from);
        let sender = self.senders.entry(&key, || Sender::new(cx.now));
        (sender.seen, sender.last) = (Some(Arc::clone(seen)), cx.now);
        if seen.delivered > seen.mtu {
            self.passed(key, seen.delivered, cx);
        } else if sender.is_claimed {
            self.judge(key, cx);
        } else if self.senders.deadline(&key).is_none() {
            self.senders.wake(&key, cx.now.after(PATIENCE.max(cx.world.sightings.settle())));
        }
    }

    fn echo(&mut self, echo: &Echo, cx: &mut Context<'_>) {
        let Some(mtu) = cx.world.oversizes.mtu(echo.path.vantage) else { return };
        let key = (echo.path.vantage, echo.path.from);
        let sender = self.senders.entry(&key, || Sender::new(cx.now));
        let pair = (echo.path.src, echo.path.dst);
        if sender.echoes.len() >= MOST_PAIRS && !sender.echoes.contains_key(&pair) {
            return;
        }
        let echoes = sender.echoes.entry(pair).or_default();
        match (echo.packet_len > mtu, echo.is_answered) {
            (true, true) => self.passed(key, echo.packet_len, cx),
            (false, true) => echoes.answered = echoes.answered.max(echo.packet_len),
            (false, false) => {}
            (true, false) => {
                echoes.shortest_lost =
                    if echoes.lost == 0 { echo.packet_len } else { echoes.shortest_lost.min(echo.packet_len) };
                echoes.lost = echoes.lost.saturating_add(1);
                if echoes.lost >= self.lost_echoes && echoes.answered > 0 {
                    let is_news = sender.lost.is_none();
                    sender.lost = Some(Lost::Echoes(echoes.shortest_lost, echoes.answered));
                    if is_news {
                        self.judge(key, cx);
                    }
                }
            }
        }
    }

    /// A segment does not arrive, while small ones of its connection do.
    fn stuck(&mut self, stuck: &Stuck, cx: &mut Context<'_>) {
        if stuck.small.is_none() || stuck.is_large_delivered || stuck.last.since(stuck.first) < STUCK_FOR {
            return;
        }
        let is_its = |(key, sender): &(&SenderKey, &Sender)| {
            let is_longer = sender.seen.as_ref().is_some_and(|seen| stuck.packet_len > seen.mtu);
            key.1 == stuck.path.from && is_longer && sender.lost.is_none()
        };
        let keys: Vec<SenderKey> = self.senders.by_age().filter(is_its).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(sender) = self.senders.get_mut(&key) {
                sender.lost = Some(Lost::Segment(stuck.packet_len, stuck.delivered));
                self.judge(key, cx);
            }
        }
    }

    /// A packet of that length came through: there is room, whatever the device's MTU is.
    fn passed(&mut self, key: SenderKey, packet_len: u32, cx: &mut Context<'_>) {
        let Some(sender) = self.senders.get_mut(&key) else { return };
        sender.passes = true;
        if std::mem::take(&mut sender.is_claimed) {
            cx.resolve(claim_key(key, sender, cx), format!("a packet of {packet_len} bytes came through"));
        }
    }

    fn judge(&mut self, key: SenderKey, cx: &mut Context<'_>) {
        let Some(sender) = self.senders.get_mut(&key) else { return };
        let Some(seen) = sender.seen.clone().filter(|_| !sender.passes) else { return };
        // Devices that hand it on see it, too: where it arrives first tells.
        let way = seen.packet.and_then(|packet| cx.world.sightings.in_order(packet)).unwrap_or_default();
        let is_further = way
            .iter()
            .take_while(|s| s.at.vantage != key.0)
            .any(|s| cx.world.oversizes.mtu(s.at.vantage).is_some_and(|mtu| mtu < seen.packet_len));
        if is_further {
            return;
        }
        let is_new = !std::mem::replace(&mut sender.is_claimed, true);
        let cited = seen.cited.iter().filter(|_| is_new).cloned();
        let claim = sender.claim(claim_key(key, sender, cx), &seen, cx).proved_by(cited);
        let claim = if is_new {
            claim.going(seen.packet.map(|packet| cx.world.sightings.way("the latest", packet, &[])))
        } else {
            claim
        };
        cx.raise(claim.at(key.0));
        self.senders.wake(&key, cx.now.after(self.patience));
    }
}

impl Detector for FrameExceedsLinkMtu {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Oversized(seen)) => self.sized(seen, cx),
            Observation::Derived(Derived::Echo(echo)) => self.echo(echo, cx),
            Observation::Derived(Derived::SegmentStuck(stuck)) => self.stuck(stuck, cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.senders.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.senders.due(cx.now) {
            let Some(sender) = self.senders.get_mut(&key) else { continue };
            let over = sender.last.after(self.patience);
            if !sender.is_claimed {
                self.judge(key, cx);
            } else if over > cx.now {
                self.senders.wake(&key, over);
            } else {
                cx.resolve(claim_key(key, sender, cx), format!("no such packet for {}", self.patience));
                self.senders.remove(&key);
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let waiting: Vec<SenderKey> = self
            .senders
            .by_age()
            .filter(|(_, sender)| !sender.is_claimed && !sender.passes)
            .map(|(key, _)| *key)
            .collect();
        waiting.into_iter().for_each(|key| self.judge(key, cx));
    }
}

impl Sender {
    const fn new(now: Timestamp) -> Self {
        Self { seen: None, echoes: BTreeMap::new(), lost: None, is_claimed: false, passes: false, last: now }
    }

    fn claim(&self, key: Key, seen: &Oversized, cx: &Context<'_>) -> Claim {
        let interface = cx.world.vantage(seen.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        let Oversized { from, packet_len, mtu, .. } = *seen;
        let over = packet_len.saturating_sub(mtu);
        let lost = match self.lost {
            Some(Lost::Echoes(lost, answered)) => format!(
                " They are lost: echo requests of {lost} bytes and more stay unanswered, those of up to {answered} are answered."
            ),
            Some(Lost::Segment(lost, delivered)) => format!(
                " They are lost: a segment of {lost} bytes is sent again and again, while packets of up to {delivered} arrive."
            ),
            None => String::new(),
        };
        let (confidence, severity) = if lost.is_empty() {
            (Confidence::Likely, Severity::Warning)
        } else {
            (Confidence::Confirmed, Severity::Error)
        };
        let device = cx.world.device(&interface);
        Claim::new(
            key,
            confidence,
            severity,
            format!("{interface}: packets of {packet_len} bytes come from {from} to a device whose MTU is {mtu}, over by {over}.{lost}"),
        )
        .seen(seen.first, seen.count)
        .until(seen.last)
        .number("packet", packet_len)
        .number("mtu", mtu)
        .number("over", over)
        .filter(format!("eth.src == {from} && (ip.len > {mtu} || ipv6.plen > {})", mtu.saturating_sub(40)))
        .cause("the sender was set to larger packets than the network takes: a guest's interface, or a host with jumbo frames")
        .cause("the device, or the bridge and the other ports beside it, were left out when the network was set to larger packets")
        .step("Compare what the device takes with what the sender does", Command::with("ip link show dev {}", &[&device]))
        .step("Let every device on the way take as much, the bridge's ports too", Command::with("ip link set dev {} mtu {}", &[&device, &packet_len]))
        .step("Or let the sender take less", Command::with("ip link set dev eth0 mtu {}   # on the sender; DHCP option 26 for guests", &[&mtu]))
    }
}

fn claim_key((vantage, from): SenderKey, sender: &Sender, cx: &Context<'_>) -> Key {
    let interface = cx.world.vantage(vantage).map(|v| v.name.to_string()).unwrap_or_default();
    let domain = sender.seen.as_ref().map(|seen| cx.world.domains.name(seen.domain)).unwrap_or_default();
    Key::new().with("interface", interface).with("domain", domain).with("mac", from)
}
