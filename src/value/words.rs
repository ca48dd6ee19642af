//! The keyed hash of tables. Keys here are a few numbers: each is taken in with one multiplication, and an address as the number that it is,
//! not as an array of bytes with a length. Nobody outside knows the key, so that nobody can make many keys meet in one place.

use std::hash::{BuildHasher, Hash, Hasher};

/// A hash with a key of its own.
#[derive(Clone, Debug)]
pub(super) struct Words {
    seed: u64,
    key: u64,
}

/// What was taken in of one key.
struct Taken {
    state: u64,
    key: u64,
}

impl Default for Words {
    fn default() -> Self {
        let random = foldhash::quality::RandomState::default();
        // An even number would lose what stands in the highest bits.
        Self { seed: random.hash_one(0), key: random.hash_one(1) | 1 }
    }
}

impl Words {
    /// The hash of `key`.
    #[inline]
    pub fn of(&self, key: &impl Hash) -> u64 {
        let mut taken = Taken { state: self.seed, key: self.key };
        key.hash(&mut taken);
        taken.finish()
    }
}

impl Taken {
    #[inline]
    fn take(&mut self, word: u64) {
        self.state = folded(self.state ^ word, self.key);
    }

    /// Two words at the price of one.
    #[inline]
    fn take_both(&mut self, words: u128) {
        self.state = folded(self.state ^ words as u64, self.key ^ (words >> 64) as u64);
    }
}

/// Both halves of the product: of one alone some bits depend on few.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let wide = u128::from(a).wrapping_mul(u128::from(b));
    wide as u64 ^ (wide >> 64) as u64
}

impl Hasher for Taken {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((both, behind)) = rest.split_first_chunk() {
            self.take_both(u128::from_le_bytes(*both));
            rest = behind;
        }
        if let Some((word, behind)) = rest.split_first_chunk() {
            self.take(u64::from_le_bytes(*word));
            rest = behind;
        }
        if let Some((half, behind)) = rest.split_first_chunk() {
            self.take(u64::from(u32::from_le_bytes(*half)));
            rest = behind;
        }
        rest.iter().for_each(|byte| self.take(u64::from(*byte)));
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.take(u64::from(number));
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.take(u64::from(number));
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.take(u64::from(number));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.take(number);
    }

    #[inline]
    fn write_u128(&mut self, words: u128) {
        self.take_both(words);
    }

    /// Which variant, or how long: small, and most often before what counts. Where it comes last it tells in the upper half, which leads to a place.
    #[inline]
    fn write_usize(&mut self, small: usize) {
        self.state = (self.state ^ small as u64).rotate_left(32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn keys_that_differ_in_a_bit_meet_in_few_places() {
        let words = Words::default();
        let place = |n: u32| {
            let client = IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
            words.of(&(7_u32, client, IpAddr::from(std::net::Ipv6Addr::from_bits(u128::from(n) << 77)))) >> 32 & 0xffff
        };
        let places: std::collections::BTreeSet<u64> = (0..4_096).map(place).collect();
        // Of 4,096 in 65,536 places about 124 find theirs taken.
        assert!(places.len() > 3_800, "{}", places.len());
    }

    #[test]
    fn what_is_written_decides() {
        let words = Words::default();
        let all = [
            words.of(&"ab"),
            words.of(&"ba"),
            words.of(&("a", "b")),
            words.of(&(1_u8, 2_u32)),
            words.of(&(2_u8, 1_u32)),
        ];
        let told: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(told.len(), all.len());
        assert_eq!(words.of(&"ab"), words.of(&"ab"));
    }
}
