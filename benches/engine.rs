//! How long a frame takes: decoding alone, and the whole engine, over the project's own captures.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netdiag::cli::judge;
use netdiag::settings::Settings;
use netdiag::source::{Case, Step, lane, open};
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

criterion_group!(benches, decoding);
criterion_main!(benches);
