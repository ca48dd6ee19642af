//! The part of a frame that a layer may read: what was captured of it, and how much of it there was on the wire.

use super::stop::Why;

/// Captured bytes, how many bytes the wire carried in their place, and where they begin in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// What was captured; never more than `wire`.
    pub bytes: &'a [u8],
    /// Bytes on the wire.
    pub wire: usize,
    /// Where the bytes begin in the frame.
    pub at: usize,
}

impl<'a> Window<'a> {
    /// A whole frame; a capture that holds more than it says the wire had is believed.
    #[inline]
    pub fn new(bytes: &'a [u8], wire_len: u32) -> Self {
        Self { bytes, wire: bytes.len().max(wire_len as usize), at: 0 }
    }

    /// Why `need` bytes are not here: the capture's fault where the wire had them.
    #[cold]
    pub const fn lack(&self, need: usize) -> Why {
        if need > self.wire { Why::Short { need, have: self.wire } } else { Why::Cut { need, have: self.bytes.len() } }
    }

    /// The first `N` bytes and the window behind them.
    #[inline]
    pub fn take<const N: usize>(self) -> Result<(&'a [u8; N], Self), Why> {
        match self.bytes.split_first_chunk::<N>() {
            Some((header, rest)) => {
                Ok((header, Self { bytes: rest, wire: self.wire.saturating_sub(N), at: self.at.saturating_add(N) }))
            }
            None => Err(self.lack(N)),
        }
    }

    /// The first `n` bytes as far as they are here, the window behind them, and what is wrong if some are not here.
    #[inline]
    pub fn take_some(self, n: usize) -> (&'a [u8], Self, Option<Why>) {
        let here = n.min(self.bytes.len());
        let (head, rest) = self.bytes.split_at_checked(here).unwrap_or((self.bytes, &[]));
        let window = Self { bytes: rest, wire: self.wire.saturating_sub(n), at: self.at.saturating_add(here) };
        (head, window, if here < n { Some(self.lack(n)) } else { None })
    }

    /// The window behind a layer that takes all that is here.
    #[inline]
    pub fn end(self) -> Self {
        self.take_some(self.bytes.len()).1
    }

    /// Narrowed to what a length field tells; says so if it tells more than the wire had.
    #[inline]
    pub fn narrow(self, len: usize) -> (Self, Option<Why>) {
        if len > self.wire {
            return (self, Some(Why::Short { need: len, have: self.wire }));
        }
        (Self { bytes: self.bytes.get(..len).unwrap_or(self.bytes), wire: len, at: self.at }, None)
    }
}

/// `N` bytes of a fixed header, at a place that lies inside it; zeroes if it does not, which the tests of each header rule out.
#[inline]
pub(super) fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    piece(header, at).unwrap_or([0; N])
}

/// `N` bytes at `at`, if they are here.
#[inline]
pub(super) fn piece<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_wire_had_is_the_captures_fault_and_the_rest_the_senders() {
        let w = Window::new(&[1, 2, 3, 4], 10);
        assert_eq!(w.take::<6>().unwrap_err(), Why::Cut { need: 6, have: 4 });
        assert_eq!(w.take::<11>().unwrap_err(), Why::Short { need: 11, have: 10 });
        let (head, rest) = w.take::<3>().unwrap();
        assert_eq!((head, rest.bytes, rest.wire, rest.at), (&[1, 2, 3], &[4][..], 7, 3));
    }

    #[test]
    fn a_length_narrows_and_never_widens() {
        let w = Window::new(&[1, 2, 3, 4], 10);
        let (narrow, fault) = w.narrow(2);
        assert_eq!((narrow.bytes, narrow.wire, fault), (&[1, 2][..], 2, None));
        let (same, fault) = w.narrow(11);
        assert_eq!((same.wire, fault), (10, Some(Why::Short { need: 11, have: 10 })));
        let (head, rest, fault) = w.take_some(6);
        assert_eq!((head.len(), rest.wire, fault), (4, 4, Some(Why::Cut { need: 6, have: 4 })));
    }

    #[test]
    fn a_piece_outside_is_none() {
        assert_eq!(piece::<2>(&[1, 2, 3], 1), Some([2, 3]));
        assert_eq!(piece::<2>(&[1, 2, 3], 2), None);
        assert_eq!(piece::<1>(&[1, 2, 3], usize::MAX), None);
    }
}
