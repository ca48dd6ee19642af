//! What follows from what (findings.md, part K): stories in which two rules speak of one mistake, where no other case has both.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{Message, ack, decline, discover, nak, offer, renew, select};
use super::super::frame::{Segment, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{
    GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SECOND, SECOND_IP, SERVER, SERVER_IP, Shot, at, pcap,
};
use super::arp::{gateway_silent, guest};
use super::dhcp::{asking, five_clients, in_order, others};
use super::dhcp_answers::unsummed;
use super::dhcp_habits::circle;
use super::dhcp_lease::{expired, leased, released};
use super::dhcp_servers::{ROGUE, ROGUE_IP, rogue};
use super::silent::crashed;
use super::{Case, c_tags, case};

const XID: u32 = 0xbeca_0001;
const VLAN: &[u16] = &[100];
/// A network behind the gateway, and one behind the second router.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 200, 20, 10);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 7);
/// Who has the guest's address, too.
const TWIN: Mac = Mac([0xfa, 0x16, 0x3e, 0x99, 0x00, 0x01]);
const DATABASE: u16 = 3_306;

pub fn cases() -> Vec<Case> {
    vec![
        case("host/guest-silent-and-knocked-at", "bond0.pcap", pcap(knocked_at())),
        case("arp/gateway-silent-and-a-network-behind-it", "bond0.pcap", pcap(behind_the_gateway())),
        case("arp/address-given-away-while-in-use", "bond0.pcap", pcap(given_away())),
        case("arp/address-given-back-and-away-while-in-use", "bond0.pcap", pcap(given_back())),
        case("arp/one-of-two-with-one-address-refuses", "bond0.pcap", pcap(refused_by_the_other())),
        case("l2/address-comes-back-and-renewals-are-not-heard", "node.pcapng", comes_back(false)),
        case("l2/address-comes-back-and-nothing-is-heard", "node.pcapng", comes_back(true)),
        case("dhcp/declined-since-its-last-holder-stays", "bond0.pcap", pcap(declined())),
        case("dhcp/nothing-listens-and-one-starts", "bond0.pcap", pcap(nothing_listens())),
        case("dhcp/nobody-served-and-one-renews", "bond0.pcap", pcap(nobody_served())),
        case("dhcp/nobody-served-and-one-asks-everybody", "capture.pcap", pcap(everybody_asked())),
        case("dhcp/renewals-answered-with-checksums-unfilled", "tap3f2a91c0-5d.pcap", pcap(unfilled_renewals())),
        case("dhcp/renewals-answered-without-a-server", "bond0.pcap", pcap(nameless_renewals())),
        case("dhcp/rogue-server-refuses-what-others-grant", "bond0.pcap", pcap(rogue_refuses())),
        case("dhcp/refused-then-granted", "bond0.pcap", pcap(refused_then_granted())),
        case("dhcp/relays-in-a-circle-and-nobody-answers", "bond0.pcap", pcap(circle_in_vain())),
    ]
}

fn asks(t: f64, mac: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Shot {
    at(t, frame().from(mac).tags(VLAN).arp_request(own, wanted))
}

fn answers(t: f64, mac: Mac, own: Ipv4Addr, to: (Mac, Ipv4Addr)) -> Shot {
    at(t, frame().from(mac).to(to.0).tags(VLAN).arp_reply(own, to.1))
}

/// The server asks for the guest's address, and these answer.
fn found(t: f64, who: &[Mac]) -> Vec<Shot> {
    let replies =
        (1..).zip(who).map(|(n, mac)| answers(t + 0.0004 * f64::from(n), *mac, GUEST_IP, (SERVER, SERVER_IP)));
    [asks(t, SERVER, SERVER_IP, GUEST_IP)].into_iter().chain(replies).collect()
}

/// A TCP segment from one to the other, whose hardware address is that of the next hop.
fn sends(t: f64, from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr), ports: (u16, u16), segment: Segment) -> Shot {
    at(t, frame().from(from.0).to(to.0).tags(VLAN).ipv4(from.1, to.1).tcp(ports, segment, &[]))
}

fn opens(own: u16, ack: u32) -> Segment {
    Segment { seq: u32::from(own) * 1_000, ack, syn: Some(1_460), ..Segment::default() }
}

/// What a server tells one client.
fn told(t: f64, message: &Message) -> Shot {
    at(t, message.told(VLAN, SERVER, SERVER_IP))
}

/// The guest crashes; who knows its hardware address still tries to connect to it.
fn knocked_at() -> Vec<Shot> {
    let syns = [12.0, 13.0, 15.0, 19.0]
        .map(|t| sends(t, (NEIGHBOUR, NEIGHBOUR_IP), (GUEST, GUEST_IP), (52_000, 22), opens(52_000, 0)));
    in_order(vec![crashed(VLAN), syns.to_vec(), others(26.0)])
}

/// The gateway falls silent. A guest polls three machines behind it, and one behind the second router, which answers; what it was sending to the
/// first of the three is lost.
fn behind_the_gateway() -> Vec<Shot> {
    let client = guest(0);
    let machine = |i: u8| Ipv4Addr::from(u32::from(FAR) + u32::from(i));
    let polls = (0..6_u16).flat_map(|round| {
        let t = 29.5 + 10.0 * f64::from(round);
        let lost = (0..3_u8).flat_map(move |i| {
            let own = 53_000 + 10 * round + u16::from(i);
            [0.0, 1.0, 3.0].map(|wait| {
                sends(t + 0.1 * f64::from(i) + wait, client, (SERVER, machine(i)), (own, 22), opens(own, 0))
            })
        });
        let own = 54_000 + round;
        let answer = Segment { seq: 7_000, ..opens(own, u32::from(own) * 1_000 + 1) };
        let well = [
            sends(t + 0.5, client, (SECOND, ELSEWHERE), (own, 22), opens(own, 0)),
            sends(t + 0.502, (SECOND, ELSEWHERE), client, (22, own), Segment { seq: 7_000, ..answer }),
        ];
        lost.chain(well)
    });
    let (near, far) =
        (End { mac: client.0, ip: client.1, port: 50_000 }, End { mac: SERVER, ip: machine(0), port: 5_001 });
    let mut talk = Talk::midway(near, far, &c_tags(VLAN));
    talk.exchange(20.0, Who::Caller, 100).exchange(27.0, Who::Caller, 100);
    let seq = talk.next(Who::Caller);
    talk.lose(29.0, Who::Caller, 100);
    for wait in [0.2, 0.6, 1.4, 3.0, 6.2, 12.6] {
        talk.resend(29.0 + wait, Who::Caller, seq, 100);
    }
    let known = vec![asks(9.0, client.0, client.1, SERVER_IP), answers(9.0004, SERVER, SERVER_IP, client)];
    in_order(vec![known, gateway_silent(3), polls.collect(), talk.shots()])
}

/// A guest keeps its address after its lease, the server gives it to the neighbour, and both answer for it.
fn given_away() -> Vec<Shot> {
    let both = [650.0, 660.0, 670.0].map(|t| found(t, &[GUEST, NEIGHBOUR]));
    in_order(vec![expired(&[590.0, 612.0, 640.0]), leased(620.0, XID, NEIGHBOUR, GUEST_IP), both.concat()])
}

/// A guest gives its address back and keeps it; the neighbour is given it, and both answer for it.
fn given_back() -> Vec<Shot> {
    let both = [35.0, 45.0, 55.0].map(|t| found(t, &[GUEST, NEIGHBOUR]));
    in_order(vec![released(GUEST, &[12.0, 22.0, 40.0]), leased(25.0, XID, NEIGHBOUR, GUEST_IP), both.concat()])
}

/// A guest keeps its address after its lease; the neighbour is given it, looks whether it is free, and declines it.
fn declined() -> Vec<Shot> {
    let none = Ipv4Addr::UNSPECIFIED;
    let looked = vec![
        asks(620.1, NEIGHBOUR, none, GUEST_IP),
        answers(620.1004, GUEST, GUEST_IP, (NEIGHBOUR, none)),
        at(620.2, decline(XID, NEIGHBOUR, SERVER_IP, GUEST_IP).asked(VLAN)),
    ];
    in_order(vec![expired(&[590.0, 612.0, 640.0]), leased(620.0, XID, NEIGHBOUR, GUEST_IP), looked])
}

/// A database in the guest, whose address somebody else has, too; a client that found the other one is refused.
fn refused_by_the_other() -> Vec<Shot> {
    let (client, server) = ((NEIGHBOUR, NEIGHBOUR_IP), (GUEST, GUEST_IP));
    let answer = |own: u16| Segment { seq: 7_000, ..opens(own, u32::from(own) * 1_000 + 1) };
    let well = vec![
        sends(8.0, client, server, (51_000, DATABASE), opens(51_000, 0)),
        sends(8.001, server, client, (DATABASE, 51_000), answer(51_000)),
    ];
    let asked = |t: f64| {
        let to = (NEIGHBOUR, NEIGHBOUR_IP);
        vec![
            asks(t, NEIGHBOUR, NEIGHBOUR_IP, GUEST_IP),
            answers(t + 0.0004, GUEST, GUEST_IP, to),
            answers(t + 0.0008, TWIN, GUEST_IP, to),
        ]
    };
    let refused = (0..5_u16).flat_map(|i| {
        let (t, own) = (31.0 + f64::from(i), 51_001 + i);
        let refusal = Segment { ack: u32::from(own) * 1_000 + 1, rst: true, ..Segment::default() };
        let twin = (TWIN, GUEST_IP);
        [
            sends(t, client, twin, (own, DATABASE), opens(own, 0)),
            sends(t + 0.0005, twin, client, (DATABASE, own), refusal),
        ]
    });
    in_order(vec![found(5.0, &[GUEST]), well, asked(30.0), refused.collect(), asked(60.0), others(70.0)])
}

/// Nothing listens at the server's port, as its system says to whom renews; a guest that starts asks everybody for the address it had.
fn nothing_listens() -> Vec<Shot> {
    let refused = |t: f64| {
        let asked = renew(XID, NEIGHBOUR, NEIGHBOUR_IP).asked_of(VLAN, SERVER, SERVER_IP);
        let link = frame().from(SERVER).to(NEIGHBOUR).tags(VLAN);
        [at(t, asked.clone()), at(t + 0.0003, link.ipv4(SERVER_IP, NEIGHBOUR_IP).nobody_there(&asked))]
    };
    let again =
        |t: f64| at(t, select(XID + 1, GUEST, SERVER_IP, GUEST_IP).without(54).secs((t - 20.0) as u16).asked(VLAN));
    in_order(vec![[10.0, 30.0, 50.0].map(refused).concat(), [20.0, 24.1, 32.3].map(again).to_vec(), life(60.0)])
}

/// The server's host and the neighbour know each other; so unicast frames are seen here.
fn life(until: f64) -> Vec<Shot> {
    let asked = frame().from(SERVER).to(NEIGHBOUR).tags(VLAN).ipv4(SERVER_IP, NEIGHBOUR_IP).ping(1, 100);
    let answered = frame().from(NEIGHBOUR).to(SERVER).tags(VLAN).ipv4(NEIGHBOUR_IP, SERVER_IP).pong(1, 100);
    vec![at(1.0, asked.clone()), at(1.001, answered.clone()), at(until, asked), at(until + 0.001, answered)]
}

/// Five guests boot and nobody answers them; a sixth, which has its address since long, renews with the server in vain.
fn nobody_served() -> Vec<Shot> {
    let renewal = |t: f64| at(t, renew(XID, GUEST, GUEST_IP).secs((t - 6.0) as u16).asked_of(VLAN, SERVER, SERVER_IP));
    in_order(vec![five_clients(), [6.0, 10.0, 19.0].map(renewal).to_vec(), found(2.0, &[GUEST])])
}

/// Where no frame for one alone is seen: five guests boot and want to be answered by broadcast, a sixth asks everybody to keep its address; all in vain.
fn everybody_asked() -> Vec<Shot> {
    let boots = |i: u8| {
        let ((client, _), start) = (guest(i), 3.0 + 0.5 * f64::from(i));
        [0.0, 4.0, 12.0].map(|t| at(start + t, discover(0x5500 + u32::from(i), client).by_broadcast().asked(VLAN)))
    };
    let asked = [6.0, 10.0, 16.8].map(|t| at(t, renew(XID, GUEST, GUEST_IP).secs((t - 6.0) as u16).asked(VLAN)));
    in_order(vec![(0..5).flat_map(boots).collect(), asked.to_vec()])
}

/// On its tap: the guest is given an address; what grants its renewals comes without a checksum, and it asks again and again.
fn unfilled_renewals() -> Vec<Shot> {
    let well = |message: Message| message.lasting(600).told(&[], SERVER, SERVER_IP);
    let begun = vec![
        at(0.0, discover(XID, GUEST).asked(&[])),
        at(0.01, well(offer(XID, GUEST, SERVER_IP, GUEST_IP))),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(&[])),
        at(0.03, well(ack(XID, GUEST, SERVER_IP, GUEST_IP))),
    ];
    let turn = |t: f64| {
        let asked = renew(XID, GUEST, GUEST_IP).secs((t - 300.0) as u16).asked_of(&[], SERVER, SERVER_IP);
        [at(t, asked), at(t + 0.002, unsummed(well(ack(XID, GUEST, SERVER_IP, GUEST_IP))))]
    };
    let last = at(330.0, frame().from(NEIGHBOUR).arp_request(NEIGHBOUR_IP, SERVER_IP));
    in_order(vec![begun, [300.0, 304.0, 311.0].map(turn).concat(), vec![last]])
}

