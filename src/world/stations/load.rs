//! What was sent to one station, by whole seconds of the clock: the last sixteen, the last eight tens, the fastest, and all. No medians:
//! they would need the whole past, and the mean of all that came before tells a peak as well.

use crate::event::VantageId;
use crate::value::Timestamp;

/// Seconds that are kept one by one: ten, and as many as it takes to find out that a station does not answer.
const SECONDS: usize = 16;
/// Tens of seconds that are kept: a minute, and two that have only begun.
const TENS: usize = 8;
/// Bits a second from which ten seconds that are ten times the usual are a peak (findings.md 2.8).
const PEAK: f64 = 50e6;
/// How many times the usual.
const PEAK_TIMES: f64 = 10.0;
/// Bits a second below which nothing is called load: what any chatter makes.
const NOTHING: f64 = 1e6;

/// Seconds that are counted before what came before them is looked at: a power of two.
const RUNNING: usize = 16;

/// The meter of one station: the running seconds, where each frame to the station counts, and what they lead to.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// Where it counts: a frame that comes late from one vantage to the next must not count twice.
    vantage: VantageId,
    /// The second that runs, since 1970.
    now: i64,
    /// The bytes so far of the seconds from the last multiple of `RUNNING` on.
    bytes: [u32; RUNNING],
    past: Option<Box<Past>>,
}

/// The seconds before the running ones: two cache lines, which are read anew now and then for each station.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Past {
    first: i64,
    total: u64,
    fastest_at: i64,
    fastest: u32,
    /// Up to which second after the first the places are its own, and not those of a second long ago.
    passed: u32,
    /// In units of 1,024 bytes, rounded down where a second ends.
    tens: [u32; TENS],
    seconds: [u32; SECONDS],
}

/// What was sent to a station before a moment, in bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// In the faster of the last two seconds.
    pub second: f64,
    /// On average in the last ten seconds.
    pub ten: f64,
    /// On average in the last minute.
    pub minute: f64,
    /// In its fastest second of all.
    pub fastest: f64,
    /// When that was.
    pub fastest_at: Timestamp,
    /// Whether the last seconds stand out: by what is usual for it, or by the fastest second of the whole capture.
    pub is_peak: bool,
}

impl Meter {
    pub fn new(vantage: VantageId, time: Timestamp) -> Self {
        Self { vantage, now: time.second(), bytes: [0; RUNNING], past: None }
    }

    /// Counts `bytes` that were seen at `vantage` at `time`; gives the bytes of the running second.
    #[inline(always)]
    pub fn add(&mut self, vantage: VantageId, time: Timestamp, bytes: u32) -> u32 {
        if vantage != self.vantage {
            return 0;
        }
        let second = time.second();
        if second > self.now {
            if begin_of(second) != begin_of(self.now) {
                self.turn();
            }
            self.now = second;
        }
        let Some(running) = self.bytes.get_mut(place(self.now, RUNNING)) else { return 0 };
        *running = running.saturating_add(bytes);
        *running
    }

    /// Ends the running seconds.
    #[cold]
    fn turn(&mut self) {
        let mut past = self.past.take().unwrap_or_else(|| Box::new(self.fresh()));
        past.end(self.now, self.seconds());
        (self.past, self.bytes) = (Some(past), [0; RUNNING]);
    }

    /// The running seconds, up to the one that runs, each with its bytes.
    fn seconds(&self) -> impl Iterator<Item = (i64, u32)> {
        (begin_of(self.now)..=self.now).zip(self.bytes)
    }

    /// Nothing is past yet: what is counted begins with the first frame.
    fn fresh(&self) -> Past {
        let first = self.seconds().find(|(_, bytes)| *bytes > 0).map_or(self.now, |(second, _)| second);
        Past { first, fastest_at: first, ..Past::default() }
    }

    /// What was sent before `until`; `fastest` is the fastest second of any station of the capture, in bytes.
    pub fn load(&self, until: Timestamp, fastest: u32) -> Load {
        let mut past = self.past.as_deref().cloned().unwrap_or_else(|| self.fresh());
        past.end(self.now.saturating_sub(1), self.seconds().filter(|(second, _)| *second < self.now));
        past.count(self.now, self.bytes.get(place(self.now, RUNNING)).copied().unwrap_or(0));
        past.load(self.now, until, fastest)
    }
}

impl Past {
    /// What was sent before `until`, where the second `now` was the last that was counted.
    fn load(&self, now: i64, until: Timestamp, fastest: u32) -> Load {
        let last = until.second();
        let in_second = |second: i64| match now.saturating_sub(second) {
            0..16 if second >= self.first => {
                f64::from(self.seconds.get(place(second, SECONDS)).copied().unwrap_or(0)) * 8.0
            }
            _ => 0.0,
        };
        let ten: f64 = (0..10).map(|back| in_second(last.saturating_sub(back))).sum();
        let (running_ten, this) = (now.div_euclid(10), last.div_euclid(10));
        let in_ten = |ten: i64| match running_ten.saturating_sub(ten) {
            0..8 => f64::from(self.tens.get(place(ten, TENS)).copied().unwrap_or(0)) * 8_192.0,
            _ => 0.0,
        };
        // The seconds of the ten that runs are not in its sum before it ends.
        let running: f64 = (0..=last.rem_euclid(10)).map(|back| in_second(last.saturating_sub(back))).sum();
        let minute: f64 = running.max(in_ten(this)) + (1..6).map(|back| in_ten(this.saturating_sub(back))).sum::<f64>();
        let second = in_second(last).max(in_second(last.saturating_sub(1)));
        let before = last.saturating_sub(self.first).saturating_sub(10);
        let usual = if before > 0 { (self.total as f64 * 8.0 - ten).max(0.0) / before as f64 } else { f64::INFINITY };
        let stands_out = ten / 10.0 >= PEAK && ten / 10.0 >= PEAK_TIMES * usual;
        let is_fastest = second >= NOTHING && second >= f64::from(fastest) * 8.0 / 2.0;
        Load {
            second,
            ten: ten / 10.0,
            minute: minute / 60.0,
            fastest: f64::from(self.fastest) * 8.0,
            fastest_at: Timestamp::from_parts(self.fastest_at, 0),
            is_peak: stands_out || is_fastest,
        }
    }

