//! What `netdiag live` costs: processor time of the receiver a frame, frames that the kernel lost although netdiag was kept waiting for
//! 200 ms, and what listening to a quiet link takes. In a network namespace of its own; what cannot be measured says why.
#![expect(clippy::disallowed_methods, reason = "a measurement asks the clock")]

#[allow(dead_code, reason = "tests of live captures use the rest")]
#[path = "../tests/support/net.rs"]
mod net;

use std::fs;
use std::io::IoSlice;
use std::thread::sleep;
use std::time::{Duration, Instant};

use etherparse::{ArpOperation, ArpPacket, EtherType, PacketBuilder, VlanId};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use serde_json::Value;

use net::{Pair, Running, run};

/// Frames a second that are asked of the sender.
const RATE: u64 = 400_000;
/// How long they are sent.
const LASTS: Duration = Duration::from_secs(5);
/// How long netdiag is kept from running meanwhile: an unlucky turn of a busy host's scheduler, and more.
const STALL: Duration = Duration::from_millis(200);
/// Frames that are sent between two looks at the clock.
const BURST: usize = 64;

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

/// Listening to as much as the sender can send, with one stall.
fn busy(pair: &Pair) {
    let netdiag = Running::start(&["live", "bench0", "--format", "json", "--ring", "64M"]);
    let spent = time_spent(netdiag.id());
    let far = pair.far.clone();
    let sender = std::thread::spawn(move || send(&far));
    sleep(LASTS / 2);
    netdiag.signal("STOP");
    sleep(STALL);
    netdiag.signal("CONT");
    let (sent, took) = match sender.join() {
        Ok(Ok(sent)) => sent,
        Ok(Err(why)) => return println!("not measured: {why}"),
        Err(_) => return println!("not measured: the sender failed"),
    };
    // What is in the ring is still to be judged.
    sleep(Duration::from_secs(1));
    let spent = time_spent(netdiag.id()) - spent;
    let (_, said, _) = netdiag.interrupt();
    let report: Value = serde_json::from_str(&said).unwrap();
    let count = |of: &Value| of.as_u64().unwrap_or(0);
    let (read, lost) = (count(&report["tally"]["frames"]), count(&report["lost"]["kernel"]));
    let rate = sent as f64 / took.as_secs_f64();
    println!("sent: {sent} frames at {rate:.0} a second (asked for: {RATE})");
    println!("receiver: {:.0} ns a frame (target: less than 250)", spent.as_nanos() as f64 / read.max(1) as f64);
    println!("read: {read}, lost by the kernel: {lost} (target: 0, with one stall of {} ms)", STALL.as_millis());
    if rate < RATE as f64 * 0.95 {
        println!("the rate was not reached: this machine cannot send that fast, or is busy");
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

/// Lets a segment carry what follows: the same again would be a storm of repeats, which is followed closely and is no ordinary traffic.
fn go_on(frame: &mut [u8]) {
    // Behind Ethernet, a tag, and IPv4 without options: the protocol, and TCP's sequence number.
    const PROTOCOL: usize = 18 + 9;
    const SEQUENCE: usize = 18 + 20 + 4;
    let payload = (frame.len() as u32).saturating_sub(18 + 20 + 20);
    if frame.get(PROTOCOL) == Some(&6)
        && let Some(number) = frame.get_mut(SEQUENCE..).and_then(|rest| rest.first_chunk_mut::<4>())
    {
        *number = u32::from_be_bytes(*number).wrapping_add(payload).to_be_bytes();
    }
}

/// Frames in one tag as a hypervisor's bond shows them: of each 100, 60 full segments, 12 acknowledgements, 2 of ARP, 26 small ones.
fn mix() -> Vec<Vec<u8>> {
    (0..10_000_u32)
        .map(|n| {
            // Guests and their connections, scattered.
            let (guest, flow) = (n.wrapping_mul(2_654_435_761) >> 23, n.wrapping_mul(2_246_822_519) >> 18);
            let [.., high, low] = guest.to_be_bytes();
            let (mac, address) = ([0xfa, 0x16, 0x3e, 0, high, low], [10, 0, high, low]);
            let link = PacketBuilder::ethernet2(mac, [0x52, 0x54, 0, 0, 0, 1])
                .single_vlan(VlanId::try_new(100 + (guest % 200) as u16).unwrap());
            let port = 1_024 + flow as u16;
            let ip =
                |link: etherparse::PacketBuilderStep<etherparse::VlanHeader>| link.ipv4(address, [172, 16, 0, 1], 64);
            let mut frame = Vec::new();
            match n % 100 {
                0..60 => ip(link).tcp(port, 443, n, 65_535).ack(1).write(&mut frame, &[0; 1_448]).unwrap(),
                60..72 => ip(link).tcp(port, 443, n, 65_535).ack(n).write(&mut frame, &[]).unwrap(),
                72..74 => {
                    let arp = ArpPacket::new(
                        etherparse::ArpHardwareId::ETHERNET,
                        EtherType::IPV4,
                        ArpOperation::REQUEST,
                        &mac,
                        &address,
                        &[0; 6],
                        &[10, 0, 0, 1],
                    );
                    link.arp(arp.unwrap()).write(&mut frame).unwrap();
                }
                74..90 => ip(link).udp(port, 53).write(&mut frame, &[0; 40]).unwrap(),
                _ => ip(link).tcp(port, 22, n, 65_535).ack(1).write(&mut frame, &[0; 64]).unwrap(),
            }
            frame
        })
        .collect()
}

/// Processor time that all threads of a process have had.
fn time_spent(id: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let spent = tasks.filter_map(|task| {
        // The first number is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
        let told = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}
