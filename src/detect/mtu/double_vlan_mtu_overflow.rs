//! MTU001: two tags make packets longer than the link takes; one tag is free, the second is not (IEEE 802.3ac, 802.1Q-2018 annex G).

use std::collections::BTreeMap;

use super::hops::{Fate, Hops};
use super::overflow::{Overflow, configured};
use crate::detect::{Context, Detector, Entry, Mended, Needs, Piles, key_of};
use crate::event::{Direction, Fact, Place, VantageId};
use crate::finding::{Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp, Tpid, Vid};
use crate::wire::Kind;
use crate::world::{Derived, Observation, Passed, Pile, Seen, TooBig, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU001",
        name: "double-vlan-mtu-overflow",
        levels: &[
            (Confidence::Risk, Severity::Warning),
            (Confidence::Likely, Severity::Error),
            (Confidence::Confirmed, Severity::Critical),
        ],
        page: include_str!("double_vlan_mtu_overflow.md"),
    },
    hears: &[Kind::VlanStack],
    follows: &[Topic::PathMtu, Topic::Delivery],
    needs: Needs::Ethernet,
    make: |_| Box::new(DoubleVlanMtuOverflow::default()),
};

/// How long an acknowledgement may take before a packet that is too long counts as one that was not seen to arrive.
const PATIENCE: Span = Span::secs(3);
/// The span that repeats of a lost segment must cover: shorter bursts are ordinary loss.
const STUCK_FOR: Span = Span::secs(3);
/// Packets that must be missing at the next vantage, and none be there.
const GONE: u32 = 3;
/// Bytes of the tags behind the free one, two at most, by which a path that they make too narrow is known.
const TAGS: u32 = 8;
/// Between two counts of the frames of the same VLANs in one tag.
const COUNT_EVERY: Span = Span::secs(1);

#[derive(Default)]
struct DoubleVlanMtuOverflow {
    links: BTreeMap<LinkKey, Overflow>,
    deadlines: Deadlines<LinkKey>,
    piles: Piles,
    hops: Hops<LinkKey>,
}

type LinkKey = (VantageId, (Tpid, Vid), Direction);

