//! Who is asked for by ARP and does not answer (RFC 826): by address, who asks, how often, since when, and who had it. At most
//! `tables.stations` addresses and `tables.lapses` of them wanted; probes, announcements and a DHCP server's look for a free address ask
//! nobody. IPv6 neighbours are not followed here.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, TELL_EVERY, Tracker};
use crate::event::{Cited, Frame, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Few, Mac, Span, TimedMap, Timestamp};
use crate::wire::{Arp, Dhcp, DhcpKind, Kind, Kinds};

/// How long an answer may take (Linux `retrans_time`).
const PATIENCE: Span = Span::secs(1);
/// Requests of one asker this close are one attempt: it had no answer in between.
const REPEATED: Span = Span::secs(5);
/// Requests of one asker closer than this are copies of one, by a mirror or on the way through a host; also the shortest pause of a kernel.
const COPIED: Span = Span::millis(200);
/// Requests that nobody was told of and that end this long before the next are another attempt: a kernel makes three in as many seconds.
const PAUSE: Span = Span::secs(30);
/// How long after a DISCOVER a server may look whether an address is free (dnsmasq: 3 s before every dynamic offer).
const FREE_CHECK: Span = Span::secs(4);
/// How long an address that was offered and not taken is a matter of DHCP: the longest pause of a client (RFC 2131 section 4.1).
const OFFERED: Span = Span::secs(64);
/// DISCOVERs of a network that are remembered: a server looks for an address for each of those who asked at once.
const MOST_ASKED: usize = 8;
/// Askers that are told apart of one address; further ones are not counted.
const MOST_ASKERS: usize = 16;
/// Frames that are cited of one address: the first, and the latest in the last place.
const MOST_CITED: usize = 5;
/// Addresses that nobody was ever seen to have, and that one station asks for, past which it looks through a network, or forwards for
/// somebody who does.
const SWEEP: usize = 3;

/// All addresses that ARP spoke of.
pub struct Addresses {
    table: BoundedMap<Place, Owner>,
    wanted: TimedMap<Place, Run>,
    /// When clients asked for an address lately, by network.
    discovers: BoundedMap<DomainId, Few<Timestamp>>,
    sweeps: BoundedMap<(DomainId, Mac), Vec<Ipv4Addr>>,
}

type Place = (DomainId, Ipv4Addr);

/// Who has an address.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    /// Who spoke for it last, and when.
    spoke: Option<(Mac, Timestamp)>,
    /// Whether DHCP calls it the way out (option 3).
    is_router: bool,
    /// When DHCP offered it last: whoever was offered it need not have taken it.
    offered: Option<Timestamp>,
}

/// An address that is asked for in vain; told again when there is more to tell.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The address.
    pub ip: Ipv4Addr,
    /// In which network.
    pub domain: DomainId,
    /// Who had it, and when that was last seen by ARP.
    pub owner: Option<(Mac, Timestamp)>,
    /// Whether DHCP calls it the way out.
    pub is_router: bool,
    /// The first request that stayed unanswered.
    pub since: Timestamp,
    /// By when the latest was known to be.
    pub until: Timestamp,
    /// Who asks.
    pub askers: Few<Asker>,
    /// The requests: the first ones and the latest.
    pub cited: Few<Cited>,
}

/// One station that asks in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub mac: Mac,
    /// By the address that it asks from.
    pub ip: Ipv4Addr,
    /// How often.
    pub count: u64,
    /// Where it was seen to ask.
    pub vantage: VantageId,
    /// Whether it asked again at once, as one does who had no answer.
    pub is_repeated: bool,
    /// Whether it looks through a whole network, so that an address nobody has says nothing.
    pub is_sweeping: bool,
    last: Timestamp,
}

/// Requests since the last answer.
struct Run {
    wanted: Wanted,
    /// The latest request.
    last: Timestamp,
    /// When it was told of last, how many askers, and how many requests.
    told: Option<(Timestamp, usize, u64)>,
}

