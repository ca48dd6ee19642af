//! The flight recorder keeps a case for what it is told of: with what came before, and a while after; few and small enough; and never instead of
//! the capture.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use netdiag::event::{Direction, Offload, Record, VantageId};
use netdiag::source::{CASE_FILE, Case, CaseFile, FlightRecorder, Item, Keeping, Lane, Merge, Occasion, Step, open};
use netdiag::value::{Outside, Span, Timestamp};
use netdiag::wire::LinkType;

use support::played::{Dice, Played, captures_of};

/// A folder that is not there yet.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("evidence-{name}"));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn keeping(folder: &Path) -> Keeping {
    Keeping {
        folder: folder.to_owned(),
        how: "a test".to_owned(),
        memory: 1 << 20,
        after: Span::secs(10),
        cases: 100,
        total: 1 << 30,
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_parts(1_000_000 + seconds, 0)
}

/// A finding that opened after so many seconds.
fn finding(code: &str, at: i64) -> Occasion {
    Occasion {
        code: code.to_owned(),
        name: "offer-unanswered".to_owned(),
        key: [("client".to_owned(), "fa:16:3e:12:34:56".to_owned())].into(),
        headline: "It is so.".to_owned(),
        opened: seconds(at),
    }
}

/// The vantage that all frames are seen at.
fn vantage() -> Item<'static> {
    let case = support::captures().join("stp/guest-bpdu-on-bond0/bond0.pcap");
    let lane = Lane::new("bond0".to_owned(), Outside::from("bond0"), open(&case).unwrap());
    match Merge::new(vec![lane], Vec::new()).next() {
        Some(Item::Vantage(id, vantage)) => Item::Vantage(id, vantage),
        other => panic!("a vantage comes first, not {other:?}"),
    }
}

/// A frame after so many seconds.
fn frame(at: i64, bytes: &[u8]) -> Item<'_> {
    let record = Record {
        interface: 0,
        number: 0,
        time: seconds(at),
        wire_len: bytes.len() as u32,
        direction: Direction::In,
        offload: Offload::Unknown,
        bytes,
    };
    Item::Frame(record, VantageId { lane: 0, interface: 0 }, LinkType::Ethernet, seconds(at))
}

