//! Questions that wait for an answer, one a client: what rules about unanswered REQUESTs and INFORMs have in common. Judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Cited;
use crate::finding::Key;
use crate::value::{Deadlines, Few, Span, Timestamp};
use crate::world::{DhcpStep, TalkId};

/// Frames that are cited of a question.
const CITED: usize = 4;

/// All questions of a kind that wait.
pub(super) struct Waits {
    limit: usize,
    by_talk: BTreeMap<TalkId, Wait>,
    due: Deadlines<TalkId>,
}

/// A question that waits.
pub(super) struct Wait {
    /// The first try.
    pub asked: Arc<DhcpStep>,
    /// The last try.
    pub last: Arc<DhcpStep>,
    /// Tries.
    pub tries: u64,
    /// Whether the client has given up and started over.
    pub starts_over: bool,
    /// The key of the claim that was made, if one was.
    pub claimed: Option<Key>,
    fresh: Few<Cited>,
}

impl Waits {
    /// None, and never more than `limit`.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), by_talk: BTreeMap::new(), due: Deadlines::new() }
    }

    /// `step` asks, for the first time or once more.
    pub fn ask(&mut self, step: &Arc<DhcpStep>) -> &mut Wait {
        if !self.by_talk.contains_key(&step.talk)
            && self.by_talk.len() >= self.limit
            && let Some((oldest, _)) = self.by_talk.pop_first()
        {
            self.due.clear(&oldest);
        }
        let wait = self.by_talk.entry(step.talk).or_insert_with(|| Wait::new(step));
        wait.tries = wait.tries.saturating_add(1);
        wait.last = Arc::clone(step);
        wait.cite(&step.cited);
        wait
    }

    /// The question of a client.
    pub fn of(&mut self, talk: TalkId) -> Option<&mut Wait> {
        self.by_talk.get_mut(&talk)
    }

    /// The question of a client, to look at.
    pub fn peek(&self, talk: TalkId) -> Option<&Wait> {
        self.by_talk.get(&talk)
    }

    /// The client waits no more; what it waited for.
    pub fn close(&mut self, talk: TalkId) -> Option<Wait> {
        self.due.clear(&talk);
        self.by_talk.remove(&talk)
    }

    /// The client starts over. After fewer than `tries` that may be one lost packet, and it waits no more; after as many it is the end of the
    /// story: whether that is news.
    pub fn start_over(&mut self, step: &DhcpStep, tries: u64) -> bool {
        let Some(wait) = self.by_talk.get_mut(&step.talk) else { return false };
        if wait.tries < tries {
            self.close(step.talk);
            return false;
        }
        let is_news = !std::mem::replace(&mut wait.starts_over, true);
        if is_news {
            wait.cite(&step.cited);
        }
        is_news
    }

    /// It is to be judged at `at`.
    pub fn judge_at(&mut self, talk: TalkId, at: Timestamp) {
        self.due.set(talk, at);
    }

    /// It is to be judged at `at`, or when it was to be judged before that.
    pub fn judge_by(&mut self, talk: TalkId, at: Timestamp) {
        self.due.set(talk, self.due.of(&talk).map_or(at, |due| due.min(at)));
    }

    /// The next moment at which a question is to be judged.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    /// A client whose question is to be judged at `now`.
    pub fn due(&mut self, now: Timestamp) -> Option<TalkId> {
        self.due.pop(now)
    }

    /// All that wait, by client.
    pub fn iter(&self) -> impl Iterator<Item = &Wait> {
        self.by_talk.values()
    }
}

impl Wait {
    fn new(step: &Arc<DhcpStep>) -> Self {
        Self {
            asked: Arc::clone(step),
            last: Arc::clone(step),
            tries: 0,
            starts_over: false,
            claimed: None,
            fresh: Few::new(),
        }
    }

    /// How long it has waited at `now`.
    pub fn waited(&self, now: Timestamp) -> Span {
        now.since(self.asked.time)
    }

    /// Keeps a frame for the next claim: the first ones and the latest.
    pub fn cite(&mut self, cited: &Cited) {
        if self.fresh.len() > CITED {
            self.fresh.pop();
        }
        self.fresh.push(cited.clone());
    }

    /// Frames that were not cited so far.
    pub fn fresh(&mut self) -> Few<Cited> {
        std::mem::take(&mut self.fresh)
    }

    /// The tries in words.
    pub fn spoken(&self, what: &str) -> String {
        if self.tries == 1 { format!("1 {what}") } else { format!("{} {what}s", self.tries) }
    }
}
