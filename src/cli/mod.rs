//! The command line: one file a command. Only here and in live sources may clocks, the environment and the terminal be asked.

mod args;
mod case_check;
mod explain;
mod heap;
mod host;
mod judge;
mod live;
mod path;
mod record;
mod review;
mod verify;

pub use case_check::{Truth, differences};
pub use judge::{Judgement, Progress, Watch, judge};

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use args::{Args, Command};

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing at or above `--fail-on`.
    Clean,
    /// Findings.
    Found,
    /// Something could not be done.
    Trouble,
}

/// Parses the arguments of this process, runs the command, and turns what it came to into an exit code.
pub fn run() -> ExitCode {
    heap::prefer_large_pages();
    let args = Args::parse();
    start_log(args.verbose);
    permit_files();
    let done = match args.command {
        Command::Review(review) => review::run(&review),
        Command::Live(live) => live::run(&live),
        Command::Path(path) => path::run(&path),
        Command::Record(record) => record::run(&record),
        Command::Verify(verify) => verify::run(&verify),
        Command::Explain(explain) => explain::run(&explain),
        Command::Host => host::run(),
        Command::Settings => explain::settings(),
    };
    match done {
        Ok(Exit::Clean) => ExitCode::SUCCESS,
        Ok(Exit::Found) => ExitCode::from(1),
        Ok(Exit::Trouble) => ExitCode::from(2),
        // Who reads us has read enough: that is not trouble.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("netdiag: {}", crate::value::spelled_out(format!("{error:#}")));
            ExitCode::from(2)
        }
    }
}

/// Prints `text` on standard output; styles are stripped where it is not a terminal or `NO_COLOR` is set.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let is_coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(is_coloured);
    log.with_target(false).without_time().init();
}

/// Takes all the open files that the system lets this process have: each capture is one, each interface a socket, and a recorded one a file, too.
fn permit_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused, the first that is too many is told.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
