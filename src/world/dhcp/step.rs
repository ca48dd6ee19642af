//! One message of a DHCP conversation, with what the conversation so far says of it (RFC 2131).

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::DomainId;
use super::checksum::Checksum;
use super::defect::Defect;
use super::lease::{Lease, Terms};
use crate::event::Cited;
use crate::value::{Few, Mac, Outside, Span, Timestamp};
use crate::wire::{Dhcp, DhcpKind};

/// One client in one network; numbers grow in order of the first message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TalkId(pub(super) u64);

/// How a client asks for an address (RFC 2131 section 4.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// For what a server offered it: the server is named (option 54).
    Selecting,
    /// For an address it had before it started: no server named, `ciaddr` zero.
    InitReboot,
    /// Its own server to keep what it has: by unicast.
    Renewing,
    /// Any server to keep what it has: by broadcast.
    Rebinding,
}

/// The question that an answer belongs to, with all its tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// DISCOVER, REQUEST or INFORM.
    pub kind: DhcpKind,
    /// How it asked, in a REQUEST.
    pub asking: Option<Asking>,
    /// The first try.
    pub first: Timestamp,
    /// The last try before the answer.
    pub last: Timestamp,
    /// Tries.
    pub tries: u32,
}

/// A question and its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pair {
    /// DISCOVER, and the OFFER of an address.
    DiscoverOffer,
    /// REQUEST for what was offered, or had before, and its ACK.
    RequestAck,
    /// REQUEST to keep an address, and its ACK.
    RenewalAck,
    /// INFORM, and its ACK.
    InformAck,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiscoverOffer => "DISCOVER to OFFER",
            Self::RequestAck => "REQUEST to ACK",
            Self::RenewalAck => "renewal to ACK",
            Self::InformAck => "INFORM to ACK",
        })
    }
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct DhcpStep {
    /// The conversation.
    pub talk: TalkId,
    /// What kind of message.
    pub kind: DhcpKind,
    /// The client, by its hardware address.
    pub client: Mac,
    /// The server that speaks (option 54, else the sender's address), or that the client names.
    pub server: Option<Ipv4Addr>,
    /// The network in which the conversation began.
    pub domain: DomainId,
    /// When, in the order of all frames; the stamp to be shown is that of `cited`.
    pub time: Timestamp,
    /// Transaction.
    pub xid: u32,
    /// Seconds that the client says it has been trying.
    pub secs: u16,
    /// The address that the client has and uses; unspecified where it has none.
    pub ciaddr: Ipv4Addr,
    /// The address that the server gives; unspecified where it gives none.
    pub yiaddr: Ipv4Addr,
    /// The relay; unspecified where none had the message in hand.
    pub giaddr: Ipv4Addr,
    /// Relays passed.
    pub hops: u8,
    /// The address that the client wants or has, of this message or of the last REQUEST.
    pub wanted: Option<Ipv4Addr>,
    /// How the client asks; in answers, how it asked last.
    pub asking: Option<Asking>,
    /// In answers: what they answer, where that was seen.
    pub asked: Option<Asked>,
    /// How often the question was asked so far: this one, or in answers the one that they answer; 0 where that was not seen.
    pub attempt: u32,
    /// How long the client had asked, from its first try on; told of each server's first answer to a question.
    pub took: Option<Span>,
    /// By what the client is known beside its hardware address (option 61); in answers, what the server makes of it (RFC 6842).
    pub client_id: Option<Arc<[u8]>>,
    /// Whether it says again what was said moments ago: a relay's or a mirror's copy, no new try.
    pub is_copy: bool,
    /// Whether a relay had it in hand.
    pub is_relayed: bool,
    /// Whether the client is a boot ROM (vendor class `PXEClient`).
    pub is_pxe: bool,
    /// Whether another station than the client asked last, and no relay: a program that looks for servers under a made-up address.
    pub is_probe: bool,
    /// Whether the client asks for the address of a web proxy (option 252 in its list), as Windows does everywhere.
    pub wants_proxy: bool,
    /// Whether the client asks for its answer by broadcast.
    pub is_broadcast: bool,
    /// Whether the frame went to one station, not to all.
    pub is_unicast: bool,
    /// The address that the packet went to.
    pub to: Option<Ipv4Addr>,
    /// What the server says in words (option 56).
    pub words: Option<Outside>,
    /// What the server offers or grants.
    pub terms: Option<Terms>,
    /// The lease that the client held before this message, as far as its grant was seen.
    pub lease: Option<Lease>,
    /// Whether the UDP checksum is right.
    pub checksum: Checksum,
    /// What is wrong with an offer or a grant.
    pub defects: Few<Defect>,
    /// The station that the frame was sent to.
    pub sent_to: Option<Mac>,
    /// Who sent the frame.
    pub sender: Option<Mac>,
    /// The frame.
    pub cited: Cited,
}

impl Asking {
    /// How a REQUEST asks; relays hand on by unicast what they heard by broadcast.
    pub(super) fn of(dhcp: &Dhcp<'_>, is_unicast: bool) -> Self {
        if dhcp.server_id().is_some() {
            Self::Selecting
        } else if dhcp.ciaddr().is_unspecified() {
            Self::InitReboot
        } else if is_unicast {
            Self::Renewing
        } else {
            Self::Rebinding
        }
    }

    /// Whether the client has an address and wants to keep it.
    pub const fn is_keeping(self) -> bool {
        matches!(self, Self::Renewing | Self::Rebinding)
    }
}

impl DhcpStep {
    /// Whether a client that has an address asks to keep it.
    pub fn is_renewal(&self) -> bool {
        self.kind == DhcpKind::Request && self.asking.is_some_and(Asking::is_keeping)
    }

    /// What a server's answer answers, for counting how long that takes; `None` of refusals and of what answers nothing that was seen.
    pub fn pair(&self) -> Option<Pair> {
        let asked = self.asked?;
        match (self.kind, asked.kind) {
            (DhcpKind::Offer, _) if !self.yiaddr.is_unspecified() => Some(Pair::DiscoverOffer),
            (DhcpKind::Ack, DhcpKind::Inform) => Some(Pair::InformAck),
            (DhcpKind::Ack, DhcpKind::Request) if asked.asking.is_some_and(Asking::is_keeping) => {
                Some(Pair::RenewalAck)
            }
            (DhcpKind::Ack, DhcpKind::Request) => Some(Pair::RequestAck),
            _ => None,
        }
    }

    /// Whether it answers an INFORM: no lease is at stake.
    pub fn is_inform_answer(&self) -> bool {
        self.kind == DhcpKind::Ack && self.asked.is_some_and(|asked| asked.kind == DhcpKind::Inform)
    }
}
