//! A message broker and its clients.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::{Segment, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::in_order;
use super::{Case, case};

/// The nodes of a cloud.
pub const NODES: [End; 3] = [node(31), node(33), node(35)];
const BROKER: End = End { mac: SERVER, ip: SERVER_IP, port: 5_672 };
const REPLY: &str = "reply_7f3a91c05d2e4b8f9c1d";

pub fn cases() -> Vec<Case> {
    vec![
        case("svc/console-log-in-one-message", "eth0.pcap", pcap(console_log())),
        case("svc/broker-dies-of-one-message", "eth0.pcap", pcap(broker_dies())),
        case("svc/machine-dies-of-one-message", "eth0.pcap", pcap(machine_dies())),
        case("svc/broker-drops-all-and-stays-away", "eth0.pcap", pcap(broker_crashes())),
        case("svc/broker-dies-of-one-message-for-all", "eth0.pcap", pcap(broker_dies_for_all())),
        case("svc/broker-gone-and-another-takes-over", "eth0.pcap", pcap(broker_gone_and_another())),
        case("svc/broker-stopped-by-an-operator", "eth0.pcap", pcap(broker_stopped())),
        case("svc/node-does-not-come-back-to-its-broker", "eth0.pcap", pcap(one_stays_away(None))),
        case("svc/node-comes-back-to-its-broker-late", "eth0.pcap", pcap(one_stays_away(Some(230.0)))),
        case("svc/nodes-do-not-come-back-to-a-broker-that-was-away", "eth0.pcap", pcap(many_stay_away())),
        case("healthy/broker-is-lost-by-a-command-and-a-dead-node", "eth0.pcap", pcap(nobody_is_missed())),
        case("healthy/broker-closes-what-nobody-uses", "eth0.pcap", pcap(nobody_uses())),
        case("healthy/broker-started-anew-at-once", "eth0.pcap", pcap(broker_restarted())),
        case("svc/console-log-again-and-again", "eth0.pcap", pcap(again_and_again())),
        case("svc/message-handed-to-a-consumer", "eth0.pcap", pcap(handed_on())),
        case("svc/message-of-twenty-megabytes", "eth0.pcap", pcap(twenty_megabytes())),
        case("healthy/amqp-messages-of-every-size", "eth0.pcap", pcap(small_messages())),
    ]
}

pub const fn node(last: u8) -> End {
    End { mac: Mac([0x0c, 0xc4, 0x7a, 0, 0, last]), ip: Ipv4Addr::new(10, 20, 0, last), port: 40_000 + last as u16 }
}

pub fn open(caller: End, called: End) -> Talk {
    let mut talk = Talk::new(caller, called, &[]);
    talk.handshake(0.0, 1_460);
    talk
}

