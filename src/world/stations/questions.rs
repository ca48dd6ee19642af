//! What ARP, neighbour discovery, echo and DHCP say of who hears: who asks whom, who answers, and who asks again although it was answered.

use std::net::{IpAddr, Ipv4Addr};

use super::lapse::Stimulus;
use super::{Role, Stations};
use crate::event::{Cited, Frame};
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{Arp, Dhcp, DhcpKind};
use crate::world::{Derived, DomainId};

/// How soon after an answer the same question is a sign that the answer was not heard: two that cross are no sign.
const CROSSING: Span = Span::millis(500);
/// The same of DHCP, where a client waits a second or more before it repeats itself.
const DHCP_CROSSING: Span = Span::secs(1);
/// How long after an answer the same ARP question is the same attempt.
const SAME_ATTEMPT: Span = Span::secs(5);
/// How long after an offer a client that asks anew did not hear it: the longest pause of RFC 2131 section 4.1.
const SAME_QUESTION: Span = Span::secs(64);
/// How long a DHCP server may ask for an address before it offers it (dnsmasq: 3 s).
const FREE_CHECK: Span = Span::secs(4);

/// Answers that a station was given, by which its next question is judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed {
    pub arp: Option<(Ipv4Addr, Timestamp, Cited)>,
    dhcp: Option<Granted>,
}

/// A server's word to a client.
#[derive(Clone, Debug)]
struct Granted {
    is_offer: bool,
    address: IpAddr,
    server: IpAddr,
    at: Timestamp,
    /// A renewal before this is none: the client did not hear that it was renewed (half of T1).
    until: Timestamp,
    /// Whether what the client answers the server would be seen, too.
    is_seen: bool,
    cited: Cited,
}

impl Stations {
    #[inline(never)]
    pub(super) fn note_arp(&mut self, frame: &Frame<'_>, arp: &Arp<'_>, domain: DomainId, out: &mut Vec<Derived>) {
        let (sender, own, wanted) = (arp.sender_mac(), arp.sender_ip(), arp.target_ip());
        if sender.is_station() && !own.is_unspecified() {
            self.bind(own.into(), sender, domain);
        }
        let key = (sender, domain);
        if is_answer(arp) {
            self.hears(frame, key, Some(own.into()), out);
            if let Some(asker) = frame.layers.inner_dst().filter(|dst| dst.is_station()) {
                let owed = self.life.owed.entry(&(asker, domain), Owed::default);
                owed.arp = Some((own, frame.order, Cited::beginning(frame)));
            }
            return;
        }
        if !arp.is_request() || arp.is_probe() || arp.is_gratuitous() {
            return;
        }
        let again = |(ip, at, _): &&(Ipv4Addr, Timestamp, Cited)| {
            *ip == wanted && (CROSSING..=SAME_ATTEMPT).contains(&frame.order.since(*at))
        };
        let answered = self.life.owed.peek(&key).and_then(|owed| owed.arp.as_ref()).filter(again);
        if let Some((_, at, cited)) = answered.cloned()
            && self.table.peek(&key).is_some_and(|s| !s.asks_again)
        {
            self.failed(frame, key, (Stimulus::ArpAnswer, wanted.into()), at, &cited, out);
        }
        let Some(target) = self.life.bound.peek(&(domain, wanted.into())).copied() else { return };
        let checks = self.life.discovers.peek(&domain).is_some_and(|at| frame.order.since(*at) <= FREE_CHECK)
            && self.table.peek(&key).is_some_and(|s| s.has(Role::DhcpServer));
        if target != sender && !checks && self.is_answer_seen(frame, target, domain) {
            self.asked(frame, (target, domain), Stimulus::Arp, own.into(), true);
        }
    }

