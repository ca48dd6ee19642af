//! What can be asked, in words: the arguments of every command.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::finding::Severity;

/// Reads the wire and says in one sentence what is wrong.
#[derive(Debug, Parser)]
#[command(name = "netdiag", version, about, max_term_width = 100)]
pub struct Args {
    /// Say more about what netdiag itself does, on standard error; twice for still more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge captures: pcap or pcapng, plain or in gzip, zstd or lz4; several files are one case seen from several places
    Review(Review),
    /// Judge every case below a folder and compare with its findings.toml
    Verify(Verify),
    /// Print the page of a finding, or the list of all
    Explain(Explain),
    /// Print the facts of this machine, one a line: links, bridges, what lives behind which port; `review --host` reads them
    Host,
    /// Print every setting with its default, as TOML
    Settings,
}

/// Judge captures.
#[derive(Debug, clap::Args)]
pub struct Review {
    /// Captures, `-` for standard input, or folders with a case.toml
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Facts about the host, one a line, as `host.jsonl` holds them
    #[arg(long, value_name = "FILE")]
    pub host: Vec<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write the frames that prove the findings to a commented pcapng file
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Level::Error, value_name = "SEVERITY")]
    pub fail_on: Level,
    /// Judge each file on its own
    #[arg(long, conflicts_with = "together")]
    pub each: bool,
    /// Judge all files as one case, whatever their times
    #[arg(long)]
    pub together: bool,
    /// What the end of the capture means for what still waits
    #[arg(long, value_enum, default_value_t = End::Cut, value_name = "MEANING")]
    pub eof: End,
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// Judge every case below a folder.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Folders with cases: captures with case.toml and findings.toml beside them
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// Print the page of a finding.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The code, such as MTU001, or the name; without it, the list
    pub code: Option<String>,
}

/// How to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// One JSON document (schema netdiag.report/1)
    Json,
    /// One JSON line for each change of a finding, as it happens
    Ndjson,
}

/// The least severity that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Facts, too
    Info,
    /// Degraded, or will break
    Warning,
    /// A service or guest is broken
    Error,
    /// A node or a network goes away
    Critical,
    /// Nothing: findings never fail
    Never,
}

/// What the end of a capture means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// The capture was cut off: what waits is pending
    Cut,
    /// The capture is complete: what waits has waited in vain
    Final,
}

impl Level {
    /// Whether a report whose worst root is `worst` fails.
    pub fn fails(self, worst: Option<Severity>) -> bool {
        let least = match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
            Self::Critical => Severity::Critical,
            Self::Never => return false,
        };
        worst.is_some_and(|worst| worst >= least)
    }
}
