//! Recording: what the merge hands out becomes a case folder that judges like the run it was recorded in. The thread that captures only copies;
//! batches go over a bounded queue to one thread that writes. Where that cannot follow, frames are shed, counted and told: the capture never waits.

mod batch;
mod evidence;
mod folder;
mod picture;
mod shelf;
mod space;
mod track;

pub use evidence::FlightRecorder;
pub use shelf::Keeping;

use std::path::{Path, PathBuf};
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

/// Vantages that are named in a sentence, at most.
const NAMED: usize = 8;

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
    line: Line<Job>,
    batch: Batch,
    /// When the batch goes, full or not.
    due: Timestamp,
    writer: JoinHandle<Result<Written, SourceError>>,
}

/// Where in the order a capture is, and its way to the writer.
struct Line<J> {
    jobs: Sender<J>,
    /// The moment that was reached.
    now: Timestamp,
    /// Nothing earlier than this will come.
    next: Timestamp,
    shed: u64,
    is_behind: bool,
}

/// What a writer is to do.
enum Job {
    /// To write this.
    Write(Batch),
    /// To end with this moment; frames that each lane's interface lost itself.
    End(Timestamp, Vec<u64>),
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
            sentence: format!("Recorded on {} from {began} on.", told(names)),
            origin: "recorded".to_owned(),
            how: how.to_owned(),
            began: Some(began),
            ..CaseFile::default()
        };
        let spare = space::spare(path.parent().filter(|parent| parent.is_dir()).unwrap_or(Path::new("."))).unwrap_or(0);
        let folder = Folder::create(path, case, rotation, spare)?;
        let (jobs, work) = bounded(WAITING);
        let writer = spawn("record", path, move || write(folder, &work))?;
        Ok(Self { line: Line::new(jobs), batch: Batch::with_room(FULL), due: Timestamp::MIN, writer })
    }

    /// The merge hands this out next; `false` once the writer has given up.
    pub fn item(&mut self, item: &Item<'_>) -> bool {
        self.batch.add(item, self.line.next);
        self.line.pass(item);
        let is_full = self.batch.weight() >= FULL;
        if is_full || (self.line.now >= self.due && !matches!(item, Item::Vantage(..))) {
            self.due = self.line.now.after(SOON);
            self.hand_over(is_full);
        }
        !self.writer.is_finished()
    }

    /// Whether the writer can take what comes next. A capture cannot wait for it; what is played from memory can.
    pub fn has_room(&self) -> bool {
        self.line.free() > 0 || self.writer.is_finished()
    }

    /// The capture ended at `end`; `missed` are the frames that the interface of each lane lost itself.
    ///
    /// # Errors
    /// What kept the writer from writing all of it.
    pub fn finish(self, end: Timestamp, missed: Vec<u64>) -> Result<Written, SourceError> {
        let Self { line, batch, writer, .. } = self;
        // Now there is time to wait.
        line.send(Job::Write(batch));
        line.send(Job::End(end, missed));
        let shed = line.shed;
        drop(line);
        let written = writer.join().unwrap_or_else(|_| Err(broke_down("the writer of the recording")))?;
        Ok(Written { shed, ..written })
    }

    /// Hands the batch over to the writer. Where that cannot follow, it is filled further, and if it `is_full`, its frames are shed.
    fn hand_over(&mut self, is_full: bool) {
        if self.line.free() > 0 {
            self.line.is_behind = false;
            self.line.send(Job::Write(std::mem::replace(&mut self.batch, Batch::with_room(FULL))));
        } else if is_full {
            for (vantage, frames) in self.batch.shed() {
                self.line.shed(frames);
                self.batch.add_loss(vantage, self.line.now, frames);
            }
        }
    }
}

impl<J> Line<J> {
    /// A way to the writer that is reached by `jobs`.
    const fn new(jobs: Sender<J>) -> Self {
        Self { jobs, now: Timestamp::MIN, next: Timestamp::MIN, shed: 0, is_behind: false }
    }

    /// Takes note of where in the order `item` stands.
    fn pass(&mut self, item: &Item<'_>) {
        let (now, next) = match item {
            Item::Frame(_, _, _, order) => (*order, order.after(Span::nanos(1))),
            Item::Tick(time) => (*time, *time),
            Item::Fact(fact) => (fact.time.unwrap_or(Timestamp::MIN), Timestamp::MIN),
            Item::Vantage(..) | Item::Lost(_) | Item::Ended(..) => return,
        };
        self.now = self.now.max(now);
        self.next = self.next.max(self.now).max(next);
    }

    /// Places that are free in the queue; nobody else fills it.
    fn free(&self) -> usize {
        self.jobs.capacity().unwrap_or(usize::MAX).saturating_sub(self.jobs.len())
    }

    /// Hands a job over; waits where there is no place for it.
    fn send(&self, job: J) {
        // A writer that is gone is seen by whoever waits for it.
        let _ = self.jobs.send(job);
    }

    /// So many frames are not handed over, since the writer cannot follow.
    fn shed(&mut self, frames: u64) {
        if !self.is_behind {
            warn!(
                "the disk is too slow for what is captured: frames are missing in what is written, and counted in it"
            );
            self.is_behind = true;
        }
        self.shed = self.shed.saturating_add(frames);
    }
}

/// The names of vantages, or how many there are.
fn told(names: &[String]) -> String {
    if names.len() <= NAMED { names.join(", ") } else { format!("{} interfaces", names.len()) }
}

/// Writes until the end is told, or nobody is left to tell it.
fn write(mut folder: Folder, work: &Receiver<Job>) -> Result<Written, SourceError> {
    for job in work {
        match job {
            Job::Write(batch) => folder.write(&batch)?,
            Job::End(end, missed) => return folder.finish(end, &missed),
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
