//! Who tries to reach whom and is not answered: TCP connections that do not open (RFC 9293 section 3.5), and networks behind a gateway of
//! which nobody answers. Keeps attempts that nobody answered within seconds, and of each server what it answered; data is not followed
//! here. At most `tables.attempts` of each.

mod clients;
mod fresh;
mod group;
mod key;
mod port;
mod refusals;
mod target;
mod told;

pub use group::Unreached;
pub use target::Prefix;
pub use told::{Attempt, Refusal};

use std::sync::Arc;

use clients::{Beyond, Clients};
use fresh::{Asked, Brief, Fresh, Waiting};
use group::Group;
use key::{Door, Pair, Party, Reach};
use port::Port;
use target::Server;

use super::{Derived, DomainId, Domains, Observation, Seen, Tracker};
use crate::event::{Cited, Frame};
use crate::settings::Settings;
use crate::value::{BoundedMap, Few, TimedMap, Timestamp};
use crate::wire::{Ip, Kind, Kinds, Tcp};

/// Ports of one server that are told apart for one client; more than these are a scan of it.
const MOST_PORTS: usize = 20;
/// Frames that are kept of one silence: the first ones and the latest.
const MOST_CITED: usize = 5;

/// All attempts.
pub struct Attempts {
    fresh: Fresh,
    pairs: TimedMap<Pair, Few<Port>>,
    servers: BoundedMap<Party, Server>,
    groups: BoundedMap<Reach, Group>,
    clients: Clients,
    /// Attempts that still waited when there was no room.
    forgotten: u64,
}

impl Attempts {
    /// None yet.
    pub fn new(settings: &Settings) -> Self {
        let limit = settings.tables.attempts;
        Self {
            fresh: Fresh::new(limit),
            pairs: TimedMap::new(limit),
            servers: BoundedMap::new(limit),
            groups: BoundedMap::new(limit),
            clients: Clients::new(limit),
            forgotten: 0,
        }
    }

    /// Whether `seen`, an answer that comes to the client of `door`, is heard there: one that only a member of a bond saw may be thrown away by the
    /// bond, and counts where the question, too, was seen nowhere else.
    fn is_heard(&self, seen: &Seen<'_>, door: Door) -> bool {
        let asked_at = || {
            let client = self.clients.get(&door.pair.client()).map(|client| client.vantage);
            self.fresh.vantage(&door).or(client)
        };
        !seen.is_at_member || asked_at() == Some(seen.frame.at.vantage)
    }

    fn note_tcp(&mut self, seen: &Seen<'_>, tcp: &Tcp<'_>, ip: &Ip<'_>, domain: DomainId, out: &mut Vec<Derived>) {
        let (frame, src, dst) = (seen.frame, ip.src(), ip.dst());
        if tcp.is_syn() && !tcp.is_ack() {
            let pair = Pair { domain, client: src, server: dst };
            return self.opens(frame, tcp, pair.door(tcp.dst_port()), out);
        }
        let (pair, port) = (Pair { domain, client: dst, server: src }, tcp.src_port());
        let is_heard = self.is_heard(seen, pair.door(port));
        match (tcp.is_syn(), is_heard) {
            (true, _) => {
                let at = frame.order;
                let server = self.servers.entry(&pair.server(), Server::default);
                if server.accepts(port, at, ip.ttl()) {
                    out.push(Derived::Accepted { domain, server: src, port, at });
                }
                if is_heard {
                    // Whoever waits there is answered with it; an attempt is fresh or remembered, never both.
                    match self.fresh.take(&pair.door(port)) {
                        Some(_) => self.replied(pair, at, out),
                        None => self.answered(pair, port, at, out),
                    }
                } else if let Some(entry) =
                    self.pairs.get_mut(&pair).and_then(|ports| ports.iter_mut().find(|p| p.number == port))
                {
                    entry.thrown_away = Some(frame.at.vantage);
                }
            }
            (false, true) => self.resets(frame, tcp, ip, pair, out),
            (false, false) => {}
        }
    }

    /// A SYN: it is remembered if nobody answers there soon, or it repeats one that nobody did.
    fn opens(&mut self, frame: &Frame<'_>, tcp: &Tcp<'_>, door: Door, out: &mut Vec<Derived>) {
        let (attempt, now) = ((tcp.src_port(), tcp.seq()), frame.order);
        if self.pairs.peek(&door.pair).is_some() {
            self.remember(&door, now, out);
        } else {
            match self.fresh.add(&door, Brief::brief(frame, attempt)) {
                Some(waiting) => self.wait(&door, &waiting, now, out),
                None => return,
            }
        }
        self.attempted(&door, &Asked::of(frame, attempt), now, out);
    }

