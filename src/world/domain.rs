//! Networks: a broadcast domain is a vantage and a stack of tags, and two of them are one when the same packet was seen in both.
//! At most `tables.stacks` are held; what comes later shares one place and is counted.

use std::hash::{BuildHasher, Hash, Hasher};

use crate::event::{Direction, Frame, VantageId};
use crate::settings::Settings;
use crate::value::{Index, TagStack, Timestamp, prefetch};
use crate::wire::{Kind, Layers, Overlay};

/// A stack of tags at a vantage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DomainId(u32);

/// All networks seen.
pub struct Domains {
    nodes: Vec<Node>,
    /// The node that was found last for each trace of a place: nearly every frame is of a network seen lately.
    recent: Box<[u32; RECENT]>,
    index: Index,
    hash: foldhash::fast::RandomState,
    limit: usize,
    forgotten: u64,
    joined: u64,
    renamed: Vec<Renamed>,
}

/// Vantages that show a network with fewer tags than another one does, as is known since a packet was seen at both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Where the network is shown.
    pub vantages: Vec<VantageId>,
    /// How it was called.
    pub from: String,
    /// How it is called now.
    pub to: String,
}

/// Traces of places that are told apart: two kibibytes of them, so that they stay where they are quick to reach.
const RECENT: usize = 512;

/// By what a network is known.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Place {
    vantage: VantageId,
    overlay: Option<Overlay>,
    stack: TagStack,
}

/// A number below `RECENT` that most places of one capture have for themselves.
#[inline]
fn trace(VantageId { lane, interface }: VantageId, overlay: Option<Overlay>, stack: &TagStack) -> usize {
    // Nearly every stack is one tag or none.
    let tags = match stack.as_slice() {
        [] => 0,
        [(_, vid)] => u32::from(vid.number()),
        many => many.iter().fold(0_u32, |all, (_, vid)| all << 5 ^ u32::from(vid.number())),
    };
    let all = tags ^ u32::from(lane) << 5 ^ interface << 7 ^ numbered(overlay) as u32;
    all as usize % RECENT
}

/// A number that most overlays of one capture have for themselves; 0 where there is none.
#[inline]
fn numbered(overlay: Option<Overlay>) -> u64 {
    match overlay {
        None => 0,
        Some(Overlay::Vni(vni)) => u64::from(vni).wrapping_add(1),
        Some(Overlay::Gre(key)) => u64::from(key.unwrap_or(0)).wrapping_add(1) ^ 1 << 31,
    }
}

impl Place {
    /// That of what a tunnel carries.
    fn inside(vantage: VantageId, layers: &Layers<'_>) -> Self {
        let stack = layers.inner_tags().unwrap_or_else(|| layers.tags());
        Self { vantage, overlay: layers.overlay(), stack }
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let VantageId { lane, interface } = self.vantage;
        to.write_u64(u64::from(lane) << 48 ^ u64::from(interface) << 32 ^ numbered(self.overlay));
        self.stack.hash(to);
    }
}

/// In this order in memory: what every frame touches stands around the first tags.
#[repr(C)]
struct Node {
    parent: u32,
    /// Of a root: the node with the most tags of all that are the same network.
    widest: u32,
    frames: u64,
    latest: Timestamp,
    place: Place,
    traffic: Traffic,
    /// Bytes of the longest packet that was seen in two tags or more.
    longest: u32,
}

/// Frames of one network at one vantage, by the way they went, as far as the capture tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// When the latest came in.
    pub incoming: Option<Timestamp>,
    /// When the latest went out.
    pub outgoing: Option<Timestamp>,
    /// How many went out since the latest that came in.
    pub unanswered: u64,
}

