//! Who hears (findings.md 2.8): of each station its last proof of reception, and the questions that stay unanswered since. Learns on the
//! way which addresses belong to whom. At most `tables.lapses` stations with open questions, `tables.stations` addresses; UDP is no
//! proof here, though an answer over UDP would be one, and nobody but ARP, ND, TCP, echo and DHCP obliges.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::lapse::{Proof, Slate, Stimulus, Unanswered};
use super::{Key, Role, Stations};
use crate::event::{Cited, Frame, VantageId};
use crate::settings::{Liveness, Settings};
use crate::value::{BoundedMap, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Arp, Dhcp, DhcpKind, Kind, Kinds};
use crate::world::{Derived, DomainId, Domains, Revived, Seen};

/// What stations say of hearing that is not TCP: rare, so that it may cost more.
const TELLING: Kinds = Kinds::of(&[Kind::Arp, Kind::Icmp, Kind::Icmpv6, Kind::Dhcp]);
/// How soon after an answer the same question is a sign that the answer was not heard: two that cross are no sign.
const CROSSING: Span = Span::millis(500);
/// The same of DHCP, where a client waits a second or more before it repeats itself.
const DHCP_CROSSING: Span = Span::secs(1);
/// How long after an answer the same ARP question is the same attempt.
const SAME_ATTEMPT: Span = Span::secs(5);
/// How long after an offer a client that asks anew did not hear it: the longest pause of RFC 2131 section 4.1.
const SAME_QUESTION: Span = Span::secs(64);
/// How long a DHCP server may ask for an address before it offers it (dnsmasq: 3 s).
const FREE_CHECK: Span = Span::secs(4);
/// At most one word about a silent station in this time, unless there is news.
const TELL_EVERY: Span = Span::secs(10);

/// Memory of who hears.
pub(super) struct Life {
    settings: Liveness,
    slates: TimedMap<Key, Slate>,
    bound: BoundedMap<(DomainId, IpAddr), Mac>,
    owed: BoundedMap<Key, Owed>,
    /// When a client last asked for an address, by network.
    discovers: BoundedMap<DomainId, Timestamp>,
    /// Bytes to one station in one second, at most so far.
    pub fastest: u32,
    /// Slates that were told as those of mute stations.
    mute: usize,
}

/// Answers that a station was given, by which its next question is judged.
#[derive(Clone, Debug, Default)]
struct Owed {
    arp: Option<(Ipv4Addr, Timestamp, Cited)>,
    dhcp: Option<Granted>,
}

/// A server's word to a client.
#[derive(Clone, Debug)]
struct Granted {
    is_offer: bool,
    address: IpAddr,
    server: IpAddr,
    at: Timestamp,
    /// A renewal before this is none: the client did not hear that it was renewed (half of T1).
    until: Timestamp,
    /// Whether what the client answers the server would be seen, too.
    is_seen: bool,
    cited: Cited,
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