impl Addresses {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let tables = &settings.tables;
        Self {
            table: BoundedMap::new(tables.stations),
            wanted: TimedMap::new(tables.lapses),
            discovers: BoundedMap::new(tables.stacks),
            sweeps: BoundedMap::new(tables.lapses),
        }
    }

    /// Whether DHCP called `ip` the way out of the network `domain`.
    pub fn is_router(&self, ip: Ipv4Addr, domain: DomainId) -> bool {
        self.table.peek(&(domain, ip)).is_some_and(|owner| owner.is_router)
    }

    fn note_arp(&mut self, seen: &Seen<'_>, arp: &Arp<'_>, domain: DomainId, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let (sender, own, asked) = (arp.sender_mac(), arp.sender_ip(), arp.target_ip());
        if !sender.is_station() {
            return;
        }
        if !own.is_unspecified() {
            self.table.entry(&(domain, own), Owner::default).spoke = Some((sender, frame.order));
            if !seen.is_at_member || self.is_asked_at((domain, own), frame.at.vantage) {
                self.answered((domain, own), sender, frame.order, out);
            }
        }
        if !arp.is_request() || arp.is_probe() || arp.is_gratuitous() || asked.is_unspecified() {
            return;
        }
        let owner = self.table.peek(&(domain, asked)).copied().unwrap_or_default();
        let is_sweeping = owner.spoke.is_none() && self.sweeps((domain, sender), asked);
        // After a pause it is another attempt: what was asked before it may have been answered out of sight.
        let fresh = || Run::new(asked, domain, owner, frame.order);
        self.wanted.tend(&(domain, asked), fresh, |run| {
            if run.told.is_none() && frame.order.since(run.last) > PAUSE {
                *run = fresh();
            }
            run.ask(frame, sender, own, is_sweeping);
            frame.order.after(PATIENCE)
        });
    }

    /// Notes that `asker` asks for an address that nobody was seen to have; whether it asks for many such.
    fn sweeps(&mut self, asker: (DomainId, Mac), ip: Ipv4Addr) -> bool {
        let asked = self.sweeps.entry(&asker, Vec::new);
        if asked.len() <= SWEEP && !asked.contains(&ip) {
            asked.push(ip);
        }
        asked.len() > SWEEP
    }

    /// Whether somebody asked for `place` there, where only the question was seen; what a bond throws away at its member answers nobody.
    fn is_asked_at(&self, place: Place, vantage: VantageId) -> bool {
        self.wanted.peek(&place).is_some_and(|run| run.wanted.askers.iter().any(|asker| asker.vantage == vantage))
    }

    /// `ip` is there.
    fn answered(&mut self, place: Place, mac: Mac, at: Timestamp, out: &mut Vec<Derived>) {
        if self.wanted.is_empty() {
            return;
        }
        let Some(run) = self.wanted.remove(&place) else { return };
        if run.told.is_some() {
            out.push(Derived::Found { domain: place.0, ip: place.1, mac, at });
        }
    }

    fn note_dhcp(&mut self, dhcp: &Dhcp<'_>, domain: DomainId, at: Timestamp) {
        match dhcp.message_type() {
            Some(DhcpKind::Discover) => {
                let asked = self.discovers.entry(&domain, Few::new);
                if asked.len() >= MOST_ASKED {
                    asked.remove(0);
                }
                asked.push(at);
            }
            // Who takes an offer tells all what it was.
            Some(DhcpKind::Request) if dhcp.server_id().is_some() => {
                dhcp.requested().into_iter().for_each(|address| self.offered((domain, address), at));
            }
            Some(DhcpKind::Offer | DhcpKind::Ack) => {
                self.offered((domain, dhcp.yiaddr()), at);
                for router in dhcp.routers() {
                    self.table.entry(&(domain, router), Owner::default).is_router = true;
                }
            }
            Some(DhcpKind::Release) => {
                // It was given back: nobody has it, and nobody owes an answer for it.
                if let Some(owner) = self.table.get_mut(&(domain, dhcp.ciaddr())) {
                    owner.spoke = None;
                }
            }
            _ => {}
        }
    }

    /// What the server asked before it offered was meant to stay unanswered.
    fn offered(&mut self, place: Place, at: Timestamp) {
        self.table.entry(&place, Owner::default).offered = Some(at);
        if self.wanted.peek(&place).is_some_and(|run| run.told.is_none()) {
            self.wanted.remove(&place);
        }
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let domain = domains.root(seen.domain);
        if let Some(arp) = seen.frame.layers.arp().filter(Arp::is_ethernet_ipv4) {
            self.note_arp(seen, &arp, domain, out);
        } else if let Some(dhcp) = seen.frame.layers.dhcp() {
            self.note_dhcp(&dhcp, domain, seen.frame.order);
        }
    }
}

