//! Who hears (findings.md 2.8): of each station its last proof of reception, and the questions that stay unanswered since. Learns on the
//! way which addresses belong to whom. At most `tables.lapses` stations with open questions, `tables.stations` addresses; UDP is no
//! proof here, though an answer over UDP would be one, and nobody but ARP, ND, TCP, echo and DHCP obliges.

use std::net::IpAddr;
use std::sync::Arc;

use super::lapse::{Proof, Slate, Stimulus, Unanswered};
use super::questions::{Owed, is_answer};
use super::{Key, Speaker, Stations};
use crate::event::{Cited, Frame, VantageId};
use crate::settings::{Liveness, Settings};
use crate::value::{BoundedMap, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Arp, Kind, Kinds};
use crate::world::{Derived, DomainId, Domains, Revived, Seen, TELL_EVERY};

/// What stations say of hearing that is not TCP: rare, so that it may cost more.
const TELLING: Kinds = Kinds::of(&[Kind::Arp, Kind::Icmp, Kind::Icmpv6, Kind::Dhcp]);

/// Memory of who hears.
pub(super) struct Life {
    settings: Liveness,
    pub slates: TimedMap<Key, Slate>,
    pub bound: BoundedMap<(DomainId, IpAddr), Mac>,
    pub owed: BoundedMap<Key, Owed>,
    /// When a client last asked for an address, by network.
    pub discovers: BoundedMap<DomainId, Timestamp>,
    /// Bytes to one station in one second, at most so far.
    pub fastest: u32,
    /// Slates that were told as those of mute stations.
    mute: usize,
}

impl Life {
    pub fn new(settings: &Settings) -> Self {
        let tables = &settings.tables;
        Self {
            settings: settings.liveness.clone(),
            slates: TimedMap::new(tables.lapses),
            bound: BoundedMap::new(tables.stations),
            owed: BoundedMap::new(tables.lapses),
            discovers: BoundedMap::new(tables.stacks),
            fastest: 0,
            mute: 0,
        }
    }

    pub fn forgotten(&self) -> u64 {
        self.slates.forgotten()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.slates.next_deadline()
    }

    fn patience(&self) -> Span {
        Span::millis(self.settings.patience_ms)
    }
}

impl Stations {
    /// Who has the address `ip` in the network `domain`, by ARP, neighbour discovery or DHCP.
    pub fn owner(&self, ip: IpAddr, domain: DomainId, domains: &Domains) -> Option<Mac> {
        let bound = &self.life.bound;
        bound.peek(&(domains.root(domain), ip)).or_else(|| bound.peek(&(domain, ip))).copied()
    }

    /// What `mac` left unanswered since it last proved that it hears, DHCP left aside: the first question, and how many kinds and askers
    /// there were before `until`.
    pub fn unanswered(
        &self,
        mac: Mac,
        domain: DomainId,
        domains: &Domains,
        until: Timestamp,
    ) -> Option<(Unanswered, usize, usize)> {
        let slates = &self.life.slates;
        slates.peek(&(mac, domains.root(domain))).or_else(|| slates.peek(&(mac, domain)))?.beside_dhcp(until)
    }

    /// What `seen`, the first sighting of a packet from a station that may have been told as mute, says about who hears.
    pub(super) fn note_life(&mut self, seen: &Seen<'_>, key: Key, may_be_mute: bool, out: &mut Vec<Derived>) {
        let (frame, (src, domain)) = (seen.frame, key);
        if let Some(since) = seen.hearing.waits_since {
            self.note_repeat(frame, domain, since, out);
        }
        if frame.layers.kinds().intersects(TELLING) {
            if let Some(arp) = frame.layers.arp().filter(Arp::is_ethernet_ipv4) {
                self.note_arp(frame, &arp, domain, out);
            } else if let Some(dhcp) = frame.layers.dhcp() {
                self.note_dhcp(frame, &dhcp, src, domain, out);
            } else {
                self.note_icmp(frame, src, domain, out);
            }
        }
        if may_be_mute {
            self.speaks(key, frame.order, out);
        }
    }

    /// A station sent something at `now`: one that was told as mute is none.
    #[inline(never)]
    pub(super) fn speaks(&mut self, key: Key, now: Timestamp, out: &mut Vec<Derived>) {
        if self.life.mute > 0 && self.life.slates.peek(&key).is_some_and(Slate::is_told_mute) {
            self.judge(key, now, out);
        } else if let Some(station) = self.table.peek_mut(&key) {
            station.may_be_mute = false;
        }
    }