pub fn says(t: f64, from: End, to: End, segment: Segment) -> Shot {
    at(t, frame().from(from.mac).to(to.mac).ipv4(from.ip, to.ip).tcp((from.port, to.port), segment, &[]))
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn amqp(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let (channel, size) = (channel.to_be_bytes(), (payload.len() as u32).to_be_bytes());
    [&[kind][..], &channel, &size, payload, &[0xce]].concat()
}

fn publish(channel: u16, exchange: &str, key: &str) -> Vec<u8> {
    amqp(1, channel, &[&[0, 60, 0, 40, 0, 0][..], &short(exchange), &short(key), &[0]].concat())
}

fn deliver(channel: u16, exchange: &str, key: &str) -> Vec<u8> {
    let tag = [&[0, 60, 0, 60][..], &short("None1"), &7_u64.to_be_bytes(), &[0]].concat();
    amqp(1, channel, &[tag, short(exchange), short(key)].concat())
}

fn header(channel: u16, body: u64) -> Vec<u8> {
    amqp(2, channel, &[&[0, 60, 0, 0][..], &body.to_be_bytes(), &0x1000_u16.to_be_bytes(), &[2]].concat())
}

/// The beginning of a body's piece of 128 KiB, in what is left of a segment.
fn piece(channel: u16, room: usize) -> Vec<u8> {
    let start = [&[3][..], &channel.to_be_bytes(), &131_064_u32.to_be_bytes(), b"{\"result\": \""].concat();
    [start, vec![b'x'; room]].concat()
}

/// A connection that is agreed on; its calls are small.
fn connection(node: End) -> Talk {
    let mut talk = open(node, BROKER);
    talk.tell(0.01, Who::Caller, b"AMQP\x00\x00\x09\x01").acknowledge(0.011, Who::Called);
    talk.tell(0.5, Who::Caller, &[publish(1, "nova", "conductor"), header(1, 900), amqp(3, 1, &[b'{'; 900])].concat());
    talk.acknowledge(0.501, Who::Called);
    talk
}

/// A message of 5.9 GB is announced, and so much of it sent as the broker takes, until it closes the connection.
fn console_log() -> Vec<Shot> {
    let mut talk = connection(NODES[0]);
    let begin = [publish(1, "nova", REPLY), header(1, 5_905_580_032), piece(1, 800)].concat();
    talk.tell(2.0, Who::Caller, &begin).acknowledge(2.001, Who::Called);
    for i in 0..60 {
        talk.exchange(2.01 + 0.25 * f64::from(i), Who::Caller, 1_460);
    }
    in_order(vec![kept(&talk), vec![reset(&talk, 20.0)]])
}

/// The broker's memory is full: it takes no more for half a minute, then closes the connection; when the kernel has ended it, nothing
/// listens on its port.
fn broker_dies() -> Vec<Shot> {
    let mut talk = connection(NODES[0]);
    let begin = [publish(1, "nova", REPLY), header(1, 5_905_580_032), piece(1, 800)].concat();
    talk.tell(2.0, Who::Caller, &begin).acknowledge(2.001, Who::Called);
    for i in 0..20 {
        talk.exchange(2.01 + 0.01 * f64::from(i), Who::Caller, 1_460);
    }
    let (node, sent) = (NODES[0], talk.next(Who::Caller));
    let full = Segment { seq: talk.next(Who::Called), ack: sent, full: true, ..Segment::default() };
    let probe = Segment { seq: sent - 1, ack: talk.next(Who::Called), ..Segment::default() };
    let mut shots = vec![says(2.3, BROKER, node, full)];
    for wait in [0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4] {
        shots.extend([says(2.3 + wait, node, BROKER, probe), says(2.301 + wait, BROKER, node, full)]);
    }
    for i in 0..8_u16 {
        let (t, port) = (32.0 + 2.0 * f64::from(i), 41_000 + i);
        let client = End { port, ..node };
        shots.push(says(t, client, BROKER, Segment { seq: 77, syn: Some(1_460), ..Segment::default() }));
        shots.push(says(t + 0.000_3, BROKER, client, Segment { ack: 78, rst: true, ..Segment::default() }));
    }
    in_order(vec![kept(&talk), shots, vec![reset(&talk, 30.0)]])
}

/// The machine goes down with its broker: from there on nobody answers.
fn machine_dies() -> Vec<Shot> {
    let mut talk = connection(NODES[0]);
    let begin = [publish(1, "nova", REPLY), header(1, 5_905_580_032), piece(1, 800)].concat();
    talk.tell(2.0, Who::Caller, &begin).acknowledge(2.001, Who::Called);
    for i in 0..20 {
        talk.exchange(2.01 + 0.1 * f64::from(i), Who::Caller, 1_460);
    }
    let client = End { port: 41_000, ..NODES[0] };
    let opens = |t: f64| {
        let link = frame().from(client.mac).to(BROKER.mac).ipv4(client.ip, BROKER.ip);
        let segment = Segment { seq: 77, syn: Some(1_460), ..Segment::default() };
        at(t, link.tcp((client.port, BROKER.port), segment, &[]))
    };
    in_order(vec![kept(&talk), [20.0, 21.0, 23.0, 27.0, 35.0].map(opens).to_vec()])
}

/// Two connections of each node, which are used until a time.
fn all_connected(until: f64) -> Vec<(End, Talk)> {
    let ends = NODES.into_iter().flat_map(|node| [node, End { port: node.port + 100, ..node }]);
    ends.map(|end| used(end, until)).collect()
}

/// A connection that is used each nine seconds until a time.
fn used(end: End, until: f64) -> (End, Talk) {
    let mut talk = connection(end);
    let mut t = 2.0 + f64::from(end.port % 100) / 100.0;
    while t < until {
        talk.tell(
            t,
            Who::Caller,
            &[publish(1, "nova", "conductor"), header(1, 900), amqp(3, 1, &[b'{'; 900])].concat(),
        );
        talk.acknowledge(t + 0.001, Who::Called);
        t += 9.0;
    }
    (end, talk)
}

/// The broker ends a connection, by FIN or by a reset.
fn drops(t: f64, (client, talk): &(End, Talk), is_fin: bool) -> Vec<Shot> {
    let (seq, ack) = (talk.next(Who::Called), talk.next(Who::Caller));
    if !is_fin {
        return vec![says(t, BROKER, *client, Segment { seq, rst: true, ..Segment::default() })];
    }
    let closes = Segment { seq, ack, fin: true, ..Segment::default() };
    let answers = Segment { seq: ack, ack: seq + 1, fin: true, ..Segment::default() };
    let last = Segment { seq: seq + 1, ack: ack + 1, ..Segment::default() };
    vec![
        says(t, BROKER, *client, closes),
        says(t + 0.001, *client, BROKER, answers),
        says(t + 0.001_2, BROKER, *client, last),
    ]
}

/// Each node tries to connect again each three seconds, from one time to another, and is refused.
fn refused(from: f64, until: f64) -> Vec<Shot> {
    let mut shots = Vec::new();
    for (n, node) in NODES.into_iter().enumerate() {
        let (mut t, mut port) = (from + 0.3 * n as f64, 44_000);
        while t < until {
            let client = End { port, ..node };
            shots.push(says(t, client, BROKER, Segment { seq: 700, syn: Some(1_460), ..Segment::default() }));
            shots.push(says(t + 0.000_3, BROKER, client, Segment { ack: 701, rst: true, ..Segment::default() }));
            (t, port) = (t + 3.0, port + 1);
        }
    }
    shots
}

/// Each node connects to a broker.
fn back(from: f64, broker: End) -> Vec<Shot> {
    comes(&NODES, from, broker)
}

fn comes(nodes: &[End], from: f64, broker: End) -> Vec<Shot> {
    let talks = nodes.iter().enumerate().map(|(n, node)| {
        let mut talk = Talk::new(End { port: 45_000, ..*node }, broker, &[]);
        talk.handshake(from + 0.5 * n as f64, 1_460);
        talk.tell(from + 0.5 * n as f64 + 0.1, Who::Caller, b"AMQP\x00\x00\x09\x01");
        talk.acknowledge(from + 0.5 * n as f64 + 0.11, Who::Called);
        talk.shots()
    });
    talks.flatten().collect()
}

/// The broker crashes: all connections are reset within two seconds, and nobody listens for a minute.
fn broker_crashes() -> Vec<Shot> {
    let all = all_connected(30.0);
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(30.0 + 0.3 * n as f64, one, false));
    in_order(vec![all.iter().flat_map(|(_, talk)| talk.shots()).collect(), ends.collect(), refused(32.5, 80.0)])
}

