//! Messages of services over TCP, where they begin with a segment: a program writes a message at a time, so that nearly all do. One that begins
//! in the midst of a segment is not seen, and nothing is put together: of a message that goes on in further segments the beginning is read.

use crate::value::{Bytes, Outside};

pub mod amqp;
pub mod http;
pub mod nfs;
pub mod rpc;
mod xdr;

/// Whether `payload` begins as a message that is read here: a look at its first bytes, at every segment.
#[inline(always)]
pub(super) fn begins(payload: &[u8]) -> bool {
    let Some(head) = payload.first_chunk::<20>() else { return false };
    match head[0] {
        amqp::METHOD | amqp::HEADER => amqp::begins(head),
        rpc::WHOLE => rpc::begins(head),
        b'G' | b'P' | b'H' | b'D' | b'O' => http::begins(head),
        _ => false,
    }
}

/// What the message is that `payload` begins with, for a person; safe for a terminal. Of a query nothing is said: it may hold secrets.
pub(super) fn summary(payload: &[u8]) -> Option<String> {
    let text = Outside::from_bytes;
    match http::Message::parse(payload) {
        Some(http::Message::Request { method, path, action: None }) => {
            return Some(format!("HTTP {} {}", text(method), text(path)));
        }
        Some(http::Message::Request { method, path, action: Some(action) }) => {
            return Some(format!("HTTP {} {} Action={}", text(method), text(path), text(action)));
        }
        Some(http::Message::Response(status)) => return Some(format!("HTTP {status}")),
        None => {}
    }
    let largest = amqp::parts(payload)
        .filter_map(|part| if let amqp::Part::Header { body, .. } = part { Some(body) } else { None })
        .max();
    if let Some(body) = largest {
        return Some(format!("AMQP message of {}", Bytes(body)));
    }
    match rpc::messages(payload).next().filter(|_| begins(payload))? {
        rpc::Message::Call(call) => Some(format!("NFS {}", text_of(nfs::acts(&call).last()?))),
        rpc::Message::Reply { status, .. } => Some(format!("RPC reply, status {}", status?)),
    }
}

fn text_of(act: nfs::Act<'_>) -> String {
    let text = Outside::from_bytes;
    match act {
        nfs::Act::Remove(name) => format!("REMOVE {}", text(name)),
        nfs::Act::Rename(from, to) => format!("RENAME {} to {}", text(from), text(to)),
        nfs::Act::Make(name) => format!("CREATE {}", text(name)),
        nfs::Act::Look(name) => format!("LOOKUP {}", text(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_said_in_a_few_words_and_without_its_query() {
        let said = |payload: &[u8]| summary(payload).unwrap_or_default();
        assert_eq!(said(b"GET /v2/servers?token=secret HTTP/1.1\r\n"), "HTTP GET /v2/servers");
        assert_eq!(said(b"GET /a\x1b[31m HTTP/1.1\r\n\r\n"), "HTTP GET /a\\u{1b}[31m");
        assert_eq!(said(b"HTTP/1.1 504 Gateway Timeout\r\n"), "HTTP 504");
        assert_eq!(said(b"SSH-2.0-OpenSSH_9.2p1 Debian-2"), "");
    }

    #[test]
    fn what_begins_otherwise_is_not_looked_at() {
        assert!(!begins(b""));
        assert!(!begins(&[0; 64]));
        assert!(!begins(b"SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        assert!(!begins(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "TLS");
        assert!(!begins(&[1; 32]), "a frame of AMQP as large as that is none");
        assert!(begins(b"GET /v2/servers HTTP/1.1\r\n"));
    }
}
