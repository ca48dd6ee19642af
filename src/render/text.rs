//! The text report: one block a finding, then the summary. Styles are ANSI; whoever prints strips them where nobody sees colours.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::advice::Advice;
use super::exchange::exchange_text;
use super::lines::{BOLD, DIM, labelled, wrap};
use crate::event::Cited;
use crate::finding::{Change, Finding, Input, Latency, Report, Severity, State, Stop, Tally, Way};
use crate::value::Timestamp;

/// Trees, and neighbours, that are listed for a person.
const LISTED: usize = 16;

/// The report for a person, at most `width` columns wide where words can be parted.
pub fn report_text(report: &Report, width: usize) -> String {
    let (mut out, mut advice) = (String::new(), Advice::default());
    for finding in &report.findings {
        finding_text(&mut out, finding, &mut advice, report, width);
        out.push('\n');
    }
    for exchange in report.exchanges.iter().flatten() {
        out.push_str(&exchange_text(exchange));
        out.push('\n');
    }
    if report.exchanges.as_ref().is_some_and(|all| !all.is_empty()) {
        out.push('\n');
    }
    summary(&mut out, report, width);
    out
}

/// One change of a finding as one line: what a live run prints as it happens.
pub fn change_text(change: Change, finding: &Finding) -> String {
    let word = match change {
        Change::Opened => "found",
        Change::Climbed => "surer",
        Change::Updated => "still",
        Change::Resolved => "over",
        Change::Reopened => "again",
        Change::Recalled => "known",
        Change::Lowered => "unsure",
    };
    let style = severity_style(finding.severity);
    let Finding { severity, rule, headline, .. } = finding;
    format!("{}  {word:<6} {style}{severity}{style:#}  {} {}  {headline}", finding.last.clock(), rule.code, rule.name)
}

fn finding_text<'a>(out: &mut String, finding: &'a Finding, advice: &mut Advice<'a>, report: &Report, width: usize) {
    let indent = if finding.explained_by.is_some() { "    " } else { "" };
    let style = severity_style(finding.severity);
    let rule = finding.rule;
    let head = format!(
        "{indent}{style}{}{style:#}  {BOLD}{} {}{BOLD:#}  {}",
        finding.severity, rule.code, rule.name, finding.confidence
    );
    let plain = indent.len()
        + finding.severity.to_string().len()
        + rule.code.len()
        + rule.name.len()
        + finding.confidence.to_string().len()
        + 5;
    let over = if finding.state == State::Resolved { "resolved  " } else { "" };
    let key: Vec<String> = finding.key.parts().map(|(name, value)| key_part(name, &value.to_string())).collect();
    let key = format!("{over}{}", key.join("  "));
    let gap = width.saturating_sub(plain + key.chars().count());
    if gap >= 2 {
        let _ = writeln!(out, "{head}{}{key}", " ".repeat(gap));
    } else {
        let _ = writeln!(out, "{head}\n{indent}  {DIM}{key}{DIM:#}");
    }
    let body = format!("{indent}  ");
    wrap(out, &body, &body, &finding.headline, width);
    if let Some(root) = finding.explained_by.and_then(|id| report.findings.iter().find(|f| f.id == id)) {
        let _ = writeln!(out, "{indent}  {DIM}explained by {} above{DIM:#}", root.rule.code);
    }
    frames(out, indent, &finding.evidence, report);
    for (at, way) in finding.ways.iter().enumerate() {
        labelled(out, indent, if at == 0 { "Way" } else { "" }, &way_line(way, report), width);
    }
    advice.say(out, indent, finding, width);
    for (at, assumption) in finding.assumptions.iter().enumerate() {
        labelled(out, indent, if at == 0 { "Assumed" } else { "" }, assumption, width);
    }
    if !finding.filter.is_empty() {
        let _ = writeln!(out, "{indent}  {DIM}Filter{DIM:#}   {}", finding.filter);
    }
    let _ = writeln!(out, "{indent}  {DIM}More{DIM:#}     netdiag explain {}", rule.code);
}