/// The same under a message of 5.9 GB of one node; the kernel closes what the broker had open.
fn broker_dies_for_all() -> Vec<Shot> {
    let mut all = all_connected(20.0);
    let talk = &mut all[0].1;
    talk.tell(22.0, Who::Caller, &[publish(1, "nova", REPLY), header(1, 5_905_580_032), piece(1, 800)].concat());
    talk.acknowledge(22.001, Who::Called);
    for i in 0..30 {
        talk.exchange(22.01 + 0.25 * f64::from(i), Who::Caller, 1_460);
    }
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(30.0 + 0.01 * n as f64, one, n > 0));
    let ends = ends.collect();
    in_order(vec![all.iter().flat_map(|(_, talk)| kept(talk)).collect(), ends, refused(32.5, 50.0)])
}

/// The machine of the broker resets what it can, and is gone; the clients go to the second broker after some tries.
fn broker_gone_and_another() -> Vec<Shot> {
    let all = all_connected(30.0);
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(30.0 + 0.02 * n as f64, one, false));
    let tries = NODES.into_iter().flat_map(|node| {
        let client = End { port: 44_000, ..node };
        let syn = Segment { seq: 700, syn: Some(1_460), ..Segment::default() };
        [31.0, 32.0, 34.0, 38.0].map(|t| says(t + f64::from(node.port % 10) / 10.0, client, BROKER, syn))
    });
    let second = End { mac: node(3).mac, ip: node(3).ip, ..BROKER };
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    in_order(vec![all, ends.collect(), tries.collect(), back(36.0, second)])
}

