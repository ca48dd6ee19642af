//! The reading buffer: one growable window over a stream, from which frames are borrowed; and numbers in the byte order of the file.

use std::io::{ErrorKind, Read};

use super::error::Trouble;

/// Bytes asked of the stream at once, and the size a window begins with.
const PIECE: usize = 256 * 1024;

/// The unread part of a stream, as far as it was read. Only as large as the largest `fill` that was asked for and met.
pub(super) struct Window {
    from: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    is_over: bool,
    trouble: Option<Trouble>,
}

impl Window {
    /// A window at the beginning of `from`.
    pub(super) fn new(from: Box<dyn Read + Send>) -> Self {
        Self { from, buffer: Vec::new(), start: 0, end: 0, offset: 0, is_over: false, trouble: None }
    }

    /// Tries to have at least `need` unread bytes; returns how many there are, which is less only at the end of the stream.
    #[inline]
    pub(super) fn fill(&mut self, need: usize) -> usize {
        match self.bytes().len() {
            have if have >= need => have,
            _ => self.read(need),
        }
    }

    #[inline(never)]
    fn read(&mut self, need: usize) -> usize {
        while self.bytes().len() < need && !self.is_over {
            self.make_room(need);
            let Some(room) = self.buffer.get_mut(self.end..) else { break };
            match self.from.read(room) {
                Ok(0) => self.is_over = true,
                Ok(count) => self.end = self.end.saturating_add(count).min(self.buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_over = true;
                    self.trouble = Some(error.into());
                }
            }
        }
        self.bytes().len()
    }

    /// The unread bytes that are there.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Moves past `count` unread bytes.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        let count = count.min(self.bytes().len());
        self.start = self.start.saturating_add(count);
        self.offset = self.offset.saturating_add(count as u64);
    }

    /// Moves on until only `count` of the unread bytes are left.
    #[inline]
    pub(super) fn leave(&mut self, count: usize) {
        self.skip(self.bytes().len().saturating_sub(count));
    }

    /// How many bytes lie before the unread ones.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the stream ended where it should not have.
    pub(super) const fn has_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// Why the stream ended, where it was not its end; told once.
    pub(super) fn take_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    /// What to say where a part of `need` bytes is not whole: why the stream broke off, or that it ends here.
    pub(super) fn cut(&mut self, what: &'static str, need: usize) -> Trouble {
        let have = self.bytes().len() as u64;
        self.take_trouble().unwrap_or(Trouble::Cut { what, have, need: need as u64 })
    }

    /// Makes room behind the unread bytes. Grows step by step, so that a length that lies about a short file costs little.
    fn make_room(&mut self, need: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let doubled = self.buffer.len().saturating_mul(2);
            self.buffer.resize(doubled.min(need).max(PIECE), 0);
        }
    }
}

/// The byte order of a file or section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Most significant byte first.
    Big,
    /// Least significant byte first.
    Little,
}

impl Order {
    /// A 16-bit number.
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    /// A 32-bit number.
    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }

    /// A 64-bit number.
    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Big => u64::from_be_bytes(bytes),
            Self::Little => u64::from_le_bytes(bytes),
        }
    }

    /// The two 16-bit numbers that stand where `word` was read as one of 32 bits, in the order of the file.
    pub(super) const fn halves(self, word: u32) -> (u16, u16) {
        let (high, low) = ((word >> 16) as u16, word as u16);
        match self {
            Self::Big => (high, low),
            Self::Little => (low, high),
        }
    }

    /// The first `N` 32-bit numbers of `bytes`.
    #[inline]
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let (words, _) = bytes.as_chunks::<4>();
        let words = words.first_chunk::<N>()?;
        // One decision for all of them: this is done for every record.
        Some(match self {
            Self::Little => words.map(u32::from_le_bytes),
            Self::Big => words.map(u32::from_be_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives one byte a read, with an interruption before each, and breaks off at the end.
    struct Drip(u8, bool);

    impl Read for Drip {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match (self.1, self.0) {
                (true, _) => Err(ErrorKind::Interrupted.into()),
                (_, 10) => Err(io::Error::other("broken")),
                (_, count) => {
                    to[0] = count;
                    self.0 += 1;
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn a_slow_stream_is_read_whole_and_its_trouble_comes_last() {
        let mut window = Window::new(Box::new(Drip(0, false)));
        assert_eq!(window.fill(4), 4);
        window.skip(3);
        assert_eq!((window.fill(3), window.bytes(), window.offset()), (3, &[3, 4, 5][..], 3));
        assert!(window.take_trouble().is_none());
        assert_eq!(window.fill(100), 7);
        assert!(matches!(window.cut("record", 100), Trouble::Unreadable(_)));
        assert!(matches!(window.cut("record", 100), Trouble::Cut { have: 7, need: 100, .. }));
    }

    #[test]
    fn a_window_grows_with_what_is_there_not_with_what_is_claimed() {
        let mut window = Window::new(Box::new(io::repeat(7).take(300_000)));
        assert_eq!(window.fill(16 << 20), 300_000);
        assert_eq!(window.buffer.len(), 2 * PIECE);
        let mut window = Window::new(Box::new(io::repeat(7).take(3_000_000)));
        assert_eq!(window.fill(1_000_000), 1_000_000);
        assert_eq!(window.buffer.len(), 1_000_000);
        window.skip(1_000_000);
        assert_eq!(window.fill(1), 1_000_000);
    }

    #[test]
    fn words_stand_in_the_order_of_the_file() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Order::Big.words(&bytes), Some([0x0102_0304, 0x0506_0708]));
        assert_eq!(Order::Little.words(&bytes), Some([0x0403_0201]));
        assert_eq!(Order::Big.words::<3>(&bytes), None);
        assert_eq!(Order::Big.halves(0x0102_0304), (0x0102, 0x0304));
        assert_eq!(Order::Little.halves(0x0403_0201), (0x0201, 0x0403));
    }
}
