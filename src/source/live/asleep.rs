//! Whether the machine slept (suspend to memory or to disk): `CLOCK_BOOTTIME` goes on meanwhile, `CLOCK_MONOTONIC` does not (clock_gettime(2)), and nothing
//! is captured. A process that is stopped (`SIGSTOP`) or starved is none: the kernel goes on filling its rings, and counts what finds no room.

use crate::value::Span;

/// What counts as sleep: shorter, nobody's answer is missed, and a reading of two clocks may be so far apart on a busy machine.
const SLEEP: Span = Span::secs(1);

/// Knows whether the machine slept since it was asked last.
#[derive(Debug)]
pub struct Wakefulness {
    /// For how long the machine had slept since it was started.
    slept: Span,
}

impl Wakefulness {
    /// Awake, as far as is known.
    pub fn awake() -> Self {
        Self { slept: slept() }
    }

    /// Whether the machine slept since this was asked last.
    pub fn has_slept(&mut self) -> bool {
        self.is_news(slept())
    }

    fn is_news(&mut self, slept: Span) -> bool {
        let is_news = slept.as_nanos().saturating_sub(self.slept.as_nanos()) >= SLEEP.as_nanos();
        if is_news {
            self.slept = slept;
        }
        is_news
    }
}

/// For how long the machine has slept since it was started.
#[cfg(target_os = "linux")]
fn slept() -> Span {
    use rustix::time::{ClockId, Timespec, clock_gettime};

    let nanos = |Timespec { tv_sec, tv_nsec }: Timespec| tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec);
    Span::nanos(nanos(clock_gettime(ClockId::Boottime)).saturating_sub(nanos(clock_gettime(ClockId::Monotonic))))
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
const fn slept() -> Span {
    Span::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_sleep_is_told_once() {
        let mut awake = Wakefulness { slept: Span::secs(100) };
        assert!(!awake.is_news(Span::secs(100)) && !awake.is_news(Span::millis(100_999)));
        assert!(awake.is_news(Span::secs(160)), "whatever was read before");
        assert!(!awake.is_news(Span::secs(160)), "once");
    }

    #[test]
    fn this_machine_is_awake_while_it_tests() {
        assert!(!Wakefulness::awake().has_slept());
    }
}
