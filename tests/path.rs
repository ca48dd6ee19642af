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
fn moved(name: &str, by: i64) -> Vec<PathBuf> {
    let stem = |file: &PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
    let names: Vec<String> = incident().iter().map(stem).collect();
    let by_of = |own: &str| if own == name { by * 1_000_000 } else { 0 };
    let captures: Vec<_> = names.iter().map(|own| (own.as_str(), own.as_str(), by_of(own))).collect();
    taken_as(&format!("moved{by}"), &captures)
}

/// Captures of the incident in a folder of their own: how each is called, how it shall be, and by how many microseconds its stamps move.
fn taken_as(folder: &str, captures: &[(&str, &str, i64)]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).unwrap();
    let moved = |(from, to, by): &(&str, &str, i64)| {
        let to = folder.join(to).with_extension("pcap");
        let mut bytes =
            fs::read(support::captures().join("mtu/lab-overflow-everywhere").join(from).with_extension("pcap"))
                .unwrap();
        // Little-endian pcap: a header of 24 bytes, then records of 16 bytes and what they hold.
        let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(&bytes, 0), 0xa1b2_c3d4);
        let mut at = 24;
        while at < bytes.len() {
            let time = i64::from(word(&bytes, at)) * 1_000_000 + i64::from(word(&bytes, at + 4)) + by;
            for (at, part) in [(at, time / 1_000_000), (at + 4, time % 1_000_000)] {
                bytes[at..at + 4].copy_from_slice(&u32::try_from(part).unwrap().to_le_bytes());
            }
            at += 16 + word(&bytes, at + 8) as usize;
        }
        fs::write(&to, bytes).unwrap();
        to
    };
    captures.iter().map(moved).collect()
}

/// What the guest of the incident sends by TCP, as `paths` tell it: the places it passes, and whether their order is known.
fn way_of_the_guest(paths: &Value) -> (Vec<&str>, bool) {
    let flows = paths["flows"].as_array().unwrap();
    let flow = flows.iter().find(|f| f["from"] == "10.0.100.5" && f["protocol"] == "TCP").unwrap();
    let places = flow["vantages"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    (places, flow["is_ordered"].as_bool().unwrap())
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

#[test]
fn what_clocks_leave_in_doubt_is_said_and_not_guessed() {
    // By its stamps the switch port was two milliseconds ahead of the bond, which is what a clock may be off.
    let captures = [("bond0", "here", 0), ("switch", "there", -2_000)];
    let files = taken_as("in-doubt", &captures);
    let paths = json(&["path", "--format", "json"], &files);
    assert!(!way_of_the_guest(&paths).1, "{paths:#}");
    // Which packets were lost where is no matter of clocks.
    let flows = paths["flows"].as_array().unwrap();
    let verdict = &flows.iter().find(|f| f["from"] == "10.0.100.5" && f["protocol"] == "TCP").unwrap()["verdict"];
    assert_eq!((&verdict["seen_at"], &verdict["missing_at"]), (&"here".into(), &"there".into()), "{paths:#}");
    let said = |command: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netdiag")).args(command).args(&files).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let doubt = "(in which order, the clocks do not tell)";
    assert!(said(&["path"]).contains(doubt), "{}", said(&["path"]));
    // A switch is called so, and lies behind the bond whatever the stamps say.
    let captures = [("tap3f2a91c0-5d", "guest", 0), ("bond0", "bond0", 0), ("switch", "switch", -2_000)];
    let paths = json(&["path", "--format", "json"], &taken_as("told-by-names", &captures));
    assert_eq!(way_of_the_guest(&paths), (vec!["guest", "bond0", "switch"], true), "{paths:#}");
}

#[test]
fn the_host_tells_which_of_its_devices_lies_behind_which() {
    // The lower VLAN device stamps what it sends after the bond has.
    let captures = [("tap3f2a91c0-5d", "vlan100", 0), ("eth0", "vlan20", 5_000), ("bond0", "uplink", 0)];
    let mut files = taken_as("told-by-the-host", &captures);
    let paths = json(&["path", "--no-align", "--format", "json"], &files);
    assert_eq!(way_of_the_guest(&paths).0, ["vlan100", "uplink", "vlan20"], "{paths:#}");
    let host = files[0].with_file_name("host.jsonl");
    let link = |name: &str, rest: &str| format!("{{\"fact\":\"link\",\"name\":\"{name}\",{rest}}}\n");
    let links = [
        link("uplink", r#""kind":"bond""#),
        link("vlan20", r#""kind":"vlan","vid":20,"lower":"uplink""#),
        link("vlan100", r#""kind":"vlan","vid":100,"lower":"vlan20""#),
    ];
    fs::write(&host, links.concat()).unwrap();
    files.extend(["--host".into(), host]);
    let paths = json(&["path", "--no-align", "--format", "json"], &files);
    assert_eq!(way_of_the_guest(&paths), (vec!["vlan100", "vlan20", "uplink"], true), "{paths:#}");
}
