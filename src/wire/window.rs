//! The part of a frame that a layer may read: what was captured of it, and how much of it there was on the wire.

use super::stop::Why;

/// Captured bytes, how many bytes the wire carried in their place, and where they begin in the frame. Reading moves it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// What was captured; never more than `wire`.
    pub bytes: &'a [u8],
    /// Bytes on the wire.
    pub wire: usize,
    /// Where the bytes begin in the frame.
    pub at: usize,
    /// What is wrong with the layer that was read last, although it could be read.
    pub fault: Option<Why>,
}

impl<'a> Window<'a> {
    /// A whole frame; a capture that holds more than it says the wire had is believed.
    #[inline]
    pub fn new(bytes: &'a [u8], wire_len: u32) -> Self {
        Self { bytes, wire: bytes.len().max(wire_len as usize), at: 0, fault: None }
    }

    /// The bytes that the wire had, as the layers keep it.
    #[inline]
    pub fn wire_len(&self) -> u32 {
        u32::try_from(self.wire).unwrap_or(u32::MAX)
    }

    /// The next `N` bytes, with which a layer begins.
    #[inline(always)]
    pub fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Why> {
        self.take_more(0)
    }

    /// The next `N` bytes of a layer of which `before` bytes are taken.
    #[inline(always)]
    pub fn take_more<const N: usize>(&mut self, before: usize) -> Result<&'a [u8; N], Why> {
        match self.bytes.split_first_chunk::<N>() {
            Some((header, rest)) => {
                self.go(rest, N);
                Ok(header)
            }
            None => Err(lack(before, N, self.wire, self.bytes.len())),
        }
    }

    /// The next `n` bytes of a layer of which `before` bytes are taken, as far as they are here; it is a fault if some are not.
    #[inline(always)]
    pub fn take_some(&mut self, before: usize, n: usize) -> &'a [u8] {
        match self.bytes.split_at_checked(n) {
            Some((head, rest)) => {
                self.go(rest, n);
                head
            }
            None => {
                self.fault = self.fault.or(Some(lack(before, n, self.wire, self.bytes.len())));
                // What is not here is still no part of what follows: options that a capture cuts are not payload.
                let behind = self.wire.saturating_sub(n);
                let head = self.take_all();
                self.wire = behind;
                head
            }
        }
    }

    /// All bytes that are here.
    #[inline]
    pub fn take_all(&mut self) -> &'a [u8] {
        let (head, rest) = self.bytes.split_at_checked(self.bytes.len()).unwrap_or((self.bytes, &[]));
        self.go(rest, head.len());
        head
    }

    /// Narrows to the `len` bytes that a length field gives to what follows the `before` bytes taken; it is a fault if the wire had fewer.
    #[inline(always)]
    pub fn narrow(&mut self, before: usize, len: usize) {
        if len > self.wire {
            self.fault = Some(lack(before, len, self.wire, 0));
            return;
        }
        self.bytes = self.bytes.get(..len).unwrap_or(self.bytes);
        self.wire = len;
    }

    #[inline(always)]
    const fn go(&mut self, rest: &'a [u8], n: usize) {
        self.bytes = rest;
        self.wire = self.wire.saturating_sub(n);
        self.at = self.at.wrapping_add(n);
    }
}

/// Why `n` bytes behind `before` are not here: the capture's fault where the wire had them.
#[cold]
#[inline(never)]
const fn lack(before: usize, n: usize, wire: usize, captured: usize) -> Why {
    let need = before.saturating_add(n);
    if n > wire {
        Why::Short { need, have: before.saturating_add(wire) }
    } else {
        Why::Cut { need, have: before.saturating_add(captured) }
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
        let mut w = Window::new(&[1, 2, 3, 4], 10);
        assert_eq!(w.take::<6>(), Err(Why::Cut { need: 6, have: 4 }));
        assert_eq!(w.take::<11>(), Err(Why::Short { need: 11, have: 10 }));
        assert_eq!(w.take::<3>(), Ok(&[1, 2, 3]));
        assert_eq!((w.bytes, w.wire, w.at, w.fault), (&[4][..], 7, 3, None));
        assert_eq!(w.take_more::<2>(3), Err(Why::Cut { need: 5, have: 4 }));
    }

    #[test]
    fn a_length_narrows_and_never_widens() {
        let mut w = Window::new(&[1, 2, 3, 4], 10);
        w.narrow(20, 11);
        assert_eq!((w.wire, w.fault.take()), (10, Some(Why::Short { need: 31, have: 30 })));
        assert_eq!((w.take_some(0, 6), w.wire, w.at), (&[1, 2, 3, 4][..], 4, 4));
        assert_eq!(w.fault, Some(Why::Cut { need: 6, have: 4 }));
        let mut w = Window::new(&[1, 2, 3, 4], 10);
        w.narrow(0, 2);
        assert_eq!((w.bytes, w.wire, w.fault), (&[1, 2][..], 2, None));
        assert_eq!((w.take_all(), w.at), (&[1, 2][..], 2));
    }

    #[test]
    fn a_piece_outside_is_none() {
        assert_eq!(piece::<2>(&[1, 2, 3], 1), Some([2, 3]));
        assert_eq!(piece::<2>(&[1, 2, 3], 2), None);
        assert_eq!(piece::<1>(&[1, 2, 3], usize::MAX), None);
    }
}
