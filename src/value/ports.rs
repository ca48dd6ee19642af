//! Ports of TCP that somebody waits for, as one word: a look at it spares a look into a table, for nearly every segment.

/// A set of ports that may hold more than was put in, and never less: of each, six bits are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortSet(u64);

impl PortSet {
    /// Puts `port` in.
    #[inline]
    pub const fn add(&mut self, port: u16) {
        self.0 |= bit(port);
    }

    /// Whether `port` may be in the set.
    #[inline]
    pub const fn may_hold(self, port: u16) -> bool {
        self.0 & bit(port) != 0
    }
}

const fn bit(port: u16) -> u64 {
    1_u64.wrapping_shl(port as u32 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_never_missed() {
        let mut set = PortSet::default();
        assert!(!set.may_hold(5_672));
        set.add(5_672);
        assert!(set.may_hold(5_672) && !set.may_hold(5_673));
        assert!(set.may_hold(5_672 + 64), "six bits are kept");
    }
}
