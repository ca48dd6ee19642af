//! The cited frames as a pcapng file that Wireshark opens: one interface a vantage, and on each frame a comment for each finding it proves.

use std::collections::BTreeMap;

use crate::event::{Cited, Direction, FrameRef, Offload, VantageId};
use crate::finding::Report;
use crate::pcapng::{self, Described, Packet};

/// The file, whole.
pub fn evidence(report: &Report) -> Vec<u8> {
    let mut frames: BTreeMap<(i64, FrameRef), (&Cited, Vec<String>)> = BTreeMap::new();
    for finding in &report.findings {
        for cited in &finding.evidence {
            let comment = format!("{} {}: {}", finding.rule.code, finding.rule.name, finding.headline);
            let entry = frames.entry((cited.time.nanos(), cited.at)).or_insert((cited, Vec::new()));
            entry.1.push(comment);
        }
    }
    let mut out = Vec::new();
    pcapng::section(&mut out, "");
    let mut interfaces: BTreeMap<VantageId, u32> = BTreeMap::new();
    for (at, (id, vantage)) in (0..).zip(&report.vantages) {
        interfaces.insert(*id, at);
        let name = vantage.name.to_string();
        let filter = vantage.filter.as_ref().map(ToString::to_string).unwrap_or_default();
        let (link, snap_len) = (vantage.link, vantage.snap_len);
        let about = Described { name: &name, description: "", link, snap_len, filter: &filter, tells_offload: false };
        pcapng::interface(&mut out, &about);
    }
    for ((_, at), (cited, mut comments)) in frames {
        let Some(interface) = interfaces.get(&at.vantage) else { continue };
        comments.insert(0, format!("frame {} of its capture", at.number));
        let frame = Packet {
            interface: *interface,
            time: cited.time,
            wire_len: cited.wire_len,
            direction: Direction::Unknown,
            offload: Offload::Unknown,
            tells_offload: false,
            bytes: &cited.bytes,
            comments: &comments,
        };
        pcapng::packet(&mut out, &frame);
    }
    out
}
