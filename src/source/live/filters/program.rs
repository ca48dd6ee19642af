//! Programs that are asked what they know: with a fixed path, without surroundings, and not for long.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// It asks the kernel, and has an answer at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of its answer that are read.
const MOST: u64 = 16 << 20;

/// A program, and what it is to do. Nothing is looked for along a path that somebody else may have set.
pub(super) struct Program<'a> {
    pub path: &'a str,
    pub arguments: &'a [&'a str],
}

/// What it says.
///
/// # Errors
/// When it cannot be asked, fails, or takes too long.
pub(super) fn ask(program: &Program<'_>) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program.path)
        .args(program.arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let answer = child.stdout.take().map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), read);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let answer = answer?;
    if status.success() { Ok(answer) } else { Err(io::Error::other("it needs to be root (CAP_NET_ADMIN)")) }
}

/// All that it says, if each piece of it comes in time.
fn read(mut pipe: std::process::ChildStdout) -> io::Result<Vec<u8>> {
    let (mut answer, mut piece) = (Vec::new(), [0; 65_536]);
    let patience = Timespec::try_from(PATIENCE).map_err(|_| io::ErrorKind::InvalidInput)?;
    while (answer.len() as u64) < MOST {
        if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&patience))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut piece)? {
            0 => return Ok(answer),
            length => answer.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}
