//! Recording: what the merge hands out becomes a case folder that judges like the run it was recorded in. The thread that captures only copies;
//! batches go over a bounded queue to one thread that writes. Where that cannot follow, frames are shed, counted and told: the capture never waits.

mod batch;
mod folder;
mod space;
mod track;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::warn;

use self::batch::Batch;
use self::folder::Folder;
use super::{CaseFile, Item, SourceError};
use crate::value::{Outside, Span, Timestamp};

/// Bytes after which a batch goes to the writer: few enough to come soon, and enough that a message costs nothing.
const FULL: usize = 256 << 10;
/// What was captured is in the file after this time, however little it is.
const SOON: Span = Span::secs(1);
/// Batches that wait for the writer at most: 16 MiB, a disk's pause of 160 ms at 100 MB/s.
const WAITING: usize = 64;

/// When a recording goes on in further files, and how much it may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// Bytes of a file after which the next one begins.
    pub size: Option<u64>,
    /// The time after which the next files begin.
    pub span: Option<Span>,
    /// Bytes of the whole: the oldest files are given up for newer ones.
    pub total: Option<u64>,
}

/// What a recording came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The case folder.
    pub path: PathBuf,
    /// Frames that were written.
    pub frames: u64,
    /// Captures that are there.
    pub files: usize,
    /// Bytes that all files take.
    pub bytes: u64,
    /// Files that were given up for newer ones.
    pub given_up: u64,
    /// Frames that were shed because the disk was too slow.
    pub shed: u64,
}

/// Writes what a merge hands out to a case folder.
pub struct Recorder {
    line: Line,
    batch: Batch,
    /// When the batch goes, full or not.
    due: Timestamp,
    writer: JoinHandle<Result<Written, SourceError>>,
}

/// A recording's place in the order, and what of it reaches the writer.
struct Line {
    jobs: Sender<Job>,
    /// Nothing earlier than this will come.
    now: Timestamp,
    shed: u64,
    is_behind: bool,
}

/// What a writer is to do.
enum Job {
    /// To write this.
    Write(Arc<Batch>),
    /// To end with this moment.
    End(Timestamp),
}

impl Recorder {
    /// Records into the folder `path`, from the moment `began` on; `names` are the vantages of the beginning, `how` says with what it is made.
    ///
    /// # Errors
    /// Where the folder is not empty, or cannot be made or written.
    pub fn create(
        path: &Path,
        began: Timestamp,
        names: &[String],
        how: &str,
        rotation: Rotation,
    ) -> Result<Self, SourceError> {
        let case = CaseFile {
            sentence: format!("Recorded on {} from {began} on.", names.join(", ")),
            origin: "recorded".to_owned(),
            how: how.to_owned(),
            began: Some(began),
            ..CaseFile::default()
        };
        let spare = space::spare(path.parent().filter(|parent| parent.is_dir()).unwrap_or(Path::new("."))).unwrap_or(0);
        let folder = Folder::create(path, case, rotation, spare)?;
        let (jobs, work) = bounded(WAITING);
        let writer = spawn("record", path, move || write(folder, &work))?;
        let line = Line { jobs, now: Timestamp::MIN, shed: 0, is_behind: false };
        Ok(Self { line, batch: Batch::with_room(FULL), due: Timestamp::MIN, writer })
    }

    /// The merge hands this out next; `false` once the writer has given up.
    pub fn item(&mut self, item: &Item<'_>) -> bool {
        self.batch.add(item, self.line.now);
        self.line.pass(item);
        let is_full = self.batch.weight() >= FULL;
        if is_full || (self.line.now >= self.due && !matches!(item, Item::Vantage(..))) {
            self.due = self.line.now.after(SOON);
            self.batch = self.line.hand_over(std::mem::take(&mut self.batch), is_full);
        }
        !self.writer.is_finished()
    }

    /// The capture ended at `end`.
    ///
    /// # Errors
    /// What kept the writer from writing all of it.
    pub fn finish(self, end: Timestamp) -> Result<Written, SourceError> {
        // Now there is time to wait. A writer that gave up says why below.
        let _ = self.line.jobs.send(Job::Write(Arc::new(self.batch)));
        let _ = self.line.jobs.send(Job::End(end));
        drop(self.line.jobs);
        let written = self.writer.join().unwrap_or_else(|_| Err(broke_down("the writer of the recording")))?;
        Ok(Written { shed: self.line.shed, ..written })
    }
}

impl Line {
    /// Takes note of where in the order `item` stands.
    fn pass(&mut self, item: &Item<'_>) {
        let next = match item {
            Item::Frame(_, _, _, order) => order.after(Span::nanos(1)),
            Item::Tick(time) => *time,
            Item::Fact(fact) => fact.time.unwrap_or(Timestamp::MIN),
            Item::Vantage(..) | Item::Lost(_) | Item::Ended(..) => return,
        };
        self.now = self.now.max(next);
    }

    /// Hands a batch over to the writer, and gives back the one to go on with. Where the writer cannot follow, that is the same, and if it `is_full`,
    /// its frames are shed.
    fn hand_over(&mut self, mut batch: Batch, is_full: bool) -> Batch {
        // Nobody else fills the queue.
        if !self.jobs.is_full() {
            self.is_behind = false;
            // A writer that is gone is seen by whoever waits for it.
            let _ = self.jobs.try_send(Job::Write(Arc::new(batch)));
            return Batch::with_room(FULL);
        }
        if is_full {
            if !self.is_behind {
                warn!(
                    "the disk is too slow for what is captured: frames are missing in the recording, and counted in it"
                );
                self.is_behind = true;
            }
            for (vantage, frames) in batch.shed() {
                self.shed = self.shed.saturating_add(frames);
                batch.add_loss(vantage, self.now, frames);
            }
        }
        batch
    }
}

/// Writes until the end is told, or nobody is left to tell it.
fn write(mut folder: Folder, work: &Receiver<Job>) -> Result<Written, SourceError> {
    for job in work {
        match job {
            Job::Write(batch) => folder.write(&batch)?,
            Job::End(end) => return folder.finish(end),
        }
    }
    Ok(Written::default())
}

/// Runs `work` on a thread of its own.
fn spawn<T: Send + 'static>(
    name: &str,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SourceError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| track::unwritten(path, &error))
}

fn broke_down(who: &str) -> SourceError {
    SourceError::nonsense(&Outside::from(who), "it broke down; what it wrote before is whole")
}