impl Tracker for Addresses {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Arp, Kind::Dhcp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        match seen {
            Observation::Packet(seen) => self.note(seen, domains, out),
            // Networks are found to be one by packets that pass twice: what was asked in either is answered in both.
            Observation::Sighting(seen) if !seen.is_at_member => {
                let frame = seen.frame;
                if let Some(arp) = frame.layers.arp().filter(|arp| arp.is_ethernet_ipv4() && !arp.is_probe()) {
                    for domain in [domains.root(seen.domain), seen.domain] {
                        self.answered((domain, arp.sender_ip()), arp.sender_mac(), frame.order, out);
                    }
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.wanted.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        let (table, discovers) = (&self.table, &self.discovers);
        let mut judge = |place: &Place, run: &mut Run| {
            run.wanted.until = now;
            let owner = table.peek(place).copied().unwrap_or_default();
            let is_offered = owner.offered.is_some_and(|at| now.since(at) <= OFFERED);
            if is_offered && owner.spoke.is_none() {
                return Timestamp::MAX;
            }
            // Whoever asks in those seconds only, and alone, was a server whose offer did not pass here.
            let asked = discovers.peek(&place.0);
            if asked.is_some_and(|asked| asked.iter().any(|at| run.is_free_check(*at)))
                && owner.spoke.is_none_or(|(_, at)| at < run.wanted.since)
            {
                return Timestamp::MAX;
            }
            let latest = asked.and_then(|asked| asked.iter().max());
            let checked = latest.map(|at| at.after(FREE_CHECK)).filter(|until| *until > now);
            if let Some(until) = checked.filter(|_| run.told.is_none()) {
                // A server may be looking whether the address is free; by then it has offered it.
                return until;
            }
            if run.tells(now) {
                out.push(Derived::Wanted(Arc::new(run.wanted.clone())));
            }
            Timestamp::MAX
        };
        while self.wanted.rouse(now, &mut judge).is_some() {}
    }

    fn conclude(&mut self, out: &mut Vec<Derived>) {
        let outgrown = self.wanted.by_age().filter(|(_, run)| run.is_outgrown());
        let mut outgrown: Vec<_> = outgrown.map(|(place, run)| (*place, run.wanted.clone())).collect();
        outgrown.sort_by_key(|(place, _)| *place);
        out.extend(outgrown.into_iter().map(|(_, wanted)| Derived::Wanted(Arc::new(wanted))));
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten().saturating_add(self.wanted.forgotten())
    }
}

impl Run {
    fn new(ip: Ipv4Addr, domain: DomainId, owner: Owner, since: Timestamp) -> Self {
        let (askers, cited) = (Few::new(), Few::new());
        let (owner, is_router) = (owner.spoke, owner.is_router);
        Self {
            wanted: Wanted { ip, domain, owner, is_router, since, until: since, askers, cited },
            last: since,
            told: None,
        }
    }

    fn ask(&mut self, frame: &Frame<'_>, mac: Mac, ip: Ipv4Addr, is_sweeping: bool) {
        let at = frame.order;
        self.last = at;
        if self.wanted.cited.len() >= MOST_CITED {
            self.wanted.cited.pop();
        }
        self.wanted.cited.push(Cited::beginning(frame));
        if let Some(asker) = self.wanted.askers.iter_mut().find(|asker| asker.mac == mac) {
            // Copies of one request, before and behind a device, are no repeat.
            let gap = at.since(asker.last);
            asker.is_repeated |= gap <= REPEATED && gap >= COPIED;
            asker.count = asker.count.saturating_add(u64::from(gap >= COPIED));
            asker.is_sweeping |= is_sweeping;
            asker.last = at;
        } else if self.wanted.askers.len() < MOST_ASKERS {
            let vantage = frame.at.vantage;
            self.wanted.askers.push(Asker { mac, ip, count: 1, vantage, is_repeated: false, is_sweeping, last: at });
        }
    }

    /// Whether all requests came from one station within the time that a server takes to look whether an address is free, before it answers a
    /// client that asked at `asked`.
    fn is_free_check(&self, asked: Timestamp) -> bool {
        let askers = &self.wanted.askers;
        let is_soon = |asker: &Asker| self.wanted.since >= asked && asker.last <= asked.after(FREE_CHECK);
        askers.len() == 1 && askers.iter().all(is_soon)
    }

    /// Whether there is more to tell than last time; notes that it was told.
    fn tells(&mut self, now: Timestamp) -> bool {
        let askers = self.wanted.askers.len();
        let is_news = self.told.is_none_or(|(at, told, _)| askers > told || now.since(at) >= TELL_EVERY);
        let is_enough = self.wanted.count() >= 3 && self.wanted.until.since(self.wanted.since) >= Span::secs(2);
        if is_news && is_enough {
            self.told = Some((now, askers, self.wanted.count()));
        }
        is_news && is_enough
    }

    /// Whether more was asked since it was told of.
    fn is_outgrown(&self) -> bool {
        self.told.is_some_and(|(.., told)| self.wanted.count() > told)
    }
}

impl Wanted {
    /// Requests in all.
    pub fn count(&self) -> u64 {
        self.askers.iter().fold(0, |sum, asker| sum.saturating_add(asker.count))
    }
}
