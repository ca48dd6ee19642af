//! VLAN words: tag protocol identifier, VLAN identifier, one tag, and a stack of tags, outermost first (IEEE 802.1Q-2018 clause 9).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

/// Tags that a stack holds; a frame with more ends as `Deep` in the decoder long before.
const MOST: usize = 14;

/// A tag protocol identifier: the EtherType that announces a tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tpid(pub u16);

/// A VLAN identifier, 0 to 4095 (IEEE 802.1Q-2018 table 9-2: 0 is a priority tag, 4095 is reserved).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Vid(u16);

/// One tag: TPID and tag control information.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tag {
    /// What announced it.
    pub tpid: Tpid,
    /// The VLAN.
    pub vid: Vid,
    /// Priority code point, 0 to 7.
    pub pcp: u8,
    /// Drop eligible (the former canonical format indicator).
    pub dei: bool,
}

/// The tags of a frame, outermost first; TPID and VID only, since priority does not tell networks apart. Their number stands beside the first,
/// as most stacks are short.
#[derive(Clone, Copy, Eq, Default)]
#[repr(C)]
pub struct TagStack {
    len: u8,
    tags: [(Tpid, Vid); MOST],
}

impl Tpid {
    /// 802.1Q customer tag.
    pub const C: Self = Self(0x8100);
    /// 802.1ad service tag.
    pub const S: Self = Self(0x88a8);

    /// Whether this EtherType announces a tag: 802.1Q, 802.1ad, or one of the three pre-standard stacking values.
    pub const fn is_tag(ethertype: u16) -> bool {
        matches!(ethertype, 0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300)
    }
}

impl fmt::Display for Tpid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)
    }
}

impl Vid {
    /// The twelve low bits of `tci`.
    pub const fn from_tci(tci: u16) -> Self {
        Self(tci & 0x0fff)
    }

    /// The number, 0 to 4095.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Tag {
    /// The tag that `tpid` announced with tag control information `tci`.
    pub const fn from_tci(tpid: u16, tci: u16) -> Self {
        Self { tpid: Tpid(tpid), vid: Vid::from_tci(tci), pcp: (tci >> 13) as u8, dei: tci & 0x1000 != 0 }
    }
}

impl TagStack {
    /// No tag.
    pub const EMPTY: Self = Self { len: 0, tags: [(Tpid(0), Vid(0)); MOST] };

    /// Adds the next tag inwards; a stack that is full stays as it is.
    #[inline]
    pub fn push(&mut self, tpid: Tpid, vid: Vid) {
        if let Some(slot) = self.tags.get_mut(usize::from(self.len)) {
            *slot = (tpid, vid);
            self.len = self.len.saturating_add(1);
        }
    }

    /// How many tags there are.
    #[inline]
    pub const fn depth(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no tag.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tags, outermost first.
    #[inline]
    pub fn as_slice(&self) -> &[(Tpid, Vid)] {
        self.tags.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The outermost tag.
    pub fn outer(&self) -> Option<(Tpid, Vid)> {
        self.as_slice().first().copied()
    }

    /// The innermost tag.
    pub fn inner(&self) -> Option<(Tpid, Vid)> {
        self.as_slice().last().copied()
    }

    /// The stack without priority tags (VID 0), which name no network.
    #[must_use]
    #[inline]
    pub fn networks(&self) -> Self {
        if self.as_slice().iter().all(|(_, vid)| vid.number() != 0) {
            return *self;
        }
        let mut stack = Self::default();
        for &(tpid, vid) in self.as_slice().iter().filter(|(_, vid)| vid.number() != 0) {
            stack.push(tpid, vid);
        }
        stack
    }

    /// Whether one stack is the inner end of the other: the same network, seen where devices have taken outer tags off.
    pub fn is_compatible(&self, other: &Self) -> bool {
        self.as_slice().ends_with(other.as_slice()) || other.as_slice().ends_with(self.as_slice())
    }

    /// Bytes that the tags take on the wire.
    pub const fn bytes(&self) -> u32 {
        (self.len as u32).saturating_mul(4)
    }

    /// Bytes that ride behind the outermost tag with a packet of `packet_len` bytes of layer 3: what a link's MTU is compared with.
    /// One tag is free (IEEE 802.3-2018 clause 3.2.7), each further one takes four bytes.
    pub const fn carry(&self, packet_len: u32) -> u32 {
        packet_len.saturating_add(self.bytes().saturating_sub(4))
    }
}

// Slots past the depth are always empty: nearly every stack has one tag, and only that one need be looked at.
impl PartialEq for TagStack {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.tags[0] == other.tags[0] && (self.len < 2 || self.as_slice() == other.as_slice())
    }
}

impl Ord for TagStack {
    /// Shorter ones first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.len.cmp(&other.len).then_with(|| self.as_slice().cmp(other.as_slice()))
    }
}