/// The cases in a folder, in the order of their names.
fn cases(folder: &Path) -> Vec<(String, CaseFile)> {
    let mut cases: Vec<(String, CaseFile)> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let told = fs::read_to_string(path.join(CASE_FILE)).ok()?;
            Some((path.file_name()?.to_string_lossy().into_owned(), toml::from_str(&told).unwrap()))
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// The seconds at which the frames of a case were captured.
fn frames(case: &Path) -> Vec<i64> {
    let mut source = open(&case.join("bond0.pcapng")).unwrap();
    let mut times = Vec::new();
    while source.advance().unwrap() == Step::Record {
        times.push(source.record().time.nanos() / 1_000_000_000 - 1_000_000);
    }
    times
}

#[test]
fn a_case_holds_what_came_before_and_a_while_after() {
    let folder = scratch("around");
    let mut recorder = FlightRecorder::create(keeping(&folder)).unwrap();
    recorder.item(&vantage());
    for at in 0..100 {
        recorder.item(&frame(at, &[0; 100]));
        if at == 50 {
            recorder.keep(finding("DHCP002", at));
        }
    }
    let written = recorder.finish(seconds(100)).unwrap();
    let cases = cases(&folder);
    let [(name, case)] = cases.as_slice() else { panic!("one case, not {cases:?}") };
    assert_eq!(name, "19700112T134730Z-DHCP002-fa_16_3e_12_34_56");
    assert_eq!(written, [folder.join(name)]);
    assert_eq!((case.began, case.ended), (Some(seconds(0)), Some(seconds(60))));
    assert_eq!(case.occasions, [finding("DHCP002", 50)]);
    assert_eq!(frames(&written[0]), (0..=60).collect::<Vec<_>>());
    let read = Case::open(&written[0]).unwrap();
    assert!(read.notes.is_empty() && read.refused.is_empty() && read.lanes.len() == 1);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn findings_that_open_meanwhile_join_and_later_ones_do_not() {
    let folder = scratch("joined");
    let mut recorder = FlightRecorder::create(keeping(&folder)).unwrap();
    recorder.item(&vantage());
    for at in 0..200 {
        recorder.item(&frame(at, &[0; 100]));
        if (50..120).contains(&at) {
            recorder.keep(finding("MTU001", at));
        }
    }
    recorder.finish(seconds(200)).unwrap();
    let cases = cases(&folder);
    // 50 + 4 × 10: then a new case begins, when the first is written.
    let spans: Vec<_> = cases.iter().map(|(_, case)| (case.occasions.len(), case.ended.unwrap())).collect();
    assert!(spans.len() == 2 && spans[0] == (41, seconds(90)) && spans[1].0 == 29, "{spans:?}");
    assert!(spans[1].1 >= seconds(129), "{spans:?}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn memory_and_what_follows_are_bounded() {
    let folder = scratch("bounded");
    let mut recorder = FlightRecorder::create(keeping(&folder)).unwrap();
    recorder.item(&vantage());
    for at in 0..20_000 {
        recorder.item(&frame(at / 1_000, &[7; 1_000]));
        if at == 10_000 {
            recorder.keep(finding("MTU001", at / 1_000));
        }
    }
    let written = recorder.finish(seconds(20)).unwrap();
    let bytes = fs::metadata(written[0].join("bond0.pcapng")).unwrap().len();
    assert!((1 << 20..3 << 20).contains(&bytes), "{bytes}");
    let times = frames(&written[0]);
    assert!(times[0] == 9 && times[times.len() - 1] < 12, "{} to {}", times[0], times[times.len() - 1]);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_oldest_cases_give_way_and_nothing_else_does() {
    for (name, cases_at_most, total) in [("number", 3, 1 << 30), ("size", 100, 9 << 20)] {
        let folder = scratch(name);
        fs::create_dir_all(folder.join("19700101T000000Z-mine")).unwrap();
        fs::write(folder.join("19700101T000000Z-mine/case.toml"), "sentence = \"Mine.\"\n").unwrap();
        let keeping = Keeping { cases: cases_at_most, total, ..keeping(&folder) };
        let mut written = Vec::new();
        for incident in 0..10 {
            let mut recorder = FlightRecorder::create(keeping.clone()).unwrap();
            recorder.item(&vantage());
            for at in incident * 200..incident * 200 + 150 {
                recorder.item(&frame(at, &[7; 10_000]));
            }
            recorder.keep(finding("MTU001", incident * 200 + 149));
            written.extend(recorder.finish(seconds(incident * 200 + 150)).unwrap());
        }
        assert_eq!(written.len(), 10, "{name}");
        let cases = cases(&folder);
        assert_eq!(cases[0].0, "19700101T000000Z-mine");
        let kept: Vec<_> = cases[1..].iter().map(|(name, _)| folder.join(name)).collect();
        assert_eq!(kept, written[10 - kept.len()..], "{name}");
        assert!(
            if name == "number" { kept.len() == 3 } else { (5..10).contains(&kept.len()) },
            "{name}: {}",
            kept.len()
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn what_a_killed_netdiag_left_is_kept_and_two_do_not_share_a_folder() {
    let folder = scratch("left");
    let mut recorder = FlightRecorder::create(keeping(&folder)).unwrap();
    let refused = FlightRecorder::create(keeping(&folder)).err().unwrap().to_string();
    assert!(refused.contains("another netdiag keeps its evidence there"), "{refused}");
    recorder.item(&vantage());
    recorder.item(&frame(1, &[0; 100]));
    recorder.keep(finding("DHCP002", 1));
    let written = recorder.finish(seconds(5)).unwrap();
    // As it stands while it is written.
    let about = written[0].join(CASE_FILE);
    let told = fs::read_to_string(&about).unwrap();
    fs::write(&about, told.lines().filter(|line| !line.starts_with("ended")).collect::<Vec<_>>().join("\n")).unwrap();
    fs::rename(&written[0], format!("{}.tmp", written[0].display())).unwrap();
    FlightRecorder::create(keeping(&folder)).unwrap().finish(seconds(5)).unwrap();
    let case = Case::open(&written[0]).unwrap();
    assert!(case.notes[0].contains("was not finished"), "{:?}", case.notes);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_host_as_it_was_is_in_the_case() {
    let folder = scratch("host");
    let captures = captures_of(&support::captures().join("stp/guest-bpdu-with-host-facts"), &mut Dice(1));
    let facts = Case::open(&support::captures().join("stp/guest-bpdu-with-host-facts")).unwrap().facts;
    assert!(!facts.is_empty());
    let mut recorder = FlightRecorder::create(Keeping { memory: 64 << 10, ..keeping(&folder) }).unwrap();
    let clock = Arc::new(AtomicI64::new(i64::MAX));
    let lanes = captures.into_iter().map(|(name, interface, frames)| {
        let source = Played { frames, next: 0, interface: [interface], clock: Arc::clone(&clock), losses: Vec::new() };
        Lane::new(name.clone(), Outside::from(name.as_str()), Box::new(source))
    });
    let mut merge = Merge::new(lanes.collect(), facts.clone());
    let mut last = Timestamp::MIN;
    while let Some(item) = merge.next() {
        match &item {
            Item::Frame(_, _, _, order) => last = *order,
            Item::Tick(_) => break,
            _ => {}
        }
        recorder.item(&item);
    }
    // Long after the facts have left memory.
    for at in 1..500 {
        let at = last.after(Span::secs(at));
        let record = Record {
            interface: 0,
            number: 0,
            time: at,
            wire_len: 1_000,
            direction: Direction::In,
            offload: Offload::None,
            bytes: &[0; 1_000],
        };
        recorder.item(&Item::Frame(record, VantageId { lane: 0, interface: 0 }, LinkType::Ethernet, at));
    }
    recorder.keep(finding("STP001", 1));
    let written = recorder.finish(last.after(Span::secs(500))).unwrap();
    let case = Case::open(&written[0]).unwrap();
    let told: Vec<_> = case.facts.iter().map(|fact| fact.what.clone()).collect();
    let before: Vec<_> = facts.iter().map(|fact| fact.what.clone()).collect();
    assert_eq!(told, before);
    assert!(case.facts.iter().all(|fact| fact.time > Some(last)));
    fs::remove_dir_all(&folder).unwrap();
}
