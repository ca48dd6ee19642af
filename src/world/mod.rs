//! Memory that detectors share: who was seen where, in which network, doing what. One tracker a file; no tracker knows another.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod arp;
mod arrivals;
mod attempts;
mod clock;
mod derived;
mod device;
mod dhcp;
mod domain;
mod echo;
mod floods;
mod fragments;
mod host;
mod lacp;
mod link;
mod neighbours;
mod origin;
mod path_mtu;
mod paths;
mod pile;
mod ports;
mod rivals;
mod sightings;
mod stalls;
mod stations;
mod tally;
mod tcp;
mod topology;
mod trees;

pub use arp::{Addresses, Asker, Wanted};
pub use arrivals::{Arrivals, Questions, Silence};
pub use attempts::{Attempt, Attempts, Prefix, Refusal, Unreached};
pub use clock::{Clocks, Jump};
pub use derived::{Derived, Passed, Revived, Topic};
pub use dhcp::{
    AddressUse, Asked, Asking, Checksum, Defect, DhcpStep, DhcpTalks, Lease, Over, Pair, Server, TalkId, Terms, Times,
};
pub use domain::{DomainId, Domains, Traffic};
pub use echo::{Echo, Echoes};
pub use floods::{Burst, Copied, Floods};
pub use fragments::{Fragments, Pieces, Torn};
pub use host::{Host, Stacked};
pub use lacp::{Aggregation, End, is_same_end};
pub use neighbours::{Neighbour, NeighbourKey, Neighbours};
pub use origin::{Origin, Reach};
pub use path_mtu::{PathMtus, StillTooBig, Told, TooBig};
pub use paths::Paths;
pub use pile::Pile;
pub use ports::{Heed, Moved, Overheard, Ports};
pub use rivals::{Conflict, Contested, Rivals};
pub use sightings::{Noted, Sighting, Sightings};
pub use stalls::{Stall, Stalls};
pub use stations::{Lapse, Load, Proof, Role, Station, Stations, Stimulus, Unanswered};
pub use tcp::{Announced, Flows, Freed, Hearing, OneSided, Path, Segment, Storm, Storms, Stuck, Unseen, View};
pub use trees::{Instance, Region, Speaker, Teller, Tree, TreeEvent, TreeKey, TreeStep, Trees, is_sound};

use crate::event::{Direction, Drops, Event, Fact, Frame, Offload, Place, Stamped, Vantage, VantageId};
use crate::finding::{Exchange, KnownNeighbour, KnownTree, Tally};
use crate::settings::{Settings, Stp};
use crate::value::{Fingerprint, Mac, Timestamp};
use crate::wire::Kinds;

/// The largest packet of layer 3 of an ordinary network (IEEE 802.3-2018 clause 3.2.7).
const ORDINARY: u32 = 1_500;

/// A frame with what the world knows of it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The frame.
    pub frame: &'a Frame<'a>,
    /// The network it travels in.
    pub domain: DomainId,
    /// By what its other sightings are found; `None` where there is one vantage only.
    pub packet: Option<Fingerprint>,
    /// What it says about who hears whom, where it is TCP.
    pub hearing: Hearing,
    /// Whether it was seen at a member of a bond that was captured itself: what the bond did not take in, nobody behind it hears.
    pub is_at_member: bool,
    /// Whether its packet was seen first at such a member.
    pub was_at_member: bool,
}

