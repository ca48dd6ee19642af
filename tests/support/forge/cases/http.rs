//! APIs, and who asks them.

use super::super::frame::{Segment, frame};
use super::super::tcp::{End, Talk, Who};
use super::super::{SERVER, SERVER_IP, Shot, at, pcap};
use super::amqp::{NODES, kept, node, open, says};
use super::dhcp::in_order;
use super::{Case, case};

const API: End = End { mac: SERVER, ip: SERVER_IP, port: 8_773 };
const NOVA: End = End { port: 8_774, ..API };
const DATABASE: End = End { port: 3_306, ..node(9) };

pub fn cases() -> Vec<Case> {
    vec![
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