/// The guest renews, and is granted its address by an answer that does not name its server: it asks again and again.
fn nameless_renewals() -> Vec<Shot> {
    let turn = |t: f64| {
        let asked = renew(XID, GUEST, GUEST_IP).secs((t - 300.0) as u16).asked_of(VLAN, SERVER, SERVER_IP);
        [at(t, asked), told(t + 0.002, &ack(XID, GUEST, SERVER_IP, GUEST_IP).without(54))]
    };
    in_order(vec![leased(0.0, XID, GUEST, GUEST_IP), [300.0, 304.0, 311.0].map(turn).concat(), life(330.0)])
}

/// A stranger hands out addresses of its own, and refuses at once what the right server grants a moment later.
fn rogue_refuses() -> Vec<Shot> {
    let refusal = nak(XID, GUEST, ROGUE_IP, "wrong network").told_all(VLAN, ROGUE, ROGUE_IP);
    let start = vec![
        at(80.0, discover(XID, GUEST).asked(VLAN)),
        told(80.01, &offer(XID, GUEST, SERVER_IP, GUEST_IP)),
        at(80.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        at(80.021, refusal),
        told(80.03, &ack(XID, GUEST, SERVER_IP, GUEST_IP)),
    ];
    in_order(vec![rogue(), start, others(90.0)])
}

/// Two servers of one network, of which the second believes that it is alone: it refuses at once what the first grants a moment later.
fn refused_then_granted() -> Vec<Shot> {
    let refusal = nak(XID, GUEST, SECOND_IP, "wrong server-ID").told_all(VLAN, SECOND, SECOND_IP);
    let mut start = leased(0.0, XID, GUEST, GUEST_IP);
    start.insert(3, at(0.021, refusal));
    in_order(vec![start, others(20.0)])
}

/// Two relays hand one question to each other, and no server hears it; the guest asks on.
fn circle_in_vain() -> Vec<Shot> {
    let asked = asking(GUEST, &[12.3, 28.4]);
    in_order(vec![circle(), asked, others(30.0)])
}

/// A guest is served; from 290 s on the network sends back what the guest tells all, the bridge learns it at the bond, and what comes for it
/// there is not led out on its tap: grants of its renewals, and with `is_wanted` a question and data, too.
fn comes_back(is_wanted: bool) -> Vec<u8> {
    const TAP: u32 = 0;
    const BOND: u32 = 1;
    let out = |shot: Shot| vec![shot.clone().inward().on(TAP), shot.later(20).outward().on(BOND)];
    let lost = |shot: Shot| vec![shot.inward().on(BOND)];
    let led = |shot: Shot| vec![shot.clone().inward().on(BOND), shot.later(20).outward().on(TAP)];
    let granted = || ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(600).told(&[], SERVER, SERVER_IP);
    let offered = offer(XID, GUEST, SERVER_IP, GUEST_IP).lasting(600).told(&[], SERVER, SERVER_IP);
    let mut stories = vec![
        out(at(0.0, discover(XID, GUEST).asked(&[]))),
        led(at(0.01, offered)),
        out(at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(&[]))),
        led(at(0.03, granted())),
    ];
    for i in 0..30_u32 {
        let t = 289.5 + 1.5 * f64::from(i);
        let to_all = frame().from(GUEST).ipv4(GUEST_IP, Ipv4Addr::BROADCAST);
        let said = at(t, to_all.udp(7_000, 7_000).bytes(&i.to_be_bytes()));
        stories.extend([out(said.clone()), lost(said.later(500_000))]);
    }
    for t in [300.2, 304.2, 311.2, 319.2] {
        let asked = renew(XID, GUEST, GUEST_IP).secs((t - 300.0) as u16);
        let asked = if t < 315.0 { asked.asked_of(&[], SERVER, SERVER_IP) } else { asked.asked(&[]) };
        stories.extend([out(at(t, asked)), lost(at(t + 0.002, granted()))]);
    }
    if is_wanted {
        let asked = |t: f64| at(t, frame().from(SERVER).to(GUEST).arp_request(SERVER_IP, GUEST_IP));
        let found = at(280.0004, frame().from(GUEST).to(SERVER).arp_reply(GUEST_IP, SERVER_IP));
        stories.extend([led(asked(280.0)), out(found)]);
        stories.extend([295.1, 296.1, 297.1].map(|t| lost(asked(t))));
        let monitor = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
        let mut talk = Talk::midway(monitor, End { mac: GUEST, ip: GUEST_IP, port: 5_001 }, &[]);
        let seq = talk.exchange(281.0, Who::Caller, 100).next(Who::Caller);
        talk.lose(294.1, Who::Caller, 100);
        for wait in [0.2, 0.6, 1.4, 3.0, 6.2, 12.6] {
            talk.resend(294.1 + wait, Who::Caller, seq, 100);
        }
        let passes = |shot: Shot| match (shot.source() == GUEST, shot.nanos() < at(290.0, Vec::new()).nanos()) {
            (true, _) => out(shot),
            (_, true) => led(shot),
            _ => lost(shot),
        };
        stories.extend(talk.shots().into_iter().map(passes));
    }
    Pcapng::with_interfaces(&["tap3f2a91c0-5d", "bond0"]).frames(in_order(stories)).bytes()
}
