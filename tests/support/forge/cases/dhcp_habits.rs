//! DHCP clients and servers with habits: short leases, old addresses, starting over, asking for more; relays, and ports that open late.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{Message, ack, discover, inform, offer, renew, select};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, frame, pcap,
};
use super::dhcp::{asking, in_order, leased, others};
use super::{Case, case};

const XID: u32 = 0x4ab1_0001;
const VLAN: &[u16] = &[100];
/// The network where the server of a relayed network lives, and its addresses there.
const FAR_VLAN: &[u16] = &[200];
const FAR_SERVER: Mac = Mac([0x0c, 0xc4, 0x7a, 0x30, 0x00, 0x02]);
const FAR_SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// Routers of the guests' network, which are relays.
const ROUTER: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x20, 0x01]);
const ROUTER_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const OTHER_ROUTER: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x20, 0x02]);
const OTHER_ROUTER_IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 254);

pub fn cases() -> Vec<Case> {
    vec![
        case("dhcp/leases-of-two-minutes", "bond0.pcap", pcap(leases(120, &[60.0, 120.0]))),
        case("dhcp/leases-of-forty-seconds", "bond0.pcap", pcap(leases(40, &[20.0, 40.0]))),
        case("healthy/dhcp-first-lease-short", "bond0.pcap", pcap(first_short())),
        case("dhcp/old-address-unconfirmed", "bond0.pcap", pcap(unconfirmed())),
        case("dhcp/old-address-unconfirmed-and-none-given", "bond0.pcap", pcap(unconfirmed_and_none())),
        case("healthy/dhcp-old-address-confirmed", "bond0.pcap", pcap(confirmed())),
        case("dhcp/starts-over-again-and-again", "bond0.pcap", pcap(starts(6, 20.0))),
        case("healthy/dhcp-boot-rom-then-system", "bond0.pcap", pcap(starts(3, 15.0))),
        case(
            "dhcp/inform-unanswered",
            "bond0.pcap",
            pcap(in_order(vec![informs(GUEST, GUEST_IP, true), others(40.0)])),
        ),
        case("dhcp/informs-of-two-hosts-unanswered", "bond0.pcap", pcap(two_informs())),
        case("healthy/dhcp-inform-answered", "bond0.pcap", pcap(informed())),
        case("dhcp/relay-keeps-answers-back", "bond0.pcap", pcap(kept_back())),
        case("dhcp/relays-in-a-circle", "bond0.pcap", pcap(circle())),
        case("healthy/dhcp-two-relays", "bond0.pcap", pcap(two_relays())),
        case("healthy/dhcp-relay-speaks-for-its-server", "bond0.pcap", pcap(speaks_for_its_server(true))),
        case(
            "healthy/dhcp-relay-speaks-for-its-server-seen-by-clients",
            "bond0.pcap",
            pcap(speaks_for_its_server(false)),
        ),
        Case { folder: "dhcp/ports-closed-for-half-a-minute", files: closed_ports() },
        Case { folder: "dhcp/port-wired-late", files: wired_late() },
    ]
}

fn told(t: f64, message: &Message) -> Shot {
    at(t, message.told(VLAN, SERVER, SERVER_IP))
}

/// A lease of so many seconds, renewed at these times and granted for as long again.
fn leases(seconds: u32, times: &[f64]) -> Vec<Shot> {
    let short = |message: Message| message.lasting(seconds);
    let renewed = times.iter().flat_map(|t| {
        vec![
            at(*t, renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP)),
            told(t + 0.002, &short(ack(XID, GUEST, SERVER_IP, GUEST_IP))),
        ]
    });
    let begun = vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        told(0.01, &short(offer(XID, GUEST, SERVER_IP, GUEST_IP))),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        told(0.03, &short(ack(XID, GUEST, SERVER_IP, GUEST_IP))),
    ];
    in_order(vec![begun, renewed.collect()])
}

/// The first lease is one of a minute, as servers in a pair give; the second one of a day.
fn first_short() -> Vec<Shot> {
    let mut shots = leases(60, &[]);
    shots.push(at(30.0, renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP)));
    shots.push(told(30.002, &ack(XID, GUEST, SERVER_IP, GUEST_IP)));
    shots
}

/// The guest asks to keep the address it had before it started.
fn again(t: f64) -> Shot {
    at(t, select(XID, GUEST, SERVER_IP, GUEST_IP).without(54).secs(t as u16).asked(VLAN))
}

/// Nobody speaks for the old address; the guest starts over and is given it.
fn unconfirmed() -> Vec<Shot> {
    let lease = leased(8.3, XID + 1);
    in_order(vec![vec![again(0.0), again(4.1)], lease, others(20.0)])
}

/// The same, and the questions after it stay without an answer, too.
fn unconfirmed_and_none() -> Vec<Shot> {
    in_order(vec![vec![again(0.0), again(4.1)], asking(GUEST, &[10.0, 14.2, 22.3, 38.1, 70.4]), others(80.0)])
}

