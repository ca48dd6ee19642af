//! How long a frame takes: decoding alone, and the whole engine, over the project's own captures; and keeping it.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netdiag::cli::judge;
use netdiag::engine::Engine;
use netdiag::event::{Direction, Offload, Record, Vantage, VantageId};
use netdiag::settings::Settings;
use netdiag::source::{Case, FlightRecorder, Item, Keeping, Recorder, Rotation, Step, lane, open};
use netdiag::value::{Span, Timestamp};
use netdiag::wire::{LinkType, decode};

/// Captures with many frames of bulk traffic, DHCP and spanning tree.
const CAPTURES: &[&str] = &[
    "healthy/lab-single-vlan",
    "healthy/lab-double-vlan-jumbo",
    "healthy/lab-dhcp-dora-and-renewals",
    "mtu/lab-overflow-bond0",
];

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    CAPTURES.iter().map(|case| root.join(case).join("bond0.pcap")).collect()
}

fn frames() -> Vec<(Vec<u8>, u32)> {
    let mut frames = Vec::new();
    for file in files() {
        let mut source = open(&file).expect("a capture of the project opens");
        while source.advance() == Ok(Step::Record) {
            let record = source.record();
            frames.push((record.bytes.to_vec(), record.wire_len));
        }
    }
    frames
}

fn decoding(c: &mut Criterion) {
    let frames = frames();
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Elements(frames.len() as u64));
    group.bench_function("decode", |b| {
        b.iter(|| {
            for (bytes, wire_len) in &frames {
                black_box(decode(LinkType::Ethernet, black_box(bytes), *wire_len).kinds());
            }
        });
    });
    group.bench_function("engine", |b| {
        let files = files();
        b.iter(|| {
            let case = Case { lanes: files.iter().map(|file| lane(file)).collect(), ..Case::default() };
            black_box(judge(case, &Settings::default(), false, &mut ()).tally.frames)
        });
    });
    group.finish();
}

/// A packet in one tag, told from the next by its identification and its sequence number.
fn packet(number: u32) -> Vec<u8> {
    let mut packet = vec![0; 86];
    packet[..18].copy_from_slice(b"\x0c\xc4\x7a\x20\x00\x01\xfa\x16\x3e\x12\x34\x56\x81\x00\x00\x64\x08\x00");
    packet[18..38].copy_from_slice(b"\x45\x00\x00\x44\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x14\x00\x0f\x0a\x14\x00\x02");
    packet[38..58].copy_from_slice(b"\x9c\x40\x01\xbb\x00\x00\x00\x00\x00\x00\x00\x01\x50\x10\xff\xff\x00\x00\x00\x00");
    packet[22..24].copy_from_slice(&(number as u16).to_be_bytes());
    packet[42..46].copy_from_slice(&(number * 28).to_be_bytes());
    packet
}

/// An engine that has seen `packets` packets at each of `count` places.
fn seen_at<B: AsRef<[u8]>>(count: u16, packets: impl Iterator<Item = B>) -> Engine {
    let names = ["bond0", "eth0", "switch", "controller", "other"];
    let mut engine = Engine::new(Settings::default());
    for (lane, name) in (0..count).zip(names) {
        engine.add_vantage(VantageId { lane, interface: 0 }, vantage(name));
    }
    for (number, bytes) in (1..).zip(packets) {
        for lane in 0..count {
            // A hundred thousand packets a second, five microseconds from place to place.
            let time = Timestamp::from_parts(1, number as i64 * 10_000 + i64::from(lane) * 5_000);
            engine.frame(
                record(number, time, bytes.as_ref()),
                VantageId { lane, interface: 0 },
                LinkType::Ethernet,
                time,
            );
        }
    }
    engine
}

/// Pages of this process that are in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// What remembering packets takes, in memory: past the window of sightings, or a full table, more packets take no more.
fn memory(_: &mut Criterion) {
    const PAGE: u64 = 4_096;
    for packets in [20_000, 200_000, 2_000_000] {
        let before = resident();
        let engine = seen_at(5, (0..packets).map(packet));
        let more = (resident().saturating_sub(before) * PAGE) >> 20;
        eprintln!("vantages/5: {packets} packets are remembered in {more} MiB");
        drop(engine);
    }
}

/// What it costs to recognise a packet at several places, a frame: one place costs nothing for it.
fn vantages(c: &mut Criterion) {
    const PACKETS: u32 = 20_000;
    let packets: Vec<Vec<u8>> = (0..PACKETS).map(packet).collect();
    let mut group = c.benchmark_group("vantages");
    for count in [1_u16, 5] {
        group.throughput(Throughput::Elements(u64::from(PACKETS) * u64::from(count)));
        group.bench_function(format!("{count}"), |b| {
            b.iter(|| {
                let mut engine = seen_at(count, packets.iter());
                engine.close(None, false);
                black_box(engine.finish(Vec::new()).tally.frames)
            });
        });
    }
    group.finish();
}

/// What it costs the thread that captures to keep a frame in memory, and to hand it to the thread that writes, on a disk that may be slow.
fn recording(c: &mut Criterion) {
    const PACKETS: u32 = 20_000;
    let packets: Vec<Vec<u8>> = (0..PACKETS).map(packet).collect();
    let folder = std::env::temp_dir().join(format!("netdiag-bench-{}", std::process::id()));
    let keeping = Keeping {
        folder: folder.join("evidence"),
        how: "a bench".to_owned(),
        memory: 64 << 20,
        after: Span::secs(10),
        cases: 1,
        total: 256 << 20,
    };
    let mut flight = FlightRecorder::create(keeping).expect("a folder of our own can be made");
    let rotation = Rotation { size: Some(16 << 20), total: Some(256 << 20), span: None };
    let mut recorder = Recorder::create(&folder.join("record"), Timestamp::from_nanos(0), &[], "a bench", rotation)
        .expect("a folder of our own can be made");
    let id = VantageId { lane: 0, interface: 0 };
    flight.item(&Item::Vantage(id, Box::new(vantage("bond0"))));
    recorder.item(&Item::Vantage(id, Box::new(vantage("bond0"))));
    let mut number = 0;
    let mut items = |take: &mut dyn FnMut(&Item<'_>)| {
        for bytes in &packets {
            number += 1;
            let time = Timestamp::from_nanos(number as i64 * 1_000);
            take(&Item::Frame(record(number, time, bytes), id, LinkType::Ethernet, time));
        }
    };
    let mut group = c.benchmark_group("recording");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    group.bench_function("memory", |b| b.iter(|| items(&mut |item| flight.item(item))));
    group.bench_function("folder", |b| {
        b.iter(|| {
            items(&mut |item| {
                recorder.item(item);
            });
        });
    });
    group.finish();
    let end = Timestamp::from_nanos(i64::MAX);
    let written = recorder.finish(end, Vec::new()).expect("the folder can be written");
    eprintln!("{} frames written, {} shed", written.frames, written.shed);
    flight.finish(end).expect("nothing was written");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

fn vantage(name: &str) -> Vantage {
    Vantage::called(name, LinkType::Ethernet)
}

fn record(number: u64, time: Timestamp, bytes: &[u8]) -> Record<'_> {
    let (direction, offload) = (Direction::Unknown, Offload::Unknown);
    Record { interface: 0, number, time, wire_len: bytes.len() as u32, direction, offload, bytes }
}

criterion_group!(benches, decoding, vantages, memory, recording);
criterion_main!(benches);
