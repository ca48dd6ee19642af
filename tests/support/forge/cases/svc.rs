//! Services over TCP: a message broker, a file server, an API.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::frame::{Segment, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{SERVER, SERVER_IP, Shot, at, pcap};
use super::dhcp::in_order;
use super::{Case, case};

const NODES: [End; 3] = [node(31), node(33), node(35)];
const BROKER: End = End { mac: SERVER, ip: SERVER_IP, port: 5_672 };
const STORE: End = End { mac: SERVER, ip: SERVER_IP, port: 2_049 };
const NOVA: End = End { mac: SERVER, ip: SERVER_IP, port: 8_774 };
const DATABASE: End = End { port: 3_306, ..node(9) };
const API: End = End { mac: SERVER, ip: SERVER_IP, port: 8_773 };
/// A base image of 10 GB, as nova names it.
const IMAGE: &str = "7b4783508212f5d242cbf9ff56fb8d33b4ce6166_10";
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
        case("healthy/broker-started-anew-at-once", "eth0.pcap", pcap(broker_restarted())),
        case("svc/console-log-again-and-again", "eth0.pcap", pcap(again_and_again())),
        case("svc/message-handed-to-a-consumer", "eth0.pcap", pcap(handed_on())),
        case("svc/message-of-twenty-megabytes", "eth0.pcap", pcap(twenty_megabytes())),
        case("healthy/amqp-messages-of-every-size", "eth0.pcap", pcap(small_messages())),
        case("svc/base-image-removed-and-missed", "eth0.pcap", pcap(removed_and_missed())),
        case("svc/base-images-removed-over-nfs4", "eth0.pcap", pcap(removed_by_compound())),
        case("svc/base-image-removed-and-fetched-again", "eth0.pcap", pcap(removed_and_fetched())),
        case("healthy/nfs-files-come-and-go", "eth0.pcap", pcap(come_and_go())),
        case("svc/api-action-takes-two-minutes", "eth0.pcap", pcap(slow_action(138.6))),
        case("svc/api-action-takes-half-a-minute-and-is-quick-again", "eth0.pcap", pcap(slow_for_a_while())),
        case("svc/api-never-answers", "eth0.pcap", pcap(no_answer())),
        case("svc/api-answers-nobody-in-time", "eth0.pcap", pcap(gives_up())),
        case("tcp/api-hears-a-request-late", "eth0.pcap", pcap(heard_late())),
        case("healthy/api-answers-unseen", "eth0.pcap", pcap(unseen())),
        case("svc/api-fails-while-its-database-refuses", "eth0.pcap", pcap(database_refuses())),
        case("svc/proxy-has-nobody-behind-it", "eth0.pcap", pcap(nobody_behind())),
        case("svc/api-fails-for-a-while", "eth0.pcap", pcap(fails_for_a_while())),
        case("healthy/api-refuses-what-clients-get-wrong", "eth0.pcap", pcap(clients_are_wrong())),
        case("healthy/api-stumbles-in-a-busy-minute", "eth0.pcap", pcap(stumbles())),
        case("svc/web-server-holds-a-request", "eth0.pcap", pcap(held())),
        case("healthy/api-is-sent-an-image", "eth0.pcap", pcap(upload())),
    ]
}

const fn node(last: u8) -> End {
    End { mac: Mac([0x0c, 0xc4, 0x7a, 0, 0, last]), ip: Ipv4Addr::new(10, 20, 0, last), port: 40_000 + last as u16 }
}

fn open(caller: End, called: End) -> Talk {
    let mut talk = Talk::new(caller, called, &[]);
    talk.handshake(0.0, 1_460);
    talk
}

