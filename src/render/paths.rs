//! The ways of packets as a table: what operators drew with a pencil. Columns are vantages in the order of the way.

use std::fmt::Write;

use crate::finding::{Cell, FlowPath, Paths, Verdict};

/// The table for a person, and the times of the hops.
pub fn paths_text(paths: &Paths) -> String {
    let mut out = String::new();
    if !paths.flows.is_empty() {
        out.push_str("Under each place: the tags, and the longest frame in bytes.\n\n");
    }
    for flow in &paths.flows {
        flow_text(&mut out, flow);
        out.push('\n');
    }
    if paths.more_flows > 0 {
        let _ = writeln!(out, "and {} more flows; --flow chooses among them, --most shows more\n", paths.more_flows);
    }
    if !paths.hops.is_empty() {
        let mut rows = vec![["hop", "packets", "half within", "99 % within", "longest"].map(str::to_owned).to_vec()];
        for hop in &paths.hops {
            let way = format!("{} → {}", hop.from, hop.to);
            rows.push(vec![
                way,
                hop.packets.to_string(),
                hop.p50.to_string(),
                hop.p99.to_string(),
                hop.max.to_string(),
            ]);
        }
        out.push_str(&table(&rows));
        out.push('\n');
    }
    let left = paths.left_out;
    let reasons = [
        (left.super_frames, "super-frames are not followed: the card or the kernel cuts them on the way"),
        (left.repeated, "packets came twice with the same content, and cannot be told apart"),
        (left.crowded, "packets of further flows are not followed: there are too many"),
        (left.untimed, "hops are not timed: the clocks of their two ends may be off by more than a hop takes"),
    ];
    for (count, why) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(out, "left out: {count} {why}");
    }
    let frames = paths.inputs.iter().fold(0_u64, |sum, input| sum.saturating_add(input.frames));
    let _ = writeln!(out, "frames read: {frames}");
    for input in &paths.inputs {
        let _ = writeln!(out, "  {}", super::text::input_line(input));
    }
    out
}

/// The table as one JSON document.
///
/// # Errors
/// None that a path can cause; the type is serde's.
pub fn paths_json(paths: &Paths) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        schema: &'static str,
        #[serde(flatten)]
        paths: &'a Paths,
    }
    serde_json::to_string_pretty(&Document { schema: "netdiag.path/1", paths })
}

fn flow_text(out: &mut String, flow: &FlowPath) {
    let FlowPath { from, to, protocol, packets, .. } = flow;
    let doubt = if flow.is_ordered { String::new() } else { format!(" ({})", super::text::UNORDERED) };
    let _ = writeln!(out, "{from} > {to}  {protocol}: {packets} packet{}{doubt}", if *packets == 1 { "" } else { "s" });
    let mut head = vec!["  bytes".to_owned(), "packets".to_owned()];
    head.extend(flow.vantages.iter().map(ToString::to_string));
    let mut rows = vec![head];
    for row in &flow.rows {
        let sizes = match (row.smallest, row.largest) {
            (smallest, largest) if smallest == largest => format!("  {smallest}"),
            (smallest, largest) => format!("  {smallest}–{largest}"),
        };
        let mut line = vec![sizes, row.packets.to_string()];
        line.extend(row.cells.iter().map(cell));
        rows.push(line);
    }
    out.push_str(&table(&rows));
    if let Some(verdict) = &flow.verdict {
        let Verdict { seen_at, missing_at, smallest_lost, lost, largest_passed, passed } = verdict;
        let _ = match passed {
            0 => writeln!(out, "  From {seen_at} to {missing_at} every packet was lost ({lost})."),
            _ => writeln!(
                out,
                "  From {seen_at} to {missing_at} every packet of {smallest_lost} bytes and more was lost ({lost}); all up to \
                 {largest_passed} came through ({passed})."
            ),
        };
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Yes { tags, wire_len, .. } => format!("{tags}, {wire_len}"),
        Cell::No => "not seen".to_owned(),
        Cell::NotCaptured => "?".to_owned(),
    }
}

/// Lines whose columns stand under each other.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
