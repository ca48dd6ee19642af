//! Our eyes against others': the tally against tshark's counts, the decoder against `etherparse` on every whole frame.

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use netdiag::finding::Report;
use netdiag::source::{Step, open};
use netdiag::wire::{Layer, LinkType, decode};
use serde_json::Value;

/// Where tshark and we differ, and why we are right: file, what, reason.
const ARGUED: &[(&str, &str, &str)] = &[
    ("pcapng-generator/le-basic-test012.pcapng", "dhcp", "cut after option 53: the type is there to be read"),
    (
        "pcapflowlab/10_pbb_outer_btag_inner_vlan_ipv4_tcp.pcap",
        "vlan depth",
        "the inner tag is the customer's, inside MAC-in-MAC",
    ),
    ("zeek/vntag_vlan_sandwich_clean.pcap", "vlan depth", "the inner tag is behind a VN-Tag, which is not decoded"),
    ("scapy/gvrp.pcapng.gz", "stp", "protocol id 1 on LLC 42 is GARP, not spanning tree"),
    ("tcpdump/stp-heapoverflow-1.pcap", "stp", "not addressed to bridges"),
    ("broken/tcpdump-stp-v4-length-sigsegv.pcap", "stp", "not addressed to bridges"),
    (
        "broken/tcpdump-of10_s4810.pcap",
        "stp",
        "quoted inside OpenFlow messages over TCP: nobody on this wire speaks spanning tree",
    ),
    ("pcapflowlab/11_snaplen_truncated_arp_request.pcap", "arp", "cut before the packet's addresses; counted as cut"),
    (CLUSTERFUZZ, "frames", "reserved bits of the link type word are ignored, as the format's draft asks of readers"),
    (CLUSTERFUZZ, "cut", "as above"),
    (
        "broken/tcpdump-juniper_monitor_invalid_cookie_length.pcap",
        "frames",
        "a link type that is not decoded is counted and named",
    ),
    ("broken/tcpdump-vtp_asan-2.pcap", "frames", "a link type that is not decoded is counted and named"),
    ("broken/tcpdump-vtp_asan-2.pcap", "cut", "as above"),
];
const CLUSTERFUZZ: &str = "broken/pcapplusplus-clusterfuzz-testcase-minimized-FuzzTarget-5631583764873216.pcap";

/// A count of the truth by its path; an absent one is zero.
fn counts(truth: &Value, path: &[&str]) -> BTreeMap<String, u64> {
    let found = path.iter().try_fold(truth, |at, key| at.get(key));
    let map = found.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, n)| Some((key.clone(), n.as_u64()?))).filter(|(_, n)| *n > 0).collect()
}

