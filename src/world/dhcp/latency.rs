//! How long answers take, by question: of each server's first answer, from the first try on. Two digits, whatever the number of answers.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::step::{DhcpStep, Pair};
use crate::finding::Latency;
use crate::value::Span;

/// Times of one kind of answer.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u32>);

/// Times by question.
#[derive(Default)]
pub(super) struct Latencies(BTreeMap<Pair, Times>);

impl Latencies {
    /// Takes in what a server says.
    pub fn note(&mut self, step: &DhcpStep) {
        if let (Some(pair), Some(took), false) = (step.pair(), step.took, step.is_copy) {
            self.0.entry(pair).or_default().note(took);
        }
    }

    /// All of them, for the report.
    pub fn told(&self) -> Vec<Latency> {
        let told = |(pair, times): (&Pair, &Times)| Latency {
            pair: pair.to_string(),
            answers: times.len(),
            p50: times.quantile(0.50),
            p95: times.quantile(0.95),
            p99: times.quantile(0.99),
            max: times.max(),
        };
        self.0.iter().map(told).collect()
    }
}

impl Times {
    /// One more.
    pub fn note(&mut self, took: Span) {
        // It grows with what it holds, and holds what a span does.
        let _ = self.0.record(u64::try_from(took.as_nanos()).unwrap_or(0));
    }

    /// Those of `other`, too.
    pub fn add(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this share of them did not exceed.
    pub fn quantile(&self, share: f64) -> Span {
        span(self.0.value_at_quantile(share)).min(self.max())
    }

    /// The longest.
    pub fn max(&self) -> Span {
        span(self.0.max())
    }
}

impl Default for Times {
    #[expect(clippy::expect_used, reason = "two significant digits are within what the crate allows")]
    fn default() -> Self {
        Self(Histogram::new(2).expect("two digits"))
    }
}

fn span(nanos: u64) -> Span {
    Span::nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_noted() {
        let mut times = Times::default();
        (1..=100).for_each(|ms| times.note(Span::millis(ms)));
        assert_eq!(times.len(), 100);
        let near = |have: Span, ms: i64| (have.as_nanos() - ms * 1_000_000).abs() <= ms * 10_000;
        assert!(near(times.quantile(0.50), 50) && near(times.quantile(0.95), 95) && near(times.max(), 100));
        // A clock that ran back is no time at all, and the end of time is one.
        times.note(Span::millis(-5));
        times.note(Span::nanos(i64::MAX));
        assert!(times.len() == 102 && times.max() > Span::secs(1_000_000));
    }
}
