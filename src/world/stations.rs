//! Who was seen: for each address in each network when it last sent, in which roles, whether it hears, what was sent to it, and whether
//! answers to it would be seen here. At most `tables.stations` addresses, the one silent for longest goes first.

mod lapse;
mod life;
mod load;
mod questions;
mod sights;
#[cfg(test)]
mod tests;

pub use lapse::{Lapse, Proof, Stimulus, Unanswered};
pub use load::Load;

use std::net::{IpAddr, Ipv4Addr};

use life::Life;
use load::Meter;
use sights::{Sight, Sights};

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{FrameRef, Vantage, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Spot, Timestamp};
use crate::wire::{Ip, Kind, Kinds, Plain};

/// Times to live with which systems send: what has another has passed a router.
const FIRST_HOPS: [u8; 5] = [1, 32, 64, 128, 255];
/// What tells the part that a station plays.
const TELLING: Kinds = Kinds::of(&[Kind::Arp, Kind::Lldp, Kind::Lacp, Kind::Dhcp, Kind::Icmp, Kind::Icmpv6]);

/// A frame as every station's is noted: of the innermost link header.
pub(super) struct Sent {
    pub src: Mac,
    /// The station that it is for, if it is for one alone.
    pub to: Option<Mac>,
    /// The network that stands for all that are the same.
    pub domain: DomainId,
    pub at: FrameRef,
    pub time: Timestamp,
    pub wire_len: u32,
}

/// As whom a station proves that it hears.
#[derive(Clone, Copy)]
pub(super) struct Speaker {
    /// With how many hops left, in a packet of IP.
    pub ttl: Option<u8>,
    /// From which address of layer 3.
    pub address: Option<IpAddr>,
}

/// A station: its address, and the network that stands for all that are the same.
type Key = (Mac, DomainId);

/// All stations.
pub struct Stations {
    table: BoundedMap<Key, Station>,
    life: Life,
    sights: Sights,
}

/// What is known of one address in one network. In this order in memory: what every frame from it or to it touches stands first.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Station {
    /// When it sent last.
    pub last: Timestamp,
    meter: Option<Meter>,
    /// Whether, after it had sent, a frame to it alone was seen: what goes to it passes here.
    pub is_addressed: bool,
    /// Whether it sends on what others sent: packets whose time to live is no first one.
    pub is_forwarding: bool,
    /// Whether it proved with several addresses of layer 3: a router, or a host of many.
    is_shared: bool,
    /// Whether it asks again by ARP although it was answered and hears.
    asks_again: bool,
    /// Whether questions to it may wait: of whom none do nothing is looked up at each proof that it hears.
    may_owe: bool,
    /// Whether it may have been told as mute: of others nothing is looked up when they speak.
    may_be_mute: bool,
    roles: u8,
    /// When it last proved that it hears.
    pub proof: Option<Proof>,
    /// Its address of layer 3, by what it proved with last.
    address: Option<IpAddr>,
    /// When it sent ARP from an address of its own last: it had one then, and not one that it made up (169.254.0.0/16).
    pub had_address: Option<Timestamp>,
    /// When it sent first.
    pub first: Timestamp,
}

/// A part that a station was seen to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends from the DHCP client port.
    DhcpClient = 1,
    /// Sends from the DHCP server port.
    DhcpServer = 2,
    /// Sends ARP.
    Arp = 4,
    /// Sends LLDP or LACP: a switch, or a host that speaks to one.
    Infrastructure = 8,
    /// Answers echo requests.
    Echo = 32,
}

impl Stations {
    /// Nobody yet.
    pub fn new(settings: &Settings) -> Self {
        Self { table: BoundedMap::new(settings.tables.stations), life: Life::new(settings), sights: Sights::default() }
    }

    /// A vantage is there from now on.
    pub fn add_vantage(&mut self, id: VantageId, vantage: &Vantage) {
        if let Some(sight) = self.sights.entry(id) {
            sight.is_at(vantage.place, vantage.is_placed);
        }
    }

    /// Nobody listened for a while: who is there must be seen anew. What vantages show is known.
    pub(super) fn begin_anew(&mut self, settings: &Settings) {
        let sights = std::mem::take(&mut self.sights);
        *self = Self { sights, ..Self::new(settings) };
    }

