//! Real captures: links in a network namespace always, and a bond with VLANs in a kernel of its own (User Mode Linux) where it is
//! installed. What cannot run says why.

#[path = "support/net.rs"]
mod net;
#[path = "support/scenes.rs"]
mod scenes;
#[path = "support/stories.rs"]
mod stories;
mod support;
#[path = "support/uml.rs"]
mod uml;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use netdiag::source::{Step, open};
use serde_json::Value;

use net::{Pair, Running, run};

/// A test by its name.
type Test = (&'static str, fn());

/// Those that need a network namespace.
const IN_NAMESPACE: &[Test] = &[
    ("a_guest_bpdu_is_found_while_it_happens", a_guest_bpdu_is_found_while_it_happens),
    ("libpcap_finds_it_too", libpcap_finds_it_too),
    ("tags_are_put_back_byte_for_byte", tags_are_put_back_byte_for_byte),
    ("live_equals_the_review_of_the_same_frames", live_equals_the_review_of_the_same_frames),
    ("a_quiet_link_ends_in_time", a_quiet_link_ends_in_time),
    ("a_quiet_link_ends_at_a_signal", a_quiet_link_ends_at_a_signal),
    ("so_many_frames_are_enough", so_many_frames_are_enough),
    ("a_filter_holds_live", a_filter_holds_live),
    ("an_unknown_interface_is_one_sentence", an_unknown_interface_is_one_sentence),
    ("without_the_right_it_says_how_to_get_it", without_the_right_it_says_how_to_get_it),
    ("a_link_that_is_made_again_is_taken_up", a_link_that_is_made_again_is_taken_up),
    ("a_link_that_goes_down_comes_back", a_link_that_goes_down_comes_back),
    ("all_links_are_captured_and_new_ones_followed", all_links_are_captured_and_new_ones_followed),
    ("the_host_tells_its_links", the_host_tells_its_links),
    ("a_recording_is_reviewed", a_recording_is_reviewed),
    ("a_recording_is_whole_after_a_kill", a_recording_is_whole_after_a_kill),
    ("a_finding_leaves_its_case", a_finding_leaves_its_case),
    ("a_full_disk_stops_evidence_and_not_the_capture", a_full_disk_stops_evidence_and_not_the_capture),
    ("what_was_open_is_known_after_a_kill", what_was_open_is_known_after_a_kill),
    ("what_an_earlier_run_left_open_is_seen_to_end", what_an_earlier_run_left_open_is_seen_to_end),
    ("a_list_of_leases_is_followed", a_list_of_leases_is_followed),
];

/// Those that need a kernel with VLANs and bonds.
const IN_KERNEL: &[Test] = &[
    (
        "a_stacked_vlan_on_a_bond_is_found_and_its_repair_seen",
        stories::a_stacked_vlan_on_a_bond_is_found_and_its_repair_seen,
    ),
    ("real_daemons_break_and_mend", stories::real_daemons_break_and_mend),
    ("a_guard_shuts_a_bond_for_a_guest_and_it_comes_back", stories::a_guard_shuts_a_bond_for_a_guest_and_it_comes_back),
    ("bonds_are_moved_over_lose_a_member_and_find_nobody", stories::bonds_are_moved_over_lose_a_member_and_find_nobody),
];

/// Those that need ISC's daemons in it, too.
const WITH_ISC: &[Test] =
    &[("dhcpd_dhclient_and_dhcrelay_break_and_mend", stories::dhcpd_dhclient_and_dhcrelay_break_and_mend)];

fn main() {
    if let Some(role) = uml::role() {
        return role();
    }
    let mut args = Arguments::from_args();
    // Each test has the machine, and the namespace, for itself.
    args.test_threads = Some(1);
    // Listing needs no network.
    let inside = if args.list { Ok(()) } else { net::enter() };
    let mut all = trials(IN_NAMESPACE, &inside);
    all.extend(trials(IN_KERNEL, &uml::is_there()));
    all.extend(trials(WITH_ISC, &uml::is_there().and_then(|()| uml::has_isc())));
    libtest_mimic::run(&args, all).exit();
}

/// The tests; where they cannot run, that is said and they count as ignored.
fn trials(tests: &[Test], can_run: &Result<(), String>) -> Vec<Trial> {
    let trial = |(name, test): &Test| {
        let test = *test;
        if let Err(why) = can_run {
            eprintln!("skipped: {name}: {why}");
        }
        Trial::test(*name, move || {
            test();
            Ok::<(), Failed>(())
        })
        .with_ignored_flag(can_run.is_err())
    };
    tests.iter().map(trial).collect()
}

/// The frames of a capture among the cases.
fn frames_of(file: &str) -> Vec<Vec<u8>> {
    let mut source = open(&support::captures().join(file)).unwrap();
    let mut frames = Vec::new();
    while source.advance().unwrap() == Step::Record {
        frames.push(source.record().bytes.to_vec());
    }
    frames
}

/// A file for the output of a test.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The codes of the findings of a report, in its order.
fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect()
}

