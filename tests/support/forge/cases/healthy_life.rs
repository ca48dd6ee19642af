//! Silence that means nothing: probes that must stay unanswered, scans, moves, captures that show half. None of these may raise anything.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, offer, renew, select};
use super::super::frame::{Link, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::{in_order, others};
use super::{Case, c_tags, case};

const VLAN: &[u16] = &[100];
const XID: u32 = 0x11fe_0001;
const MONITOR: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 5_001 };

pub fn cases() -> Vec<Case> {
    vec![
        case("healthy/life-address-probes", "bond0.pcap", pcap(probes())),
        case("healthy/life-free-check-before-offer", "bond0.pcap", pcap(free_check())),
        case("healthy/life-arp-scan", "bond0.pcap", pcap(scan())),
        case("healthy/life-boot-of-fifty", "bond0.pcap", pcap(boot_of_fifty())),
        case("healthy/life-live-migration", "bond0.pcap", pcap(migration())),
        case("healthy/life-vrrp-failover", "bond0.pcap", pcap(failover())),
        case("healthy/life-mid-stream", "bond0.pcap", pcap(mid_stream())),
        case("healthy/life-broadcasts-only", "eth0.pcap", pcap(broadcasts_only())),
        case("healthy/life-router-watched-by-others", "eth0.pcap", pcap(watched_by_others())),
        case("healthy/life-router-watched-by-others-among-floods", "eth0.pcap", pcap(among_floods())),
        case("healthy/life-watched-by-guests-of-its-host", "bond0.pcap", pcap(watched_inside())),
        case("healthy/life-filter-drops-echo", "bond0.pcap", pcap(drops_echo())),
        case("tcp/one-connection-stalls", "bond0.pcap", pcap(one_stalls())),
        case("healthy/life-back-after-three-seconds", "bond0.pcap", pcap(back_soon())),
        case("healthy/life-bond-watches-by-arp", "bond0.pcap", pcap(watches_by_arp())),
    ]
}

fn host(last: u8) -> (Mac, Ipv4Addr) {
    (Mac([0xfa, 0x16, 0x3e, 0x77, 0x00, last]), Ipv4Addr::new(10, 20, 1, last))
}

fn of(mac: Mac) -> Link {
    frame().from(mac).tags(VLAN)
}

