//! What is recorded judges like the run it was recorded in: every case of the project is played as if it were live, by a clock that jumps as the
//! schedule has it, and the report of that run is the report of its recording.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use netdiag::cli::{Judgement, Progress, Watch, judge};
use netdiag::finding::Report;
use netdiag::render::report_json;
use netdiag::settings::Settings;
use netdiag::source::{Case, Item, Lane, Recorder, Rotation, Written};
use netdiag::value::{Outside, Span, Timestamp};
use serde_json::Value;

use support::played::{Dice, HOLD, Played, captures_of};

/// Records, and remembers when frames were lost.
struct Recording(Recorder);

impl Watch for Recording {
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item<'_>) {
        // What is played has time: nothing is shed, however slow the disk.
        while !self.0.has_room() {
            std::thread::yield_now();
        }
        assert!(self.0.item(item), "the writer gave up");
    }
}

/// Plays a case live, and records it: the report, and what the recording came to.
struct Run {
    live: Report,
    written: Written,
    folder: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder that is not there yet.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("record-{name}"));
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// Plays the captures of `case` with the clock, the losses, the late joiners and the sleep that `seed` has.
fn play(case: &Path, seed: u64, rotation: Rotation, folder: PathBuf) -> Option<Run> {
    let mut dice = Dice(seed);
    let captures = captures_of(case, &mut dice);
    let times = || captures.iter().flat_map(|(.., frames)| frames.iter().map(|frame| frame.time.nanos()));
    let (first, last) = (times().min()?, times().max()?);
    let clock = Arc::new(AtomicI64::new(first - 1));
    let (mut lanes, mut late) = (Vec::new(), Vec::new());
    let loses = seed.is_multiple_of(3);
    // The machine sleeps from then until then: what passes meanwhile is not captured.
    let mut sleep = seed.is_multiple_of(5).then(|| {
        let fell = first + dice.below((last - first + HOLD) as u64) as i64;
        (fell, fell + 2_000_000_000 + dice.below((last - first + HOLD) as u64) as i64)
    });
    for (name, interface, mut frames) in captures {
        let losses = (0..3).map(|_| first + dice.below((last - first + HOLD) as u64) as i64).filter(|_| loses);
        let joins = if seed.is_multiple_of(4) && !lanes.is_empty() { first + (last - first) / 2 } else { i64::MIN };
        frames.retain(|frame| frame.time.nanos() > joins + HOLD || joins == i64::MIN);
        if let Some((fell, woke)) = sleep {
            frames.retain(|frame| !(fell..woke).contains(&frame.time.nanos()));
        }
        let losses = losses.collect();
        let is_nameless = interface.name.is_none();
        let source = Played { frames, next: 0, interface: [interface], clock: Arc::clone(&clock), losses };
        let mut lane = Lane::new(name.clone(), Outside::from(name.as_str()), Box::new(source));
        // A live interface has a name of its own, and what it is called it is.
        lane.vantage = is_nameless.then(|| name.clone());
        if joins == i64::MIN { lanes.push(lane) } else { late.push((joins, lane)) }
    }
    let names: Vec<String> = lanes.iter().map(|lane| lane.name.clone()).collect();
    let began = Timestamp::from_nanos(first - 1);
    let mut watch = Recording(Recorder::create(&folder, began, &names, "a test", rotation).unwrap());
    let mut facts = Case::open(case).unwrap().facts;
    facts.iter_mut().for_each(|fact| fact.time = fact.time.or(Some(began)));
    // As a live run is: what is not seen while it runs was not there.
    let live = Case { lanes, facts, is_watched: true, ..Case::default() };
    let mut judgement = Judgement::new(live, &Settings::default(), &watch);
    let has_slept = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_slept);
    judgement.merge.mind_sleep(move || asked.swap(false, Ordering::Relaxed));
    let end = last + dice.below(60_000_000_000) as i64;
    let mut is_closed = false;
    loop {
        match judgement.go_on(&mut watch) {
            Progress::Over => break,
            Progress::Frame | Progress::Other => {}
            Progress::Idle(_) => {
                let now = clock.load(Ordering::Relaxed);
                if now >= end && !is_closed {
                    is_closed = true;
                    judgement.merge.close(Timestamp::from_nanos(now));
                }
                if let Some(at) = late.iter().position(|(joins, _)| *joins <= now) {
                    judgement.merge.add(late.remove(at).1);
                }
                clock.fetch_add(1 + dice.below(2 * HOLD as u64) as i64, Ordering::Relaxed);
                if let Some((_, woke)) = sleep.take_if(|(fell, _)| *fell <= clock.load(Ordering::Relaxed)) {
                    clock.fetch_max(woke, Ordering::Relaxed);
                    has_slept.store(true, Ordering::Relaxed);
                }
            }
        }
    }
    let end = judgement.merge.end().unwrap();
    let missed = judgement.merge.missed();
    let live = judgement.finish(false, &mut ());
    let written = watch.0.finish(end, missed).unwrap();
    Some(Run { live, written, folder })
}

/// The report without where it was read from.
fn told(report: &Report) -> Value {
    let mut told: Value = serde_json::from_str(&report_json(report).unwrap()).unwrap();
    for input in told["inputs"].as_array_mut().unwrap() {
        let input = input.as_object_mut().unwrap();
        input.remove("path");
        input.remove("format");
    }
    told
}