fn a_guest_bpdu_is_found_while_it_happens() {
    let bond = Pair::new("bond0");
    let mut netdiag = Running::start(&["live", "bond0", "--format", "ndjson"]);
    // Out of the bond, towards the switch: it is the direction that makes it a guest's.
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    let opened = json(&netdiag.line(|line| line.contains("STP001")));
    assert_eq!((&opened["change"], &opened["finding"]["frames"][0]["vantage"]), (&"opened".into(), &"bond0".into()));
    let (status, ..) = netdiag.interrupt();
    assert_eq!(status.code(), Some(1));
}

fn libpcap_finds_it_too() {
    let bond = Pair::new("bond0");
    let mut netdiag = Running::start(&["live", "bond0", "--backend", "pcap"]);
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    netdiag.line(|line| line.contains("STP001"));
    let (status, said, _) = netdiag.interrupt();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("live (libpcap)"), "{said}");
}

fn tags_are_put_back_byte_for_byte() {
    for (backend, case) in [
        ("ring", "vlan/stacked-by-accident/bond0.pcap"),
        ("pcap", "vlan/stacked-by-accident/bond0.pcap"),
        ("ring", "vlan/provider-bridging/bond0.pcap"),
        ("pcap", "vlan/provider-bridging/bond0.pcap"),
        ("ring", "vlan/three-tags/bond0.pcap"),
        ("pcap", "vlan/three-tags/bond0.pcap"),
    ] {
        let (bond, cited) = (Pair::new("bond0"), scratch("cited.pcapng"));
        run("ip link set bond0 mtu 9000 && ip link set bond0-far mtu 9000");
        let netdiag =
            Running::start(&["live", "bond0", "--backend", backend, "-s", "0", "-w", cited.to_str().unwrap()]);
        let sent = frames_of(case);
        bond.receive(&sent);
        let (_, said, _) = netdiag.interrupt();
        assert!(said.contains(&format!("frames read: {}", sent.len())), "{backend} {case}\n{said}");
        let mut source = open(&cited).unwrap();
        let mut cited = 0;
        while source.advance().unwrap() == Step::Record {
            let record = source.record();
            assert!(sent.iter().any(|frame| frame == record.bytes), "{backend}: a frame of {case} was changed");
            cited += 1;
        }
        assert!(cited > 0, "{backend} {case}: nothing was cited\n{said}");
    }
}

