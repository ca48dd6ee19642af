//! Where the cases of the flight recorder stand: whole ones under their names, the one being written under a name that ends in `.tmp`. The oldest
//! give way to newer ones; the disk's last space is left alone; and when there is none, that is said once, and the capture goes on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use rustix::fs::{FlockOperation, flock};
use tracing::warn;

use super::batch::Batch;
use super::folder::Folder;
use super::track::unwritten;
use super::{Rotation, space};
use crate::source::{CASE_FILE, CaseFile, Occasion, SourceError};
use crate::value::{Span, Timestamp};

/// The end of the name of a case that is being written.
const UNFINISHED: &str = ".tmp";
/// Characters of a finding's key in the name of its case, at most.
const KEY: usize = 60;

/// What is kept, where, and how much of it.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The folder in which the cases are.
    pub folder: PathBuf,
    /// With what they are made.
    pub how: String,
    /// Bytes of memory for what came before, over all interfaces.
    pub memory: usize,
    /// How long a case goes on after its finding.
    pub after: Span,
    /// Cases that are kept.
    pub cases: usize,
    /// Bytes that they take together.
    pub total: u64,
}

impl Keeping {
    /// Bytes that one case takes at most: what came before, and as much after.
    pub(super) const fn most(&self) -> u64 {
        (self.memory as u64).saturating_mul(2)
    }
}

/// What the writer is to do.
pub(super) enum Task {
    /// To begin a case.
    Begin(Box<CaseFile>),
    /// To write this into it.
    Write(Arc<Batch>),
    /// To end it at this moment; these findings joined it.
    End(Timestamp, Vec<Occasion>),
}

/// The folder with the cases.
pub(super) struct Shelf {
    path: PathBuf,
    /// Locked for as long as we keep cases here.
    _lock: File,
    cases: usize,
    total: u64,
    most: u64,
    /// Bytes of the disk that are left to others.
    spare: u64,
    case: Option<Folder>,
    /// Whether it was said that nothing can be written.
    is_told: bool,
    written: Vec<PathBuf>,
}

impl Shelf {
    /// Takes the folder that `keeping` names. Cases that a netdiag which was killed left unfinished are kept as they are.
    pub(super) fn open(keeping: &Keeping) -> Result<Self, SourceError> {
        let path = keeping.folder.clone();
        let fails = |error| unwritten(&path, &error);
        fs::create_dir_all(&path).map_err(fails)?;
        let lock = File::open(&path).map_err(fails)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| SourceError::unwritable_for(&path, "another netdiag keeps its evidence there"))?;
        let spare = space::spare(&path).map_err(fails)?;
        let shelf = Self {
            _lock: lock,
            cases: keeping.cases,
            total: keeping.total,
            most: keeping.most(),
            spare,
            case: None,
            is_told: false,
            written: Vec::new(),
            path,
        };
        for (folder, _) in shelf.kept(UNFINISHED)? {
            let name = folder.to_string_lossy().trim_end_matches(UNFINISHED).to_owned();
            fs::rename(&folder, free(Path::new(&name))).map_err(|error| unwritten(&folder, &error))?;
        }
        Ok(shelf)
    }

    /// Works until nobody is left to say what to do: the cases that were written.
    pub(super) fn work(mut self, tasks: &Receiver<Task>) -> Vec<PathBuf> {
        tasks.iter().for_each(|task| self.take(task));
        self.written
    }

    fn take(&mut self, task: Task) {
        let done = match task {
            Task::Begin(case) => self.begin(*case),
            Task::Write(batch) => self.case.as_mut().map_or(Ok(()), |case| case.write(&batch)),
            Task::End(end, joined) => self.end(end, joined),
        };
        if let Err(error) = done {
            self.give_up(&error);
        }
    }

    fn begin(&mut self, case: CaseFile) -> Result<(), SourceError> {
        self.make_room()?;
        space::leave(&self.path, self.spare, self.most)?;
        let name = case.occasions.first().map(name).unwrap_or_default();
        let path = free(&self.path.join(format!("{name}{UNFINISHED}")));
        self.case = Some(Folder::create(&path, case, Rotation::default(), self.spare)?);
        Ok(())
    }

    fn end(&mut self, end: Timestamp, joined: Vec<Occasion>) -> Result<(), SourceError> {
        let Some(mut case) = self.case.take() else { return Ok(()) };
        joined.into_iter().for_each(|occasion| case.add_occasion(occasion));
        self.put(case, end)?;
        self.is_told = false;
        Ok(())
    }

    /// Puts a case under its name.
    fn put(&mut self, case: Folder, end: Timestamp) -> Result<(), SourceError> {
        let written = case.finish(end, &[])?.path;
        let name = written.to_string_lossy().trim_end_matches(UNFINISHED).to_owned();
        let path = free(Path::new(&name));
        let rename = fs::rename(&written, &path).and_then(|()| File::open(&self.path)?.sync_all());
        rename.map_err(|error| unwritten(&path, &error))?;
        self.written.push(path);
        Ok(())
    }

    /// Ends the case with what it has; what cannot even be ended is taken away, so that there is space again.
    fn give_up(&mut self, error: &SourceError) {
        if !self.is_told {
            warn!("{error}; no evidence is kept until that is mended, and the capture goes on");
            self.is_told = true;
        }
        let Some(case) = self.case.take() else { return };
        let (path, now) = (case.path().to_owned(), case.now());
        if self.put(case, now).is_err() {
            let _ = fs::remove_dir_all(path);
        }
    }

    /// Takes the oldest cases away until there is room for one more.
    fn make_room(&mut self) -> Result<(), SourceError> {
        let mut kept = self.kept("")?;
        loop {
            let bytes = kept.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
            if kept.is_empty() || (kept.len() < self.cases && bytes.saturating_add(self.most) <= self.total) {
                return Ok(());
            }
            let (oldest, _) = kept.remove(0);
            fs::remove_dir_all(&oldest).map_err(|error| unwritten(&oldest, &error))?;
        }
    }

    /// The cases that are ours and whose name has this end, the oldest first, with their bytes. Whatever else is in the folder is left alone.
    fn kept(&self, end: &str) -> Result<Vec<(PathBuf, u64)>, SourceError> {
        let listing = fs::read_dir(&self.path).map_err(|error| unwritten(&self.path, &error))?;
        let paths = listing.filter_map(|entry| Some(entry.ok()?.path()));
        let mut kept: Vec<(PathBuf, u64)> = paths
            .filter(|path| path.to_string_lossy().ends_with(end) && is_ours(path))
            .map(|path| {
                let files = fs::read_dir(&path).into_iter().flatten().filter_map(|entry| entry.ok()?.metadata().ok());
                let bytes = files.fold(0_u64, |sum, about| sum.saturating_add(about.len()));
                (path, bytes)
            })
            .collect();
        kept.sort();
        Ok(kept)
    }
}