fn asks(t: f64, mac: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Shot {
    at(t, of(mac).arp_request(own, wanted))
}

fn answers(t: f64, mac: Mac, own: Ipv4Addr, to: Mac, asker: Ipv4Addr) -> Shot {
    at(t, of(mac).to(to).arp_reply(own, asker))
}

/// The server asks for a guest and is answered.
fn found(t: f64) -> Vec<Shot> {
    vec![asks(t, SERVER, SERVER_IP, GUEST_IP), answers(t + 0.0004, GUEST, GUEST_IP, SERVER, SERVER_IP)]
}

/// A guest takes an address: three probes, two announcements (RFC 5227 section 2), and the router looks for it.
fn settles(t: f64, mac: Mac, ip: Ipv4Addr) -> Vec<Shot> {
    let mut shots: Vec<Shot> = (0..3).map(|i| asks(t + 1.5 * f64::from(i), mac, Ipv4Addr::UNSPECIFIED, ip)).collect();
    shots.extend([5.0, 7.0].map(|wait| asks(t + wait, mac, ip, ip)));
    shots.push(asks(t + 7.2, SERVER, SERVER_IP, ip));
    shots.push(answers(t + 7.2004, mac, ip, SERVER, SERVER_IP));
    shots
}

fn probes() -> Vec<Shot> {
    in_order(vec![settles(0.0, GUEST, GUEST_IP), settles(0.3, NEIGHBOUR, NEIGHBOUR_IP), others(12.0)])
}

/// The address was the guest's before; another asks for one, and the server looks for three seconds whether it is free: the guest is gone.
pub fn free_check() -> Vec<Shot> {
    let (newcomer, _) = host(9);
    let ask = at(60.0, discover(XID, newcomer).asked(VLAN));
    let offered = offer(XID, newcomer, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP);
    let taken = select(XID, newcomer, SERVER_IP, GUEST_IP).asked(VLAN);
    let granted = ack(XID, newcomer, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP);
    let echo = |t: f64| at(t, of(SERVER).to(GUEST).ipv4(SERVER_IP, GUEST_IP).ping(1, 64));
    let checks = (0..3).flat_map(|i| {
        let t = 60.01 + f64::from(i);
        [asks(t, SERVER, SERVER_IP, GUEST_IP), echo(t + 0.001)]
    });
    let exchange = vec![ask, at(63.02, offered), at(63.03, taken), at(63.04, granted)];
    in_order(vec![found(0.0), checks.collect(), exchange, settles(63.1, newcomer, GUEST_IP), others(75.0)])
}

/// A monitor looks through a whole network, forty addresses a second, three times each; two of them are there.
fn scan() -> Vec<Shot> {
    let mut shots = Vec::new();
    for round in 0..3 {
        for last in 1..60 {
            let t = 5.0 + 2.0 * f64::from(round) + 0.025 * f64::from(last);
            let (mac, ip) = host(last);
            shots.push(asks(t, SERVER, SERVER_IP, ip));
            if last < 3 {
                shots.push(answers(t + 0.0005, mac, ip, SERVER, SERVER_IP));
            }
        }
    }
    in_order(vec![shots, others(20.0)])
}

/// Fifty guests at once: DHCP with the server's own look for each address, probes, announcements, and the first words with the gateway.
pub fn boot_of_fifty() -> Vec<Shot> {
    let boots = |last: u8| {
        let ((mac, ip), t) = (host(last), 0.05 * f64::from(last));
        let xid = XID + u32::from(last);
        let mut shots = vec![
            at(t, discover(xid, mac).asked(VLAN)),
            asks(t + 0.01, SERVER, SERVER_IP, ip),
            asks(t + 1.01, SERVER, SERVER_IP, ip),
            asks(t + 2.01, SERVER, SERVER_IP, ip),
            at(t + 3.02, offer(xid, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)),
            at(t + 3.03, select(xid, mac, SERVER_IP, ip).asked(VLAN)),
            at(t + 3.04, ack(xid, mac, SERVER_IP, ip).told(VLAN, SERVER, SERVER_IP)),
        ];
        shots.extend(settles(t + 3.1, mac, ip));
        shots.extend([asks(t + 11.0, mac, ip, SERVER_IP), answers(t + 11.0003, SERVER, SERVER_IP, mac, ip)]);
        shots
    };
    in_order((0..50).map(boots).collect())
}

/// A guest pauses for 1.6 s while it is moved; then it is announced from its new host and goes on.
pub fn migration() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    for i in 0..10 {
        talk.exchange(0.5 * f64::from(i), Who::Caller, 200);
    }
    let seq = talk.next(Who::Caller);
    talk.lose(5.0, Who::Caller, 200);
    for t in [5.2, 5.6, 6.4] {
        talk.resend(t, Who::Caller, seq, 200);
    }
    // RARP as qemu sends it: the guest's address as sender and target of a reverse request (RFC 903).
    let body = [&[0, 1, 8, 0, 6, 4, 0, 3][..], &GUEST.0, &[0; 4], &GUEST.0, &[0; 4]].concat();
    let rarp = |t: f64| at(t, of(GUEST).ethertype(0x8035, &body));
    let lookups = vec![asks(5.3, SERVER, SERVER_IP, GUEST_IP), asks(6.3, SERVER, SERVER_IP, GUEST_IP)];
    let announced = [6.6, 6.65, 6.75].map(rarp).to_vec();
    talk.arrived(6.8, Who::Called).exchange(7.0, Who::Caller, 200).exchange(8.0, Who::Caller, 200);
    in_order(vec![found(0.1), lookups, announced, talk.shots(), found(9.0)])
}

