//! What makes an offer or a grant unusable for a client that takes RFC 2131 by its word. Whether this client minds is judged elsewhere.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::lease::Terms;
use crate::event::Frame;
use crate::value::{Few, Mac};
use crate::wire::{Dhcp, DhcpKind};

/// Bytes of the IPv4 and UDP headers: option 57 counts them in (RFC 2132 section 9.10).
const HEADERS: u32 = 28;

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Defect {
    /// It does not name its server (option 54): clients must ignore it (RFC 2131 table 3).
    NoServer,
    /// It does not say for how long (option 51).
    NoLease,
    /// It gives no address.
    NoAddress,
    /// Its router lies outside the subnet that it gives.
    RouterOutside,
    /// The client should renew after the lease has ended, or ask everybody before it asks its server.
    Clock,
    /// It does not repeat the identifier that the client sent (option 61, RFC 6842).
    NoClientId,
    /// It repeats another identifier than the client sent.
    OtherClientId,
    /// It is sent to another station than the client.
    OtherStation,
    /// It is sent to the client alone, which asked for broadcast.
    NotBroadcast,
    /// It is longer than the client said it takes (option 57).
    TooLong,
    /// Its options do not end, or run over their field.
    Unreadable,
}

/// What an answer must agree with: the question, as far as it was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// Option 61, which all steps of a client share.
    pub client_id: Option<Arc<[u8]>>,
    /// Option 57.
    pub most: Option<u16>,
    /// Whether the answer should come by broadcast.
    pub is_broadcast: bool,
}

impl Wish {
    /// What the question `dhcp` wishes for, where this was wished for before.
    pub fn of(dhcp: &Dhcp<'_>, before: Option<&Self>) -> Self {
        Self {
            client_id: Self::client_id(dhcp, before),
            most: dhcp.option(57).and_then(|most| most.short()),
            is_broadcast: dhcp.is_broadcast(),
        }
    }

    /// The identifier in `dhcp`: the one that is known, if it is that.
    pub fn client_id(dhcp: &Dhcp<'_>, known: Option<&Self>) -> Option<Arc<[u8]>> {
        let id = dhcp.option(61)?;
        let known = known.and_then(|wish| wish.client_id.as_ref()).filter(|known| id.is(known));
        Some(known.map_or_else(|| id.to_bytes().into(), Arc::clone))
    }
}

impl Defect {
    /// All that is wrong with the answer in `frame`, of this kind and on these terms; `wish` is what its question asked for, and `is_inform` whether no lease is at stake.
    pub(super) fn all(
        frame: &Frame<'_>,
        dhcp: &Dhcp<'_>,
        (kind, terms): (DhcpKind, &Terms),
        wish: Option<&Wish>,
        is_inform: bool,
    ) -> Few<Self> {
        let is_boot = dhcp.yiaddr().is_unspecified() && dhcp.is_pxe();
        if is_boot || dhcp.is_cut() {
            return Few::new();
        }
        let mut defects = Few::new();
        let mut say = |defect: Self, is_so: bool| {
            if is_so {
                defects.push(defect);
            }
        };
        say(Self::Unreadable, !dhcp.has_sound_options());
        say(Self::NoServer, dhcp.server_id().is_none());
        if !is_inform {
            let has_none =
                dhcp.yiaddr().is_unspecified() && (kind == DhcpKind::Offer || dhcp.ciaddr().is_unspecified());
            say(Self::NoAddress, has_none);
            say(Self::NoLease, terms.lease.is_none());
            say(Self::RouterOutside, is_router_outside(dhcp, terms));
            say(Self::Clock, is_clock_wrong(dhcp.t1(), dhcp.t2(), terms.lease));
        }
        if let Some(wish) = wish {
            let sent = wish.client_id.as_deref();
            let have = dhcp.option(61);
            say(Self::NoClientId, sent.is_some() && have.is_none());
            say(Self::OtherClientId, have.zip(sent).is_some_and(|(have, sent)| !have.is(sent)));
            let len = dhcp.wire_len().saturating_add(HEADERS);
            // A client that says less than everybody must take is not believed (RFC 2131 section 2).
            say(Self::TooLong, wish.most.is_some_and(|most| most >= 576 && len > u32::from(most)));
        }
        // What goes to a relay, or to a client that has an address behind a router, is addressed to others.
        if dhcp.giaddr().is_unspecified()
            && dhcp.ciaddr().is_unspecified()
            && let Some(dst) = frame.layers.inner_dst().filter(|dst| dst.is_station())
        {
            say(Self::OtherStation, dst != dhcp.chaddr());
            say(Self::NotBroadcast, dst == dhcp.chaddr() && wish.is_some_and(|wish| wish.is_broadcast));
        }
        defects
    }