/// An operator stops the broker, which says so to each client, and starts it again after twenty seconds.
fn broker_stopped() -> Vec<Shot> {
    let mut all = all_connected(30.0);
    let text = short("CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    let close = amqp(1, 0, &[&[0, 10, 0, 50][..], &320_u16.to_be_bytes(), &text, &[0, 0, 0, 0]].concat());
    for (n, (_, talk)) in all.iter_mut().enumerate() {
        let t = 30.0 + 0.02 * n as f64;
        talk.tell(t, Who::Called, &close).acknowledge(t + 0.001, Who::Caller);
        talk.tell(t + 0.002, Who::Caller, &amqp(1, 0, &[0, 10, 0, 51])).acknowledge(t + 0.003, Who::Called);
    }
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(30.5 + 0.02 * n as f64, one, true));
    let ends = ends.collect();
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    in_order(vec![all, ends, refused(31.0, 50.0), back(51.0, BROKER)])
}

/// What a node says to the file server, each ten seconds, from one time to another: it lives.
fn alive(end: End, from: f64, until: f64) -> Vec<Shot> {
    let mut talk = open(End { port: 46_000, ..end }, End { port: 2_049, ..node(50) });
    let mut t = from;
    while t < until {
        talk.exchange(t, Who::Caller, 80).exchange(t + 0.01, Who::Called, 80);
        t += 10.0;
    }
    talk.shots()
}

/// The controller is started anew: six connections of three nodes end; two nodes are back at once, and the third lives on without.
fn one_stays_away(late: Option<f64>) -> Vec<Shot> {
    let all = all_connected(90.0);
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(90.0 + 0.02 * n as f64, one, true)).collect();
    let lives = alive(NODES[2], 5.0, 240.0);
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    let mut stories = vec![all, ends, lives, comes(&NODES[..2], 100.0, BROKER)];
    stories.extend(late.map(|late| comes(&NODES[2..], late, BROKER)));
    in_order(stories)
}

/// Eight nodes lose a broker that is away for twenty seconds; only four of them come back to it.
fn many_stay_away() -> Vec<Shot> {
    let nodes: Vec<End> = (31..39).map(node).collect();
    let back = [node(31), node(33), node(35), node(37)];
    let all: Vec<(End, Talk)> = nodes.iter().map(|node| used(*node, 90.0)).collect();
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(90.0 + 0.02 * n as f64, one, false)).collect();
    let lives = nodes.iter().flat_map(|node| alive(*node, 5.0, 260.0)).collect();
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    in_order(vec![all, ends, lives, refused(91.0, 110.0), comes(&back, 112.0, BROKER)])
}

/// The broker is started anew. A command that had just asked it for something does not come back, nor does a node that goes down; the third node
/// goes to another broker.
fn nobody_is_missed() -> Vec<Shot> {
    let stay: Vec<(End, Talk)> = NODES.into_iter().map(|node| used(node, 90.0)).collect();
    let mut command = Talk::new(End { port: 47_000, ..node(40) }, BROKER, &[]);
    command.handshake(85.0, 1_460);
    let command = (End { port: 47_000, ..node(40) }, command);
    let all: Vec<&(End, Talk)> = stay.iter().chain([&command]).collect();
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(90.0 + 0.02 * n as f64, one, true)).collect();
    let behind = [90.2, 90.3].map(|t| drops(t, &command, false)).concat();
    let lives = [NODES[0], NODES[2], node(40)].into_iter().flat_map(|node| alive(node, 5.0, 240.0)).collect();
    let second = End { mac: node(3).mac, ip: node(3).ip, ..BROKER };
    let said = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    in_order(vec![said, ends, behind, lives, comes(&NODES[..1], 95.0, BROKER), comes(&NODES[2..], 97.0, second)])
}

/// A proxy before the broker closes four connections that nobody has used for a while, and takes one of another node; those who had them need none.
fn nobody_uses() -> Vec<Shot> {
    let all: Vec<(End, Talk)> = all_connected(20.0).into_iter().take(4).collect();
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(80.0 + 2.0 * n as f64, one, true)).collect();
    let lives = NODES.iter().flat_map(|node| alive(*node, 5.0, 240.0)).collect();
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    in_order(vec![all, ends, lives, comes(&NODES[2..], 95.0, BROKER)])
}

