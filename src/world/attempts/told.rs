//! What is told of attempts: a connection that does not open, and one that is refused.

use std::net::IpAddr;

use super::target::Prefix;
use crate::event::{Cited, VantageId};
use crate::value::{Mac, Timestamp};
use crate::world::DomainId;

/// A connection that does not open.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// In which network the client was seen.
    pub domain: DomainId,
    /// Who tries.
    pub client: IpAddr,
    /// By its address on the link.
    pub client_mac: Mac,
    /// Whom.
    pub server: IpAddr,
    /// At which port.
    pub port: u16,
    /// Whom the client sends it to on the link: the server itself, or a gateway.
    pub gateway: Mac,
    /// Where it was seen.
    pub vantage: VantageId,
    /// The first SYN without an answer.
    pub since: Timestamp,
    /// By when.
    pub until: Timestamp,
    /// SYNs.
    pub sends: u64,
    /// Attempts that these make.
    pub attempts: u64,
    /// When the server answered anybody last.
    pub alive: Option<Timestamp>,
    /// Whether the server accepted anybody at this port.
    pub is_served: bool,
    /// The member of a bond at which its answer was seen, which the bond did not take in.
    pub thrown_away: Option<VantageId>,
    /// Other clients that the server does not answer.
    pub others: usize,
    /// When another network that is not the client's own answered it last, and which.
    pub elsewhere: Option<(Timestamp, Prefix)>,
    /// The SYNs.
    pub cited: Vec<Cited>,
}

/// A connection that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// In which network the client was seen.
    pub domain: DomainId,
    /// Who tried.
    pub client: IpAddr,
    /// By its address on the link.
    pub client_mac: Mac,
    /// Whom.
    pub server: IpAddr,
    /// At which port.
    pub port: u16,
    /// Whether the server accepted anybody at this port before.
    pub is_served: bool,
    /// The time to live of the refusal, and of the server's other answers.
    pub ttl: (u8, Option<u8>),
    /// The refusal.
    pub cited: Cited,
}
