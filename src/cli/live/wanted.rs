//! Which links are captured: those that were named, the members of named bonds, or all; and those that come up later.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::args::{self, Backend};
use crate::event::LinkKind;
use crate::source::live::{Capture, Device, Receiver, WHOLE, ring_share};
use crate::source::{Lane, Merge, SourceError};

/// Links that are captured at most: each has a ring, and a node has some hundred guests.
const MOST: usize = 1_024;
/// Hardware types that can be decoded: Ethernet, and no link layer at all (linux/if_arp.h).
const HARDWARE: [u16; 2] = [1, 65_534];

/// The links that are wanted, and those that are taken.
pub struct Wanted {
    capture: Capture,
    named: Vec<String>,
    wants_all: bool,
    wants_members: bool,
    /// The kernel's number of each link that is captured, or that cannot be, and the name under which it was taken.
    taken: BTreeMap<u32, String>,
}

impl Wanted {
    /// What the arguments ask for.
    pub fn new(args: &args::Capture) -> Self {
        let capture = Capture {
            receiver: match args.backend {
                Backend::Ring => Receiver::Ring,
                Backend::Pcap => Receiver::Libpcap,
            },
            ring: args.ring,
            snap_len: args.snap_len.map(|bytes| if bytes == 0 { WHOLE } else { bytes }),
            is_promiscuous: !args.no_promiscuous_mode,
            filter: args.filter.clone(),
            is_patient: true,
        };
        let (all, mut named): (Vec<_>, Vec<_>) = args.interfaces.iter().cloned().partition(|name| name == "all");
        named.sort();
        named.dedup();
        let wants_all = !all.is_empty();
        Self { capture, named, wants_all, wants_members: args.members, taken: BTreeMap::new() }
    }

    /// Opens what is there at the start; `devices` are this machine's links, as far as the kernel told. A link that was named and cannot be
    /// opened is among the refusals.
    pub fn open(&mut self, devices: &BTreeMap<u32, Device>) -> (Vec<Lane>, Vec<SourceError>) {
        let chosen = self.chosen(devices);
        if self.wants_all {
            self.capture.ring = ring_share(self.capture.ring, chosen.len());
        }
        let mut names: BTreeSet<String> = self.named.iter().cloned().collect();
        for (index, name) in chosen {
            self.taken.insert(index, name.clone());
            names.insert(name);
        }
        let (mut lanes, mut refusals) = (Vec::new(), Vec::new());
        for name in names {
            match self.capture_of(&name).open(&name) {
                Ok(lane) => lanes.push(lane),
                Err(refusal) => refusals.push(refusal),
            }
        }
        (lanes, refusals)
    }

    /// Takes links that came up since.
    pub fn follow(&mut self, devices: &BTreeMap<u32, Device>, merge: &mut Merge) {
        if !self.wants_all && !self.wants_members {
            return;
        }
        self.taken.retain(|index, _| devices.contains_key(index));
        for (index, name) in self.chosen(devices) {
            // One that was deleted and made again is taken up by the lane that waits for it.
            let is_new = self.taken.insert(index, name.clone()).is_none() && !merge.has_open(&name);
            if is_new && merge.lanes() < MOST {
                match self.capture_of(&name).open(&name) {
                    Ok(lane) => {
                        anstream::eprintln!("netdiag: {} is there now, and is captured", lane.path);
                        merge.add(lane);
                    }
                    Err(refusal) => anstream::eprintln!("netdiag: {refusal}; the other interfaces are captured"),
                }
            }
        }
    }

    /// Bytes of the ring of each link.
    pub const fn ring(&self) -> usize {
        self.capture.ring
    }

    /// The links that are wanted beyond those with their own name in the arguments, and those, by the kernel's number.
    fn chosen(&self, devices: &BTreeMap<u32, Device>) -> Vec<(u32, String)> {
        let is_named = |device: &Device| self.named.iter().any(|name| name == device.name.raw());
        let is_member = |device: &Device| {
            let bond = device.master.and_then(|master| devices.get(&master));
            self.wants_members && bond.is_some_and(|bond| bond.kind == LinkKind::Bond && is_named(bond))
        };
        let is_any = |device: &Device| self.wants_all && HARDWARE.contains(&device.hardware) && device.is_up;
        let wanted = devices.values().filter(|device| is_named(device) || is_member(device) || is_any(device));
        wanted.take(MOST).map(|device| (device.index, device.name.raw().to_owned())).collect()
    }

    /// Only a link that was named is waited for without an end once it is gone.
    fn capture_of(&self, name: &str) -> Capture {
        Capture { is_patient: self.named.iter().any(|named| named == name), ..self.capture.clone() }
    }
}
