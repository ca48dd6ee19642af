//! Frames for others that a bridge sends to a guest: which of the frames that leave at its tap are meant for an address that is known to be elsewhere
//! (IEEE 802.1D-2004 clause 7.7.1: a frame goes to every port while the bridge does not know which is the right one). A minute of seconds a tap.

use crate::event::{Cited, VantageId};
use crate::value::{Fingerprint, Mac};
use crate::world::{DomainId, Seen};

/// Seconds for which frames are counted one by one.
const REMEMBERED: usize = 64;
/// Addresses of which nobody has told yet where they live, and packets to them, that are remembered.
const STRANGERS: usize = 32;

/// One tap.
pub(super) struct Tap {
    pub vantage: VantageId,
    /// For whom the latest frame was that is rightly here, as nearly all are.
    own: Mac,
    /// Its guest has sent something: a port that only listens may be meant to.
    has_sent: bool,
    seconds: [Second; REMEMBERED],
    /// Addresses that frames were for and nobody has sent from: whether one has sent to this very tap since, so that it is elsewhere.
    strangers: Vec<(Mac, bool)>,
    told: i64,
}

/// Frames out of a tap in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    of: i64,
    all: u32,
    foreign: u32,
}

/// Frames for others leave at a guest's tap; told at most once a second.
#[derive(Clone, Debug)]
pub struct Overheard {
    /// The tap.
    pub vantage: VantageId,
    /// The network of one of them.
    pub domain: DomainId,
    /// That one.
    pub cited: Cited,
    /// For whom it was.
    pub to: Mac,
    /// What left the tap in the last ten seconds.
    pub briefly: Heed,
    /// And in the last half minute.
    pub long: Heed,
    /// And in the last minute.
    pub minute: Heed,
}

/// What left a tap in some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heed {
    /// Frames.
    pub all: u32,
    /// Those for others.
    pub foreign: u32,
    /// Seconds in which there were some for others.
    pub seconds: u32,
}

/// Where an address lives, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    Here,
    Elsewhere,
    Unknown,
}

impl Tap {
    pub fn new(vantage: VantageId) -> Self {
        Self {
            vantage,
            own: Mac::ZERO,
            has_sent: false,
            seconds: [Second::default(); REMEMBERED],
            strangers: Vec::new(),
            told: i64::MIN,
        }
    }

    /// Its guest has sent a frame.
    #[inline]
    pub fn sends(&mut self) {
        self.has_sent = true;
    }

    /// A frame leaves at it, for `to`; where that lives is asked only where it is not the one as ever.
    #[inline]
    pub fn hears(
        &mut self,
        seen: &Seen<'_>,
        to: Mac,
        home: impl FnOnce() -> Home,
        is_led_elsewhere: impl FnOnce() -> bool,
    ) -> Option<Overheard> {
        let second = seen.frame.order.second();
        let at = second.rem_euclid(REMEMBERED as i64) as usize;
        let count = self.seconds.get_mut(at)?;
        if count.of != second {
            *count = Second { of: second, all: 0, foreign: 0 };
        }
        count.all = count.all.saturating_add(1);
        if to == self.own || to.is_group() {
            return None;
        }
        self.looks(seen, to, second, home(), is_led_elsewhere)
    }

    /// A frame that is not for the one as ever.
    #[cold]
    fn looks(
        &mut self,
        seen: &Seen<'_>,
        to: Mac,
        second: i64,
        home: Home,
        is_led_elsewhere: impl FnOnce() -> bool,
    ) -> Option<Overheard> {
        let is_foreign = match home {
            Home::Here => {
                self.own = to;
                false
            }
            Home::Elsewhere => true,
            Home::Unknown => self.is_strange(seen, to) || is_led_elsewhere(),
        };
        if !is_foreign || !self.has_sent {
            return None;
        }
        let at = second.rem_euclid(REMEMBERED as i64) as usize;
        let count = self.seconds.get_mut(at)?;
        count.foreign = count.foreign.saturating_add(1);
        if self.told == second {
            return None;
        }
        self.told = second;
        let [briefly, long, minute] = [10, 30, 60].map(|seconds| self.heed(second, seconds));
        Some(Overheard {
            vantage: self.vantage,
            domain: seen.domain,
            cited: Cited::of(seen.frame),
            to,
            briefly,
            long,
            minute,
        })
    }

    /// Whether `to`, from which nobody was seen to send at its own port, has sent to this tap: then it is not here.
    fn is_strange(&mut self, seen: &Seen<'_>, to: Mac) -> bool {
        if let Some(src) = seen.frame.layers.link_src()
            && let Some((_, is_elsewhere)) = self.strangers.iter_mut().find(|(mac, _)| *mac == src)
        {
            *is_elsewhere = true;
        }
        if let Some((_, is_elsewhere)) = self.strangers.iter().find(|(mac, _)| *mac == to) {
            return *is_elsewhere;
        }
        push(&mut self.strangers, (to, false));
        false
    }

    /// What left in the seconds up to the one before `second`, and in that so far.
    fn heed(&self, second: i64, seconds: i64) -> Heed {
        let first = second.saturating_sub(seconds);
        let recent = self.seconds.iter().filter(|s| s.of > first && s.of <= second);
        recent.fold(Heed::default(), |sum, s| Heed {
            all: sum.all.saturating_add(s.all),
            foreign: sum.foreign.saturating_add(s.foreign),
            seconds: sum.seconds.saturating_add(u32::from(s.foreign > 0)),
        })
    }
}

/// Packets to strangers, and the port that each was led out of: who is sent something out of two ports is sent it out of all.
#[derive(Default)]
pub(super) struct Led {
    packets: Vec<(Fingerprint, VantageId)>,
    flooded: Vec<Mac>,
}

impl Led {
    /// Whether what is sent to `to` is led out of other ports than `port` as well, as the packet or an earlier one was.
    pub fn elsewhere(&mut self, packet: Option<Fingerprint>, port: VantageId, to: Mac) -> bool {
        if self.flooded.contains(&to) {
            return true;
        }
        let Some(packet) = packet else { return false };
        let Some((_, led)) = self.packets.iter().find(|(known, _)| *known == packet) else {
            push(&mut self.packets, (packet, port));
            return false;
        };
        let is_led = *led != port;
        if is_led {
            push(&mut self.flooded, to);
        }
        is_led
    }
}

/// The oldest goes where there is no more room.
fn push<T>(to: &mut Vec<T>, one: T) {
    if to.len() >= STRANGERS {
        to.remove(0);
    }
    to.push(one);
}
