//! What trackers conclude from several frames, and say to detectors; what is large is shared, so that saying costs little.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::{
    AddressUse, Announced, Attempt, BrokerStep, Burst, Content, Contested, Copied, DhcpStep, DomainId, Echo, FileStep,
    Freed, Jump, Lapse, Moved, OneSided, Overheard, Oversized, Prefix, Proof, Refusal, Request, Silence, Stall,
    StillTooBig, Storm, Stuck, TooBig, Torn, TreeStep, Unreached, Unseen, Wanted,
};
use crate::event::{Cited, Direction, FrameRef, VantageId};
use crate::value::{Mac, TagStack, Timestamp};
use crate::wire::DhcpKind;

/// What trackers conclude from several frames.
#[derive(Clone, Debug)]
pub enum Derived {
    /// The stamps of a vantage jumped back, or far ahead.
    ClockJumped(Jump),
    /// A frame that no wire carries as it stands: the card was to cut it, or the kernel has put it together.
    SuperFrame(Cited),
    /// A vantage shows many segments and nothing of the other direction: of one connection, or of all.
    OneDirection(OneSided),
    /// An echo request was answered, or not within a second.
    Echo(Arc<Echo>),
    /// A segment is sent again and again, and not acknowledged.
    SegmentStuck(Arc<Stuck>),
    /// A segment that was stuck arrived.
    SegmentFreed(Arc<Freed>),
    /// A router says that a packet was too large for the path.
    TooBig(Arc<TooBig>),
    /// A sender that was told so goes on as before.
    StillTooBig(Arc<StillTooBig>),
    /// Packets arrive at a device that are longer than it takes; told again whenever there is more to tell.
    Oversized(Arc<Oversized>),
    /// Pieces of a packet did not come.
    Torn(Arc<Torn>),
    /// A connection opens in two tags or in a tunnel, and says how large its segments may be.
    Announced(Arc<Announced>),
    /// Much is sent again between two hosts.
    Storm(Arc<Storm>),
    /// Data was acknowledged that the capture does not hold.
    DataUnseen(Unseen),
    /// A packet in two tags or more reached its receiver: it was acknowledged, or answered.
    Delivered(Passed),
    /// An echo request in two tags or more was not answered.
    EchoLost(Passed),
    /// A message of a DHCP conversation.
    Dhcp(Arc<DhcpStep>),
    /// A frame to everybody came again and again.
    Copied(Box<Copied>),
    /// A second with many broadcasts.
    Burst(Box<Burst>),
    /// An address came in at another port.
    Moved(Box<Moved>),
    /// Frames for others leave at a guest's tap.
    Overheard(Box<Overheard>),
    /// The first packet from an address whose lease has ended, or that was given back.
    AddressUsed(Arc<AddressUse>),
    /// Something happened in a spanning tree.
    Tree(Box<TreeStep>),
    /// Nothing arrives at an uplink; told again when it has lasted.
    Silent(Box<Silence>),
    /// Frames arrive at an uplink again, which was silent since then.
    Restored(VantageId, Timestamp),
    /// A station does not answer any more; told again whenever there is more to tell.
    Lapsed(Arc<Lapse>),
    /// A station of which that was told proves that it hears.
    Revived(Revived),
    /// A connection does not open; told again whenever there is more to tell.
    Unopened(Arc<Attempt>),
    /// A connection of which that was told opened, or was refused.
    Connected {
        /// In which network the client was seen.
        domain: DomainId,
        /// The client.
        client: IpAddr,
        /// The server.
        server: IpAddr,
        /// Its port.
        port: u16,
        /// When the server answered.
        at: Timestamp,
    },
    /// A connection was refused.
    Refused(Arc<Refusal>),
    /// A client tries a network behind its gateway in vain; told again whenever there is more to tell.
    Unreached(Arc<(DomainId, Unreached)>),
    /// Somebody of such a network answered.
    Reached {
        /// In which network the client was seen.
        domain: DomainId,
        /// The client.
        client: IpAddr,
        /// The network that answers.
        prefix: Prefix,
        /// Who answered.
        server: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// A port that had refused a connection accepted one.
    Accepted {
        /// In which network the client was seen.
        domain: DomainId,
        /// Whose.
        server: IpAddr,
        /// Which.
        port: u16,
        /// When.
        at: Timestamp,
    },
    /// Two stations speak for one address.
    Contested(Arc<Contested>),
    /// Somebody is known to answer by ARP in the name of others.
    ProxyArp {
        /// In which network, as seen at one vantage.
        domain: DomainId,
        /// Who.
        mac: Mac,
    },
    /// A receiver of TCP takes no more; told again when it has lasted.
    Stalled(Arc<Stall>),
    /// A receiver of which that was told takes data again, or its connection is over.
    Drained {
        /// In which network.
        domain: DomainId,
        /// Who.
        receiver: (IpAddr, u16),
        /// Who waited.
        sender: (IpAddr, u16),
        /// When.
        at: Timestamp,
    },
    /// Something happened to a connection with a message broker.
    Broker(BrokerStep),
    /// A large message of AMQP is announced, or more of it passed; told again whenever there is more to tell.
    Content(Arc<Content>),
    /// Something was done to a base image over NFS.
    File(Arc<FileStep>),
    /// A request of HTTP was answered, or waits for long.
    Http(Arc<Request>),
    /// An address is asked for by ARP and nobody answers; told again whenever there is more to tell.
    Wanted(Arc<Wanted>),
    /// An address of which that was told is there.
    Found {
        /// In which network.
        domain: DomainId,
        /// The address.
        ip: Ipv4Addr,
        /// Who has it.
        mac: Mac,
        /// When it spoke.
        at: Timestamp,
    },
}

/// What conclusions are about, by which a rule says what it must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Topic {
    /// What the capture itself cannot show, or shows wrong.
    Capture,
    /// Echo requests and their answers.
    Echo,
    /// Segments that are sent again and again, and how they end.
    Segment,
    /// Routers' words about the sizes that paths take.
    PathMtu,
    /// Pieces of packets that did not come.
    Fragment,
    /// Segment sizes that connections in tags or tunnels announce.
    SegmentSize,
    /// Packets in two tags or more that arrived, or did not.
    Delivery,
    /// Packets that are longer than the device takes where they arrive.
    Size,
    /// Questions for an address.
    Discover,
    /// Offers of one.
    Offer,
    /// Questions for what was offered, or to keep it.
    Request,
    /// Grants.
    Ack,
    /// Refusals.
    Nak,
    /// What else is said in DHCP conversations: what is declined, given back, or asked for beside an address.
    OtherDhcp,
    /// Addresses in use whose time is over.
    AddressUse,
    /// Frames to everybody.
    Broadcast,
    /// Ports behind which addresses live, and what leaves at them.
    Port,
    /// Spanning trees.
    Tree,
    /// Uplinks at which nothing arrives.
    Uplink,
    /// Stations that hear nothing any more.
    Station,
    /// Attempts to reach somebody.
    Attempt,
    /// Addresses that are asked for, or that several claim.
    Address,
    /// Receivers that take no more.
    Stall,
    /// Connections to message brokers.
    Broker,
    /// Large messages of AMQP.
    Amqp,
    /// Files on NFS.
    Nfs,
    /// Requests of HTTP.
    Http,
}