fn live_equals_the_review_of_the_same_frames() {
    let file = "vlan/stacked-by-accident/bond0.pcap";
    let bond = Pair::new("bond0");
    let netdiag = Running::start(&["live", "bond0", "--format", "json"]);
    bond.receive(&frames_of(file));
    let live = json(&netdiag.interrupt().1);
    let review = Command::new(env!("CARGO_BIN_EXE_netdiag"))
        .args(["review", "--format", "json"])
        .arg(support::captures().join(file))
        .output()
        .unwrap();
    let review = json(std::str::from_utf8(&review.stdout).unwrap());
    assert_eq!(codes(&live), codes(&review));
    for (live, review) in live["findings"].as_array().unwrap().iter().zip(review["findings"].as_array().unwrap()) {
        for part in ["code", "severity", "confidence", "key", "count"] {
            assert_eq!(live[part], review[part], "{part}");
        }
    }
    assert_eq!(live["tally"]["vlan"]["depth"], review["tally"]["vlan"]["depth"]);
}

fn a_quiet_link_ends_in_time() {
    let _quiet = Pair::new("quiet0");
    for backend in ["ring", "pcap"] {
        let (status, said, _) = Running::start(&["live", "quiet0", "--duration", "1", "--backend", backend]).end();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("frames read: 0"), "{said}");
    }
}

fn a_quiet_link_ends_at_a_signal() {
    let _quiet = Pair::new("quiet0");
    for signal in ["INT", "TERM", "HUP"] {
        let netdiag = Running::start(&["live", "quiet0"]);
        netdiag.signal(signal);
        let (status, said, _) = netdiag.end();
        assert_eq!(status.code(), Some(0), "{said}");
    }
}

fn so_many_frames_are_enough() {
    let bond = Pair::new("bond0");
    let netdiag = Running::start(&["live", "bond0", "-c", "3"]);
    bond.receive(&frames_of("vlan/stacked-by-accident/bond0.pcap"));
    let (_, said, _) = netdiag.end();
    assert!(said.contains("frames read: 3"), "{said}");
}

