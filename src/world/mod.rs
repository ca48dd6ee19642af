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
mod brokers;
mod clock;
mod contents;
mod derived;
mod device;
mod dhcp;
mod dispatch;
mod domain;
mod echo;
mod files;
mod floods;
mod fragments;
mod host;
mod lacp;
mod link;
mod neighbours;
mod order;
mod origin;
mod oversize;
mod path_mtu;
mod paths;
mod pile;
mod ports;
mod prediction;
mod requests;
mod rivals;
mod sightings;
mod stalls;
mod stations;
mod tally;
mod tcp;
mod topology;
mod trees;
mod vantages;

pub use arp::{Addresses, Asker, Wanted};
pub use arrivals::{Arrivals, Questions, Silence};
pub use attempts::{Attempt, Attempts, Prefix, Refusal, Unreached};
pub use brokers::{BrokerEnd, BrokerEvent, BrokerStep, Brokers, Endpoint};
pub use clock::{Clocks, Jump};
pub use contents::{Content, Contents, Transfer};
pub use derived::{Derived, Passed, Revived, Topic};
pub use dhcp::{
    AddressUse, Asked, Asking, Checksum, Defect, DhcpStep, DhcpTalks, Lease, Over, Pair, Server, TalkId, Terms, Times,
};
pub use domain::{DomainId, Domains, Renamed, Traffic};
pub use echo::{Echo, Echoes};
pub use files::{Deed, FileStep, Files};
pub use floods::{Burst, Copied, Floods};
pub use fragments::{Fragments, Pieces, Torn};
pub use host::{Host, Stacked};
pub use lacp::{Aggregation, End, is_same_end};
pub use neighbours::{Neighbour, NeighbourKey, Neighbours};
pub use origin::{Origin, Reach};
pub use oversize::{Oversized, Oversizes};
pub use path_mtu::{PathMtus, StillTooBig, Told, TooBig};
pub use paths::Paths;
pub use pile::Pile;
pub use ports::{Heed, Moved, Overheard, Ports};
pub use requests::{Fate, Request, Requests};
pub use rivals::{Conflict, Contested, Rivals};
pub use sightings::{Noted, Sightings};
pub use stalls::{Stall, Stalls};
pub use stations::{Lapse, Load, Proof, Role, Station, Stations, Stimulus, Unanswered};
pub use tcp::{
    Announced, Flows, Freed, Hearing, OneSided, Path, Progress, Segment, Storm, Storms, Stuck, Unseen, View,
};
pub use trees::{Instance, Region, Speaker, Teller, Tree, TreeEvent, TreeKey, TreeStep, Trees, is_sound};

use dispatch::sooner;

use crate::event::{Direction, Drops, Fact, Frame, Offload, Stamped, Vantage, VantageId};
use crate::finding::{Exchange, KnownNeighbour, KnownTree, Tally};
use crate::settings::{Settings, Stp};
use crate::value::{Fingerprint, Span, Timestamp};
use crate::wire::Kinds;

/// At most one word about a matter that goes on in this time, unless there is news of it.
pub const TELL_EVERY: Span = Span::secs(10);

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
    /// Whether its packet was seen first elsewhere in the same instant.
    pub is_at_once: bool,
}

