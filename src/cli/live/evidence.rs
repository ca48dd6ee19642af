//! Which findings the flight recorder keeps a case for.

use std::collections::BTreeSet;

use anyhow::ensure;

use crate::cli::args;
use crate::finding::{Change, Finding, Key, Report, Severity};
use crate::source::live::now;
use crate::source::{FlightRecorder, Item, Keeping, Occasion};
use crate::value::{Outside, Timestamp};

/// With what a case is made.
const HOW: &str = concat!("netdiag ", env!("CARGO_PKG_VERSION"), ", live --evidence");
/// The least severity of a finding that is kept.
const LEAST: Severity = Severity::Warning;
/// Bytes of memory with which a case makes sense, at least.
const LEAST_MEMORY: usize = 64 << 10;

/// The flight recorder, and what it was told.
pub struct Evidence {
    recorder: FlightRecorder,
    /// The findings for which a case was kept, or that joined one.
    kept: BTreeSet<(&'static str, Key)>,
}

impl Evidence {
    /// Begins to keep what the arguments ask for; `None` where they ask for nothing.
    ///
    /// # Errors
    /// Where the folder cannot be used, or no case would find room in it.
    pub fn begin(args: &args::Evidence) -> anyhow::Result<Option<Self>> {
        let Some(folder) = args.evidence.clone() else { return Ok(None) };
        let (memory, total) = (args.evidence_memory, args.evidence_total);
        ensure!(memory >= LEAST_MEMORY, "--evidence-memory {memory} holds next to nothing; 64K is the least");
        ensure!(
            memory.checked_mul(2).is_some_and(|case| case <= total),
            "--evidence-total must hold a case, which takes up to twice --evidence-memory: what came before, and as much after"
        );
        ensure!(args.evidence_max_cases > 0, "--evidence-max-cases 0 keeps nothing; leave --evidence out instead");
        let recorder = FlightRecorder::create(Keeping {
            folder,
            how: HOW.to_owned(),
            memory,
            after: args.evidence_after,
            cases: args.evidence_max_cases,
            total: total as u64,
        })?;
        Ok(Some(Self { recorder, kept: BTreeSet::new() }))
    }

    /// The merge hands this out next.
    pub fn item(&mut self, item: &Item<'_>) {
        self.recorder.item(item);
    }

    /// A finding changed.
    pub fn change(&mut self, change: Change, finding: &Finding) {
        match change {
            // One that opens anew, long after the last time, is kept anew.
            Change::Opened => self.keep(finding, true),
            Change::Climbed | Change::Reopened => self.keep(finding, false),
            // What was found earlier has its case already.
            Change::Recalled => drop(self.kept.insert((finding.rule.code, finding.key.clone()))),
            Change::Updated | Change::Resolved | Change::Lowered => {}
        }
    }

    /// The capture ended at `ended`, and what the end brought about is in `report`.
    ///
    /// # Errors
    /// Where the writer broke down.
    pub fn finish(mut self, report: &Report, ended: Option<Timestamp>) -> anyhow::Result<()> {
        for finding in &report.findings {
            self.keep(finding, false);
        }
        let written = self.recorder.finish(ended.unwrap_or_else(now))?;
        for folder in written {
            anstream::eprintln!("netdiag: evidence in {}", Outside::from(folder.to_string_lossy().as_ref()));
        }
        Ok(())
    }

    fn keep(&mut self, finding: &Finding, is_new: bool) {
        if finding.severity < LEAST {
            return;
        }
        let is_first = self.kept.insert((finding.rule.code, finding.key.clone()));
        if is_first || is_new {
            self.recorder.keep(Occasion {
                code: finding.rule.code.to_owned(),
                name: finding.rule.name.to_owned(),
                key: finding.key.parts().map(|(name, value)| (name.to_owned(), value.to_string())).collect(),
                headline: finding.headline.clone(),
                opened: finding.last,
            });
        }
    }
}
