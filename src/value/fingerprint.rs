//! What stays the same of a packet while it travels through one layer-2 network: a hash by which two sightings are recognised.

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// A 64-bit fingerprint of a packet. Equal within one run; the seed is fixed, since a fingerprint never meets a table by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of these pieces, in this order.
    pub fn of(pieces: &[&[u8]]) -> Self {
        // Any constant will do; only equality of two fingerprints is ever asked.
        let mut hasher = FoldHasher::with_seed(0x6e65_7464_6961_6721, SharedSeed::global_fixed());
        for piece in pieces {
            hasher.write(piece);
        }
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_tell_packets_apart() {
        assert_eq!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"ab", b"c"]));
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"c", b"ab"]));
    }
}