    /// Another sighting of a packet: it may be a proof for a station that is known by another name of its network, and it tells how far
    /// a question came.
    pub(super) fn note_sighting(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let layers = &seen.frame.layers;
        if self.life.slates.is_empty() {
            return;
        }
        let (Some(src), root) = (layers.inner_src(), domains.root(seen.domain)) else { return };
        let asked = layers.arp().and_then(|arp| self.life.bound.peek(&(root, arp.target_ip().into())).copied());
        if let Some(dst) = layers.inner_dst().filter(|dst| dst.is_station()).or(asked)
            && let Some(slate) = self.life.slates.get_mut(&(dst, root))
            // Whether answers by ARP come to a port is told by these alone.
            && (layers.arp().is_some() || !slate.is_of_own_questions())
        {
            slate.seen_at(seen.frame.at.vantage);
        }
        if seen.hearing.is_proof || layers.arp().is_some_and(|arp| is_answer(&arp)) {
            for domain in [root, seen.domain] {
                self.clear((src, domain), Proof { time: seen.frame.order, at: seen.frame.at }, out);
            }
        }
    }

    pub(super) fn expire_life(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        let patience = self.life.patience();
        let mut says = false;
        while let Some(key) = self.life.slates.rouse(now, |key, slate| {
            let Some(station) = self.table.peek(key) else { return Timestamp::MAX };
            slate.remember(station.own_address(), station.meter.as_ref());
            slate.expire(now, patience);
            says = slate.verdict(&self.life.settings).is_some();
            slate.due(patience)
        }) {
            if std::mem::take(&mut says) {
                self.judge(key, now, out);
            }
        }
    }

    /// Tells once more of those of whom more questions stayed unanswered since they were told of.
    pub(super) fn conclude_life(&mut self, out: &mut Vec<Derived>) {
        let mut keys: Vec<Key> =
            self.life.slates.by_age().filter(|(_, slate)| slate.is_outgrown()).map(|(key, _)| *key).collect();
        keys.sort();
        for key in keys {
            self.tell(key, out);
        }
    }

    /// The station proved that it hears.
    #[inline(never)]
    pub(super) fn hears(&mut self, frame: &Frame<'_>, key: Key, address: Option<IpAddr>, out: &mut Vec<Derived>) {
        let station = self.table.get_mut(&key);
        let owes = station.is_none_or(|station| {
            let ttl = frame.layers.inner_ip().map(|ip| ip.ttl());
            station.hears(Proof { time: frame.order, at: frame.at }, Speaker { ttl, address });
            std::mem::take(&mut station.may_owe)
        });
        if owes {
            self.clear(key, Proof { time: frame.order, at: frame.at }, out);
        }
    }

    /// Wipes the slate of a station that hears.
    #[inline(never)]
    pub(super) fn clear(&mut self, key: Key, proof: Proof, out: &mut Vec<Derived>) {
        if self.life.slates.is_empty() {
            return;
        }
        let Some(slate) = self.life.slates.remove(&key) else { return };
        if slate.has_ignored_answers()
            && let Some(station) = self.table.get_mut(&key)
        {
            // It heard all along: asking again is its habit (a bond that watches its link by ARP, for one).
            station.asks_again = true;
        }
        if slate.is_told() {
            self.life.mute = self.life.mute.saturating_sub(usize::from(slate.is_told_mute()));
            out.push(Derived::Revived(Revived { mac: key.0, domain: key.1, proof }));
        }
    }

    /// A segment that was sent before is sent again, for want of an acknowledgement since `since`.
    #[inline(never)]
    fn note_repeat(&mut self, frame: &Frame<'_>, domain: DomainId, since: Timestamp, out: &mut Vec<Derived>) {
        let layers = &frame.layers;
        let (Some(dst), Some(ip)) = (layers.inner_dst(), layers.inner_ip()) else { return };
        if !self.owns(dst, ip.dst(), domain) || !self.is_answer_seen(frame, dst, domain) {
            return;
        }
        let key = (dst, domain);
        let station = self.table.peek(&key);
        let heard = station.and_then(|s| s.proof).map_or(Timestamp::MIN, |proof| proof.time);
        if heard >= since {
            // It hears others, or did when this began to wait: the question counts from now.
            self.asked(frame, key, Stimulus::Tcp, ip.src(), true);
            return;
        }
        self.failed(frame, key, (Stimulus::Tcp, ip.src()), since, &Cited::beginning(frame), out);
    }

    /// A station was asked something and has its time to answer.
    pub(super) fn asked(&mut self, frame: &Frame<'_>, key: Key, what: Stimulus, from: IpAddr, is_owed: bool) {
        let Some(station) = self.table.peek_mut(&key) else { return };
        station.may_owe = true;
        let patience = self.life.patience();
        self.life.slates.tend(&key, Slate::new, |slate| {
            slate.asked(what, from, frame.order, is_owed, Cited::beginning(frame));
            slate.seen_at(frame.at.vantage);
            slate.due(patience)
        });
    }