/// What a tracker or a detector hears.
#[derive(Debug)]
pub enum Observation<'a> {
    /// A packet, once, at its first sighting.
    Packet(&'a Seen<'a>),
    /// The same packet at another vantage.
    Sighting(&'a Seen<'a>),
    /// A fact about the host.
    Host(&'a Stamped<Fact>),
    /// A vantage lost frames.
    Lost(&'a Drops),
    /// Something a tracker concluded.
    Derived(&'a Derived),
}

/// One kind of memory.
pub trait Tracker {
    /// The kinds of frames that it must hear; host facts, losses and conclusions it always hears.
    fn hears(&self) -> Kinds;

    /// Takes in what was observed, and says what follows from it.
    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>);

    /// The next moment at which something follows from silence.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The moment has come.
    fn expire(&mut self, _now: Timestamp, _out: &mut Vec<Derived>) {}

    /// The capture ended: what was told already, and of which more was seen since, is told once more.
    fn conclude(&mut self, _out: &mut Vec<Derived>) {}

    /// Entries dropped because the table was full.
    fn forgotten(&self) -> u64 {
        0
    }
}

/// All that is remembered.
pub struct World {
    /// Vantages, in order of their ids.
    vantages: Vec<(VantageId, Vantage)>,
    /// The order of stamps.
    pub clocks: Clocks,
    /// One packet, everywhere it was seen.
    pub sightings: Sightings,
    /// Networks, told apart by their tags.
    pub domains: Domains,
    /// What arrives at each uplink.
    pub arrivals: Arrivals,
    /// What the host says of itself.
    pub host: Host,
    /// Who was seen, in which role.
    pub stations: Stations,
    /// TCP connections.
    pub flows: Flows,
    /// Echo requests that wait.
    pub echoes: Echoes,
    /// Packets in pieces.
    pub fragments: Fragments,
    /// What routers said of the sizes that paths take.
    pub path_mtus: PathMtus,
    /// Who asked for an address, and who answered.
    pub dhcp: DhcpTalks,
    /// Who is asked for by ARP.
    pub addresses: Addresses,
    /// Who speaks for an address that somebody else has.
    pub rivals: Rivals,
    /// Receivers of TCP that take no more.
    pub stalls: Stalls,
    /// Who tries to reach whom in vain.
    pub attempts: Attempts,
    /// Spanning trees.
    pub trees: Trees,
    /// Frames to everybody.
    pub floods: Floods,
    /// Behind which port addresses live.
    pub ports: Ports,
    /// Link aggregation.
    pub aggregation: Aggregation,
    /// Who is at the other end of uplinks.
    pub neighbours: Neighbours,
    tally: tally::Counter,
    stp: Stp,
    /// Vantages that are members of a bond which was captured itself.
    members: Vec<VantageId>,
    /// Nothing follows from silence before this moment: asked at every frame, and seldom sooner than it was.
    due: Timestamp,
}

impl World {
    /// A world that has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        Self {
            vantages: Vec::new(),
            clocks: Clocks::new(settings),
            sightings: Sightings::new(settings),
            domains: Domains::new(settings),
            arrivals: Arrivals::new(settings),
            host: Host::default(),
            stations: Stations::new(settings),
            flows: Flows::new(settings),
            echoes: Echoes::default(),
            fragments: Fragments::default(),
            path_mtus: PathMtus::default(),
            dhcp: DhcpTalks::new(settings),
            addresses: Addresses::new(settings),
            rivals: Rivals::new(settings),
            stalls: Stalls::new(settings),
            attempts: Attempts::new(settings),
            trees: Trees::new(settings),
            floods: Floods::new(),
            ports: Ports::new(),
            aggregation: Aggregation::default(),
            neighbours: Neighbours::default(),
            tally: tally::Counter::default(),
            stp: settings.stp.clone(),
            members: Vec::new(),
            due: Timestamp::MAX,
        }
    }

    /// A vantage is there from now on.
    pub fn add_vantage(&mut self, id: VantageId, vantage: Vantage) {
        self.sightings.add_vantage(id, &vantage);
        self.arrivals.add_vantage(id, &vantage);
        self.stations.add_vantage(id, &vantage);
        self.ports.add_vantage(id, &vantage);
        if matches!(vantage.place, Place::Bond | Place::Nic | Place::Switch | Place::Span | Place::Unknown) {
            self.neighbours.add_uplink(id);
        }
        match self.vantages.binary_search_by_key(&id, |(v, _)| *v) {
            Ok(_) => {}
            Err(at) => self.vantages.insert(at, (id, vantage)),
        }
        self.find_members();
    }

    fn find_members(&mut self) {
        let members = self.vantages.iter().map(|(id, _)| *id).filter(|id| self.is_found_member(*id));
        self.members = members.collect();
    }

    /// The vantage called `id`.
    pub fn vantage(&self, id: VantageId) -> Option<&Vantage> {
        let at = self.vantages.binary_search_by_key(&id, |(v, _)| *v).ok()?;
        self.vantages.get(at).map(|(_, vantage)| vantage)
    }

    /// All vantages, in order of their ids.
    pub fn vantages(&self) -> &[(VantageId, Vantage)] {
        &self.vantages
    }

    /// The name under which findings speak of a vantage: where several vantages show the same link, that of the highest rank.
    pub fn interface(&self, id: VantageId) -> String {
        let id = self.sightings.link_of(id);
        self.vantage(id).map_or_else(|| "?".to_owned(), |v| v.name.to_string())
    }

    /// The bond or card through which the host reaches the network from `id`; `None` where nothing tells.
    pub fn uplink(&self, id: VantageId) -> Option<String> {
        let vantage = self.vantage(id)?;
        if !matches!(vantage.place, Place::Bond | Place::Nic | Place::Vlan | Place::Bridge | Place::Tap) {
            return None;
        }
        if let Some(told) = self.host.uplink(vantage.name.raw()) {
            return Some(told);
        }
        // Without facts: the one bond that was captured, else the one card.
        let one = |place: Place| {
            let mut names = self.vantages.iter().filter(|(_, v)| v.place == place).map(|(_, v)| v.name.raw());
            let first = names.next()?;
            names.all(|name| name == first).then(|| first.to_owned())
        };
        match vantage.place {
            Place::Bond => Some(vantage.name.raw().to_owned()),
            Place::Nic => one(Place::Bond).or_else(|| Some(vantage.name.raw().to_owned())),
            _ => one(Place::Bond).or_else(|| one(Place::Nic)),
        }
    }

    /// Whether `id` is a member of a bond that was captured itself.
    pub fn is_member(&self, id: VantageId) -> bool {
        self.members.contains(&id)
    }

    fn is_found_member(&self, id: VantageId) -> bool {
        let Some(vantage) = self.vantage(id).filter(|v| v.place == Place::Nic) else { return false };
        let uplink = self.uplink(id);
        let is_captured =
            self.vantages.iter().any(|(_, v)| v.place == Place::Bond && Some(v.name.raw()) == uplink.as_deref());
        is_captured && uplink.as_deref() != Some(vantage.name.raw())
    }

    /// Guests on this host: as the host tells, or as many as taps were captured.
    pub fn guests(&self) -> usize {
        let taps: std::collections::BTreeSet<&str> =
            self.vantages.iter().filter(|(_, v)| v.place == Place::Tap).map(|(_, v)| v.name.raw()).collect();
        self.host.guests().max(taps.len())
    }

    /// Whether `first` lies inside this host: what was seen there first goes out.
    fn is_inside(&self, first: VantageId) -> bool {
        let place = self.vantage(first).map(|v| v.place);
        matches!(place, Some(Place::Tap | Place::Guest | Place::Bridge | Place::Vlan))
    }

    /// Who sent the packet that `seen` is a sighting of, as far as its sightings so far and the host tell.
    pub fn origin(
        &self,
        mac: Mac,
        packet: Option<Fingerprint>,
        first: Sighting,
        domain: DomainId,
        settings: &Settings,
    ) -> Origin {
        let journey = packet.map_or(&[][..], |packet| self.sightings.journey(packet));
        let journey = if journey.is_empty() { std::slice::from_ref(&first) } else { journey };
        let station = self.stations.station(mac, domain, &self.domains);
        origin::origin(mac, journey, station, (&self.vantages, &self.host, &settings.stp))
    }

    /// Remembers `event`; what it means comes back as the observation of it, what follows goes to `out`.
    pub fn apply<'e>(&mut self, event: &'e Event<'e>, out: &mut Vec<Derived>) -> Option<Heard<'e>> {
        match event {
            Event::Frame(frame) => {
                self.tally.count(frame);
                self.clocks.note(frame, out);
                let domain = self.domains.note(frame);
                let Noted { packet, before } = self.sightings.note(frame, domain);
                if let Some((_, twin)) = before {
                    self.domains.join(domain, twin);
                }
                let is_first = before.is_none();
                let is_unknown = frame.direction == Direction::Unknown;
                let is_ours = before.is_some_and(|(first, _)| is_unknown && self.is_inside(first));
                let is_doubtful = arrivals::is_doubtful(frame, &self.stp);
                self.arrivals.note(frame, is_ours, is_doubtful, out);
                sooner(&mut self.due, &self.arrivals);
                let is_at_member = self.is_member(frame.at.vantage);
                let was_at_member = before.is_some_and(|(first, _)| self.is_member(first));
                let hearing = Hearing::default();
                let mut seen = Seen { frame, domain, packet, hearing, is_at_member, was_at_member };
                seen.hearing = self.flows.hear(&seen, out);
                sooner(&mut self.due, &self.flows);
                let observation = if is_first { Observation::Packet(&seen) } else { Observation::Sighting(&seen) };
                self.track(&observation, frame.layers.kinds(), out);
                if is_first && self.path_mtus.is_watching(frame.order) {
                    self.watch_size(&seen, out);
                }
                Some(Heard::Frame { seen, is_first })
            }
            Event::Host(fact) => {
                self.host.learn(fact);
                if matches!(fact.what, Fact::Link(_) | Fact::LinkGone { .. }) {
                    self.find_members();
                }
                self.track(&Observation::Host(fact), Kinds::EMPTY, out);
                Some(Heard::Host(fact))
            }
            Event::Lost(drops) => {
                self.track(&Observation::Lost(drops), Kinds::EMPTY, out);
                Some(Heard::Lost(drops))
            }
            Event::Ended { lane, until } => {
                self.arrivals.end(*lane, *until);
                None
            }
        }
    }

    /// Nothing follows from silence before this moment; `MAX` if nothing does at all.
    #[inline]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// The next moment at which something follows from silence: `due` may be earlier, where what was awaited came.
    pub fn next_deadline(&mut self) -> Timestamp {
        self.due = self.trackers().into_iter().filter_map(Tracker::next_deadline).min().unwrap_or(Timestamp::MAX);
        self.due
    }

    /// The moment `now` has come.
    pub fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        for tracker in self.trackers_mut() {
            while tracker.next_deadline().is_some_and(|due| due <= now) {
                tracker.expire(now, out);
            }
        }
    }

    /// The capture ended: what is known by then of what was told goes to `out`.
    pub fn conclude(&mut self, out: &mut Vec<Derived>) {
        for tracker in self.trackers_mut() {
            tracker.conclude(out);
        }
    }

    /// Who is at the other end of links, for the report.
    pub fn known_neighbours(&self) -> Vec<KnownNeighbour> {
        topology::neighbours(self)
    }

    /// Spanning trees over time, for the report.
    pub fn known_trees(&self) -> Vec<KnownTree> {
        topology::trees(self)
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        let dhcp = &self.dhcp;
        let (dhcp_exchanges, dhcp_latency) = (dhcp.exchange_counts(), dhcp.latencies());
        Tally { dhcp_exchanges, dhcp_latency, ..self.tally.total(&self.domains) }
    }

    /// DHCP exchanges that ended since this was asked last.
    pub fn ended_exchanges(&mut self) -> Vec<Exchange> {
        let ended = self.dhcp.ended_exchanges();
        ended.map(|(domain, exchange)| Exchange { domain: self.domains.name(domain), ..exchange }).collect()
    }

    /// The same with those that go on, as the capture ended; in order of their beginning.
    pub fn last_exchanges(&mut self) -> Vec<Exchange> {
        let mut all = self.ended_exchanges();
        let open = self.dhcp.open_exchanges();
        all.extend(open.map(|(domain, exchange)| Exchange { domain: self.domains.name(domain), ..exchange }));
        all.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
        all
    }

    /// Entries forgotten, by table, where any were.
    pub fn forgotten(&self) -> Vec<(&'static str, u64)> {
        let tables = [
            ("stations", self.stations.forgotten()),
            ("clients", self.dhcp.forgotten()),
            ("exchanges", self.dhcp.forgotten_exchanges()),
            ("addresses", self.addresses.forgotten()),
            ("rivals", self.rivals.forgotten()),
            ("stalls", self.stalls.forgotten()),
            ("attempts", self.attempts.forgotten()),
            ("fragments", self.fragments.forgotten()),
            ("echoes", self.echoes.forgotten()),
            ("stacks", self.domains.forgotten()),
            ("trees", self.trees.forgotten()),
            ("ports", self.ports.forgotten()),
            ("neighbours", self.neighbours.forgotten()),
            ("connections", self.flows.forgotten()),
            ("packets", self.sightings.forgotten()),
        ];
        tables.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    /// A packet while a router's word about sizes is fresh. What the kernel hands to the card, or has put together, is no packet: TCP tells the
    /// size of its segments, and of the others only those count that an ordinary wire carries.
    fn watch_size(&mut self, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let (frame, layers) = (seen.frame, &seen.frame.layers);
        let Some(ip) = layers.ip() else { return };
        let is_tunnel = layers.inner_ip().is_some_and(|inner| inner.packet_len() != ip.packet_len());
        let packet_len = match self.flows.segment(frame.at).filter(|_| !is_tunnel) {
            Some(segment) => segment.packet_len,
            None => Some(ip.packet_len()).filter(|len| frame.offload == Offload::None || *len <= ORDINARY),
        };
        if let Some(packet_len) = packet_len {
            self.path_mtus.watch(seen, &ip, packet_len, out);
        }
    }

    fn track(&mut self, observation: &Observation<'_>, kinds: Kinds, out: &mut Vec<Derived>) {
        // Each by its type, not through a table: bulk traffic passes all of them at every frame.
        let (domains, due) = (&self.domains, &mut self.due);
        tell(&mut self.arrivals, observation, kinds, domains, due, out);
        tell(&mut self.stations, observation, kinds, domains, due, out);
        tell(&mut self.flows, observation, kinds, domains, due, out);
        tell(&mut self.echoes, observation, kinds, domains, due, out);
        tell(&mut self.fragments, observation, kinds, domains, due, out);
        tell(&mut self.path_mtus, observation, kinds, domains, due, out);
        tell(&mut self.dhcp, observation, kinds, domains, due, out);
        tell(&mut self.addresses, observation, kinds, domains, due, out);
        tell(&mut self.rivals, observation, kinds, domains, due, out);
        tell(&mut self.stalls, observation, kinds, domains, due, out);
        tell(&mut self.attempts, observation, kinds, domains, due, out);
        tell(&mut self.trees, observation, kinds, domains, due, out);
        tell(&mut self.aggregation, observation, kinds, domains, due, out);
        tell(&mut self.neighbours, observation, kinds, domains, due, out);
        tell(&mut self.floods, observation, kinds, domains, due, out);
        tell(&mut self.ports, observation, kinds, domains, due, out);
    }

    fn trackers(&self) -> [&dyn Tracker; 12] {
        [
            &self.arrivals,
            &self.stations,
            &self.flows,
            &self.echoes,
            &self.fragments,
            &self.path_mtus,
            &self.dhcp,
            &self.trees,
            &self.aggregation,
            &self.neighbours,
            &self.addresses,
            &self.attempts,
        ]
    }

    fn trackers_mut(&mut self) -> [&mut dyn Tracker; 12] {
        [
            &mut self.arrivals,
            &mut self.stations,
            &mut self.flows,
            &mut self.echoes,
            &mut self.fragments,
            &mut self.path_mtus,
            &mut self.dhcp,
            &mut self.trees,
            &mut self.aggregation,
            &mut self.neighbours,
            &mut self.addresses,
            &mut self.attempts,
        ]
    }
}