/// A part of a key for a person: what stands for itself needs no name.
fn key_part(name: &str, value: &str) -> String {
    match name {
        // Other networks than VLANs are called by a word.
        "domain" if value.starts_with(|first: char| first.is_ascii_digit()) => format!("VLAN {value}"),
        "domain" => value.to_owned(),
        "mac" | "client" | "interface" => value.to_owned(),
        _ => format!("{name} {value}"),
    }
}

/// What is said where nothing tells in which order a packet passed the places where it was seen.
pub(super) const UNORDERED: &str = "in which order, the clocks do not tell";

/// A packet's way: `1500 bytes: tap7 1514 B untagged → bond0 1522 B 20.100 → switch not seen`.
fn way_line(way: &Way, report: &Report) -> String {
    let stop = |stop: &Stop| {
        let name = report.vantage(stop.vantage).map(|v| v.name.to_string()).unwrap_or_default();
        match stop.look {
            Some(look) => format!("{name} {} B {}", look.wire_len, look.tags),
            None => format!("{name} not seen"),
        }
    };
    let stops: Vec<String> = way.stops.iter().map(stop).collect();
    if way.is_ordered {
        format!("{}: {}", way.what, stops.join(" → "))
    } else {
        format!("{}: {} ({UNORDERED})", way.what, stops.join(", "))
    }
}

fn frames(out: &mut String, indent: &str, evidence: &[Cited], report: &Report) {
    let name = |cited: &Cited| report.vantage(cited.at.vantage).map(|v| v.name.to_string()).unwrap_or_default();
    let names = evidence.iter().map(|c| name(c).chars().count()).max().unwrap_or(0);
    let numbers = evidence.iter().map(|c| c.at.number.to_string().len()).max().unwrap_or(0);
    for cited in evidence {
        let number = format!("#{}", cited.at.number);
        let tags = cited.tags();
        let tags = if tags.is_empty() { "untagged".to_owned() } else { format!("tags {tags}") };
        let _ = writeln!(
            out,
            "{indent}    {:names$}  {number:<w$}  {}  {tags}  {}, {} bytes",
            name(cited),
            cited.time.clock(),
            cited.line(),
            cited.wire_len,
            w = numbers + 1
        );
    }
}

fn summary(out: &mut String, report: &Report, width: usize) {
    let tally = &report.tally;
    let _ = write!(out, "frames read: {}", tally.frames);
    let span = report.inputs.iter().filter_map(|i| Some((i.first?, i.last?)));
    if let Some((first, last)) = span.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
        let _ = write!(out, "  {} {} to {}", first.date(), first.clock(), end_of(first, last));
    }
    out.push('\n');
    for input in &report.inputs {
        wrap(out, "  ", "    ", &input_line(input), width);
    }
    let counted = counted(tally);
    if !counted.is_empty() {
        wrap(out, "seen: ", "  ", &counted, width);
    }
    let unread = unread(tally);
    if !unread.is_empty() {
        wrap(out, "not read: ", "  ", &unread, width);
    }
    latency(out, tally, width);
    let _ = writeln!(out, "{}", verdict(report));
    for pending in &report.pending {
        wrap(
            out,
            "pending: ",
            "  ",
            &format!("{} {} (since {})", pending.code, pending.what, pending.since.clock()),
            width,
        );
    }
    topology(out, report, width);
    if tally.frames > 0 || !report.findings.is_empty() {
        checked(out, report, width);
    }
    let lost = lost(report);
    if !lost.is_empty() {
        wrap(out, "lost: ", "  ", &lost, width);
    }
    for input in &report.inputs {
        let rest = if input.frames > 0 { "; what stood before it was used" } else { "" };
        if let Some(damage) = &input.damage {
            wrap(out, "damaged: ", "  ", &format!("{damage}{rest}"), width);
        }
    }
}

/// Which families were checked, and which rules could not be.
fn checked(out: &mut String, report: &Report, width: usize) {
    let mut families: Vec<&str> = report.checked.iter().map(|code| family(code)).collect();
    families.dedup();
    wrap(out, "checked: ", "  ", &format!("{}  (rules: netdiag explain)", families.join(" ")), width);
    for (why, codes) in not_checked(report) {
        wrap(out, "not checked: ", "  ", &format!("{}: {why}", codes.join(" ")), width);
    }
}

