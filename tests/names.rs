//! Names from captures and hosts are hostile: whatever an interface is called, no line of a report is one of its own making, and a command
//! that is pasted into a shell runs nothing that netdiag did not write.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use netdiag::event::Record;
use netdiag::finding::Report;
use netdiag::pcapng::{self, Described, Packet};
use netdiag::render;
use netdiag::source::{Case, Step, lane, open};
use netdiag::value::Outside;

/// What stands behind the beginning of an interface's name, which says what it is; the kernel allows most of it.
const TAILS: &[&str] = &[";reboot", "$(reboot)", "`reboot`", "'\"reboot", "|reboot #", "\nreboot", "\u{1b}[2Jreboot"];

/// `name` with `tail` for its end: `bond0` becomes `bond0;reboot`.
fn hostile(name: &str, tail: &str) -> String {
    name.chars().take(5).collect::<String>() + tail
}

/// The capture at `from` as pcapng, every interface of it called otherwise; and how they were called before.
fn renamed(from: &Path, tail: &str) -> (Vec<u8>, Vec<String>) {
    let stem = from.file_name().unwrap().to_string_lossy();
    let stem = stem.split(".pcap").next().unwrap().to_owned();
    let mut source = open(from).unwrap();
    let (mut out, mut before) = (Vec::new(), Vec::new());
    pcapng::section(&mut out, "");
    while let Ok(Step::Record) = source.advance() {
        for interface in source.interfaces().iter().skip(before.len()) {
            let name = interface.name.as_ref().map_or(stem.as_str(), Outside::raw);
            before.push(name.to_owned());
            let (link, snap_len, tells_offload) = (interface.link, interface.snap_len, interface.tells_offload);
            let (name, description, filter) = (&*hostile(name, tail), "", "");
            pcapng::interface(&mut out, &Described { name, description, link, snap_len, filter, tells_offload });
        }
        let Record { interface, time, wire_len, direction, offload, bytes, .. } = source.record();
        let tells_offload = source.interfaces()[interface as usize].tells_offload;
        let comments = &[];
        pcapng::packet(
            &mut out,
            &Packet { interface, time, wire_len, direction, offload, tells_offload, bytes, comments },
        );
    }
    (out, before)
}

/// The report of the case in `folder`, every interface of it called otherwise.
fn judged(folder: &Path, tail: &str, scratch: &Path) -> Report {
    let mut case = Case::default();
    let mut facts = fs::read_to_string(folder.join("host.jsonl")).unwrap_or_default();
    // Devices that need not have been captured.
    let mut names = BTreeSet::from(["vlan20".to_owned(), "bond0".to_owned(), "br100".to_owned()]);
    for (at, file) in support::files_below(folder).iter().enumerate() {
        let (bytes, before) = renamed(file, tail);
        let copy = scratch.join(format!("{at}.pcapng"));
        fs::write(&copy, bytes).unwrap();
        case.lanes.push(lane(&copy));
        names.extend(before);
    }
    for name in names {
        facts = facts.replace(&format!("\"{name}\""), &serde_json::to_string(&hostile(&name, tail)).unwrap());
    }
    let host = scratch.join("host.jsonl");
    fs::write(&host, facts).unwrap();
    case.add_host(&host).unwrap();
    support::judged(case)
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn no_name_breaks_out_of_a_line_a_command_or_a_filter() {
    let scratch = scratch();
    let (mut pasted, mut in_filters) = (BTreeSet::new(), 0);
    for (at, folder) in support::cases_below(&support::captures()).into_iter().enumerate() {
        // Two of them for each case: all of them for each rule's kind of case.
        for tail in TAILS.iter().cycle().skip(at).take(2) {
            let report = judged(&folder, tail, &scratch);
            let texts = [render::report_text(&report, 80), render::report_json(&report).unwrap()];
            for text in &texts {
                assert!(text.lines().all(|line| !line.starts_with("reboot")), "{}: {text}", folder.display());
                // Our own escapes are colours.
                assert!(!text.contains("\u{1b}[2J"), "{}: {text}", folder.display());
            }
            for finding in &report.findings {
                let filter = format!("tshark -Y '{}'", finding.filter);
                let commands = finding.remedy.iter().map(|step| step.command.as_str().to_owned());
                pasted.extend(commands.filter(|command| command.contains("reboot")));
                in_filters += usize::from(filter.contains("reboot"));
                pasted.extend(Some(filter).filter(|filter| filter.contains("reboot")));
            }
        }
    }
    assert!(pasted.len() > 10 && in_filters > 0, "hardly any command names an interface: {pasted:?}");
    for command in pasted {
        // Without any program to be found, a shell says what it would have run.
        let mut shell = Command::new("/bin/sh");
        let said = shell.args(["-c", &command]).env_clear().env("PATH", "/nonexistent").current_dir(&scratch);
        let said = String::from_utf8_lossy(&said.output().unwrap().stderr).into_owned();
        let has_run = said.lines().any(|line| line.contains(": reboot: "));
        assert!(!has_run && !said.contains("yntax error") && !said.contains("nterminated"), "{command}\n{said}");
    }
}
