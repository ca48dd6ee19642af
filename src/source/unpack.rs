//! Unpacking of gzip (RFC 1952), zstd (RFC 8878) and lz4 frames, told by their first bytes, with a limit on what may come out.
//! Not handled: bzip2, xz, lz4's legacy frames, dictionaries, a packed stream in a packed stream.

mod gzip;
mod lz4;

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::gzip::Gunzip;
use self::lz4::Lz4;
use super::error::Trouble;
use super::packing::Packing;

/// Never refuse an expansion before so much came out: 64 MiB.
const FREE: u64 = 64 << 20;
/// Refuse what became larger than this: 4 GiB.
const MOST: u64 = 4 << 30;
/// Refuse what became so many times larger. Deflate does not reach 1,032 to 1; captures of real traffic stay below 100.
const TIMES: u64 = 1_000;
/// From here on, 512 MiB, less is believed: reading on would take longer than anybody waits for a file that is a bomb after all.
const LATE: u64 = 512 << 20;
/// Refuse what became so many times larger once it is past `LATE`.
const LATE_TIMES: u64 = 200;
/// Largest window of a zstd frame, as a power of two: 128 MiB, which is what the zstd tool takes unasked.
const ZSTD_WINDOW: u32 = 27;
/// Bytes asked of zstd at once; what it unpacked in a call that fails is lost, so little is asked.
const ZSTD_PIECE: usize = 4_096;

/// How many bytes were read of a file; shared with who shows progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Position(Arc<AtomicU64>);

impl Position {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream that counts what is read of it.
struct Counted {
    from: Box<dyn Read + Send>,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(to)?;
        self.position.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What is known of a stream once its first bytes were seen.
pub(super) struct Opened {
    /// The stream, unpacked.
    pub(super) stream: Box<dyn Read + Send>,
    /// How it was packed.
    pub(super) packing: Option<Packing>,
    /// How much was read of it, packed.
    pub(super) position: Position,
}

/// Looks at the first bytes of `from` and unpacks it where they say so.
pub(super) fn unpack(from: Box<dyn Read + Send>) -> io::Result<Opened> {
    let position = Position::default();
    let mut from: Box<dyn BufRead + Send> = Box::new(BufReader::new(Counted { from, position: position.clone() }));
    let mut skipped = Vec::new();
    let mut first = take(&mut from, 4)?;
    // A frame to be skipped may come first in zstd and in lz4 (RFC 8878, 3.1.2): what follows tells which of them it is.
    while let [0x50..=0x5f, 0x2a, 0x4d, 0x18] = first.as_slice() {
        skipped.extend_from_slice(&first);
        let length = take(&mut from, 4)?;
        let Some(length) = length.first_chunk() else { break };
        let length = u64::from(u32::from_le_bytes(*length));
        io::copy(&mut (&mut from).take(length), &mut io::sink())?;
        skipped.clear();
        first = take(&mut from, 4)?;
    }
    skipped.append(&mut first);
    let packing = Packing::from_magic(&skipped);
    let whole = Cursor::new(skipped).chain(from);
    let Some(packing) = packing else {
        return Ok(Opened { stream: Box::new(whole), packing, position });
    };
    let stream = match packing {
        Packing::Gzip => Unpacker::Gzip(Box::new(Gunzip::new(Box::new(whole)))),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(Box::new(whole) as Packed)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Unpacker::Zstd(decoder)
        }
        Packing::Lz4 => Unpacker::Lz4(Box::new(Lz4::new(Box::new(whole)))),
    };
    let limited = Limited { from: stream, packing, position: position.clone(), output: 0 };
    Ok(Opened { stream: Box::new(limited), packing: Some(packing), position })
}

/// At most `count` bytes; less at the end of the stream.
fn take(from: &mut dyn BufRead, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

type Packed = Box<dyn BufRead + Send>;

/// One of the three.
enum Unpacker {
    Gzip(Box<Gunzip>),
    Zstd(zstd::stream::read::Decoder<'static, Packed>),
    Lz4(Box<Lz4>),
}

impl Read for Unpacker {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(from) => from.read(to),
            Self::Zstd(from) => {
                let most = to.len().min(ZSTD_PIECE);
                from.read(to.get_mut(..most).unwrap_or_default())
            }
            Self::Lz4(from) => from.read(to),
        }
    }
}

/// Stops at the expansion limit, and says of trouble that it came from unpacking.
struct Limited {
    from: Unpacker,
    packing: Packing,
    position: Position,
    output: u64,
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let (packing, input, output) = (self.packing, self.position.bytes(), self.output);
        if is_over_limit(input, output) {
            return Err(Trouble::Expansion { packing, input, output }.into());
        }
        match self.from.read(to) {
            Ok(count) => {
                self.output = self.output.saturating_add(count as u64);
                Ok(count)
            }
            // Trouble of the disk keeps its own words.
            Err(error) if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Trouble::Packed { packing, why: "it ends in the middle".to_owned() }.into())
            }
            Err(error) => Err(Trouble::Packed { packing, why: error.to_string() }.into()),
        }
    }
}