/// The old address is confirmed at once, in one network; in the next start the question is lost, and the guest starts over.
pub fn confirmed() -> Vec<Shot> {
    let granted = told(0.002, &ack(XID, GUEST, SERVER_IP, GUEST_IP));
    in_order(vec![vec![again(0.0), granted, again(100.0)], leased(104.0, XID + 1), others(120.0)])
}

/// So many whole exchanges, each in a transaction of its own.
fn starts(times: u32, apart: f64) -> Vec<Shot> {
    in_order(
        (0..times).map(|i| leased(apart * f64::from(i), XID + i)).chain([others(15.5 * f64::from(times))]).collect(),
    )
}

/// Four questions for everything but an address; with `is_proxy_wanted` as Windows asks for a web proxy.
fn informs(mac: Mac, ip: Ipv4Addr, is_proxy_wanted: bool) -> Vec<Shot> {
    let ask = inform(XID, mac, ip);
    let ask = if is_proxy_wanted { ask } else { ask.without(55).option(55, &[1, 3, 6, 15]) };
    [0.0, 4.1, 12.2, 28.3]
        .map(|t| at(t, frame().from(mac).tags(VLAN).ipv4(ip, Ipv4Addr::BROADCAST).udp(68, 67).dhcp(&ask)))
        .to_vec()
}

fn two_informs() -> Vec<Shot> {
    let third = (Mac([0xfa, 0x16, 0x3e, 0x22, 0x00, 0x09]), Ipv4Addr::new(10, 20, 0, 19));
    in_order(vec![informs(GUEST, GUEST_IP, false), informs(third.0, third.1, false), others(40.0)])
}

/// A question for everything but an address is answered, without a lease.
fn informed() -> Vec<Shot> {
    let answer = ack(XID, GUEST, SERVER_IP, GUEST_IP).without(51).yours(Ipv4Addr::UNSPECIFIED);
    let told = frame().from(SERVER).to(GUEST).tags(VLAN).ipv4(SERVER_IP, GUEST_IP).udp(67, 68).dhcp(&answer);
    in_order(vec![informs(GUEST, GUEST_IP, true)[..1].to_vec(), vec![at(0.001, told)], others(40.0)])
}

/// What a relay hands to the server, and what that hands back.
fn handed_on(t: f64, message: Message, relay: (Mac, Ipv4Addr), hops: u8) -> Shot {
    let link = frame().from(relay.0).to(FAR_SERVER).tags(FAR_VLAN);
    at(t, link.ipv4(relay.1, FAR_SERVER_IP).udp(67, 67).dhcp(&message.relayed(relay.1, hops)))
}

fn handed_back(t: f64, message: Message, relay: (Mac, Ipv4Addr)) -> Shot {
    let link = frame().from(FAR_SERVER).to(relay.0).tags(FAR_VLAN);
    at(t, link.ipv4(FAR_SERVER_IP, relay.1).udp(67, 67).dhcp(&message.relayed(relay.1, 1)))
}

/// What a relay tells the client.
fn brought(t: f64, message: Message, relay: (Mac, Ipv4Addr)) -> Shot {
    at(t, message.relayed(relay.1, 1).told(VLAN, relay.0, relay.1))
}

const RELAY: (Mac, Ipv4Addr) = (ROUTER, ROUTER_IP);
const OTHER_RELAY: (Mac, Ipv4Addr) = (OTHER_ROUTER, OTHER_ROUTER_IP);

/// Three questions reach the server through the relay, and its three answers reach the relay and nobody else.
fn kept_back() -> Vec<Shot> {
    let turn = |t: f64| {
        let asked = discover(XID, GUEST).secs(t as u16);
        vec![
            at(t, asked.asked(VLAN)),
            handed_on(t + 0.001, asked, RELAY, 1),
            handed_back(t + 0.004, offer(XID, GUEST, FAR_SERVER_IP, GUEST_IP).router(ROUTER_IP), RELAY),
        ]
    };
    in_order(vec![turn(0.0), turn(4.2), turn(12.1)])
}

/// Two relays hand one question to each other.
pub fn circle() -> Vec<Shot> {
    let turn = |t: f64| {
        let asked = discover(XID, GUEST).secs(t as u16);
        let round = |hop: u8| {
            let (from, to) = if hop % 2 == 1 { (RELAY, OTHER_RELAY) } else { (OTHER_RELAY, RELAY) };
            let link = frame().from(from.0).to(to.0).tags(FAR_VLAN);
            let message = asked.clone().relayed(ROUTER_IP, hop);
            at(t + 0.001 * f64::from(hop), link.ipv4(from.1, to.1).udp(67, 67).dhcp(&message))
        };
        let mut shots = vec![at(t, asked.asked(VLAN))];
        shots.extend((1..=16).map(round));
        shots
    };
    in_order(vec![turn(0.0), turn(4.2)])
}

