//! The ways of packets through several captures, and the clocks of machines that differ.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What `netdiag` says to these arguments, as JSON.
fn json(args: &[&str], files: &[PathBuf]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_netdiag")).args(args).args(files).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The captures of the incident, one a place.
fn incident() -> Vec<PathBuf> {
    let folder = support::captures().join("mtu/lab-overflow-everywhere");
    support::files_below(&folder)
}

/// The same captures, with the stamps of the one called `name` moved by so many seconds.
fn moved(name: &str, by: i32) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("moved{by}"));
    fs::create_dir_all(&folder).unwrap();
    let moved = |file: &PathBuf| {
        let to = folder.join(file.file_name().unwrap());
        let mut bytes = fs::read(file).unwrap();
        if file.file_stem().unwrap() == name {
            // Little-endian pcap: a header of 24 bytes, then records of 16 bytes and what they hold.
            let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(word(&bytes, 0), 0xa1b2_c3d4);
            let mut at = 24;
            while at < bytes.len() {
                let seconds = word(&bytes, at).wrapping_add_signed(by);
                bytes[at..at + 4].copy_from_slice(&seconds.to_le_bytes());
                at += 16 + word(&bytes, at + 8) as usize;
            }
        }
        fs::write(&to, bytes).unwrap();
        to
    };
    incident().iter().map(moved).collect()
}

#[test]
fn the_way_of_full_packets_ends_where_they_do_not_fit() {
    let paths = json(&["path", "--format", "json"], &incident());
    assert_eq!(paths["schema"], "netdiag.path/1");
    let flows = paths["flows"].as_array().unwrap();
    let flow = flows.iter().find(|f| f["from"] == "10.0.100.5" && f["protocol"] == "TCP").unwrap();
    let verdict = &flow["verdict"];
    assert_eq!((&verdict["smallest_lost"], &verdict["missing_at"]), (&1500.into(), &"switch".into()), "{flow:#}");
    assert!(verdict["largest_passed"].as_u64() < Some(1500));
    // In order of the way: untagged at the guest, two tags on the bond.
    let row = &flow["rows"][0];
    let tags: Vec<&str> = row["cells"].as_array().unwrap().iter().map(|c| c["tags"].as_str().unwrap()).collect();
    assert_eq!((tags.first(), tags.contains(&"20.100")), (Some(&"untagged"), true), "{flow:#}");
    assert!(paths["hops"].as_array().unwrap().iter().all(|hop| hop["max"].as_f64() < Some(0.2)));
}

#[test]
fn a_flow_is_chosen_by_an_expression() {
    let paths = json(&["path", "--format", "json", "--flow", "icmp and host 10.0.100.5"], &incident());
    let protocols: Vec<&Value> = paths["flows"].as_array().unwrap().iter().map(|f| &f["protocol"]).collect();
    assert!(!protocols.is_empty() && protocols.iter().all(|p| **p == "ICMP"), "{protocols:?}");
    // Where they wear two tags they are chosen, too.
    assert!(paths["flows"][0]["rows"][0]["cells"].to_string().contains("20.100"), "{paths:#}");
}

#[test]
fn a_clock_that_is_off_changes_nothing_but_what_is_said_of_it() {
    let files = moved("switch", 3);
    let report = json(&["review", "--together", "--format", "json"], &files);
    let inputs = report["inputs"].as_array().unwrap();
    let clocks: Vec<_> = inputs.iter().filter(|i| !i["clock"].is_null()).collect();
    assert_eq!(clocks.len(), 1, "{inputs:#?}");
    assert_eq!(clocks[0]["name"], "switch");
    assert!((clocks[0]["clock"]["offset"].as_f64().unwrap() + 3.0).abs() < 0.001, "{clocks:#?}");
    let straight = json(&["review", "--together", "--format", "json"], &incident());
    let codes = |report: &Value| -> Vec<(Value, Value)> {
        report["findings"].as_array().unwrap().iter().map(|f| (f["code"].clone(), f["key"].clone())).collect()
    };
    assert_eq!(codes(&report), codes(&straight));
    // Taken as it is, the switch saw other packets.
    let apart = json(&["path", "--no-align", "--format", "json"], &files);
    assert!(apart["inputs"].as_array().unwrap().iter().all(|i| i["clock"].is_null()));
}

#[test]
fn clocks_of_one_machine_are_left_alone() {
    let report = json(&["review", "--together", "--format", "json"], &incident());
    assert!(report["inputs"].as_array().unwrap().iter().all(|i| i["clock"].is_null()), "{:#}", report["inputs"]);
}