/// A gateway's address moves from one router to the other; the first is switched off.
fn failover() -> Vec<Shot> {
    let gateway = Ipv4Addr::new(10, 20, 0, 1);
    let guests = [(GUEST, GUEST_IP), (NEIGHBOUR, NEIGHBOUR_IP)];
    let mut shots = Vec::new();
    for (mac, ip) in guests {
        shots.extend([asks(1.0, mac, ip, gateway), answers(1.0004, SERVER, gateway, mac, ip)]);
        // In the second that it takes, both ask in vain.
        shots.extend([asks(10.2, mac, ip, gateway), asks(11.2, mac, ip, gateway)]);
        shots.extend([asks(12.2, mac, ip, gateway), answers(12.2004, SECOND, gateway, mac, ip)]);
    }
    shots.extend([12.0, 12.5, 13.0].map(|t| asks(t, SECOND, gateway, gateway)));
    shots.extend([2.0, 20.0].map(|t| asks(t, SECOND, SECOND_IP, SECOND_IP)));
    in_order(vec![shots])
}

/// Three seconds out of the middle of a busy network: answers to what was asked before, questions whose answers come after.
fn mid_stream() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    for i in 0..25 {
        talk.exchange(0.1 * f64::from(i), Who::Caller, 400);
    }
    talk.lose(2.6, Who::Caller, 400);
    let asked = [2.7, 2.8, 2.9].map(|t| asks(t, SERVER, SERVER_IP, GUEST_IP));
    let answered = answers(0.0, NEIGHBOUR, NEIGHBOUR_IP, SERVER, SERVER_IP);
    in_order(vec![vec![answered], talk.shots(), asked.to_vec()])
}

/// On the port of a guest that says little: it hears everybody's questions, and answers only where they are meant for it.
fn broadcasts_only() -> Vec<Shot> {
    let ask = |t: f64, mac: Mac, own, wanted| at(t, frame().from(mac).arp_request(own, wanted));
    let mut shots = Vec::new();
    for i in 0..10 {
        let t = 20.0 * f64::from(i);
        shots.push(ask(t, SERVER, SERVER_IP, GUEST_IP));
        shots.push(ask(t + 3.0, SECOND, SECOND_IP, GUEST_IP));
        shots.push(ask(t + 5.0, GUEST, GUEST_IP, SERVER_IP));
        shots.push(ask(t + 6.0, GUEST, GUEST_IP, SECOND_IP));
    }
    let own = frame().from(NEIGHBOUR).to(SERVER);
    shots.push(ask(7.0, SERVER, SERVER_IP, NEIGHBOUR_IP));
    shots.push(at(7.0003, own.arp_reply(NEIGHBOUR_IP, SERVER_IP)));
    shots.push(at(30.0, renew(XID, GUEST, GUEST_IP).asked(&[])));
    in_order(vec![shots])
}

/// On the port of a guest that speaks with its router and with nobody else, until it has nothing more to say. Two others ask for the router every two
/// seconds, answered or not, and the router looks for one of them: what those three say to each other goes past this port.
fn watched_by_others() -> Vec<Shot> {
    let ask = |t: f64, mac: Mac, own, wanted| at(t, frame().from(mac).arp_request(own, wanted));
    let others = [(GUEST, GUEST_IP), (SECOND, SECOND_IP)];
    let watch = (0..60).flat_map(|i| others.map(|(mac, ip)| ask(0.4 + 2.02 * f64::from(i), mac, ip, SERVER_IP)));
    let looks = [70.0, 71.0, 72.0].map(|t| ask(t, SERVER, SERVER_IP, GUEST_IP));
    let own = End { mac: NEIGHBOUR, ip: NEIGHBOUR_IP, port: 41_000 };
    let mut talk = Talk::midway(own, End { mac: SERVER, ip: SERVER_IP, port: 53 }, &[]);
    for i in 0..30 {
        talk.exchange(0.1 + f64::from(i), Who::Caller, 60);
    }
    in_order(vec![watch.collect(), looks.to_vec(), talk.shots()])
}

