//! What can be asked, in words: the arguments of every command.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::finding::Severity;
use crate::value::Span;

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
    /// Judge live interfaces until Ctrl-C: findings as they open, climb and resolve, and the report at the end
    Live(Live),
    /// Show the way of packets through several captures: where they were seen, with which tags and sizes, where not, and how long it took
    Path(Path),
    /// Write live interfaces and what the host says of itself to a case folder, until Ctrl-C
    Record(Record),
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
    /// Names of addresses: `openstack port list -f json --long`, `virsh domiflist`, or lines of `mac,name`
    #[arg(long, value_name = "FILE")]
    pub inventory: Vec<PathBuf>,
    /// Leases from before the capture: a DHCP server's list, dnsmasq's or ISC dhcpd's, as it stood when the capture began or later
    #[arg(long, value_name = "FILE")]
    pub leases: Vec<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Which frames to take, as pcap-filter(7) has it; the others are as if they had not been captured
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// List DHCP exchanges, too: in text a line each, in JSON message by message, with the clocks of their leases
    #[arg(long)]
    pub exchanges: bool,
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
    /// Take clocks as they are, instead of putting them right by packets that were seen twice
    #[arg(long)]
    pub no_align: bool,
    /// What the end of the capture means for what still waits
    #[arg(long, value_enum, default_value_t = End::Cut, value_name = "MEANING")]
    pub eof: End,
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// Show the way of packets.
#[derive(Debug, clap::Args)]
pub struct Path {
    /// Captures of several places, or the folder of a case
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Which packets to follow, as pcap-filter(7) has it; it is asked about each packet as if it had no tags
    #[arg(long, value_name = "EXPRESSION")]
    pub flow: Option<String>,
    /// Facts about the host, one a line, as `host.jsonl` holds them: they tell which device lies behind which
    #[arg(long, value_name = "FILE")]
    pub host: Vec<PathBuf>,
    /// How many flows to show, those with most packets first
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// Take clocks as they are, instead of putting them right by packets that were seen twice
    #[arg(long)]
    pub no_align: bool,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// Judge live interfaces.
#[derive(Debug, clap::Args)]
pub struct Live {
    #[command(flatten)]
    pub capture: Capture,
    /// Names of addresses: `openstack port list -f json --long`, `virsh domiflist`, or lines of `mac,name`
    #[arg(long, value_name = "FILE")]
    pub inventory: Vec<PathBuf>,
    /// Leases from before the capture: a DHCP server's list, dnsmasq's or ISC dhcpd's; it is read anew when it changes
    #[arg(long, value_name = "FILE")]
    pub leases: Vec<PathBuf>,
    /// Stop after this many frames
    #[arg(short = 'c', long, value_name = "N")]
    pub count: Option<u64>,
    /// How to say it; `ndjson` prints one JSON line for each change, as it happens
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Tell DHCP exchanges, too, as they end: in text a line each, in JSON message by message, with the clocks of their leases
    #[arg(long)]
    pub exchanges: bool,
    /// Write the frames that prove the findings to a commented pcapng file, at the end
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub write: Option<PathBuf>,
    #[command(flatten)]
    pub evidence: Evidence,
    /// Keep in DIR what a later run should know, and begin with what an earlier one knew: DHCP leases, and findings that are open
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Level::Error, value_name = "SEVERITY")]
    pub fail_on: Level,
    /// Settings that differ from the defaults, as TOML
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// What is kept of each finding while it happens.
#[derive(Debug, clap::Args)]
pub struct Evidence {
    /// For each new finding of warning or more, write a case folder below DIR: what came before it, and a while after; findings that open in
    /// that while join it
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// Memory for what came before, over all interfaces; as much again may be taken while a case is written
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub evidence_memory: usize,
    /// How long a case goes on after its finding; four times as long at most, where others join it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    pub evidence_after: Span,
    /// What all cases may take together: the oldest are deleted for newer ones
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub evidence_total: usize,
    /// How many cases are kept: the oldest are deleted for newer ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub evidence_max_cases: usize,
}

/// Record live interfaces.
#[derive(Debug, clap::Args)]
pub struct Record {
    #[command(flatten)]
    pub capture: Capture,
    /// The case folder to write: a capture for each interface, the host's facts, and what it is
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub output: PathBuf,
    /// Stop after this many frames
    #[arg(short = 'c', long, value_name = "N")]
    pub count: Option<u64>,
    /// Go on in a new capture when one has this size, such as 100M; at least 1M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub rotate_size: Option<usize>,
    /// Go on in new captures after this time, such as 15m
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub rotate_time: Option<Span>,
    /// Keep all files together below this size: the oldest captures are given up for newer ones, each a sixteenth of it unless
    /// --rotate-size says otherwise
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub total: Option<usize>,
}

/// What is captured, how, and for how long.
#[derive(Debug, clap::Args)]
pub struct Capture {
    /// Interfaces, or `all` for every one that is up but the loopback, and those that come up later
    #[arg(required = true, value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Capture the members of a bond, too
    #[arg(long)]
    pub members: bool,
    /// Who receives frames: a packet ring of netdiag's own, or libpcap
    #[arg(long, value_enum, default_value_t = Backend::DEFAULT)]
    pub backend: Backend,
    /// Which frames to take, as pcap-filter(7) has it
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Bytes kept of each frame, 0 for all; by default control traffic is kept whole, and the headers of the rest
    #[arg(short = 's', long = "snapshot-length", value_name = "BYTES")]
    pub snap_len: Option<u32>,
    /// Size of the ring of each interface, with `all` of the rings of all of them together, such as 64M: what it holds is how long
    /// netdiag may be kept waiting
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub ring: usize,
    /// Do not ask the interface for frames that are not for this host
    #[arg(short = 'p', long)]
    pub no_promiscuous_mode: bool,
    /// Stop after this time, such as 90s, 15m or 8h
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub duration: Option<Span>,
}

/// Who receives frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// AF_PACKET with a ring in shared memory: tells direction, super-frames and open checksums (Linux)
    Ring,
    /// libpcap, as tcpdump captures
    Pcap,
}

impl Backend {
    const DEFAULT: Self = if cfg!(target_os = "linux") { Self::Ring } else { Self::Pcap };
}

/// A size in bytes: a number, with K, M or G for powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err("a size is a number with K, M or G behind it, such as 64M".to_owned()),
    };
    let number: usize =
        text.strip_suffix(unit).unwrap_or(text).parse().map_err(|_| "a size begins with a number, such as 64M")?;
    let most = usize::MAX >> shift;
    if number > most { Err("that is more than there is".to_owned()) } else { Ok(number << shift) }
}

/// A length of time: a number, with s, m, h or d; seconds without.
fn span(text: &str) -> Result<Span, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a time is a number with s, m, h or d behind it, such as 15m".to_owned()),
    };
    let number: i64 =
        text.strip_suffix(unit).unwrap_or(text).parse().map_err(|_| "a time begins with a number, such as 15m")?;
    Ok(Span::secs(seconds).times(number))
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
    /// Print only what mends it, for the tool of this name, such as nft: ready to pipe, never applied
    #[arg(long, value_name = "TOOL", requires = "code")]
    pub remedy: Option<String>,
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
