//! The DHCP servers of each network, by what they offer and grant themselves: not through a relay, and not what boot servers add.
//! At most 256, the one silent for longest goes first.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::{DomainId, Domains};
use super::lease::Terms;
use super::step::DhcpStep;
use crate::value::{BoundedMap, Mac, Span, Timestamp};
use crate::wire::DhcpKind;

/// Servers that are remembered; no network has as many, and every sender of made-up answers counts as one.
const MOST: usize = 256;
/// An answer that took so long waited behind others: dnsmasq looks for three seconds whether an address is free, one client after the other, and
/// answers nobody meanwhile.
const QUEUED: Span = Span::secs(2);
/// So long after such an answer the next one may come.
const NEXT_TURN: Span = Span::secs(5);

/// A DHCP server of a network.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where.
    pub domain: DomainId,
    /// How it calls itself.
    pub address: Ipv4Addr,
    /// Who sends for it.
    pub sender: Mac,
    /// When it was heard first.
    pub first: Timestamp,
    /// When it was heard last.
    pub last: Timestamp,
    /// Its latest offer or grant of an address.
    pub gives: Arc<DhcpStep>,
    /// Grants.
    pub grants: u64,
}

/// All servers.
pub(super) struct Servers {
    /// By the root of their network as it was when `joined` networks had been found to be others, each in the order in which they were first heard.
    by_network: BTreeMap<DomainId, Vec<Server>>,
    joined: u64,
    held: usize,
    /// When a client of each network got an answer last that had waited behind others.
    queued: BoundedMap<DomainId, Timestamp>,
}

impl Servers {
    /// None yet.
    pub fn new() -> Self {
        Self { by_network: BTreeMap::new(), joined: 0, held: 0, queued: BoundedMap::new(MOST) }
    }

    /// Whether clients of the network `domain` wait at `now` for their turn, one after the other, rather than in vain.
    pub fn is_behind(&self, domain: DomainId, now: Timestamp) -> bool {
        self.queued.peek(&domain).is_some_and(|at| now.since(*at) <= NEXT_TURN)
    }

    /// Takes in what a server says.
    pub fn note(&mut self, step: &Arc<DhcpStep>, domains: &Domains) {
        let is_answer = matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack);
        if is_answer && step.took.is_some_and(|took| took >= QUEUED) {
            self.queued.insert(domains.root(step.domain), step.time);
        }
        let gives = matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack) && !step.yiaddr.is_unspecified();
        let (true, false, Some(address), Some(sender)) = (gives, step.is_relayed, step.server, step.sender) else {
            return;
        };
        if step.is_inform_answer() {
            return;
        }
        let grants = u64::from(step.kind == DhcpKind::Ack && !step.is_copy);
        self.join(domains);
        let root = domains.root(step.domain);
        let here = self.by_network.entry(root).or_default();
        if let Some(known) = here.iter_mut().find(|s| s.address == address && s.sender == sender) {
            known.last = step.time;
            known.gives = Arc::clone(step);
            known.grants = known.grants.saturating_add(grants);
            return;
        }
        let (domain, gives) = (step.domain, Arc::clone(step));
        here.push(Server { domain, address, sender, first: step.time, last: step.time, gives, grants });
        self.held = self.held.saturating_add(1);
        if self.held > MOST {
            self.forget_one();
        }
    }

    /// All of them, by network.
    pub fn iter(&self) -> impl Iterator<Item = &Server> {
        self.by_network.values().flatten()
    }

    /// Those of the network that `root` is the root of, in the order in which they were first heard.
    pub fn of(&self, root: DomainId) -> &[Server] {
        self.by_network.get(&root).map_or(&[], Vec::as_slice)
    }

    /// Puts together the servers of networks that were found to be one.
    fn join(&mut self, domains: &Domains) {
        if std::mem::replace(&mut self.joined, domains.joined()) == domains.joined() {
            return;
        }
        for server in std::mem::take(&mut self.by_network).into_values().flatten() {
            self.by_network.entry(domains.root(server.domain)).or_default().push(server);
        }
        self.by_network.values_mut().for_each(|servers| servers.sort_by_key(|server| server.first));
    }

    /// The one silent for longest goes.
    fn forget_one(&mut self) {
        let silent = self.by_network.iter().filter_map(|(root, all)| Some((all.iter().map(|s| s.last).min()?, *root)));
        let Some((last, root)) = silent.min() else { return };
        let Some(servers) = self.by_network.get_mut(&root) else { return };
        if let Some(at) = servers.iter().position(|server| server.last == last) {
            servers.remove(at);
            self.held = self.held.saturating_sub(1);
        }
        if servers.is_empty() {
            self.by_network.remove(&root);
        }
    }
}

impl Server {
    /// What it gives.
    pub fn terms(&self) -> Option<&Terms> {
        self.gives.terms.as_ref()
    }

    /// The subnet of the address that it gave last.
    pub fn subnet(&self) -> Option<Ipv4Addr> {
        let mask = self.terms()?.mask?;
        Some(Ipv4Addr::from(self.gives.yiaddr.to_bits() & mask.to_bits()))
    }
}
