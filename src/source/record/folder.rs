//! A case folder that is being written: a pcapng file for each vantage, `host.jsonl`, `case.toml`. Batches come in, files grow by whole blocks and
//! lines; recordings rotate, and give up their oldest files for newer ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::batch::{Batch, Piece};
use super::track::{Closed, Track, create, unwritten};
use super::{Rotation, Written, space};
use crate::event::{Fact, Place, Stamped, Vantage, VantageId};
use crate::source::case::HOST_FILE;
use crate::source::{CASE_FILE, CaseFile, CaseVantage, Occasion, SourceError};
use crate::value::{Span, Timestamp};

/// How often an unfinished recording tells how long it has lasted: some 100 bytes each time.
const TELL_EVERY: Span = Span::secs(10);
/// The part of the whole that the host's facts may take: beyond it they are no longer written.
const FACTS: u64 = 4;

/// A case folder that is being written.
pub(super) struct Folder {
    path: PathBuf,
    case: CaseFile,
    /// Whether `case.toml` is behind.
    is_case_stale: bool,
    rotation: Rotation,
    /// Bytes of the disk that are left to others.
    spare: u64,
    tracks: BTreeMap<VantageId, Track>,
    /// The names that are taken.
    stems: BTreeSet<String>,
    /// Files to which nothing more is added, the oldest first, and their bytes.
    closed: VecDeque<Closed>,
    closed_bytes: u64,
    host: Option<File>,
    lines: Vec<u8>,
    host_bytes: u64,
    /// Up to when everything was told.
    now: Timestamp,
    told: Timestamp,
    frames: u64,
    given_up: u64,
}

impl Folder {
    /// Begins a case in the folder `path`, which is made and must be empty; `case` is what its `case.toml` says. At least `spare` bytes of the
    /// disk stay free.
    pub(super) fn create(path: &Path, case: CaseFile, rotation: Rotation, spare: u64) -> Result<Self, SourceError> {
        fs::create_dir_all(path).map_err(|error| unwritten(path, &error))?;
        space::leave(path, spare, 0)?;
        let mut listing = fs::read_dir(path).map_err(|error| unwritten(path, &error))?;
        if listing.next().is_some() {
            return Err(SourceError::unwritable_for(
                path,
                "the folder is not empty; a recording begins in a folder of its own",
            ));
        }
        let now = case.began.unwrap_or(Timestamp::MIN);
        let mut folder = Self {
            path: path.to_owned(),
            case,
            is_case_stale: true,
            rotation,
            spare,
            tracks: BTreeMap::new(),
            stems: BTreeSet::new(),
            closed: VecDeque::new(),
            closed_bytes: 0,
            host: None,
            lines: Vec::new(),
            host_bytes: 0,
            now,
            told: now,
            frames: 0,
            given_up: 0,
        };
        folder.flush()?;
        Ok(folder)
    }

    /// Leaves so many bytes of the disk to others from now on.
    #[cfg(test)]
    pub(super) const fn leave(&mut self, spare: u64) {
        self.spare = spare;
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Up to when everything is in it.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// One more finding that it is kept for.
    pub(super) fn add_occasion(&mut self, occasion: Occasion) {
        self.case.occasions.push(occasion);
        self.is_case_stale = true;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        let open = self.tracks.values().fold(self.host_bytes, |sum, track| sum.saturating_add(track.bytes()));
        open.saturating_add(self.closed_bytes)
    }

    /// Adds a batch. When this returns, it is in the files.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), SourceError> {
        space::leave(&self.path, self.spare, batch.weight() as u64)?;
        for piece in batch.pieces() {
            match piece {
                Piece::Vantage(id, vantage, since) => self.add_vantage(id, vantage, since)?,
                Piece::Fact(fact) => self.add_fact(fact),
                Piece::Lost(vantage, time, frames) => {
                    if let Some(track) = self.tracks.get_mut(&vantage) {
                        track.add_loss(time, frames);
                    }
                }
                Piece::Settled(time) => self.now = self.now.max(time),
                Piece::Ended(lane, until) => {
                    let ended = self.tracks.iter_mut().filter(|(id, _)| id.lane == lane);
                    ended.for_each(|(_, track)| track.end(until));
                }
                Piece::Frame(record, vantage, order) => {
                    self.now = self.now.max(order);
                    self.rotate_in_time(vantage)?;
                    if let Some(track) = self.tracks.get_mut(&vantage) {
                        track.add(&record);
                        self.frames = self.frames.saturating_add(1);
                    }
                }
            }
        }
        if self.now.since(self.told) >= TELL_EVERY {
            self.told = self.now;
            if let Some(track) = self.tracks.values_mut().find(|track| !track.is_over()) {
                track.count(self.now, Some(self.now));
            }
        }
        self.flush()?;
        self.keep_to_sizes()
    }

    /// Ends the case at `end`; `missed` are the frames that the interface of each lane lost itself.
    pub(super) fn finish(mut self, end: Timestamp, missed: &[u64]) -> Result<Written, SourceError> {
        for (id, track) in &mut self.tracks {
            // A lane that loses is live, and of one interface.
            if id.interface == 0 {
                track.miss(missed.get(usize::from(id.lane)).copied().unwrap_or(0));
            }
            track.end(end);
            track.sync()?;
        }
        if let Some(host) = &self.host {
            host.sync_data().map_err(|error| unwritten(&self.path, &error))?;
        }
        self.case.ended = Some(end);
        self.is_case_stale = true;
        self.flush()?;
        let sync = File::open(&self.path).and_then(|folder| folder.sync_all());
        sync.map_err(|error| unwritten(&self.path, &error))?;
        Ok(Written {
            path: self.path.clone(),
            frames: self.frames,
            files: self.tracks.len().saturating_add(self.closed.len()),
            bytes: self.bytes(),
            given_up: self.given_up,
            shed: 0,
        })
    }

