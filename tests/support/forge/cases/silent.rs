//! Stations that fall silent, and one that hears nothing and is no guest.

use std::net::Ipv4Addr;

use super::super::dhcp::{ack, discover, offer, release, renew, select};
use super::super::frame::frame;
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, NODE, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::{in_order, others};
use super::{Case, c_tags, case};

const VLAN: &[u16] = &[100];
const XID: u32 = 0x51_1e47;
const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const OTHER: End = End { mac: NEIGHBOUR, ip: NEIGHBOUR_IP, port: 51_001 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 5_001 };
/// A storage server of metal: no guest.
const STORAGE: End = End { mac: NODE, ip: Ipv4Addr::new(10, 20, 0, 60), port: 3_260 };

pub fn cases() -> Vec<Case> {
    vec![
        case("host/guest-crashed-seen-on-its-tap", "tap3f2a91c0-5d.pcap", pcap(crashed(&[]))),
        case("host/guest-silent-on-the-bond", "bond0.pcap", pcap(silent_on_the_bond())),
        case("host/guest-paused-and-resumed", "bond0.pcap", pcap(paused())),
        case("host/storage-server-hears-nothing", "bond0.pcap", pcap(storage_deaf())),
        case("healthy/life-gave-its-address-back", "bond0.pcap", pcap(gave_back())),
        case("healthy/life-was-given-another-address", "bond0.pcap", pcap(given_another())),
    ]
}

/// `from` asks for `about`.
fn asks(t: f64, from: End, about: End, vlan: &[u16]) -> Shot {
    at(t, frame().from(from.mac).tags(vlan).arp_request(from.ip, about.ip))
}

fn answers(t: f64, from: End, to: End, vlan: &[u16]) -> Shot {
    at(t, frame().from(from.mac).to(to.mac).tags(vlan).arp_reply(from.ip, to.ip))
}

fn found(t: f64, about: End, vlan: &[u16]) -> Vec<Shot> {
    vec![asks(t, CLIENT, about, vlan), answers(t + 0.0004, about, CLIENT, vlan)]
}

/// Data that is acknowledged until `t`, and then is sent again so often.
fn in_vain(from: End, to: End, t: f64, waits: &[f64], vlan: &[u16]) -> Talk {
    let mut talk = Talk::midway(from, to, &c_tags(vlan));
    talk.exchange(t - 1.0, Who::Caller, 100);
    let seq = talk.next(Who::Caller);
    talk.lose(t, Who::Caller, 100);
    for wait in waits {
        talk.resend(t + wait, Who::Caller, seq, 100);
    }
    talk
}

/// The guest answered; from ten seconds on it sends nothing, and its client sends again and looks for it.
pub fn crashed(vlan: &[u16]) -> Vec<Shot> {
    let talk = in_vain(CLIENT, SERVICE, 10.0, &[0.2, 0.6, 1.4, 3.0, 6.2, 12.6], vlan);
    let asked = [12.0, 13.0, 14.0, 22.0, 23.0, 24.0].map(|t| asks(t, CLIENT, SERVICE, vlan));
    in_order(vec![found(5.0, SERVICE, vlan), talk.shots(), asked.to_vec()])
}

fn silent_on_the_bond() -> Vec<Shot> {
    in_order(vec![crashed(VLAN), others(26.0)])
}

/// Three look for it; after half a minute it goes on where it was, as a guest does that was paused.
fn paused() -> Vec<Shot> {
    let third = End { mac: NODE, ip: STORAGE.ip, port: 51_002 };
    let mut talk = in_vain(CLIENT, SERVICE, 10.0, &[0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4], VLAN);
    talk.arrived(40.0, Who::Called).exchange(41.0, Who::Caller, 100);
    let asked = [OTHER, third].into_iter().flat_map(|from| [12.0, 13.0, 14.0].map(|t| asks(t, from, SERVICE, VLAN)));
    in_order(vec![found(5.0, SERVICE, VLAN), talk.shots(), asked.collect(), found(42.0, SERVICE, VLAN), others(45.0)])
}

/// The server's card takes nothing in any more; it goes on telling the others that it is there.
fn storage_deaf() -> Vec<Shot> {
    let mut stories = vec![found(5.0, STORAGE, VLAN)];
    for (peer, start) in [(CLIENT, 10.0), (OTHER, 10.3)] {
        stories.push(in_vain(peer, STORAGE, start, &[0.2, 0.6, 1.4, 3.0, 6.2], VLAN).shots());
        stories.push((0..3).map(|i| asks(start + 4.0 + f64::from(i), peer, STORAGE, VLAN)).collect());
    }
    let words = |t: f64| {
        let to = Ipv4Addr::new(10, 20, 0, 255);
        at(t, frame().from(NODE).tags(VLAN).ipv4(STORAGE.ip, to).udp(5_353, 5_353).bytes(b"here"))
    };
    stories.push([12.0, 15.0, 18.0].map(words).to_vec());
    in_order(stories)
}

/// A guest is shut down: it gives its address back, and two look for it afterwards.
fn gave_back() -> Vec<Shot> {
    let granted = at(1.002, ack(XID, GUEST, SERVER_IP, GUEST_IP).told(VLAN, SERVER, SERVER_IP));
    let lease = vec![at(1.0, renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP)), granted];
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(VLAN));
    talk.exchange(8.0, Who::Caller, 100);
    let left = vec![at(20.0, release(XID, GUEST, SERVER_IP, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP))];
    let asked = [(CLIENT, 30.0), (OTHER, 35.0)]
        .into_iter()
        .flat_map(|(from, t)| (0..3).map(move |i| asks(t + f64::from(i), from, SERVICE, VLAN)));
    in_order(vec![found(5.0, SERVICE, VLAN), lease, talk.shots(), left, asked.collect(), others(45.0)])
}

/// A guest boots anew and is given another address; two who have not heard of it look for it at the old one.
fn given_another() -> Vec<Shot> {
    let told = |message: super::super::dhcp::Message| message.told(VLAN, SERVER, SERVER_IP);
    let (xid, other) = (XID + 1, Ipv4Addr::new(10, 20, 0, 77));
    let lease = vec![
        at(1.0, renew(XID, GUEST, GUEST_IP).asked_of(VLAN, SERVER, SERVER_IP)),
        at(1.002, told(ack(XID, GUEST, SERVER_IP, GUEST_IP))),
    ];
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(VLAN));
    talk.exchange(8.0, Who::Caller, 100);
    let anew = vec![
        at(20.0, discover(xid, GUEST).asked(VLAN)),
        at(20.01, told(offer(xid, GUEST, SERVER_IP, other))),
        at(20.02, select(xid, GUEST, SERVER_IP, other).asked(VLAN)),
        at(20.03, told(ack(xid, GUEST, SERVER_IP, other))),
    ];
    let now = End { ip: other, ..SERVICE };
    let asked = [(CLIENT, 30.0), (OTHER, 35.0)]
        .into_iter()
        .flat_map(|(from, t)| (0..3).map(move |i| asks(t + f64::from(i), from, SERVICE, VLAN)));
    in_order(vec![
        found(5.0, SERVICE, VLAN),
        lease,
        talk.shots(),
        anew,
        found(22.0, now, VLAN),
        asked.collect(),
        others(45.0),
    ])
}