fn number(truth: &Value, key: &str) -> u64 {
    truth.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn compare(file: &str, truth: &Value, report: &Report) -> Vec<String> {
    let tally = &report.tally;
    let mut differences = Vec::new();
    let mut differ = |what: &str, tshark: String, ours: String| {
        if tshark != ours && !ARGUED.iter().any(|(f, w, _)| *f == file && *w == what) {
            differences.push(format!("{file}: {what}: tshark {tshark}, we {ours}"));
        }
    };
    // Where custom blocks take part in Wireshark's numbering, the truth counts packets apart.
    let frames = truth.get("packets").and_then(Value::as_u64).unwrap_or_else(|| number(truth, "frames"));
    differ("frames", frames.to_string(), tally.frames.to_string());
    differ("cut", number(truth, "cut").to_string(), tally.cut.to_string());
    let depth: BTreeMap<String, u64> =
        tally.vlan.depth.iter().filter(|(d, _)| **d > 0).map(|(d, n)| (d.to_string(), *n)).collect();
    let mut theirs = counts(truth, &["vlan", "depth"]);
    theirs.remove("0");
    differ("vlan depth", format!("{theirs:?}"), format!("{depth:?}"));
    differ("dhcp", format!("{:?}", counts(truth, &["dhcp", "types"])), format!("{:?}", tally.dhcp));
    let stp = &tally.stp;
    let kinds = [
        ("config", stp.config),
        ("mst", stp.mst),
        ("rst", stp.rst),
        ("spt", stp.spt),
        ("tcn", stp.tcn),
        ("untyped", stp.untyped),
    ];
    let ours: BTreeMap<String, u64> =
        kinds.iter().filter(|(_, n)| *n > 0).map(|(k, n)| ((*k).to_owned(), *n)).collect();
    differ("stp", format!("{:?}", counts(truth, &["stp", "kinds"])), format!("{ours:?}"));
    differ("pvst", counts(truth, &["stp", "pvst"]).values().sum::<u64>().to_string(), stp.pvst.to_string());
    let arp =
        |n: &BTreeMap<String, u64>| (n.get("request").copied().unwrap_or(0), n.get("reply").copied().unwrap_or(0));
    let ours: BTreeMap<String, u64> = tally.arp.iter().map(|(op, n)| ((*op).to_owned(), *n)).collect();
    differ("arp", format!("{:?}", arp(&counts(truth, &["arp"]))), format!("{:?}", arp(&ours)));
    differences
}

#[test]
fn the_tally_is_tsharks_or_ours_for_a_reason() {
    let Some(folder) = support::public_captures() else { return };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.jsonl")).unwrap();
    let mut differences = Vec::new();
    for line in manifest.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let file = entry["file"].as_str().unwrap();
        let report = support::review(&[&folder.join(file)]);
        assert_eq!(report.lost.internal_errors, 0, "{file}: netdiag itself failed over a frame");
        differences.extend(compare(file, &entry["truth"], &report));
    }
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// Tags, addresses and ports of a frame, as far as they were understood.
type Seen = (Vec<u16>, Option<(IpAddr, IpAddr)>, Option<(u16, u16)>);

/// A frame as `etherparse` sees it; `None` where it stopped early or does not go as far as we do.
fn theirs(bytes: &[u8]) -> Option<Seen> {
    let packet = LaxSlicedPacket::from_ethernet(bytes).ok()?;
    // It ends without a word at a fourth tag, and has no 802.3 length fields.
    let is_whole = packet.stop_err.is_none() && packet.link_exts.len() < 3;
    let addresses = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr())),
        LaxNetSlice::Ipv6(ip) => (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr())),
        LaxNetSlice::Arp(_) => return None,
    };
    let ports = match packet.transport.as_ref() {
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        _ => None,
    };
    let tags = packet.vlan_ids().iter().map(|vid| vid.value()).collect();
    is_whole.then_some((tags, Some(addresses), ports))
}

/// The same frame as we see it, by its outermost headers.
fn ours(bytes: &[u8]) -> Seen {
    let layers = decode(LinkType::Ethernet, bytes, u32::try_from(bytes.len()).unwrap());
    let tags = layers.tags().as_slice().iter().map(|(_, vid)| vid.number()).collect();
    let ports = layers.iter().find_map(|layer| match layer {
        Layer::Udp(udp) => Some((udp.src_port(), udp.dst_port())),
        Layer::Tcp(tcp) => Some((tcp.src_port(), tcp.dst_port())),
        _ => None,
    });
    (tags, layers.ip().map(|ip| (ip.src(), ip.dst())), ports)
}

#[test]
fn the_decoder_agrees_with_etherparse() {
    let mut files = support::files_below(&support::captures());
    files.extend(support::public_captures().map(|folder| support::files_below(&folder)).unwrap_or_default());
    let (mut compared, mut differences) = (0, Vec::new());
    for file in files {
        let Ok(mut source) = open(&file) else { continue };
        while source.advance() == Ok(Step::Record) {
            let record = source.record();
            let is_ethernet = source.interfaces()[record.interface as usize].link == LinkType::Ethernet;
            let is_cut = record.bytes.len() < record.wire_len as usize;
            let Some(theirs) = theirs(record.bytes).filter(|_| is_ethernet && !is_cut) else { continue };
            compared += 1;
            let ours = ours(record.bytes);
            // Inside an IP in IP or a tunnel we go on, and they stop.
            if ours.0 != theirs.0 || ours.1 != theirs.1 || (theirs.2.is_some() && ours.2 != theirs.2) {
                differences.push(format!("{} frame {}: they {theirs:?}, we {ours:?}", file.display(), record.number));
            }
        }
    }
    assert!(compared > 1_000, "only {compared} frames were compared");
    assert!(differences.is_empty(), "{} of {compared} differ\n{}", differences.len(), differences.join("\n"));
}