/// The broker is started anew within a second; and later each client closes its connections itself.
fn broker_restarted() -> Vec<Shot> {
    let all = all_connected(30.0);
    let ends = all.iter().enumerate().flat_map(|(n, one)| drops(30.0 + 0.02 * n as f64, one, true));
    let ends = ends.collect();
    let all = all.iter().flat_map(|(_, talk)| talk.shots()).collect();
    let leave = NODES.into_iter().flat_map(|node| {
        let (t, client) = (60.0 + f64::from(node.port % 10) / 10.0, End { port: 45_000, ..node });
        let closes = Segment { seq: 1_009, ack: 5_001, fin: true, ..Segment::default() };
        let answers = Segment { seq: 5_001, ack: 1_010, fin: true, ..Segment::default() };
        [says(t, client, BROKER, closes), says(t + 0.001, BROKER, client, answers)]
    });
    in_order(vec![all, ends, refused(31.0, 31.7), back(34.0, BROKER), leave.collect()])
}

/// Headers, and what a message begins with.
pub fn kept(talk: &Talk) -> Vec<Shot> {
    talk.shots().into_iter().map(|shot| shot.kept(256)).collect()
}

/// The broker ends the connection.
fn reset(talk: &Talk, seconds: f64) -> Shot {
    let segment = Segment { seq: talk.next(Who::Called), rst: true, ..Segment::default() };
    at(
        seconds,
        frame().from(BROKER.mac).to(NODES[0].mac).ipv4(BROKER.ip, NODES[0].ip).tcp(
            (BROKER.port, NODES[0].port),
            segment,
            &[],
        ),
    )
}

/// Somebody looks at the same log each 30 s; it has 40 MB by now, of which a little is seen of each.
fn again_and_again() -> Vec<Shot> {
    let mut talk = connection(NODES[0]);
    for i in 0..4 {
        let begins = 10.0 + 30.0 * f64::from(i);
        // The method in a segment of its own, as some clients write it.
        talk.tell(begins, Who::Caller, &publish(1, "nova", REPLY)).acknowledge(begins + 0.001, Who::Called);
        talk.tell(begins + 0.002, Who::Caller, &[header(1, 40_000_000 + i as u64), piece(1, 1_200)].concat());
        talk.acknowledge(begins + 0.003, Who::Called);
        for j in 0..5 {
            talk.exchange(begins + 0.1 + 0.1 * f64::from(j), Who::Caller, 1_460);
        }
    }
    kept(&talk)
}

/// The capture is on the consumer's side: it sees what the broker hands on, and not who gave it.
fn handed_on() -> Vec<Shot> {
    let mut talk = connection(NODES[1]);
    talk.tell(2.0, Who::Called, &[deliver(1, "nova", REPLY), header(1, 200_000_000), piece(1, 900)].concat());
    talk.acknowledge(2.001, Who::Caller);
    for i in 0..20 {
        talk.exchange(2.01 + 0.1 * f64::from(i), Who::Called, 1_460);
    }
    kept(&talk)
}

/// 20 MB, whole, captured at the sender where a card cuts what the system hands it.
fn twenty_megabytes() -> Vec<Shot> {
    let (mut talk, size) = (connection(NODES[0]), 20_000_000_u64);
    talk.tell(2.0, Who::Caller, &[publish(1, "", "images"), header(1, size), piece(1, 900)].concat());
    talk.acknowledge(2.001, Who::Called);
    let mut left = size + size.div_ceil(131_064) * 8;
    let mut t = 2.01;
    while left > 0 {
        let length = left.min(64_240);
        talk.exchange(t, Who::Caller, length as usize);
        (t, left) = (t + 0.004, left - length);
    }
    talk.exchange(t + 1.0, Who::Caller, 40);
    talk.shots().into_iter().map(|shot| shot.kept(128)).collect()
}

/// Calls, a list of four megabytes of which the beginning is here, heartbeats; and bytes that look like a header and are not one.
fn small_messages() -> Vec<Shot> {
    let mut talk = connection(NODES[0]);
    for (i, body) in [900, 200_000, 4_000_000].into_iter().enumerate() {
        let t = 2.0 + i as f64;
        let bytes =
            [publish(2, "nova", "scheduler"), header(2, body), publish(1, "", "conductor"), header(1, 30)].concat();
        talk.tell(t, Who::Caller, &bytes).acknowledge(t + 0.001, Who::Called);
        talk.tell(t + 0.5, Who::Called, &amqp(8, 0, &[])).acknowledge(t + 0.501, Who::Caller);
    }
    // Not ended as a frame is: another protocol.
    let mut alike = header(1, u64::MAX);
    *alike.last_mut().unwrap() = 0;
    talk.tell(6.0, Who::Caller, &[alike, vec![0; 40]].concat()).acknowledge(6.001, Who::Called);
    talk.shots()
}
