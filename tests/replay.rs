//! One truth: the report is a function of its inputs. Twice is the same; arguments in any order are the same; and however the
//! frames come, in pieces and with pauses as from a live interface, the report is that of the files at rest.

mod support;

use std::io::{self, Read};

use netdiag::cli::judge;
use netdiag::event::Record;
use netdiag::finding::Report;
use netdiag::render::report_json;
use netdiag::settings::Settings;
use netdiag::source::{Case, Interface, Lane, Source, SourceError, Step, open_reader};
use netdiag::value::{Span, Timestamp};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

fn json(report: &Report) -> String {
    report_json(report).unwrap()
}

#[test]
fn twice_is_the_same() {
    for case in support::cases_below(&support::captures()) {
        assert_eq!(json(&support::review_case(&case)), json(&support::review_case(&case)), "{}", case.display());
    }
}

#[test]
fn files_in_any_order_are_the_same() {
    for case in support::cases_below(&support::captures()) {
        let files = support::files_below(&case);
        let forward: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        assert_eq!(json(&support::review(&forward)), json(&support::review(&backward)), "{}", case.display());
    }
}

proptest! {
    // The same four hundred schedules each time: a test says the same of the same code.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x6e65_7464_6961_6721),
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn pieces_pauses_and_order_change_nothing(
        case in any::<Index>(),
        pieces in proptest::collection::vec(1_usize..3_000, 1..8),
        pauses in proptest::collection::vec((0_u8..3, any::<u8>()), 1..16),
        turn in any::<Index>(),
        is_final in any::<bool>(),
    ) {
        let cases = support::cases_below(&support::captures());
        let folder = case.get(&cases);
        let rest = judge(Case::open(folder).unwrap(), &Settings::default(), is_final, &mut ());
        let mut live = Case::open(folder).unwrap();
        live.lanes =
            (0..).zip(&live.lanes).map(|(at, lane)| dawdling(lane, &pieces, &pauses, at)).collect();
        let by = turn.index(live.lanes.len());
        live.lanes.rotate_left(by);
        let live = judge(live, &Settings::default(), is_final, &mut ());
        prop_assert_eq!(json(&rest), json(&live), "{}", folder.display());
    }
}

/// The lane once more, read in such pieces and with such pauses; the schedule begins at `turn`.
fn dawdling(lane: &Lane, pieces: &[usize], pauses: &[(u8, u8)], turn: usize) -> Lane {
    let file = std::fs::File::open(lane.path.raw()).unwrap();
    let stream = InPieces { file, pieces: pieces.to_vec(), turn };
    let name = lane.path.clone();
    let mut slow = match open_reader(name.clone(), Box::new(stream)) {
        Ok(source) => Lane::new(lane.name.clone(), name, Box::new(Dawdling::new(source, pauses, turn))),
        Err(damage) => Lane::broken(lane.name.clone(), name, damage),
    };
    (slow.place, slow.vantage, slow.offset) = (lane.place, lane.vantage.clone(), lane.offset);
    slow
}

/// A file that is read in pieces of these sizes, over and over.
struct InPieces {
    file: std::fs::File,
    pieces: Vec<usize>,
    turn: usize,
}

impl Read for InPieces {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let piece = self.pieces[self.turn % self.pieces.len()].min(to.len());
        self.file.read(&mut to[..piece])
    }
}

/// A source that says so often, before each record, that nothing is there yet, and how far the way to the record is settled.
struct Dawdling {
    inner: Box<dyn Source>,
    pauses: Vec<(u8, u8)>,
    turn: usize,
    /// What comes when the pauses are over.
    next: Option<Result<Step, SourceError>>,
    left: u8,
    settled: Timestamp,
    latest: Option<Timestamp>,
    interfaces: Vec<Interface>,
}

impl Dawdling {
    fn new(inner: Box<dyn Source>, pauses: &[(u8, u8)], turn: usize) -> Self {
        let (pauses, settled) = (pauses.to_vec(), Timestamp::MIN);
        Self { inner, pauses, turn, next: None, left: 0, settled, latest: None, interfaces: Vec::new() }
    }

    fn look_ahead(&mut self) -> Result<Step, SourceError> {
        let step = self.inner.advance();
        self.turn += 1;
        let (pauses, part) = self.pauses[self.turn % self.pauses.len()];
        self.left = pauses;
        let to = if step == Ok(Step::Record) { self.inner.record().time.max(self.settled) } else { self.settled };
        let from = self.latest.unwrap_or(to);
        let way = to.since(from).as_nanos() / 255 * i64::from(part);
        self.settled = from.after(Span::nanos(way)).max(self.settled);
        if self.latest.replace(to).is_none() {
            // Who waits for a first frame knows where.
            self.interfaces = self.inner.interfaces().to_vec();
        }
        step
    }
}

impl Source for Dawdling {
    fn advance(&mut self) -> Result<Step, SourceError> {
        let step = match self.next.take() {
            Some(step) => step,
            None => self.look_ahead(),
        };
        if self.left > 0 && self.latest.is_some() {
            self.left -= 1;
            self.next = Some(step);
            return Ok(Step::Idle(self.settled));
        }
        self.interfaces = self.inner.interfaces().to_vec();
        step
    }

    fn record(&self) -> Record<'_> {
        self.inner.record()
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn format(&self) -> String {
        self.inner.format()
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }
}
