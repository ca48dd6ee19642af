//! MTU: packets that the second tag makes too long. L is the length of the IP packet, as everywhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use netdiag::value::Mac;

use super::super::frame::{Link, Segment, pattern};
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, NODE, Pcapng, SECOND, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, c_tags, case, echo, echo_request};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SSHD: End = End { mac: GUEST, ip: GUEST_IP, port: 22 };

pub fn cases() -> Vec<Case> {
    vec![
        case("mtu/double-vlan-overflow", "bond0.pcap", pcap(overflow())),
        case("mtu/double-vlan-overflow-on-the-way-out", "bond0.pcapng", overflow_with_directions()),
        case("mtu/double-vlan-overflow-to-five-clients", "bond0.pcap", pcap(overflow_to_five())),
        case("mtu/double-vlan-full-size", "bond0.pcap", pcap(lasting(burst(1_460), 34.0))),
        case("mtu/double-vlan-over-by-2", "bond0.pcap", pcap(lasting(burst(1_458), 34.0))),
        case("healthy/double-vlan-ends-before-the-answers", "bond0.pcap", pcap(burst(1_460))),
        case("mtu/double-vlan-echo-lost", "bond0.pcap", pcap(echo_lost())),
        case("mtu/double-vlan-super-frame", "bond0.pcap", pcap(lasting(super_frame(), 34.0))),
        case("mtu/double-vlan-ipv6", "bond0.pcap", pcap(lasting(ipv6(), 5.0))),
        case("mtu/three-tags-full-size", "bond0.pcap", pcap(lasting(three_tags(), 6.0))),
        case("mtu/black-hole-two-connections", "eth0.pcap", pcap(two_stuck())),
        Case { folder: "mtu/black-hole-on-both-sides-of-a-router", files: both_sides() },
        case("mtu/black-hole-tail-arrives", "eth0.pcap", pcap(tail_arrives())),
        case("mtu/black-hole-pings", "eth0.pcap", pcap(pings())),
        case("mtu/host-facts-alone", "bond0.pcap", pcap(Vec::new())),
        case("mtu/host-facts-put-right", "bond0.pcap", pcap(single_tagged(0.0, 40))),
        case("mtu/overflow-then-put-right", "bond0.pcapng", overflow_then_put_right()),
        case("mtu/overflow-then-room-made", "bond0.pcapng", burst_with_directions()),
        case("mtu/overflow-then-quiet", "bond0.pcapng", overflow_then_quiet()),
        Case { folder: "mtu/overflow-lost-before-the-switch", files: bond_and_switch(1_496) },
        Case { folder: "mtu/overflow-passes-the-switch", files: bond_and_switch(1_500) },
        case("mtu/overflow-told-by-a-router", "bond0.pcap", pcap(told_by_a_router())),
    ]
}

/// A session in 20.100 that opens and takes small segments: a login, some typing.
fn session() -> Talk {
    session_of(CLIENT)
}

fn session_of(client: End) -> Talk {
    let mut ssh = Talk::new(client, SSHD, &c_tags(&[20, 100]));
    ssh.handshake(0.0, 1_460);
    for i in 0..4 {
        ssh.exchange(1.0 + f64::from(i), Who::Caller, 36).exchange(1.1 + f64::from(i), Who::Called, 120);
    }
    ssh
}

/// `ps aux`: five full segments at 30 s, none arrives; the first is repeated at growing intervals, while keystrokes still get through and a new login works.
fn overflow() -> Vec<Shot> {
    let mut second = Talk::new(End { port: 51_001, ..CLIENT }, SSHD, &c_tags(&[20, 100]));
    second.handshake(40.0, 1_460).exchange(40.1, Who::Called, 40).exchange(40.2, Who::Caller, 40);
    [stuck_session(session()).shots(), second.shots()].concat()
}