// A message broker.

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
    let use_it = |end: End| {
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
    };
    ends.map(use_it).collect()
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
    let talks = NODES.into_iter().enumerate().map(|(n, node)| {
        let mut talk = Talk::new(End { port: 45_000, ..node }, broker, &[]);
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
fn kept(talk: &Talk) -> Vec<Shot> {
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

// A file server.

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut all = [words(&[bytes.len() as u32]), bytes.to_vec()].concat();
    all.resize(4 + bytes.len().next_multiple_of(4), 0);
    all
}

fn record(bytes: &[u8]) -> Vec<u8> {
    [words(&[0x8000_0000 | bytes.len() as u32]), bytes.to_vec()].concat()
}

/// A call by `machine`, whose user is nova's.
fn call(xid: u32, machine: &str, version: u32, procedure: u32, args: &[u8]) -> Vec<u8> {
    let credential = [words(&[0x5000]), opaque(machine.as_bytes()), words(&[162, 162, 1, 162])].concat();
    let head = words(&[xid, 0, 2, 100_003, version, procedure, 1]);
    record(&[head, opaque(&credential), words(&[0, 0]), args.to_vec()].concat())
}

fn answer(xid: u32, status: u32) -> Vec<u8> {
    record(&words(&[xid, 1, 0, 0, 0, 0, status, 0, 0, 0]))
}

/// A directory's handle and a name in it.
fn inside(name: &str) -> Vec<u8> {
    [opaque(&[7; 28]), opaque(name.as_bytes())].concat()
}

/// What a machine asks of the file server, and what it is told, one after the other.
struct Machine {
    name: &'static str,
    talk: Talk,
    xid: u32,
}

impl Machine {
    fn new(name: &'static str, node: End) -> Self {
        Self { name, talk: open(node, STORE), xid: 0x9000_0000 + u32::from(node.port) * 64 }
    }

    fn asks(&mut self, seconds: f64, version: u32, procedure: u32, args: &[u8], status: u32) -> &mut Self {
        self.xid += 1;
        self.talk.tell(seconds, Who::Caller, &call(self.xid, self.name, version, procedure, args));
        self.talk.tell(seconds + 0.001, Who::Called, &answer(self.xid, status));
        self.talk.acknowledge(seconds + 0.002, Who::Caller);
        self
    }

    fn looks(&mut self, seconds: f64, name: &str, status: u32) -> &mut Self {
        self.asks(seconds, 3, 3, &inside(name), status)
    }

    fn makes(&mut self, seconds: f64, name: &str) -> &mut Self {
        self.asks(seconds, 3, 8, &[inside(name), words(&[0, 0, 0, 0, 0, 0, 0])].concat(), 0)
    }

    fn removes(&mut self, seconds: f64, name: &str, status: u32) -> &mut Self {
        self.asks(seconds, 3, 12, &inside(name), status)
    }

    fn renames(&mut self, seconds: f64, from: &str, to: &str) -> &mut Self {
        self.asks(seconds, 3, 14, &[inside(from), inside(to)].concat(), 0)
    }
}

/// The node c05 is down when c03 looks which images are used; four minutes later it comes back and needs one.
fn removed_and_missed() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.looks(1.0, IMAGE, 0).removes(10.0, IMAGE, 0);
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    c05.looks(250.0, IMAGE, 2).looks(251.0, "disk.info", 0).looks(262.0, IMAGE, 2);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}

/// Two images go by compounds of NFS 4.1; nobody misses them.
fn removed_by_compound() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    let other = IMAGE.replace("_10", "");
    for (t, name) in [(10.0, IMAGE), (10.1, &other)] {
        let sequence = [words(&[53]), vec![3; 32]].concat();
        let remove =
            [words(&[22]), opaque(&[7; 28]), words(&[28]), opaque(name.as_bytes()), words(&[9, 1, 24])].concat();
        let compound = [opaque(b""), words(&[1, 4]), sequence, remove].concat();
        c03.asks(t, 4, 1, &compound, 0);
    }
    c03.looks(20.0, "console.log", 0);
    c03.talk.shots()
}

/// The cache at work: an image that nobody uses is removed; the next instance on another node fetches it again.
fn removed_and_fetched() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.removes(10.0, IMAGE, 0);
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    let part = format!("{IMAGE}.part");
    c05.looks(250.0, IMAGE, 2).makes(250.4, &part).renames(270.0, &part, IMAGE).looks(270.2, IMAGE, 0);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}

/// Other files are removed, a file in use is moved aside, a removal is refused, and an image that was never here is looked for and made.
fn come_and_go() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.removes(1.0, "console.log", 0).removes(2.0, IMAGE, 13).renames(3.0, IMAGE, ".nfs0000000000ab12").removes(
        4.0,
        ".nfs0000000000ab12",
        0,
    );
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    let other = IMAGE.replace("7b", "00");
    c05.looks(5.0, &other, 2).makes(6.0, &other).looks(30.0, &other, 0);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}

// An API.

