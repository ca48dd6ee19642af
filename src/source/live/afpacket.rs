//! The packet ring as a source: numbers frames, counts losses, and keeps to its interface by name: one that goes down comes back by
//! itself, one that is renamed is followed, one that is deleted and made again is taken up without new rights.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::netdevice::{index_to_name, name_to_index};
use tracing::warn;

use super::libpcap::Filter;
use super::ring::Ring;
use super::{Capture, HOLD, PATIENCE, WHOLE, kept, no_such_link, now, refused, unopened};
use crate::event::{Direction, Record};
use crate::source::{Interface, Source, SourceError, Step};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::LinkType;

/// How often losses are counted and the link is looked at.
const LOOK_EVERY: Span = Span::secs(1);
/// Frames after which the clock is asked whether it is time to look.
const ASK_EVERY: u64 = 4_096;
/// Hardware types (linux/if_arp.h).
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
const NONE: u16 = 65_534;
/// The packet type of what this host sent (packet(7)).
const OUTGOING: u8 = 4;

/// A capture on one interface.
pub(super) struct Afpacket {
    ring: Ring,
    name: String,
    index: u32,
    hardware: u16,
    is_promiscuous: bool,
    /// Since when it is gone.
    gone: Option<Timestamp>,
    is_patient: bool,
    filter: Option<Filter>,
    interface: [Interface; 1],
    /// What the card had lost when it was asked last.
    missed_before: u64,
    number: u64,
    looked: Timestamp,
    asked: u64,
    bytes: u64,
}

impl Afpacket {
    /// Captures on the interface called `name`.
    pub(super) fn open(name: &str, capture: &Capture) -> Result<Self, SourceError> {
        let limit = capture.snap_len.or(capture.filter.as_ref().map(|_| WHOLE));
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
            .map_err(|error| unopened(name, &error.into()))?;
        let index = name_to_index(&socket, name).map_err(|_| refused(name, no_such_link()))?;
        let program = limit.map_or_else(kept::by_kind, kept::at_most);
        let mut ring = Ring::open(capture.ring, &program).map_err(|error| unopened(name, &error))?;
        let hardware = ring.hardware(name).map_err(|error| unopened(name, &error))?;
        let link = match hardware {
            ETHERNET | LOOPBACK => LinkType::Ethernet,
            NONE => LinkType::RawIp,
            other => return Err(refused(name, format!("its hardware type {other} is not one that netdiag decodes"))),
        };
        if link != LinkType::Ethernet && limit.is_none() {
            // The program of the kinds reads an Ethernet header.
            ring = Ring::open(capture.ring, &kept::at_most(WHOLE)).map_err(|error| unopened(name, &error))?;
        }
        let filter = capture.filter.as_deref().map(|text| Filter::new(text, link)).transpose();
        let filter = filter.map_err(|why| refused(name, why))?;
        ring.attach(index, capture.is_promiscuous).map_err(|error| unopened(name, &error))?;
        let interface = Interface {
            name: Some(Outside::from(name)),
            description: None,
            link,
            snap_len: capture.snap_len.unwrap_or(WHOLE),
            filter: capture.filter.as_deref().map(Outside::from),
            tells_offload: true,
            dropped: 0,
            missed: 0,
            end: None,
        };
        Ok(Self {
            ring,
            name: name.to_owned(),
            index,
            hardware,
            is_promiscuous: capture.is_promiscuous,
            gone: None,
            is_patient: capture.is_patient,
            filter,
            interface: [interface],
            missed_before: missed(name),
            number: 0,
            looked: now(),
            asked: 0,
            bytes: 0,
        })
    }

    /// Whether the frame at the head of the ring is to be told.
    fn is_wanted(&self) -> bool {
        // The loopback shows each frame on its way out and again on its way in.
        let is_second = self.hardware == LOOPBACK && self.ring.head().packet_type == OUTGOING;
        !is_second && self.filter.as_ref().is_none_or(|filter| filter.accepts(self.ring.bytes()))
    }

