//! lz4 frames, several and with frames to skip between them. Tells where `lz4_flex` takes the end of the file for the end of a frame.
//! Not handled: the legacy frame, dictionaries.

use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::frame::{Error, FrameDecoder};

/// Unpacks lz4 frames one after the other.
pub(super) struct Lz4 {
    frame: FrameDecoder<Watched>,
    is_over: bool,
}

impl Lz4 {
    /// An unpacker of `from`.
    pub(super) fn new(from: Box<dyn BufRead + Send>) -> Self {
        Self { frame: FrameDecoder::new(Watched { from, has_ended: false }), is_over: false }
    }

    /// Reads on over the ends of frames, and past frames that are to be skipped, at both of which `lz4_flex` stops.
    fn next(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.frame.read(to) {
                // Nobody asks for more than a frame has, unless its end is missing.
                Ok(0) if self.frame.get_ref().has_ended => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) if self.frame.get_mut().from.fill_buf()?.is_empty() => return Ok(0),
                Ok(0) => {}
                Ok(count) => return Ok(count),
                Err(error) => {
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
                    let Some(Error::SkippableFrame(length)) = inner else { return Err(error) };
                    let length = u64::from(*length);
                    let from = &mut self.frame.get_mut().from;
                    if io::copy(&mut from.take(length), &mut io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    if from.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                }
            }
        }
    }
}

impl Read for Lz4 {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.is_over || to.is_empty() {
            return Ok(0);
        }
        let next = self.next(to);
        self.is_over = !matches!(next, Ok(1..));
        next
    }
}

/// A stream that remembers whether somebody asked for more than it had.
struct Watched {
    from: Box<dyn BufRead + Send>,
    has_ended: bool,
}

impl Read for Watched {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(to)?;
        self.has_ended |= count == 0 && !to.is_empty();
        Ok(count)
    }
}
