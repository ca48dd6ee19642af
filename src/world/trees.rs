//! Spanning trees as their BPDUs tell them: in each network and instance who speaks, whom each believes to be the root and since when, and
//! when the topology changed. At most `tables.trees` trees of 32 speakers each; past that the one silent for longest goes.

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Sighting, VantageId};
use crate::settings::Settings;
use crate::value::{BoundedMap, Fingerprint, Mac, Outside, Span, Timestamp};
use crate::wire::{BpduKind, BridgeId, Kind, Kinds, Stp, StpFamily};

/// Speakers of one tree that are remembered: a segment has a few.
const MOST_SPEAKERS: usize = 32;
/// Roots of one tree that are remembered.
const MOST_ROOTS: usize = 8;
/// Stations that told changes of one tree that are remembered; of more, those that did so last.
const MOST_TELLERS: usize = 8;
/// Signs of a change within this span are one change: every sender shows it within a hello, and a notification is repeated each hello until it is
/// acknowledged (IEEE 802.1D-2004 clause 17.13).
const ONE_CHANGE: Span = Span::secs(5);

/// Which tree of a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Instance {
    /// The common one.
    Cist,
    /// That of one VLAN, as Cisco has it.
    Pvst(u16),
    /// That of one MST instance.
    Msti(u16),
}

/// All trees.
pub struct Trees {
    table: BoundedMap<TreeKey, Tree>,
}

/// A tree by its network and its instance.
pub type TreeKey = (DomainId, Instance);

/// One tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Where it was seen first.
    pub vantage: VantageId,
    /// Who speaks.
    pub speakers: Vec<Speaker>,
    /// Whom the best speakers believed to be the root, in order, and since when.
    pub roots: Vec<(BridgeId, Timestamp)>,
    /// How often the topology changed, as far as it was seen here.
    pub changes: u64,
    /// When a sign of a change was seen last.
    pub changed: Option<Timestamp>,
    /// Who gave signs of changes, the latest last.
    pub tellers: Vec<Teller>,
}

/// A station that told of changes of the topology.
#[derive(Clone, Copy, Debug)]
pub struct Teller {
    /// The source of its frames.
    pub mac: Mac,
    /// Changes that it told of.
    pub changes: u64,
    /// When it did so last.
    pub last: Timestamp,
}

/// One port that sends BPDUs.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The source of its frames.
    pub mac: Mac,
    /// Its bridge.
    pub bridge: BridgeId,
    /// Its port.
    pub port: u16,
    /// Whom it believes to be the root.
    pub root: BridgeId,
    /// Since when.
    pub root_since: Timestamp,
    /// In how many BPDUs.
    pub root_count: u64,
    /// Its cost to the root.
    pub cost: u32,
    /// How often it speaks.
    pub hello: Span,
    /// When what it says grows stale.
    pub max_age: Span,
    /// The protocol version: 0 STP, 2 RSTP, 3 MSTP.
    pub version: u8,
    /// The region of an MST bridge: name, revision, digest of the table of VLANs.
    pub region: Option<Region>,
    /// First BPDU.
    pub first: Timestamp,
    /// Latest BPDU.
    pub last: Timestamp,
    /// BPDUs.
    pub count: u64,
    /// The latest, by which its origin is judged.
    pub sighting: Sighting,
    /// Its packet.
    pub packet: Option<Fingerprint>,
    has_changed: bool,
}

/// An MST region, as a bridge tells it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Region {
    /// Its name.
    pub name: Outside,
    /// Its revision.
    pub revision: u16,
    /// The digest of its table of VLANs.
    pub digest: [u8; 16],
}

impl Region {
    /// The region that a BPDU names.
    pub fn of(stp: &Stp<'_>) -> Option<Self> {
        Some(Self { name: stp.region_name()?, revision: stp.region_revision()?, digest: stp.region_digest()? })
    }
}

/// What happened in a tree.
#[derive(Clone, Debug)]
pub struct TreeStep {
    /// Which tree.
    pub tree: TreeKey,
    /// Who said it.
    pub mac: Mac,
    /// The frame.
    pub frame: Cited,
    /// What.
    pub what: TreeEvent,
}

/// What can happen in a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TreeEvent {
    /// A speaker names a root for the first time, or another than before.
    Claimed {
        /// The bridge that names it.
        bridge: BridgeId,
        /// Whom it named before.
        before: Option<BridgeId>,
        /// Whom it names now.
        root: BridgeId,
    },
    /// The topology changed.
    Changed,
    /// A bridge sent a notification: it has a root port here.
    Notified,
}

impl Trees {
    /// No tree yet.
    pub fn new(settings: &Settings) -> Self {
        Self { table: BoundedMap::new(settings.tables.trees) }
    }

