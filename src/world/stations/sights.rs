//! What each vantage shows of stations: whether it lies on the way between others, and who is all that is seen there. A few words a vantage.

use crate::event::{Place, VantageId};
use crate::value::Mac;

/// Pairs who spoke that are remembered of a vantage, so that an answer is known: those who speak at one time.
const MOST_SPOKEN: usize = 64;

/// What all vantages show.
#[derive(Debug, Default)]
pub(super) struct Sights {
    /// In order of their ids.
    all: Vec<Sight>,
    /// Where the vantage of the latest frame stands.
    at: usize,
}

/// What one vantage shows.
#[derive(Debug)]
pub(super) struct Sight {
    vantage: VantageId,
    /// Whether the traffic of others passes here, by what kind of place it is, and whether that was told.
    is_on_the_way: bool,
    is_placed: bool,
    /// Who spoke to whom, each pair in the place of both its directions, where the next goes over it; empty once others converse here.
    spoken: Vec<(Mac, Mac)>,
    /// Who is at the ends of all that was sent to one alone.
    ways: Way,
    /// Who is at the ends of what went both ways. A switch sends what goes to an address that it does not know to everybody, and that is
    /// one-way: it does not make a port a place where others converse.
    conversations: Way,
    sender: Sender,
}

/// Who is at the ends of unicast frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// There was none so far.
    Unseen,
    /// Every one so far had one of these two at an end; both, while they spoke with nobody else.
    Ends(Mac, Mac),
    /// They have nobody in common.
    Between,
}

/// Who sent all that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Nobody,
    Only(Mac),
    Several,
}

impl Sights {
    /// What `vantage` shows.
    pub fn of(&self, vantage: VantageId) -> Option<&Sight> {
        let at = self.all.binary_search_by_key(&vantage, |sight| sight.vantage).ok()?;
        self.all.get(at)
    }

    /// The same, to be changed; a vantage that is new shows nothing yet.
    #[inline(always)]
    pub fn entry(&mut self, vantage: VantageId) -> Option<&mut Sight> {
        if self.all.get(self.at).is_none_or(|sight| sight.vantage != vantage) {
            self.turn(vantage);
        }
        self.all.get_mut(self.at)
    }

    #[inline(never)]
    fn turn(&mut self, vantage: VantageId) {
        // A packet is seen at one vantage after the other, and the next packet again: most often it is the next one's turn.
        let next = self.at.saturating_add(1);
        let next = if next < self.all.len() { next } else { 0 };
        if self.all.get(next).is_some_and(|sight| sight.vantage == vantage) {
            self.at = next;
            return;
        }
        self.at = self.all.partition_point(|sight| sight.vantage < vantage);
        if self.all.get(self.at).is_none_or(|sight| sight.vantage != vantage) {
            self.all.insert(self.at, Sight::new(vantage));
        }
    }
}

impl Sight {
    const fn new(vantage: VantageId) -> Self {
        Self {
            vantage,
            is_on_the_way: false,
            is_placed: false,
            spoken: Vec::new(),
            ways: Way::Unseen,
            conversations: Way::Unseen,
            sender: Sender::Nobody,
        }
    }

    /// What kind of place it is; what is heard first stays.
    pub fn is_at(&mut self, place: Place, is_placed: bool) {
        if !self.is_on_the_way {
            (self.is_on_the_way, self.is_placed) = (place.is_on_the_way(), is_placed);
        }
    }

    /// The station `src` sent a frame here: to the station `to`, if to one alone.
    #[inline(always)]
    pub fn note(&mut self, src: Mac, to: Option<Mac>) {
        match self.sender {
            Sender::Several => {}
            Sender::Nobody => self.sender = Sender::Only(src),
            Sender::Only(only) if only == src => {}
            Sender::Only(_) => self.sender = Sender::Several,
        }
        let Some(dst) = to else { return };
        if !self.ways.holds(src, dst) {
            self.ways = self.ways.with(src, dst);
        }
        self.note_direction(src, dst);
    }

    /// The station `src` sent a frame to the station `dst` here, or a packet that was seen elsewhere before.
    #[inline]
    pub fn note_direction(&mut self, src: Mac, dst: Mac) {
        // At the port of one station it is an end of every frame, and nothing new is to be learnt.
        if !self.conversations.holds(src, dst) {
            self.look_for_answers(src, dst);
        }
    }

    #[inline(never)]
    fn look_for_answers(&mut self, src: Mac, dst: Mac) {
        // Of many vantages nothing is ever seen: places are made for the first pair.
        self.spoken.resize(MOST_SPOKEN, (Mac::ZERO, Mac::ZERO));
        let Some(place) = self.spoken.get_mut(place_of(src, dst)) else { return };
        if *place == (dst, src) {
            self.conversations = self.conversations.with(src, dst);
        }
        *place = (src, dst);
        if self.is_between() {
            self.spoken = Vec::new();
        }
    }