fn a_filter_holds_live() {
    let bond = Pair::new("bond0");
    for backend in ["ring", "pcap"] {
        let netdiag = Running::start(&["live", "bond0", "--backend", backend, "--filter", "vlan 20 and vlan 100"]);
        bond.receive(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
        bond.receive(&frames_of("vlan/stacked-by-accident/bond0.pcap"));
        let (_, said, _) = netdiag.interrupt();
        assert!(said.contains("VLAN001") && !said.contains("STP001"), "{backend}: {said}");
    }
}

fn an_unknown_interface_is_one_sentence() {
    let _bond = Pair::new("bond0");
    for backend in ["ring", "pcap"] {
        let (status, said, warned) =
            refused(Command::new(env!("CARGO_BIN_EXE_netdiag")).args(["live", "bond7", "--backend", backend]));
        assert_eq!((status, said.as_str()), (Some(2), ""));
        assert_eq!(warned.lines().count(), 1, "{warned}");
        assert!(warned.contains("bond7: there is no such interface; there are bond0, bond0-far, lo"), "{warned}");
    }
}

fn without_the_right_it_says_how_to_get_it() {
    let _bond = Pair::new("bond0");
    for backend in ["ring", "pcap"] {
        let (status, _, warned) = refused(Command::new("setpriv").args([
            "--bounding-set=-net_raw",
            "--inh-caps=-net_raw",
            env!("CARGO_BIN_EXE_netdiag"),
            "live",
            "bond0",
            "--backend",
            backend,
        ]));
        assert_eq!(status, Some(2));
        assert!(warned.contains("sudo setcap cap_net_raw+ep /") && warned.lines().count() == 1, "{warned}");
        assert!(warned.contains("AmbientCapabilities=CAP_NET_RAW"), "{warned}");
    }
}

/// Runs a command that ends by itself: its exit code, and what it said.
fn refused(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn a_link_that_is_made_again_is_taken_up() {
    for backend in ["ring", "pcap"] {
        let bond = Pair::new("bond0");
        let mut netdiag = Running::start(&["live", "bond0", "--backend", backend, "--format", "ndjson"]);
        bond.send(&frames_of("vlan/stacked-by-accident/bond0.pcap"));
        netdiag.line(|line| line.contains("VLAN001"));
        run("ip link del bond0");
        netdiag.warned(if backend == "ring" { "gone" } else { "taken again when it comes back" });
        bond.make();
        netdiag.warned("there again");
        bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
        netdiag.line(|line| line.contains("STP001"));
        netdiag.interrupt();
    }
}

fn a_link_that_goes_down_comes_back() {
    let bond = Pair::new("bond0");
    let mut netdiag = Running::start(&["live", "bond0", "--format", "ndjson"]);
    run("ip link set bond0 down");
    netdiag.warned("Network is down");
    run("ip link set bond0 up");
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    netdiag.line(|line| line.contains("STP001"));
    netdiag.interrupt();
}

fn all_links_are_captured_and_new_ones_followed() {
    let _quiet = Pair::new("quiet0");
    let mut netdiag = Running::start(&["live", "all", "--format", "ndjson"]);
    let bond = Pair::new("bond0");
    netdiag.warned("bond0 is there now, and is captured");
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    let opened = netdiag.line(|line| line.contains("STP001"));
    assert!(opened.contains("\"bond0\""), "{opened}");
    netdiag.interrupt();
}

fn the_host_tells_its_links() {
    let _bond = Pair::new("bond0");
    run("ip link add br0 type bridge && ip link set br0 up && ip link set bond0-far master br0");
    let output = Command::new(env!("CARGO_BIN_EXE_netdiag")).arg("host").output().unwrap();
    run("ip link del br0");
    let facts: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(json).collect();
    let link = |name: &str| facts.iter().find(|f| f["fact"] == "link" && f["name"] == name).unwrap();
    assert_eq!((&link("bond0")["kind"], &link("bond0")["mtu"]), (&"veth".into(), &1500.into()));
    assert_eq!((&link("bond0-far")["master"], &link("br0")["stp"]), (&"br0".into(), &false.into()));
    assert!(facts.iter().any(|f| f["fact"] == "bridge-port" && f["port"] == "bond0-far" && f["bridge"] == "br0"));
}

/// Records `bond0` into a folder that is not there yet.
fn record(folder: &Path) -> Running {
    let _ = fs::remove_dir_all(folder);
    let mut netdiag = Running::start(&["record", "bond0", "-o", folder.to_str().unwrap()]);
    netdiag.warned("recording into");
    netdiag
}

/// The exit code of a review, its report, and what it said beside that.
fn review(folder: &Path) -> (Option<i32>, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netdiag"));
    let (status, said, warned) = refused(command.args(["review", "--format", "json"]).arg(folder));
    (status, json(&said), warned)
}

fn a_recording_is_reviewed() {
    let (bond, folder) = (Pair::new("bond0"), scratch("recorded"));
    let netdiag = record(&folder);
    let sent = frames_of("stp/guest-bpdu-on-bond0/bond0.pcap");
    bond.send(&sent);
    let (status, _, warned) = netdiag.interrupt();
    assert!(status.success() && warned.contains(&format!("{} frames and", sent.len())), "{warned}");
    let (status, report, warned) = review(&folder);
    assert_eq!((status, codes(&report), warned.as_str()), (Some(1), vec!["STP001"], ""));
    assert_eq!(report["inputs"][0]["frames"], sent.len());
    let facts = fs::read_to_string(folder.join("host.jsonl")).unwrap();
    assert!(facts.lines().map(json).any(|fact| fact["fact"] == "link" && fact["name"] == "bond0"), "{facts}");
}

/// Frames of the EtherType for experiments (IEEE 802), numbered behind it.
fn numbered(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    let frame = |n: u32| [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[0x88, 0xb5], &n.to_be_bytes(), &[0; 500]].concat();
    numbers.map(frame).collect()
}

fn a_recording_is_whole_after_a_kill() {
    let (bond, folder) = (Pair::new("bond0"), scratch("killed"));
    for chunks in 1..=8_u32 {
        let netdiag = record(&folder);
        for chunk in 0..chunks {
            bond.send(&numbered(chunk * 400..chunk * 400 + 400));
        }
        netdiag.signal("KILL");
        netdiag.end();
        let (status, report, warned) = review(&folder);
        assert!(status == Some(0) && warned.contains("the recording was not finished"), "{status:?} {warned}");
        assert_eq!((warned.lines().count(), &report["lost"]["damaged_inputs"]), (1, &0.into()), "{warned}");
        let mut source = open(&folder.join("bond0.pcapng")).unwrap();
        let mut frames = 0_u32;
        while let Ok(Step::Record) = source.advance() {
            assert_eq!(source.record().bytes[14..18], frames.to_be_bytes());
            frames += 1;
        }
        assert_eq!(report["inputs"][0]["frames"], frames);
    }
}

fn a_finding_leaves_its_case() {
    let (bond, folder) = (Pair::new("bond0"), scratch("evidence"));
    let _ = fs::remove_dir_all(&folder);
    let before = numbered(0..20);
    let mut netdiag = Running::start(&["live", "bond0", "--format", "ndjson", "--evidence", folder.to_str().unwrap()]);
    bond.receive(&before);
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    netdiag.line(|line| line.contains("STP001"));
    let (_, _, warned) = netdiag.interrupt();
    let case = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert!(warned.contains(&format!("evidence in {}", case.display())), "{warned}");
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.contains("Z-STP001-"), "{name}");
    let about = fs::read_to_string(case.join("case.toml")).unwrap();
    assert!(about.contains("code = \"STP001\"") && about.contains("ended = "), "{about}");
    let (_, report, warned) = review(&case);
    assert!(codes(&report).contains(&"STP001") && warned.is_empty(), "{warned}");
    assert!(report["inputs"][0]["frames"].as_u64().unwrap() > before.len() as u64);
}

fn a_full_disk_stops_evidence_and_not_the_capture() {
    let (bond, folder) = (Pair::new("bond0"), scratch("full"));
    fs::create_dir_all(&folder).unwrap();
    let shown = folder.to_str().unwrap();
    run(&format!("mount -t tmpfs -o size=1m tmpfs {shown}"));
    let mut netdiag = Running::start(&[
        "live",
        "bond0",
        "--format",
        "ndjson",
        "--evidence",
        shown,
        "--evidence-memory",
        "1M",
        "--evidence-after",
        "0s",
    ]);
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    netdiag.line(|line| line.contains("STP001"));
    let told = netdiag.warned("no evidence is kept");
    assert!(told.contains("the disk is full: of 1024 KiB that are free"), "{told}");
    bond.send(&frames_of("vlan/stacked-by-accident/bond0.pcap"));
    netdiag.line(|line| line.contains("VLAN001"));
    let (status, _, warned) = netdiag.interrupt();
    let kept = fs::read_dir(&folder).unwrap().count();
    run(&format!("umount {shown}"));
    assert_eq!((status.code(), kept, warned.contains("evidence")), (Some(1), 0, false), "{warned}");
}

fn what_was_open_is_known_after_a_kill() {
    let (bond, folder) = (Pair::new("bond0"), scratch("state"));
    let _ = fs::remove_dir_all(&folder);
    let (shown, file) = (folder.to_str().unwrap(), folder.join("state.json"));
    let start = || Running::start(&["live", "bond0", "--format", "ndjson", "--state", shown]);
    let mut netdiag = start();
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    let opened = json(&netdiag.line(|line| line.contains("STP001")));
    run(&format!("timeout 30 sh -c 'until grep -q STP001 {}; do sleep 0.02; done' 2>&1", file.display()));
    netdiag.signal("KILL");
    netdiag.end();
    let mut netdiag = start();
    let told = netdiag.warned("known from an earlier run");
    assert!(told.contains("open findings 1, leases 0"), "{told}");
    let known = json(&netdiag.line(|line| line.contains("STP001")));
    assert_eq!(known["change"], "recalled");
    for part in ["first", "key", "severity", "confidence", "headline"] {
        assert_eq!(known["finding"][part], opened["finding"][part], "{part}");
    }
    // It is the same finding when it is seen again, and when the run after that begins.
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    let (status, said, _) = netdiag.interrupt();
    assert!(status.code() == Some(1) && !said.contains("\"opened\""), "{said}");
    let state = json(&fs::read_to_string(&file).unwrap());
    assert_eq!((&state["schema"], state["facts"].as_array().unwrap().len()), (&"netdiag.state/1".into(), 1));
    assert_eq!(state["facts"][0]["first"], opened["finding"]["first"]);
    fs::write(&file, "nonsense").unwrap();
    let mut netdiag = start();
    let told = netdiag.warned("what an earlier run knew is not used");
    assert!(told.contains("state.json: expected"), "{told}");
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    assert_eq!(json(&netdiag.line(|line| line.contains("STP001")))["change"], "opened");
    // Killed at any moment, what is there is whole.
    for frames in 0..8 {
        bond.send(&numbered(0..frames * 100));
        netdiag.signal("KILL");
        netdiag.end();
        let kept = fs::read_to_string(&file).unwrap();
        assert!(kept == "nonsense" || json(&kept).is_object(), "{kept}");
        netdiag = start();
    }
    netdiag.interrupt();
}

fn what_an_earlier_run_left_open_is_seen_to_end() {
    let (bond, folder) = (Pair::new("bond0"), scratch("left"));
    fs::create_dir_all(&folder).unwrap();
    let left = r#"{"schema":"netdiag.state/1","written":"2026-11-02T10:00:10Z","facts":[{"fact":"finding","code":"DHCP001",
        "key":[["client","fa:16:3e:12:34:56"],["domain","100"]],"severity":"error","confidence":"confirmed","headline":"It asks.",
        "first":"2026-11-02T10:00:00Z","last":"2026-11-02T10:00:09Z","count":3,"episodes":1}]}"#;
    fs::write(folder.join("state.json"), left).unwrap();
    let mut netdiag = Running::start(&["live", "bond0", "--format", "ndjson", "--state", folder.to_str().unwrap()]);
    netdiag.line(|line| line.contains("recalled"));
    bond.receive(&frames_of("healthy/dhcp-renewals/bond0.pcap")[..4]);
    let over = json(&netdiag.line(|line| line.contains("DHCP001")));
    assert_eq!(
        (&over["change"], &over["finding"]["first"]),
        (&"resolved".into(), &"2026-11-02T10:00:00.000000000Z".into())
    );
    let (status, ..) = netdiag.interrupt();
    let state = json(&fs::read_to_string(folder.join("state.json")).unwrap());
    assert!(status.code() == Some(1) && state["facts"][0]["fact"] == "lease", "{state}");
    assert_eq!(state["facts"][0]["address"], "10.20.0.15");
}

fn a_list_of_leases_is_followed() {
    let (bond, list) = (Pair::new("bond0"), scratch("followed.leases"));
    fs::write(&list, "4000000000 fa:16:3e:12:34:56 10.20.0.15 web-01 *\n").unwrap();
    let mut netdiag = Running::start(&["live", "bond0", "--leases", list.to_str().unwrap()]);
    // Once it judges, it has read the list.
    bond.send(&frames_of("stp/guest-bpdu-on-bond0/bond0.pcap"));
    netdiag.line(|line| line.contains("STP001"));
    fs::remove_file(&list).unwrap();
    let told = netdiag.warned("what becomes of its leases is not known until it can be read again");
    assert!(told.contains("followed.leases: there is no such file"), "{told}");
    let (status, ..) = netdiag.interrupt();
    assert_eq!(status.code(), Some(1));
}