    /// What is known of `mac` in the network `domain`.
    pub fn station(&self, mac: Mac, domain: DomainId, domains: &Domains) -> Option<&Station> {
        self.table.peek(&(mac, domains.root(domain))).or_else(|| self.table.peek(&(mac, domain)))
    }

    /// Whether the traffic of others passes `vantage`, both ways, by what kind of place it is. What a file is called tells that of the link, and
    /// not of the capture, which may be a mirror of one direction: until frames of both were in it, it proves nothing by what it does not show.
    pub fn is_on_the_way(&self, vantage: VantageId) -> bool {
        self.sights.of(vantage).is_some_and(Sight::is_on_the_way)
    }

    /// Whether stations that have nobody in common converse at `vantage`.
    pub fn is_between(&self, vantage: VantageId) -> bool {
        self.sights.of(vantage).is_some_and(Sight::is_between)
    }

    /// Whether unicast frames of stations that have nobody in common were seen at `vantage`, even if nobody answered them.
    pub fn has_strangers(&self, vantage: VantageId) -> bool {
        self.sights.of(vantage).is_some_and(Sight::has_strangers)
    }

    /// Whether one station is an end of all unicast frames at `vantage`, and it is not `mac`: somebody else's port.
    pub fn is_port_of_another(&self, vantage: VantageId, mac: Mac) -> bool {
        self.sights.of(vantage).is_some_and(|sight| sight.is_port_of_another(mac))
    }

    /// Whether `mac` is an end of all unicast frames at `vantage`.
    pub fn is_only_end(&self, vantage: VantageId, mac: Mac) -> bool {
        self.sights.of(vantage).is_some_and(|sight| sight.is_only_end(mac))
    }

    /// Whether `mac` sent all that was seen at `vantage`: its own machine, cut off from the rest.
    pub fn is_only_sender(&self, vantage: VantageId, mac: Mac) -> bool {
        self.sights.of(vantage).is_some_and(|sight| sight.is_only_sender(mac))
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let (frame, layers) = (seen.frame, &seen.frame.layers);
        let Some(src) = layers.inner_src().filter(|src| src.is_station()) else { return };
        let to = layers.inner_dst().filter(|dst| dst.is_station());
        let (at, time, domain) = (frame.at, frame.order, domains.root(seen.domain));
        let sent = Sent { src, to, domain, at, time, wire_len: frame.wire_len };
        let telling = Some(seen).filter(|_| layers.kinds().intersects(TELLING));
        let proves = seen.hearing.is_proof.then(|| Speaker::of(layers.inner_ip()));
        if let Some(may_be_mute) = self.sends(&sent, [Spot::NOWHERE; 2], proves, telling, out) {
            self.note_life(seen, (src, domain), may_be_mute, out);
        }
    }

    /// Notes what every frame tells: that its sender sent and its receiver was sent to; that the sender hears, if it `proves` that; and the part that it
    /// plays, where `telling` tells. Whether it may have been told as mute; `None` where nothing is known of the vantage.
    #[inline(always)]
    fn sends(
        &mut self,
        sent: &Sent,
        [near_src, near_dst]: [Spot; 2],
        proves: Option<Speaker>,
        telling: Option<&Seen<'_>>,
        out: &mut Vec<Derived>,
    ) -> Option<bool> {
        let &Sent { src, to, domain, at, time, wire_len } = sent;
        let sight = self.sights.entry(at.vantage)?;
        sight.note(src, to);
        let station = self.table.entry_near(near_src, &(src, domain), || Station::new(time));
        station.last = station.last.max(time);
        let may_be_mute = station.may_be_mute;
        let proof = Proof { time, at };
        let mut owed = false;
        if let Some(with) = proves {
            station.hears(proof, with);
            owed = std::mem::take(&mut station.may_owe);
        }
        if let Some(seen) = telling {
            station.plays(seen);
        }
        if let Some(dst) = to
            && let Some(target) = self.table.get_near(near_dst, &(dst, domain))
        {
            target.is_addressed = true;
            let meter = target.meter.get_or_insert_with(|| Meter::new(at.vantage, time));
            self.life.fastest = self.life.fastest.max(meter.add(at.vantage, time, wire_len));
        }
        if owed {
            self.clear((src, domain), proof, out);
        }
        Some(may_be_mute)
    }

    /// Where the station `mac` of the network `domain` lies, if it is known.
    pub(super) fn spot(&self, mac: Mac, domain: DomainId) -> Option<Spot> {
        self.table.spot(Spot::NOWHERE, &(mac, domain))
    }