    /// The tree called `key`.
    pub fn tree(&self, key: &TreeKey) -> Option<&Tree> {
        self.table.peek(key)
    }

    /// All trees, the one silent for longest first.
    pub fn all(&self) -> impl Iterator<Item = (&TreeKey, &Tree)> {
        self.table.by_age()
    }

    fn bpdu(&mut self, seen: &Seen<'_>, stp: &Stp<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let (Some(mac), false) = (seen.frame.layers.link_src(), seen.frame.layers.overlay().is_some()) else { return };
        let instance = match (stp.family(), stp.pvst_vlan()) {
            (StpFamily::Ieee, _) => Instance::Cist,
            (StpFamily::Pvst, Some(vlan)) => Instance::Pvst(vlan),
            (StpFamily::Pvst, None) => return,
        };
        let key = self.key(domains.root(seen.domain), instance, domains);
        let heard = Heard { seen, mac, key };
        if stp.kind() == BpduKind::Tcn {
            self.notified(&heard, out);
            return;
        }
        let (Some(root), Some(bridge), Some(port)) = (stp.root(), stp.sender(), stp.port_id()) else { return };
        if !is_sound(stp) {
            // No root is learned from what every bridge throws away.
            return;
        }
        let said = Said { root, bridge, port, cost: stp.root_cost().unwrap_or(0), flags: stp.flags().unwrap_or(0) };
        self.said(&heard, &said, stp, out);
        for msti in stp.instances() {
            let heard = Heard { key: self.key(key.0, Instance::Msti(msti.instance), domains), ..heard };
            let said = Said { root: msti.root, cost: msti.cost, flags: msti.flags, ..said };
            self.said(&heard, &said, stp, out);
        }
    }

    /// The tree's key; where two networks turned out to be one, the trees that were known apart stay where they are.
    fn key(&self, domain: DomainId, instance: Instance, domains: &Domains) -> TreeKey {
        let key = (domain, instance);
        if self.table.peek(&key).is_some() {
            return key;
        }
        let same = |k: &&TreeKey| k.1 == instance && domains.is_same(k.0, domain);
        self.table.by_age().map(|(k, _)| k).find(same).copied().unwrap_or(key)
    }

    fn notified(&mut self, heard: &Heard<'_, '_>, out: &mut Vec<Derived>) {
        let vantage = heard.seen.frame.at.vantage;
        let tree = self.table.entry(&heard.key, || Tree::new(vantage));
        if tree.is_new_change(heard) {
            out.push(heard.step(TreeEvent::Changed));
        }
        out.push(heard.step(TreeEvent::Notified));
    }

    fn said(&mut self, heard: &Heard<'_, '_>, said: &Said, stp: &Stp<'_>, out: &mut Vec<Derived>) {
        let frame = heard.seen.frame;
        let now = frame.order;
        let tree = self.table.entry(&heard.key, || Tree::new(frame.at.vantage));
        let at = tree.speakers.iter().position(|s| s.mac == heard.mac && s.port == said.port);
        let at = at.unwrap_or_else(|| tree.add(Speaker::new(heard, said, stp)));
        let Some(speaker) = tree.speakers.get_mut(at) else { return };
        let before = (speaker.count > 0).then_some(speaker.root);
        if before != Some(said.root) {
            (speaker.root_since, speaker.root_count) = (now, 0);
            let (bridge, root) = (said.bridge, said.root);
            out.push(heard.step(TreeEvent::Claimed { bridge, before, root }));
        }
        let is_rising = said.flags & 1 == 1 && !speaker.has_changed && speaker.count > 0;
        speaker.hear(heard, said, stp);
        if is_rising && tree.is_new_change(heard) {
            out.push(heard.step(TreeEvent::Changed));
        }
        tree.note_root(now);
    }
}

/// A BPDU that was heard.
#[derive(Clone, Copy)]
struct Heard<'a, 'f> {
    seen: &'a Seen<'f>,
    mac: Mac,
    key: TreeKey,
}

/// What it says of one tree.
#[derive(Clone, Copy)]
struct Said {
    root: BridgeId,
    bridge: BridgeId,
    port: u16,
    cost: u32,
    flags: u8,
}

impl Heard<'_, '_> {
    fn step(&self, what: TreeEvent) -> Derived {
        Derived::Tree(Box::new(TreeStep {
            tree: self.key,
            mac: self.mac,
            frame: Cited::beginning(self.seen.frame),
            what,
        }))
    }
}

impl Tree {
    const fn new(vantage: VantageId) -> Self {
        Self { vantage, speakers: Vec::new(), roots: Vec::new(), changes: 0, changed: None, tellers: Vec::new() }
    }