impl<'a> Seen<'a> {
    /// A frame of which nothing else is known yet.
    #[inline]
    pub fn new(frame: &'a Frame<'a>) -> Self {
        let (domain, packet, hearing) = (DomainId::default(), None, Hearing::default());
        Self { frame, domain, packet, hearing, is_at_member: false, was_at_member: false, is_at_once: false }
    }
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
    /// Who sends devices more than they take.
    pub oversizes: Oversizes,
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
    /// Connections to message brokers.
    pub brokers: Brokers,
    /// Large messages of AMQP.
    pub contents: Contents,
    /// What NFS clients do to base images.
    pub files: Files,
    /// Requests of HTTP.
    pub requests: Requests,
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
    predictions: prediction::Predictions,
    /// Entries forgotten by table until everything began anew last.
    forgotten_before: Vec<(&'static str, u64)>,
    stp: Stp,
    /// Vantages that are members of a bond which was captured itself.
    members: Vec<VantageId>,
    /// Nothing follows from silence before this moment: asked at every frame, and seldom sooner than it was.
    due: Timestamp,
    /// What any tracker hears now that does not hear every frame.
    heard_by_few: Kinds,
}

impl World {
    /// A world that has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        let mut world = Self {
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
            oversizes: Oversizes::default(),
            dhcp: DhcpTalks::new(settings),
            addresses: Addresses::new(settings),
            rivals: Rivals::new(settings),
            stalls: Stalls::new(settings),
            attempts: Attempts::new(settings),
            brokers: Brokers::new(settings),
            contents: Contents::new(settings),
            files: Files::default(),
            requests: Requests::new(settings),
            trees: Trees::new(settings),
            floods: Floods::new(),
            ports: Ports::new(),
            aggregation: Aggregation::default(),
            neighbours: Neighbours::default(),
            tally: tally::Counter::default(),
            predictions: prediction::Predictions::default(),
            forgotten_before: Vec::new(),
            stp: settings.stp.clone(),
            members: Vec::new(),
            due: Timestamp::MAX,
            heard_by_few: Kinds::EMPTY,
        };
        world.listen();
        world
    }

    /// Nobody listened for a while, until `now`: what was awaited then may have come unseen, and whatever measures silence begins anew. Who is
    /// known, how frames travel, and what was counted stays; so does, with `keeps_links`, at which links nothing arrived.
    pub fn begin_anew(&mut self, settings: &Settings, now: Timestamp, keeps_links: bool) {
        let forgotten = self.forgotten();
        self.forgotten_before.clear();
        if !keeps_links {
            self.arrivals.begin_anew();
        }
        self.stations.begin_anew(settings);
        self.flows = Flows::new(settings);
        self.echoes = Echoes::default();
        self.fragments = Fragments::default();
        self.addresses = Addresses::new(settings);
        self.stalls = Stalls::new(settings);
        self.attempts = Attempts::new(settings);
        self.brokers = Brokers::new(settings);
        self.contents = Contents::new(settings);
        self.files = Files::default();
        self.requests = Requests::new(settings);
        self.dhcp.begin_anew(settings, now);
        let own = self.forgotten();
        let of = |table| own.iter().find(|(name, _)| *name == table).map_or(0, |(_, n)| *n);
        self.forgotten_before = forgotten.into_iter().map(|(table, n)| (table, n.saturating_sub(of(table)))).collect();
        self.listen();
        self.next_deadline();
    }

    /// Remembers the frame in `seen`, and adds what is known of it by then; what follows goes to `out`. Whether it is the first sighting of its packet.
    #[inline]
    pub fn see(&mut self, seen: &mut Seen<'_>, out: &mut Vec<Derived>) -> bool {
        let frame = seen.frame;
        self.tally.count(frame);
        self.clocks.note(frame, out);
        seen.domain = self.domains.note(frame);
        let Noted { packet, before, is_at_once } = self.sightings.note(frame, seen.domain);
        (seen.packet, seen.is_at_once) = (packet, is_at_once);
        seen.is_at_member = self.is_member(frame.at.vantage);
        let is_unknown = frame.direction == Direction::Unknown;
        let is_doubtful = arrivals::is_doubtful(frame, &self.stp);
        let mut is_ours = false;
        if let Some((first, twin)) = before {
            self.domains.join(seen.domain, twin);
            is_ours = is_unknown && self.is_inside(first);
            seen.was_at_member = self.is_member(first);
        }
        self.arrivals.note(frame, is_ours, is_doubtful, out);
        sooner(&mut self.due, &self.arrivals);
        seen.hearing = self.flows.hear(seen, out);
        sooner(&mut self.due, &self.flows);
        let is_first = before.is_none();
        let observation = if is_first { Observation::Packet(seen) } else { Observation::Sighting(seen) };
        self.track_frame(&observation, frame.layers.kinds(), out);
        if is_first && self.path_mtus.is_watching(frame.order) {
            self.watch_size(seen, out);
        }
        if self.oversizes.may_exceed(frame.wire_len) {
            self.compare_size(seen, out);
        }
        self.predict(seen);
        is_first
    }

    /// Remembers what the host said.
    pub fn learn(&mut self, fact: &Stamped<Fact>, out: &mut Vec<Derived>) {
        if self.host.learn(fact) {
            self.find_members();
            self.sightings.rearrange(&self.host);
            self.oversizes.arrange(&self.vantages, &self.host);
        }
        self.track(&Observation::Host(fact), out);
    }

    /// Remembers that a vantage lost frames.
    pub fn lose(&mut self, drops: &Drops, out: &mut Vec<Derived>) {
        self.track(&Observation::Lost(drops), out);
    }

    /// Remembers that nothing more comes from `lane`, whose capture went on until `until` if that is known.
    pub fn end(&mut self, lane: u16, until: Option<Timestamp>) {
        self.arrivals.end(lane, until);
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
            ("contents", self.contents.forgotten()),
            ("files", self.files.forgotten()),
            ("requests", self.requests.forgotten()),
            ("fragments", self.fragments.forgotten()),
            ("echoes", self.echoes.forgotten()),
            ("stacks", self.domains.forgotten()),
            ("trees", self.trees.forgotten()),
            ("ports", self.ports.forgotten()),
            ("neighbours", self.neighbours.forgotten()),
            ("connections", self.flows.forgotten()),
            ("packets", self.sightings.forgotten()),
        ];
        let before = |table| self.forgotten_before.iter().find(|(name, _)| *name == table).map_or(0, |(_, n)| *n);
        let all = tables.into_iter().map(|(table, n)| (table, n.saturating_add(before(table))));
        all.filter(|(_, n)| *n > 0).collect()
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

    /// A frame that may be longer than the device takes where it was seen.
    #[inline(never)]
    fn compare_size(&mut self, seen: &Seen<'_>, out: &mut Vec<Derived>) {
        let Some(ip) = seen.frame.layers.ip() else { return };
        let segment = self.flows.segment(seen.frame.at).filter(|_| !seen.frame.layers.has_tunnel());
        out.extend(self.oversizes.note(seen, &ip, segment).map(Derived::Oversized));
    }
}