impl Detector for DoubleVlanMtuOverflow {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Packet(seen) | Observation::Sighting(seen) => self.frame(seen, cx),
            Observation::Derived(Derived::Delivered(passed)) => self.delivered(passed, cx),
            Observation::Derived(Derived::EchoLost(passed)) => self.echo_lost(passed, cx),
            Observation::Derived(Derived::TooBig(message)) => self.told(message, cx),
            Observation::Host(fact) if matches!(fact.what, Fact::Link(_) | Fact::LinkGone { .. }) => {
                self.configuration(cx)
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let hops = self.hops.next_deadline();
        self.deadlines.next().into_iter().chain(self.piles.next_deadline()).chain(hops).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        self.settle(cx.now, cx);
        while let Some(key) = self.deadlines.pop(cx.now) {
            let is_raised = self.links.get(&key).is_some_and(|overflow| overflow.is_raised);
            if is_raised { self.look_again(key, cx) } else { self.judge(&key, cx) }
        }
        while let Some(mended) = self.piles.mended(cx.now, &cx.world.host) {
            self.put_right(&mended, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.settle(Timestamp::MAX, cx);
        // A moment later it might have been acknowledged, on a link that has more room than is assumed; where the host tells, it has none.
        let is_new = |key: &LinkKey| self.links.get(key).is_some_and(|overflow| !overflow.is_raised);
        let waiting: Vec<LinkKey> = self.deadlines.waiting().map(|(_, key)| *key).filter(is_new).collect();
        for key in waiting {
            match self.links.get(&key) {
                Some(overflow) if mtu(cx, key.0).1 && cx.world.sightings.link_of(key.0) == key.0 => {
                    cx.pending(overflow.waiting(&cx.world.interface(key.0)), overflow.first);
                }
                _ => self.judge(&key, cx),
            }
        }
        while let Some(mended) = self.piles.mended(Timestamp::MAX, &cx.world.host) {
            self.put_right(&mended, cx);
        }
    }
}

impl DoubleVlanMtuOverflow {
    fn frame(&mut self, seen: &Seen<'_>, cx: &mut Context<'_>) {
        let frame = seen.frame;
        let stack = frame.layers.tags();
        let (Some(outer), Some(ip)) = (stack.outer(), frame.layers.ip()) else { return };
        if cx.world.vantage(frame.at.vantage).is_none_or(|v| v.place == Place::Cooked) {
            return;
        }
        let segment = cx.world.flows.segment(frame.at).copied();
        let Some(packet_len) = segment.map_or(Some(ip.packet_len()), |s| s.packet_len) else { return };
        let key = (frame.at.vantage, outer, frame.direction);
        let pair = (frame.at.vantage, ip.src(), ip.dst());
        let is_super = segment.is_some_and(|s| s.is_super);
        if stack.carry(packet_len) <= mtu(cx, frame.at.vantage).0 {
            if let Some(packet) = seen.packet.filter(|_| !is_super) {
                self.hops.fits(pair, packet, packet_len);
            }
            return;
        }
        self.hops.exceeds(key, pair, seen.packet.filter(|_| !is_super), packet_len, cx);
        let overflow = self.links.entry(key).or_insert_with(|| Overflow::new(frame.time, stack));
        overflow.add(frame, packet_len, segment.as_ref());
        if overflow.is_raised && cx.now.since(overflow.last) >= COUNT_EVERY {
            overflow.begin_counting(frame.at.vantage, &cx.world.domains);
        }
        overflow.last = cx.now;
        let is_stuck = segment.is_some_and(|s| {
            s.sends >= cx.settings.mtu.lost_sends
                && cx.now.since(s.first) >= STUCK_FOR
                && s.is_peer_alive
                && s.delivered > 0
                && s.delivered < packet_len
        });
        if is_stuck {
            overflow.delivered = overflow.delivered.max(segment.map_or(0, |s| s.delivered));
            overflow.lose(packet_len);
            self.deadlines.clear(&key);
            self.judge(&key, cx);
        } else if overflow.is_raised {
            self.deadlines.set(key, cx.now.after(Span::secs(cx.settings.vlan.resolve_s)));
        } else if self.deadlines.of(&key).is_none() {
            let settle = cx.world.sightings.settle().max(PATIENCE);
            self.deadlines.set(key, cx.now.after(settle));
        }
    }

    fn delivered(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let Some(outer) = passed.tags.outer() else { return };
        let key = (passed.at.vantage, outer, passed.direction);
        let Some(overflow) = self.links.get_mut(&key) else { return };
        overflow.delivered = overflow.delivered.max(passed.packet_len);
        let fits = passed.tags.carry(passed.packet_len) > mtu(cx, passed.at.vantage).0;
        if fits && overflow.finds(passed.packet_len) {
            // It arrived, so that there is room, whatever the MTU was thought to be, and whatever was lost before.
            self.deadlines.clear(&key);
            if overflow.is_raised {
                overflow.is_raised = false;
                let why = format!("a packet of {} bytes in {} tags arrived", passed.packet_len, passed.tags.depth());
                cx.resolve(claim_key(cx, &key), why);
            }
        }
    }

    fn echo_lost(&mut self, passed: &Passed, cx: &mut Context<'_>) {
        let Some(outer) = passed.tags.outer() else { return };
        let key = (passed.at.vantage, outer, passed.direction);
        let is_over = passed.tags.carry(passed.packet_len) > mtu(cx, passed.at.vantage).0;
        let Some(overflow) = self.links.get_mut(&key).filter(|_| is_over) else { return };
        overflow.lost_echoes = overflow.lost_echoes.saturating_add(1);
        if overflow.lost_echoes >= cx.settings.mtu.lost_echoes
            && overflow.delivered > 0
            && overflow.delivered < passed.packet_len
        {
            overflow.lose(passed.packet_len);
            self.deadlines.clear(&key);
            self.judge(&key, cx);
        }
    }

    /// Looks where packets came whose sightings are in at `until`.
    fn settle(&mut self, until: Timestamp, cx: &mut Context<'_>) {
        while let Some((key, fate)) = self.hops.settled(until, cx) {
            let Some(overflow) = self.links.get_mut(&key) else { continue };
            let between = &mut overflow.between;
            let gone = match fate {
                Some(Fate::Gone(gone)) => gone,
                Some(Fate::Passed) => {
                    (between.gone, between.has_passed) = (None, true);
                    continue;
                }
                None => continue,
            };
            let (count, first) = between.gone.unwrap_or((0, gone.time));
            between.gone = Some((count.saturating_add(1), first));
            // That a smaller one came later shows that the capture there had not ended.
            if between.has_passed || count.saturating_add(1) < GONE || gone.small_time <= first {
                continue;
            }
            let name = |id| cx.world.vantage(id).map(|vantage| vantage.name.to_string()).unwrap_or_default();
            between.places = Some((name(gone.seen_at), name(gone.missing_at), gone.sizes.1));
            between.ways = gone.ways(cx).into();
            let was_known = overflow.is_lost;
            overflow.lose(gone.sizes.0);
            if !was_known {
                self.deadlines.clear(&key);
                self.judge(&key, cx);
            }
        }
    }

    /// A router says of a packet that did not fit here that its path takes what two tags or more leave of a link.
    fn told(&mut self, message: &TooBig, cx: &mut Context<'_>) {
        let (quoted, told) = (&message.quoted, message.told);
        let Some(key) = self.hops.key_of((message.vantage, quoted.src, quoted.dst)) else { return };
        let room = mtu(cx, message.vantage).0;
        let Some(overflow) = self.links.get_mut(&key) else { return };
        let is_over = overflow.stack.carry(quoted.packet_len) > room;
        let is_tags = told.mtu < room && told.mtu.saturating_add(TAGS) >= room;
        if is_over && is_tags {
            overflow.told = Some((told.reporter, told.mtu));
            overflow.lose(quoted.packet_len);
            self.deadlines.clear(&key);
            self.judge(&key, cx);
        }
    }

    /// Claims what is known of one link, unless a vantage of higher rank shows the same link.
    fn judge(&mut self, key: &LinkKey, cx: &mut Context<'_>) {
        let (vantage, ..) = *key;
        let Some(overflow) = self.links.get_mut(key) else { return };
        let (room, is_assumed) = mtu(cx, vantage);
        let has_room = overflow.stack.carry(overflow.delivered) > room && !overflow.is_lost;
        // 802.1ad links normally have the room: without loss nothing is said (VLAN007).
        let is_provider = overflow.stack.outer().is_some_and(|(tpid, _)| tpid == Tpid::S);
        if has_room || cx.world.sightings.link_of(vantage) != vantage || (is_provider && !overflow.is_lost) {
            return;
        }
        let interface = cx.world.interface(vantage);
        if !overflow.is_raised {
            overflow.is_raised = true;
            overflow.begin_counting(vantage, &cx.world.domains);
        }
        let claim = overflow.claim(claim_key(cx, key), &interface, (room, is_assumed), cx.world);
        cx.raise(claim.at(vantage));
        self.deadlines.set(*key, overflow.last.after(Span::secs(cx.settings.vlan.resolve_s)));
        if key.2 != Direction::Unknown && self.piles.has(&(interface.clone(), key.1)) {
            cx.absorb(pile_key(&interface, key.1), "such packets were seen");
        }
    }

    /// No packet that does not fit for a while: it is over if the same VLANs ride in one tag now, and the host does not say otherwise.
    fn look_again(&mut self, key: LinkKey, cx: &mut Context<'_>) {
        let patience = Span::secs(cx.settings.vlan.resolve_s);
        let Some(overflow) = self.links.get(&key) else { return };
        let quiet = cx.now.since(overflow.last);
        let single = overflow.single_since(key.0, &cx.world.domains);
        let is_told = self.piles.has(&(cx.world.interface(key.0), key.1));
        if quiet >= patience && single >= cx.settings.vlan.resolve_frames && !is_told {
            let why = format!("no such packet for {patience}, and {single} frames of the same VLANs in one tag");
            cx.resolve(claim_key(cx, &key), why);
            self.links.remove(&key);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years in which nothing can change.
            self.deadlines.set(key, cx.now.after(quiet.max(patience)));
        }
    }

    /// The host's own word: a stacked device whose packets cannot fit, before any was sent; and room that was made.
    fn configuration(&mut self, cx: &mut Context<'_>) {
        for pile in self.piles.follow(cx, Pile::is_tight) {
            // What packets show is told with them.
            if self.raised(&key_of(&pile), cx).is_empty() {
                cx.raise(configured(pile_key(pile.carrier.raw(), pile.outer), &pile, cx.world));
            }
        }
        let raised: Vec<LinkKey> = self.links.iter().filter(|(_, o)| o.is_raised).map(|(key, _)| *key).collect();
        for key in raised {
            let interface = cx.world.interface(key.0);
            let carry = self.links.get(&key).map_or(0, |overflow| overflow.carry);
            let Some(room) = cx.world.host.mtu(&interface).filter(|room| *room >= carry) else { continue };
            if !self.piles.has(&(interface.clone(), key.1)) {
                cx.resolve(claim_key(cx, &key), format!("{interface} takes {room} bytes now"));
                self.forget(&key);
            }
        }
    }

    /// The host's stacked devices are gone for good, or have room: it is over, unless such packets still come from elsewhere.
    fn put_right(&mut self, mended: &Mended, cx: &mut Context<'_>) {
        for key in self.raised(&mended.key, cx) {
            if self.links.get(&key).is_some_and(|overflow| overflow.last <= mended.since) {
                cx.resolve(claim_key(cx, &key), mended.why.clone());
                self.forget(&key);
            }
        }
        if !self.raised(&mended.key, cx).iter().any(|(.., direction)| *direction == Direction::Unknown) {
            cx.resolve(pile_key(&mended.key.0, mended.key.1), mended.why.clone());
        }
    }

    /// The links that were claimed of one carrier and outer tag.
    fn raised(&self, (carrier, outer): &(String, (Tpid, Vid)), cx: &Context<'_>) -> Vec<LinkKey> {
        let is_there = |key: &LinkKey| key.1 == *outer && cx.world.interface(key.0) == *carrier;
        self.links.iter().filter(|(key, overflow)| overflow.is_raised && is_there(key)).map(|(key, _)| *key).collect()
    }

    fn forget(&mut self, key: &LinkKey) {
        self.links.remove(key);
        self.deadlines.clear(key);
    }
}

/// What is said of the host's configuration alone has no direction.
fn pile_key(carrier: &str, (tpid, vid): (Tpid, Vid)) -> Key {
    Key::new().with("interface", carrier).with("outer", format!("{tpid}:{vid}")).with("direction", Direction::Unknown)
}

fn claim_key(cx: &Context<'_>, (vantage, (tpid, vid), direction): &LinkKey) -> Key {
    Key::new()
        .with("interface", cx.world.interface(*vantage))
        .with("outer", format!("{tpid}:{vid}"))
        .with("direction", direction)
}

/// The MTU of the link that a vantage shows, and whether it is assumed.
fn mtu(cx: &Context<'_>, vantage: VantageId) -> (u32, bool) {
    match cx.world.mtu(vantage) {
        Some(told) => (told, false),
        None => (cx.settings.mtu.assumed, true),
    }
}
