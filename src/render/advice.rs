//! What is likely and what to try: said in full once. A hundred findings of one rule mostly want the same done, and whoever looks for what
//! differs between them should not have to search for it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::lines::{BOLD, labelled};
use crate::finding::{Cause, Finding, Step};

/// Findings of one rule whose advice is compared with that of the next ones.
const COMPARED: usize = 8;

/// What was said so far, by the code of the rule.
#[derive(Default)]
pub(super) struct Advice<'a> {
    said: BTreeMap<&'static str, Vec<&'a Finding>>,
}

impl<'a> Advice<'a> {
    /// Says what is likely and what to try about `finding`, or with which rule that stands above.
    pub(super) fn say(&mut self, out: &mut String, indent: &str, finding: &'a Finding, width: usize) {
        let (code, Finding { causes, remedy, .. }) = (finding.rule.code, finding);
        let said = self.said.entry(code).or_default();
        let are_causes_said = said.iter().any(|one| one.causes == *causes);
        let is_remedy_said = said.iter().any(|one| one.remedy == *remedy);
        let above = format!("as above with {code}");
        match causes.as_slice() {
            [_, ..] if are_causes_said => labelled(out, indent, "Likely", &above, width),
            causes => say_causes(out, indent, causes, width),
        }
        match remedy.as_slice() {
            [_, ..] if is_remedy_said => labelled(out, indent, "Try", &above, width),
            remedy => say_remedy(out, indent, remedy, width),
        }
        if !(are_causes_said && is_remedy_said) && said.len() < COMPARED {
            said.push(finding);
        }
    }
}

fn say_causes(out: &mut String, indent: &str, causes: &[Cause], width: usize) {
    for (at, cause) in causes.iter().enumerate() {
        labelled(out, indent, if at == 0 { "Likely" } else { "" }, &cause.0, width);
    }
}

fn say_remedy(out: &mut String, indent: &str, remedy: &[Step], width: usize) {
    for (at, step) in remedy.iter().enumerate() {
        labelled(out, indent, if at == 0 { "Try" } else { "" }, &step.what, width);
        // A command is copied, so it is never parted.
        for line in step.command.as_str().lines() {
            let _ = writeln!(out, "{indent}            {BOLD}{line}{BOLD:#}");
        }
    }
}