    /// Counts `bytes` of one second that goes on.
    fn count(&mut self, second: i64, bytes: u32) {
        self.pass(second);
        self.note(second, bytes);
    }

    #[inline]
    fn note(&mut self, second: i64, bytes: u32) {
        self.total = self.total.saturating_add(u64::from(bytes));
        if bytes > self.fastest {
            (self.fastest, self.fastest_at) = (bytes, second);
        }
        self.seconds.get_mut(place(second, SECONDS)).into_iter().for_each(|slot| *slot = bytes);
    }

    /// Counts seconds that are over, up to `last`, each with its bytes, and towards their tens.
    fn end(&mut self, last: i64, seconds: impl Iterator<Item = (i64, u32)>) {
        if last < self.first {
            return;
        }
        self.pass(last);
        // A second in which nothing came is as its place was left.
        for (second, bytes) in seconds.filter(|(_, bytes)| *bytes > 0) {
            self.note(second, bytes);
            if let Some(ten) = self.tens.get_mut(place(second.div_euclid(10), TENS)) {
                *ten = ten.saturating_add(bytes >> 10);
            }
        }
    }

    /// Forgets what stood in the places of the seconds up to `second`.
    fn pass(&mut self, second: i64) {
        let passed = self.first.saturating_add(self.passed.into());
        clear(&mut self.seconds, passed, second);
        clear(&mut self.tens, passed.div_euclid(10), second.div_euclid(10));
        self.passed = u32::try_from(second.saturating_sub(self.first)).unwrap_or(u32::MAX);
    }
}

/// Empties the places in `ring` behind `from` up to `to`.
fn clear<const N: usize>(ring: &mut [u32; N], from: i64, to: i64) {
    let passed = usize::try_from(to.saturating_sub(from)).unwrap_or(N).min(N);
    for back in 0..passed {
        let at = place(to.saturating_sub(i64::try_from(back).unwrap_or(0)), N);
        ring.get_mut(at).into_iter().for_each(|slot| *slot = 0);
    }
}

impl Load {
    /// Whether there is anything to tell of.
    pub fn is_any(&self) -> bool {
        self.second >= NOTHING || self.fastest >= NOTHING
    }
}

/// With which second the running seconds begin that `second` is one of.
#[inline]
fn begin_of(second: i64) -> i64 {
    second.saturating_sub(i64::try_from(place(second, RUNNING)).unwrap_or(0))
}

#[inline]
fn place(at: i64, of: usize) -> usize {
    usize::try_from(at.rem_euclid(i64::try_from(of).unwrap_or(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: VantageId = VantageId { lane: 0, interface: 0 };

    const fn at(seconds: i64, millis: i64) -> Timestamp {
        Timestamp::from_parts(seconds, millis * 1_000_000)
    }

    /// A megabyte a second from `from` to `to`, 1 kB a second before and after.
    fn metered(from: i64, to: i64, end: i64) -> Meter {
        let mut meter = Meter::new(HERE, at(0, 0));
        for second in 0..end {
            meter.add(HERE, at(second, 500), if (from..to).contains(&second) { 10_000_000 } else { 1_000 });
        }
        meter
    }

    #[test]
    fn the_last_second_ten_and_minute_before_a_moment() {
        let load = metered(200, 260, 262).load(at(259, 900), 10_000_000);
        assert_eq!((load.second, load.ten, load.fastest), (80e6, 80e6, 80e6));
        assert!((79e6..=80e6).contains(&load.minute), "{}", load.minute);
        assert!(load.is_peak);
        assert_eq!(load.fastest_at, at(200, 0));
    }

    #[test]
    fn long_ago_is_no_load_now_but_its_peak_is_known() {
        let load = metered(10, 20, 300).load(at(299, 0), 10_000_000);
        assert_eq!((load.second, load.ten, load.fastest), (8_000.0, 8_000.0, 80e6));
        assert!(!load.is_peak);
    }

    #[test]
    fn what_is_usual_is_no_peak_beside_somebody_faster() {
        let load = metered(0, 300, 300).load(at(299, 900), 100_000_000);
        assert!(!load.is_peak && load.is_any());
    }

    #[test]
    fn a_leap_of_years_empties_the_meter() {
        let mut meter = metered(0, 5, 5);
        meter.add(HERE, at(1_000_000_000, 0), 7);
        assert_eq!(meter.load(at(1_000_000_000, 0), 7).ten, 5.6);
    }
}
