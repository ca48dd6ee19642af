//! What comes back instead of an answer: a RST of the server or of the client itself (RFC 9293 section 3.5.2), and ICMP of a router on the way.

use std::net::IpAddr;
use std::sync::Arc;

use super::fresh::Asked;
use super::key::Pair;
use super::port::Port;
use super::target::Server;
use super::{Attempts, Refusal};
use crate::event::{Cited, Frame};
use crate::value::{Span, Timestamp};
use crate::wire::{Ip, Quoted, Tcp};
use crate::world::{Derived, DomainId};

/// How soon a refusal belongs to its question.
const REFUSAL: Span = Span::secs(1);

impl Attempts {
    /// A RST, seen from its receiver: a refusal, or the end of something.
    pub(super) fn resets(&mut self, frame: &Frame<'_>, tcp: &Tcp<'_>, ip: &Ip<'_>, pair: Pair, out: &mut Vec<Derived>) {
        let Pair { domain, client: to, server: from } = pair;
        let at = frame.order;
        // The client itself gives up: it has heard something that is no SYN-ACK, or does not want any more.
        let own = Pair { domain, client: from, server: to };
        if self.fresh.give_up(&own.door(tcp.dst_port()), tcp.src_port()).is_some() {
            return;
        }
        if let Some(ports) = self.pairs.get_mut(&own)
            && let Some(entry) = ports.iter_mut().find(|p| p.number == tcp.dst_port() && p.is_from(tcp.src_port()))
        {
            entry.settle();
            return;
        }
        let port = tcp.src_port();
        self.remember(&pair.door(port), at, out);
        let Some(ports) = self.pairs.get_mut(&pair) else { return };
        let is_asked = |p: &&mut Port| p.number == port && p.is_answered_by(tcp.dst_port(), tcp.ack());
        let Some(entry) = ports.iter_mut().find(is_asked) else { return };
        let is_soon = at.since(entry.last) <= REFUSAL;
        let server = self.servers.entry(&pair.server(), Server::default);
        server.alive = Some(at);
        let (ttl, is_served) = ((ip.ttl(), server.ttl), server.open.contains(&port));
        self.answered(pair, port, at, out);
        let client = self.clients.get(&pair.client());
        let scans = client.is_some_and(|client| client.is_scanning(at));
        if is_soon && !scans && tcp.is_ack() {
            let client_mac = client.map(|c| c.mac).unwrap_or_default();
            let cited = Cited::beginning(frame);
            if let Some(server) = self.servers.get_mut(&pair.server()) {
                server.refuses(port);
            }
            let refusal = Refusal { domain, client: to, client_mac, server: from, port, is_served, ttl, cited };
            out.push(Derived::Refused(Arc::new(refusal)));
        }
    }

    /// An echo, its answer, or a refusal on the way.
    pub(super) fn note_icmp(&mut self, frame: &Frame<'_>, ip: &Ip<'_>, domain: DomainId, out: &mut Vec<Derived>) {
        let layers = &frame.layers;
        let (is_request, is_reply, quoted, code) = match (layers.icmp(), layers.icmpv6()) {
            (Some(icmp), _) => {
                let code = (icmp.kind() == 3).then(|| icmp.code());
                (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.quoted(), code)
            }
            (_, Some(icmp)) => {
                let code = (icmp.kind() == 1).then(|| icmp.code());
                (icmp.is_echo_request(), icmp.is_echo_reply(), icmp.quoted(), code)
            }
            _ => return,
        };
        let at = frame.order;
        if is_request {
            let (asked, pair) = (Asked::of(frame, (0, 0)), Pair { domain, client: ip.src(), server: ip.dst() });
            let client = self.clients.asks(&pair, &asked, at, false, false);
            if let Some(beyond) = client.asks_beyond(&pair, &asked, at) {
                self.group(&beyond, (&pair, None), &asked, at, out);
            }
        } else if is_reply {
            let pair = Pair { domain, client: ip.dst(), server: ip.src() };
            self.servers.entry(&pair.server(), Server::default).alive = Some(at);
            self.replied(pair, at, out);
        } else if let (Some(code), Some(quoted)) = (code, Quoted::parse(quoted)) {
            let pair = Pair { domain, client: quoted.src, server: quoted.dst };
            self.refused_on_the_way(pair, quoted, (code, ip.src()), at, out);
        }
    }

    /// A router, or the server itself, says that a packet cannot be delivered.
    fn refused_on_the_way(
        &mut self,
        pair: Pair,
        quoted: Quoted,
        refusal: (u8, IpAddr),
        at: Timestamp,
        out: &mut Vec<Derived>,
    ) {
        if refusal.1 == pair.server {
            self.servers.entry(&pair.server(), Server::default).alive = Some(at);
            self.replied(pair, at, out);
        } else if let Some(group) = self.groups.get_mut(&pair.reach()) {
            group.refusal = Some(refusal);
        }
        if let (6, Some((_, port))) = (quoted.protocol, quoted.ports) {
            self.remember(&pair.door(port), at, out);
        }
        // It was answered, though not as it had hoped: ICMP has rules of its own.
        if let (6, Some((_, port)), Some(ports)) = (quoted.protocol, quoted.ports, self.pairs.get_mut(&pair))
            && let Some(entry) = ports.iter_mut().find(|p| p.number == port)
        {
            entry.settle();
        }
    }
}
