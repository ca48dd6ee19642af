//! Every rule is complete: its code, its name, its page, its levels, a case that raises each, and a healthy twin that stays silent.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use netdiag::cli::Truth;
use netdiag::detect::{FAMILIES, entries};
use netdiag::finding::{Severity, relations};

/// The headings of a page, in order.
const HEADINGS: &[&str] = &[
    "## What it means",
    "## What you will notice",
    "## How netdiag knows",
    "## What to do",
    "## When it is wrong",
    "## References",
];

fn truth(case: &Path) -> Truth {
    toml::from_str(&fs::read_to_string(case.join("findings.toml")).unwrap()).unwrap()
}

fn page_file(prefix: &str, name: &str) -> PathBuf {
    let family = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detect").join(prefix.to_lowercase());
    family.join(format!("{}.md", name.replace('-', "_")))
}

#[test]
fn codes_are_the_familys_and_unique() {
    let mut seen = BTreeSet::new();
    for family in FAMILIES {
        for entry in family.entries {
            let digits = entry.rule.code.strip_prefix(family.prefix).unwrap_or_default();
            assert!(digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit()), "{}", entry.rule.code);
            assert!(seen.insert(entry.rule.code), "{} twice", entry.rule.code);
            assert!(seen.insert(entry.rule.name), "{} twice", entry.rule.name);
        }
    }
    assert!(seen.len() > 2, "no rule at all");
}

#[test]
fn every_rule_has_its_file_and_its_page() {
    for family in FAMILIES {
        for entry in family.entries {
            let rule = &entry.rule;
            let file = page_file(family.prefix, rule.name);
            assert!(
                file.with_extension("rs").is_file(),
                "{}: no file {}",
                rule.code,
                file.with_extension("rs").display()
            );
            assert_eq!(
                fs::read_to_string(&file).ok().as_deref(),
                Some(rule.page),
                "{}: its page is {}",
                rule.code,
                file.display()
            );
            assert!(
                rule.page.starts_with(&format!("# {} {}\n", rule.code, rule.name)),
                "{}: the page's title",
                rule.code
            );
            let headings: Vec<&str> = rule.page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(headings, HEADINGS, "{}: the page's headings", rule.code);
            assert!(rule.summary().len() > 20, "{}: the page's first sentence", rule.code);
        }
    }
}

#[test]
fn every_level_is_raised_by_a_case() {
    let truths: Vec<Truth> = support::cases_below(&support::captures()).iter().map(|case| truth(case)).collect();
    let mut missing = Vec::new();
    for entry in entries() {
        for (confidence, severity) in entry.rule.levels {
            let mut findings = truths.iter().flat_map(|t| &t.findings);
            if !findings.any(|f| f.code == entry.rule.code && f.level == *confidence && f.severity == *severity) {
                missing.push(format!("{} {confidence}/{severity}", entry.rule.code));
            }
        }
    }
    assert!(missing.is_empty(), "no case raises {}", missing.join(", "));
}

/// Relations that no case shows yet: they are right by what the two rules say, and nobody has seen them at work.
const UNSHOWN: &[(&str, &[&str])] = &[
    ("MTU001", &["MTU006"]),
    ("MTU005", &["MTU003"]),
    ("VLAN002", &["ARP002"]),
    ("IP003", &["IP002", "IP001"]),
    ("TCP004", &["TCP001"]),
    ("STP011", &["STP002"]),
    ("STP001", &["HOST001"]),
    ("VLAN003", &["ARP003"]),
    ("VLAN009", &["DHCP015", "ARP001"]),
    ("L2001", &["L2002", "L2003", "L2004", "L2005", "STP005", "STP012"]),
    ("STP002", &["HOST004", "LACP003"]),
    ("HOST005", &["HOST003"]),
    ("HOST004", &["HOST002", "STP013"]),
    ("HOST003", &["DHCP003", "DHCP004", "DHCP006", "ARP003", "TCP001", "IP002", "STP013"]),
];

/// What explains what is shown by a case, or named above; the list only becomes shorter.
#[test]
fn every_relation_is_shown_by_a_case() {
    let codes: BTreeSet<&str> = entries().map(|entry| entry.rule.code).collect();
    let truths: Vec<Truth> = support::cases_below(&support::captures()).iter().map(|case| truth(case)).collect();
    let shown: BTreeSet<(&str, &str)> = truths
        .iter()
        .flat_map(|truth| &truth.findings)
        .filter_map(|finding| Some((finding.explained_by.as_deref()?, finding.code.as_str())))
        .collect();
    let unshown: BTreeSet<(&str, &str)> = relations()
        .filter(|(root, symptom)| codes.contains(root) && codes.contains(symptom))
        .filter(|pair| !shown.contains(pair))
        .collect();
    let listed: BTreeSet<(&str, &str)> =
        UNSHOWN.iter().flat_map(|(root, symptoms)| symptoms.iter().map(|symptom| (*root, *symptom))).collect();
    let new: Vec<_> = unshown.difference(&listed).collect();
    assert!(new.is_empty(), "no case shows what explains what in {new:?}");
    let stale: Vec<_> = listed.difference(&unshown).collect();
    assert!(stale.is_empty(), "shown by now, or no relation any more: {stale:?}");
}

