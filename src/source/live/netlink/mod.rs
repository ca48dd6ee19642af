//! The host's own word by netlink (netlink(7), rtnetlink(7)): what it has at the start, and what changes. Needs no rights.
//! It listens before it asks, on the same socket, so that nothing is missed between and the order of news is the order of things.

mod link;
pub(super) mod message;
mod neighbour;
mod picture;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::event::Fact;
use crate::source::SourceError;
use crate::source::live::Device;
use crate::value::Outside;
use message::{Message, messages, request, u32_at};
use picture::Picture;

/// `RTNLGRP_LINK`, `RTNLGRP_NEIGH`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR` (linux/rtnetlink.h).
const GROUPS: [u32; 4] = [1, 3, 5, 9];
/// Bytes of a datagram at most: the kernel makes answers of 32 KiB at most.
const LONGEST: usize = 65_536;
/// Datagrams that one call reads at most: whoever calls has other things to do, too.
const AT_ONCE: usize = 4_096;
/// Bytes that may wait for us; the kernel grants what `net.core.rmem_max` allows.
const WAITING: libc::c_int = 4 << 20;
/// How often an answer is asked for again because things changed while it was given.
const TRIES: u32 = 5;

// Messages (linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const LINK_GONE: u16 = 17;
const ASK_LINKS: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const ADDRESS_GONE: u16 = 21;
const ASK_ADDRESSES: u16 = 22;
const NEW_NEIGHBOUR: u16 = 28;
const NEIGHBOUR_GONE: u16 = 29;
const ASK_NEIGHBOURS: u16 = 30;

/// The facts of this machine, from the kernel.
#[derive(Debug)]
pub struct HostFacts {
    socket: Socket,
    datagram: Vec<u8>,
    picture: Picture,
    /// What is being asked for, if anything is.
    asked: Option<Asked>,
    sequence: u32,
    /// Whether messages were lost, so that everything must be read anew.
    is_torn: bool,
    tears: u64,
}

/// A question to the kernel that is not answered in full yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    about: About,
    tries: u32,
    /// Things changed while the kernel answered.
    is_interrupted: bool,
}

/// What can be asked for, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    Links,
    Addresses,
    Fdb,
}