fn review(folder: &Path) -> Report {
    judge(Case::open(folder).unwrap(), &Settings::default(), false, &mut ())
}

fn assert_same(case: &Path, seed: u64, live: &Value, review: &Value) {
    if live == review {
        return;
    }
    for (name, part) in live.as_object().unwrap() {
        assert_eq!(part, &review[name], "{name} of {}, played with {seed}", case.display());
    }
}

#[test]
fn the_review_of_a_recording_is_the_report_of_its_run() {
    let (mut played, mut lost, mut joined, mut found, mut asleep) = (0, 0, 0, 0, 0);
    for (case, at) in support::cases_below(&support::captures()).iter().zip(0..) {
        for seed in [at, at + 6] {
            let Some(run) = play(case, seed, Rotation::default(), scratch("same")) else { continue };
            assert_same(case, seed, &told(&run.live), &told(&review(&run.folder)));
            assert_eq!(run.written.frames, run.live.tally.frames, "{}", case.display());
            played += 1;
            lost += run.live.lost.kernel;
            joined += usize::from(fs::read_to_string(run.folder.join("case.toml")).unwrap().contains("joined = "));
            found += run.live.findings.len();
            asleep += usize::from(run.live.lost.asleep_s > 0);
        }
    }
    assert!(played > 100 && lost > 100 && joined > 2 && found > 100, "{played} {lost} {joined} {found}");
    assert!(asleep > 50, "{asleep}");
}

/// The case with the most frames.
fn largest() -> PathBuf {
    let frames = |case: &PathBuf| support::review_case(case).tally.frames;
    support::cases_below(&support::captures()).into_iter().max_by_key(frames).unwrap()
}

#[test]
fn a_recording_that_rotates_judges_alike() {
    let case = largest();
    let whole = play(&case, 3, Rotation::default(), scratch("whole")).unwrap();
    for (name, rotation) in [
        ("size", Rotation { size: Some(2_000), ..Rotation::default() }),
        ("time", Rotation { span: Some(Span::secs(2)), ..Rotation::default() }),
    ] {
        let run = play(&case, 3, rotation, scratch(name)).unwrap();
        assert!(run.written.files > whole.written.files, "{name}: {:?}", run.written);
        assert_same(&case, 3, &told(&whole.live), &told(&review(&run.folder)));
    }
}

#[test]
fn a_recording_of_bounded_size_keeps_the_newest() {
    let case = largest();
    let whole = play(&case, 1, Rotation::default(), scratch("unbounded")).unwrap();
    let total = whole.written.bytes / 2;
    let rotation = Rotation { size: Some(total / 8), total: Some(total), span: None };
    let run = play(&case, 1, rotation, scratch("bounded")).unwrap();
    let bytes: u64 = fs::read_dir(&run.folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    // `case.toml` and the ends of the last files come on top.
    assert!(run.written.given_up > 0 && bytes < total + 4_096, "{bytes} of {total}: {:?}", run.written);
    let (kept, all) = (review(&run.folder), review(&whole.folder));
    assert!(kept.lost.damaged_inputs == 0 && kept.tally.frames > 0 && kept.tally.frames < all.tally.frames);
    let last = |report: &Report| report.inputs.iter().map(|input| input.last).max();
    assert_eq!(last(&kept), last(&all));
}

#[test]
fn a_recording_that_was_not_finished_is_whole_up_to_its_last_frame() {
    let run = play(&largest(), 1, Rotation::default(), scratch("unfinished")).unwrap();
    // As its writer left it in the middle: no end in case.toml, files and lines that break off anywhere.
    let (about, host) = (run.folder.join("case.toml"), run.folder.join("host.jsonl"));
    let told = fs::read_to_string(&about).unwrap();
    let told: Vec<&str> = told.lines().filter(|line| !line.starts_with("ended")).collect();
    fs::write(&about, told.join("\n")).unwrap();
    let lines = b"{\"fact\":\"link-gone\",\"name\":\"tap1\"}\n{\"fact\":\"link-gone\",\"name\":\"tap2\"}";
    let file = support::files_below(&run.folder).remove(0);
    let bytes = fs::read(&file).unwrap();
    let mut frames = u64::MAX;
    // At odd distances, so that every part of a block is cut somewhere; a hundred cuts, however long the file.
    let step = (bytes.len() / 100).max(97) | 1;
    for cut in (0..=bytes.len()).rev().step_by(step) {
        fs::write(&file, &bytes[..cut]).unwrap();
        fs::write(&host, &lines[..cut % lines.len()]).unwrap();
        let case = Case::open(&run.folder).unwrap();
        assert!(case.refused.is_empty() && case.notes.len() == 1, "{:?} {:?}", case.refused, case.notes);
        let report = judge(case, &Settings::default(), false, &mut ());
        assert!(report.lost.damaged_inputs == 0 && report.tally.frames <= frames, "{cut}");
        frames = report.tally.frames;
    }
    assert!(frames < run.live.tally.frames);
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let folder = scratch("taken");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let refused = Recorder::create(&folder, Timestamp::MIN, &[], "a test", Rotation::default()).err().unwrap();
    assert!(refused.to_string().contains("the folder is not empty"), "{refused}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    fs::remove_dir_all(&folder).unwrap();
}
