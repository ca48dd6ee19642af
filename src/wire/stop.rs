//! Where decoding ended, and whose fault it was: our capture's, or the sender's.

use std::fmt;

use super::Kind;

/// Where and why decoding ended before the bytes did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// The layer that could not be read, or whose length field does not hold.
    pub layer: Kind,
    /// Where that layer begins, in bytes from the start of the frame.
    pub offset: usize,
    /// What was wrong.
    pub why: Why,
}

/// What was wrong with a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Our capture is short: nobody's fault.
    Cut {
        /// Bytes that the layer takes.
        need: usize,
        /// Bytes of it that were captured.
        have: usize,
    },
    /// The sender promised more than it sent.
    Short {
        /// Bytes that the layer takes.
        need: usize,
        /// Bytes of it that were on the wire.
        have: usize,
    },
    /// A value the standard forbids, in its words.
    Bad(&'static str),
    /// More layers than we hold.
    Deep,
}

impl Why {
    /// Whether bytes were missing, on the wire or in the capture.
    pub const fn is_missing_bytes(self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Short { .. })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.layer, self.offset, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { need, have } => write!(f, "cut by the capture, {have} of {need} bytes are here"),
            Self::Short { need, have } => write!(f, "{need} bytes promised, {have} sent"),
            Self::Bad(what) => f.write_str(what),
            Self::Deep => f.write_str("more layers than are followed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_whose_fault_it_was() {
        let stop = Stop { layer: Kind::Ipv4, offset: 18, why: Why::Short { need: 60, have: 46 } };
        assert_eq!(stop.to_string(), "IPv4 at byte 18: 60 bytes promised, 46 sent");
        let stop = Stop { why: Why::Cut { need: 20, have: 6 }, ..stop };
        assert_eq!(stop.to_string(), "IPv4 at byte 18: cut by the capture, 6 of 20 bytes are here");
    }
}