    /// Has the station that lies there brought into the cache.
    #[inline(always)]
    pub(super) fn prefetch(&self, spot: Spot) {
        self.table.prefetch(spot);
    }

    /// Takes in a packet of which nothing more is to be known, between stations that most likely lie `near`; `proves` tells as whom its
    /// sender proves that it hears, if it does.
    #[inline(always)]
    pub(super) fn pass(&mut self, sent: &Sent, near: [Spot; 2], proves: Option<Speaker>, out: &mut Vec<Derived>) {
        if self.sends(sent, near, proves, None, out) == Some(true) {
            self.speaks((sent.src, sent.domain), sent.time, out);
        }
    }
}

impl Tracker for Stations {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Ethernet, Kind::Sll, Kind::Sll2]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        match seen {
            Observation::Packet(seen) => self.note(seen, domains, out),
            Observation::Sighting(seen) => {
                // What comes in is seen first at one vantage, and what goes out at another.
                if let (Some(src), Some(dst)) = (seen.frame.layers.inner_src(), seen.frame.layers.inner_dst())
                    && src.is_station()
                    && dst.is_station()
                    && let Some(sight) = self.sights.entry(seen.frame.at.vantage)
                {
                    sight.note_direction(src, dst);
                }
                self.note_sighting(seen, domains, out);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.life.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        self.expire_life(now, out);
    }

    fn conclude(&mut self, out: &mut Vec<Derived>) {
        self.conclude_life(out);
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten().saturating_add(self.life.forgotten())
    }
}

impl Speaker {
    /// Who sent a plain packet.
    #[inline]
    pub fn plain(plain: &Plain<'_>) -> Self {
        Self { ttl: Some(plain.ttl()), address: Some(Ipv4Addr::from_bits(plain.src()).into()) }
    }

    fn of(ip: Option<Ip<'_>>) -> Self {
        Self { ttl: ip.map(|ip| ip.ttl()), address: ip.map(|ip| ip.src()) }
    }
}

impl Station {
    const fn new(time: Timestamp) -> Self {
        Self {
            first: time,
            last: time,
            is_addressed: false,
            had_address: None,
            proof: None,
            address: None,
            is_shared: false,
            is_forwarding: false,
            asks_again: false,
            may_owe: true,
            may_be_mute: true,
            roles: 0,
            meter: None,
        }
    }

    /// It proves that it hears.
    #[inline(never)]
    fn hears(&mut self, proof: Proof, Speaker { ttl, address }: Speaker) {
        self.proof = Some(proof);
        self.is_forwarding |= ttl.is_some_and(|ttl| !FIRST_HOPS.contains(&ttl));
        if let Some(address) = address.filter(|a| a.is_ipv4()) {
            self.is_shared |= self.address.is_some_and(|known| known != address);
            self.address = Some(address);
        }
    }

    /// What it sends tells its part, and whether it has an address.
    #[inline(never)]
    fn plays(&mut self, seen: &Seen<'_>) {
        self.roles |= roles(seen);
        if let Some(arp) = seen.frame.layers.arp()
            && !(arp.sender_ip().is_unspecified() || arp.sender_ip().is_link_local())
        {
            self.had_address = Some(seen.frame.order);
        }
    }

    /// Its own address of layer 3, where it proved with one only: else it is a router, or a host of many.
    pub fn own_address(&self) -> Option<IpAddr> {
        self.address.filter(|_| !self.is_shared)
    }

    /// Whether it was seen in `role`.
    pub const fn has(&self, role: Role) -> bool {
        self.roles & role as u8 != 0
    }
}

fn roles(seen: &Seen<'_>) -> u8 {
    let layers = &seen.frame.layers;
    if layers.has(Kind::Arp) {
        Role::Arp as u8
    } else if layers.has(Kind::Lldp) || layers.has(Kind::Lacp) {
        Role::Infrastructure as u8
    } else if layers.has(Kind::Dhcp) {
        match layers.udp().map(|udp| udp.src_port()) {
            Some(67) => Role::DhcpServer as u8,
            Some(68) => Role::DhcpClient as u8,
            _ => 0,
        }
    } else if layers.icmp().is_some_and(|icmp| icmp.is_echo_reply())
        || layers.icmpv6().is_some_and(|icmp| icmp.is_echo_reply())
    {
        Role::Echo as u8
    } else {
        0
    }
}