    /// Whether frames of one station to another alone, and frames back, were seen: both directions are there.
    pub const fn is_two_way(&self) -> bool {
        !matches!(self.conversations, Way::Unseen)
    }

    /// Whether the traffic of others passes, both ways, by what kind of place it is. What a file is called tells that of the link, and not of
    /// the capture, which may be a mirror of one direction: until frames of both were in it, it proves nothing by what it does not show.
    pub const fn is_on_the_way(&self) -> bool {
        self.is_on_the_way && (self.is_placed || self.is_two_way())
    }

    /// Whether stations that have nobody in common converse here.
    pub const fn is_between(&self) -> bool {
        matches!(self.conversations, Way::Between)
    }

    /// Whether unicast frames of stations that have nobody in common were seen here, even if nobody answered them.
    pub const fn has_strangers(&self) -> bool {
        matches!(self.ways, Way::Between)
    }

    /// Whether what `a` and `b` say to each other would be seen, as this is the port of one of them. Two who conversed with nobody else show no
    /// more than their own words: whose port it is, nothing tells.
    pub fn is_port_of_either(&self, a: Mac, b: Mac) -> bool {
        match self.conversations {
            Way::Ends(one, other) if one == other => one == a || one == b,
            Way::Ends(one, other) => (one, other) == (a, b) || (one, other) == (b, a),
            Way::Unseen | Way::Between => false,
        }
    }

    /// Whether `mac` is an end of all unicast frames.
    pub fn is_only_end(&self, mac: Mac) -> bool {
        matches!(self.ways, Way::Ends(a, b) if a == mac || b == mac)
    }

    /// Whether one station that is not `mac` is an end of all unicast frames.
    pub fn is_port_of_another(&self, mac: Mac) -> bool {
        matches!(self.ways, Way::Ends(a, b) if a == b && a != mac)
    }

    /// Whether `mac` sent all that was seen: its own machine, cut off from the rest.
    pub fn is_only_sender(&self, mac: Mac) -> bool {
        self.sender == Sender::Only(mac)
    }
}

/// Where a pair stands, whichever of the two speaks: addresses of one maker differ in their last bytes.
fn place_of(a: Mac, b: Mac) -> usize {
    let [.., a1, a0] = a.0;
    let [.., b1, b0] = b.0;
    usize::from((a0 ^ b0).wrapping_add((a1 ^ b1).wrapping_mul(31))) % MOST_SPOKEN
}

impl Way {
    /// Whether a frame from `src` to `dst` changes nothing.
    #[inline]
    fn holds(self, src: Mac, dst: Mac) -> bool {
        let is_end = |mac| mac == src || mac == dst;
        match self {
            Self::Unseen => false,
            Self::Between => true,
            Self::Ends(a, b) => is_end(a) && is_end(b),
        }
    }

    /// The same after a frame from `src` to `dst`.
    #[inline(never)]
    fn with(self, src: Mac, dst: Mac) -> Self {
        let is_end = |mac| mac == src || mac == dst;
        match self {
            Self::Unseen => Self::Ends(src, dst),
            Self::Between => Self::Between,
            Self::Ends(a, b) => match (is_end(a), is_end(b)) {
                (true, true) => self,
                (true, false) => Self::Ends(a, a),
                (false, true) => Self::Ends(b, b),
                (false, false) => Self::Between,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_frame_is_just_what_it_does_not_change() {
        let macs: Vec<Mac> = (1..=4).map(|last| Mac([2, 0, 0, 0, 0, last])).collect();
        let pairs = || macs.iter().flat_map(|a| macs.iter().map(|b| (*a, *b)));
        let ways: Vec<Way> = pairs().map(|(a, b)| Way::Ends(a, b)).chain([Way::Unseen, Way::Between]).collect();
        for (way, (src, dst)) in ways.iter().flat_map(|way| pairs().map(move |pair| (*way, pair))) {
            assert_eq!(way.holds(src, dst), way.with(src, dst) == way, "{way:?} and a frame from {src} to {dst}");
        }
    }

    #[test]
    fn who_conversed_with_one_alone_makes_no_place_where_others_do() {
        let [router, a, b] = [1, 2, 3].map(|last| Mac([2, 0, 0, 0, 0, last]));
        let mut sight = Sight::new(VantageId::default());
        for guest in [a, b, a, b] {
            sight.note(guest, Some(router));
            sight.note(router, Some(guest));
        }
        assert!(sight.is_port_of_either(a, router) && !sight.is_between() && !sight.has_strangers());
        sight.note(a, Some(b));
        assert!(sight.has_strangers() && !sight.is_between());
        sight.note(b, Some(a));
        assert!(sight.is_between());
    }
}