/// The same to five clients of one network at once: one cause, and many sessions that repeat themselves.
fn overflow_to_five() -> Vec<Shot> {
    let with = |i: u8| {
        let mac = Mac([0xfa, 0x16, 0x3e, 0x55, 0x00, i]);
        let client = End { mac, ip: Ipv4Addr::new(10, 20, 0, 50 + i), port: CLIENT.port };
        stuck_session(session_of(client)).shots().into_iter().map(move |shot| shot.later(i64::from(i) * 7_000))
    };
    let mut shots: Vec<Shot> = (0..5).flat_map(with).collect();
    shots.sort_by_key(Shot::nanos);
    shots
}

/// Five full segments of the called end are lost at 30 s; the first is sent again five times, and small ones pass.
fn stuck_session(mut ssh: Talk) -> Talk {
    ssh.exchange(29.9, Who::Caller, 36);
    let lost = ssh.next(Who::Called);
    for i in 0..5 {
        ssh.lose(30.0 + 0.0001 * f64::from(i), Who::Called, 1_460);
    }
    for (typed, again) in [(30.1, 30.2), (30.4, 30.6), (31.0, 31.4), (32.0, 33.0), (35.0, 36.2)] {
        ssh.exchange(typed, Who::Caller, 36).resend(again, Who::Called, lost, 1_460);
    }
    ssh
}

/// The same; what was lost is sent once more at `mended` in VLAN 100 alone, and arrives.
fn mended(mended: f64) -> Vec<Shot> {
    let mut ssh = stuck_session(session());
    let lost = ssh.next(Who::Called) - 5 * 1_460;
    ssh.retag(&c_tags(&[100]));
    for i in 0..5 {
        ssh.resend(mended + 0.0001 * f64::from(i), Who::Called, lost + 1_460 * i, 1_460);
    }
    ssh.arrived(mended + 0.001, Who::Caller);
    ssh.shots()
}

/// The same, in a file that tells directions: the guest's segments leave, the client's arrive.
fn overflow_with_directions() -> Vec<u8> {
    with_directions(overflow())
}

fn with_directions(shots: Vec<Shot>) -> Vec<u8> {
    let shots = shots.into_iter().map(|s| if s.source() == GUEST { s.outward() } else { s.inward() }).collect();
    Pcapng::with_interfaces(&["bond0"]).frames(shots).bytes()
}

/// `seconds` echo pairs of full size in VLAN 100 alone, one a second.
fn single_tagged(start: f64, seconds: u16) -> Vec<Shot> {
    (0..seconds).flat_map(|i| echo(start + f64::from(i), &c_tags(&[100]), 1_000 + i, 1_500)).collect()
}

/// The session hangs; at 50 s the devices are put on the bond, and from 51 s on VLAN 100 travels alone, full size and all, and the session goes on.
fn overflow_then_put_right() -> Vec<u8> {
    with_directions([mended(51.0), single_tagged(52.0, 30)].concat())
}

/// The same, and nobody tells what was done: nothing in two tags comes any more, and VLAN 100 travels alone for 78 s.
fn overflow_then_quiet() -> Vec<u8> {
    with_directions([mended(41.0), single_tagged(42.0, 78)].concat())
}

/// Full segments leave in two tags; nobody knows yet whether they arrive. Small ones pass for half a minute after.
fn burst_with_directions() -> Vec<u8> {
    let small = (0..30).flat_map(|i| echo(31.0 + f64::from(i), &c_tags(&[20, 100]), 2_000 + i, 100));
    with_directions(burst(1_460).into_iter().chain(small).collect())
}

/// The same, and a small packet at `until`: the capture goes on, and nothing acknowledges what is too long.
fn lasting(shots: Vec<Shot>, until: f64) -> Vec<Shot> {
    shots.into_iter().chain([echo_request(until, &c_tags(&[20, 100]), 9, 100)]).collect()
}

