//! What can be wrong with a source: which file, which record or block, which byte, and what an operator can do. One sentence each.

use std::fmt;
use std::io;
use std::path::Path;

use super::packing::Packing;
use crate::value::Outside;

/// What is wrong with a source. What was delivered before it was whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {}{kind}", Place(*part, *offset))]
pub struct SourceError {
    /// The file, as it was named.
    pub path: Outside,
    /// Which part of it.
    pub part: Part,
    /// Where that part begins, in bytes of the unpacked stream.
    pub offset: u64,
    /// What is wrong with it.
    pub kind: Trouble,
}

impl SourceError {
    /// The system will not let the file be opened or read.
    pub fn unreadable(path: &Outside, error: &io::Error) -> Self {
        Self::whole(path.clone(), Trouble::unreadable(error))
    }

    /// The system will not let the file be written.
    pub(super) fn unwritable(path: &Outside, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::PermissionDenied => "writing it is not permitted to this user".to_owned(),
            io::ErrorKind::AlreadyExists => "it is there already, and is not written over".to_owned(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no space left for it".to_owned(),
            _ => format!("it cannot be written: {}", Outside::from(error.to_string().as_str())),
        };
        Self::whole(path.clone(), Trouble::Unwritable(why))
    }

    /// The file is not written, for the reason `why`.
    pub(super) fn unwritable_for(path: &Path, why: &str) -> Self {
        let path = Outside::from(path.to_string_lossy().as_ref());
        Self::whole(path, Trouble::Unwritable(Outside::from(why).to_string()))
    }

    /// The file as a whole makes no sense.
    pub fn nonsense(path: &Outside, why: &str) -> Self {
        Self::whole(path.clone(), Trouble::Nonsense(Outside::from(why)))
    }

    /// The file is not the TOML that it should be: in which line, and why.
    pub fn not_toml(path: &Outside, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        Self::nonsense(path, &format!("line {line}: {}", error.message()))
    }

    /// Trouble that has no place.
    pub(super) const fn whole(path: Outside, kind: Trouble) -> Self {
        Self { path, part: Part::Whole, offset: 0, kind }
    }
}

/// A part of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The source as a whole, or its file header.
    Whole,
    /// A record of a pcap file, from 1: the number of its frame.
    Record(u64),
    /// A block of a pcapng file, from 1, of whatever type.
    Block(u64),
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The operating system will not let it be opened or read; in words.
    #[error("{0}")]
    Unreadable(String),
    /// The operating system will not let it be written; in words.
    #[error("{0}")]
    Unwritable(String),
    /// Text that makes no sense, such as a `case.toml`; in words.
    #[error("{0}")]
    Nonsense(Outside),
    /// There is not one byte.
    #[error(
        "the file is empty; nothing was captured, or what was is still in the capture tool's buffer (tcpdump -U writes each frame at once)"
    )]
    Empty,
    /// The first bytes are those of no format that is read.
    #[error(
        "begins with the bytes {}, which is not a capture; netdiag reads pcap and pcapng, plain or packed with gzip, zstd or lz4",
        Hex(.0)
    )]
    NotCapture(Vec<u8>),
    /// A major version that is not known.
    #[error(
        "format version {major}.{minor} is not known, only {known} is; the file is damaged, or of a kind that no current tool writes"
    )]
    Version {
        /// Of the file.
        major: u16,
        /// Of the file.
        minor: u16,
        /// The major version that is read.
        known: u16,
    },
    /// The file ends inside a part.
    #[error("the file ends {} into a {what} of {need}", Bytes(*have))]
    Cut {
        /// What it ends in: `record`, `block`, …
        what: &'static str,
        /// Bytes of it that are there.
        have: u64,
        /// Bytes it should have.
        need: u64,
    },
    /// A length above the limit.
    #[error(
        "a {what} of {length} bytes is over the limit of {most}; the file is damaged here, and what follows cannot be found"
    )]
    TooLong {
        /// What is too long: `record` or `block`.
        what: &'static str,
        /// Its length as the file tells it, in bytes.
        length: u64,
        /// The longest that is read, in bytes.
        most: u64,
    },
    /// A block length that is not a multiple of four.
    #[error("length {0} is not a multiple of 4")]
    Unaligned(u32),
    /// A block too short for its type.
    #[error("length {length} is too short for a block of type {kind:#x}, which has at least {least}")]
    TooShort {
        /// The block's type.
        kind: u32,
        /// Its length as the file tells it, in bytes.
        length: u32,
        /// The least length of its type, in bytes.
        least: u32,
    },
    /// The two lengths of a block differ.
    #[error(
        "length {first} at its start and {last} at its end differ; the file is damaged here, and what follows cannot be found"
    )]
    Unequal {
        /// The length before the body.
        first: u32,
        /// The length after the body.
        last: u32,
    },
    /// A section whose byte order cannot be told.
    #[error("{:#010x} is no byte-order magic of a section", .0)]
    ByteOrder(u32),
    /// A frame of an interface that its section does not describe.
    #[error("names interface {number}, but its section has described {}", Interfaces(*known))]
    NoInterface {
        /// The interface, from 0, in its section.
        number: u32,
        /// How many interfaces the section has described so far.
        known: usize,
    },
    /// More interfaces than are kept.
    #[error("describes more than {0} interfaces; capture fewer of them into one file")]
    TooManyInterfaces(usize),
    /// A frame that is longer than its block.
    #[error("holds {} of a frame that claims {length}", Bytes(*room))]
    FrameOverBlock {
        /// Bytes between the block's fixed fields and its end.
        room: u64,
        /// Captured length as the block tells it, in bytes.
        length: u32,
    },
    /// An option that is longer than its block.
    #[error("option {code} claims {}, but only {room} are left in the block", Bytes(u64::from(*length)))]
    OptionOverBlock {
        /// The option's code.
        code: u16,
        /// Its length as it tells it, in bytes.
        length: u16,
        /// Bytes that are left.
        room: usize,
    },
    /// A packed stream that cannot be unpacked further.
    #[error("the {packing} stream is damaged or cut off: {why}")]
    Packed {
        /// How it is packed.
        packing: Packing,
        /// What the unpacker says.
        why: String,
    },
    /// More came out of a packed stream than is believed.
    #[error(
        "stopped at the expansion limit: {input} bytes of {packing} became more than {output}; if you trust the file, unpack it first and read that"
    )]
    Expansion {
        /// How it is packed.
        packing: Packing,
        /// Bytes that went in.
        input: u64,
        /// Bytes that came out.
        output: u64,
    },
    /// A packed stream in a packed stream.
    #[error("a {inner} stream inside a {outer} stream is not read; unpack the {outer} layer first")]
    Nested {
        /// What is inside.
        inner: Packing,
        /// What is outside.
        outer: Packing,
    },
}

