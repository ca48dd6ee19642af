//! DHCP: questions without an answer, answers without an effect, refusals.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{ack, discover, nak, offer, renew, select};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, case};

const XID: u32 = 0x3903_f326;
const VLAN: &[u16] = &[100];

pub fn cases() -> Vec<Case> {
    vec![
        case(
            "dhcp/discover-unanswered",
            "bond0.pcap",
            pcap(in_order(vec![asking(GUEST, &[0.0, 4.2, 12.1]), others(14.0)])),
        ),
        case("dhcp/discover-unanswered-for-a-minute", "bond0.pcap", pcap(unanswered_for_a_minute())),
        case("dhcp/five-clients-unanswered", "bond0.pcap", pcap(five_clients())),
        case("dhcp/offer-not-heard", "bond0.pcap", pcap(offer_not_heard())),
        case("dhcp/offer-not-heard-once", "bond0.pcap", pcap(offer_not_heard_once())),
        case("dhcp/offer-then-silence", "bond0.pcap", pcap(offer_then_silence())),
        case("dhcp/offer-late-but-taken", "bond0.pcap", pcap(late_offer())),
        case("dhcp/renewal-refused", "bond0.pcap", pcap(refused())),
        case("dhcp/renewal-refused-then-new-lease", "bond0.pcap", pcap(refused_then_leased())),
        case("dhcp/refused-three-times", "bond0.pcap", pcap(refused_three_times())),
    ]
}

/// Frames of several stories in the order of their times.
pub fn in_order(stories: Vec<Vec<Shot>>) -> Vec<Shot> {
    let mut shots = stories.concat();
    shots.sort_by_key(Shot::nanos);
    shots
}

/// `client` asks at these times, with one transaction and the seconds that it has waited.
pub fn asking(client: Mac, times: &[f64]) -> Vec<Shot> {
    times.iter().map(|t| at(*t, discover(XID, client).secs((t - times[0]) as u16).asked(VLAN))).collect()
}

/// Life of the others: the neighbour renews at 1 s and is answered, and a ping is answered at `until`.
pub fn others(until: f64) -> Vec<Shot> {
    let renewed = ack(0x77, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP).told(VLAN, SERVER, SERVER_IP);
    let asked = frame().from(SERVER).to(NEIGHBOUR).tags(VLAN).ipv4(SERVER_IP, NEIGHBOUR_IP).ping(1, 100);
    let answered = frame().from(NEIGHBOUR).to(SERVER).tags(VLAN).ipv4(NEIGHBOUR_IP, SERVER_IP).pong(1, 100);
    vec![
        at(1.0, renew(0x77, NEIGHBOUR, NEIGHBOUR_IP).asked_of(VLAN, SERVER, SERVER_IP)),
        at(1.002, renewed),
        at(until, asked),
        at(until + 0.001, answered),
    ]
}

fn offered(t: f64, xid: u32) -> Shot {
    at(t, offer(xid, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP))
}

fn selected(t: f64, xid: u32) -> Shot {
    at(t, select(xid, GUEST, SERVER_IP, GUEST_IP).asked(VLAN))
}

fn granted(t: f64, xid: u32) -> Shot {
    at(t, ack(xid, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP))
}

fn refusal(t: f64, xid: u32, why: &str) -> Shot {
    at(t, nak(xid, GUEST, SERVER_IP, why).told_all(VLAN, SERVER, SERVER_IP))
}

/// A whole exchange in 30 ms.
pub fn leased(t: f64, xid: u32) -> Vec<Shot> {
    vec![
        at(t, discover(xid, GUEST).asked(VLAN)),
        offered(t + 0.01, xid),
        selected(t + 0.02, xid),
        granted(t + 0.03, xid),
    ]
}

fn unanswered_for_a_minute() -> Vec<Shot> {
    in_order(vec![asking(GUEST, &[0.0, 4.2, 12.1, 28.0, 59.5]), others(62.0)])
}

/// Five guests boot within two seconds in a network whose server is gone.
pub fn five_clients() -> Vec<Shot> {
    let client = |i: u8| Mac([0xfa, 0x16, 0x3e, 0x55, 0x00, i]);
    let asks = |i: u8| {
        let start = 3.0 + 0.5 * f64::from(i);
        let ask = |t: f64| at(start + t, discover(0x5500 + u32::from(i), client(i)).secs(t as u16).asked(VLAN));
        // Of their former lives: the server's host still probes their addresses, and they answer. So unicast frames are seen here.
        let ip = Ipv4Addr::new(10, 20, 0, 50 + i);
        let probe = at(start - 3.0, frame().from(SERVER).to(client(i)).tags(VLAN).arp_request(SERVER_IP, ip));
        let alive = at(start - 2.999, frame().from(client(i)).to(SERVER).tags(VLAN).arp_reply(ip, SERVER_IP));
        vec![probe, alive, ask(0.0), ask(4.0), ask(12.0)]
    };
    in_order((0..5).map(asks).collect())
}

fn offer_not_heard() -> Vec<Shot> {
    in_order(vec![asking(GUEST, &[0.0, 4.1, 12.2]), vec![offered(0.02, XID), offered(4.12, XID)]])
}

fn offer_not_heard_once() -> Vec<Shot> {
    in_order(vec![asking(GUEST, &[0.0, 4.1]), vec![offered(0.02, XID)]])
}

fn offer_then_silence() -> Vec<Shot> {
    in_order(vec![asking(GUEST, &[0.0]), vec![offered(0.02, XID)], others(15.0)])
}

/// The server offers after 11 s, the guest takes it at once: unanswered for a while, then not any more.
fn late_offer() -> Vec<Shot> {
    in_order(vec![
        asking(GUEST, &[0.0, 4.2]),
        vec![offered(11.0, XID), selected(11.01, XID), granted(11.02, XID)],
        others(14.0),
    ])
}

/// A lease, half an hour of calm, and a renewal that the server does not want to know about.
fn refused() -> Vec<Shot> {
    let renewal = at(1_800.0, renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP));
    [leased(0.0, XID), vec![renewal, refusal(1_800.002, XID, "lease not found")]].concat()
}

fn refused_then_leased() -> Vec<Shot> {
    [refused(), leased(1_801.0, XID + 1)].concat()
}

/// The server offers and then refuses what it has offered, three times in a row.
fn refused_three_times() -> Vec<Shot> {
    let turn = |i: u32| {
        let (t, xid) = (20.0 * f64::from(i), XID + i);
        let ask = at(t, discover(xid, GUEST).asked(VLAN));
        vec![ask, offered(t + 0.01, xid), selected(t + 0.02, xid), refusal(t + 0.03, xid, "address in use")]
    };
    (0..3).flat_map(turn).collect()
}
