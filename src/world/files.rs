//! What NFS clients do to base images of instances (nova's `_base`): who removed one, who made one, and who looked for one that is not there.
//! A call counts once the server has answered it. At most 1,024 calls wait; of other names nothing is kept.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, VantageId};
use crate::value::{Outside, Span, TimedMap, Timestamp};
use crate::wire::stream::nfs::{Act, acts};
use crate::wire::stream::rpc::{Call, Message, messages};
use crate::wire::{Kind, Kinds};

/// Calls that wait for their answer.
const MOST: usize = 1_024;
/// How long an answer may take: a client asks again after a minute (Linux `timeo=600`).
const PATIENCE: Span = Span::secs(60);
/// How the name of a base image begins: the SHA-1 of the image's identifier, in hexadecimal digits.
const DIGITS: usize = 40;
/// `NFS3_OK`, `NFS4_OK`.
const OK: u32 = 0;
/// `NFS3ERR_NOENT`, `NFS4ERR_NOENT`.
const NOENT: u32 = 2;

/// Calls about base images that wait.
pub struct Files {
    waiting: TimedMap<CallKey, Arc<FileStep>>,
}

/// The network, the client, the server, and the number of the call.
type CallKey = (DomainId, (IpAddr, u16), (IpAddr, u16), u32);

/// What a client did to a base image.
#[derive(Clone, Debug)]
pub struct FileStep {
    /// Where it was seen.
    pub vantage: VantageId,
    /// The client.
    pub client: IpAddr,
    /// As whom it asked: the machine's name and the user, where it said so.
    pub caller: Option<(Outside, u32)>,
    /// The server: address and port.
    pub server: (IpAddr, u16),
    /// The file.
    pub name: Outside,
    /// What was done.
    pub deed: Deed,
    /// When it was asked for.
    pub at: Timestamp,
    /// The call, and the answer.
    pub cited: Vec<Cited>,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its name was taken away, by removing it or by giving it another.
    Removed,
    /// It was made, or something else was given its name.
    Made,
    /// It was looked for, and is not there.
    Missed,
}

impl Default for Files {
    fn default() -> Self {
        Self { waiting: TimedMap::new(MOST) }
    }
}

impl Files {
    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let layers = &seen.frame.layers;
        let (Some(tcp), Some(ip)) = (layers.tcp(), layers.inner_ip()) else { return };
        let domain = domains.root(seen.domain);
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        for message in messages(layers.rest) {
            match message {
                Message::Call(call) => {
                    // Of the last operation on such a name: those before it only lead there.
                    if let Some((deed, name)) = acts(&call).filter_map(deed).last() {
                        let step = FileStep::asked(from.0, to, &call, (deed, name), seen);
                        let due = seen.frame.order.after(PATIENCE);
                        self.waiting.insert_until((domain, from, to, call.xid), Arc::new(step), due);
                    }
                }
                Message::Reply { xid, status } => {
                    if let Some(mut step) = self.waiting.remove(&(domain, to, from, xid)) {
                        let is_so = match step.deed {
                            Deed::Removed | Deed::Made => status == Some(OK),
                            Deed::Missed => status == Some(NOENT),
                        };
                        if is_so {
                            Arc::make_mut(&mut step).cited.push(Cited::beginning(seen.frame));
                            out.push(Derived::File(step));
                        }
                    }
                }
            }
        }
    }
}

impl FileStep {
    fn asked(
        client: IpAddr,
        server: (IpAddr, u16),
        call: &Call<'_>,
        (deed, name): (Deed, &[u8]),
        seen: &Seen<'_>,
    ) -> Self {
        let frame = seen.frame;
        Self {
            vantage: frame.at.vantage,
            client,
            caller: call.caller.map(|(machine, user)| (Outside::from_bytes(machine), user)),
            server,
            name: Outside::from_bytes(name),
            deed,
            at: frame.time,
            cited: vec![Cited::of(frame)],
        }
    }
}

/// What `act` does to a base image, if to one at all: to look for one says something only where it is not there.
fn deed(act: Act<'_>) -> Option<(Deed, &[u8])> {
    let (deed, name) = match act {
        Act::Remove(name) => (Deed::Removed, name),
        // A file that its own client still uses is moved aside until it is closed, as `.nfs` and a number.
        Act::Rename(from, to) if is_base_image(from) && !to.starts_with(b".nfs") => (Deed::Removed, from),
        // It is fetched under a name of its own first.
        Act::Rename(_, to) | Act::Make(to) => (Deed::Made, to.strip_suffix(b".part").unwrap_or(to)),
        Act::Look(name) => (Deed::Missed, name),
    };
    is_base_image(name).then_some((deed, name))
}

/// Whether nova gives `name` to a base image: 40 hexadecimal digits, and a size in gigabytes behind an underscore where it was made larger.
fn is_base_image(name: &[u8]) -> bool {
    let Some((digest, size)) = name.split_at_checked(DIGITS) else { return false };
    let is_size = |size: &[u8]| !size.is_empty() && size.iter().all(u8::is_ascii_digit);
    digest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && (size.is_empty() || size.strip_prefix(b"_").is_some_and(is_size))
}

impl Tracker for Files {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::Message]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, domains, out);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, _out: &mut Vec<Derived>) {
        while self.waiting.pop(now).is_some() {}
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_image_is_told_by_its_name() {
        let digest = b"7b4783508212f5d242cbf9ff56fb8d33b4ce6166";
        let named = |tail: &[u8]| is_base_image(&[digest, tail].concat());
        assert!(named(b"") && named(b"_10"));
        assert!(!named(b"_") && !named(b"_10a") && !named(b".part") && !is_base_image(b"console.log"));
        assert_eq!(deed(Act::Rename(digest, b".nfs000")), None);
        assert_eq!(deed(Act::Rename(b"tmp", digest)), Some((Deed::Made, &digest[..])));
        assert_eq!(deed(Act::Make(&[&digest[..], b".part"].concat())), Some((Deed::Made, &digest[..])));
    }
}
