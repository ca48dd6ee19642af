//! Stories with real daemons, scene by scene: what must be told, when it is over, and that the review of a recording comes to the same.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{json, uml};

/// What a scene of a story with daemons must tell, and what else may be told as the moments fall: what follows from it, or what it follows from.
pub type Truth = fn(&str) -> (&'static [&'static str], &'static [&'static str]);

/// Tells a story: in each scene what must be told is told while it happens and over once it is mended, nothing that is not true is told
/// beside it, and the review of the recording comes to the same.
pub fn check(story: &str, truth: Truth) {
    let folder = uml::boot(story);
    let scenes = fs::read_to_string(folder.join("scenes")).unwrap();
    for scene in scenes.lines() {
        let changes = fs::read_to_string(folder.join(format!("{scene}.changes"))).unwrap();
        let (mut opened, mut over) = told(&changes);
        let (must, may) = truth(scene);
        let headlines: Vec<Value> = changes.lines().map(|line| json(line)["finding"]["headline"].clone()).collect();
        opened.retain(|code| !may.contains(&code.as_str()));
        over.retain(|code| !may.contains(&code.as_str()));
        // A second server is over when it was silent for ten minutes, which no story waits for.
        let ended: Vec<&str> = must.iter().copied().filter(|code| *code != "DHCP015").collect();
        assert_eq!(opened, must, "{scene}: {headlines:#?}");
        assert_eq!(over, ended, "{scene}: {headlines:#?}");
        let review = json(&fs::read_to_string(folder.join(format!("{scene}.json"))).unwrap());
        let last: BTreeMap<String, [Value; 3]> = changes.lines().map(|line| came_to(&json(line)["finding"])).collect();
        let again: BTreeMap<String, [Value; 3]> = review["findings"].as_array().unwrap().iter().map(came_to).collect();
        assert_eq!(last, again, "{scene}: live, and the review of its recording");
        let strays = unrelated(&review, must);
        assert_eq!(strays, Vec::<&str>::new(), "{scene}: told beside what happened, and not because of it");
    }
}

/// What holds in any scene, whatever happens in it: the leases of the stories are short.
const ALWAYS: &[&str] = &["DHCP013"];

/// The codes in a report that neither follow from one of `must` nor explain one; facts that are no fault are left out.
pub fn unrelated<'a>(report: &'a Value, must: &[&str]) -> Vec<&'a str> {
    let findings = report["findings"].as_array().unwrap();
    let told: Vec<&str> = findings.iter().filter(|f| must.contains(&code(f))).map(|f| root(f, findings)).collect();
    let is_fault = |f: &&Value| f["severity"] != "info" && !ALWAYS.contains(&code(f));
    findings.iter().filter(is_fault).filter(|f| !told.contains(&root(f, findings))).map(code).collect()
}

fn code(finding: &Value) -> &str {
    finding["code"].as_str().unwrap()
}

/// The code of what explains the finding and is explained by nothing, or its own.
fn root<'a>(finding: &'a Value, findings: &'a [Value]) -> &'a str {
    let by = findings.iter().find(|f| finding["explained_by"] == f["code"]);
    by.map_or(code(finding), |by| root(by, findings))
}

/// What a finding came to, by its code and key.
fn came_to(finding: &Value) -> (String, [Value; 3]) {
    let what = ["severity", "confidence", "state"].map(|part| finding[part].clone());
    (format!("{} {}", finding["code"], finding["key"]), what)
}

/// The codes that were opened in a scene, and those of them that were over at its end; facts that are no fault are left out.
pub fn told(changes: &str) -> (Vec<String>, Vec<String>) {
    let (mut opened, mut over) = (Vec::new(), Vec::new());
    for change in changes.lines().map(json) {
        let finding = &change["finding"];
        let code = finding["code"].as_str().unwrap().to_owned();
        match change["change"].as_str().unwrap() {
            _ if finding["severity"] == "info" => {}
            "opened" | "reopened" => opened.push(code),
            "resolved" => over.push(code),
            _ => {}
        }
    }
    (opened, over)
}