    /// Speakers whose word still holds at `now`: heard within three hellos (IEEE 802.1D-2004 clause 17.17.6), or the age they name themselves.
    pub fn alive(&self, now: Timestamp) -> impl Iterator<Item = &Speaker> {
        self.speakers.iter().filter(move |s| s.is_alive(now))
    }

    /// The place of a new speaker; that of the one silent for longest where there is no other.
    fn add(&mut self, speaker: Speaker) -> usize {
        if self.speakers.len() < MOST_SPEAKERS {
            self.speakers.push(speaker);
            return self.speakers.len().saturating_sub(1);
        }
        let oldest = self.speakers.iter().enumerate().min_by_key(|(_, s)| s.last).map_or(0, |(at, _)| at);
        if let Some(place) = self.speakers.get_mut(oldest) {
            *place = speaker;
        }
        oldest
    }

    fn is_new_change(&mut self, heard: &Heard<'_, '_>) -> bool {
        let now = heard.seen.frame.order;
        let is_new = self.changed.is_none_or(|last| now.since(last) > ONE_CHANGE);
        self.changed = Some(now);
        self.changes = self.changes.saturating_add(u64::from(is_new));
        self.told(heard.mac, now);
        is_new
    }

    fn told(&mut self, mac: Mac, now: Timestamp) {
        let known = self.tellers.iter().position(|teller| teller.mac == mac).map(|at| self.tellers.remove(at));
        if known.is_none() && self.tellers.len() >= MOST_TELLERS {
            self.tellers.remove(0);
        }
        let mut teller = known.unwrap_or(Teller { mac, changes: 0, last: Timestamp::MIN });
        teller.changes = teller.changes.saturating_add(u64::from(now.since(teller.last) > ONE_CHANGE));
        teller.last = now;
        self.tellers.push(teller);
    }

    fn note_root(&mut self, now: Timestamp) {
        let Some(best) = self.alive(now).map(|s| s.root).min() else { return };
        if self.roots.last().is_some_and(|(root, _)| *root == best) {
            return;
        }
        if self.roots.len() >= MOST_ROOTS {
            self.roots.remove(0);
        }
        self.roots.push((best, now));
    }
}

impl Speaker {
    fn new(heard: &Heard<'_, '_>, said: &Said, stp: &Stp<'_>) -> Self {
        let frame = heard.seen.frame;
        Self {
            mac: heard.mac,
            bridge: said.bridge,
            port: said.port,
            root: said.root,
            root_since: frame.order,
            root_count: 0,
            cost: said.cost,
            hello: Span::secs(2),
            max_age: Span::secs(20),
            version: stp.version(),
            region: None,
            first: frame.order,
            last: frame.order,
            count: 0,
            sighting: Sighting::of(frame),
            packet: heard.seen.packet,
            has_changed: false,
        }
    }

    /// Whether its word still holds at `now`.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.since(self.last) <= self.hello.times(3)
    }

    fn hear(&mut self, heard: &Heard<'_, '_>, said: &Said, stp: &Stp<'_>) {
        let frame = heard.seen.frame;
        (self.bridge, self.root, self.cost) = (said.bridge, said.root, said.cost);
        self.root_count = self.root_count.saturating_add(1);
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(frame.order);
        // Within the standard's limits (IEEE 802.1D-2004 table 17-1), whatever a sender says: what waits is timed by them.
        self.hello = stp.hello().unwrap_or(self.hello).clamp(Span::secs(1), Span::secs(10));
        self.max_age = stp.max_age().unwrap_or(self.max_age).clamp(Span::secs(6), Span::secs(40));
        self.version = stp.version();
        self.region = Region::of(stp);
        (self.sighting, self.packet) = (Sighting::of(frame), heard.seen.packet);
        self.has_changed = said.flags & 1 == 1;
    }
}

/// Whether a bridge would take it: not older than its own maximum age, and from a sender that has an address. Timers outside the standard's limits do
/// not matter: Linux sends a forward delay of 2 s, and is heard.
pub fn is_sound(stp: &Stp<'_>) -> bool {
    let is_fresh = stp.message_age().zip(stp.max_age()).is_none_or(|(age, most)| age < most);
    is_fresh && stp.sender().is_none_or(|bridge| bridge.mac != Mac::ZERO)
}

impl Tracker for Trees {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Stp]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen
            && let Some(stp) = seen.frame.layers.stp()
        {
            self.bpdu(seen, &stp, domains, out);
        }
    }

    fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cist => f.write_str("cist"),
            Self::Pvst(vlan) => write!(f, "vlan {vlan}"),
            Self::Msti(instance) => write!(f, "msti {instance}"),
        }
    }
}
