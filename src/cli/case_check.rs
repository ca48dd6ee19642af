//! The truth of a case, `findings.toml`, and where a report differs from it. The truth is complete: no more, no less.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::finding::{Confidence, Finding, Report, Severity, State};

/// What a person says must be found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// The findings, in any order.
    #[serde(default, rename = "finding")]
    pub findings: Vec<Expected>,
}

/// One finding that must be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its code.
    pub code: String,
    /// How sure it must be.
    pub level: Confidence,
    /// How bad.
    pub severity: Severity,
    /// Whether it still holds at the end.
    pub state: State,
    /// Parts of its key.
    #[serde(default)]
    pub key: BTreeMap<String, String>,
    /// Frames that it must cite, as `bond0#3`.
    #[serde(default)]
    pub frames: Vec<String>,
    /// The code of the finding that explains it.
    pub explained_by: Option<String>,
}

/// Where `report` differs from `truth`, one sentence each; empty if it does not.
pub fn differences(truth: &Truth, report: &Report) -> Vec<String> {
    let mut found: Vec<&Finding> = report.findings.iter().collect();
    let mut differences = Vec::new();
    for expected in &truth.findings {
        match found.iter().position(|finding| expected.is_about(finding)) {
            Some(at) => differences.extend(expected.compare(found.remove(at), report)),
            None => differences.push(format!(
                "missing: {} {:?} {}/{}",
                expected.code, expected.key, expected.level, expected.severity
            )),
        }
    }
    differences.extend(found.iter().map(|f| {
        let key: Vec<String> = f.key.parts().map(|(name, value)| format!("{name}={value}")).collect();
        format!("not expected: {} {} {}/{}: {}", f.rule.code, key.join(" "), f.confidence, f.severity, f.headline)
    }));
    differences
}

impl Expected {
    fn is_about(&self, finding: &Finding) -> bool {
        finding.rule.code == self.code && self.key.iter().all(|(name, value)| finding.key.part(name) == Some(value))
    }

    fn compare(&self, finding: &Finding, report: &Report) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |what: &str, want: &str, have: &str| {
            if want != have {
                differences.push(format!("{} {:?}: {what} is {have}, and should be {want}", self.code, self.key));
            }
        };
        differ("level", &self.level.to_string(), &finding.confidence.to_string());
        differ("severity", &self.severity.to_string(), &finding.severity.to_string());
        differ("state", &format!("{:?}", self.state), &format!("{:?}", finding.state));
        let by = finding.explained_by.and_then(|id| report.findings.iter().find(|f| f.id == id)).map(|f| f.rule.code);
        differ("explained_by", self.explained_by.as_deref().unwrap_or("none"), by.unwrap_or("none"));
        let cited: Vec<String> = finding
            .evidence
            .iter()
            .filter_map(|c| Some(format!("{}#{}", report.vantage(c.at.vantage)?.name, c.at.number)))
            .collect();
        for frame in self.frames.iter().filter(|frame| !cited.contains(frame)) {
            differences.push(format!(
                "{} {:?}: frame {frame} is not cited; cited are {}",
                self.code,
                self.key,
                cited.join(" ")
            ));
        }
        differences
    }
}
