//! The cited frames as a pcapng file that Wireshark opens: one interface a vantage, and on each frame a comment for each finding it proves.

use std::collections::BTreeMap;

use crate::event::{FrameRef, VantageId};
use crate::finding::{Cited, Report};

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
    let application = option(4, concat!("netdiag ", env!("CARGO_PKG_VERSION")).as_bytes());
    let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend(u64::MAX.to_le_bytes());
    block(&mut out, 0x0a0d_0d0a, &[section, application, option(0, &[])].concat());
    let mut interfaces: BTreeMap<VantageId, u32> = BTreeMap::new();
    for (at, (id, vantage)) in (0..).zip(&report.vantages) {
        interfaces.insert(*id, at);
        let mut body = u16::try_from(vantage.link.number()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        body.extend([0; 6]);
        body.extend(option(2, vantage.name.to_string().as_bytes()));
        // Nanoseconds: ten to the power of -9.
        body.extend(option(9, &[9]));
        body.extend(option(0, &[]));
        block(&mut out, 1, &body);
    }
    for ((nanos, at), (cited, comments)) in frames {
        let Some(interface) = interfaces.get(&at.vantage) else { continue };
        let ticks = nanos.max(0).cast_unsigned().to_le_bytes();
        let (low, high) = ticks.split_at(4);
        let mut body = interface.to_le_bytes().to_vec();
        body.extend(high);
        body.extend(low);
        body.extend(u32::try_from(cited.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(cited.wire_len.to_le_bytes());
        body.extend(cited.bytes.iter());
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(option(1, format!("frame {} of its capture", at.number).as_bytes()));
        for comment in comments {
            body.extend(option(1, comment.as_bytes()));
        }
        body.extend(option(0, &[]));
        block(&mut out, 6, &body);
    }
    out
}

/// One option, padded to four bytes; a value longer than the format's 65,535 bytes is cut.
fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    let mut out = code.to_le_bytes().to_vec();
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(body);
    out.extend(length);
}
