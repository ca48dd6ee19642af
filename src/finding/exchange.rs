//! A DHCP exchange, message by message, and the lease that came of it: for a log, one line a conversation. Facts, not findings.

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::event::FrameRef;
use crate::value::{Mac, Outside, Span, Timestamp};

/// What one client asked for once, with all tries and all answers, until it was settled or given up.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// The same wherever the exchange is captured: the client, its first transaction, and a number where it used that before.
    pub id: String,
    /// The client's hardware address.
    pub client: Mac,
    /// By what it is known beside that, as hexadecimal digits (option 61).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its name for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<Outside>,
    /// The network: `untagged`, or its tags.
    pub domain: String,
    /// What it asked for.
    pub kind: ExchangeKind,
    /// What it came to.
    pub outcome: Outcome,
    /// The first message.
    pub began: Timestamp,
    /// The last.
    pub ended: Timestamp,
    /// Whether the first message is a question that was seen; else the capture began in the middle, or shows one direction.
    pub from_start: bool,
    /// Its transactions, in order: a client may take a new one with each try.
    pub xids: Vec<String>,
    /// Questions that were asked again.
    pub retransmissions: u32,
    /// Seconds that the client said it had been trying, at most.
    pub secs: u16,
    /// Relays that had messages in hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<Ipv4Addr>,
    /// What was offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offered>,
    /// What was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseClock>,
    /// What was said, in order.
    #[serde(skip)]
    pub messages: Vec<Message>,
    /// Messages beyond those that are kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub messages_left_out: u32,
}

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeKind {
    /// An address, from the beginning.
    Lease,
    /// The address that it had before it started.
    Reboot,
    /// To keep its address.
    Renewal,
    /// Everything but an address.
    Inform,
    /// Nothing: it gives its address back.
    Release,
    /// Nothing: somebody else has the address that it was given.
    Decline,
}

/// What an exchange came to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It went on when the capture ended.
    Open,
    /// An address was granted.
    Granted,
    /// An INFORM was answered.
    Answered,
    /// The client was refused.
    Refused,
    /// The client was offered an address and did not ask for it.
    NotTaken,
    /// No answer came.
    Unanswered,
    /// The client told, and no answer was due.
    Told,
}

/// An offer.
#[derive(Clone, Debug, Serialize)]
pub struct Offered {
    /// Who offered.
    pub server: Option<Ipv4Addr>,
    /// Which address; none in the offer of a boot server.
    pub address: Option<Ipv4Addr>,
    /// For how many seconds.
    pub lease_s: Option<u32>,
    /// How long the client had asked.
    #[serde(rename = "after_s")]
    pub after: Option<Span>,
    /// Whether the client asked for it.
    pub taken: bool,
}

/// The clock of a lease, in packet time: from when the client asked (RFC 2131 section 4.4.5).
#[derive(Clone, Debug, Serialize)]
pub struct LeaseClock {
    /// Who has it.
    pub client: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// Who gave it.
    pub server: Option<Ipv4Addr>,
    /// When it began.
    pub from: Timestamp,
    /// When the client turns to its server; none where it never ends.
    pub t1: Option<Timestamp>,
    /// When the client turns to any server.
    pub t2: Option<Timestamp>,
    /// When it ends.
    pub end: Option<Timestamp>,
    /// How often it was prolonged since it was given, as far as that was seen.
    pub renewals: u32,
}

/// One message of an exchange.
#[derive(Clone, Debug)]
pub struct Message {
    /// The frame.
    pub at: FrameRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Its type, in the upper case of the standards.
    pub kind: String,
    /// Its transaction.
    pub xid: u32,
    /// Who sent the frame.
    pub sender: Option<Mac>,
    /// The server that speaks, or that the client names.
    pub server: Option<Ipv4Addr>,
    /// The address that it is about.
    pub address: Option<Ipv4Addr>,
    /// The relay that had it in hand.
    pub relay: Option<Ipv4Addr>,
    /// How often this was asked so far; in answers, when they came.
    pub attempt: u32,
    /// How long the client had asked, in a server's first answer.
    pub took: Option<Span>,
    /// Whether it says again what was said moments ago: a relay's or a mirror's copy.
    pub is_copy: bool,
}

/// How long answers took, from the first try of their question on.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// The question and its answer.
    pub pair: String,
    /// Answers.
    pub answers: u64,
    /// Half of them took no longer.
    #[serde(rename = "p50_s")]
    pub p50: Span,
    /// 95 of 100.
    #[serde(rename = "p95_s")]
    pub p95: Span,
    /// 99 of 100.
    #[serde(rename = "p99_s")]
    pub p99: Span,
    /// The longest.
    #[serde(rename = "max_s")]
    pub max: Span,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lease => "lease",
            Self::Reboot => "reboot",
            Self::Renewal => "renewal",
            Self::Inform => "inform",
            Self::Release => "release",
            Self::Decline => "decline",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Granted => "granted",
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::NotTaken => "not taken",
            Self::Unanswered => "unanswered",
            Self::Told => "told",
        })
    }
}