/// The same where the switch has forgotten an address now and then, and sends to every port what goes there.
fn among_floods() -> Vec<Shot> {
    let flooded =
        |t: f64| at(t, frame().from(SECOND).to(GUEST).ipv4(SECOND_IP, GUEST_IP).udp(40_000, 514).bytes(b"<13>well"));
    in_order(vec![watched_by_others(), [5.0, 65.0].map(flooded).to_vec()])
}

/// A guest that has talked to a server, and goes on sending it its log; two guests of the same host look for it every two seconds, as clusters do. On the
/// bond their questions are seen and its answers are not.
fn watched_inside() -> Vec<Shot> {
    let watchers = [(NEIGHBOUR, NEIGHBOUR_IP), host(3)];
    let watch = (0..30).flat_map(|i| watchers.map(|(mac, ip)| asks(0.4 + 2.02 * f64::from(i), mac, ip, GUEST_IP)));
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    talk.exchange(0.5, Who::Caller, 100).exchange(5.5, Who::Caller, 100);
    let words = |t: f64| at(t, of(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(40_000, 514).bytes(b"<13>well"));
    let logs = (0..20).map(|i| words(1.3 + 3.0 * f64::from(i)));
    in_order(vec![found(0.1), watch.collect(), talk.shots(), logs.collect()])
}

/// A guest whose filter drops echo, asked for a minute; else it is well.
fn drops_echo() -> Vec<Shot> {
    let ping = |i: u16| at(f64::from(i), of(SERVER).to(GUEST).ipv4(SERVER_IP, GUEST_IP).ping(i, 84));
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    talk.exchange(2.5, Who::Caller, 100);
    let words = |t: f64| at(t, of(GUEST).to(SERVER).ipv4(GUEST_IP, SERVER_IP).udp(40_000, 514).bytes(b"<13>well"));
    let logs = (0..20).map(|i| words(3.3 * f64::from(i)));
    in_order(vec![found(0.1), talk.shots(), (1..60).map(ping).collect(), logs.collect()])
}

/// One connection gets no answer any more, while the guest speaks and answers otherwise.
fn one_stalls() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    talk.exchange(1.0, Who::Caller, 100);
    let seq = talk.next(Who::Caller);
    talk.lose(2.0, Who::Caller, 100);
    for wait in [0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4] {
        talk.resend(2.0 + wait, Who::Caller, seq, 100);
    }
    let mut other = Talk::midway(End { port: 51_002, ..MONITOR }, SERVICE, &c_tags(VLAN));
    for i in 0..30 {
        other.exchange(f64::from(i), Who::Caller, 100);
    }
    in_order(vec![found(0.1), talk.shots(), other.shots()])
}

/// The guest is busy with itself for 2.8 s: data, ARP and echo wait, and then all are answered.
fn back_soon() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    talk.exchange(1.0, Who::Caller, 100);
    let seq = talk.next(Who::Caller);
    talk.lose(2.0, Who::Caller, 100);
    for t in [2.2, 2.6, 3.4] {
        talk.resend(t, Who::Caller, seq, 100);
    }
    let asked = [2.5, 3.5, 4.5].map(|t| asks(t, SERVER, SERVER_IP, GUEST_IP));
    talk.arrived(4.8, Who::Called).exchange(5.0, Who::Caller, 100);
    let answered = (0..3).map(|i| answers(4.81 + 0.001 * f64::from(i), GUEST, GUEST_IP, SERVER, SERVER_IP));
    in_order(vec![found(0.1), asked.to_vec(), answered.collect(), talk.shots()])
}

/// A bond in a guest watches its link by asking for the gateway each second, whatever the answer.
fn watches_by_arp() -> Vec<Shot> {
    let mut shots = Vec::new();
    for i in 0..40 {
        let t = f64::from(i);
        shots.push(asks(t, GUEST, GUEST_IP, SERVER_IP));
        shots.push(answers(t + 0.0003, SERVER, SERVER_IP, GUEST, GUEST_IP));
    }
    in_order(vec![shots, found(20.5), others(41.0)])
}
