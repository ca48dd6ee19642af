//! What `netdiag live` costs: processor time a frame, of the receiver alone and of the whole process; frames that the kernel lost although
//! it was kept waiting for 200 ms; and what listening to a quiet link takes. In a network namespace of its own; what cannot be measured says why.
#![expect(clippy::disallowed_methods, reason = "a measurement asks the clock")]

#[allow(dead_code, reason = "tests of live captures use the rest")]
#[path = "../tests/support/net.rs"]
mod net;

use std::fs;
use std::io::IoSlice;
use std::path::Path;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use netdiag::source::live::{Capture, Receiver, wait};
use netdiag::source::{Item, Merge};

use etherparse::{ArpOperation, ArpPacket, EtherType, PacketBuilder, VlanId};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use serde_json::Value;

use net::{Pair, Running, run};

/// Bytes of the ring.
const RING: usize = 64 << 20;
/// Frames a second that are asked of the sender.
const RATE: u64 = 400_000;
/// How long they are sent.
const LASTS: Duration = Duration::from_secs(5);
/// How long netdiag is kept from running meanwhile: an unlucky turn of a busy host's scheduler, and more.
const STALL: Duration = Duration::from_millis(200);
/// Frames that are sent between two looks at the clock.
const BURST: usize = 64;
/// Bytes that a full segment carries.
const SEGMENT: u32 = 1_448;
/// Where guests connect to, and what is in between.
const HTTPS: u16 = 443;
const SERVER: [u8; 4] = [172, 16, 0, 1];
const GATEWAY: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    if let Err(why) = net::enter() {
        println!("not measured: {why}");
        return;
    }
    let pair = Pair::new("bench0");
    run("ip link set bench0 mtu 9000 && ip link set bench0-far mtu 9000");
    idle();
    receiver(&pair);
    busy(&pair);
}

/// Listening to a link on which nothing happens.
fn idle() {
    let netdiag = Running::start(&["live", "bench0", "--format", "json"]);
    sleep(Duration::from_secs(1));
    let (from, spent) = (Instant::now(), time_spent(netdiag.id()));
    sleep(LASTS);
    let share = (time_spent(netdiag.id()) - spent).as_secs_f64() / from.elapsed().as_secs_f64();
    println!("idle: {:.2} % of a core (target: less than 1)", share * 100.0);
    netdiag.interrupt();
}

/// The receiver alone: every frame is taken out of the ring and put in order, and nobody judges it.
fn receiver(pair: &Pair) {
    let capture = Capture {
        receiver: Receiver::Ring,
        ring: RING,
        snap_len: None,
        is_promiscuous: true,
        filter: None,
        is_patient: false,
    };
    let lane = match capture.open(&pair.near) {
        Ok(lane) => lane,
        Err(why) => return println!("not measured: {why}"),
    };
    let mut merge = Merge::new(vec![lane], Vec::new());
    let (mut read, mut lost, mut must_stall) = (0_u64, 0, true);
    let (from, spent) = (Instant::now(), own_time());
    let sender = start_sender(pair);
    loop {
        match merge.next() {
            Some(Item::Frame(record, ..)) => read += u64::from(std::hint::black_box(record).wire_len > 0),
            Some(Item::Lost(drops)) => lost += drops.frames,
            Some(Item::Tick(_)) if sender.is_finished() && from.elapsed() > LASTS + Duration::from_secs(1) => break,
            Some(Item::Tick(_)) => wait(&merge, None),
            Some(_) => {}
            None => break,
        }
        if must_stall && read > RATE * LASTS.as_secs() / 2 {
            must_stall = false;
            sleep(STALL);
        }
    }
    let spent = own_time() - spent;
    tell("receiver alone", sender, spent, read, lost);
}

/// Listening to as much as the sender can send, with one stall: all that `netdiag live` does.
fn busy(pair: &Pair) {
    let netdiag = Running::start(&["live", "bench0", "--format", "json", "--ring", &RING.to_string()]);
    let spent = time_spent(netdiag.id());
    let sender = start_sender(pair);
    sleep(LASTS / 2);
    netdiag.signal("STOP");
    sleep(STALL);
    netdiag.signal("CONT");
    while !sender.is_finished() {
        sleep(STALL);
    }
    // What is in the ring is still to be judged.
    sleep(Duration::from_secs(1));
    let spent = time_spent(netdiag.id()) - spent;
    let (_, said, _) = netdiag.interrupt();
    let report: Value = serde_json::from_str(&said).unwrap();
    let count = |of: &Value| of.as_u64().unwrap_or(0);
    tell("whole process", sender, spent, count(&report["tally"]["frames"]), count(&report["lost"]["kernel"]));
}

type Sender = JoinHandle<Result<(u64, Duration), String>>;

fn start_sender(pair: &Pair) -> Sender {
    let far = pair.far.clone();
    std::thread::spawn(move || send(&far))
}

/// What `who` took for `read` frames, and how many were lost.
fn tell(who: &str, sender: Sender, spent: Duration, read: u64, lost: u64) {
    let (sent, took) = match sender.join() {
        Ok(Ok(sent)) => sent,
        Ok(Err(why)) => return println!("{who}: not measured: {why}"),
        Err(_) => return println!("{who}: not measured: the sender failed"),
    };
    let rate = sent as f64 / took.as_secs_f64();
    let cost = spent.as_nanos() as f64 / read.max(1) as f64;
    println!("{who}: {cost:.0} ns a frame (target for the receiver: less than 250)");
    println!("{who}: sent {sent} frames at {rate:.0} a second (asked for: {RATE})");
    println!("{who}: read {read}, lost by the kernel {lost} (target: 0, with one stall of {} ms)", STALL.as_millis());
    if rate < RATE as f64 * 0.95 {
        println!("{who}: the rate was not reached: this machine cannot send that fast, or is busy");
    }
}