    /// Remembers who asked at a door lately.
    fn remember(&mut self, door: &Door, now: Timestamp, out: &mut Vec<Derived>) {
        if let Some(waiting) = self.fresh.take(door) {
            self.wait(door, &waiting, now, out);
        }
    }

    /// Those who wait at a door do so for long.
    fn wait(&mut self, door: &Door, waiting: &Waiting, now: Timestamp, out: &mut Vec<Derived>) {
        for brief in waiting.all() {
            self.attempted(door, &brief.asked(), now, out);
        }
    }

    /// A client waits for an answer.
    fn attempted(&mut self, &Door { pair, port }: &Door, asked: &Asked, now: Timestamp, out: &mut Vec<Derived>) {
        let ports = self.pairs.entry_after(&pair, |old| {
            let mut ports = old.unwrap_or_default();
            // Who was answered is forgotten by plan.
            self.forgotten = self.forgotten.saturating_add(u64::from(ports.iter().any(Port::waits)));
            ports.clear();
            ports
        });
        let is_full = ports.len() >= MOST_PORTS;
        let known = ports.iter_mut().find(|p| p.number == port);
        let client = self.clients.asks(&pair, asked, now, known.is_none(), is_full);
        let beyond = client.asks_beyond(&pair, asked, now);
        match known {
            Some(entry) => {
                entry.asked(asked);
                // One that was sent once says nothing yet.
                if entry.due.is_some() {
                    self.wake(pair);
                    self.judge(pair, port, now, out);
                }
            }
            None if is_full => return,
            None => ports.push(Port::new(port, asked)),
        }
        if let Some(beyond) = beyond {
            self.group(&beyond, (&pair, Some(port)), asked, now, out);
        }
    }

    /// A question to a network behind a gateway: to a server, at a port or with an echo.
    fn group(
        &mut self,
        &Beyond { reach, answered }: &Beyond,
        (pair, port): (&Pair, Option<u16>),
        asked: &Asked,
        now: Timestamp,
        out: &mut Vec<Derived>,
    ) {
        let mut is_new = false;
        let group = self.groups.entry_after(&reach, |old| {
            let is_lost = old.is_some_and(|group| group.attempts > 0);
            self.forgotten = self.forgotten.saturating_add(u64::from(is_lost));
            is_new = true;
            Group::new(pair.server, port, asked, answered)
        });
        // One question says nothing yet.
        if is_new {
            return;
        }
        group.asked(pair.server, port, asked);
        if group.tells(now) {
            self.tell_group(&reach, out);
        }
    }

    /// Says that a network is silent, and which others are not.
    fn tell_group(&self, reach: &Reach, out: &mut Vec<Derived>) {
        let &Reach { domain, client, prefix } = reach;
        let Some(group) = self.groups.peek(reach) else { return };
        let known = self.clients.get(&reach.client());
        let answering = known.map(|client| client.answering(group.since, prefix)).unwrap_or_default();
        out.push(Derived::Unreached(Arc::new((domain, group.unreached(client, prefix, answering)))));
    }

    /// A server answered a client: at a port, or with an echo.
    fn answered(&mut self, pair: Pair, port: u16, at: Timestamp, out: &mut Vec<Derived>) {
        let Pair { domain, client, server } = pair;
        self.replied(pair, at, out);
        let Some(entry) = self.pairs.get_mut(&pair).and_then(|ports| ports.iter_mut().find(|p| p.number == port))
        else {
            return;
        };
        if entry.settle() {
            out.push(Derived::Connected { domain, client, server, port, at });
        }
        if let Some(server) = self.servers.get_mut(&pair.server()) {
            server.failing.retain(|failing| *failing != client);
        }
    }

    /// Something came back from the server's network.
    fn replied(&mut self, pair: Pair, at: Timestamp, out: &mut Vec<Derived>) {
        let (reach, server) = (pair.reach(), pair.server);
        self.clients.is_answered(&reach, at);
        if let Some(group) = self.groups.get_mut(&reach)
            && group.settle(at)
        {
            let Reach { domain, client, prefix } = reach;
            out.push(Derived::Reached { domain, client, prefix, server, at });
        }
    }

    /// Looks at a pair again when the first of its ports is due.
    fn wake(&mut self, pair: Pair) {
        let due = self.pairs.peek(&pair).and_then(|ports| ports.iter().filter_map(|port| port.due).min());
        if let Some(due) = due {
            self.pairs.wake(&pair, due);
        }
    }

    /// Says that a connection does not open, if by now that is so.
    fn judge(&mut self, pair: Pair, number: u16, now: Timestamp, out: &mut Vec<Derived>) {
        let Some(port) = self.pairs.get_mut(&pair).and_then(|ports| ports.iter_mut().find(|p| p.number == number))
        else {
            return;
        };
        let known = self.clients.get(&pair.client());
        if known.is_some_and(|client| !client.is_scanning(now)) && port.tells(now) {
            self.tell(pair, number, now, out);
        }
    }

