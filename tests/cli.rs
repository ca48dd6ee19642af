//! The binary itself: exit codes, formats, a reader that goes away, files that cannot be read.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn netdiag(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netdiag")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn case(name: &str) -> String {
    support::captures().join(name).to_string_lossy().into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_healthy_capture_is_clean() {
    let output = netdiag(&["review", &case("healthy/lab-single-vlan")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("frames read: "));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_file_that_is_not_there_is_one_sentence_and_the_others_are_judged() {
    let good = case("healthy/full-size-in-one-tag/bond0.pcap");
    let output = netdiag(&["review", "--together", "no-such.pcap", &good]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "netdiag: no-such.pcap: there is no such file\n");
    assert!(!stdout(&output).contains("frames read: 0"));
}

#[test]
fn a_damaged_file_gives_what_was_whole_and_exit_2() {
    let good = std::fs::read(case("healthy/full-size-in-one-tag/bond0.pcap")).unwrap();
    let cut = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cut.pcap");
    std::fs::write(&cut, &good[..good.len() - 1]).unwrap();
    let output = netdiag(&["review", &cut.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cut.pcap: record "), "{}", stderr(&output));
    assert!(stdout(&output).contains("damaged: "));
}

#[test]
fn standard_input_is_a_file_too() {
    let file = std::fs::File::open(case("healthy/full-size-in-one-tag/bond0.pcap")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_netdiag")).args(["review", "-"]).stdin(file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_is_not_trouble() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netdiag"))
        .args(["review", &case("healthy/lab-single-vlan")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn json_is_the_contract() {
    let output = netdiag(&["review", "--format", "json", &case("healthy/lab-single-vlan")]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "netdiag.report/1");
    for key in ["inputs", "tally", "findings", "pending", "neighbours", "trees", "not_checked", "lost"] {
        assert!(!report[key].is_null(), "{key}");
    }
    for key in [
        "frames",
        "bytes",
        "cut",
        "vlan",
        "dhcp",
        "stp",
        "arp",
        "lacp",
        "lldp",
        "icmp_frag_needed",
        "icmpv6_packet_too_big",
        "stops",
    ] {
        assert!(!report["tally"][key].is_null(), "tally.{key}");
    }
}

#[test]
fn captures_whose_times_are_far_apart_are_judged_each_on_its_own() {
    let (a, b) = (case("healthy/full-size-in-one-tag/bond0.pcap"), case("healthy/lab-single-vlan/bond0.pcap"));
    if !Path::new(&b).is_file() {
        panic!("the case has moved");
    }
    let together = stdout(&netdiag(&["review", "--together", &a, &b]));
    let apart = stdout(&netdiag(&["review", &a, &b]));
    assert_eq!(together.matches("frames read: ").count(), 1);
    assert_eq!(apart.matches("frames read: ").count(), 2);
}

#[test]
fn bare_packets_show_no_spanning_tree_and_cooked_ones_may() {
    // Little-endian pcap 2.4 with this link type, and one packet of 20 bytes: IPv4 of protocol 59, which carries nothing.
    let checked = |link: u8, header: &[u8]| {
        let packet = [header, &[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 5, 10, 0, 0, 9]].concat();
        let length = u8::try_from(packet.len()).unwrap();
        let lengths = [length, 0, 0, 0, length, 0, 0, 0];
        let magic = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, link, 0, 0, 0];
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("link-{link}.pcap"));
        std::fs::write(&path, [&magic[..], &[1, 0, 0, 0, 0, 0, 0, 0], &lengths, &packet].concat()).unwrap();
        let output = netdiag(&["review", "--format", "json", path.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["tally"]["frames"], 1);
        let not_checked = report["not_checked"].as_array().unwrap();
        let is_hidden = |code: &str| not_checked.iter().any(|not| not["code"] == code);
        (!is_hidden("STP001"), !is_hidden("VLAN001"))
    };
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 5, 0, 0, 8, 0];
    assert_eq!(checked(101, &[]), (false, false));
    assert_eq!(checked(113, &cooked), (true, false));
    assert_eq!(checked(1, &[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 5, 8, 0]), (true, true));
}

#[test]
fn bad_usage_is_one_clear_sentence() {
    let output = netdiag(&["explain", "NOPE001"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "netdiag: there is no finding NOPE001; `netdiag explain` lists all\n");
    assert_eq!(netdiag(&["review"]).status.code(), Some(2));
}

#[test]
fn a_remedy_is_printed_alone() {
    let output = netdiag(&["explain", "STP001", "--remedy", "nft"]);
    let lines = stdout(&output);
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.starts_with("add table bridge netdiag\n") && lines.contains("01:80:c2:00:00:00"));
    let none = netdiag(&["explain", "STP006", "--remedy", "nft"]);
    assert_eq!(
        (none.status.code(), stderr(&none).as_str()),
        (Some(2), "netdiag: the page of STP006 has no remedy for nft\n")
    );
}

#[test]
fn an_inventory_names_addresses_and_a_strange_line_is_refused_by_number() {
    let inventory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("inventory.csv");
    std::fs::write(&inventory, "mac,name\nfa:16:3e:12:34:56,web-01\nnonsense\n").unwrap();
    let inventory = inventory.to_string_lossy().into_owned();
    let output = netdiag(&["review", "--inventory", &inventory, &case("stp/guest-bpdu-on-bond0")]);
    assert!(stdout(&output).contains("fa:16:3e:12:34:56 (web-01)"), "{}", stdout(&output));
    assert!(stderr(&output).contains("inventory.csv: line 3: "), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_list_of_leases_is_read_and_a_strange_line_refused_by_number() {
    let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dnsmasq.leases");
    std::fs::write(&list, "1793614200 fa:16:3e:12:34:56 10.20.0.15 * *\n600 fa:16:3e:22:00:02 10.20.0.16 * *\n")
        .unwrap();
    let capture = case("dhcp/listed-lease-ended-unanswered/bond0.pcap");
    let without = netdiag(&["review", &capture]);
    assert!(!stdout(&without).contains("its lease ended at 10:10:00"), "{}", stdout(&without));
    let output = netdiag(&["review", "--leases", &list.to_string_lossy(), &capture]);
    assert!(stdout(&output).contains("its lease ended at 10:10:00"), "{}", stdout(&output));
    assert!(stderr(&output).contains("dnsmasq.leases: line 2: its end lies before 2001"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_declared_appliance_may_speak_spanning_tree_with_a_warning() {
    let settings = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("appliance.toml");
    std::fs::write(&settings, "[stp]\nappliances = [\"fa:16:3e:12:34:56\"]\n").unwrap();
    let case = case("stp/guest-bpdu-on-bond0");
    let declared = netdiag(&["review", "--settings", &settings.to_string_lossy(), &case]);
    assert_eq!(declared.status.code(), Some(0), "{}", stdout(&declared));
    assert!(stdout(&declared).contains("warning  STP001") && stdout(&declared).contains("declared an appliance"));
    assert_eq!(netdiag(&["review", &case]).status.code(), Some(1));
}

#[test]
fn a_declared_router_may_advertise_and_what_crossed_one_is_no_advertisement() {
    let settings = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("router.toml");
    std::fs::write(&settings, "[stp]\nappliances = [\"fa:16:3e:12:34:56\"]\n").unwrap();
    let case = case("ra/guest-advertises-heard-on-the-bond/bond0.pcap");
    assert!(stdout(&netdiag(&["review", &case])).contains("error  RA001"));
    let declared = netdiag(&["review", "--settings", &settings.to_string_lossy(), &case]);
    assert!(!stdout(&declared).contains("RA001"), "{}", stdout(&declared));
    // The hop limit of each: the eighth byte behind an Ethernet header to all nodes.
    let mut bytes = std::fs::read(&case).unwrap();
    let all_nodes = [0x33, 0x33, 0, 0, 0, 1];
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&all_nodes)).collect();
    for hop_limit in starts.iter().map(|start| start + 14 + 7) {
        assert_eq!(std::mem::replace(&mut bytes[hop_limit], 254), 255);
    }
    assert_eq!(starts.len(), 10);
    let far = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("far.pcap");
    std::fs::write(&far, bytes).unwrap();
    assert!(!stdout(&netdiag(&["review", &far.to_string_lossy()])).contains("RA001"));
}

#[test]
fn a_stream_of_changes_tells_all_that_the_report_does() {
    let all = ["mtu/double-vlan-full-size", "cap/super-frames", "stp/guest-bpdu-on-bond0", "dhcp/lab-server-dead"];
    for case in all.map(case) {
        let report: Value = serde_json::from_str(&stdout(&netdiag(&["review", "--format", "json", &case]))).unwrap();
        let codes = |findings: &mut dyn Iterator<Item = &Value>| -> BTreeSet<String> {
            findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
        };
        let found = codes(&mut report["findings"].as_array().unwrap().iter());
        let lines = stdout(&netdiag(&["review", "--format", "ndjson", &case]));
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(codes(&mut lines.iter().map(|line| &line["finding"])), found, "{case}");
    }
}

#[test]
fn where_nothing_was_read_nothing_is_judged() {
    let output = netdiag(&["review", "/dev/null"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stdout(&output);
    assert!(told.contains("no frame was read: there is nothing to judge\n"), "{told}");
    assert!(!told.contains("checked") && !told.contains("was used") && !told.contains(", \n"), "{told}");
}

#[test]
fn what_is_not_read_is_counted_and_said() {
    let report = stdout(&netdiag(&["review", &case("healthy/carries-what-is-not-read")]));
    assert!(report.contains("\nnot read: what is inside 40 of ESP, 5 of MACsec, 40 of MPLS\n"), "{report}");
    assert!(
        report.contains("nothing found, and little can be: no frame of this capture is read to its end"),
        "{report}"
    );
    let output = netdiag(&[
        "review",
        "--format",
        "json",
        "--together",
        &case("healthy/carries-what-is-not-read/eth0.pcap"),
        &case("healthy/tag-inside-vxlan/eth0.pcap"),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["tally"]["unopened"], serde_json::json!({ "ESP": 40, "MACsec": 5, "MPLS": 40 }));
}

#[test]
fn what_services_say_leaves_without_its_secrets() {
    // Of a query the key, of a message the body.
    for (name, secret) in [
        ("svc/api-action-takes-two-minutes/eth0.pcap", "AKIDEXAMPLE"),
        ("svc/console-log-in-one-message/eth0.pcap", "result"),
    ] {
        let (file, proof) = (case(name), format!("{}/secrets.pcapng", env!("CARGO_TARGET_TMPDIR")));
        assert!(std::fs::read(&file).unwrap().windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{name}");
        for args in [["--format", "text"], ["--format", "json"], ["--format", "ndjson"], ["-w", &proof]] {
            let output = netdiag(&[&["review", "--fail-on", "never"], &args[..], &[&file]].concat());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(stdout(&output).contains("SVC") && !stdout(&output).contains(secret), "{name} {args:?}");
        }
        let proof = std::fs::read(&proof).unwrap();
        assert!(!proof.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{name}");
    }
}

#[test]
fn settings_that_make_no_sense_are_one_sentence_with_their_line() {
    let settings = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nonsense.toml");
    std::fs::write(&settings, "[dhcp]\ndiscover_weight_s = 20\n").unwrap();
    let good = case("healthy/full-size-in-one-tag/bond0.pcap");
    let output = netdiag(&["review", "--settings", &settings.to_string_lossy(), &good]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("nonsense.toml: line 2: unknown field `discover_weight_s`"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
