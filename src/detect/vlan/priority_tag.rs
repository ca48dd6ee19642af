//! VLAN004: VLAN 0 is no VLAN: the tag carries a priority only (IEEE 802.1Q-2018 clause 6.9), and not every receiver takes it off.

use std::net::Ipv4Addr;

use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Arp, Kind, Layer};
use crate::world::{DomainId, Observation, Seen};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "VLAN004",
        name: "priority-tag",
        levels: &[(Confidence::Risk, Severity::Info), (Confidence::Likely, Severity::Warning)],
        page: include_str!("priority_tag.md"),
    },
    hears: &[Kind::PriorityTag, Kind::Arp],
    follows: &[],
    needs: Needs::Ethernet,
    make: |_| Box::new(PriorityTag { senders: BoundedMap::new(MOST), asked: TimedMap::new(MOST) }),
};

/// Senders and questions that are followed.
const MOST: usize = 1_024;
/// Questions in a priority tag that must stay without an answer.
const UNANSWERED: u64 = 3;
/// How long an ARP answer may take (findings.md 2.8).
const PATIENCE: Span = Span::secs(1);
/// EtherTypes whose senders mean the priority: PROFINET, FCoE and its initialisation.
const ON_PURPOSE: &[u16] = &[0x8892, 0x8906, 0x8914];

struct PriorityTag {
    senders: BoundedMap<Mac, Sender>,
    asked: TimedMap<(Mac, Ipv4Addr), bool>,
}

#[derive(Clone)]
struct Sender {
    domain: DomainId,
    pcp: u8,
    first: Timestamp,
    frames: u64,
    unanswered: u64,
    answered_untagged: u64,
    is_answered: bool,
    is_known: bool,
}

impl Detector for PriorityTag {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Packet(seen) = seen {
            self.frame(seen, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.asked.next_deadline()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((key, was_tagged)) = self.asked.pop(cx.now) {
            if let (true, Some(sender)) = (was_tagged, self.senders.get_mut(&key.0)) {
                sender.unanswered = sender.unanswered.saturating_add(1);
            }
            self.judge(key.0, None, cx);
        }
    }
}

impl PriorityTag {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        // Nearly everywhere nobody sets a priority tag, and what is asked without one means nothing.
        if self.senders.is_empty() && !frame.layers.has(Kind::PriorityTag) {
            return;
        }
        let Some(mac) = frame.layers.link_src() else { return };
        let arp = frame.layers.arp().filter(Arp::is_ethernet_ipv4);
        let pcp = frame.layers.iter().find_map(|layer| match layer {
            Layer::Vlan(vlan) if vlan.tag().vid.number() == 0 => Some(vlan.tag().pcp),
            _ => None,
        });
        let on_purpose =
            frame.layers.iter().any(|layer| matches!(layer, Layer::Vlan(vlan) if ON_PURPOSE.contains(&vlan.next())));
        if let (Some(pcp), false) = (pcp, on_purpose) {
            let fresh = || Sender {
                domain: seen.domain,
                pcp,
                first: frame.time,
                frames: 0,
                unanswered: 0,
                answered_untagged: 0,
                is_answered: false,
                is_known: false,
            };
            let sender = self.senders.entry(&mac, fresh);
            sender.frames = sender.frames.saturating_add(1);
            if sender.frames <= UNANSWERED {
                self.judge(mac, Some(Cited::of(frame)), cx);
            }
        }
        let Some(arp) = arp else { return };
        if arp.is_request() && self.senders.peek(&mac).is_some() {
            let key = (mac, arp.target_ip());
            // Asked again in the same way: the question before it was in vain, however soon this one came.
            let in_vain = self.asked.insert(key, pcp.is_some()).is_some_and(|was_tagged| was_tagged && pcp.is_some());
            if let (true, Some(sender)) = (in_vain, self.senders.get_mut(&mac)) {
                sender.unanswered = sender.unanswered.saturating_add(1);
            }
            self.asked.wake(&key, cx.now.after(PATIENCE));
        } else if arp.is_reply() {
            self.answered((arp.target_mac(), arp.sender_ip()), cx);
        }
    }

    fn answered(&mut self, key: (Mac, Ipv4Addr), cx: &mut Context<'_>) {
        let Some(was_tagged) = self.asked.remove(&key) else { return };
        let Some(sender) = self.senders.get_mut(&key.0) else { return };
        if was_tagged {
            sender.is_answered = true;
        } else {
            sender.answered_untagged = sender.answered_untagged.saturating_add(1);
        }
        self.judge(key.0, None, cx);
    }

    fn judge(&mut self, mac: Mac, cited: Option<Cited>, cx: &mut Context<'_>) {
        let Some(sender) = self.senders.get_mut(&mac) else { return };
        let is_ignored = sender.unanswered >= UNANSWERED && sender.answered_untagged > 0 && !sender.is_answered;
        if cited.is_none() && !is_ignored && sender.is_known {
            return;
        }
        sender.is_known = true;
        let pcp = sender.pcp;
        let (confidence, severity, what) = if is_ignored {
            let what = format!(
                "{} of them are not answered while those without a tag are: receivers do not take the tag off",
                sender.unanswered
            );
            (Confidence::Likely, Severity::Warning, what)
        } else {
            (Confidence::Risk, Severity::Info, "receivers that do not take it off ignore them".to_owned())
        };
        let headline = format!(
            "Frames from {mac} carry a priority tag (VLAN 0, priority {pcp}) since {}; {what}.",
            sender.first.clock()
        );
        let key = Key::new().with("domain", cx.world.domains.name(sender.domain)).with("mac", mac).with("pcp", pcp);
        let claim = Claim::new(key, confidence, severity, headline)
            .seen(sender.first, sender.frames)
            .number("pcp", u16::from(pcp))
            .number("unanswered", sender.unanswered)
            .proved_by(cited)
            .filter(format!("vlan.id == 0 && eth.src == {mac}"))
            .cause("data centre bridging on the sender's card")
            .cause("a hypervisor's card or a switch port that marks priority (dot1p)")
            .step("Let the receiver know VLAN 0", "modprobe 8021q")
            .step("Or switch the marking off on the sender", "");
        cx.raise(claim);
    }
}