/// Five segments of `length` bytes leave, and there the capture ends: nobody knows whether they arrived.
fn burst(length: usize) -> Vec<Shot> {
    let mut ssh = session();
    ssh.exchange(29.9, Who::Caller, 36);
    for i in 0..5 {
        ssh.say(30.0 + 0.0001 * f64::from(i), Who::Called, length);
    }
    ssh.shots()
}

/// Datagrams of L = 1500 and of L = 200 in turn leave the guest in 20.100; the switch, 30 µs away, takes those of up to `most`.
fn bond_and_switch(most: usize) -> Vec<(&'static str, Vec<u8>)> {
    let sent = |i: u16, length| {
        let link = frame().from(GUEST).to(SERVER).tags(&[20, 100]);
        let payload = pattern(u32::from(i), length - 28);
        at(0.25 * f64::from(i), link.ipv4(GUEST_IP, SERVER_IP).udp(5_000, 6_000).bytes(&payload))
    };
    let lengths = |i: u16| if i.is_multiple_of(2) { 200 } else { 1_500 };
    let bond = (0..16).map(|i| sent(i, lengths(i))).collect();
    let switch = (0..16).filter(|i| lengths(*i) <= most).map(|i| sent(i, lengths(i)).later(30)).collect();
    vec![("bond0.pcap", pcap(bond)), ("switch.pcap", pcap(switch))]
}

/// A datagram of L = 1500 leaves in 20.100 and must not be parted; the router behind, whose next link has two tags as well, says 1496, and from
/// then on they fit.
fn told_by_a_router() -> Vec<Shot> {
    let (far, router) = (Ipv4Addr::new(203, 0, 113, 50), Ipv4Addr::new(10, 20, 0, 1));
    let tags = |link: Link| link.tags(&[20, 100]);
    let datagram = |length: usize| {
        tags(frame().from(GUEST).to(SERVER)).ipv4(GUEST_IP, far).udp(5_000, 6_000).bytes(&pattern(0, length - 28))
    };
    let message = tags(frame().from(SERVER).to(GUEST)).ipv4(router, GUEST_IP).too_big(1_496, &datagram(1_500));
    let rest = (0..10).map(|i| at(0.1 + f64::from(i), datagram(1_496)));
    [at(0.0, datagram(1_500)), at(0.002, message)].into_iter().chain(rest).collect()
}

/// Three echo requests of L = 1500 stay unanswered; three of L = 1496 between them are answered.
fn echo_lost() -> Vec<Shot> {
    let tags = c_tags(&[20, 100]);
    let pair = |i: u16| {
        let t = 2.0 * f64::from(i);
        [vec![echo_request(t, &tags, 100 + i, 1_500)], echo(t + 1.0, &tags, 200 + i, 1_496)].concat()
    };
    (0..3).flat_map(pair).chain(echo(8.0, &tags, 300, 100)).collect()
}

/// The kernel hands over 7,300 bytes at once; the card will make five segments of 1,460 from them, L = 1500 each.
fn super_frame() -> Vec<Shot> {
    let mut ssh = session();
    ssh.exchange(29.9, Who::Caller, 36).say(30.0, Who::Called, 5 * 1_460);
    ssh.shots()
}

/// 40 + 1460 bytes of IPv6 in the double tag, after a handshake and a small exchange.
fn ipv6() -> Vec<Shot> {
    let (a, b) = (Ipv6Addr::new(0xfd00, 20, 0, 0, 0, 0, 0, 2), Ipv6Addr::new(0xfd00, 20, 0, 0, 0, 0, 0, 0x15));
    let call = |t, segment, payload: &[u8]| {
        at(t, frame().from(SERVER).to(GUEST).tags(&[20, 100]).tcp_over_ipv6((a, b), (51_000, 22), segment, payload))
    };
    let answer = |t, segment, payload: &[u8]| {
        at(t, frame().from(GUEST).to(SERVER).tags(&[20, 100]).tcp_over_ipv6((b, a), (22, 51_000), segment, payload))
    };
    let bare = |seq, ack| Segment { seq, ack, ..Segment::default() };
    vec![
        call(0.0, Segment { seq: 1_000, syn: Some(1_440), ..Segment::default() }, &[]),
        answer(0.001, Segment { seq: 5_000, ack: 1_001, syn: Some(1_440), ..Segment::default() }, &[]),
        call(0.002, bare(1_001, 5_001), &[]),
        call(1.0, bare(1_001, 5_001), &pattern(0, 36)),
        answer(1.001, bare(5_001, 1_037), &[]),
        answer(1.1, bare(5_001, 1_037), &pattern(0, 1_440)),
    ]
}

