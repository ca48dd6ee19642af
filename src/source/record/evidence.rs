//! The flight recorder: the last frames stay in memory, and when a finding opens, a case folder is written with what came before it and what comes
//! for a while after. Findings that open while one is written join it: a storm of them is one incident, and fills no disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::bounded;

use super::batch::{Batch, Piece};
use super::picture::Picture;
use super::shelf::{Keeping, Shelf, Task};
use super::{FULL, Line, WAITING, broke_down, spawn};
use crate::event::{Vantage, VantageId};
use crate::source::{CaseFile, Item, Occasion, SourceError};
use crate::value::{Span, Timestamp};

/// A case goes on for at most so many times as long after its first finding as after one alone.
const LONGEST: i64 = 4;
/// Findings that a case names at most.
const NAMED: usize = 64;
/// Places in the queue that batches leave to what begins and ends a case.
const SPARE: usize = 8;
/// Batches that memory is made of, at least.
const PARTS: usize = 16;

/// The flight recorder.
pub struct FlightRecorder {
    how: String,
    limit: usize,
    after: Span,
    /// What came, the oldest first; the last batch is still filled.
    memory: VecDeque<Arc<Batch>>,
    batch: Batch,
    held: usize,
    /// The vantages, and from when on each was listened to.
    vantages: Vec<(VantageId, Vantage, Timestamp)>,
    /// Lanes that have ended, and when: what of them is not in memory is nobody's any more.
    ended: Vec<(u16, Timestamp)>,
    /// What the host was when memory begins.
    picture: Picture,
    case: Option<Open>,
    /// Findings whose case cannot begin yet, because the one before is still being written.
    waiting: Vec<Occasion>,
    line: Line<Task>,
    writer: JoinHandle<Vec<PathBuf>>,
}

/// A case that goes on.
struct Open {
    until: Timestamp,
    latest: Timestamp,
    /// Bytes that it may still take.
    room: usize,
    /// Findings that joined it.
    joined: Vec<Occasion>,
    /// Frames that are missing in it, because the writer could not follow.
    missing: Vec<(VantageId, u64)>,
}

impl FlightRecorder {
    /// Keeps what is asked for.
    ///
    /// # Errors
    /// Where the folder cannot be made or written, or another netdiag keeps its cases there.
    pub fn create(keeping: Keeping) -> Result<Self, SourceError> {
        let shelf = Shelf::open(&keeping)?;
        let piece = Self::piece(keeping.memory);
        let pieces = keeping.memory.checked_div(piece).unwrap_or(PARTS);
        let (jobs, work) = bounded(pieces.saturating_add(WAITING).saturating_add(SPARE));
        let writer = spawn("evidence", &keeping.folder, move || shelf.work(&work))?;
        Ok(Self {
            how: keeping.how,
            limit: keeping.memory,
            after: keeping.after,
            memory: VecDeque::new(),
            batch: Batch::with_room(piece),
            held: 0,
            vantages: Vec::new(),
            ended: Vec::new(),
            picture: Picture::default(),
            case: None,
            waiting: Vec::new(),
            line: Line::new(jobs),
            writer,
        })
    }

    /// The merge hands this out next.
    pub fn item(&mut self, item: &Item<'_>) {
        let time = match item {
            Item::Frame(_, _, _, time) | Item::Tick(time) => *time,
            Item::Fact(fact) => fact.time.unwrap_or(Timestamp::MIN),
            Item::Vantage(..) | Item::Lost(_) | Item::Ended(..) => Timestamp::MIN,
        };
        if let Some(until) = self.case.as_ref().map(|case| case.until).filter(|until| time > *until) {
            self.close(until);
        }
        match item {
            Item::Vantage(id, vantage) => self.vantages.push((*id, Vantage::clone(vantage), self.line.next)),
            Item::Ended(lane, until) => self.ended.push((*lane, until.unwrap_or(self.line.now))),
            _ => {}
        }
        self.batch.add(item, self.line.next);
        self.line.pass(item);
        if self.batch.weight() >= Self::piece(self.limit) {
            self.seal();
        }
        if !self.waiting.is_empty() && self.is_drained() {
            self.open();
        }
    }