/// Sends the mix out of `link` at `RATE`, as far as the machine can: how many frames, and how long it took.
fn send(link: &str) -> Result<(u64, Duration), String> {
    let trouble = |error: pcap::Error| format!("no sender on {link}: {error}");
    let mut out = pcap::Capture::from_device(link).map_err(trouble)?.snaplen(64).open().map_err(trouble)?;
    // It only sends.
    out.filter("less 1", true).map_err(trouble)?;
    let mut frames = mix();
    let (from, mut sent) = (Instant::now(), 0_u64);
    while from.elapsed() < LASTS {
        let slices: Vec<[IoSlice<'_>; 1]> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut controls: Vec<_> = frames.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<_> =
            slices.iter().zip(&mut controls).map(|(iov, none)| MMsgHdr::new(iov, none)).collect();
        for burst in messages.chunks_mut(BURST) {
            let due = Duration::from_nanos(sent * 1_000_000_000 / RATE);
            while from.elapsed() < due {
                std::hint::spin_loop();
            }
            sent += sendmmsg(&out, burst, SendFlags::empty()).map_err(|error| format!("sending: {error}"))? as u64;
        }
        drop(messages);
        frames.iter_mut().for_each(|frame| go_on(frame));
    }
    Ok((sent, from.elapsed()))
}

/// Lets a connection go on: the same again would be a storm of repeats, which is followed closely and is no ordinary traffic.
fn go_on(frame: &mut [u8]) {
    // Behind Ethernet, a tag, and IPv4 without options: the protocol, and TCP's source port, sequence number and acknowledgement.
    const PROTOCOL: usize = 18 + 9;
    const PORT: usize = 18 + 20;
    const SEQUENCE: usize = PORT + 4;
    const ACKNOWLEDGEMENT: usize = SEQUENCE + 4;
    if frame.get(PROTOCOL) != Some(&6) {
        return;
    }
    let is_answer =
        frame.get(PORT..).and_then(|rest| rest.first_chunk()).is_some_and(|port| *port == HTTPS.to_be_bytes());
    let number = if is_answer { ACKNOWLEDGEMENT } else { SEQUENCE };
    if let Some(number) = frame.get_mut(number..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *number = u32::from_be_bytes(*number).wrapping_add(2 * SEGMENT).to_be_bytes();
    }
}

/// Frames in one tag as a hypervisor's bond shows them, both ways: of each 100, 52 full segments, two a connection, 26 acknowledgements of two,
/// 2 of ARP, 20 datagrams.
fn mix() -> Vec<Vec<u8>> {
    (0..10_000_u32)
        .map(|n| {
            let (place, round) = (n % 100, n - n % 100);
            let connection = match place {
                0..52 => round + place / 2,
                52..78 => round + place - 52,
                _ => n,
            };
            // Guests and their connections, scattered.
            let scattered = |by: u32, bits: u32| connection.wrapping_mul(by) >> (32 - bits);
            let (guest, port) = (scattered(2_654_435_761, 9), 1_024 + scattered(2_246_822_519, 14) as u16);
            let [.., high, low] = guest.to_be_bytes();
            let (mac, address) = ([0xfa, 0x16, 0x3e, 0, high, low], [10, 0, high, low]);
            let vlan = VlanId::try_new(100 + (guest % 200) as u16).unwrap();
            let out = PacketBuilder::ethernet2(mac, GATEWAY).single_vlan(vlan);
            let mut frame = Vec::new();
            match place {
                0..52 => {
                    let segment = out.ipv4(address, SERVER, 64).tcp(port, HTTPS, place % 2 * SEGMENT, 65_535).ack(1);
                    segment.write(&mut frame, &[0; SEGMENT as usize]).unwrap();
                }
                52..78 => {
                    let back = PacketBuilder::ethernet2(GATEWAY, mac).single_vlan(vlan).ipv4(SERVER, address, 64);
                    back.tcp(HTTPS, port, 1, 65_535).ack(2 * SEGMENT).write(&mut frame, &[]).unwrap();
                }
                78..80 => {
                    let (kind, asks) = (etherparse::ArpHardwareId::ETHERNET, ArpOperation::REQUEST);
                    let arp = ArpPacket::new(kind, EtherType::IPV4, asks, &mac, &address, &[0; 6], &[10, 0, 0, 1]);
                    out.arp(arp.unwrap()).write(&mut frame).unwrap();
                }
                _ => out.ipv4(address, SERVER, 64).udp(port, 53).write(&mut frame, &[0; 40]).unwrap(),
            }
            frame
        })
        .collect()
}

/// Processor time that all threads of a process have had.
fn time_spent(id: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    tasks.filter_map(|task| time_of(&task.ok()?.path())).sum()
}

/// Processor time that this thread has had.
fn own_time() -> Duration {
    time_of(Path::new("/proc/thread-self")).unwrap_or_default()
}

/// Processor time of a thread: the first number is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
fn time_of(task: &Path) -> Option<Duration> {
    let told = fs::read_to_string(task.join("schedstat")).ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