    /// Says that a connection does not open, as was known at `until`.
    fn tell(&mut self, pair: Pair, number: u16, until: Timestamp, out: &mut Vec<Derived>) {
        let Pair { domain, client, server } = pair;
        let Some(port) = self.pairs.peek(&pair).and_then(|ports| ports.iter().find(|p| p.number == number)) else {
            return;
        };
        let Some(known) = self.clients.get(&pair.client()) else { return };
        let entry = self.servers.entry(&pair.server(), Server::default);
        entry.fails(client);
        out.push(Derived::Unopened(Arc::new(Attempt {
            domain,
            client,
            client_mac: known.mac,
            server,
            port: number,
            gateway: known.gateway,
            vantage: known.vantage,
            since: port.since,
            until,
            sends: port.sends,
            attempts: port.attempts,
            alive: entry.alive,
            is_served: entry.open.contains(&number),
            thrown_away: port.thrown_away,
            others: entry.failing.len().saturating_sub(1),
            elsewhere: known.answered_beyond([Prefix::of(client), Prefix::of(server)]),
            cited: port.cited(),
        })));
    }

    fn note(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let Some(ip) = seen.frame.layers.inner_ip() else { return };
        let domain = domains.root(seen.domain);
        if let Some(tcp) = seen.frame.layers.tcp() {
            self.note_tcp(seen, &tcp, &ip, domain, out);
        } else if self.is_heard(seen, Pair { domain, client: ip.dst(), server: ip.src() }.door(0)) {
            self.note_icmp(seen.frame, &ip, domain, out);
        }
    }

    /// A packet that was seen before at a member of a bond is seen behind it: if it is an answer, it is heard only now.
    fn note_again(&mut self, seen: &Seen<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        let layers = &seen.frame.layers;
        let is_question = layers.tcp().is_some_and(|tcp| tcp.is_syn() && !tcp.is_ack())
            || layers.icmp().is_some_and(|icmp| icmp.is_echo_request())
            || layers.icmpv6().is_some_and(|icmp| icmp.is_echo_request());
        if !is_question {
            self.note(seen, domains, out);
        }
    }
}

impl Tracker for Attempts {
    fn hears(&self) -> Kinds {
        const { Kinds::of(&[Kind::TcpOpening, Kind::Icmp, Kind::Icmpv6]) }
    }

    fn apply(&mut self, seen: &Observation<'_>, domains: &Domains, out: &mut Vec<Derived>) {
        match seen {
            Observation::Packet(seen) => self.note(seen, domains, out),
            Observation::Sighting(seen) if seen.was_at_member && !seen.is_at_member => {
                self.note_again(seen, domains, out);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match (self.fresh.next_deadline(), self.pairs.next_deadline()) {
            (Some(fresh), Some(pairs)) => Some(fresh.min(pairs)),
            (fresh, pairs) => fresh.or(pairs),
        }
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<Derived>) {
        while let Some((door, waiting)) = self.fresh.pop(now) {
            self.wait(&door, &waiting, now, out);
        }
        while let Some(pair) = self.pairs.due(now) {
            // What was answered meanwhile is not due any more.
            let ports = self.pairs.get_mut(&pair).into_iter().flat_map(Few::iter_mut);
            let due: Vec<u16> = ports.filter_map(|port| port.is_due(now).then_some(port.number)).collect();
            due.into_iter().for_each(|port| self.judge(pair, port, now, out));
            self.wake(pair);
        }
    }

    fn conclude(&mut self, out: &mut Vec<Derived>) {
        let groups = self.groups.by_age().filter(|(_, group)| group.is_outgrown());
        let mut groups: Vec<Reach> = groups.map(|(reach, _)| *reach).collect();
        groups.sort();
        groups.iter().for_each(|reach| self.tell_group(reach, out));
        let ports = self.pairs.by_age().flat_map(|(pair, ports)| ports.iter().map(|port| (*pair, port)));
        let ports = ports.filter(|(_, port)| port.is_outgrown());
        let mut doors: Vec<(Door, Timestamp)> = ports.map(|(pair, port)| (pair.door(port.number), port.last)).collect();
        doors.sort();
        doors.into_iter().for_each(|(Door { pair, port }, last)| self.tell(pair, port, last, out));
    }

    fn forgotten(&self) -> u64 {
        self.forgotten.saturating_add(self.fresh.forgotten())
    }
}

/// Keeps a frame beside those that are kept, in their order: what is remembered late may lie before them.
fn cite(cited: &mut Few<Cited>, next: Cited) {
    let later = cited.iter().position(|one| one.time > next.time);
    cited.insert(later.unwrap_or(cited.len()), next);
    if cited.len() > MOST_CITED {
        cited.remove(MOST_CITED.saturating_sub(1));
    }
}
