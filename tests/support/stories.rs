//! Stories told in a kernel of their own, with real bonds, bridges and daemons, and what netdiag must say of them.

use std::fs;

use serde_json::Value;

use super::scenes::{self, told, unrelated};
use super::{codes, json, uml};

pub fn a_stacked_vlan_on_a_bond_is_found_and_its_repair_seen() {
    let folder = uml::boot("stacked_bond.sh");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let log = format!("{}\n{}", read("log"), read("bond0.err"));
    let told = |report: &Value| -> Vec<[Value; 4]> {
        let parts = |f: &Value| ["code", "key", "confidence", "state"].map(|part| f[part].clone());
        report["findings"].as_array().unwrap().iter().map(parts).collect()
    };
    // The recording was made beside the run, and reviewed afterwards.
    let (live, review) = (json(&read("ring.json")), json(&read("review.json")));
    assert_eq!(told(&live), told(&review), "{log}");
    // The same packet is known again in no tag and in two, though of each only the first bytes were kept.
    let paths = json(&read("path.json"));
    let flow = paths["flows"].as_array().unwrap().iter().find(|f| f["from"] == "10.0.100.11").unwrap();
    let row = flow["rows"].as_array().unwrap().iter().find(|row| row["largest"] == 1500).unwrap();
    let cell = |name: &str| {
        let at = flow["vantages"].as_array().unwrap().iter().position(|v| v == name).unwrap();
        (row["cells"][at]["tags"].as_str().unwrap_or("not seen").to_owned(), row["cells"][at]["wire_len"].as_u64())
    };
    assert_eq!(cell("tap0"), ("untagged".to_owned(), Some(1514)), "{flow:#}");
    let (tags, longest) = cell("bond0");
    assert!(tags.starts_with("20.100") && longest == Some(1522), "{flow:#}");
    for backend in ["ring", "pcap"] {
        let report = json(&read(&format!("{backend}.json")));
        let found = codes(&report);
        assert!(found.contains(&"MTU001") && found.contains(&"VLAN001"), "{backend}: {found:?}\n{log}");
        let overflow = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == "MTU001").unwrap();
        assert_eq!(overflow["confidence"], "confirmed", "{backend}: {overflow}\n{log}");
        assert_eq!(overflow["state"], "resolved", "{backend}: {overflow}\n{log}");
        let healthy = json(&read(&format!("{backend}.healthy.json")));
        assert_eq!(codes(&healthy), Vec::<&str>::new(), "{backend}: the healthy twin\n{log}");
    }
}

pub fn real_daemons_break_and_mend() {
    scenes::check("dhcp_life.sh", |scene| match scene {
        "healthy" => (&[], &[]),
        "server-dead" => (&["DHCP001"], &[]),
        // A guest that hears nothing.
        "offers-lost" => (&["DHCP002"], &["HOST001"]),
        "renewals-ignored" => (&["DHCP005"], &["DHCP002", "DHCP006", "HOST001", "ARP002"]),
        unknown => panic!("the scene {unknown} is not known"),
    });
}

pub fn dhcpd_dhclient_and_dhcrelay_break_and_mend() {
    scenes::check("dhcp_daemons.sh", |scene| match scene {
        // A lease of 24 s is short, so that the story is.
        "daemons-healthy" => (&[], &["DHCP013"]),
        "relayed" => (&[], &[]),
        // Its lease ends, and it starts over; the host of a server that is not there says so.
        "server-killed" => (&["DHCP004"], &["DHCP001", "DHCP006", "DHCP013", "DHCP022", "ARP002", "ARP003"]),
        "pool-of-one" | "relay-dead" => (&["DHCP001"], &[]),
        "address-in-use" => (&["DHCP010"], &[]),
        "checksums-broken" => (&["DHCP019"], &["DHCP002", "HOST001"]),
        "second-server" => (&["DHCP015"], &["DHCP008", "DHCP009", "DHCP021"]),
        unknown => panic!("the scene {unknown} is not known"),
    });
}