/// Whether `input` bytes became more than is believed.
const fn is_over_limit(input: u64, output: u64) -> bool {
    let times = if output > LATE { LATE_TIMES } else { TIMES };
    output > FREE && (output > MOST || output > input.saturating_mul(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `netdiag` as `zstd --no-check` packs it: one raw block of seven bytes.
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x20\x07\x39\0\0netdiag";
    /// A frame that zstd and lz4 skip: two bytes.
    const SKIPPED: &[u8] = b"\x5a\x2a\x4d\x18\x02\0\0\0xx";

    /// `netdiag` as an lz4 frame.
    fn lz4() -> Vec<u8> {
        use std::io::Write;
        let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        packer.write_all(b"netdiag").unwrap();
        packer.finish().unwrap()
    }

    fn read(parts: &[&[u8]]) -> (Option<Packing>, Vec<u8>, Option<Trouble>) {
        let mut opened = unpack(Box::new(Cursor::new(parts.concat()))).unwrap();
        let mut out = Vec::new();
        let trouble = opened.stream.read_to_end(&mut out).err().map(Trouble::from);
        assert!(trouble.is_some() || opened.position.bytes() == parts.concat().len() as u64);
        (opened.packing, out, trouble)
    }

    #[test]
    fn what_is_not_packed_passes_as_it_is() {
        for plain in [&b""[..], b"a", b"abcdefgh", b"\x50\x2a\x4d"] {
            let (packing, out, trouble) = read(&[plain]);
            assert_eq!((packing, out.as_slice()), (None, plain));
            assert!(trouble.is_none());
        }
    }

    #[test]
    fn several_frames_are_one_stream_and_some_are_skipped() {
        let lz4 = lz4();
        for (packing, frame) in [(Packing::Zstd, ZSTD), (Packing::Lz4, lz4.as_slice())] {
            let (told, out, trouble) = read(&[SKIPPED, SKIPPED, frame, SKIPPED, frame, SKIPPED]);
            assert_eq!((told, out.as_slice()), (Some(packing), &b"netdiagnetdiag"[..]));
            assert!(trouble.is_none(), "{packing}: {trouble:?}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_gives_what_came_before() {
        let lz4 = lz4();
        for (packing, frame) in [(Packing::Zstd, ZSTD), (Packing::Lz4, lz4.as_slice())] {
            let (_, out, trouble) = read(&[frame, &frame[..frame.len() - 2]]);
            assert!(out.starts_with(b"netdiag"), "{packing}: {out:?}");
            assert!(matches!(trouble, Some(Trouble::Packed { packing: p, .. }) if p == packing), "{trouble:?}");
        }
        // Between two blocks, where a reader may take the end of the stream for that of the frame.
        for length in 5..lz4.len() {
            let (_, _, trouble) = read(&[&lz4, &lz4[..length]]);
            assert!(matches!(trouble, Some(Trouble::Packed { .. })), "{length}");
        }
    }

    #[test]
    fn a_window_of_more_than_128_mib_is_refused() {
        // RFC 8878, 3.1.1.1.2: window descriptor 0x90 is 2^28 bytes.
        let (_, _, trouble) = read(&[b"\x28\xb5\x2f\xfd\0\x90\x01\0\0"]);
        assert!(matches!(trouble, Some(Trouble::Packed { .. })), "{trouble:?}");
    }

    #[test]
    fn the_limit_lies_after_64_mib() {
        assert!(!is_over_limit(1, FREE));
        assert!(is_over_limit(1, FREE + 1));
        assert!(!is_over_limit(FREE, MOST));
        assert!(is_over_limit(FREE, MOST + 1));
        assert!(!is_over_limit(4 << 20, LATE));
        assert!(!is_over_limit(4 << 20, LATE_TIMES * (4 << 20)));
        assert!(is_over_limit(2 << 20, LATE + 1));
    }

    #[test]
    fn a_bomb_is_stopped() {
        // 256 MiB of zeros: every block of 128 KiB is four bytes (RFC 8878, 3.1.1.2: run-length, 2^17 of 0).
        let mut bomb = b"\x28\xb5\x2f\xfd\0\x38".to_vec();
        for _ in 0..2_048 {
            bomb.extend_from_slice(&[0x02, 0x00, 0x10, 0x00]);
        }
        let mut opened = unpack(Box::new(Cursor::new(bomb))).unwrap();
        let error = io::copy(&mut opened.stream, &mut io::sink()).unwrap_err();
        let said = Trouble::from(error).to_string();
        assert!(said.starts_with("stopped at the expansion limit: "), "{said}");
    }
}
