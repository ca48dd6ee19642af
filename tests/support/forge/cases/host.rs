//! Who hears and who does not: The Issue, in which an instance stopped hearing and everybody blamed DHCP, and what looks like it.
//! The lease lasts 60 s as it did then; the load is scaled down to what a small file holds.

use super::super::dhcp::{ack, discover, offer, renew, select};
use super::super::frame::frame;
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::{in_order, others};
use super::{Case, c_tags, case};

const XID: u32 = 0x1550_0001;
const VLAN: &[u16] = &[100];
/// The guest is behind its tap, which the host's bridge reaches this much later than bond0, in microseconds.
const TO_THE_TAP: i64 = 31;

const MONITOR: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 5_001 };

pub fn cases() -> Vec<Case> {
    vec![
        Case {
            folder: "host/the-issue",
            files: vec![("bond0.pcap", pcap(the_issue())), ("tap3f2a91c0-5d.pcap", pcap(on_the_tap(the_issue())))],
        },
        case("host/the-issue-one-file", "compute.pcapng", in_one_file()),
        case("host/the-issue-bond0", "bond0.pcap", pcap(the_issue())),
        case("host/the-issue-recovered", "bond0.pcap", pcap(recovered())),
        case("host/the-issue-idle-before", "bond0.pcap", pcap(idle_before())),
        case("host/the-issue-heard-since", "bond0.pcap", pcap(heard_since())),
        case("host/the-issue-only-dhcp-lost", "bond0.pcap", pcap(only_dhcp_lost())),
        case("host/the-issue-four-milliseconds-before", "bond0.pcap", pcap(just_before())),
        Case {
            folder: "host/the-issue-lost-on-this-host",
            files: vec![("bond0.pcap", pcap(the_issue())), ("tap3f2a91c0-5d.pcap", pcap(nothing_to_the_tap()))],
        },
        case("host/the-issue-controller-serves-others", "controller.pcap", pcap(among_others())),
        case("host/two-peers-unanswered", "bond0.pcap", pcap(two_peers())),
    ]
}

/// A minute's lease at 0, renewed each 30 s and answered until 240 s.
pub fn leased_and_renewed() -> Vec<Shot> {
    let granted = |t: f64| at(t, ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(60).told(VLAN, SERVER, SERVER_IP));
    let mut shots = vec![
        at(0.0, discover(XID, GUEST).asked(VLAN)),
        at(0.01, offer(XID, GUEST, SERVER_IP, GUEST_IP).lasting(60).told(VLAN, SERVER, SERVER_IP)),
        at(0.02, select(XID, GUEST, SERVER_IP, GUEST_IP).asked(VLAN)),
        granted(0.03),
    ];
    for i in 1..9 {
        let t = 30.0 * f64::from(i);
        shots.extend([renewing(t, false), granted(t + 0.002)]);
    }
    shots
}

/// The guest asks its own server to keep its address, or everybody.
fn renewing(t: f64, all: bool) -> Shot {
    let ask = renew(XID, GUEST, GUEST_IP);
    at(t, if all { ask.asked(VLAN) } else { ask.asked_of(VLAN, SERVER, SERVER_IP) })
}

/// The renewals that were answered and not heard: two to the server, one to everybody.
fn ignored() -> Vec<Shot> {
    let granted = |t: f64| at(t, ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(60).told(VLAN, SERVER, SERVER_IP));
    let ask = |t: f64, all: bool| vec![renewing(t, all), granted(t + 0.002)];
    in_order(vec![ask(270.0, false), ask(274.0, false), ask(281.0, true)])
}

/// Data in jumbo frames for ten seconds, every second one acknowledged; `end` is when the last acknowledgement is.
fn load(talk: &mut Talk) {
    for i in 0..200 {
        let t = 250.0 + 0.05 * f64::from(i);
        talk.say(t, Who::Caller, 8_948);
        if i % 2 == 1 {
            talk.acknowledge(t + 0.001, Who::Called);
        }
    }
}

/// Data that is lost at 260 s, and sent again and again.
fn in_vain(talk: &mut Talk) {
    let seq = talk.next(Who::Caller);
    talk.lose(260.0, Who::Caller, 100);
    for t in [260.2, 260.6, 261.4, 263.0, 266.2, 272.6] {
        talk.resend(t, Who::Caller, seq, 100);
    }
}

/// The server looks for the guest, first where it was.
fn looked_for(times: &[f64]) -> Vec<Shot> {
    let ask = |t: &f64| at(*t, frame().from(SERVER).to(GUEST).tags(VLAN).arp_request(SERVER_IP, GUEST_IP));
    times.iter().map(ask).collect()
}

/// The guest's entry in the server's table is looked at, and the guest answers.
fn found(t: f64) -> Vec<Shot> {
    let answer = frame().from(GUEST).to(SERVER).tags(VLAN).arp_reply(GUEST_IP, SERVER_IP);
    [looked_for(&[t]), vec![at(t + 0.0004, answer)]].concat()
}

/// TCP keeps its beginning only: headers are all that counts.
fn cut(talk: &Talk) -> Vec<Shot> {
    talk.shots().into_iter().map(|shot| shot.kept(96)).collect()
}

