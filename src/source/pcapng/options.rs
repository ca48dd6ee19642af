//! The options of a pcapng block (draft-ietf-opsawg-pcapng, 3.5), and the clock of an interface.

use super::super::error::Trouble;
use super::super::window::Order;
use crate::value::{Outside, Timestamp};

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

/// Walks over the options of a block, up to the end mark or the end of the block.
pub(super) struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options in `bytes`, which follow the fixed fields of a block.
    pub(super) const fn new(order: Order, bytes: &'a [u8]) -> Self {
        Self { order, rest: bytes }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((head, rest)) = self.rest.split_first_chunk::<4>() else {
            let left = std::mem::take(&mut self.rest);
            // Padding is zero; anything else is half of an option's header.
            let is_padding = left.iter().all(|byte| *byte == 0);
            return (!is_padding).then_some(Err(Trouble::OptionOverBlock { code: 0, length: 0, room: left.len() }));
        };
        let (code, length) = self.order.halves(self.order.u32(*head));
        self.rest = &[];
        if code == 0 {
            return None;
        }
        let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else {
            return Some(Err(Trouble::OptionOverBlock { code, length, room: rest.len() }));
        };
        // Values are padded to a multiple of four; the last one of a block may lack its padding.
        let padding = usize::from(length.wrapping_neg() & 3);
        self.rest = rest.get(padding..).unwrap_or_default();
        Some(Ok((code, value)))
    }
}

/// Text of an option; some writers end it with zero, which the draft forbids.
pub(super) fn text(value: &[u8]) -> Option<Outside> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    let text = Outside::from_bytes(value.get(..end).unwrap_or_default());
    (!text.is_empty()).then_some(text)
}

/// What the time stamps of an interface count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// `if_tsresol`: a negative power of ten, or of two where the highest bit is set.
    pub(super) resolution: u8,
    /// `if_tsoffset`: seconds to add.
    pub(super) offset: i64,
}

impl Default for Clock {
    /// Microseconds since 1970.
    fn default() -> Self {
        Self { resolution: 6, offset: 0 }
    }
}

impl Clock {
    /// The moment that the two halves of a time stamp tell; whole nanoseconds, rounded down.
    pub(super) fn time(self, high: u32, low: u32) -> Timestamp {
        let ticks = i128::from(u64::from(high) << 32 | u64::from(low));
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            // Below 2^94 before the shift, and no shift is longer than 127.
            ticks.saturating_mul(SECOND).checked_shr(exponent)
        } else if let Some(times) = 9_u32.checked_sub(exponent) {
            10_i128.checked_pow(times).map(|factor| ticks.saturating_mul(factor))
        } else {
            let factor = 10_i128.checked_pow(exponent.saturating_sub(9));
            factor.and_then(|factor| ticks.checked_div(factor))
        };
        // A unit too small for a number that large leaves nothing of 64 bits.
        let nanos = nanos.unwrap_or(0).saturating_add(i128::from(self.offset).saturating_mul(SECOND));
        let most = if nanos < 0 { i64::MIN } else { i64::MAX };
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_with_their_mark_or_with_the_block() {
        fn all(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, Trouble> {
            Options::new(Order::Little, bytes).collect()
        }
        let two: &[u8] = b"\x02\0\x03\0lo0\0\x09\0\x01\0\x09\0\0\0";
        let want: Vec<(u16, &[u8])> = vec![(2, b"lo0"), (9, b"\x09")];
        assert_eq!(all(two).unwrap(), want);
        assert_eq!(all(&[two, b"\0\0\0\0\x07\0\xff\xff"].concat()).unwrap(), want);
        // The last padding is not there.
        assert_eq!(all(&two[..13]).unwrap(), want);
        assert!(matches!(all(b"\x02\0\x05\0lo0\0"), Err(Trouble::OptionOverBlock { code: 2, length: 5, room: 4 })));
    }

    #[test]
    fn text_ends_at_zero() {
        assert_eq!(text(b"bond0\0\0").unwrap().raw(), "bond0");
        assert_eq!(text(b"\0"), None);
    }

    #[test]
    fn any_resolution_gives_nanoseconds() {
        let nanos = |resolution, ticks: u64| {
            let (high, low) = ((ticks >> 32) as u32, ticks as u32);
            Clock { resolution, offset: 0 }.time(high, low).nanos()
        };
        assert_eq!(nanos(0, 7), 7_000_000_000);
        assert_eq!(nanos(6, 1_700_000_000_000_001), 1_700_000_000_000_001_000);
        assert_eq!(nanos(9, 5), 5);
        assert_eq!(nanos(12, 5_999), 5);
        assert_eq!(nanos(0x80, 3), 3_000_000_000);
        assert_eq!(nanos(0x81, 3), 1_500_000_000);
        assert_eq!(nanos(0x80 | 32, 3 << 31), 1_500_000_000);
        assert_eq!(nanos(0, u64::MAX), i64::MAX);
        for resolution in 0..=255 {
            assert!(nanos(resolution, u64::MAX) >= 0);
        }
    }

    #[test]
    fn an_offset_moves_and_does_not_overflow() {
        let at = |offset| Clock { resolution: 6, offset }.time(0, 1).nanos();
        assert_eq!(at(-1), -999_999_000);
        assert_eq!((at(i64::MIN), at(i64::MAX)), (i64::MIN, i64::MAX));
    }
}