impl PartialOrd for TagStack {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for TagStack {
    /// In one step for up to two tags: this is done for every frame.
    #[inline]
    fn hash<H: Hasher>(&self, to: &mut H) {
        let pair = |tags: &[(Tpid, Vid)]| {
            tags.iter().fold(0, |word: u64, (tpid, vid)| word << 32 | u64::from(tpid.0) << 16 | u64::from(vid.0))
        };
        let (outer, inner) = self.as_slice().split_at_checked(2).unwrap_or((self.as_slice(), &[]));
        to.write_u64(pair(outer));
        inner.chunks(2).for_each(|tags| to.write_u64(pair(tags)));
    }
}

impl FromIterator<(Tpid, Vid)> for TagStack {
    fn from_iter<I: IntoIterator<Item = (Tpid, Vid)>>(tags: I) -> Self {
        let mut stack = Self::default();
        tags.into_iter().for_each(|(tpid, vid)| stack.push(tpid, vid));
        stack
    }
}

impl fmt::Display for TagStack {
    /// `20.100`, or `untagged`; a TPID other than 0x8100 stands before its VID: `0x88a8:2000.100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("untagged");
        }
        for (i, (tpid, vid)) in self.as_slice().iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if *tpid != Tpid::C {
                write!(f, "{tpid}:")?;
            }
            write!(f, "{vid}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TagStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TagStack {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(tags: &[(u16, u16)]) -> TagStack {
        tags.iter().map(|&(t, v)| (Tpid(t), Vid::from_tci(v))).collect()
    }

    #[test]
    fn a_tag_splits_into_priority_eligibility_and_vid() {
        let tag = Tag::from_tci(0x8100, 0xb064);
        assert_eq!((tag.pcp, tag.dei, tag.vid.number()), (5, true, 100));
    }

    #[test]
    fn a_stack_reads_outermost_first() {
        assert_eq!(stack(&[(0x8100, 20), (0x8100, 100)]).to_string(), "20.100");
        assert_eq!(stack(&[(0x88a8, 2000), (0x8100, 100)]).to_string(), "0x88a8:2000.100");
        assert_eq!(stack(&[]).to_string(), "untagged");
    }

    #[test]
    fn one_tag_is_free_and_the_second_is_not() {
        let carry = |depth: usize, packet_len| stack(&[(0x8100, 20); 3][..depth]).carry(packet_len);
        assert_eq!((carry(0, 1_500), carry(1, 1_500), carry(2, 1_500)), (1_500, 1_500, 1_504));
        assert_eq!((carry(2, 1_496), carry(3, 1_500)), (1_500, 1_508));
    }

    #[test]
    fn stacks_that_differ_by_outer_tags_are_compatible() {
        let both = stack(&[(0x8100, 20), (0x8100, 100)]);
        assert!(both.is_compatible(&stack(&[(0x8100, 100)])) && both.is_compatible(&stack(&[])));
        assert!(!both.is_compatible(&stack(&[(0x8100, 20)])));
        assert_eq!(stack(&[(0x8100, 20), (0x8100, 0)]).networks(), stack(&[(0x8100, 20)]));
    }
}
