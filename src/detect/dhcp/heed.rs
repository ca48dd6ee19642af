//! Whether clients act on answers that something is wrong with: who asks anew as if nothing had come minds, who goes on does not. Judges
//! nothing.

use crate::settings::Settings;
use crate::value::{Few, Mac, Span, TimedMap, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{Asking, DhcpStep};

/// A question this soon after an answer was sent before the answer could be heard and acted upon.
const CROSSING: Span = Span::secs(1);
/// Faults of one answer that are followed.
const MOST_FAULTS: usize = 8;

/// Answers that wait for what their clients do.
pub(super) struct Heed<K> {
    wait: Span,
    clients: TimedMap<Mac, Told<K>>,
}

/// What a client was told last.
struct Told<K> {
    is_grant: bool,
    at: Timestamp,
    /// Until when a further question shows that a grant was not heard.
    half_t1: Span,
    faults: Few<K>,
    is_ignored: bool,
}

/// What the client did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reaction {
    /// It asked anew, as if nothing had come.
    Ignored,
    /// It acted on the answer.
    Heeded,
    /// It did nothing.
    Silent,
}

impl<K: Clone + PartialEq> Heed<K> {
    /// Nobody yet.
    pub fn new(settings: &Settings) -> Self {
        let wait = Span::secs(settings.dhcp.offer_wait_s);
        Self { wait, clients: TimedMap::new(settings.tables.clients) }
    }

    /// A client is told something that has this fault, at `at`; `t1` is when it would renew a grant, in seconds.
    pub fn told(&mut self, client: Mac, is_grant: bool, t1: Option<u32>, at: Timestamp, fault: K) {
        let half_t1 = Span::millis(i64::from(t1.unwrap_or(0)).saturating_mul(500));
        let fresh = || Told { is_grant, at, half_t1, faults: Few::new(), is_ignored: false };
        let told = self.clients.entry(&client, fresh);
        if told.is_grant != is_grant || told.at != at {
            *told = Told { is_grant, at, half_t1, faults: Few::new(), is_ignored: false };
        }
        if !told.faults.contains(&fault) && told.faults.len() < MOST_FAULTS {
            told.faults.push(fault);
        }
        // Silence after a grant is how it should be.
        self.clients.wake(&client, if is_grant { Timestamp::MAX } else { at.after(self.wait) });
    }

    /// What the client of `step` does with what it was told, where that is known now.
    pub fn heard(&mut self, step: &DhcpStep) -> Option<(Reaction, Few<K>)> {
        if step.is_copy {
            return None;
        }
        let told = self.clients.get_mut(&step.client)?;
        let gap = step.time.since(told.at);
        let is_early = gap >= CROSSING && gap < told.half_t1;
        let reaction = match (step.kind, step.asking, told.is_grant) {
            (DhcpKind::Discover, _, false) if gap >= CROSSING => Reaction::Ignored,
            (DhcpKind::Discover, _, true) if is_early => Reaction::Ignored,
            // Who is granted something has asked for it, though the capture may not show that.
            (DhcpKind::Request, Some(Asking::Selecting), false) | (DhcpKind::Ack, _, false) => Reaction::Heeded,
            (DhcpKind::Request, Some(Asking::Selecting), true) if gap >= CROSSING => Reaction::Ignored,
            (DhcpKind::Request, Some(asking), true) if asking.is_keeping() && gap >= CROSSING => {
                if is_early {
                    Reaction::Ignored
                } else {
                    Reaction::Heeded
                }
            }
            _ => return None,
        };
        if reaction == Reaction::Heeded {
            return self.clients.remove(&step.client).map(|told| (Reaction::Heeded, told.faults));
        }
        // One answer is left unheard once, however often the client asks.
        if std::mem::replace(&mut told.is_ignored, true) {
            return None;
        }
        let faults = told.faults.clone();
        self.clients.wake(&step.client, Timestamp::MAX);
        Some((Reaction::Ignored, faults))
    }

    /// The next moment at which silence means something.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.clients.next_deadline()
    }

    /// A client that was offered something and did nothing until `now`.
    pub fn due(&mut self, now: Timestamp) -> Option<(Reaction, Few<K>)> {
        let client = self.clients.due(now)?;
        Some((Reaction::Silent, self.clients.peek(&client).map(|told| told.faults.clone()).unwrap_or_default()))
    }
}