    /// In a key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoServer => "no server identifier",
            Self::NoLease => "no lease time",
            Self::NoAddress => "no address",
            Self::RouterOutside => "router outside the subnet",
            Self::Clock => "renewal times in no order",
            Self::NoClientId => "client identifier not repeated",
            Self::OtherClientId => "another client identifier",
            Self::OtherStation => "sent to another station",
            Self::NotBroadcast => "not sent by broadcast",
            Self::TooLong => "longer than the client takes",
            Self::Unreadable => "options without an end",
        }
    }

    /// With the values of the answer with these `terms` at `to`, for a sentence that begins with "it".
    pub fn spoken(self, terms: Option<&Terms>, to: Option<Mac>) -> String {
        let unknown = Ipv4Addr::UNSPECIFIED;
        let router = terms.and_then(|t| t.routers.first().copied()).unwrap_or(unknown);
        let mask = terms.and_then(|t| t.mask).unwrap_or(unknown);
        match self {
            Self::NoServer => "it does not name its server (option 54)".to_owned(),
            Self::NoLease => "it does not say for how long (option 51)".to_owned(),
            Self::NoAddress => "it gives no address".to_owned(),
            Self::RouterOutside => format!("its router {router} lies outside the subnet of its mask {mask}"),
            Self::Clock => {
                let seconds = |n: Option<u32>| n.map_or_else(|| "none".to_owned(), |n| format!("{n} s"));
                let (t1, t2, lease) = terms.map_or((None, None, None), |t| (t.t1, t.t2, t.lease));
                format!("T1 {}, T2 {} and lease {} are in no order", seconds(t1), seconds(t2), seconds(lease))
            }
            Self::NoClientId => "it does not repeat the client's identifier (option 61)".to_owned(),
            Self::OtherClientId => "it repeats another identifier than the client sent (option 61)".to_owned(),
            Self::OtherStation => match to {
                Some(to) => format!("it is sent to {to}, which is not the client"),
                None => "it is sent to another station than the client".to_owned(),
            },
            Self::NotBroadcast => "it is sent to the client alone, which asked for broadcast".to_owned(),
            Self::TooLong => "it is longer than the client says it takes (option 57)".to_owned(),
            Self::Unreadable => "its options do not end, or run over their field".to_owned(),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the first router cannot be reached in the subnet that is given: not so where it is one address (RFC 3442 gives routes then).
fn is_router_outside(dhcp: &Dhcp<'_>, terms: &Terms) -> bool {
    let (Some(mask), Some(router)) = (terms.mask, terms.routers.first()) else { return false };
    let mask = mask.to_bits();
    let is_alone = mask == u32::MAX || mask == 0 || dhcp.option(121).is_some() || dhcp.yiaddr().is_unspecified();
    !is_alone && (router.to_bits() ^ dhcp.yiaddr().to_bits()) & mask != 0
}

/// Whether the times that are told are in no order.
fn is_clock_wrong(t1: Option<u32>, t2: Option<u32>, lease: Option<u32>) -> bool {
    let is_after = |a: Option<u32>, b: Option<u32>| a.zip(b).is_some_and(|(a, b)| a != u32::MAX && a >= b);
    is_after(t1, t2) || is_after(t2, lease) || is_after(t1, lease)
}
