//! libpcap: filters in its language for every source, and captures where the packet ring is not wanted. It tells no direction and no
//! offload, and a frame is copied once, since its loan ends before ours.

use std::os::fd::BorrowedFd;

use pcap::{Active, BpfProgram, Linktype, Precision};

use tracing::warn;

use super::{Capture, HOLD, PATIENCE, WHOLE, no_such_link, not_permitted, now, refused};
use crate::event::{Direction, Offload, Record};
use crate::source::{Interface, Source, SourceError, Step};
use crate::value::{Outside, Span, Timestamp};
use crate::wire::LinkType;

/// Milliseconds after which the kernel hands over what it has.
const TIMEOUT_MS: i32 = 60;
/// Bytes kept of a frame: DHCP in a tunnel in tags is whole, and bulk does not fill the ring.
const SNAP_LEN: u32 = 1_024;
/// How often losses are counted.
const LOOK_EVERY: Span = Span::secs(1);

/// An expression of pcap-filter(7), compiled for one link type.
pub struct Filter {
    program: BpfProgram,
}

impl Filter {
    /// Compiles `text` for frames that begin as `link` says.
    ///
    /// # Errors
    /// One sentence with what libpcap says.
    pub fn new(text: &str, link: LinkType) -> Result<Self, String> {
        let number = i32::try_from(link.number()).unwrap_or(i32::MAX);
        let nothing = |error: pcap::Error| {
            format!(
                "the filter `{}` is not understood: {}",
                Outside::from(text),
                Outside::from(error.to_string().as_str())
            )
        };
        let dead = pcap::Capture::dead(Linktype(number)).map_err(nothing)?;
        Ok(Self { program: dead.compile(text, true).map_err(nothing)? })
    }

    /// Whether the expression holds for a frame.
    pub fn accepts(&self, frame: &[u8]) -> bool {
        self.program.filter(frame)
    }
}

/// A capture on one interface.
pub(super) struct Libpcap {
    /// `None` while the interface is gone.
    capture: Option<pcap::Capture<Active>>,
    how: Capture,
    name: String,
    gone: Timestamp,
    filter: Option<Filter>,
    interface: [Interface; 1],
    number: u64,
    time: Timestamp,
    wire_len: u32,
    frame: Vec<u8>,
    looked: Timestamp,
    /// Frames lost before the interface was opened last.
    lost_before: u64,
    /// Frames that the card had lost by then.
    missed_before: u64,
    bytes: u64,
}

impl Libpcap {
    /// Captures on the interface called `name`.
    pub(super) fn open(name: &str, how: &Capture) -> Result<Self, SourceError> {
        let capture = activate(name, how).map_err(|error| unopened(name, &error))?;
        let link = LinkType::from_pcap(capture.get_datalink().0.cast_unsigned());
        let filter = how.filter.as_deref().map(|text| Filter::new(text, link)).transpose();
        let interface = Interface {
            name: Some(Outside::from(name)),
            description: None,
            link,
            snap_len: snap_len(how),
            filter: how.filter.as_deref().map(Outside::from),
            tells_offload: false,
            dropped: 0,
            missed: 0,
            end: None,
        };
        Ok(Self {
            capture: Some(capture),
            how: how.clone(),
            name: name.to_owned(),
            gone: Timestamp::MIN,
            filter: filter.map_err(|why| refused(name, why))?,
            interface: [interface],
            number: 0,
            time: Timestamp::MIN,
            wire_len: 0,
            frame: Vec::new(),
            looked: now(),
            lost_before: 0,
            missed_before: 0,
            bytes: 0,
        })
    }