pub fn a_guard_shuts_a_bond_for_a_guest_and_it_comes_back() {
    let folder = uml::boot("bpdu_guard.sh");
    let read = |name: String| fs::read_to_string(folder.join(name)).unwrap();
    for scene in read("scenes".to_owned()).lines() {
        // What must be told; and what follows from it, as the moments fall.
        let (must, may): (&[&str], &[&str]) = match scene {
            "healthy" | "filtered" | "operator" => (&[], &[]),
            "guard" => (&["HOST003", "HOST005", "STP001", "STP002", "STP003"], &["LACP001", "TCP002", "ARP002"]),
            // The port has to be off to be put back.
            "member" => (&["HOST005", "LACP001"], &[]),
            unknown => panic!("the scene {unknown} is not known"),
        };
        let (mut opened, mut over) = told(&read(format!("{scene}.changes")));
        for codes in [&mut opened, &mut over] {
            codes.retain(|code| !may.contains(&code.as_str()));
            codes.sort();
            codes.dedup();
        }
        assert_eq!((&opened, &over), (&owned(must), &owned(must)), "{scene}");
        let report = json(&read(format!("{scene}.json")));
        let wanted = if scene == "filtered" { &["STP001"] } else { must };
        assert_eq!(unrelated(&report, wanted), Vec::<&str>::new(), "{scene}: {report:#}");
        let roots: Vec<&Value> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["severity"] != "info" && f["explained_by"].is_null())
            .collect();
        match (scene, roots.as_slice()) {
            ("healthy" | "operator", []) => {}
            ("guard", [root]) => {
                let part = ["code", "severity", "confidence", "state"].map(|part| root[part].as_str().unwrap());
                assert_eq!(part, ["STP001", "critical", "confirmed", "resolved"], "{root:#}");
                assert!(root["headline"].as_str().unwrap().contains("behind tap0"), "{root:#}");
            }
            ("filtered", [root]) => {
                let part = ["code", "severity", "confidence"].map(|part| root[part].as_str().unwrap());
                assert_eq!(part, ["STP001", "error", "confirmed"], "the page's filter holds it: {root:#}");
                assert!(!codes(&report).contains(&"STP003"), "{report:#}");
            }
            ("member", roots) => {
                // The partner is missed for itself where that is noticed before the carrier's loss is, and else for that.
                let told = report["findings"].as_array().unwrap().iter().filter(|f| f["severity"] != "info");
                let mut both: Vec<_> = told.map(|f| (f["code"].as_str(), f["state"].as_str())).collect();
                both.sort();
                assert_eq!(both, [(Some("HOST005"), Some("resolved")), (Some("LACP001"), Some("resolved"))]);
                assert!(roots.iter().any(|root| root["code"] == "HOST005"), "{report:#}");
            }
            _ => panic!("{scene}: {roots:#?}"),
        }
    }
}

pub fn bonds_are_moved_over_lose_a_member_and_find_nobody() {
    let folder = uml::boot("bonds.sh");
    let read = |name: String| fs::read_to_string(folder.join(name)).unwrap();
    for scene in read("scenes".to_owned()).lines() {
        // What must be told, in order.
        let must: &[&str] = match scene {
            "by-hand" => &[],
            "pulled" => &["HOST005"],
            // Both members; then their links go out while the switch's group is made anew.
            "absent" => &["LACP003", "LACP003", "HOST005"],
            unknown => panic!("the scene {unknown} is not known"),
        };
        let changes = read(format!("{scene}.changes"));
        let (opened, mut over) = told(&changes);
        // The carrier is back before the switch's first LACPDU comes.
        over.sort_by_key(|code| code == "HOST005");
        assert_eq!((&opened, &over), (&owned(must), &owned(must)), "{scene}: {changes}");
    }
}

fn owned(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}