    fn add_vantage(&mut self, id: VantageId, vantage: &Vantage, since: Timestamp) -> Result<(), SourceError> {
        if self.tracks.contains_key(&id) {
            return Ok(());
        }
        let stem = self.stem(vantage.name.raw());
        self.case.vantages.push(CaseVantage {
            file: format!("{stem}.pcapng"),
            name: Some(vantage.name.raw().to_owned()),
            place: Some(vantage.place).filter(|place| *place != Place::Unknown),
            offset_ns: 0,
            // Those of the beginning have nothing before them.
            joined: Some(since).filter(|since| *since > Timestamp::MIN),
        });
        self.is_case_stale = true;
        self.tracks.insert(id, Track::open(&self.path, stem, vantage.clone(), self.now)?);
        Ok(())
    }

    /// A name for the files of the vantage called `name`, that no other has.
    fn stem(&mut self, name: &str) -> String {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || ".-_@+".contains(c);
        let mut fit: String = name.chars().map(|c| if is_fit(c) { c } else { '_' }).take(64).collect();
        if fit.is_empty() || fit.starts_with('.') {
            fit.insert(0, '_');
        }
        let others = (2_u32..).map(|number| format!("{fit}-{number}"));
        let free = std::iter::once(fit.clone()).chain(others).find(|stem| !self.stems.contains(stem)).unwrap_or(fit);
        self.stems.insert(free.clone());
        free
    }

    fn add_fact(&mut self, fact: &Stamped<Fact>) {
        let most = self.rotation.total.map_or(u64::MAX, |total| total.checked_div(FACTS).unwrap_or(total));
        let bytes = self.host_bytes.saturating_add(self.lines.len() as u64);
        if bytes >= most {
            return;
        }
        if let Ok(line) = serde_json::to_string(fact) {
            self.lines.extend_from_slice(line.as_bytes());
            self.lines.push(b'\n');
        }
        if bytes.saturating_add(self.lines.len() as u64) >= most {
            warn!("{}: {HOST_FILE} has taken its part of the whole; later facts are not written", self.path.display());
        }
    }

    /// Goes on in a new file where the vantage's time is up. All files are cut at the same moments.
    fn rotate_in_time(&mut self, vantage: VantageId) -> Result<(), SourceError> {
        let (Some(span), Some(track)) = (self.rotation.span, self.tracks.get_mut(&vantage)) else { return Ok(()) };
        let began = self.case.began.unwrap_or(Timestamp::MIN);
        let turn = |at: Timestamp| at.since(began).as_nanos().checked_div(span.as_nanos());
        if track.has_frames() && turn(track.began()) != turn(self.now) {
            let closed = track.rotate(self.now)?;
            self.close(closed);
        }
        Ok(())
    }

    /// Goes on in new files where those there are have become too large, and gives up the oldest of too many.
    fn keep_to_sizes(&mut self) -> Result<(), SourceError> {
        if let Some(most) = self.rotation.size {
            let large: Vec<VantageId> =
                self.tracks.iter().filter(|(_, track)| track.bytes() >= most).map(|(id, _)| *id).collect();
            large.into_iter().try_for_each(|id| self.rotate(id))?;
        }
        let Some(total) = self.rotation.total else { return Ok(()) };
        while self.bytes() > total {
            if let Some(oldest) = self.closed.pop_front() {
                fs::remove_file(&oldest.path).map_err(|error| unwritten(&oldest.path, &error))?;
                self.closed_bytes = self.closed_bytes.saturating_sub(oldest.bytes);
                self.given_up = self.given_up.saturating_add(1);
                continue;
            }
            // Only open files are left: the largest is the next to go.
            let largest =
                self.tracks.iter().filter(|(_, track)| track.has_frames()).max_by_key(|(_, track)| track.bytes());
            let Some(id) = largest.map(|(id, _)| *id) else { return Ok(()) };
            self.rotate(id)?;
        }
        Ok(())
    }

    fn rotate(&mut self, vantage: VantageId) -> Result<(), SourceError> {
        let Some(track) = self.tracks.get_mut(&vantage) else { return Ok(()) };
        let closed = track.rotate(self.now)?;
        self.close(closed);
        Ok(())
    }

    fn close(&mut self, closed: Closed) {
        self.closed_bytes = self.closed_bytes.saturating_add(closed.bytes);
        self.closed.push_back(closed);
    }

    /// Writes what was added since the last time.
    fn flush(&mut self) -> Result<(), SourceError> {
        for track in self.tracks.values_mut() {
            track.flush()?;
        }
        if !self.lines.is_empty() {
            let path = self.path.join(HOST_FILE);
            let mut file = match self.host.take() {
                Some(file) => file,
                None => create(&path)?,
            };
            if let Err(error) = file.write_all(&self.lines) {
                let _ = file.set_len(self.host_bytes);
                return Err(unwritten(&path, &error));
            }
            self.host_bytes = self.host_bytes.saturating_add(self.lines.len() as u64);
            self.lines.clear();
            self.host = Some(file);
        }
        if self.is_case_stale {
            self.tell()?;
        }
        Ok(())
    }

    /// Writes `case.toml` anew, so that there is a whole one at every moment.
    fn tell(&mut self) -> Result<(), SourceError> {
        let (path, new) = (self.path.join(CASE_FILE), self.path.join("case.toml.tmp"));
        let told =
            toml::to_string(&self.case).map_err(|error| SourceError::unwritable_for(&path, &error.to_string()))?;
        let write = || {
            fs::write(&new, told)?;
            File::open(&new)?.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| unwritten(&path, &error))?;
        self.is_case_stale = false;
        Ok(())
    }
}
