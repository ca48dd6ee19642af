//! The disk's space: how much is free, and how much of it is never taken.

use std::io;
use std::path::Path;

use super::track::unwritten;
use crate::source::SourceError;

/// The part of the disk that is left to others, …
const PART: u64 = 20;
/// … and the most of it, in bytes: the machine logs and boots with it, and an operator finds room to clean up.
const MOST: u64 = 1 << 30;

/// Sees that `bytes` more at `path` leave `spare` bytes of the disk free.
///
/// # Errors
/// Where they do not.
pub(super) fn leave(path: &Path, spare: u64, bytes: u64) -> Result<(), SourceError> {
    let about = rustix::fs::statvfs(path).map_err(|error| unwritten(path, &error.into()))?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if free >= spare.saturating_add(bytes) {
        return Ok(());
    }
    let kib = |bytes: u64| bytes.div_ceil(1 << 10);
    let why = format!(
        "the disk is full: of {} KiB that are free {} stay free for others, and {} are needed; make room",
        kib(free),
        kib(spare),
        kib(bytes)
    );
    Err(SourceError::unwritable_for(path, &why))
}

/// Bytes of the disk at `path` that are not taken: a twentieth, and a gibibyte at most.
pub(super) fn spare(path: &Path) -> io::Result<u64> {
    let about = rustix::fs::statvfs(path)?;
    let size = about.f_blocks.saturating_mul(about.f_frsize);
    Ok(size.checked_div(PART).unwrap_or(0).min(MOST))
}