    #[inline(never)]
    pub(super) fn note_icmp(&mut self, frame: &Frame<'_>, src: Mac, domain: DomainId, out: &mut Vec<Derived>) {
        let layers = &frame.layers;
        let (Some(ip), Some(dst)) = (layers.inner_ip(), layers.inner_dst()) else { return };
        if let Some(icmp) = layers.icmpv6() {
            if let Some(target) = icmp.advertisement_target() {
                self.bind(target.into(), src, domain);
                // The S flag: it was asked (RFC 4861 section 4.4).
                if icmp.body().first().is_some_and(|flags| flags & 0x40 != 0) {
                    self.hears(frame, (src, domain), Some(ip.src()), out);
                }
            } else if let Some(target) = icmp.solicitation_target()
                && !ip.src().is_unspecified()
            {
                self.bind(ip.src(), src, domain);
                let told = Some(dst).filter(|dst| dst.is_station());
                let mac = told.or_else(|| self.life.bound.peek(&(domain, target.into())).copied());
                if let Some(mac) = mac.filter(|mac| *mac != src && self.is_answer_seen(frame, *mac, domain)) {
                    self.asked(frame, (mac, domain), Stimulus::Neighbour, ip.src(), true);
                }
            }
        }
        let (asks, answers) = match (layers.icmp(), layers.icmpv6()) {
            (Some(icmp), _) => (icmp.is_echo_request(), icmp.is_echo_reply()),
            (_, Some(icmp)) => (icmp.is_echo_request(), icmp.is_echo_reply()),
            _ => return,
        };
        if answers {
            self.hears(frame, (src, domain), Some(ip.src()), out);
        } else if asks && self.owns(dst, ip.dst(), domain) && self.is_answer_seen(frame, dst, domain) {
            let is_owed = self.table.peek(&(dst, domain)).is_some_and(|s| s.has(Role::Echo));
            self.asked(frame, (dst, domain), Stimulus::Echo, ip.src(), is_owed);
        }
    }

    #[inline(never)]
    pub(super) fn note_dhcp(
        &mut self,
        frame: &Frame<'_>,
        dhcp: &Dhcp<'_>,
        src: Mac,
        domain: DomainId,
        out: &mut Vec<Derived>,
    ) {
        let (client, Some(kind)) = (dhcp.chaddr(), dhcp.message_type()) else { return };
        if kind == DhcpKind::Discover {
            self.life.discovers.insert(domain, frame.order);
        }
        if !client.is_station() || !dhcp.giaddr().is_unspecified() {
            return;
        }
        let key = (client, domain);
        let Some(server) = frame.layers.inner_ip().map(|ip| ip.src()) else { return };
        match kind {
            DhcpKind::Offer | DhcpKind::Ack => {
                let yiaddr = IpAddr::from(dhcp.yiaddr());
                if kind == DhcpKind::Offer
                    && let Some(owner) = self.life.bound.peek(&(domain, yiaddr)).copied()
                    && let Some(slate) = self.life.slates.get_mut(&(owner, domain))
                {
                    slate.forgive(server, frame.order.after(Span::nanos(FREE_CHECK.as_nanos().saturating_neg())));
                }
                if kind == DhcpKind::Ack && !dhcp.yiaddr().is_unspecified() {
                    self.bind(yiaddr, client, domain);
                }
                let t1 = dhcp.t1().or_else(|| dhcp.lease().map(|lease| lease / 2)).unwrap_or(0);
                let (at, cited) = (frame.order, Cited::of(frame));
                let until = at.after(Span::secs(i64::from(t1 / 2)));
                let (is_offer, is_seen) = (kind == DhcpKind::Offer, self.is_answer_seen(frame, client, domain));
                let granted = Granted { is_offer, address: yiaddr, server, at, until, is_seen, cited };
                self.life.owed.entry(&key, Owed::default).dhcp = Some(granted);
            }
            DhcpKind::Discover | DhcpKind::Request | DhcpKind::Release | DhcpKind::Decline if src == client => {
                let Some(granted) = self.life.owed.get_mut(&key).and_then(|owed| owed.dhcp.take()) else { return };
                if kind != DhcpKind::Request {
                    // It has no address by now, so that it must not answer for the one it had.
                    self.unbind(granted.address, client, domain);
                }
                let waited = frame.order.since(granted.at);
                let is_unheard = match kind {
                    DhcpKind::Discover => granted.is_offer && waited <= SAME_QUESTION,
                    DhcpKind::Request => {
                        !granted.is_offer && !dhcp.ciaddr().is_unspecified() && frame.order < granted.until
                    }
                    _ => false,
                };
                if granted.is_offer && kind == DhcpKind::Request && dhcp.server_id().is_some() {
                    self.hears(frame, key, None, out);
                } else if is_unheard
                    && waited >= DHCP_CROSSING
                    && (granted.is_seen || self.is_answer_seen(frame, client, domain))
                {
                    let what = (Stimulus::Dhcp, granted.server);
                    self.failed(frame, key, what, granted.at, &granted.cited, out);
                }
            }
            _ => {}
        }
    }
}

/// Whether an ARP packet answers a question, and does not speak unasked.
pub(super) fn is_answer(arp: &Arp<'_>) -> bool {
    arp.is_ethernet_ipv4() && arp.is_reply() && !arp.is_gratuitous() && arp.sender_mac().is_station()
}
