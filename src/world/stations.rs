//! Who was seen: for each address in each network when it last sent, in which roles, and whether answers to it would be seen here.
//! At most `tables.stations` addresses, the one silent for longest goes first.

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::VantageId;
use crate::settings::Settings;
use crate::value::{BoundedMap, Mac, Timestamp};
use crate::wire::{Kind, Kinds};

/// All stations.
pub struct Stations {
    table: BoundedMap<(Mac, DomainId), Station>,
    ways: Vec<(VantageId, Way)>,
    /// Vantages that show frames from a station and frames to the same station.
    two_way: Vec<VantageId>,
    /// Who sent all that was seen at a vantage; `None` where it was more than one.
    senders: Vec<(VantageId, Option<Mac>)>,
    sender: usize,
    way: usize,
}

/// What is known of one address in one network.
#[derive(Clone, Copy, Debug)]
pub struct Station {
    /// When it sent first.
    pub first: Timestamp,
    /// When it sent last.
    pub last: Timestamp,
    /// Frames it sent.
    pub frames: u64,
    /// Whether, after it had sent, a frame to it alone was seen: what goes to it passes here.
    pub is_addressed: bool,
    roles: u8,
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
    /// Sends ARP for an address of its own: it has one, and not one that it made up (169.254.0.0/16).
    Addressed = 16,
}

/// Whether a vantage lies on the way between others: unicast conversations there have no station in common.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Every unicast frame so far had one of these two at an end.
    Ends(Mac, Mac),
    /// They have nobody in common: the vantage is on the way.
    Between,
}

impl Stations {
    /// Nobody yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            table: BoundedMap::new(settings.tables.stations),
            ways: Vec::new(),
            two_way: Vec::new(),
            senders: Vec::new(),
            sender: 0,
            way: 0,
        }
    }

    /// What is known of `mac` in the network `domain`.
    pub fn station(&self, mac: Mac, domain: DomainId, domains: &Domains) -> Option<&Station> {
        self.table.peek(&(mac, domains.root(domain))).or_else(|| self.table.peek(&(mac, domain)))
    }

    /// Whether unicast traffic between stations that have nobody in common was seen at `vantage`.
    pub fn is_between(&self, vantage: VantageId) -> bool {
        self.ways.iter().any(|(v, way)| *v == vantage && matches!(way, Way::Between))
    }

    /// Whether frames from a station and frames to the same station were seen at `vantage`: it shows both directions.
    pub fn is_two_way(&self, vantage: VantageId) -> bool {
        self.two_way.contains(&vantage)
    }

    /// Whether one station is an end of all unicast conversations at `vantage`, and it is `mac`.
    pub fn is_only_end(&self, vantage: VantageId, mac: Mac) -> bool {
        self.ways.iter().any(|(v, way)| *v == vantage && matches!(way, Way::Ends(a, b) if *a == mac || *b == mac))
    }

    /// Whether `mac` sent all that was seen at `vantage`: its own machine, cut off from the rest.
    pub fn is_only_sender(&self, vantage: VantageId, mac: Mac) -> bool {
        self.senders.contains(&(vantage, Some(mac)))
    }

    fn note_sender(&mut self, vantage: VantageId, src: Mac) {
        if self.senders.get(self.sender).is_none_or(|(v, _)| *v != vantage) {
            self.sender = self.senders.iter().position(|(v, _)| *v == vantage).unwrap_or(self.senders.len());
        }
        match self.senders.get_mut(self.sender) {
            Some((_, only)) if *only != Some(src) => *only = None,
            Some(_) => {}
            None => self.senders.push((vantage, Some(src))),
        }
    }

    fn note_way(&mut self, vantage: VantageId, src: Mac, dst: Mac) {
        if self.ways.get(self.way).is_none_or(|(v, _)| *v != vantage) {
            self.way = self.ways.iter().position(|(v, _)| *v == vantage).unwrap_or(self.ways.len());
        }
        let Some((_, way)) = self.ways.get_mut(self.way) else {
            self.ways.push((vantage, Way::Ends(src, dst)));
            return;
        };
        let Way::Ends(a, b) = *way else { return };
        let is_end = |mac| mac == src || mac == dst;
        *way = match (is_end(a), is_end(b)) {
            (true, true) => *way,
            (true, false) => Way::Ends(a, a),
            (false, true) => Way::Ends(b, b),
            (false, false) => Way::Between,
        };
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains) {
        let layers = &seen.frame.layers;
        let (Some(src), dst) = (layers.inner_src(), layers.inner_dst()) else { return };
        let is_unicast = dst.is_some_and(Mac::is_station) && src.is_station();
        if let (true, Some(dst)) = (is_unicast, dst) {
            self.note_way(seen.frame.at.vantage, src, dst);
        }
        if !src.is_station() {
            return;
        }
        self.note_sender(seen.frame.at.vantage, src);
        let time = seen.frame.order;
        let fresh = || Station { first: time, last: time, frames: 0, is_addressed: false, roles: 0 };
        let domain = domains.root(seen.domain);
        let station = self.table.entry(&(src, domain), fresh);
        station.last = station.last.max(time);
        station.frames = station.frames.saturating_add(1);
        station.roles |= roles(seen);
        if let (true, Some(dst)) = (is_unicast, dst)
            && let Some(target) = self.table.get_mut(&(dst, domain))
        {
            // Entered once a station, so that this costs nothing afterwards.
            if !std::mem::replace(&mut target.is_addressed, true) && !self.two_way.contains(&seen.frame.at.vantage) {
                self.two_way.push(seen.frame.at.vantage);
            }
        }
    }
}

impl Tracker for Stations {
    fn hears(&self) -> Kinds {
        Kinds::of(&[Kind::Ethernet, Kind::Sll, Kind::Sll2])
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, _out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, domains);
        }
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}

impl Station {
    /// Whether it was seen in `role`.
    pub const fn has(&self, role: Role) -> bool {
        self.roles & role as u8 != 0
    }
}

fn roles(seen: &Seen<'_>) -> u8 {
    let layers = &seen.frame.layers;
    if let Some(arp) = layers.arp() {
        let own = arp.sender_ip();
        let is_addressed = !own.is_unspecified() && !own.is_link_local();
        Role::Arp as u8 | if is_addressed { Role::Addressed as u8 } else { 0 }
    } else if layers.has(Kind::Lldp) || layers.has(Kind::Lacp) {
        Role::Infrastructure as u8
    } else if layers.has(Kind::Dhcp) {
        match layers.udp().map(|udp| udp.src_port()) {
            Some(67) => Role::DhcpServer as u8,
            Some(68) => Role::DhcpClient as u8,
            _ => 0,
        }
    } else {
        0
    }
}