pub fn the_issue() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    load(&mut talk);
    in_vain(&mut talk);
    let asked = looked_for(&[262.0, 263.0, 264.0]);
    in_order(vec![leased_and_renewed(), found(5.0), cut(&talk), asked, ignored(), others(300.0)])
}

/// As bond0's frames are on the tap: without their tag, a moment later on the way in, a moment earlier on the way out; those of others not at all.
fn on_the_tap(shots: Vec<Shot>) -> Vec<Shot> {
    let mine = shots.into_iter().filter(|shot| shot.is_of(GUEST));
    let moved = mine.map(|shot| {
        let later = if shot.source() == GUEST { -TO_THE_TAP } else { TO_THE_TAP };
        shot.untagged().later(later)
    });
    in_order(vec![moved.collect()])
}

/// On the tap, once the guest has gone deaf, is only what it sends itself.
fn nothing_to_the_tap() -> Vec<Shot> {
    let deaf = at(259.99, Vec::new()).nanos();
    on_the_tap(the_issue()).into_iter().filter(|shot| shot.source() == GUEST || shot.nanos() < deaf).collect()
}

fn in_one_file() -> Vec<u8> {
    let bond = the_issue().into_iter().map(|s| if s.source() == SERVER { s.inward() } else { s.outward() });
    let tap = on_the_tap(the_issue()).into_iter().map(|s| if s.source() == SERVER { s.outward() } else { s.inward() });
    let shots = in_order(vec![bond.collect(), tap.map(|s| s.on(1)).collect()]);
    Pcapng::with_interfaces(&["bond0", "tap3f2a91c0-5d"]).frames(shots).bytes()
}

/// The card is woken at 290 s: the guest hears the next question and answers, and renews in peace.
fn recovered() -> Vec<Shot> {
    let granted = at(311.002, ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(60).told(VLAN, SERVER, SERVER_IP));
    in_order(vec![the_issue(), found(290.0), vec![renewing(311.0, false), granted], others(320.0)])
}

/// Nothing was sent to the guest between its last proof and its renewal that needed an answer.
fn idle_before() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    load(&mut talk);
    in_order(vec![leased_and_renewed(), found(5.0), cut(&talk), ignored(), others(300.0)])
}

/// The same, and its card is woken at 284 s: by its timer it asks once more, and the answer is heard.
fn heard_since() -> Vec<Shot> {
    let granted = at(289.002, ack(XID, GUEST, SERVER_IP, GUEST_IP).lasting(60).told(VLAN, SERVER, SERVER_IP));
    in_order(vec![idle_before(), found(285.0), vec![renewing(289.0, true), granted], others(305.0)])
}

/// The only thing sent to the guest after its last proof comes 4 ms before its renewal, and is lost.
fn just_before() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    load(&mut talk);
    let seq = talk.next(Who::Caller);
    talk.lose(269.996, Who::Caller, 100);
    for t in [270.2, 270.6, 271.4, 273.0, 276.2, 282.6] {
        talk.resend(t, Who::Caller, seq, 100);
    }
    in_order(vec![leased_and_renewed(), found(5.0), cut(&talk), ignored(), others(300.0)])
}

/// The guest hears all but the answers of the DHCP server.
fn only_dhcp_lost() -> Vec<Shot> {
    let mut talk = Talk::midway(MONITOR, SERVICE, &c_tags(VLAN));
    load(&mut talk);
    for i in 0..20 {
        talk.exchange(260.0 + 2.0 * f64::from(i), Who::Caller, 100);
    }
    in_order(vec![leased_and_renewed(), found(5.0), cut(&talk), ignored(), others(300.0)])
}

/// As the server itself shows it, which talks to another guest all along and hears nothing of what guests say to each other.
fn among_others() -> Vec<Shot> {
    let mut talk = Talk::midway(End { mac: NEIGHBOUR, ip: NEIGHBOUR_IP, port: 40_000 }, MONITOR, &c_tags(VLAN));
    for i in 0..60 {
        talk.exchange(2.0 + 5.0 * f64::from(i), Who::Caller, 100);
    }
    let own = the_issue().into_iter().filter(|shot| shot.is_of(SERVER)).collect();
    in_order(vec![own, talk.shots()])
}

/// Two peers send data in vain, ARP does not come into it, and the guest goes on announcing something.
fn two_peers() -> Vec<Shot> {
    let other = End { port: 51_001, ip: super::super::NEIGHBOUR_IP, mac: super::super::NEIGHBOUR };
    let mut stories = vec![found(5.0)];
    for (peer, start) in [(MONITOR, 10.0), (other, 10.3)] {
        let mut talk = Talk::midway(peer, SERVICE, &c_tags(VLAN));
        talk.exchange(start - 1.0, Who::Caller, 100);
        let seq = talk.next(Who::Caller);
        talk.lose(start, Who::Caller, 100);
        for wait in [0.2, 0.6, 1.4, 3.0, 6.2] {
            talk.resend(start + wait, Who::Caller, seq, 100);
        }
        stories.push(talk.shots());
    }
    let announces = |t: f64| {
        at(t, frame().from(GUEST).tags(VLAN).ipv4(GUEST_IP, [10, 20, 0, 255].into()).udp(5_353, 5_353).bytes(b"here"))
    };
    stories.push([12.0, 15.0, 18.0].map(announces).to_vec());
    in_order(stories)
}