/// How long DHCP servers took, where any answered.
fn latency(out: &mut String, tally: &Tally, width: usize) {
    for Latency { pair, answers, p50, p95, p99, max } in &tally.dhcp_latency {
        let line = match answers {
            1 => format!("{pair}: {max}, once"),
            n => format!("{pair}: p50 {p50}, p95 {p95}, p99 {p99}, max {max}, of {n} answers"),
        };
        wrap(out, "latency: ", "  ", &line, width);
    }
}

/// One input: what it is, and what was lost or put right.
pub(super) fn input_line(input: &Input) -> String {
    let Input { path, frames, format, .. } = input;
    let lost = match (input.dropped, input.missed) {
        (0, 0) => String::new(),
        (dropped, 0) => format!(", {dropped} more lost"),
        (dropped, missed) => format!(", {dropped} more lost in the ring and {missed} by the card"),
    };
    let clock = input.clock.map(|clock| {
        // As exact as it is known, which no unit for a person is.
        let offset = clock.offset.as_secs();
        format!(", clock put right by {offset:+.6} s (± {}, from {} packets)", clock.within, clock.packets)
    });
    let links: String = input.link_types.iter().map(|link| format!(", {link}")).collect();
    let frames = so_many(*frames, "frame", "frames");
    format!("{path}: {frames}{lost}, {format}{links}{}", clock.unwrap_or_default())
}

/// What could not be checked: each reason once, in the order of the catalogue.
fn not_checked(report: &Report) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for not in &report.not_checked {
        match reasons.iter_mut().find(|(why, _)| *why == not.why) {
            Some((_, codes)) => codes.push(not.code),
            None => reasons.push((&not.why, vec![not.code])),
        }
    }
    reasons
}

/// Trees and neighbours, one a line; of many the first.
fn topology(out: &mut String, report: &Report, width: usize) {
    for tree in report.trees.iter().take(LISTED) {
        let root = match tree.roots.as_slice() {
            [] => "no root is named".to_owned(),
            [only] => format!("root {}", only.bridge),
            [.., last] => format!("root {}, the last of {}", last.bridge, tree.roots.len()),
        };
        let tellers: Vec<String> = tree.changes_told_by.iter().map(|teller| teller.source.to_string()).collect();
        let by = if tellers.is_empty() { String::new() } else { format!(" (told by {})", tellers.join(", ")) };
        let line = format!(
            "{}, {}, {}: {root}; {} port{} spoke, {} topology change{}{by}",
            tree.interface,
            tree.domain,
            tree.instance,
            tree.ports.len(),
            plural(tree.ports.len() as u64),
            tree.topology_changes,
            plural(tree.topology_changes)
        );
        wrap(out, "tree: ", "  ", &line, width);
    }
    for n in report.neighbours.iter().take(LISTED) {
        let name = n.system.as_ref().unwrap_or(&n.chassis);
        let line = format!("{}: {name} port {}, by {}", n.interface, n.port, n.protocol.to_uppercase());
        wrap(out, "neighbour: ", "  ", &line, width);
    }
    let more = report.trees.len().saturating_sub(LISTED) + report.neighbours.len().saturating_sub(LISTED);
    if more > 0 {
        wrap(out, "", "  ", &format!("and {more} more trees and neighbours, which the JSON report lists"), width);
    }
}

const fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// The letters before the three digits of a code.
fn family(code: &str) -> &str {
    code.len().checked_sub(3).and_then(|at| code.get(..at)).unwrap_or(code)
}

fn verdict(report: &Report) -> String {
    let roots: Vec<&Finding> = report.findings.iter().filter(|f| f.explained_by.is_none()).collect();
    let counted = |severity: Severity| {
        let style = severity_style(severity);
        let count = roots.iter().filter(|f| f.severity == severity).count() as u64;
        // Two errors, two warnings; but two critical, two info.
        let ending = if matches!(severity, Severity::Error | Severity::Warning) { plural(count) } else { "" };
        (count > 0).then(|| format!("{style}{count} {severity}{ending}{style:#}"))
    };
    let severe = [Severity::Critical, Severity::Error, Severity::Warning, Severity::Info];
    let parts: Vec<String> = severe.into_iter().filter_map(counted).collect();
    let explained = report.findings.len() - roots.len();
    match (parts.is_empty(), explained) {
        (true, _) if report.tally.frames == 0 => "no frame was read: there is nothing to judge".to_owned(),
        (true, _) if report.tally.unread() == report.tally.frames => {
            "nothing found, and little can be: no frame of this capture is read to its end".to_owned()
        }
        (true, _) if report.tally.unread() > 0 => {
            "nothing found: no rule has anything to say about what was read".to_owned()
        }
        (true, _) => "nothing found: no rule has anything to say about this capture".to_owned(),
        (false, 0) => format!("found: {}", parts.join(", ")),
        (false, n) if roots.len() == 1 => format!("found: {}; it explains {n} more", parts.join(", ")),
        (false, n) => format!("found: {}; they explain {n} more", parts.join(", ")),
    }
}

