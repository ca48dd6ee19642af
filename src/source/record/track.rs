//! What one vantage leaves behind: a pcapng file, and where recordings rotate, further ones. Whole blocks are written in one go, so that
//! whatever happens to this process, a file is whole up to its last block or breaks off inside it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::event::{Record, Vantage};
use crate::pcapng::{self, Counted, Described, Packet};
use crate::source::SourceError;
use crate::source::chain::part;
use crate::value::{Outside, Timestamp};

/// The files of one vantage, of which the last is open.
pub(super) struct Track {
    folder: PathBuf,
    /// The name of all its files without number and ending.
    stem: String,
    vantage: Vantage,
    file: File,
    path: PathBuf,
    /// Files before this one.
    number: u32,
    /// Blocks that are not written yet.
    out: Vec<u8>,
    /// Bytes of whole blocks in the open file.
    written: u64,
    began: Timestamp,
    frames: u64,
    lost: u64,
    missed: u64,
    /// Up to when it was listened to, once nothing more comes.
    ended: Option<Timestamp>,
}

/// A file to which nothing more is added.
pub(super) struct Closed {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

impl Track {
    /// Begins the first file of `vantage` in `folder`, at the moment `began`.
    pub(super) fn open(folder: &Path, stem: String, vantage: Vantage, began: Timestamp) -> Result<Self, SourceError> {
        let path = folder.join(part(&stem, 0));
        let (file, folder) = (create(&path)?, folder.to_owned());
        let (number, out, written, frames, lost, missed) = (0, Vec::new(), 0, 0, 0, 0);
        let ended = None;
        let mut track =
            Self { folder, stem, vantage, file, path, number, out, written, began, frames, lost, missed, ended };
        track.describe();
        track.flush()?;
        Ok(track)
    }

    /// Adds a frame.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let packet = Packet {
            interface: 0,
            time: record.time,
            wire_len: record.wire_len,
            direction: record.direction,
            offload: record.offload,
            tells_offload: self.vantage.tells_offload,
            bytes: record.bytes,
            comments: &[],
        };
        pcapng::packet(&mut self.out, &packet);
        self.frames = self.frames.saturating_add(1);
    }

    /// Adds that so many frames were lost, as was told at `time`.
    pub(super) fn add_loss(&mut self, time: Timestamp, frames: u64) {
        self.lost = self.lost.saturating_add(frames);
        self.count(time, None);
    }

    /// The interface itself lost so many frames over all the time; told before the end.
    pub(super) fn miss(&mut self, frames: u64) {
        self.missed = frames;
        if let (Some(ended), 1..) = (self.ended, frames) {
            self.count(ended, Some(ended));
        }
    }

    /// Adds what was counted; with an `end`, the capture lasted until then.
    pub(super) fn count(&mut self, time: Timestamp, end: Option<Timestamp>) {
        let (start, delivered, lost, missed) = (self.began, self.frames, self.lost, self.missed);
        pcapng::statistics(&mut self.out, &Counted { interface: 0, time, start, end, delivered, lost, missed });
    }

    /// Bytes of the open file, those included that are not written yet.
    pub(super) const fn bytes(&self) -> u64 {
        self.written.saturating_add(self.out.len() as u64)
    }

    /// Whether the open file holds anything but its beginning.
    pub(super) const fn has_frames(&self) -> bool {
        self.frames > 0
    }

    /// When the open file began.
    pub(super) const fn began(&self) -> Timestamp {
        self.began
    }

    /// Whether nothing more comes.
    pub(super) const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Ends the open file at `now`, and goes on in a new one.
    pub(super) fn rotate(&mut self, now: Timestamp) -> Result<Closed, SourceError> {
        self.count(now, Some(now));
        self.sync()?;
        let number = self.number.saturating_add(1);
        let path = self.folder.join(part(&self.stem, number));
        self.file = create(&path)?;
        let closed = Closed { path: std::mem::replace(&mut self.path, path), bytes: self.written };
        (self.number, self.written, self.began, self.frames, self.lost) = (number, 0, now, 0, 0);
        self.describe();
        if let Some(ended) = self.ended {
            self.count(ended, Some(ended));
        }
        self.flush()?;
        Ok(closed)
    }

    /// Nothing more comes, and nothing was missed up to `until`; told again, it changes nothing.
    pub(super) fn end(&mut self, until: Timestamp) {
        if self.ended.is_none() {
            self.count(until, Some(until));
            self.ended = Some(until);
        }
    }

    /// Writes what was added, so that it is there after a power cut, too.
    pub(super) fn sync(&mut self) -> Result<(), SourceError> {
        self.flush()?;
        self.file.sync_data().map_err(|error| unwritten(&self.path, &error))
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self) -> Result<(), SourceError> {
        if self.out.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.out) {
            // A part of a block helps nobody; where it cannot be taken back, the reader forgives it.
            let _ = self.file.set_len(self.written);
            return Err(unwritten(&self.path, &error));
        }
        self.written = self.bytes();
        self.out.clear();
        Ok(())
    }

    fn describe(&mut self) {
        let name = self.vantage.name.raw();
        let filter = self.vantage.filter.as_ref().map(Outside::raw).unwrap_or_default();
        let Vantage { link, snap_len, tells_offload, .. } = self.vantage;
        pcapng::section(&mut self.out, "");
        pcapng::interface(&mut self.out, &Described { name, description: "", link, snap_len, filter, tells_offload });
    }
}

/// Makes a file that was not there.
pub(super) fn create(path: &Path) -> Result<File, SourceError> {
    File::create_new(path).map_err(|error| unwritten(path, &error))
}

/// That something cannot be written.
pub(super) fn unwritten(path: &Path, error: &io::Error) -> SourceError {
    SourceError::unwritable(&Outside::from(path.to_string_lossy().as_ref()), error)
}
