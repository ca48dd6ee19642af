//! Opens a capture by its first bytes: pcap or pcapng, plain or packed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Source;
use super::error::{SourceError, Trouble};
use super::packing::Packing;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::unpack::{Opened, unpack};
use super::window::Window;
use crate::value::Outside;

/// Bytes that tell the format.
const MAGIC: usize = 4;

/// Opens a capture file; `-` is standard input.
///
/// # Errors
/// Where it cannot be opened, is empty, or is not a capture.
pub fn open(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    if path == Path::new("-") {
        return open_reader(Outside::from("standard input"), Box::new(io::stdin()));
    }
    let name = Outside::from_bytes(path.as_os_str().as_encoded_bytes());
    match File::open(path) {
        Ok(file) => open_reader(name, Box::new(file)),
        Err(error) => Err(SourceError::unreadable(&name, &error)),
    }
}

/// Opens a capture that comes from `stream`: pcap or pcapng, plain or packed with gzip, zstd or lz4, told by its first bytes.
///
/// # Errors
/// Where it cannot be read, is empty, or is not a capture.
pub fn open_reader(name: Outside, stream: Box<dyn Read + Send>) -> Result<Box<dyn Source>, SourceError> {
    let whole = |kind| SourceError::whole(name.clone(), kind);
    let Opened { stream, packing, position } = unpack(stream).map_err(|error| whole(error.into()))?;
    let mut window = Window::new(stream);
    window.fill(MAGIC);
    let first: Vec<u8> = window.bytes().iter().copied().take(MAGIC).collect();
    if Pcap::is_magic(&first) {
        return Ok(Box::new(Pcap::new(name, window, packing, position)?));
    }
    if Pcapng::is_magic(&first) {
        return Ok(Box::new(Pcapng::new(name, window, packing, position)));
    }
    if let Some(trouble) = window.take_trouble() {
        return Err(whole(trouble));
    }
    Err(whole(match (packing, Packing::from_magic(&first)) {
        _ if first.is_empty() => Trouble::Empty,
        (Some(outer), Some(inner)) => Trouble::Nested { inner, outer },
        _ => Trouble::NotCapture(first),
    }))
}

#[cfg(test)]
pub(in crate::source) mod tests {
    use super::super::{Interface, Step};
    use super::*;
    use crate::event::Direction;
    use crate::event::Record;
    use crate::value::Timestamp;

    /// A record that was copied.
    #[derive(PartialEq, Debug)]
    pub(in crate::source) struct Kept {
        pub(in crate::source) interface: u32,
        pub(in crate::source) number: u64,
        pub(in crate::source) time: Timestamp,
        pub(in crate::source) wire_len: u32,
        pub(in crate::source) direction: Direction,
        pub(in crate::source) bytes: Vec<u8>,
    }

    /// All that a source gave.
    #[derive(PartialEq, Debug)]
    pub(in crate::source) struct Read {
        pub(in crate::source) frames: Vec<Kept>,
        pub(in crate::source) interfaces: Vec<Interface>,
        pub(in crate::source) format: String,
        pub(in crate::source) error: Option<String>,
    }

    /// Reads `parts` to the end as one file of the name `x`: record by record and in runs, which is the same.
    pub(in crate::source) fn read(parts: &[&[u8]]) -> Read {
        let all = read_by(parts.concat(), false);
        assert_eq!(read_by(parts.concat(), true), all);
        all
    }

    fn read_by(bytes: Vec<u8>, in_runs: bool) -> Read {
        let mut all = Read { frames: Vec::new(), interfaces: Vec::new(), format: String::new(), error: None };
        let mut source = match open_reader(Outside::from("x"), Box::new(io::Cursor::new(bytes))) {
            Ok(source) => source,
            Err(error) => {
                all.error = Some(error.to_string());
                return all;
            }
        };
        let mut keep = |record: Record<'_>| {
            let Record { interface, number, time, wire_len, direction, bytes, .. } = record;
            all.frames.push(Kept { interface, number, time, wire_len, direction, bytes: bytes.to_vec() });
        };
        loop {
            match source.advance() {
                Ok(Step::Record) => {
                    keep(source.record());
                    if in_runs {
                        source.run(&mut |record, _| keep(record));
                    }
                }
                Ok(_) => break,
                Err(error) => {
                    assert!(all.error.is_none(), "an error is told once");
                    all.error = Some(error.to_string());
                }
            }
        }
        all.interfaces = source.interfaces().to_vec();
        all.format = source.format();
        all
    }

    /// An empty capture: little-endian, microseconds, version 2.4, Ethernet.
    const EMPTY: &[u8] = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0";

    /// `inner` as gzip in one stored block; the checksum is wrong, which is told only at the end.
    fn gzip(inner: &[u8]) -> Vec<u8> {
        let length = inner.len() as u16;
        let (length, complement) = (length.to_le_bytes(), (!length).to_le_bytes());
        [b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", &length[..], &complement, inner, &[0; 8]].concat()
    }

    #[test]
    fn what_is_not_a_capture_is_told_by_its_first_bytes() {
        assert!(read(&[]).error.unwrap().starts_with("x: the file is empty; "));
        assert!(read(&[b"hi"]).error.unwrap().starts_with("x: begins with the bytes 68 69, which is not a capture; "));
    }

    #[test]
    fn a_packed_capture_is_read_and_a_twice_packed_one_refused_by_name() {
        let all = read(&[&gzip(EMPTY)]);
        assert_eq!(all.format, "pcap (gzip)");
        let said = all.error.unwrap();
        assert!(
            said.starts_with("x: record 1 at byte 24: the gzip stream is damaged or cut off: its checksum"),
            "{said}"
        );
        let twice = read(&[&gzip(&gzip(EMPTY))]).error.unwrap();
        assert!(twice.starts_with("x: a gzip stream inside a gzip stream is not read; "), "{twice}");
    }

    #[test]
    fn a_file_that_is_not_there_is_told_with_its_name() {
        let error = open(Path::new("no/such\x1b.pcap")).err().unwrap().to_string();
        assert!(error.starts_with(r"no/such\u{1b}.pcap: there is no such file"), "{error}");
    }
}