impl Topic {
    /// How many there are.
    pub const COUNT: usize = Self::Http as usize + 1;

    /// Whether it is told by those who wait for something, and begin anew once nobody listened for a while.
    pub const fn is_awaited(self) -> bool {
        matches!(
            self,
            Self::Echo
                | Self::Segment
                | Self::Fragment
                | Self::Discover
                | Self::Offer
                | Self::Request
                | Self::Ack
                | Self::Nak
                | Self::OtherDhcp
                | Self::AddressUse
                | Self::Station
                | Self::Attempt
                | Self::Address
                | Self::Stall
                | Self::Amqp
                | Self::Http
        )
    }
}

impl Derived {
    /// What it is about.
    pub fn topic(&self) -> Topic {
        match self {
            Self::ClockJumped(..) | Self::SuperFrame(..) | Self::OneDirection(..) | Self::DataUnseen(..) => {
                Topic::Capture
            }
            Self::Echo(..) => Topic::Echo,
            Self::SegmentStuck(..) | Self::SegmentFreed(..) | Self::Storm(..) => Topic::Segment,
            Self::TooBig(..) | Self::StillTooBig(..) => Topic::PathMtu,
            Self::Torn(..) => Topic::Fragment,
            Self::Announced(..) => Topic::SegmentSize,
            Self::Delivered(..) | Self::EchoLost(..) => Topic::Delivery,
            Self::Oversized(..) => Topic::Size,
            Self::Dhcp(step) => match step.kind {
                DhcpKind::Discover => Topic::Discover,
                DhcpKind::Offer => Topic::Offer,
                DhcpKind::Request => Topic::Request,
                DhcpKind::Ack => Topic::Ack,
                DhcpKind::Nak => Topic::Nak,
                _ => Topic::OtherDhcp,
            },
            Self::AddressUsed(..) => Topic::AddressUse,
            Self::Copied(..) | Self::Burst(..) => Topic::Broadcast,
            Self::Moved(..) | Self::Overheard(..) => Topic::Port,
            Self::Tree(..) => Topic::Tree,
            Self::Silent(..) | Self::Restored(..) => Topic::Uplink,
            Self::Lapsed(..) | Self::Revived(..) => Topic::Station,
            Self::Unopened(..)
            | Self::Connected { .. }
            | Self::Refused(..)
            | Self::Unreached(..)
            | Self::Reached { .. }
            | Self::Accepted { .. } => Topic::Attempt,
            Self::Contested(..) | Self::ProxyArp { .. } | Self::Wanted(..) | Self::Found { .. } => Topic::Address,
            Self::Stalled(..) | Self::Drained { .. } => Topic::Stall,
            Self::Broker(..) => Topic::Broker,
            Self::Content(..) => Topic::Amqp,
            Self::File(..) => Topic::Nfs,
            Self::Http(..) => Topic::Http,
        }
    }
}

/// A station that hears again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revived {
    /// Who.
    pub mac: Mac,
    /// Where.
    pub domain: DomainId,
    /// The frame that proves it.
    pub proof: Proof,
}

/// A packet that passed a vantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The frame that tells.
    pub at: FrameRef,
    /// Which way the packet went.
    pub direction: Direction,
    /// Its tags.
    pub tags: TagStack,
    /// Its bytes of layer 3.
    pub packet_len: u32,
}