impl Domains {
    /// No network yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.stacks.max(1);
        let hash = foldhash::fast::RandomState::default();
        let (recent, index) = (Box::new([u32::MAX; RECENT]), Index::default());
        Self { nodes: Vec::new(), recent, index, hash, limit, forgotten: 0, joined: 0, renamed: Vec::new() }
    }

    /// The network that `frame` travels in; counts the frame.
    pub fn note(&mut self, frame: &Frame<'_>) -> DomainId {
        let (layers, vantage) = (&frame.layers, frame.at.vantage);
        let id =
            if layers.has_tunnel() { self.inside(vantage, layers) } else { self.at(vantage, None, layers.tags_ref()) };
        self.count(DomainId(id), frame.direction, frame.order);
        if layers.has(Kind::VlanStack) {
            self.measure(DomainId(id), layers);
        }
        DomainId(id)
    }

    #[inline(never)]
    fn measure(&mut self, of: DomainId, layers: &Layers<'_>) {
        if let (Some(node), Some(ip)) = (self.nodes.get_mut(of.0 as usize), layers.ip()) {
            node.longest = node.longest.max(ip.packet_len());
        }
    }

    /// Bytes of the longest packet of the network `of` that was laid out, where that wears two tags or more.
    pub(super) fn longest(&self, of: DomainId) -> u32 {
        self.nodes.get(of.0 as usize).map_or(0, |node| node.longest)
    }

    /// Has what is counted of the network `of` brought into the cache.
    #[inline(always)]
    pub(super) fn prefetch(&self, of: DomainId) {
        self.nodes.get(of.0 as usize).into_iter().for_each(|node| prefetch(&node.frames));
    }

    /// Counts a frame of the network `of`.
    #[inline(always)]
    pub(super) fn count(&mut self, of: DomainId, direction: Direction, at: Timestamp) {
        if let Some(node) = self.nodes.get_mut(of.0 as usize) {
            node.frames = node.frames.saturating_add(1);
            node.latest = node.latest.max(at);
            node.traffic.note(direction, at);
        }
    }

    /// The node of what a tunnel carries.
    #[inline(never)]
    fn inside(&mut self, vantage: VantageId, layers: &Layers<'_>) -> u32 {
        let Place { overlay, stack, .. } = Place::inside(vantage, layers);
        self.at(vantage, overlay, &stack)
    }

    /// Whether `of` is the network of `frame`: where there are too many, it was counted in one that is not its own.
    pub(super) fn is_of(&self, of: DomainId, frame: &Frame<'_>) -> bool {
        let (layers, vantage) = (&frame.layers, frame.at.vantage);
        let place = if layers.has_tunnel() {
            Place::inside(vantage, layers)
        } else {
            Place { vantage, overlay: None, stack: layers.tags() }
        };
        self.nodes.get(of.0 as usize).is_some_and(|node| node.place == place)
    }

    /// The node of a place.
    #[inline(always)]
    fn at(&mut self, vantage: VantageId, overlay: Option<Overlay>, stack: &TagStack) -> u32 {
        let trace = trace(vantage, overlay, stack);
        let recent = self.recent.get(trace).copied().unwrap_or(u32::MAX);
        let is_it =
            |Node { place, .. }: &Node| place.vantage == vantage && place.overlay == overlay && place.stack == *stack;
        if self.nodes.get(recent as usize).is_some_and(is_it) {
            return recent;
        }
        let id = self.intern(Place { vantage, overlay, stack: *stack });
        if let Some(recent) = self.recent.get_mut(trace) {
            *recent = id;
        }
        id
    }

    /// The same packet was seen in both: they are one network.
    pub fn join(&mut self, a: DomainId, b: DomainId) {
        let (a, b) = (self.root(a).0, self.root(b).0);
        if a == b {
            return;
        }
        self.joined = self.joined.saturating_add(1);
        let (root, joined) = (a.min(b), a.max(b));
        let widest = self.widest(root).max(self.widest(joined)).1;
        let before = [a, b].map(|id| (self.vantages(DomainId(id)).collect(), self.name(DomainId(id))));
        if let Some(node) = self.nodes.get_mut(joined as usize) {
            node.parent = root;
        }
        if let Some(node) = self.nodes.get_mut(root as usize) {
            node.widest = widest;
        }
        let to = self.name(DomainId(root));
        let renamed = before.into_iter().filter(|(_, from)| *from != to);
        self.renamed.extend(renamed.map(|(vantages, from)| Renamed { vantages, from, to: to.clone() }));
    }

    /// How often two networks were found to be one: while that does not grow, each keeps its root.
    pub const fn joined(&self) -> u64 {
        self.joined
    }

    /// Networks that were found to have another name since this was asked last.
    pub fn renamed(&mut self) -> Vec<Renamed> {
        std::mem::take(&mut self.renamed)
    }

    /// The one that stands for all that are the same network.
    pub fn root(&self, of: DomainId) -> DomainId {
        let mut at = of.0;
        // Parents always have a smaller number, so that this ends.
        while let Some(node) = self.nodes.get(at as usize).filter(|node| node.parent < at) {
            at = node.parent;
        }
        DomainId(at)
    }

    /// Whether the two are one network.
    pub fn is_same(&self, a: DomainId, b: DomainId) -> bool {
        a == b || self.root(a) == self.root(b)
    }

    /// The network as it looks where it wears the most tags: `20.100`, `untagged`, `VNI 42`.
    pub fn name(&self, of: DomainId) -> String {
        let stack = self.stack(of);
        let overlay = self.nodes.get(of.0 as usize).and_then(|node| node.place.overlay);
        match overlay {
            Some(overlay) if stack.is_empty() => overlay.to_string(),
            Some(overlay) => format!("{overlay}, {stack}"),
            None => stack.to_string(),
        }
    }

    /// The tags of the network where it wears the most, without priority tags.
    pub fn stack(&self, of: DomainId) -> TagStack {
        let widest = self.widest(self.root(of).0).1;
        self.nodes.get(widest as usize).map(|node| node.place.stack.networks()).unwrap_or_default()
    }

    /// The vantages at which the network was seen, each once for each stack of tags.
    pub fn vantages(&self, of: DomainId) -> impl Iterator<Item = VantageId> {
        let root = self.root(of);
        let same = (0..).zip(&self.nodes).filter(move |(id, _)| self.root(DomainId(*id)) == root);
        same.map(|(_, node)| node.place.vantage)
    }

    /// Frames with each stack of tags at each vantage, tunnelled ones left out: vantage, stack, frames, time of the latest.
    pub fn stacks(&self) -> impl Iterator<Item = (VantageId, TagStack, u64, Timestamp)> {
        self.nodes
            .iter()
            .filter(|node| node.place.overlay.is_none())
            .map(|n| (n.place.vantage, n.place.stack, n.frames, n.latest))
    }

    /// Which way frames of the network went at its own vantage.
    pub fn traffic(&self, of: DomainId) -> Traffic {
        self.nodes.get(of.0 as usize).map(|node| node.traffic).unwrap_or_default()
    }

    /// The vantage and the tags there.
    pub fn place(&self, of: DomainId) -> Option<(VantageId, TagStack)> {
        self.nodes.get(of.0 as usize).map(|node| (node.place.vantage, node.place.stack))
    }

    /// The other networks at the same vantage, and which way their frames went.
    pub fn beside(&self, of: DomainId) -> impl Iterator<Item = (TagStack, Traffic)> {
        let vantage = self.place(of).map(|(vantage, _)| vantage);
        let others = (0..).zip(&self.nodes).filter(move |(id, node)| {
            *id != of.0 && Some(node.place.vantage) == vantage && node.place.overlay.is_none()
        });
        others.map(|(_, node)| (node.place.stack, node.traffic))
    }

    /// Frames at `vantage` so far whose stack satisfies `is_wanted`.
    pub fn frames(&self, vantage: VantageId, is_wanted: impl Fn(&TagStack) -> bool) -> u64 {
        self.stacks()
            .filter(|(v, stack, ..)| *v == vantage && is_wanted(stack))
            .fold(0, |sum, n| sum.saturating_add(n.2))
    }

    /// Frames whose stack found no place of its own.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many tags the network of `root` wears where it wears the most, and the latest node that wears so many.
    fn widest(&self, root: u32) -> (usize, u32) {
        let widest = self.nodes.get(root as usize).map_or(root, |node| node.widest);
        (self.nodes.get(widest as usize).map_or(0, |node| node.place.stack.networks().depth()), widest)
    }

    #[inline(never)]
    fn intern(&mut self, place: Place) -> u32 {
        if let Some(id) = self.find(&place) {
            return id;
        }
        let Some(id) = self.add(place) else {
            self.forgotten = self.forgotten.saturating_add(1);
            return 0;
        };
        // A priority tag names no network: the frame belongs where it would without.
        let network = place.stack.networks();
        if network != place.stack {
            let plain = Place { stack: network, ..place };
            let plain = self.find(&plain).or_else(|| self.add(plain)).unwrap_or(0);
            self.join(DomainId(id), DomainId(plain));
        }
        id
    }

    #[inline]
    fn find(&self, place: &Place) -> Option<u32> {
        let is_it = |id: u32| self.nodes.get(id as usize).is_some_and(|node| node.place == *place);
        self.index.find(self.hash.hash_one(place), is_it)
    }

    /// A network of its own for a new place, if there is room.
    fn add(&mut self, place: Place) -> Option<u32> {
        let id = u32::try_from(self.nodes.len()).ok().filter(|_| self.nodes.len() < self.limit)?;
        let (frames, latest, traffic) = (0, Timestamp::MIN, Traffic::default());
        self.nodes.push(Node { place, parent: id, widest: id, frames, latest, traffic, longest: 0 });
        self.index.add(self.hash.hash_one(place), id);
        Some(id)
    }
}

impl Traffic {
    #[inline]
    fn note(&mut self, direction: Direction, at: Timestamp) {
        match direction {
            Direction::In => (self.incoming, self.unanswered) = (Some(at), 0),
            Direction::Out => (self.outgoing, self.unanswered) = (Some(at), self.unanswered.saturating_add(1)),
            Direction::Unknown => {}
        }
    }
}
