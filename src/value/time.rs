//! Moments and spans of packet time, in whole nanoseconds, saturating; RFC 3339 for reading. No leap seconds, no local time.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A moment of capture: nanoseconds since 1970-01-01 UTC. Never the machine's now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// A length of packet time in nanoseconds; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

impl Timestamp {
    /// The earliest moment that can be held.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment that can be held: "never".
    pub const MAX: Self = Self(i64::MAX);

    /// The moment that lies `nanos` nanoseconds after 1970-01-01 UTC.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `seconds` and `nanos` after 1970-01-01 UTC; saturates.
    pub const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS).saturating_add(nanos))
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The whole second of the clock that it lies in, since 1970-01-01 UTC.
    #[inline]
    pub const fn second(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// This moment, `span` later; saturates.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this moment lies; negative if it lies before; saturates.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The time of day with microseconds, for a person: `10:00:03.120411`.
    pub fn clock(self) -> String {
        let (_, second, nanos) = split(self.0);
        format!("{}.{:06}", hms(second), nanos / 1_000)
    }

    /// The date in UTC: `2026-11-21`.
    pub fn date(self) -> String {
        let (day, _, _) = split(self.0);
        let (y, m, d) = civil(day);
        format!("{y:04}-{m:02}-{d:02}")
    }

    /// Reads RFC 3339 in UTC (`2026-11-21T01:35:24.5Z`, up to nine decimals), or seconds since 1970 with decimals.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((date, rest)) = text.split_once('T') {
            let rest = rest.strip_suffix('Z').or_else(|| rest.strip_suffix("+00:00"))?;
            let mut ymd = date.splitn(3, '-').map(|p| p.parse::<i64>().ok());
            let (y, m, d) = (ymd.next()??, ymd.next()??, ymd.next()??);
            if !(1..=12).contains(&m) || !(1..=31).contains(&d) || !(0..=9999).contains(&y) {
                return None;
            }
            let (hms, fraction) = rest.split_once('.').unwrap_or((rest, ""));
            let mut parts = hms.splitn(3, ':').map(|p| p.parse::<i64>().ok());
            let (h, min, s) = (parts.next()??, parts.next()??, parts.next()??);
            if !(0..24).contains(&h) || !(0..60).contains(&min) || !(0..=60).contains(&s) {
                return None;
            }
            let second = days_from_civil(y, m, d)
                .saturating_mul(DAY)
                .saturating_add(h.saturating_mul(3_600))
                .saturating_add(min.saturating_mul(60))
                .saturating_add(s);
            return Some(Self::from_parts(second, decimals(fraction)?));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        Some(Self::from_parts(whole.parse().ok()?, decimals(fraction)?))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nine decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, second, nanos) = split(self.0);
        write!(f, "{}T{}.{nanos:09}Z", self.date(), hms(second))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("time is not RFC 3339 in UTC, such as 2026-11-02T10:00:00Z");
        Self::parse(&String::deserialize(from)?).ok_or_else(wrong)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than anything lasts: 292 years.
    pub const MAX: Self = Self(i64::MAX);

    /// `nanos` nanoseconds.
    pub const fn nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// `millis` milliseconds; saturates.
    pub const fn millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// `seconds` seconds; saturates.
    pub const fn secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS))
    }

    /// The length in nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The length in seconds, rounded to what a double holds.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// The length without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// This length `times` over; saturates.
    #[must_use]
    pub const fn times(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl fmt::Display for Span {
    /// For a person, in the unit that fits: `31 µs`, `4.2 s`, `3 min 20 s`, `2 h 5 min`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let n = self.0.saturating_abs();
        let whole = |unit: i64| n.checked_div(unit).unwrap_or(0);
        match n {
            0..1_000 => write!(f, "{n} ns"),
            1_000..1_000_000 => write!(f, "{} µs", whole(1_000)),
            1_000_000..NANOS => write!(f, "{} ms", whole(1_000_000)),
            NANOS..60_000_000_000 => {
                let tenths = whole(100_000_000);
                write!(f, "{}.{} s", tenths / 10, tenths % 10)
            }
            60_000_000_000..3_600_000_000_000 => {
                let s = whole(NANOS);
                write!(f, "{} min {} s", s / 60, s % 60)
            }
            3_600_000_000_000..172_800_000_000_000 => {
                let m = whole(60_000_000_000);
                write!(f, "{} h {} min", m / 60, m % 60)
            }
            _ => {
                let h = whole(3_600_000_000_000);
                write!(f, "{} d {} h", h / 24, h % 24)
            }
        }
    }
}

impl Serialize for Span {
    /// Seconds, as a number.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.as_secs())
    }
}

/// Days since 1970, second of the day, nanosecond of the second.
fn split(nanos: i64) -> (i64, i64, i64) {
    let seconds = nanos.div_euclid(NANOS);
    (seconds.div_euclid(DAY), seconds.rem_euclid(DAY), nanos.rem_euclid(NANOS))
}

fn hms(second: i64) -> String {
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// A fraction of a second as nanoseconds; more than nine digits are cut.
fn decimals(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    nine.parse().ok()
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar.
#[expect(clippy::arithmetic_side_effects, reason = "|day| < 2^63 / 86,400 s / 10^9 ns: nothing here can overflow")]
fn civil(day: i64) -> (i64, i64, i64) {
    // Count from 0000-03-01, so that the leap day is the last of its year; eras are 400 years of 146,097 days.
    let z = day + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let d = of_year - (153 * month + 2) / 5 + 1;
    let m = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(m <= 2), m, d)
}

/// The day since 1970 of a date whose year is 0 to 9999.
#[expect(clippy::arithmetic_side_effects, reason = "the caller bounds year, month and day")]
fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    let y = y - i64::from(m <= 2);
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let month = if m > 2 { m - 3 } else { m + 9 };
    let of_year = (153 * month + 2) / 5 + d - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_rfc_3339_and_back() {
        let t = Timestamp::from_parts(1_795_219_282, 33_000_000);
        assert_eq!(t.to_string(), "2026-11-21T00:01:22.033000000Z");
        assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        assert_eq!(Timestamp::parse("1795219282.033"), Some(t));
        assert_eq!(Timestamp::from_nanos(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(Timestamp::parse("2024-02-29T00:00:00Z").map(Timestamp::date).as_deref(), Some("2024-02-29"));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert_eq!(Timestamp::MAX.after(Span::secs(1)), Timestamp::MAX);
        assert!(Timestamp::MIN.to_string().starts_with("1677-"));
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX).abs(), Span::nanos(i64::MAX));
    }

    #[test]
    fn a_span_reads_in_the_unit_that_fits() {
        let read = |n| Span::nanos(n).to_string();
        assert_eq!(read(31_411), "31 µs");
        assert_eq!(read(4_250_000_000), "4.2 s");
        assert_eq!(read(200_000_000_000), "3 min 20 s");
        assert_eq!(read(7_500_000_000_000), "2 h 5 min");
        assert_eq!(read(-5_000_000), "-5 ms");
    }
}