/// Whether a folder is a case that was kept for a finding.
fn is_ours(folder: &Path) -> bool {
    // Neither a link to a folder elsewhere.
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
    let told = fs::read_to_string(folder.join(CASE_FILE)).ok();
    let case = told.and_then(|told| toml::from_str::<CaseFile>(&told).ok());
    is_folder && case.is_some_and(|case| case.origin == "recorded" && !case.occasions.is_empty())
}

/// `20261121T073336Z-DHCP002-fa_16_3e_12_34_56-20.100`: names in order are cases in order.
fn name(occasion: &Occasion) -> String {
    let moment: String = occasion.opened.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let key = occasion.key.values().map(String::as_str).collect::<Vec<_>>().join("-");
    let key: String = key.chars().map(|c| if is_fit(c) { c } else { '_' }).take(KEY).collect();
    let name = format!("{moment}Z-{}-{key}", occasion.code);
    name.trim_end_matches('-').to_owned()
}

/// `path`, or where that is taken, the same with a number.
fn free(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let (stem, end) = match name.strip_suffix(UNFINISHED) {
        Some(stem) => (stem, UNFINISHED),
        None => (name.as_ref(), ""),
    };
    let is_taken = |stem: &str| Path::new(stem).exists() || Path::new(&format!("{stem}{end}")).exists();
    let others = (2_u32..).map(|number| format!("{stem}-{number}"));
    let free = std::iter::once(stem.to_owned()).chain(others).find(|stem| !is_taken(stem));
    PathBuf::from(format!("{}{end}", free.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::frame;
    use super::*;
    use crate::value::Span;

    #[test]
    fn without_space_nothing_is_kept_and_with_space_it_goes_on() {
        let folder = std::env::temp_dir().join(format!("netdiag-shelf-{}", std::process::id()));
        let how = "a test".to_owned();
        let keeping =
            Keeping { folder: folder.clone(), how, memory: 1 << 16, after: Span::secs(1), cases: 9, total: 1 << 20 };
        let mut shelf = Shelf::open(&keeping).unwrap();
        let (spare, key) = (shelf.spare, [("client".to_owned(), "fa:16:3e:00:00:01".to_owned())].into());
        let (code, name, headline) = ("DHCP002".to_owned(), "offer-unanswered".to_owned(), "It is so.".to_owned());
        let occasion = Occasion { code, name, key, headline, opened: Timestamp::from_nanos(1) };
        let (began, occasions) = (Some(Timestamp::from_nanos(0)), vec![occasion]);
        let case = CaseFile { origin: "recorded".to_owned(), began, occasions, ..CaseFile::default() };
        let batch = || {
            let mut batch = Batch::default();
            batch.add(&frame(0, 1, b"frame"), Timestamp::MIN);
            Arc::new(batch)
        };
        let mut run = |spare: [u64; 3]| {
            let (jobs, tasks) = crossbeam_channel::unbounded();
            for task in [
                Task::Begin(Box::new(case.clone())),
                Task::Write(batch()),
                Task::End(Timestamp::from_nanos(9), Vec::new()),
            ] {
                jobs.send(task).unwrap();
            }
            drop(jobs);
            for (task, spare) in tasks.iter().zip(spare) {
                shelf.spare = spare;
                if let Some(case) = &mut shelf.case {
                    case.leave(spare);
                }
                shelf.take(task);
            }
            (shelf.written.len(), shelf.is_told)
        };
        // None from the beginning; none in the middle, where what is there is a whole case; enough.
        assert_eq!(run([u64::MAX; 3]), (0, true));
        assert_eq!(run([spare, u64::MAX, u64::MAX]), (1, true));
        assert_eq!(run([spare; 3]), (2, false));
        for case in &shelf.written {
            assert!(crate::source::Case::open(case).unwrap().notes.is_empty());
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_name_says_when_and_what_and_cannot_leave_the_folder() {
        let occasion = Occasion {
            code: "DHCP002".to_owned(),
            name: "offer-unanswered".to_owned(),
            key: [("client", "fa:16:3e:12:34:56"), ("vlan", "../../etc")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            headline: String::new(),
            opened: Timestamp::parse("2026-11-21T07:33:36.5Z").unwrap(),
        };
        assert_eq!(name(&occasion), "20261121T073336Z-DHCP002-fa_16_3e_12_34_56-.._.._etc");
    }
}