impl HostFacts {
    /// Opens a socket to the kernel, and listens to news of links, bridges and addresses in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn open() -> Result<Self, SourceError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.set_non_blocking(true)?;
            // Less room only means that a burst of news is more often lost, and then everything is read anew.
            let _ = socket.set_rx_buf_sz(WAITING);
            GROUPS.iter().try_for_each(|group| socket.add_membership(*group))?;
            Ok(socket)
        };
        let socket = open().map_err(|error| trouble(&error))?;
        let datagram = Vec::with_capacity(LONGEST);
        Ok(Self { socket, datagram, picture: Picture::default(), asked: None, sequence: 0, is_torn: false, tears: 0 })
    }

    /// Everything there is now: lower devices before what stands on them, then ports, addresses, forwarding entries, guests, and what could
    /// not be learned. To be called once, before `poll`.
    pub fn read_all(&mut self) -> Vec<Fact> {
        let mut out = Vec::new();
        self.begin(&mut out);
        loop {
            match self.drain(&mut out) {
                // The kernel answers within the call, so that an answer which does not come in one go never comes.
                Ok(read) if read < AT_ONCE => break,
                Ok(_) => {}
                Err(error) => {
                    self.picture.miss("host", &trouble(&error).to_string(), &mut out);
                    break;
                }
            }
        }
        if let Some(asked) = self.asked.take() {
            self.picture.miss(asked.about.name(), "the kernel broke off its answer", &mut out);
        }
        self.picture.facts(out)
    }

    /// What changed since the last call, in the order in which it happened; never waits. Where the kernel lost messages, everything is
    /// read anew, what differs is told, and a `Missing` says that something may have come and gone in between.
    ///
    /// # Errors
    /// When the kernel takes the socket away.
    pub fn poll(&mut self) -> Result<Vec<Fact>, SourceError> {
        let mut out = Vec::new();
        self.drain(&mut out).map_err(|error| trouble(&error))?;
        Ok(out)
    }

    /// Readable when `poll` has something to read.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// The network devices there are, by the kernel's number.
    pub const fn links(&self) -> &BTreeMap<u32, Device> {
        self.picture.devices()
    }

    /// Reads what waits, and comes back with the number of datagrams.
    fn drain(&mut self, out: &mut Vec<Fact>) -> io::Result<usize> {
        let mut read = 0;
        while read < AT_ONCE {
            if self.is_torn && self.asked.is_none() {
                self.mend(out);
            }
            self.datagram.clear();
            match self.socket.recv_from(&mut self.datagram, libc::MSG_TRUNC) {
                // Only the kernel's word counts: it has no port.
                Ok((length, from)) if from.port_number() == 0 => {
                    self.is_torn |= length > self.datagram.len();
                    self.hear(out);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.is_torn = true,
                Err(error) => return Err(error),
            }
            read = read.saturating_add(1);
        }
        Ok(read)
    }

    /// Messages were lost: says so, and reads everything anew.
    fn mend(&mut self, out: &mut Vec<Fact>) {
        self.is_torn = false;
        self.tears = self.tears.saturating_add(1);
        let why = format!(
            "news came faster than it was read, and some was lost ({} so far); everything was read anew, but what came and went in between is not known",
            if self.tears == 1 { "once".to_owned() } else { format!("{} times", self.tears) }
        );
        self.picture.miss("news", &why, out);
        self.begin(out);
    }

    fn begin(&mut self, out: &mut Vec<Fact>) {
        self.picture.begin();
        self.ask(About::Links, 1, out);
    }

    fn ask(&mut self, about: About, tries: u32, out: &mut Vec<Fact>) {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let question = about.question(self.sequence);
        self.asked = Some(Asked { about, tries, is_interrupted: false });
        if let Err(error) = self.socket.send_to(&question, &SocketAddr::new(0, 0), 0) {
            let why = format!("the kernel could not be asked: {}", Outside::from(error.to_string().as_str()));
            self.refused(&why, out);
        }
    }

    /// Takes in the datagram that was read.
    fn hear(&mut self, out: &mut Vec<Fact>) {
        let datagram = std::mem::take(&mut self.datagram);
        for message in messages(&datagram) {
            match message {
                Ok(message) => self.message(&message, out),
                Err(message::Broken) => self.picture.miss("news", "a message of the kernel makes no sense", out),
            }
        }
        self.datagram = datagram;
    }

    fn message(&mut self, message: &Message<'_>, out: &mut Vec<Fact>) {
        let is_answer = message.sequence == self.sequence;
        if let Some(asked) = self.asked.as_mut().filter(|_| is_answer) {
            asked.is_interrupted |= message.flags & message::INTERRUPTED != 0;
        }
        match message.kind {
            message::OVERRUN => self.is_torn = true,
            // Both end an answer, and hold the system's number of what went wrong below zero; 0 is well.
            message::DONE | message::ERROR if is_answer => match u32_at(message.body, 0).map_or(0, u32::cast_signed) {
                0 => self.answered(out),
                error => {
                    let error = io::Error::from_raw_os_error(error.saturating_neg());
                    self.refused(&format!("the kernel refused: {}", Outside::from(error.to_string().as_str())), out);
                }
            },
            kind => {
                tell(&mut self.picture, kind, message.body, out);
            }
        }
    }

    /// The answer is complete: what it did not confirm is gone. Then the next question.
    fn answered(&mut self, out: &mut Vec<Fact>) {
        let Some(asked) = self.asked.take() else { return };
        let about = asked.about;
        match (asked.is_interrupted, asked.tries < TRIES) {
            (true, true) => return self.ask(about, asked.tries.saturating_add(1), out),
            (true, false) => {
                self.picture.miss(
                    about.name(),
                    "things changed each time while they were read; some may be missing",
                    out,
                );
            }
            (false, _) => match about {
                About::Links => self.picture.sweep_devices(out),
                About::Addresses => self.picture.sweep_addresses(out),
                About::Fdb => self.picture.sweep_fdb(out),
            },
        }
        self.next(about, out);
    }

    /// There will be no answer. Then the next question.
    fn refused(&mut self, why: &str, out: &mut Vec<Fact>) {
        let Some(asked) = self.asked.take() else { return };
        self.picture.miss(asked.about.name(), why, out);
        self.next(asked.about, out);
    }

    fn next(&mut self, about: About, out: &mut Vec<Fact>) {
        match about {
            About::Links => self.ask(About::Addresses, 1, out),
            About::Addresses => self.ask(About::Fdb, 1, out),
            About::Fdb => {}
        }
    }
}

/// Enters one piece of news; `None` where it is of no concern.
fn tell(picture: &mut Picture, kind: u16, body: &[u8], out: &mut Vec<Fact>) -> Option<()> {
    match kind {
        NEW_LINK => match link::head(body)? {
            (0, _) => picture.device(link::device(body)?, out),
            (link::BRIDGE_FAMILY, _) => picture.port(link::port(body)?, out),
            _ => {}
        },
        // In the bridge's family it only means that the device has left the bridge.
        LINK_GONE => match link::head(body)? {
            (0, index) => picture.gone(index, out),
            (link::BRIDGE_FAMILY, index) => picture.port_gone(index, out),
            _ => {}
        },
        NEW_ADDRESS => {
            let (index, address) = neighbour::address(body)?;
            picture.address(index, address, out);
        }
        ADDRESS_GONE => {
            let (index, address) = neighbour::address(body)?;
            picture.address_gone(index, address, out);
        }
        NEW_NEIGHBOUR => picture.learned(neighbour::entry(body)?, out),
        NEIGHBOUR_GONE => picture.forgot(neighbour::entry(body)?, out),
        _ => {}
    }
    Some(())
}

impl About {
    const fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Addresses => "addresses",
            Self::Fdb => "fdb",
        }
    }

    fn question(self, sequence: u32) -> Vec<u8> {
        match self {
            // After `struct ifinfomsg` an attribute IFLA_EXT_MASK (29) with RTEXT_FILTER_SKIP_STATS (8): no statistics.
            Self::Links => {
                let mask = [&8u16.to_ne_bytes()[..], &29u16.to_ne_bytes(), &8u32.to_ne_bytes()].concat();
                request(ASK_LINKS, sequence, &[&[0; 16][..], &mask].concat())
            }
            Self::Addresses => request(ASK_ADDRESSES, sequence, &[0; 8]),
            Self::Fdb => {
                let mut body = [0; 12];
                body[0] = link::BRIDGE_FAMILY;
                request(ASK_NEIGHBOURS, sequence, &body)
            }
        }
    }
}

fn trouble(error: &io::Error) -> SourceError {
    SourceError::unreadable(&Outside::from("netlink"), error)
}
