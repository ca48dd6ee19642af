//! `netdiag explain [CODE]` and `netdiag settings`: what netdiag knows about itself.

use anyhow::bail;

use super::args::Explain;
use super::{Exit, say};
use crate::detect;
use crate::settings::Settings;
use crate::value::Outside;

/// Prints the page of a finding, or the list of all.
///
/// # Errors
/// When there is no such finding, or the output cannot be written.
pub fn run(args: &Explain) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else {
        for entry in detect::entries() {
            say(&format!(
                "{}  {:<28} {:<9} {}\n",
                entry.rule.code,
                entry.rule.name,
                entry.rule.worst(),
                entry.rule.summary()
            ))?;
        }
        return Ok(Exit::Clean);
    };
    let is_wanted = |rule: &crate::finding::Rule| rule.code.eq_ignore_ascii_case(wanted) || rule.name == wanted;
    let Some(entry) = detect::entries().find(|entry| is_wanted(&entry.rule)) else {
        bail!("there is no finding {}; `netdiag explain` lists all", Outside::from(wanted.as_str()));
    };
    match &args.remedy {
        None => say(entry.rule.page)?,
        Some(tool) => match remedy(entry.rule.page, tool) {
            Some(lines) => say(&lines)?,
            None => bail!("the page of {} has no remedy for {}", entry.rule.code, Outside::from(tool.as_str())),
        },
    }
    Ok(Exit::Clean)
}

/// The block of a page that is fenced as for `tool`.
fn remedy(page: &str, tool: &str) -> Option<String> {
    let mut lines = page.lines().skip_while(|line| line.strip_prefix("```") != Some(tool));
    lines.next()?;
    Some(lines.take_while(|line| *line != "```").fold(String::new(), |block, line| block + line + "\n"))
}

/// Prints every setting with its default.
///
/// # Errors
/// When the output cannot be written.
pub fn settings() -> anyhow::Result<Exit> {
    say(&toml::to_string(&Settings::default())?)?;
    Ok(Exit::Clean)
}
