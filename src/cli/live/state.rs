//! What is left to the next run: written down whenever a finding opens or ends, and every ten seconds, by a thread of its own.

use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::cli::Judgement;
use crate::event::{Fact, Stamped};
use crate::source::live::now;
use crate::source::{Case, State};
use crate::value::{Outside, Span, Timestamp};

/// How often leases are written down, where no finding changes.
const WRITE_EVERY: Span = Span::secs(10);
/// How often at most it is written down at all: a disk is brought to rest each time.
const WRITE_MOST: Span = Span::secs(1);

/// What is left to the next run.
pub struct Kept {
    writer: JoinHandle<()>,
    to_writer: Sender<State>,
    written: Timestamp,
    is_changed: bool,
}

impl Kept {
    /// Tells `case` what the last run left in `folder`, as facts of the moment `started`; from now on it is kept there.
    pub fn begin(folder: &Path, case: &mut Case, started: Timestamp) -> Self {
        match State::read(folder) {
            Ok(None) => {}
            Ok(Some(state)) => {
                let findings = state.facts.iter().filter(|fact| matches!(fact, Fact::Finding(_))).count();
                let leases = state.facts.len() - findings;
                let at = state.written;
                anstream::eprintln!(
                    "netdiag: known from an earlier run, as of {at}: open findings {findings}, leases {leases}"
                );
                // Only what a run leaves; a host's own word comes from the host.
                let is_left = |fact: &Fact| matches!(fact, Fact::Finding(_) | Fact::Lease(_));
                let left = state.facts.into_iter().filter(is_left);
                case.facts.extend(left.map(|what| Stamped { time: Some(started), what }));
            }
            Err(error) => anstream::eprintln!("netdiag: {error}; what an earlier run knew is not used"),
        }
        // What waits for the disk is one state: a newer one takes its turn a second later.
        let (to_writer, states) = bounded::<State>(1);
        let folder = folder.to_owned();
        let writer = std::thread::spawn(move || {
            let mut is_told = false;
            for state in states {
                let written = state.write(&folder);
                if let (Err(error), false) = (&written, is_told) {
                    anstream::eprintln!("netdiag: {error}; what is known now is not kept for the next run");
                }
                is_told = written.is_err();
            }
        });
        Self { writer, to_writer, written: started, is_changed: false }
    }

    /// A finding opened or ended.
    pub const fn changed(&mut self) {
        self.is_changed = true;
    }

    /// It may be time to write.
    pub fn look(&mut self, judgement: &mut Judgement) {
        let now = now();
        let least = if self.is_changed { WRITE_MOST } else { WRITE_EVERY };
        if now.since(self.written).abs() < least {
            return;
        }
        if !matches!(self.to_writer.try_send(State::new(now, judgement.left())), Err(TrySendError::Full(_))) {
            (self.written, self.is_changed) = (now, false);
        }
    }

    /// The run is over, and `left` is what it leaves; when this returns, it is on the disk.
    pub fn finish(self, left: Vec<Fact>) {
        // A writer that has gone has said why.
        let _ = self.to_writer.send(State::new(now(), left));
        drop(self.to_writer);
        if self.writer.join().is_err() {
            let what = Outside::from("the writer of the state broke down");
            anstream::eprintln!("netdiag: {what}");
        }
    }
}