    /// Counts losses, or looks whether the interface is back.
    fn look(&mut self, now: Timestamp) {
        self.looked = now;
        match &mut self.capture {
            Some(capture) => {
                if let (Ok(stats), [interface]) = (capture.stats(), &mut self.interface) {
                    interface.dropped = self.lost_before.saturating_add(u64::from(stats.dropped));
                    interface.missed = self.missed_before.saturating_add(u64::from(stats.if_dropped));
                }
            }
            None => {
                if let Ok(capture) = activate(&self.name, &self.how) {
                    warn!("{}: the interface is there again; its frames are taken", self.shown());
                    let [interface] = &self.interface;
                    (self.lost_before, self.missed_before) = (interface.dropped, interface.missed);
                    self.capture = Some(capture);
                }
            }
        }
    }

    /// libpcap gave up, which it does when the interface is deleted.
    fn lose(&mut self, error: &pcap::Error) {
        let why = Outside::from(error.to_string().as_str());
        warn!("{}: {why}; its frames are taken again when it comes back", self.shown());
        self.capture = None;
        self.gone = now();
    }

    fn shown(&self) -> Outside {
        Outside::from(self.name.as_str())
    }
}

/// Opens the interface called `name`.
fn activate(name: &str, how: &Capture) -> Result<pcap::Capture<Active>, pcap::Error> {
    // Never immediate mode: it wakes up for each frame, at ten times the cost.
    let inactive = pcap::Capture::from_device(name)?
        .promisc(how.is_promiscuous)
        .snaplen(i32::try_from(snap_len(how)).unwrap_or(i32::MAX))
        .buffer_size(i32::try_from(how.ring).unwrap_or(i32::MAX))
        .timeout(TIMEOUT_MS)
        .precision(Precision::Nano);
    let mut capture = inactive.open().and_then(pcap::Capture::setnonblock)?;
    // The kernel cuts to the snap length only where a filter is installed.
    capture.filter("", true)?;
    Ok(capture)
}

fn snap_len(how: &Capture) -> u32 {
    how.snap_len.unwrap_or(if how.filter.is_some() { WHOLE } else { SNAP_LEN })
}

impl Source for Libpcap {
    fn advance(&mut self) -> Result<Step, SourceError> {
        while let Some(capture) = &mut self.capture {
            match capture.next_packet() {
                Ok(packet) if self.filter.as_ref().is_some_and(|filter| !filter.accepts(packet.data)) => {}
                Ok(packet) => {
                    let stamp = packet.header.ts;
                    // With nanosecond precision libpcap puts nanoseconds where microseconds are named.
                    self.time = Timestamp::from_parts(stamp.tv_sec, stamp.tv_usec);
                    self.wire_len = packet.header.len.max(packet.header.caplen);
                    self.frame.clear();
                    self.frame.extend_from_slice(packet.data);
                    self.number = self.number.saturating_add(1);
                    self.bytes = self.bytes.saturating_add(self.frame.len() as u64);
                    return Ok(Step::Record);
                }
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => break,
                Err(error) => self.lose(&error),
            }
        }
        let now = now();
        if now.since(self.looked) >= LOOK_EVERY {
            self.look(now);
        }
        if self.capture.is_none() && !self.how.is_patient && now.since(self.gone) >= PATIENCE {
            return Ok(Step::End);
        }
        Ok(Step::Idle(now.after(Span::nanos(HOLD.as_nanos().saturating_neg()))))
    }

    fn record(&self) -> Record<'_> {
        Record {
            interface: 0,
            number: self.number,
            time: self.time,
            wire_len: self.wire_len,
            direction: Direction::Unknown,
            offload: Offload::Unknown,
            bytes: &self.frame,
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }

    fn format(&self) -> String {
        "live (libpcap)".to_owned()
    }

    fn position(&self) -> u64 {
        self.bytes
    }

    fn take_stock(&mut self) {
        self.look(now());
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The one sentence for what libpcap says while a capture on `name` is opened.
fn unopened(name: &str, error: &pcap::Error) -> SourceError {
    let said = error.to_string();
    if said.contains("No such device") {
        refused(name, no_such_link())
    } else if said.contains("permi") || said.contains("Operation not permitted") {
        refused(name, not_permitted())
    } else {
        refused(name, format!("capturing cannot be started: {}", Outside::from(said.as_str())))
    }
}