/// Two routers in a pair both hand the question on; the server answers each, each brings its answer, and the guest takes the first.
fn two_relays() -> Vec<Shot> {
    let relays = [RELAY, OTHER_RELAY];
    let mut shots = Vec::new();
    let mut exchange = |t: f64, asked: Message, answer: Message| {
        shots.push(at(t, asked.asked(VLAN)));
        for (i, relay) in relays.into_iter().enumerate() {
            let t = t + 0.0002 * i as f64;
            shots.push(handed_on(t + 0.001, asked.clone(), relay, 1));
            shots.push(handed_back(t + 0.004, answer.clone(), relay));
            shots.push(brought(t + 0.006, answer.clone(), relay));
        }
    };
    exchange(0.0, discover(XID, GUEST), offer(XID, GUEST, FAR_SERVER_IP, GUEST_IP).router(ROUTER_IP));
    exchange(
        1.0,
        select(XID, GUEST, FAR_SERVER_IP, GUEST_IP),
        ack(XID, GUEST, FAR_SERVER_IP, GUEST_IP).router(ROUTER_IP),
    );
    in_order(vec![shots])
}

/// A relay that has the server name the relay instead of itself (RFC 5107): the guest renews with the relay, which hands that on, too. With
/// `is_far_seen` the server's side is seen as well.
fn speaks_for_its_server(is_far_seen: bool) -> Vec<Shot> {
    let mut shots = Vec::new();
    let mut exchange = |t: f64, asked: Message, answer: Message, own: bool| {
        let question = if own { asked.asked_of(VLAN, ROUTER, ROUTER_IP) } else { asked.asked(VLAN) };
        shots.push(at(t, question));
        if is_far_seen {
            shots.push(handed_on(t + 0.001, asked, RELAY, 1));
            shots.push(handed_back(t + 0.004, answer.clone(), RELAY));
        }
        shots.push(brought(t + 0.006, answer, RELAY));
    };
    let answer = |message: Message| message.router(ROUTER_IP).lasting(600);
    let granted = || answer(ack(XID, GUEST, ROUTER_IP, GUEST_IP));
    exchange(0.0, discover(XID, GUEST), answer(offer(XID, GUEST, ROUTER_IP, GUEST_IP)), false);
    exchange(1.0, select(XID, GUEST, ROUTER_IP, GUEST_IP), granted(), false);
    for t in [300.0, 599.0, 897.0] {
        exchange(t, renew(XID, GUEST, GUEST_IP), granted(), true);
    }
    in_order(vec![shots])
}

/// What a guest asks on its tap, where it comes out on bond0 from its question number `open` on, and how it goes on there.
fn behind_a_port(client: Mac, ip: Ipv4Addr, xid: u32, times: &[f64], open: usize) -> (Vec<Shot>, Vec<Shot>) {
    let asked = |t: &f64, tags: &[u16]| at(*t, discover(xid, client).secs(*t as u16).asked(tags));
    let mut tap: Vec<Shot> = times.iter().map(|t| asked(t, &[])).collect();
    let mut bond: Vec<Shot> = times[open..].iter().map(|t| asked(t, VLAN).later(20)).collect();
    let t = times[times.len() - 1];
    let rest = [
        (0.010, offer(xid, client, SERVER_IP, ip), true),
        (0.020, select(xid, client, SERVER_IP, ip), false),
        (0.030, ack(xid, client, SERVER_IP, ip), true),
    ];
    for (wait, message, is_answer) in rest {
        let shot = |tags: &[u16]| {
            let bytes = if is_answer { message.told(tags, SERVER, SERVER_IP) } else { message.asked(tags) };
            at(t + wait, bytes)
        };
        tap.push(if is_answer { shot(&[]).later(20) } else { shot(&[]) });
        bond.push(if is_answer { shot(VLAN) } else { shot(VLAN).later(20) });
    }
    (tap, bond)
}

/// The servers' own life, which bond0 shows from the beginning.
fn life(until: f64) -> Vec<Shot> {
    let ask = |t: f64| at(t, frame().from(SERVER).tags(VLAN).arp_request(SERVER_IP, SECOND_IP));
    let answer = |t: f64| at(t, frame().from(SECOND).to(SERVER).tags(VLAN).arp_reply(SECOND_IP, SERVER_IP));
    vec![ask(-5.0), answer(-4.999), ask(until), answer(until + 0.001)]
}

/// Two guests start on a host whose bridge listens and learns: what they ask in the first half minute stays at their taps.
fn closed_ports() -> Vec<(&'static str, Vec<u8>)> {
    let (first, first_out) = behind_a_port(GUEST, GUEST_IP, XID, &[0.0, 4.1, 12.3, 28.2, 31.4], 4);
    let (second, second_out) = behind_a_port(NEIGHBOUR, NEIGHBOUR_IP, XID + 1, &[0.7, 4.4, 12.9, 27.8, 32.6], 4);
    vec![
        ("tap3f2a91c0-5d.pcap", pcap(first)),
        ("tap77b1c2d3-0a.pcap", pcap(second)),
        ("bond0.pcap", pcap(in_order(vec![life(40.0), first_out, second_out]))),
    ]
}

/// One guest, whose port an agent wires 22 s after its start.
fn wired_late() -> Vec<(&'static str, Vec<u8>)> {
    let (tap, out) = behind_a_port(GUEST, GUEST_IP, XID, &[0.0, 4.1, 12.3, 22.5], 3);
    vec![("tap3f2a91c0-5d.pcap", pcap(tap)), ("bond0.pcap", pcap(in_order(vec![life(40.0), out])))]
}
