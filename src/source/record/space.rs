//! The disk's space: how much is free, and how much of it is never taken.

use std::io;
use std::path::Path;

/// The part of the disk that is left to others, …
const PART: u64 = 20;
/// … and the most of it, in bytes: the machine logs and boots with it, and an operator finds room to clean up.
const MOST: u64 = 1 << 30;

/// Bytes that are free at `path` for this user.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let about = rustix::fs::statvfs(path)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Bytes of the disk at `path` that are not taken: a twentieth, and a gibibyte at most.
pub(super) fn spare(path: &Path) -> io::Result<u64> {
    let about = rustix::fs::statvfs(path)?;
    let size = about.f_blocks.saturating_mul(about.f_frsize);
    Ok(size.checked_div(PART).unwrap_or(0).min(MOST))
}