    /// What `seen`, the first sighting of a packet from `src`, says about who hears.
    pub(super) fn note_life(&mut self, seen: &Seen<'_>, src: Mac, domain: DomainId, out: &mut Vec<Derived>) {
        let frame = seen.frame;
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
        if self.life.mute > 0 && self.life.slates.peek(&(src, domain)).is_some_and(Slate::is_told_mute) {
            self.judge((src, domain), frame.order, out);
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
        while let Some(key) = self.life.slates.due(now) {
            let (Some(station), Some(slate)) = (self.table.peek(&key), self.life.slates.get_mut(&key)) else {
                continue;
            };
            slate.remember(station.own_address(), station.meter.as_ref());
            slate.expire(now, patience);
            if let Some(due) = slate.due(patience) {
                self.life.slates.wake(&key, due);
            }
            self.judge(key, now, out);
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
    fn hears(&mut self, frame: &Frame<'_>, key: Key, address: Option<IpAddr>, out: &mut Vec<Derived>) {
        let station = self.table.get_mut(&key);
        let owes = station.is_none_or(|station| {
            station.hears(frame, address);
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

    #[inline(never)]
    fn note_arp(&mut self, frame: &Frame<'_>, arp: &Arp<'_>, domain: DomainId, out: &mut Vec<Derived>) {
        let (sender, own, wanted) = (arp.sender_mac(), arp.sender_ip(), arp.target_ip());
        if sender.is_station() && !own.is_unspecified() {
            self.bind(own.into(), sender, domain);
        }
        let key = (sender, domain);
        if is_answer(arp) {
            self.hears(frame, key, Some(own.into()), out);
            if let Some(asker) = frame.layers.inner_dst().filter(|dst| dst.is_station()) {
                let owed = self.life.owed.entry(&(asker, domain), Owed::default);
                owed.arp = Some((own, frame.order, Cited::beginning(frame)));
            }
            return;
        }
        if !arp.is_request() || arp.is_probe() || arp.is_gratuitous() {
            return;
        }
        let answered = self.life.owed.peek(&key).and_then(|owed| owed.arp.clone()).filter(|(ip, ..)| *ip == wanted);
        if let Some((_, at, cited)) = answered
            && (CROSSING..=SAME_ATTEMPT).contains(&frame.order.since(at))
            && self.table.peek(&key).is_some_and(|s| !s.asks_again)
        {
            self.failed(frame, key, (Stimulus::ArpAnswer, wanted.into()), at, &cited, out);
        }
        let Some(target) = self.life.bound.peek(&(domain, wanted.into())).copied() else { return };
        let checks = self.life.discovers.peek(&domain).is_some_and(|at| frame.order.since(*at) <= FREE_CHECK)
            && self.table.peek(&key).is_some_and(|s| s.has(Role::DhcpServer));
        if target != sender && !checks && self.is_answer_seen(frame, target, domain) {
            self.asked(frame, (target, domain), Stimulus::Arp, own.into(), true);
        }
    }

    #[inline(never)]
    fn note_icmp(&mut self, frame: &Frame<'_>, src: Mac, domain: DomainId, out: &mut Vec<Derived>) {
        let layers = &frame.layers;
        let (Some(ip), Some(dst)) = (layers.inner_ip(), layers.inner_dst()) else { return };
        if let Some(icmp) = layers.icmpv6() {
            if let Some(target) = icmp.advertisement_target() {
                self.bind(target.into(), src, domain);
                // The S flag: it was asked (RFC 4861 section 4.4).
                if icmp.body().first().is_some_and(|flags| flags & 0x40 != 0) {
                    self.hears(frame, (src, domain), Some(ip.src()), out);
                }
            } else if let Some(target) = icmp.solicitation_target()
                && !ip.src().is_unspecified()
            {
                self.bind(ip.src(), src, domain);
                let told = Some(dst).filter(|dst| dst.is_station());
                let mac = told.or_else(|| self.life.bound.peek(&(domain, target.into())).copied());
                if let Some(mac) = mac.filter(|mac| *mac != src && self.is_answer_seen(frame, *mac, domain)) {
                    self.asked(frame, (mac, domain), Stimulus::Neighbour, ip.src(), true);
                }
            }
        }
        let (asks, answers) = match (layers.icmp(), layers.icmpv6()) {
            (Some(icmp), _) => (icmp.is_echo_request(), icmp.is_echo_reply()),
            (_, Some(icmp)) => (icmp.is_echo_request(), icmp.is_echo_reply()),
            _ => return,
        };
        if answers {
            self.hears(frame, (src, domain), Some(ip.src()), out);
        } else if asks && self.owns(dst, ip.dst(), domain) && self.is_answer_seen(frame, dst, domain) {
            let is_owed = self.table.peek(&(dst, domain)).is_some_and(|s| s.has(Role::Echo));
            self.asked(frame, (dst, domain), Stimulus::Echo, ip.src(), is_owed);
        }
    }

    #[inline(never)]
    fn note_dhcp(&mut self, frame: &Frame<'_>, dhcp: &Dhcp<'_>, src: Mac, domain: DomainId, out: &mut Vec<Derived>) {
        let (client, Some(kind)) = (dhcp.chaddr(), dhcp.message_type()) else { return };
        if kind == DhcpKind::Discover {
            self.life.discovers.insert(domain, frame.order);
        }
        if !client.is_station() || !dhcp.giaddr().is_unspecified() {
            return;
        }
        let key = (client, domain);
        let Some(server) = frame.layers.inner_ip().map(|ip| ip.src()) else { return };
        match kind {
            DhcpKind::Offer | DhcpKind::Ack => {
                let yiaddr = IpAddr::from(dhcp.yiaddr());
                if kind == DhcpKind::Offer
                    && let Some(owner) = self.life.bound.peek(&(domain, yiaddr)).copied()
                    && let Some(slate) = self.life.slates.get_mut(&(owner, domain))
                {
                    slate.forgive(server, frame.order.after(Span::nanos(FREE_CHECK.as_nanos().saturating_neg())));
                }
                if kind == DhcpKind::Ack && !dhcp.yiaddr().is_unspecified() {
                    self.bind(yiaddr, client, domain);
                }
                let t1 = dhcp.t1().or_else(|| dhcp.lease().map(|lease| lease / 2)).unwrap_or(0);
                let (at, cited) = (frame.order, Cited::of(frame));
                let until = at.after(Span::secs(i64::from(t1 / 2)));
                let (is_offer, is_seen) = (kind == DhcpKind::Offer, self.is_answer_seen(frame, client, domain));
                let granted = Granted { is_offer, address: yiaddr, server, at, until, is_seen, cited };
                self.life.owed.entry(&key, Owed::default).dhcp = Some(granted);
            }
            DhcpKind::Discover | DhcpKind::Request | DhcpKind::Release | DhcpKind::Decline if src == client => {
                let Some(granted) = self.life.owed.get_mut(&key).and_then(|owed| owed.dhcp.take()) else { return };
                if kind != DhcpKind::Request {
                    // It has no address by now, so that it must not answer for the one it had.
                    self.unbind(granted.address, client, domain);
                }
                let waited = frame.order.since(granted.at);
                let is_unheard = match kind {
                    DhcpKind::Discover => granted.is_offer && waited <= SAME_QUESTION,
                    DhcpKind::Request => {
                        !granted.is_offer && !dhcp.ciaddr().is_unspecified() && frame.order < granted.until
                    }
                    _ => false,
                };
                if granted.is_offer && kind == DhcpKind::Request && dhcp.server_id().is_some() {
                    self.hears(frame, key, None, out);
                } else if is_unheard
                    && waited >= DHCP_CROSSING
                    && (granted.is_seen || self.is_answer_seen(frame, client, domain))
                {
                    let what = (Stimulus::Dhcp, granted.server);
                    self.failed(frame, key, what, granted.at, &granted.cited, out);
                }
            }
            _ => {}
        }
    }

    /// A station was asked something and has its time to answer.
    fn asked(&mut self, frame: &Frame<'_>, key: Key, what: Stimulus, from: IpAddr, is_owed: bool) {
        let Some(station) = self.table.peek_mut(&key) else { return };
        station.may_owe = true;
        let patience = self.life.patience();
        let slate = self.life.slates.entry(&key, Slate::new);
        slate.asked(what, from, frame.order, is_owed, Cited::beginning(frame));
        slate.seen_at(frame.at.vantage);
        if let Some(due) = slate.due(patience) {
            self.life.slates.wake(&key, due);
        }
    }

    /// A station did not answer what it was asked at `since`, as `cited` shows.
    fn failed(
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
        let (Some(station), Some(slate)) = (self.table.peek(&key), self.life.slates.get_mut(&key)) else { return };
        let Some(since) = slate.verdict(&self.life.settings) else { return };
        let is_mute = station.last <= since.after(patience);
        let was_mute = slate.is_told_mute();
        if !slate.tell(now, is_mute, TELL_EVERY) {
            return;
        }
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

    fn bind(&mut self, ip: IpAddr, mac: Mac, domain: DomainId) {
        let Some(before) = self.life.bound.insert((domain, ip), mac).filter(|before| *before != mac) else { return };
        // The address has moved: what its former owner does not answer is no sign any more.
        if self.life.slates.peek(&(before, domain)).is_some_and(|slate| !slate.is_told()) {
            self.life.slates.remove(&(before, domain));
        }
    }

    fn unbind(&mut self, ip: IpAddr, mac: Mac, domain: DomainId) {
        if self.life.bound.peek(&(domain, ip)) == Some(&mac) {
            self.life.bound.remove(&(domain, ip));
        }
        if let Some(station) = self.table.get_mut(&(mac, domain)).filter(|s| s.address == Some(ip)) {
            station.address = None;
        }
    }

    /// Whether `ip` is `mac`'s own address and not one that lies behind it.
    fn owns(&self, mac: Mac, ip: IpAddr, domain: DomainId) -> bool {
        let is_bound = self.life.bound.peek(&(domain, ip)) == Some(&mac);
        is_bound || self.table.peek(&(mac, domain)).is_some_and(|s| s.own_address() == Some(ip))
    }

    /// Whether what `mac` sends from `ip` is its own word: nobody sends on for it. Whoever is behind a router may be anybody.
    pub fn is_own_word(&self, ip: IpAddr, mac: Mac, domain: DomainId, domains: &Domains) -> bool {
        let station = self.station(mac, domain, domains);
        let is_own = station.is_some_and(|s| s.own_address() == Some(ip));
        (is_own || self.owner(ip, domain, domains) == Some(mac)) && station.is_some_and(|s| !s.is_forwarding)
    }

    /// Whether an answer to `asker` would be seen at `vantage`, whoever gives it.
    pub fn shows_answers(&self, vantage: VantageId, asker: Mac) -> bool {
        let Some(sight) = self.sights.of(vantage) else { return false };
        sight.is_on_the_way() || sight.is_only_end(asker) || sight.is_between()
    }

    /// Whether the answer of `mac` to `frame` would pass where the frame was seen.
    fn is_answer_seen(&self, frame: &Frame<'_>, mac: Mac, domain: DomainId) -> bool {
        let Some(sight) = self.sights.of(frame.at.vantage) else { return false };
        let asker = frame.layers.inner_src();
        let passes =
            sight.is_on_the_way() || sight.is_only_end(mac) || asker.is_some_and(|asker| sight.is_only_end(asker));
        passes || (sight.is_between() && self.table.peek(&(mac, domain)).is_some_and(|s| s.proof.is_some()))
    }
}

/// Whether an ARP packet answers a question, and does not speak unasked.
fn is_answer(arp: &Arp<'_>) -> bool {
    arp.is_ethernet_ipv4() && arp.is_reply() && !arp.is_gratuitous() && arp.sender_mac().is_station()
}