    /// A station did not answer what it was asked at `since`, as `cited` shows.
    pub(super) fn failed(
        &mut self,
        frame: &Frame<'_>,
        key: Key,
        (what, from): (Stimulus, IpAddr),
        since: Timestamp,
        cited: &Cited,
        out: &mut Vec<Derived>,
    ) {
        let Some(station) = self.table.peek_mut(&key) else { return };
        station.may_owe = true;
        let slate = self.life.slates.entry(&key, Slate::new);
        slate.remember(station.own_address(), station.meter.as_ref());
        slate.failed(what, from, since, frame.order, cited);
        slate.seen_at(cited.at.vantage);
        self.judge(key, frame.order, out);
    }

    /// Says what the slate of a station says by now.
    #[inline(never)]
    fn judge(&mut self, key: Key, now: Timestamp, out: &mut Vec<Derived>) {
        let patience = self.life.patience();
        let (Some(station), Some(slate)) = (self.table.peek_mut(&key), self.life.slates.get_mut(&key)) else { return };
        let Some(since) = slate.verdict(&self.life.settings) else { return };
        let is_mute = station.last <= since.after(patience);
        let was_mute = slate.is_told_mute();
        if !slate.tell(now, is_mute, TELL_EVERY) {
            return;
        }
        station.may_be_mute |= is_mute;
        self.life.mute = self.life.mute.saturating_sub(usize::from(was_mute)).saturating_add(usize::from(is_mute));
        self.tell(key, out);
    }

    /// Tells what the slate of a station says.
    fn tell(&self, key: Key, out: &mut Vec<Derived>) {
        let (Some(station), Some(slate)) = (self.table.peek(&key), self.life.slates.peek(&key)) else { return };
        let Some(since) = slate.verdict(&self.life.settings) else { return };
        let mut lapse = slate.lapse(key.0, key.1, since, station.proof, self.life.fastest);
        lapse.sent = station.last;
        out.push(Derived::Lapsed(Arc::new(lapse)));
    }

    pub(super) fn bind(&mut self, ip: IpAddr, mac: Mac, domain: DomainId) {
        let Some(before) = self.life.bound.insert((domain, ip), mac).filter(|before| *before != mac) else { return };
        // The address has moved: what its former owner does not answer is no sign any more.
        if self.life.slates.peek(&(before, domain)).is_some_and(|slate| !slate.is_told()) {
            self.life.slates.remove(&(before, domain));
        }
    }

    pub(super) fn unbind(&mut self, ip: IpAddr, mac: Mac, domain: DomainId) {
        if self.life.bound.peek(&(domain, ip)) == Some(&mac) {
            self.life.bound.remove(&(domain, ip));
        }
        if let Some(station) = self.table.get_mut(&(mac, domain)).filter(|s| s.address == Some(ip)) {
            station.address = None;
        }
    }

    /// Whether `ip` is `mac`'s own address and not one that lies behind it.
    pub(super) fn owns(&self, mac: Mac, ip: IpAddr, domain: DomainId) -> bool {
        let is_bound = self.life.bound.peek(&(domain, ip)) == Some(&mac);
        is_bound || self.table.peek(&(mac, domain)).is_some_and(|s| s.own_address() == Some(ip))
    }

    /// Whether what `mac` sends from `ip` is its own word: nobody sends on for it. Whoever is behind a router may be anybody.
    pub fn is_own_word(&self, ip: IpAddr, mac: Mac, domain: DomainId, domains: &Domains) -> bool {
        let station = self.station(mac, domain, domains);
        let is_own = station.is_some_and(|s| s.own_address() == Some(ip));
        (is_own || self.owner(ip, domain, domains) == Some(mac)) && station.is_some_and(|s| !s.is_forwarding)
    }

    /// Whether the answer to `asker` would be seen at `vantage`: of `owner`, or of anybody where nobody is known to owe it.
    pub fn shows_answers(&self, vantage: VantageId, asker: Mac, owner: Option<Mac>) -> bool {
        let Some(sight) = self.sights.of(vantage) else { return false };
        sight.is_on_the_way() || sight.is_between() || sight.is_port_of_either(asker, owner.unwrap_or(asker))
    }

    /// Whether the answer of `mac` to `frame` would pass where the frame was seen.
    pub(super) fn is_answer_seen(&self, frame: &Frame<'_>, mac: Mac, domain: DomainId) -> bool {
        let Some(sight) = self.sights.of(frame.at.vantage) else { return false };
        let asker = frame.layers.inner_src();
        let passes = sight.is_on_the_way() || asker.is_some_and(|asker| sight.is_port_of_either(mac, asker));
        passes || (sight.is_between() && self.table.peek(&(mac, domain)).is_some_and(|s| s.proof.is_some()))
    }
}