impl Trouble {
    fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable(match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "reading it is not permitted to this user".to_owned(),
            io::ErrorKind::IsADirectory => "it is a folder without a case.toml; name the captures in it".to_owned(),
            _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                "too many files are open at once: raise their number (ulimit -n), or name fewer".to_owned()
            }
            _ => format!("it cannot be read: {}", Outside::from(error.to_string().as_str())),
        })
    }
}

impl From<io::Error> for Trouble {
    /// The unpackers pass their own trouble through `io::Error`.
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(|error| Self::unreadable(&error))
    }
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        Self::other(trouble)
    }
}

/// Where: `block 41 at byte 90212: `; nothing for the whole.
struct Place(Part, u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Part::Whole => Ok(()),
            Part::Record(number) => write!(f, "record {number} at byte {}: ", self.1),
            Part::Block(number) => write!(f, "block {number} at byte {}: ", self.1),
        }
    }
}

/// `1 byte`, `12 bytes`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// `none`, `only 1`, `only 3`.
struct Interfaces(usize);

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none"),
            some => write!(f, "only {some}"),
        }
    }
}

/// `50 4b 03 04`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(path: &str, part: Part, offset: u64, kind: Trouble) -> String {
        SourceError { path: Outside::from(path), part, offset, kind }.to_string()
    }

    #[test]
    fn an_error_is_one_sentence_with_file_part_and_byte() {
        assert_eq!(
            say("bond0.pcapng", Part::Block(41), 90_212, Trouble::Unaligned(7)),
            "bond0.pcapng: block 41 at byte 90212: length 7 is not a multiple of 4"
        );
        assert_eq!(
            say("bond0.pcap", Part::Record(18), 1_204, Trouble::Cut { what: "record", have: 12, need: 90 }),
            "bond0.pcap: record 18 at byte 1204: the file ends 12 bytes into a record of 90"
        );
        let zip = say("a.zip", Part::Whole, 0, Trouble::NotCapture(vec![0x50, 0x4b, 3, 4]));
        assert!(zip.starts_with("a.zip: begins with the bytes 50 4b 03 04, which is not a capture; "), "{zip}");
    }

    #[test]
    fn a_hostile_name_is_printed_safe() {
        let said = say("a\x1b[2J\n.pcap", Part::Whole, 0, Trouble::Empty);
        assert!(said.starts_with(r"a\u{1b}[2J\u{a}.pcap: the file is empty"), "{said}");
    }

    #[test]
    fn trouble_comes_through_io_unchanged() {
        let limit = Trouble::Expansion { packing: Packing::Gzip, input: 1, output: 2 };
        assert!(matches!(Trouble::from(io::Error::from(limit)), Trouble::Expansion { input: 1, output: 2, .. }));
        assert!(matches!(Trouble::from(io::Error::from(io::ErrorKind::NotFound)), Trouble::Unreadable(_)));
    }
}
