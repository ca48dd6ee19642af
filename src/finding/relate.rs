//! Which finding explains which (findings.md, part K). Run once, over all findings, when the books are closed.

use super::relations::{RELATIONS, Relation, When};
use super::{Finding, Number, State};
use crate::value::Span;

/// Links causes to effects, numbers the findings, and puts them in the order of the report: roots by severity and confidence,
/// then by first evidence; each followed by what it explains.
pub fn relate(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.first, a.rule.code, &a.key).cmp(&(b.first, b.rule.code, &b.key)));
    for (id, finding) in (1..).zip(findings.iter_mut()) {
        finding.id = id;
    }
    for relation in RELATIONS {
        let roots = of_code(&findings, relation.root);
        for symptom in relation.symptoms.iter().flat_map(|code| of_code(&findings, code)).collect::<Vec<_>>() {
            let is_root = |root: &&usize| explains(relation, **root, symptom, &findings);
            let root = roots.iter().find(is_root).and_then(|root| findings.get(*root)).map(|root| root.id);
            if let Some(symptom) = findings.get_mut(symptom) {
                symptom.explained_by = symptom.explained_by.or(root);
            }
        }
    }
    let links: Vec<_> = findings.iter().filter_map(|f| Some((f.explained_by?, f.id))).collect();
    for root in &mut findings {
        root.explains = links.iter().filter(|(by, _)| *by == root.id).map(|(_, id)| *id).collect();
    }
    in_order(findings)
}

/// Places of all findings of this code.
fn of_code(findings: &[Finding], code: &str) -> Vec<usize> {
    findings.iter().enumerate().filter(|(_, f)| f.rule.code == code).map(|(at, _)| at).collect()
}

/// Whether the relation holds between two findings, of which the symptom is explained by nothing yet, and does not explain the root.
fn explains(relation: &Relation, root: usize, symptom: usize, all: &[Finding]) -> bool {
    let (Some(root), Some(symptom)) = (all.get(root), all.get(symptom)) else { return false };
    symptom.explained_by.is_none() && relation.holds(root, symptom) && !is_under(root, symptom.id, all)
}

impl Relation {
    fn holds(&self, root: &Finding, symptom: &Finding) -> bool {
        // A cause that is over does not explain what was seen after it.
        let is_after = root.resolved.is_some_and(|over| symptom.last > over);
        let is_same = |(ours, theirs): &(&str, &str)| {
            part(root, ours).is_some_and(|of_root| part(symptom, theirs) == Some(of_root))
        };
        let is_then = match self.when {
            When::Ever => true,
            When::Later => symptom.first >= root.first,
            When::During => root.first <= symptom.last && root.resolved.is_none_or(|over| over >= symptom.first),
            When::Behind(before, after) => {
                root.uplink.is_some()
                    && root.uplink == symptom.uplink
                    && symptom.first >= root.first.after(Span::secs(before).times(-1))
                    && symptom.first <= root.first.after(Span::secs(after))
            }
        };
        (root.state == State::Open || symptom.state == State::Resolved || !is_after)
            && self.shared.iter().all(is_same)
            && is_then
    }
}

/// Whether `finding` is the one called `id`, or explained by it, by however many steps.
fn is_under(finding: &Finding, id: u32, all: &[Finding]) -> bool {
    finding.id == id
        || finding
            .explained_by
            .and_then(|above| all.iter().find(|f| f.id == above))
            .is_some_and(|above| is_under(above, id, all))
}

/// What a finding says of itself under this name: in its key, or among what was measured.
fn part<'a>(finding: &'a Finding, name: &str) -> Option<&'a str> {
    let measured = || {
        finding.numbers.iter().find_map(|(n, number)| match number {
            Number::Words(words) if *n == name => Some(words.as_str()),
            _ => None,
        })
    };
    finding.key.part(name).or_else(measured)
}

/// Roots by rank, each followed by what it explains, and that by what it explains in turn.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let rank = |f: &Finding| (std::cmp::Reverse((f.severity, f.confidence)), f.first, f.id);
        rank(a).cmp(&rank(b))
    });
    let (roots, mut symptoms): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.explained_by.is_none());
    let mut ordered = Vec::new();
    for root in roots {
        place(root, &mut symptoms, &mut ordered);
    }
    ordered.extend(symptoms);
    ordered
}

/// A finding, then each that it explains with those that these explain.
fn place(finding: Finding, symptoms: &mut Vec<Finding>, ordered: &mut Vec<Finding>) {
    let id = finding.id;
    ordered.push(finding);
    let (mine, rest): (Vec<_>, Vec<_>) = std::mem::take(symptoms).into_iter().partition(|s| s.explained_by == Some(id));
    *symptoms = rest;
    for symptom in mine {
        place(symptom, symptoms, ordered);
    }
}
