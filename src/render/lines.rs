//! Lines of text for a person: parted between words, and labelled. Styles are ANSI; whoever prints strips them where nobody sees colours.

use std::fmt::Write;

use anstyle::Style;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// Writes `text` behind a label of a finding, further lines below it.
pub(super) fn labelled(out: &mut String, indent: &str, label: &str, text: &str, width: usize) {
    let rest = format!("{indent}           ");
    let first = format!("{indent}  {DIM}{label}{DIM:#}{}", " ".repeat(9_usize.saturating_sub(label.len())));
    wrap(out, &first, &rest, text, width);
}

/// Writes `text` behind `first`, further lines behind `rest`, parted between words so that no line is longer than `width` if it can be.
pub(super) fn wrap(out: &mut String, first: &str, rest: &str, text: &str, width: usize) {
    let mut line = String::new();
    let mut lead = first;
    for word in text.split(' ') {
        if !line.is_empty() && columns(lead) + line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(out, "{lead}{line}");
            line.clear();
            lead = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{lead}{line}");
}

/// Columns that our own text takes: styles, from ESC to `m`, take none.
fn columns(text: &str) -> usize {
    let parts = text.split('\u{1b}').enumerate();
    let plain = parts.map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
    plain.map(|part| part.chars().count()).sum()
}
