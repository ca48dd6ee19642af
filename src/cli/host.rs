//! `netdiag host`: this machine's facts as `host.jsonl`, one a line. They bear no time: they hold from the beginning of whatever they are read with.

use super::Exit;

/// Prints the facts.
///
/// # Errors
/// When the kernel does not tell them, or the output cannot be written.
#[cfg(target_os = "linux")]
pub fn run() -> anyhow::Result<Exit> {
    use crate::event::Stamped;
    use crate::source::live::HostFacts;

    let mut lines = String::new();
    for what in HostFacts::open()?.read_all() {
        lines.push_str(&serde_json::to_string(&Stamped { time: None, what })?);
        lines.push('\n');
    }
    super::say(&lines)?;
    Ok(Exit::Clean)
}

/// Says that this system cannot be asked.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn run() -> anyhow::Result<Exit> {
    anyhow::bail!(
        "the host's facts come from the Linux kernel, and this is another system; write them by hand as host.jsonl, one a line"
    )
}
