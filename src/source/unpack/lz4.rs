//! lz4 frames, several and with frames to skip between them. Tells where `lz4_flex` takes the end of the file for the end of a frame.
//! Not handled: the legacy frame, dictionaries.

use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::frame::{Error, FrameDecoder};

/// Unpacks lz4 frames one after the other.
pub(super) struct Lz4 {
    /// The decoder of the present frame; none once all is read. Each frame has its own, because `lz4_flex` (0.14) asserts that the blocks of
    /// a later frame are as large as those of the first.
    frame: Option<FrameDecoder<Watched>>,
}

impl Lz4 {
    /// An unpacker of `from`.
    pub(super) fn new(from: Box<dyn BufRead + Send>) -> Self {
        Self { frame: Some(FrameDecoder::new(Watched { from, has_ended: false })) }
    }
}

impl Read for Lz4 {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        // Whatever fails below has failed for good.
        while let Some(mut frame) = self.frame.take() {
            match frame.read(to) {
                // Nobody asks for more than a frame has, unless its end is missing.
                Ok(0) if frame.get_ref().has_ended => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => self.frame = after(frame)?,
                Ok(count) => {
                    self.frame = Some(frame);
                    return Ok(count);
                }
                Err(error) => {
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
                    let Some(Error::SkippableFrame(length)) = inner else { return Err(error) };
                    let length = u64::from(*length);
                    if io::copy(&mut (&mut frame.get_mut().from).take(length), &mut io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    self.frame = after(frame)?;
                }
            }
        }
        Ok(0)
    }
}

/// A decoder for the frame after `frame`, if there is one.
fn after(frame: FrameDecoder<Watched>) -> io::Result<Option<FrameDecoder<Watched>>> {
    let mut from = frame.into_inner();
    let is_over = from.from.fill_buf()?.is_empty();
    Ok((!is_over).then(|| FrameDecoder::new(from)))
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

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

    use super::*;

    #[test]
    fn frames_may_differ_in_the_size_of_their_blocks() {
        let mut packed = Vec::new();
        for size in [BlockSize::Max4MB, BlockSize::Max64KB] {
            let mut frame = FrameEncoder::with_frame_info(FrameInfo::new().block_size(size), Vec::new());
            frame.write_all(b"netdiag").unwrap();
            packed.append(&mut frame.finish().unwrap());
        }
        let mut out = Vec::new();
        Lz4::new(Box::new(Cursor::new(packed))).read_to_end(&mut out).unwrap();
        assert_eq!(out, b"netdiagnetdiag");
    }
}