#[test]
fn healthy_cases_hold_nothing_worse_than_a_warning_about_the_network_as_it_is() {
    for case in support::cases_below(&support::captures().join("healthy")) {
        for finding in truth(&case).findings {
            // Two 0x8100 tags are a warning even where the packets fit: nothing else on a healthy network may be.
            let is_allowed = finding.severity == Severity::Info
                || (finding.code == "VLAN001" && finding.severity == Severity::Warning);
            assert!(is_allowed, "{}: {} {}", case.display(), finding.code, finding.severity);
        }
    }
}

#[test]
fn no_detector_fails_on_any_capture_we_have() {
    let mut files = support::files_below(&support::captures());
    files.extend(support::public_captures().map(|folder| support::files_below(&folder)).unwrap_or_default());
    for file in files {
        let report = support::review(&[&file]);
        assert_eq!(report.lost.internal_errors, 0, "{}", file.display());
    }
}

/// What trackers conclude is concluded for somebody. That no detector waits for ever is asserted where deadlines fire, in the
/// engine, and holds for every capture that any test here judges.
#[test]
fn every_conclusion_is_heard() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let world = fs::read_to_string(source.join("world/derived.rs")).unwrap();
    let (_, conclusions) = world.split_once("pub enum Derived {").unwrap();
    let (conclusions, _) = conclusions.split_once("\n}").unwrap();
    let names: Vec<&str> = conclusions
        .lines()
        .filter_map(|line| line.strip_prefix("    ").filter(|l| l.starts_with(|c: char| c.is_ascii_uppercase())))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .collect();
    assert!(names.contains(&"Dhcp"), "{names:?}");
    let detectors: String =
        support::sources(&source.join("detect")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let is_heard = |name: &&&str| detectors.contains(&format!("Derived::{name}"));
    let unheard: Vec<_> = names.iter().filter(|name| !is_heard(name)).collect();
    assert!(unheard.is_empty(), "nobody hears {unheard:?}");
}

/// A rule that names a conclusion is told of it: its entry follows the topic.
#[test]
fn every_rule_follows_what_it_names() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let world = fs::read_to_string(source.join("world/derived.rs")).unwrap();
    // Each arm tells the topic of some conclusions: `Self::Silent(..) | Self::Restored(..) => Topic::Uplink,`, or that of a DHCP message by its kind.
    let (_, arms) = world.split_once("pub fn topic(").unwrap();
    let parts: Vec<&str> = arms.split("Topic::").collect();
    let name = |text: &str| text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    let topics: Vec<(&str, String)> = parts.windows(2).map(|pair| (pair[0], name(pair[1]))).collect();
    for (family, entry) in FAMILIES.iter().flat_map(|family| family.entries.iter().map(move |entry| (family, entry))) {
        let file = page_file(family.prefix, entry.rule.name).with_extension("rs");
        let text = fs::read_to_string(&file).unwrap();
        let named = |what: &str| text.split(what).skip(1).map(name).collect::<BTreeSet<String>>();
        let is_of = |arm: &str, name: &str| ["(", " "].iter().any(|end| arm.contains(&format!("{name}{end}")));
        let of = |name: String| topics.iter().find(|(arm, _)| is_of(arm, &name)).map(|(_, topic)| topic.clone());
        let mut conclusions = named("Derived::");
        let hears_dhcp = conclusions.remove("Dhcp");
        let wanted: BTreeSet<String> = conclusions.iter().map(|name| of(format!("Self::{name}")).unwrap()).collect();
        let follows = entry.follows.iter().map(|topic| format!("{topic:?}"));
        let (messages, others): (BTreeSet<String>, _) = follows.partition(|topic| MESSAGES.contains(&topic.as_str()));
        assert_eq!(others, wanted, "{}", file.display());
        // Of DHCP it follows the kinds that it names, and perhaps others, of which it asks the world.
        let kinds = named("DhcpKind::").into_iter().filter(|_| hears_dhcp);
        let kinds: BTreeSet<String> =
            kinds.map(|kind| of(format!("DhcpKind::{kind}")).unwrap_or_else(|| "OtherDhcp".to_owned())).collect();
        assert!(kinds.is_subset(&messages), "{} names {kinds:?} and follows {messages:?}", file.display());
        assert_eq!(hears_dhcp, !messages.is_empty(), "{}", file.display());
    }
}

/// The topics of DHCP's messages.
const MESSAGES: [&str; 6] = ["Discover", "Offer", "Request", "Ack", "Nak", "OtherDhcp"];

/// The README's table of rules, as the list of rules makes it.
fn table() -> String {
    let mut table = String::from("| code | name | at worst | what it says |\n|---|---|---|---|\n");
    for entry in entries() {
        let rule = &entry.rule;
        table.push_str(&format!("| {} | {} | {} | {} |\n", rule.code, rule.name, rule.worst(), rule.summary()));
    }
    table
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for a new table, not a capture")]
fn the_readme_lists_every_rule() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once("<!-- rules:").unwrap();
    let (mark, rest) = rest.split_once("-->\n").unwrap();
    let (have, after) = rest.split_once("<!-- end of rules -->").unwrap();
    if std::env::var("NETDIAG_BLESS").is_ok() {
        fs::write(&file, format!("{before}<!-- rules:{mark}-->\n{}<!-- end of rules -->{after}", table())).unwrap();
        return;
    }
    assert_eq!(have, table(), "NETDIAG_BLESS=1 writes it anew");
}