fn get(action: &str) -> Vec<u8> {
    format!("GET /services/Cloud?AWSAccessKeyId=AKIDEXAMPLE&Action={action}&Version=2010-08-31 HTTP/1.1\r\nHost: api\r\n\r\n").into_bytes()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 2\r\n\r\nok";

/// A request, which the server's system acknowledges at once, and the answer to it.
fn asks(talk: &mut Talk, t: f64, request: &[u8], took: f64) {
    is_told(talk, t, request, took, OK);
}

fn is_told(talk: &mut Talk, t: f64, request: &[u8], took: f64, answer: &[u8]) {
    talk.tell(t, Who::Caller, request).acknowledge(t + 0.000_2, Who::Called);
    talk.tell(t + took, Who::Called, answer).acknowledge(t + took + 0.001, Who::Caller);
}

/// An answer without a body.
fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Lists are answered in 0.4 s, each three seconds, until a time.
fn quick(until: f64) -> Vec<Shot> {
    let mut talk = open(NODES[1], API);
    let mut t = 1.0;
    while t < until {
        asks(&mut talk, t, &get("DescribeInstances"), 0.4);
        t += 3.0;
    }
    talk.shots()
}

fn slow_action(took: f64) -> Vec<Shot> {
    let mut talk = open(NODES[0], API);
    asks(&mut talk, 5.0, &get("RunInstances"), took);
    in_order(vec![quick(160.0), talk.shots()])
}

/// The action takes 40 s, and is answered within two seconds once the deleted rows are gone.
fn slow_for_a_while() -> Vec<Shot> {
    let mut talk = open(NODES[0], API);
    asks(&mut talk, 5.0, &get("RunInstances"), 40.0);
    for i in 0..6 {
        asks(&mut talk, 100.0 + 10.0 * f64::from(i), &get("RunInstances"), 1.5);
    }
    talk.shots()
}

/// The client gives up after a minute and a half.
fn no_answer() -> Vec<Shot> {
    let mut talk = open(NODES[0], API);
    talk.tell(5.0, Who::Caller, &get("RunInstances")).acknowledge(5.000_2, Who::Called);
    talk.exchange(95.0, Who::Caller, 0);
    in_order(vec![quick(120.0), talk.shots()])
}

/// Three clients close after 45 s.
fn gives_up() -> Vec<Shot> {
    let mut stories = vec![quick(70.0)];
    for (i, node) in NODES.into_iter().enumerate() {
        let t = 2.0 + i as f64;
        let client = End { port: 42_000, ..node };
        let mut talk = open(client, API);
        talk.tell(t, Who::Caller, &get("RunInstances")).acknowledge(t + 0.000_2, Who::Called);
        let link = frame().from(client.mac).to(API.mac).ipv4(client.ip, API.ip);
        let (seq, ack) = (talk.next(Who::Caller), talk.next(Who::Called));
        let fin = link.tcp((client.port, API.port), Segment { seq, ack, fin: true, ..Segment::default() }, &[]);
        let link = frame().from(API.mac).to(client.mac).ipv4(API.ip, client.ip);
        let heard = Segment { seq: ack, ack: seq + 1, ..Segment::default() };
        let heard = link.tcp((API.port, client.port), heard, &[]);
        stories.extend([talk.shots(), vec![at(t + 45.0, fin), at(t + 45.000_2, heard)]]);
    }
    in_order(stories)
}

/// A request is lost four times on the way; once it is there, it is answered within ten seconds.
fn heard_late() -> Vec<Shot> {
    let mut talk = open(NODES[0], API);
    let (seq, request) = (talk.next(Who::Caller), get("RunInstances"));
    talk.tell(2.0, Who::Caller, &request);
    let lost: Vec<Shot> = [3.0, 5.0, 9.0, 17.0, 25.0].map(|t| again(t, &talk, seq, &request)).to_vec();
    talk.acknowledge(25.000_2, Who::Called);
    talk.tell(35.0, Who::Called, OK).acknowledge(35.001, Who::Caller);
    in_order(vec![talk.shots(), lost])
}

/// The same request once more.
fn again(t: f64, talk: &Talk, seq: u32, request: &[u8]) -> Shot {
    let segment = Segment { seq, ack: talk.next(Who::Called), ..Segment::default() };
    let link = frame().from(NODES[0].mac).to(API.mac).ipv4(NODES[0].ip, API.ip);
    at(t, link.tcp((NODES[0].port, API.port), segment, request))
}

/// Its answers are not captured, their acknowledgements are.
fn unseen() -> Vec<Shot> {
    let mut talk = open(NODES[0], API);
    for i in 0..3 {
        let t = 2.0 + 70.0 * f64::from(i);
        talk.tell(t, Who::Caller, &get("RunInstances")).acknowledge(t + 0.000_2, Who::Called);
        talk.tell(t + 0.4, Who::Called, OK).uncaptured();
        talk.acknowledge(t + 0.401, Who::Caller);
    }
    talk.shots()
}

/// Whether a web server is slow, or waits until there is something to say, nobody can see.
fn held() -> Vec<Shot> {
    let mut talk = open(NODES[0], End { port: 80, ..API });
    for i in 0..3 {
        asks(&mut talk, 1.0 + 60.0 * f64::from(i), b"GET /events/8412/next HTTP/1.1\r\nHost: chat\r\n\r\n", 55.0);
    }
    talk.shots()
}

/// An image is sent for 200 s, once the server has said that it may; the answer comes a tenth of a second after its end.
fn upload() -> Vec<Shot> {
    let mut talk = open(NODES[0], End { port: 9_292, ..API });
    let put = b"PUT /v2/images/7b478350-8212-f5d2-42cb-f9ff56fb8d33/file HTTP/1.1\r\nHost: glance\r\nExpect: 100-continue\r\n\r\n";
    talk.tell(1.0, Who::Caller, put).acknowledge(1.000_2, Who::Called);
    talk.tell(1.01, Who::Called, b"HTTP/1.1 100 Continue\r\n\r\n").acknowledge(1.011, Who::Caller);
    for i in 0..400 {
        talk.exchange(1.5 + 0.5 * f64::from(i), Who::Caller, 1_460);
    }
    talk.tell(201.2, Who::Called, OK).acknowledge(201.201, Who::Caller);
    kept(&talk)
}

/// Nova's API as three nodes ask it, each second one of them, for two things by turns: `says` is what it answers to which request.
fn nova(requests: u32, says: impl Fn(u32) -> &'static str) -> Vec<Shot> {
    asked_each(1.0, requests, says)
}

fn asked_each(step: f64, requests: u32, says: impl Fn(u32) -> &'static str) -> Vec<Shot> {
    let mut talks = NODES.map(|node| open(node, NOVA));
    for i in 0..requests {
        let request: &[u8] = if i % 2 == 0 {
            b"GET /v2.1/5a3f1c0d9e8b7a65/servers/detail?limit=1 HTTP/1.1\r\nHost: api\r\nX-Auth-Token: secret\r\n\r\n"
        } else {
            b"POST /v2.1/5a3f1c0d9e8b7a65/servers HTTP/1.1\r\nHost: api\r\nX-Auth-Token: secret\r\n\r\n"
        };
        is_told(&mut talks[i as usize % 3], 1.0 + step * f64::from(i), request, 0.08, &status(says(i)));
    }
    in_order(talks.iter().map(Talk::shots).collect())
}

/// After twenty seconds the API's database is stopped: what it still has in its memory it answers.
fn database_refuses() -> Vec<Shot> {
    let asked = nova(60, |i| if i >= 20 && i % 5 > 0 { "500 Internal Server Error" } else { "200 OK" });
    let tries = (0..13_u16).flat_map(|i| {
        let (t, client) = (20.9 + 3.0 * f64::from(i), End { port: 51_000 + i, ..NOVA });
        let syn = Segment { seq: 500, syn: Some(1_460), ..Segment::default() };
        let rst = Segment { ack: 501, rst: true, ..Segment::default() };
        [says(t, client, DATABASE, syn), says(t + 0.000_2, DATABASE, client, rst)]
    });
    in_order(vec![asked, tries.collect()])
}

/// The server behind a proxy is off: each connection that the proxy tries hears nothing, and who waited for it is sent away.
fn nobody_behind() -> Vec<Shot> {
    let asked = nova(40, |i| if i % 4 == 3 { "504 Gateway Timeout" } else { "503 Service Unavailable" });
    let tries = (0..6_u16).flat_map(|i| {
        let client = End { port: 51_000 + i, ..NOVA };
        let syn = Segment { seq: 500, syn: Some(1_460), ..Segment::default() };
        [0.0, 1.0, 3.0].map(|wait| says(0.5 + 6.0 * f64::from(i) + wait, client, DATABASE, syn))
    });
    in_order(vec![asked, tries.collect()])
}

/// Errors for three quarters of a minute, and then none.
fn fails_for_a_while() -> Vec<Shot> {
    nova(180, |i| if (10..55).contains(&i) && i % 3 == 0 { "500 Internal Server Error" } else { "200 OK" })
}

/// Most requests are wrong in some way, and a few fail.
fn clients_are_wrong() -> Vec<Shot> {
    nova(120, |i| match i % 8 {
        0 => "500 Internal Server Error",
        1..=3 => "404 Not Found",
        4 => "409 Conflict",
        5 => "401 Unauthorized",
        _ => "200 OK",
    })
}

/// Five requests a second, and one second in which two workers are started anew.
fn stumbles() -> Vec<Shot> {
    asked_each(0.2, 300, |i| if (240..252).contains(&i) { "503 Service Unavailable" } else { "200 OK" })
}

fn says(t: f64, from: End, to: End, segment: Segment) -> Shot {
    at(t, frame().from(from.mac).to(to.mac).ipv4(from.ip, to.ip).tcp((from.port, to.port), segment, &[]))
}