fn counted(tally: &Tally) -> String {
    let mut parts = Vec::new();
    let tagged: Vec<String> = tally
        .vlan
        .depth
        .iter()
        .filter(|(d, _)| **d > 0)
        .map(|(d, n)| format!("{n} with {d} tag{}", if *d == 1 { "" } else { "s" }))
        .collect();
    parts.extend(tagged);
    parts.extend(tally.dhcp.iter().map(|(kind, n)| format!("{n} DHCP {kind}")));
    let stp = &tally.stp;
    let kinds = [
        ("config", stp.config),
        ("TCN", stp.tcn),
        ("RST", stp.rst),
        ("MST", stp.mst),
        ("SPT", stp.spt),
        ("untyped", stp.untyped),
    ];
    parts.extend(kinds.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{n} STP {kind}")));
    parts.extend(tally.arp.iter().map(|(op, n)| format!("{n} ARP {op}")));
    let singles = [
        ("LACP", tally.lacp),
        ("LLDP", tally.lldp),
        ("fragmentation needed", tally.icmp_frag_needed),
        ("packet too big", tally.icmpv6_packet_too_big),
        ("cut by the snap length", tally.cut),
        ("cut short by their sender", tally.stops.short),
        ("malformed", tally.stops.bad),
        ("too deep", tally.stops.deep),
    ];
    parts.extend(singles.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")));
    parts.join(", ")
}

/// What the counts and the findings know nothing of.
fn unread(tally: &Tally) -> String {
    let list = |counts: Vec<String>| (!counts.is_empty()).then(|| counts.join(", "));
    let links = list(tally.undecoded_links.iter().map(|(link, n)| format!("{n} of {link}")).collect());
    let carried = list(tally.unopened.iter().map(|(what, n)| format!("{n} of {what}")).collect());
    let carried = carried.map(|frames| format!("what is inside {frames}"));
    links.into_iter().chain(carried).collect::<Vec<_>>().join("; ")
}

fn lost(report: &Report) -> String {
    let lost = &report.lost;
    let counts = [
        (lost.kernel, "dropped while capturing"),
        (lost.card, "that network cards lost before"),
        (lost.ring, "that the ring had no room for"),
        (lost.us, "dropped by netdiag"),
        (lost.disordered, "with a stamp earlier than the one before"),
        (lost.late, "too late for their place"),
        (lost.internal_errors, "over which netdiag itself failed: please report this"),
    ];
    let frames = counts.iter().filter(|(n, _)| *n > 0);
    let mut parts: Vec<String> = frames.map(|(n, what)| format!("{} {what}", so_many(*n, "frame", "frames"))).collect();
    if lost.asleep_s > 0 {
        let seconds = so_many(lost.asleep_s, "second", "seconds");
        parts.push(format!("{seconds} in which this host slept and nothing was heard"));
    }
    let entries = |n: &u64| so_many(*n, "entry", "entries");
    parts.extend(
        lost.forgotten
            .iter()
            .map(|(table, n)| format!("{} of table {table} forgotten because it was full", entries(n))),
    );
    parts.join(", ")
}

/// So many of something: `1 frame`, `2 frames`.
fn so_many(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn end_of(first: Timestamp, last: Timestamp) -> String {
    if first.date() == last.date() { last.clock() } else { format!("{} {}", last.date(), last.clock()) }
}

fn severity_style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical | Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Info => AnsiColor::Cyan,
    };
    let style = Style::new().fg_color(Some(colour.into()));
    if severity == Severity::Critical { style.bold() } else { style }
}
