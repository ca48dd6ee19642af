//! What each vantage shows of stations: whether it lies on the way between others, and who is all that is seen there. A few words a vantage.

use crate::event::{Place, VantageId};
use crate::value::Mac;

/// Pairs of which one was not heard to answer that are remembered of a vantage, so that an answer is known: those who speak at one time.
const MOST_UNRETURNED: usize = 64;

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
    /// Who spoke to whom and was not answered so far, each pair in the place of both its directions, where the next goes over it; `None` once
    /// anybody was answered: both directions are there.
    unreturned: Option<Vec<(Mac, Mac)>>,
    way: Way,
    sender: Sender,
}

/// Who is at the ends of unicast conversations.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// There was none so far.
    Unseen,
    /// Every unicast frame so far had one of these two at an end.
    Ends(Mac, Mac),
    /// They have nobody in common: the vantage is on the way.
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
    #[inline]
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
            let (way, sender) = (Way::Unseen, Sender::Nobody);
            let unreturned = Some(Vec::new());
            self.all
                .insert(self.at, Sight { vantage, is_on_the_way: false, is_placed: false, unreturned, way, sender });
        }
    }
}

impl Sight {
    /// What kind of place it is; what is heard first stays.
    pub fn is_at(&mut self, place: Place, is_placed: bool) {
        if !self.is_on_the_way {
            (self.is_on_the_way, self.is_placed) = (place.is_on_the_way(), is_placed);
        }
    }

    /// The station `src` sent a frame here: to the station `to`, if to one alone.
    #[inline]
    pub fn note(&mut self, src: Mac, to: Option<Mac>) {
        match self.sender {
            Sender::Several => {}
            Sender::Nobody => self.sender = Sender::Only(src),
            Sender::Only(only) if only == src => {}
            Sender::Only(_) => self.sender = Sender::Several,
        }
        let Some(dst) = to else { return };
        if !self.is_between() {
            self.way = self.way.with(src, dst);
        }
        self.note_direction(src, dst);
    }

    /// The station `src` sent a frame to the station `dst` here, or a packet that was seen elsewhere before.
    #[inline]
    pub fn note_direction(&mut self, src: Mac, dst: Mac) {
        if self.unreturned.is_some() {
            self.look_for_answers(src, dst);
        }
    }

    #[inline(never)]
    fn look_for_answers(&mut self, src: Mac, dst: Mac) {
        let Some(pairs) = &mut self.unreturned else { return };
        // Of many vantages nothing is ever seen: places are made for the first pair.
        pairs.resize(MOST_UNRETURNED, (Mac::ZERO, Mac::ZERO));
        let Some(place) = pairs.get_mut(place_of(src, dst)) else { return };
        if *place == (dst, src) {
            self.unreturned = None;
        } else {
            *place = (src, dst);
        }
    }

    /// Whether frames of one station to another alone, and frames back, were seen: both directions are there.
    pub const fn is_two_way(&self) -> bool {
        self.unreturned.is_none()
    }

    /// Whether the traffic of others passes, both ways, by what kind of place it is. What a file is called tells that of the link, and not of
    /// the capture, which may be a mirror of one direction: until frames of both were in it, it proves nothing by what it does not show.
    pub const fn is_on_the_way(&self) -> bool {
        self.is_on_the_way && (self.is_placed || self.is_two_way())
    }

    /// Whether unicast traffic between stations that have nobody in common was seen.
    pub const fn is_between(&self) -> bool {
        matches!(self.way, Way::Between)
    }

    /// Whether one station is an end of all unicast conversations, and it is `mac`.
    pub fn is_only_end(&self, mac: Mac) -> bool {
        matches!(self.way, Way::Ends(a, b) if a == mac || b == mac)
    }

    /// Whether one station that is not `mac` is an end of all unicast conversations.
    pub fn is_port_of_another(&self, mac: Mac) -> bool {
        matches!(self.way, Way::Ends(a, b) if a == b && a != mac)
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
    usize::from((a0 ^ b0).wrapping_add((a1 ^ b1).wrapping_mul(31))) % MOST_UNRETURNED
}

impl Way {
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