/// Lets `tracker` take in what was observed, if it must hear it; `kinds` are those of the frame. Its next deadline may move `due` forward.
#[inline]
fn tell(
    tracker: &mut impl Tracker,
    observation: &Observation<'_>,
    kinds: Kinds,
    domains: &Domains,
    due: &mut Timestamp,
    out: &mut Vec<Derived>,
) {
    let is_frame = matches!(observation, Observation::Packet(_) | Observation::Sighting(_));
    if !is_frame || tracker.hears().intersects(kinds) {
        tracker.apply(observation, domains, out);
        sooner(due, tracker);
    }
}

/// What `tracker` waits for may come before all that is awaited so far.
#[inline]
fn sooner(due: &mut Timestamp, tracker: &impl Tracker) {
    if let Some(next) = tracker.next_deadline() {
        *due = (*due).min(next);
    }
}

/// What the engine hands on after the world has taken an event in.
#[derive(Debug)]
pub enum Heard<'e> {
    /// A frame, and whether it is the first sighting of its packet.
    Frame {
        /// The frame with what the world knows of it.
        seen: Seen<'e>,
        /// Whether nobody saw the packet before.
        is_first: bool,
    },
    /// A fact about the host.
    Host(&'e Stamped<Fact>),
    /// A loss.
    Lost(&'e Drops),
}
