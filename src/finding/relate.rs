//! Which finding explains which (findings.md, part K). Run once, over all findings, when the books are closed.

use super::{Finding, State};

/// One relation: a finding of code `root` explains one of code `symptom` when the named parts of their keys agree.
struct Relation {
    root: &'static str,
    symptom: &'static str,
    shared: &'static [&'static str],
}

/// The relations whose codes exist, in the order in which ties are decided.
///
/// R1 is turned round against the catalogue's table: the overflow is what an operator must hear of, and an exit code that
/// counts roots must count it; the stacked VLAN stands under it as its precondition and the overflow's causes name it.
const RELATIONS: &[Relation] = &[
    Relation { root: "MTU001", symptom: "VLAN001", shared: &["interface", "outer"] },
    // A client asks everybody because its own server did not answer, or because it did not hear the answer.
    Relation { root: "DHCP004", symptom: "DHCP006", shared: &["client"] },
    Relation { root: "DHCP005", symptom: "DHCP006", shared: &["client"] },
    Relation { root: "STP001", symptom: "STP008", shared: &["mac"] },
];

/// Links causes to effects, numbers the findings, and puts them in the order of the report: roots by severity and confidence,
/// then by first evidence; each followed by what it explains.
pub fn relate(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.first, a.rule.code, &a.key).cmp(&(b.first, b.rule.code, &b.key)));
    for (id, finding) in (1..).zip(findings.iter_mut()) {
        finding.id = id;
    }
    for relation in RELATIONS {
        let roots: Vec<_> = findings.iter().filter(|f| f.rule.code == relation.root).cloned().collect();
        for symptom in findings.iter_mut().filter(|f| f.rule.code == relation.symptom && f.explained_by.is_none()) {
            symptom.explained_by = roots.iter().find(|root| relation.holds(root, symptom)).map(|root| root.id);
        }
    }
    let links: Vec<_> = findings.iter().filter_map(|f| Some((f.explained_by?, f.id))).collect();
    for root in &mut findings {
        root.explains = links.iter().filter(|(by, _)| *by == root.id).map(|(_, id)| *id).collect();
    }
    in_order(findings)
}

impl Relation {
    fn holds(&self, root: &Finding, symptom: &Finding) -> bool {
        // A cause that is over does not explain what still holds.
        (root.state == State::Open || symptom.state == State::Resolved)
            && self
                .shared
                .iter()
                .all(|part| root.key.part(part).is_some() && root.key.part(part) == symptom.key.part(part))
    }
}

fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let rank = |f: &Finding| (std::cmp::Reverse((f.severity, f.confidence)), f.first, f.id);
        rank(a).cmp(&rank(b))
    });
    let (roots, mut symptoms): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.explained_by.is_none());
    let mut ordered = Vec::new();
    for root in roots {
        let id = root.id;
        ordered.push(root);
        let (mine, rest) = symptoms.into_iter().partition(|s| s.explained_by == Some(id));
        ordered.extend::<Vec<_>>(mine);
        symptoms = rest;
    }
    // A symptom of a symptom stands at the end rather than nowhere.
    ordered.extend(symptoms);
    ordered
}
