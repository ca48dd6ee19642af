//! What hosts behind a silent uplink ask in vain: ARP requests, echo requests, DHCP. What TCP asks is not counted.

use std::fmt;

use crate::event::{Cited, Frame};
use crate::value::Mac;

/// Hosts whose questions are counted.
const MOST_ASKERS: usize = 64;

/// Questions of hosts behind a silent uplink that nobody has answered.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    askers: Vec<(Mac, u32)>,
    first: Option<Cited>,
}

impl Questions {
    /// How many, of those who got no answer to any.
    pub fn asked(&self) -> u32 {
        self.askers.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// Who asked them.
    pub const fn askers(&self) -> usize {
        self.askers.len()
    }

    /// The first of them.
    pub const fn first(&self) -> Option<&Cited> {
        self.first.as_ref()
    }

    /// A question counts for who asked it; an answer takes who hears it off the list, for then a neighbour on this host was meant.
    pub(super) fn note(&mut self, frame: &Frame<'_>) {
        let layers = &frame.layers;
        let (Some(src), dst) = (layers.link_src(), layers.link_dst()) else { return };
        let is_question = layers.arp().is_some_and(|arp| arp.is_request() && arp.sender_ip() != arp.target_ip())
            || layers.icmp().is_some_and(|icmp| icmp.is_echo_request())
            || layers.dhcp().is_some() && layers.udp().is_some_and(|udp| udp.dst_port() == 67);
        if !is_question {
            self.askers.retain(|(mac, _)| Some(*mac) != dst);
            return;
        }
        let is_full = self.askers.len() >= MOST_ASKERS;
        match self.askers.iter_mut().find(|(mac, _)| *mac == src) {
            Some((_, n)) => *n = n.saturating_add(1),
            None if is_full => return,
            None => self.askers.push((src, 1)),
        }
        if self.first.is_none() {
            self.first = Some(Cited::of(frame));
        }
    }
}

impl fmt::Display for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.askers() {
            1 => write!(f, "{} questions of one host", self.asked()),
            askers => write!(f, "{} questions of {askers} hosts", self.asked()),
        }
    }
}
