//! `netdiag host`: this machine's facts as `host.jsonl`, one a line. They bear no time: they hold from the beginning of whatever they are read with.

use super::Exit;
use crate::event::Stamped;
use crate::source::live::{Filters, Guests, HostFacts};

/// Prints the facts.
///
/// # Errors
/// When the kernel does not tell them, or the output cannot be written.
pub fn run() -> anyhow::Result<Exit> {
    let mut lines = String::new();
    let mut host = HostFacts::open()?;
    let facts = host.read_all();
    let filters = Filters::default().read(host.links());
    for what in facts.into_iter().chain(Guests::default().news()).chain(filters) {
        lines.push_str(&serde_json::to_string(&Stamped { time: None, what })?);
        lines.push('\n');
    }
    super::say(&lines)?;
    Ok(Exit::Clean)
}
