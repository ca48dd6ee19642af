//! Damage of every kind: captures cut at every byte, bits flipped, frames doubled: no panic, nothing past the frame, nothing silent.

#[path = "support/forge/mod.rs"]
#[expect(unused_imports, reason = "of the forge only its tools are used here")]
mod forge;
mod support;

use std::io::Cursor;

use netdiag::cli::judge;
use netdiag::finding::Report;
use netdiag::settings::Settings;
use netdiag::source::{Case, Lane, Step, open_reader};
use netdiag::value::Outside;
use netdiag::wire::{LinkType, decode};

use forge::{GUEST, GUEST_IP, Pcapng, SERVER_IP, at, frame};

/// Bytes of a file that are cut and flipped one by one; longer files are tried at every 97th byte.
const EVERY_BYTE: usize = 2_000;

fn judge_bytes(bytes: Vec<u8>) -> Report {
    let name = Outside::from("bytes");
    let lane = match open_reader(name.clone(), Box::new(Cursor::new(bytes))) {
        Ok(source) => Lane::new("bytes".to_owned(), name, source),
        Err(damage) => Lane::broken("bytes".to_owned(), name, damage),
    };
    judge(Case { lanes: vec![lane], ..Case::default() }, &Settings::default(), false, &mut ())
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let files = support::files_below(&support::captures());
    let small = files
        .into_iter()
        .map(|f| (f.display().to_string(), std::fs::read(f).unwrap()))
        .filter(|(_, b)| b.len() < 6_000);
    small.step_by(3).collect()
}

#[test]
fn a_file_cut_anywhere_gives_what_was_whole_and_says_the_rest() {
    for (name, bytes) in samples() {
        let whole = judge_bytes(bytes.clone()).tally.frames;
        let step = if bytes.len() > EVERY_BYTE { 97 } else { 1 };
        let mut before = 0;
        for cut in (1..bytes.len()).step_by(step) {
            let report = judge_bytes(bytes[..cut].to_vec());
            assert_eq!(report.lost.internal_errors, 0, "{name} cut at {cut}");
            let frames = report.tally.frames;
            assert!(frames >= before && frames <= whole, "{name} cut at {cut}: {frames} frames after {before}");
            before = frames;
        }
    }
}

#[test]
fn flipped_bits_cost_no_more_than_themselves() {
    for (name, bytes) in samples() {
        let step = if bytes.len() > EVERY_BYTE { 97 } else { 7 };
        for at in (0..bytes.len()).step_by(step) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let report = judge_bytes(bytes);
            assert_eq!(report.lost.internal_errors, 0, "{name} flipped at {at}");
        }
    }
}

#[test]
fn layers_lie_inside_the_frame_however_it_is_cut() {
    for (_, file) in samples() {
        let Ok(mut source) = open_reader(Outside::from("bytes"), Box::new(Cursor::new(file))) else { continue };
        while source.advance() == Ok(Step::Record) {
            let bytes = source.record().bytes;
            for cut in 0..=bytes.len() {
                let part = &bytes[..cut];
                for wire_len in [bytes.len(), cut] {
                    let layers = decode(LinkType::Ethernet, part, u32::try_from(wire_len).unwrap());
                    assert!(layers.rest.len() <= part.len());
                    assert!(layers.rest.is_empty() || part.as_ptr_range().contains(&layers.rest.as_ptr()));
                    assert!(layers.stop.is_none_or(|stop| stop.offset <= wire_len), "{:?}", layers.stop);
                    let _ = layers.summary().to_string();
                }
            }
        }
    }
}

/// The last frame once more, stamped with the last second of which a pcap file can tell, in the year 2106: whoever looks at times
/// whether a link is back or a root gone does not look for eighty years.
#[test]
fn a_leap_over_years_ends() {
    for case in ["stp/lab-guard-offline-bond0/bond0.pcap", "stp/lab-root-takeover-bond0/bond0.pcap"] {
        let mut bytes = std::fs::read(support::captures().join(case)).unwrap();
        let mut last = Vec::new();
        let mut rest = &bytes[24..];
        while !rest.is_empty() {
            let kept = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
            last = rest[..16 + kept].to_vec();
            rest = &rest[16 + kept..];
        }
        let frames = judge_bytes(bytes.clone()).tally.frames;
        last[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend(last);
        let report = judge_bytes(bytes);
        assert_eq!((report.tally.frames, report.lost.internal_errors), (frames + 1, 0), "{case}");
    }
}

#[test]
fn a_case_opens_no_file_but_its_own() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("strange-case");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["/dev/zero", "../bond0.pcap", "a/../../bond0.pcap", ".."] {
        let said = format!("sentence = \"Somebody sent it.\"\n[[vantage]]\nfile = \"{file}\"\n");
        std::fs::write(folder.join("case.toml"), said).unwrap();
        let refused = Case::open(&folder).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.ends_with(&format!("case.toml: {file} is no file of this folder")), "{file}: {refused}");
    }
}

#[test]
fn a_file_of_fifty_thousand_interfaces_ends() {
    // Taps, cards, bonds, and what nothing is known of: each is a vantage of its own.
    let kinds = ["tap", "eth", "bond", "any"];
    let names: Vec<String> = (0..50_000).map(|n| format!("{}{n}", kinds[n % kinds.len()])).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The same question at many of them, a microsecond apart.
    let asked = frame().from(GUEST).arp_request(GUEST_IP, SERVER_IP);
    let shots = (0..1_000_u32).map(|n| at(f64::from(n) / 1e6, asked.clone()).on(n * 50)).collect();
    let report = judge_bytes(Pcapng::with_interfaces(&names).frames(shots).bytes());
    assert_eq!((report.tally.frames, report.lost.internal_errors), (1_000, 0));
}
