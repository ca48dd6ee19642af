//! How a stream is packed, told by its first bytes.

use std::fmt;

/// How a stream is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The frame format of lz4.
    Lz4,
}

impl Packing {
    /// What the first four bytes of a stream tell.
    pub(super) fn from_magic(first: &[u8]) -> Option<Self> {
        match first {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        })
    }
}

/// `pcap`, `pcapng (zstd)`.
pub(super) fn format_name(format: &str, packing: Option<Packing>) -> String {
    packing.map_or_else(|| format.to_owned(), |packing| format!("{format} ({packing})"))
}
