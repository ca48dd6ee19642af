//! A look ahead over what was read already, so that what the next frames need is in the cache by the time that they are judged.

use crate::value::prefetch;

/// Bytes of a record that are looked at first: its header, and those of layer 2 to 4.
const HEADERS: usize = 96;

/// How many frames ahead it is: as many as there are steps in which what a frame needs is looked up (`World::expect`).
pub(super) const FRAMES: usize = 3;

/// A look at the frame so many behind the one that is handed out. What it shows is a hint: whether a record is sound is asked when its turn comes.
pub(super) struct Scout<'a, F> {
    ahead: &'a [u8],
    /// The frame of the record at the beginning of some bytes, and what lies behind the record.
    split: F,
}

impl<'a, F: Fn(&'a [u8]) -> Option<(&'a [u8], &'a [u8])>> Scout<'a, F> {
    /// One that stands at the first of the records in `bytes`.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], split: F) -> Self {
        let mut scout = Self { ahead: bytes, split };
        (0..FRAMES).for_each(|_| _ = scout.next());
        scout
    }

    /// Moves on by a record; empty where there is none.
    #[inline(always)]
    pub(super) fn next(&mut self) -> &'a [u8] {
        let Some((frame, behind)) = (self.split)(self.ahead) else { return &[] };
        behind.first_chunk::<HEADERS>().into_iter().for_each(prefetch);
        self.ahead = behind;
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_three_ahead_and_sees_nothing_behind_the_last() {
        let split = |bytes: &'static [u8]| Some((bytes.get(1..2)?, bytes.get(2..)?));
        let mut scout = Scout::new(b"1a2b3c4d5", split);
        assert_eq!([scout.next(), scout.next()], [&b"d"[..], b""]);
    }
}
