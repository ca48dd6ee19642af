//! What a machine says while it runs: its interfaces as sources, and the kernel's word about links, bridges and addresses. A receiver's ring is its queue: the kernel fills it while the engine thinks, nothing is copied on the way,
//! and what finds no room is counted. Each link is an Ethernet capture of its own; the kernel's `any` is never used, since it loses tags.

#[cfg(target_os = "linux")]
mod afpacket;
mod asleep;
mod device;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod filters;
mod guests;
#[cfg(target_os = "linux")]
mod kept;
mod leases;
mod libpcap;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod ring;

pub use asleep::Wakefulness;
pub use device::Device;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::HostFacts;
pub use filters::Filters;
pub use guests::Guests;
pub use leases::Leases;
pub use libpcap::Filter;
#[cfg(target_os = "linux")]
pub use netlink::HostFacts;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::Trouble;
use super::{Idle, Lane, Merge, Source, SourceError};
use crate::value::{Outside, Span, Timestamp};

/// What a live lane holds back: a frame may wait this long in the kernel before it is seen, so that lanes can be put in order.
const HOLD: Span = Span::millis(200);
/// How long a link that is gone is waited for, unless it was asked for by its name.
const PATIENCE: Span = Span::secs(60);
/// What "all of a frame" is, in bytes: as libpcap has it.
pub const WHOLE: u32 = 262_144;
/// The least ring of one of many links, in bytes: eight blocks of the packet ring.
const LEAST_RING: usize = 2 << 20;

/// Who receives frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receiver {
    /// A packet ring of our own: tells direction, super-frames and open checksums.
    Ring,
    /// libpcap, as other tools capture.
    Libpcap,
}

/// How to capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Who receives.
    pub receiver: Receiver,
    /// Bytes of the ring of each interface.
    pub ring: usize,
    /// Bytes kept of each frame; `None` keeps control traffic whole and the headers of the rest.
    pub snap_len: Option<u32>,
    /// Whether to hear what is not for this host.
    pub is_promiscuous: bool,
    /// Which frames to take, as pcap-filter(7) has it.
    pub filter: Option<String>,
    /// Whether a link that is gone is waited for without an end.
    pub is_patient: bool,
}

/// What each of so many links gets of a ring of `total` bytes for all of them.
pub fn ring_share(total: usize, links: usize) -> usize {
    total.checked_div(links).unwrap_or(total).max(LEAST_RING)
}

impl Capture {
    /// Captures on the interface called `name`, as a lane of the merge.
    ///
    /// # Errors
    /// In one sentence: no such interface (and which there are), no right to capture (and how to get it), a filter that is none.
    pub fn open(&self, name: &str) -> Result<Lane, SourceError> {
        let source: Box<dyn Source> = match self.receiver {
            #[cfg(target_os = "linux")]
            Receiver::Ring => Box::new(afpacket::Afpacket::open(name, self)?),
            #[cfg(not(target_os = "linux"))]
            Receiver::Ring => return Err(refused(name, "the packet ring is Linux's; use --backend pcap here")),
            Receiver::Libpcap => Box::new(libpcap::Libpcap::open(name, self)?),
        };
        let mut lane = Lane::new(name.to_owned(), Outside::from(name), source);
        lane.vantage = Some(name.to_owned());
        Ok(lane)
    }
}

/// The machine's now: the clock that the kernel stamps frames with.
#[expect(clippy::disallowed_methods, reason = "live lanes are settled by the clock; nothing behind the merge sees it")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The longest that a run waits without looking at the clock, the signals and the host.
const LONG: Span = Span::millis(200);
/// The same where something is due soon, or a source cannot be waited for.
const SHORT: Span = Span::millis(20);

/// Waits until an idle lane of `merge`, or who else is named, has something, a signal comes, or it is time to look again.
pub fn wait(merge: &Merge, also: Option<BorrowedFd<'_>>) {
    let Idle { mut descriptors, must_look } = merge.idle();
    descriptors.extend(also);
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN)).collect();
    let most = if must_look { SHORT } else { LONG };
    let most = Timespec { tv_sec: 0, tv_nsec: most.as_nanos().clamp(0, 999_999_999) };
    // A signal ends it early, which is what a signal is for; anything else only makes the caller look sooner.
    let _ = poll(&mut polled, Some(&most));
}

/// The interfaces of this machine, by name.
pub fn links() -> Vec<String> {
    let Ok(listing) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    let mut names: Vec<String> =
        listing.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    // `bonding_masters` is a file beside the links.
    names.retain(|name| name != "bonding_masters");
    names.sort();
    names
}

fn refused(name: &str, why: impl Into<String>) -> SourceError {
    SourceError::whole(Outside::from(name), Trouble::Unreadable(why.into()))
}

/// The one sentence for an error of the system while a capture on `name` was opened.
fn unopened(name: &str, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => refused(name, not_permitted()),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => refused(name, no_such_link()),
        io::ErrorKind::OutOfMemory => refused(name, "there is no memory for the ring; make it smaller with --ring"),
        _ => refused(name, format!("capturing cannot be started: {error}")),
    }
}

fn no_such_link() -> String {
    let names: Vec<String> = links().iter().map(|name| Outside::from(name.as_str()).to_string()).collect();
    format!("there is no such interface; there are {}", names.join(", "))
}

fn not_permitted() -> String {
    let path =
        std::env::current_exe().map_or_else(|_| "netdiag".to_owned(), |path| path.to_string_lossy().into_owned());
    format!(
        "capturing needs the right CAP_NET_RAW; run as root, or grant it once with `sudo setcap cap_net_raw+ep {}`, \
         or in a systemd unit with `AmbientCapabilities=CAP_NET_RAW`",
        Outside::from(path.as_str())
    )
}
