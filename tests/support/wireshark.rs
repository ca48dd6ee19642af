//! What Wireshark saw in the captures of a case, and what we see: file, frame, protocols from the outside in, and tags.
//! Only protocols that both name are compared. A packet that an ICMP error quotes is no layer of ours, so that the row ends there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use netdiag::source::{Step, open};
use netdiag::wire::{Kind, Layer, decode};

/// Its name in the folder of a case.
pub const FILE: &str = "wireshark.tsv";
/// The first line.
const HEAD: &str = "file\tframe\tprotocols\ttags\n";
/// Frames of a file that are told: what comes later looks the same.
const MOST: u64 = 40;
/// What we call it, what Wireshark does.
const NAMES: &[(Kind, &str)] = &[
    (Kind::Ethernet, "eth"),
    (Kind::Sll, "sll"),
    (Kind::Sll2, "sll"),
    (Kind::Null, "null"),
    (Kind::Vlan, "vlan"),
    (Kind::Llc, "llc"),
    (Kind::Arp, "arp"),
    (Kind::Ipv4, "ip"),
    (Kind::Ipv6, "ipv6"),
    (Kind::Icmp, "icmp"),
    (Kind::Icmpv6, "icmpv6"),
    (Kind::Udp, "udp"),
    (Kind::Tcp, "tcp"),
    (Kind::Vxlan, "vxlan"),
    (Kind::Geneve, "geneve"),
    (Kind::Gre, "gre"),
    (Kind::Dhcp, "dhcp"),
    (Kind::Stp, "stp"),
    (Kind::Lacp, "lacp"),
    (Kind::Lldp, "lldp"),
];

/// Frames over which we differ, and are right: case, file, frame.
///
/// They are GARP: protocol identifier 1 behind the LLC header of spanning tree (IEEE 802.1D-2004 clause 12.10).
const ARGUED: &[(&str, &str, u64)] =
    &[("healthy/lacp-lldp-garp", "eth0.pcap", 13), ("healthy/trunk-with-all-a-switch-says", "eth2.pcapng", 23)];

/// A line of the oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    file: String,
    frame: u64,
    protocols: Vec<String>,
    tags: Vec<String>,
    /// Whether we could not read the frame to its end.
    is_stopped: bool,
}

/// Where the captures in `folder` differ from what Wireshark saw in them, one sentence each; none where nobody asked it.
pub fn differences(folder: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(folder.join(FILE)) else { return Vec::new() };
    let theirs: Vec<Row> = text.lines().skip(1).map(|line| Row::read(line).expect(line)).collect();
    let ours: Vec<Row> = captures(folder).iter().flat_map(|file| ours(file)).collect();
    let mut differences = Vec::new();
    if ours.len() != theirs.len() {
        differences.push(format!("Wireshark saw {} frames, we {}", theirs.len(), ours.len()));
    }
    let is_argued =
        |row: &Row| ARGUED.iter().any(|(case, file, n)| folder.ends_with(case) && row.file == *file && row.frame == *n);
    for (ours, theirs) in ours.iter().zip(&theirs).filter(|(ours, _)| !is_argued(ours)) {
        // Where the frame ends too soon Wireshark may still name what begins there.
        let is_same = if ours.is_stopped {
            theirs.protocols.starts_with(&ours.protocols)
        } else {
            ours.protocols == theirs.protocols && ours.tags == theirs.tags
        };
        if !is_same || (&ours.file, ours.frame) != (&theirs.file, theirs.frame) {
            differences.push(format!("Wireshark saw {}, we {}", theirs.line(), ours.line()));
        }
    }
    differences
}

/// Asks tshark about the captures in `folder` and keeps what it says.
pub fn ask(folder: &Path) {
    let mut text = HEAD.to_owned();
    for file in captures(folder) {
        let output = Command::new("tshark")
            .args(["-n", "-o", "ip.defragment:false", "-o", "ipv6.defragment:false", "-c", &MOST.to_string(), "-r"])
            .arg(&file)
            .args(["-T", "fields"])
            .args(["-e", "frame.number", "-e", "frame.protocols", "-e", "vlan.id", "-e", "ieee8021ad.id"])
            .output()
            .expect("tshark: apt-get install tshark");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            text.push_str(&Row::of_tshark(&file, line).line());
            text.push('\n');
        }
    }
    fs::write(folder.join(FILE), text).unwrap();
}

/// The captures of a case, in order.
fn captures(folder: &Path) -> Vec<PathBuf> {
    super::files_below(folder)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// What we see.
fn ours(file: &Path) -> Vec<Row> {
    let mut source = open(file).unwrap();
    let mut rows = Vec::new();
    while rows.len() < MOST as usize && source.advance() == Ok(Step::Record) {
        let record = source.record();
        let link = source.interfaces()[record.interface as usize].link;
        let layers = decode(link, record.bytes, record.wire_len);
        let of = |layer: &Layer<'_>| NAMES.iter().find(|(kind, _)| *kind == layer.kind()).map(|(_, name)| *name);
        let tag = |layer: &Layer<'_>| match layer {
            Layer::Vlan(vlan) => Some(vlan.tag().vid.number().to_string()),
            _ => None,
        };
        rows.push(Row {
            file: name(file),
            frame: record.number,
            protocols: layers.iter().filter_map(of).map(str::to_owned).collect(),
            tags: layers.iter().filter_map(tag).collect(),
            is_stopped: layers.stop.is_some(),
        });
    }
    rows
}

impl Row {
    /// A line of tshark's: number, protocols, and the VLANs of customer and of service tags.
    fn of_tshark(file: &Path, line: &str) -> Self {
        let mut fields = line.split('\t');
        let frame = fields.next().unwrap().parse().unwrap();
        let stack = fields.next().unwrap_or_default();
        let mut vlans = fields.map(|ids| ids.split(',').filter(|id| !id.is_empty()));
        let (mut customer, mut service) = (vlans.next().unwrap(), vlans.next().unwrap());
        let (mut protocols, mut tags) = (Vec::new(), Vec::new());
        for protocol in stack.split(':') {
            let protocol = match protocol {
                "vlan" => {
                    tags.extend(customer.next().map(str::to_owned));
                    "vlan"
                }
                "ieee8021ad" => {
                    tags.extend(service.next().map(str::to_owned));
                    "vlan"
                }
                "slow" => continue,
                other => other,
            };
            if NAMES.iter().any(|(_, name)| *name == protocol) {
                protocols.push(protocol.to_owned());
            }
            if matches!(protocol, "icmp" | "icmpv6") {
                break;
            }
        }
        Self { file: name(file), frame, protocols, tags, is_stopped: false }
    }

    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let list = |text: &str, by: char| text.split(by).filter(|t| !t.is_empty()).map(str::to_owned).collect();
        Some(Self {
            file: fields.next()?.to_owned(),
            frame: fields.next()?.parse().ok()?,
            protocols: list(fields.next()?, ':'),
            tags: list(fields.next()?, '.'),
            is_stopped: false,
        })
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}", self.file, self.frame, self.protocols.join(":"), self.tags.join("."))
    }
}
