//! netdiag reads the wire and says in one sentence what is wrong, where, since when, how sure it is, what it explains, and which
//! command mends it, with the frames as proof; and it stays silent on a healthy network.
//!
//! ```text
//! Event ──► World ──► Observation ──► Detector ──► Claim ──► Ledger ──► Finding ──► Report
//! what was  what we   what it means   one          "this is  opens,     what a      text, JSON,
//! captured  remember                  judgement    so"       resolves   person      pcapng
//!                                                                       must know
//! ```
//!
//! Data moves from left to right and never back. **Sources speak, the world remembers, detectors claim, the ledger keeps the books,
//! renderers show.** Each is one folder. Nobody to the right of *Event* knows whether the capture is live or ten years old, and the
//! report is a function of its inputs: of no clock, no number of threads, no order of arguments.
//!
//! | folder | what it knows |
//! |---|---|
//! | [`value`] | words of the trade: times, addresses, tags, outside text, bounded tables |
//! | [`settings`] | every default, with its clause |
//! | [`wire`] | bytes to typed layers; never panics, never allocates, never fails as a whole |
//! | [`event`] | what the world may hear: frames, facts about the host, losses |
//! | [`pcapng`] | the file format that recordings and evidence are written in |
//! | [`finding`] | what a person reads, and the books kept of it |
//! | [`world`] | memory that detectors share; one tracker a file |
//! | [`detect`] | one judgement a file, its page beside it |
//! | [`engine`] | time, order, delivery |
//! | [`source`] | I/O in: captures, host logs, cases, and the merge of many lanes into one order |
//! | [`render`] | I/O out: pure functions of a report |
//! | [`cli`] | one file a command |
//!
//! Who may name whom is [`LAYERS`], and a test holds it.

pub mod cli;
pub mod detect;
pub mod engine;
pub mod event;
pub mod finding;
pub mod pcapng;
pub mod render;
pub mod settings;
pub mod source;
pub mod value;
pub mod wire;
pub mod world;

/// Each module, and the modules that it may name besides itself. A new arrow is a change to this table.
pub const LAYERS: &[(&str, &[&str])] = &[
    ("value", &[]),
    ("settings", &["value"]),
    ("wire", &["value"]),
    ("event", &["value", "wire"]),
    ("pcapng", &["value", "wire", "event"]),
    ("finding", &["value", "event"]),
    ("world", &["value", "settings", "wire", "event", "finding"]),
    ("detect", &["value", "settings", "wire", "event", "finding", "world"]),
    ("engine", &["value", "settings", "wire", "event", "finding", "world", "detect"]),
    ("source", &["value", "wire", "event", "pcapng"]),
    ("render", &["value", "event", "pcapng", "finding"]),
    (
        "cli",
        &["value", "settings", "wire", "event", "pcapng", "finding", "world", "detect", "engine", "source", "render"],
    ),
];
