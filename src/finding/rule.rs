//! A rule: the code, the name, the levels it may have, and its page.

use super::{Confidence, Severity};

/// One rule of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The family's prefix and three digits; never reused.
    pub code: &'static str,
    /// What is seen, so that "netdiag found NAME" is English.
    pub name: &'static str,
    /// The pairs of confidence and severity that it may have.
    pub levels: &'static [(Confidence, Severity)],
    /// Its page, as Markdown.
    pub page: &'static str,
}

impl Rule {
    /// The first sentence of the page: what the rule says in one line.
    pub fn summary(&self) -> &'static str {
        let body = self.page.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
        body.take(1).next().unwrap_or("")
    }

    /// Whether a finding of this rule may be that sure and that bad.
    pub fn permits(&self, confidence: Confidence, severity: Severity) -> bool {
        self.levels.contains(&(confidence, severity))
    }

    /// The severity of what would be that sure, were its capture not in doubt; `None` where doubt changes nothing.
    pub fn severity_in_doubt(&self, confidence: Confidence) -> Option<Severity> {
        let likely = self.levels.iter().filter(|(c, _)| *c == Confidence::Likely && confidence > *c);
        likely.map(|(_, severity)| *severity).max()
    }

    /// The worst severity that it may have.
    pub fn worst(&self) -> Severity {
        self.levels.iter().map(|(_, severity)| *severity).max().unwrap_or(Severity::Info)
    }
}