    /// Counts losses, and looks whether the link is still the one that was asked for.
    fn look(&mut self, now: Timestamp) {
        self.looked = now;
        if let (Ok(counted), [interface]) = (self.ring.counted(), &mut self.interface) {
            interface.dropped = interface.dropped.saturating_add(counted.lost);
            // A link that was made again counts from zero.
            let missed = missed(&self.name);
            interface.missed = interface.missed.saturating_add(missed.saturating_sub(self.missed_before));
            self.missed_before = missed;
        }
        if let Some(trouble) = self.ring.trouble() {
            warn!("{}: {trouble}; its frames are taken again as soon as they come", self.shown());
        }
        match name_to_index(&self.ring, &self.name) {
            Ok(index) if index == self.index && self.gone.is_none() => {}
            Ok(index) => self.take_up(index, now),
            Err(_) if self.gone.is_some() => {}
            Err(_) => match index_to_name(&self.ring, self.index) {
                Ok(name) => {
                    warn!(
                        "{} is called {} now; its frames are still taken",
                        self.shown(),
                        Outside::from(name.as_str())
                    );
                    self.name = name;
                }
                Err(_) => {
                    warn!("{}: the interface is gone; it is taken up again when it comes back", self.shown());
                    self.gone = Some(now);
                }
            },
        }
    }

    /// Hears the interface that has our name now.
    fn take_up(&mut self, index: u32, now: Timestamp) {
        match self.ring.attach(index, self.is_promiscuous) {
            Ok(()) => {
                warn!("{}: the interface is there again; its frames are taken", self.shown());
                self.index = index;
                self.gone = None;
            }
            Err(error) if self.gone.is_none() => {
                warn!("{}: {error}; it is tried again each second", self.shown());
                self.gone = Some(now);
            }
            Err(_) => {}
        }
    }

    fn shown(&self) -> Outside {
        Outside::from(self.name.as_str())
    }
}

/// Frames that the card of a link has lost for want of room since it is there (linux/if_link.h, `rx_missed_errors`); 0 where nothing tells.
fn missed(name: &str) -> u64 {
    let told = std::fs::read_to_string(format!("/sys/class/net/{name}/statistics/rx_missed_errors"));
    told.ok().and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

impl Source for Afpacket {
    fn advance(&mut self) -> Result<Step, SourceError> {
        while self.ring.advance() {
            self.asked = self.asked.wrapping_add(1);
            if self.asked.is_multiple_of(ASK_EVERY) {
                let now = now();
                if now.since(self.looked) >= LOOK_EVERY {
                    self.look(now);
                }
            }
            if self.is_wanted() {
                self.number = self.number.saturating_add(1);
                self.bytes = self.bytes.saturating_add(self.ring.bytes().len() as u64);
                return Ok(Step::Record);
            }
        }
        let now = now();
        if now.since(self.looked) >= LOOK_EVERY {
            self.look(now);
        }
        if !self.is_patient && self.gone.is_some_and(|since| now.since(since) >= PATIENCE) {
            return Ok(Step::End);
        }
        Ok(Step::Idle(now.after(Span::nanos(HOLD.as_nanos().saturating_neg()))))
    }

    fn record(&self) -> Record<'_> {
        let head = self.ring.head();
        Record {
            interface: 0,
            number: self.number,
            time: head.time,
            wire_len: head.wire_len,
            direction: if head.packet_type == OUTGOING { Direction::Out } else { Direction::In },
            offload: head.offload,
            bytes: self.ring.bytes(),
        }
    }

    fn ahead(&self) -> &[u8] {
        self.ring.ahead()
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }

    fn format(&self) -> String {
        "live (packet ring)".to_owned()
    }

    fn position(&self) -> u64 {
        self.bytes
    }

    fn take_stock(&mut self) {
        self.look(now());
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ring.as_fd())
    }
}
