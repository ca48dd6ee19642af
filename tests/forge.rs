//! Every forged capture is what the code that tells its story makes: remade here byte for byte. `NETDIAG_FORGE=1` writes the files instead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/forge/mod.rs"]
mod forge;

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

#[expect(clippy::disallowed_methods, reason = "a person asks this test to write instead of compare")]
fn is_writing() -> bool {
    std::env::var("NETDIAG_FORGE").is_ok_and(|v| v == "1")
}

#[test]
fn every_forged_capture_is_remade_byte_for_byte() {
    let mut wrong = Vec::new();
    for case in forge::cases() {
        let folder = captures().join(case.folder);
        for (name, bytes) in &case.files {
            let path = folder.join(name);
            if is_writing() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, bytes).unwrap();
            } else if fs::read(&path).ok().as_ref() != Some(bytes) {
                wrong.push(path.display().to_string());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not as the code makes them (NETDIAG_FORGE=1 cargo test --test forge writes them):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn making_the_cases_twice_gives_the_same_bytes() {
    let bytes = |cases: Vec<forge::Case>| cases.into_iter().flat_map(|c| c.files).collect::<Vec<_>>();
    assert_eq!(bytes(forge::cases()), bytes(forge::cases()));
}

#[test]
fn forged_folders_are_unique_and_all_of_them_are_made_here() {
    let made: BTreeSet<String> = forge::cases().iter().map(|c| c.folder.to_owned()).collect();
    assert_eq!(made.len(), forge::cases().len(), "two cases share a folder");
    for folder in folders() {
        let text = fs::read_to_string(captures().join(&folder).join("case.toml")).unwrap();
        let case: toml::Table = text.parse().unwrap();
        let is_forged = case["origin"].as_str() == Some("forged");
        assert_eq!(
            is_forged,
            made.contains(&folder),
            "{folder}: origin in case.toml against tests/support/forge/cases"
        );
    }
}

#[test]
fn every_case_says_what_happened_and_has_its_truth() {
    let seen = folders();
    assert!(!seen.is_empty());
    for folder in seen {
        let path = captures().join(&folder);
        let read = |name: &str| -> toml::Table {
            let text = fs::read_to_string(path.join(name)).unwrap_or_else(|e| panic!("{folder}/{name}: {e}"));
            text.parse().unwrap_or_else(|e| panic!("{folder}/{name}: {e}"))
        };
        let case = read("case.toml");
        assert!(case["sentence"].as_str().is_some_and(|s| s.ends_with('.')), "{folder}: sentence");
        let how = case["how"].as_str().unwrap_or_default();
        assert!(!how.is_empty(), "{folder}: how");
        if case["origin"].as_str() == Some("forged") {
            let file = how.split_once(";").map_or(how, |(file, _)| file);
            let code = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
            assert!(code.contains(&format!("\"{folder}\"")), "{folder}: {how} does not make it");
        }
        for finding in read("findings.toml").get("finding").and_then(|f| f.as_array()).into_iter().flatten() {
            let one_of = |field: &str, words: &[&str]| {
                assert!(finding[field].as_str().is_some_and(|v| words.contains(&v)), "{folder}: {field}");
            };
            one_of("level", &["risk", "likely", "confirmed"]);
            one_of("severity", &["info", "warning", "error", "critical"]);
            one_of("state", &["open", "resolved"]);
            assert!(
                finding["key"].as_table().is_some_and(|k| !k.is_empty() && k.values().all(toml::Value::is_str)),
                "{folder}: key"
            );
            let is_healthy = folder.starts_with("healthy/");
            assert!(
                !is_healthy || finding["severity"].as_str() == Some("info") || folder_may_warn(&folder),
                "{folder}: not healthy"
            );
        }
    }
}

/// The reference bytes went through a real tap, bridge and bond (captures/stp/lab-handmade-tap), where Wireshark read them as what they are.
#[test]
fn bpdus_are_what_a_raw_socket_once_sent() {
    let sender = netdiag::value::Mac([0xfa, 0x16, 0x3e, 0x4a, 0x10, 0x01]);
    let bridge = |priority| forge::stp::Bridge { priority, mac: sender };
    let made = [
        forge::frame().from(sender).pvst_bpdu(&bridge(0x8064).pvst(100)),
        forge::frame().from(sender).bpdu(&bridge(0x8000).mst("lab-region")),
        forge::frame().from(sender).bpdu(&bridge(0x8000).rst()),
        forge::frame().from(sender).bpdu(&forge::stp::tcn()),
    ];
    let recorded = fs::read(captures().join("stp/lab-handmade-tap/tap3f2a91c0-5d.pcap")).unwrap();
    let mut rest = &recorded[24..];
    for frame in made {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        assert_eq!(frame, rest[16..16 + length]);
        rest = &rest[16 + length..];
    }
}

/// Every checksum that the forge writes, as etherparse reads it back; IEEE BPDUs, ARP and cut frames have none.
#[test]
fn checksums_of_forged_packets_are_right() {
    let link = || forge::frame().from(forge::GUEST).to(forge::SERVER).tags(&[20, 100]);
    let ip = || link().ipv4(forge::GUEST_IP, forge::SERVER_IP);
    let frames = [
        ip().ping(1, 1_500),
        ip().udp(68, 67).bytes(b"odd"),
        ip().tcp((51_000, 22), forge::frame::Segment { seq: 7, ack: 9, ..Default::default() }, b"odd"),
    ];
    for bytes in frames {
        let packet = etherparse::PacketHeaders::from_ethernet_slice(&bytes).unwrap();
        let Some(etherparse::NetHeaders::Ipv4(ip, _)) = packet.net else { panic!("not IPv4") };
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let payload = packet.payload.slice();
        match packet.transport.unwrap() {
            etherparse::TransportHeader::Udp(udp) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, payload).unwrap())
            }
            etherparse::TransportHeader::Tcp(tcp) => {
                assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap())
            }
            etherparse::TransportHeader::Icmpv4(icmp) => {
                assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(payload))
            }
            other => panic!("nobody made {other:?}"),
        }
    }
}

/// Healthy for the packets, and yet a risk in the set-up: two 0x8100 tags with no proof of room (findings.md, VLAN001).
fn folder_may_warn(folder: &str) -> bool {
    folder.starts_with("healthy/") && folder.contains("double-vlan-")
}

/// Every folder with a `case.toml`, as its path below `captures/`.
fn folders() -> Vec<String> {
    let mut found = Vec::new();
    for family in fs::read_dir(captures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for case in fs::read_dir(&family).unwrap().map(|e| e.unwrap().path()).filter(|p| p.join("case.toml").exists()) {
            found.push(case.strip_prefix(captures()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}