/// Small packets that pass and one of L = 1500, all in three tags: 8 bytes over.
fn three_tags() -> Vec<Shot> {
    let tags = c_tags(&[20, 30, 100]);
    [echo(0.0, &tags, 1, 100), echo(1.0, &tags, 2, 100), vec![echo_request(2.0, &tags, 3, 1_500)]].concat()
}

/// A connection from the client to the service, untagged, that opens and takes small segments.
fn plain(port: u16) -> Talk {
    let mut talk = Talk::new(End { port, ..CLIENT }, SSHD, &[]);
    talk.handshake(0.01 * f64::from(port - 51_000), 1_460);
    talk.exchange(1.0, Who::Caller, 36).exchange(1.1, Who::Called, 120);
    talk
}

/// Two sessions between the same hosts hang on their first long answer, side by side.
fn two_stuck() -> Vec<Shot> {
    let mut shots = [stuck_session(plain(51_000)).shots(), stuck_session(plain(51_001)).shots()].concat();
    shots.sort_by_key(Shot::nanos);
    shots
}

/// The same on both links of a router that sends the packets on, 20 µs later: what is lost is lost behind it.
fn both_sides() -> Vec<(&'static str, Vec<u8>)> {
    let (inside, outside) = (End { mac: NODE, ..CLIENT }, End { mac: SECOND, ..SSHD });
    let talk = |caller: End, called: End| {
        let mut talk = Talk::new(caller, called, &[]);
        talk.handshake(0.0, 1_460).exchange(1.0, Who::Caller, 36).exchange(1.1, Who::Called, 120);
        stuck_session(talk).shots()
    };
    let passed = |shots: Vec<Shot>, router| {
        shots.into_iter().map(|shot| if shot.source() == router { shot.later(20) } else { shot }).collect()
    };
    vec![
        ("inside.pcap", pcap(passed(talk(inside, SSHD), NODE))),
        ("outside.pcap", pcap(passed(talk(CLIENT, outside), SECOND))),
    ]
}

/// A page of nine full segments and a short one: the short one arrives, the receiver says so with each byte that it has beyond the hole, and
/// then says nothing any more, since it waits.
fn tail_arrives() -> Vec<Shot> {
    let mut http = plain(51_000);
    http.exchange(9.9, Who::Caller, 200);
    let hole = http.next(Who::Called);
    for i in 0..9 {
        http.lose(10.0 + 0.0001 * f64::from(i), Who::Called, 1_460);
    }
    let tail = http.next(Who::Called);
    http.lose(10.001, Who::Called, 300);
    http.report(10.002, Who::Caller, (tail, tail + 300));
    for again in [10.2, 10.6, 11.4, 13.0, 16.2] {
        http.resend(again, Who::Called, hole, 1_460);
    }
    http.shots()
}

/// `ping -M do`: 1500 bytes stay unanswered three times, 1450 are answered three times, one after the other.
fn pings() -> Vec<Shot> {
    let lost = (0..3).map(|i| echo_request(f64::from(i), &[], 1 + i, 1_500));
    lost.chain((0..3).flat_map(|i| echo(4.0 + f64::from(i), &[], 11 + i, 1_450))).collect()
}
