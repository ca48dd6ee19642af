//! Requests of HTTP/1.1 (RFC 9112) and when they were answered. At most 4,096 connections with a request that waits, and one request of each:
//! the next one on a connection shows that the one before it was answered, unseen.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Frame, VantageId};
use crate::settings::Settings;
use crate::value::{Outside, Span, TimedMap, Timestamp};
use crate::wire::stream::http::{Message, plain_len};
use crate::wire::{Kind, Kinds};

/// Connections with a request that waits.
const MOST: usize = 4_096;
/// Digits of a part of a path that make it an identifier.
const DIGITS: usize = 8;
/// The status of what comes before an answer: 100, 102, 103 (RFC 9110 section 15.2). 101 is one.
const INTERIM: [u16; 3] = [100, 102, 103];

/// Requests that wait.
pub struct Requests {
    patience: Span,
    waiting: TimedMap<Connection, Arc<Request>>,
}

/// A network, the client, and the server.
type Connection = (DomainId, (IpAddr, u16), (IpAddr, u16));

/// A request, and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it was seen.
    pub vantage: VantageId,
    /// The client: address and port.
    pub client: (IpAddr, u16),
    /// The server: address and port.
    pub server: (IpAddr, u16),
    /// What is asked for: the method, the path with identifiers taken out, and what an API is to do.
    pub what: Outside,
    /// Whether an API of the kind of EC2 is asked to do something.
    pub is_action: bool,
    /// When it began.
    pub asked: Timestamp,
    /// Its place in the order.
    pub order: Timestamp,
    /// The sequence number with which it begins.
    pub seq: u32,
    /// That behind its first segment.
    pub end: u32,
    /// The next number that was expected of the server.
    pub expects: u32,
    /// What became of it.
    pub fate: Fate,
    /// The request, and the answer.
    pub cited: Vec<Cited>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waits,
    /// It was answered, with this status.
    Answered(u16),
    /// Its connection was broken off by a reset.
    Broken,
}

impl Requests {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        Self { patience: Span::secs(settings.services.slow_answer_s), waiting: TimedMap::new(MOST) }
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let frame = seen.frame;
        let (Some(tcp), Some(ip)) = (frame.layers.tcp(), frame.layers.inner_ip()) else { return };
        let domain = domains.root(seen.domain);
        let (from, to) = ((ip.src(), tcp.src_port()), (ip.dst(), tcp.dst_port()));
        if tcp.is_syn() || tcp.is_rst() {
            for key in [(domain, from, to), (domain, to, from)] {
                if let Some(request) = self.waiting.remove(&key) {
                    out.push(Derived::Http(Arc::new(Request { fate: Fate::Broken, ..request.as_ref().clone() })));
                }
            }
            return;
        }
        let end = tcp.seq().wrapping_add(tcp.payload_len());
        match Message::parse(frame.layers.rest) {
            Some(Message::Request { method, path, action }) => {
                let key = (domain, from, to);
                // The same segment again.
                if self.waiting.peek(&key).is_some_and(|request| request.seq == tcp.seq()) {
                    return;
                }
                let request = Request {
                    vantage: frame.at.vantage,
                    client: from,
                    server: to,
                    what: named(method, path, action),
                    is_action: action.is_some(),
                    asked: frame.time,
                    order: frame.order,
                    seq: tcp.seq(),
                    end,
                    expects: tcp.ack(),
                    fate: Fate::Waits,
                    cited: vec![cited(frame)],
                };
                self.waiting.insert_until(key, Arc::new(request), frame.order.after(self.patience));
            }
            Some(Message::Response(status)) => {
                let key = (domain, to, from);
                if INTERIM.contains(&status) {
                    if let Some(request) = self.waiting.get_mut(&key) {
                        Arc::make_mut(request).expects = end;
                    }
                } else if let Some(mut request) = self.waiting.remove(&key) {
                    let answered = Arc::make_mut(&mut request);
                    answered.fate = Fate::Answered(status);
                    answered.cited.push(cited(frame));
                    out.push(Derived::Http(request));
                }
            }
            None => {}
        }
    }
}

/// The frame without what may be secret in it.
fn cited(frame: &Frame<'_>) -> Cited {
    let payload = frame.layers.rest;
    let headers = frame.bytes.len().saturating_sub(payload.len());
    Cited::first(frame, headers.saturating_add(plain_len(payload)))
}

/// What is asked for, without what differs from one request to the next, and without secrets.
fn named(method: &[u8], path: &[u8], action: Option<&[u8]>) -> Outside {
    let parts = path.split(|byte| *byte == b'/').map(|part| if is_identifier(part) { &b"{id}"[..] } else { part });
    let path = parts.collect::<Vec<_>>().join(&b'/');
    match action {
        Some(action) => Outside::from_bytes(&[method, b" ", &path, b" Action=", action].concat()),
        None => Outside::from_bytes(&[method, b" ", &path].concat()),
    }
}

/// Whether a part of a path is a number or a UUID, with hyphens or without.
fn is_identifier(part: &[u8]) -> bool {
    let is_number = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_hexadecimal = part.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    is_number || (part.len() >= DIGITS && is_hexadecimal && part.iter().any(u8::is_ascii_digit))
}

impl Tracker for Requests {
    fn hears(&self) -> Kinds {
        if self.waiting.is_empty() {
            const { Kinds::of(&[Kind::Message]) }
        } else {
            const { Kinds::of(&[Kind::Message, Kind::TcpOpening]) }
        }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        if let Observation::Packet(seen) = seen {
            self.note(seen, domains, out);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.next_deadline()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        while let Some(key) = self.waiting.due(now) {
            // It stays: the answer may still come.
            out.extend(self.waiting.peek(&key).map(|request| Derived::Http(Arc::clone(request))));
        }
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_taken_out_of_a_path() {
        let of = |path: &[u8]| named(b"GET", path, None).raw().to_owned();
        assert_eq!(of(b"/v2/5a3f1c0d9e8b7a65/servers/42"), "GET /v2/{id}/servers/{id}");
        assert_eq!(of(b"/v3/auth/tokens"), "GET /v3/auth/tokens");
        assert_eq!(of(b"/v2/images/7b478350-8212-f5d2-42cb-f9ff56fb8d33/file"), "GET /v2/images/{id}/file");
        assert_eq!(of(b"/facade/deadbeef"), "GET /facade/deadbeef", "a word of eight letters");
        let action = named(b"POST", b"/services/Cloud", Some(b"RunInstances"));
        assert_eq!(action.raw(), "POST /services/Cloud Action=RunInstances");
    }
}
