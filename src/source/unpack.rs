//! Opens a capture by its first bytes: pcap or pcapng, plain or inside gzip, zstd or lz4. What is unpacked has a limit on its expansion.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::window::Window;
use super::{Interface, Source, SourceError, pcap, pcapng};
use crate::event::Record;
use crate::value::Outside;

/// Bytes out past which unpacking stops whatever went in.
const MOST_OUT: u64 = 4 << 30;
/// Bytes out for each byte in past which unpacking stops; frames of zeros reach 1,000 at best.
const MOST_RATIO: u64 = 1_000;
/// Bytes out before the ratio counts.
const FREE: u64 = 64 << 20;

/// Opens the capture at `path`; `-` is standard input.
///
/// # Errors
/// When it cannot be opened, or is not a capture.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    let shown = Outside::from(path.to_string_lossy().as_ref());
    if path.as_os_str() == "-" {
        return open_reader(Outside::from("stdin"), Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|e| SourceError::unreadable(&shown, &e))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        return Err(SourceError::unreadable(&shown, &io::ErrorKind::IsADirectory.into()));
    }
    open_reader(shown, Box::new(file))
}

/// Opens the capture that `from` gives; errors call it `path`.
///
/// # Errors
/// When it is not a capture, or breaks off in its header.
pub fn open_reader(path: Outside, from: Box<dyn Read + Send>) -> Result<Box<dyn Source>, SourceError> {
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted { from, read: Arc::clone(&read) };
    let (head, from) = peek(&path, Box::new(counted))?;
    let Some(packing) = Packing::from_magic(head) else {
        return plain(path, head, from);
    };
    let unpacked = packing.unpack(from).map_err(|e| SourceError::unreadable(&path, &e))?;
    let limited = Limited { from: unpacked, read: Arc::clone(&read), out: 0 };
    let (head, from) = peek(&path, Box::new(limited))?;
    if let Some(inner) = Packing::from_magic(head) {
        let why = format!(
            "{} inside {}: it is packed twice; unpack it once and name what comes out",
            inner.name(),
            packing.name()
        );
        return Err(SourceError::nonsense(&path, &why));
    }
    let source = plain(path, head, from)?;
    Ok(Box::new(Unpacked { source, packing, read }))
}

fn plain(path: Outside, head: [u8; 4], from: Box<dyn Read + Send>) -> Result<Box<dyn Source>, SourceError> {
    let window = Window::new(from);
    if pcap::is_magic(head) {
        Ok(Box::new(pcap::Pcap::open(path, window)?))
    } else if pcapng::is_magic(head) {
        Ok(Box::new(pcapng::Pcapng::open(path, window)))
    } else {
        let [a, b, c, d] = head;
        let why = format!(
            "it begins with {a:02x} {b:02x} {c:02x} {d:02x}, which is not a capture; pcap and pcapng are read, plain or in gzip, zstd or lz4"
        );
        Err(SourceError::nonsense(&path, &why))
    }
}

/// The first four bytes, and a reader that gives them again. A file with fewer has zeros behind.
fn peek(path: &Outside, mut from: Box<dyn Read + Send>) -> Result<([u8; 4], Box<dyn Read + Send>), SourceError> {
    let mut head = Vec::new();
    let read = (&mut from).take(4).read_to_end(&mut head);
    if let (Err(error), true) = (&read, head.len() < 4) {
        return Err(SourceError::unreadable(path, error));
    }
    if head.is_empty() {
        return Err(SourceError::nonsense(
            path,
            "the file is empty: it has 0 bytes, and a capture begins with a header of 24",
        ));
    }
    let mut magic = [0; 4];
    magic.iter_mut().zip(&head).for_each(|(to, byte)| *to = *byte);
    Ok((magic, Box::new(Cursor::new(head).chain(from))))
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Lz4,
}

impl Packing {
    const fn from_magic(magic: [u8; 4]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // RFC 8878 sections 3.1.1 and 3.1.2: a frame, or a frame to skip.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18] => Some(Self::Lz4),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    fn unpack(self, from: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(from)?),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(from)),
        })
    }
}

/// Counts what is read of a file.
struct Counted {
    from: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Stops when more came out than a capture can hold.
struct Limited {
    from: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    out: u64,
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let packed = self.read.load(Ordering::Relaxed);
        if self.out > MOST_OUT || (self.out > FREE && self.out > packed.saturating_mul(MOST_RATIO)) {
            let why = format!(
                "stopped at the expansion limit: {packed} bytes unpacked to {} so far; unpack the file first if it is meant to be so large",
                self.out
            );
            return Err(io::Error::other(why));
        }
        let read = self.from.read(to)?;
        self.out = self.out.saturating_add(read as u64);
        Ok(read)
    }
}

/// A source that is packed.
struct Unpacked {
    source: Box<dyn Source>,
    packing: Packing,
    read: Arc<AtomicU64>,
}

impl Source for Unpacked {
    fn advance(&mut self) -> Result<bool, SourceError> {
        self.source.advance()
    }

    fn record(&self) -> Record<'_> {
        self.source.record()
    }

    fn interfaces(&self) -> &[Interface] {
        self.source.interfaces()
    }

    fn format(&self) -> String {
        format!("{} ({})", self.source.format(), self.packing.name())
    }

    fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// An empty classic capture, by its header.
    const EMPTY: [u8; 24] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

    fn open_bytes(bytes: Vec<u8>) -> Result<String, String> {
        let mut source = open_reader(Outside::from("f"), Box::new(Cursor::new(bytes))).map_err(|e| e.to_string())?;
        while source.advance().map_err(|e| e.to_string())? {}
        Ok(source.format())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    #[test]
    fn a_capture_is_known_by_its_first_bytes() {
        assert_eq!(open_bytes(EMPTY.to_vec()).as_deref(), Ok("pcap"));
        assert_eq!(open_bytes(gzip(&EMPTY)).as_deref(), Ok("pcap (gzip)"));
        assert_eq!(open_bytes(zstd::encode_all(&EMPTY[..], 1).unwrap()).as_deref(), Ok("pcap (zstd)"));
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&EMPTY).unwrap();
        assert_eq!(open_bytes(lz4.finish().unwrap()).as_deref(), Ok("pcap (lz4)"));
    }

    #[test]
    fn what_is_no_capture_is_refused_in_words() {
        assert!(open_bytes(Vec::new()).unwrap_err().contains("the file is empty"));
        assert!(open_bytes(b"#!/bin/sh\n".to_vec()).unwrap_err().contains("it begins with 23 21 2f 62"));
        assert!(open_bytes(gzip(&gzip(&EMPTY))).unwrap_err().contains("packed twice"));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let mut bomb = EMPTY.to_vec();
        bomb.resize(80 << 20, 0);
        assert!(open_bytes(gzip(&bomb)).unwrap_err().contains("stopped at the expansion limit"));
    }
}