    /// A finding opened, which is to be kept.
    pub fn keep(&mut self, occasion: Occasion) {
        match &mut self.case {
            Some(case) => {
                case.until = self.line.now.after(self.after).min(case.latest);
                if case.joined.len() < NAMED {
                    case.joined.push(occasion);
                }
            }
            None => {
                if self.waiting.len() < NAMED {
                    self.waiting.push(occasion);
                }
                if self.is_drained() {
                    self.open();
                }
            }
        }
    }

    /// The capture ended at `end`; the cases that were written.
    ///
    /// # Errors
    /// Where the writer broke down.
    pub fn finish(mut self, end: Timestamp) -> Result<Vec<PathBuf>, SourceError> {
        if !self.waiting.is_empty() {
            // Now there is time to wait.
            self.open();
        }
        self.close(end);
        let Self { line, writer, .. } = self;
        drop(line);
        writer.join().map_err(|_| broke_down("the writer of the evidence"))
    }

    /// Bytes of a batch.
    fn piece(memory: usize) -> usize {
        memory.checked_div(PARTS).unwrap_or(0).clamp(1, FULL)
    }

    /// Whether the case before is written, so that all of memory finds a place in the queue.
    fn is_drained(&self) -> bool {
        self.line.jobs.len() <= SPARE
    }

    /// Begins a case for those that wait.
    fn open(&mut self) {
        self.seal();
        let now = self.line.now;
        let began = self.memory.iter().find_map(|batch| batch.from()).unwrap_or(now);
        let occasions = std::mem::take(&mut self.waiting);
        let Some(first) = occasions.first() else { return };
        let case = CaseFile {
            sentence: format!("{} {}: {}", first.code, first.name, first.headline),
            origin: "recorded".to_owned(),
            how: self.how.clone(),
            began: Some(began),
            occasions,
            ..CaseFile::default()
        };
        let (vantages, ended) = (&mut self.vantages, &mut self.ended);
        let is_gone = |lane| ended.iter().any(|(of, until)| *of == lane && *until < began);
        vantages.retain(|(id, ..)| !is_gone(id.lane));
        ended.retain(|(_, until)| *until >= began);
        let mut before = Batch::default();
        for (id, vantage, since) in &self.vantages {
            let since = if *since < began { Timestamp::MIN } else { *since };
            before.add(&Item::Vantage(*id, Box::new(vantage.clone())), since);
        }
        self.picture.facts(began).for_each(|fact| before.add_fact(fact));
        self.line.send(Task::Begin(Box::new(case)));
        self.line.send(Task::Write(Arc::new(before)));
        for batch in &self.memory {
            self.line.send(Task::Write(Arc::clone(batch)));
        }
        let latest = now.after(self.after.times(LONGEST));
        let (until, joined, missing) = (now.after(self.after), Vec::new(), Vec::new());
        self.case = Some(Open { until, latest, room: self.limit, joined, missing });
    }

    /// Ends the case that goes on, if one does.
    fn close(&mut self, end: Timestamp) {
        self.seal();
        if let Some(case) = self.case.take() {
            self.line.send(Task::End(end, case.joined));
        }
    }

    /// Puts the batch that is being filled into memory, and into the case that goes on; what memory has no room for is forgotten.
    fn seal(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let room = Batch::with_room(Self::piece(self.limit));
        let mut batch = std::mem::replace(&mut self.batch, room);
        batch.trim();
        let batch = Arc::new(batch);
        if let Some(case) = &mut self.case {
            if self.line.free() > SPARE {
                let mut missing = Batch::default();
                case.missing.drain(..).for_each(|(id, frames)| missing.add_loss(id, self.line.now, frames));
                self.line.send(Task::Write(Arc::new(missing)));
                self.line.send(Task::Write(Arc::clone(&batch)));
            } else {
                self.line.shed(batch.frames());
                case.missing.extend(batch.counts());
            }
            case.room = case.room.saturating_sub(batch.weight());
            if case.room == 0 {
                // As much as came before has come after.
                case.until = self.line.now;
            }
        }
        self.held = self.held.saturating_add(batch.weight());
        self.memory.push_back(batch);
        while self.held > self.limit {
            let Some(oldest) = self.memory.pop_front() else { break };
            self.held = self.held.saturating_sub(oldest.weight());
            for piece in oldest.pieces() {
                if let Piece::Fact(fact) = piece {
                    self.picture.learn(&fact.what);
                }
            }
        }
    }
}
