//! libpcap: filters in its language for every source, and captures where the packet ring is not wanted. It tells no direction and no
//! offload, and a frame is copied once, since its loan ends before ours.

use std::os::fd::BorrowedFd;

use pcap::{Active, BpfProgram, Linktype, Precision};

use super::{Capture, HOLD, no_such_link, not_permitted, now, refused};
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
    capture: pcap::Capture<Active>,
    filter: Option<Filter>,
    name: Outside,
    interface: [Interface; 1],
    number: u64,
    time: Timestamp,
    wire_len: u32,
    frame: Vec<u8>,
    looked: Timestamp,
    bytes: u64,
}

impl Libpcap {
    /// Captures on the interface called `name`.
    pub(super) fn open(name: &str, how: &Capture) -> Result<Self, SourceError> {
        let said = |error: pcap::Error| unopened(name, &error);
        let snap_len = how.snap_len.unwrap_or(if how.filter.is_some() { 262_144 } else { SNAP_LEN });
        let inactive = pcap::Capture::from_device(name).map_err(said)?;
        // Never immediate mode: it wakes up for each frame, at ten times the cost.
        let mut capture = inactive
            .promisc(how.is_promiscuous)
            .snaplen(i32::try_from(snap_len).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(how.ring).unwrap_or(i32::MAX))
            .timeout(TIMEOUT_MS)
            .precision(Precision::Nano)
            .open()
            .and_then(pcap::Capture::setnonblock)
            .map_err(said)?;
        // The kernel cuts to the snap length only where a filter is installed.
        capture.filter("", true).map_err(said)?;
        let link = LinkType::from_pcap(capture.get_datalink().0.cast_unsigned());
        let filter = how.filter.as_deref().map(|text| Filter::new(text, link)).transpose();
        let interface = Interface {
            name: Some(Outside::from(name)),
            description: None,
            link,
            snap_len,
            filter: how.filter.as_deref().map(Outside::from),
            dropped: 0,
            end: None,
        };
        Ok(Self {
            capture,
            filter: filter.map_err(|why| refused(name, why))?,
            name: Outside::from(name),
            interface: [interface],
            number: 0,
            time: Timestamp::MIN,
            wire_len: 0,
            frame: Vec::new(),
            looked: now(),
            bytes: 0,
        })
    }

    fn look(&mut self, now: Timestamp) {
        self.looked = now;
        if let (Ok(stats), [interface]) = (self.capture.stats(), &mut self.interface) {
            interface.dropped = u64::from(stats.dropped);
        }
    }
}

impl Source for Libpcap {
    fn advance(&mut self) -> Result<Step, SourceError> {
        loop {
            match self.capture.next_packet() {
                Ok(packet) => {
                    if self.filter.as_ref().is_some_and(|filter| !filter.accepts(packet.data)) {
                        continue;
                    }
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
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => {
                    let now = now();
                    if now.since(self.looked) >= LOOK_EVERY {
                        self.look(now);
                    }
                    return Ok(Step::Idle(now.after(Span::nanos(HOLD.as_nanos().saturating_neg()))));
                }
                Err(error) => {
                    let why = format!("libpcap stopped: {}", Outside::from(error.to_string().as_str()));
                    return Err(refused(&self.name.to_string(), why));
                }
            }
        }
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
