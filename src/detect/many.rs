//! Many of a kind are one line (findings.md 1.2): how many, how they are named, and when the line takes the place of those of each.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::finding::{Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, TELL_EVERY};

/// So many are told each by itself.
pub const EACH: usize = 3;
/// Members of one crowd that are told apart.
const MOST: usize = 256;
/// Networks beyond its own that have nothing for one client: it tries whom it has heard of, as peer-to-peer programs and crawlers do, and
/// nobody has to mend that. Not measured: as many as the ports of one host that are a scan.
pub const HEARSAY: usize = 20;
/// Frames that are cited: one of each of the first.
pub const CITED: usize = 4;
/// How many a headline names.
const NAMED: usize = 3;

/// Many of a kind, by what tells them apart, and what is remembered of each.
pub struct Crowd<P, M> {
    members: BTreeMap<P, M>,
    /// What was told of all as one, and how grave it was.
    told: Option<(Key, Severity)>,
    /// When there was news of them last, and how many they were.
    news: Option<(Timestamp, usize)>,
    /// Whether more is known of them since.
    is_outgrown: bool,
}

/// Crowds by what their members have in common, and their network; and who is told alone.
pub struct Crowds<C, P> {
    /// None is empty.
    all: BTreeMap<(C, DomainId), Crowd<P, ()>>,
    alone: BTreeMap<P, Key>,
}

/// All are told as one.
pub struct Telling {
    pub key: Key,
    /// Whether this line is a new one, which has cited nothing so far.
    pub is_first: bool,
    /// Whether they were told as graver before than they are.
    was_too_grave: bool,
}

impl<P, M> Default for Crowd<P, M> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), told: None, news: None, is_outgrown: false }
    }
}

impl<C, P> Default for Crowds<C, P> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), alone: BTreeMap::new() }
    }
}

impl<C: Ord + Copy, P: Ord + Copy> Crowds<C, P> {
    /// The one at `place` is in the crowds of all of `commons`.
    pub fn join(&mut self, commons: impl IntoIterator<Item = C>, domain: DomainId, place: P) {
        for common in commons {
            self.all.entry((common, domain)).or_default().join(place, ());
        }
    }

    /// The one at `place` is told by itself, by `key`.
    pub fn stands_alone(&mut self, place: P, key: Key) {
        self.alone.insert(place, key);
    }

    /// It is in them no more, because of `why`: what was told of it alone is over, and, where it was the last, what was told of all.
    pub fn leave(
        &mut self,
        commons: impl IntoIterator<Item = C>,
        domain: DomainId,
        place: P,
        why: &str,
        cx: &mut Context<'_>,
    ) {
        if let Some(key) = self.alone.remove(&place) {
            cx.resolve(key, why);
        }
        for at in commons.into_iter().map(|common| (common, domain)) {
            let Some(crowd) = self.all.get_mut(&at) else { continue };
            if let (_, Some(key)) = crowd.leave(place) {
                cx.resolve(key, format!("it is over with the last of them ({why})"));
            }
            if crowd.members.is_empty() {
                self.all.remove(&at);
            }
        }
    }

    /// Those that have `common` in common.
    pub fn of(&self, common: C, domain: DomainId) -> Option<&Crowd<P, ()>> {
        self.all.get(&(common, domain))
    }

    /// More is known of one of them: whether that is worth a word now, or waits.
    pub fn has_news(&mut self, common: C, domain: DomainId, now: Timestamp) -> bool {
        self.all.get_mut(&(common, domain)).is_some_and(|crowd| crowd.has_news(now))
    }

    /// They are told as one, this grave, and none of them alone any more; `fresh` makes the key, where they were not before.
    pub fn tell(
        &mut self,
        (common, domain): (C, DomainId),
        severity: Severity,
        fresh: impl FnOnce() -> Key,
        cx: &mut Context<'_>,
    ) -> Option<(Telling, &Crowd<P, ()>)> {
        let crowd = self.all.get_mut(&(common, domain))?;
        let telling = crowd.tell(severity, fresh);
        telling.absorb(crowd.places().filter_map(|place| self.alone.remove(&place)), cx);
        Some((telling, crowd))
    }

    /// Of which more is known than was told.
    pub fn outgrown(&self) -> Vec<(C, DomainId)> {
        self.all.iter().filter(|(_, crowd)| crowd.is_outgrown).map(|(at, _)| *at).collect()
    }
}

impl<P: Ord + Copy, M> Crowd<P, M> {
    /// The one at `place` is a member; what is remembered of it is `member` from now on.
    pub fn join(&mut self, place: P, member: M) {
        if self.members.len() < MOST || self.members.contains_key(&place) {
            self.members.insert(place, member);
        }
    }

    /// It is no member any more; whether it was told with the others, and the key of what was told of all, if nobody is left of whom it could be told.
    pub fn leave(&mut self, place: P) -> (bool, Option<Key>) {
        let was_told = self.tells_of(place);
        self.members.remove(&place);
        (was_told, self.told.take_if(|_| self.members.is_empty()).map(|(key, _)| key))
    }

    /// Whether so many, and what they are counted by, are told as one: they are many, or were.
    pub fn is_one(&self, count: usize) -> bool {
        self.told.is_some() || count > EACH
    }

    /// Whether so many are in it that they are told as one, or were, and how many.
    pub fn count(&self) -> Option<usize> {
        Some(self.members.len()).filter(|count| self.is_one(*count))
    }

    /// More is known of one of them: whether that is worth a word now, or waits.
    fn has_news(&mut self, now: Timestamp) -> bool {
        let count = self.members.len();
        let is_news = self.news.is_none_or(|(at, told)| count > told || now.since(at) >= TELL_EVERY);
        if is_news {
            self.news = Some((now, count));
        }
        self.is_outgrown = !is_news;
        is_news
    }

    /// Whether all are told as one, and the one at `place` with them.
    pub fn tells_of(&self, place: P) -> bool {
        self.told.is_some() && (self.members.contains_key(&place) || self.members.len() >= MOST)
    }

    /// Those that are in it.
    pub fn places(&self) -> impl Iterator<Item = P> {
        self.members.keys().copied()
    }

    /// What is remembered of them.
    pub fn members(&self) -> impl Iterator<Item = &M> {
        self.members.values()
    }

    /// What to say before a count of them.
    pub fn at_least(&self) -> &'static str {
        if self.members.len() < MOST { "" } else { "at least " }
    }

    /// The one at `place` is told by itself from now on, and no part of the others; if that was the last of them, their line leaves the report.
    pub fn part(&mut self, place: P, cx: &mut Context<'_>) {
        if let (_, Some(key)) = self.leave(place) {
            cx.absorb(key, "the last of them is told by itself");
        }
    }

    /// All are told as one, this grave; `fresh` makes the key, where they were not before.
    pub fn tell(&mut self, severity: Severity, fresh: impl FnOnce() -> Key) -> Telling {
        let before = self.told.take();
        // What turns out to be information leaves no warning behind; what is not as certain as it was stays as grave.
        let was_too_grave = severity == Severity::Info && before.as_ref().is_some_and(|(_, told)| *told > severity);
        let is_first = before.is_none() || was_too_grave;
        let key = before.map_or_else(fresh, |(key, _)| key);
        self.told = Some((key.clone(), severity));
        Telling { key, is_first, was_too_grave }
    }
}

impl Telling {
    /// What was told of some of them `alone`, or of all too gravely, leaves the report.
    pub fn absorb(&self, alone: impl IntoIterator<Item = Key>, cx: &mut Context<'_>) {
        for key in alone {
            cx.absorb(key, "it is one of many that are told as one");
        }
        if self.was_too_grave {
            cx.absorb(self.key.clone(), "it tries so many that nobody has to mend it");
        }
    }
}

/// Each once, in order.
pub fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let all: BTreeSet<T> = all.collect();
    all.into_iter().collect()
}

/// The first of them by name, and how many more there are.
pub fn listed(all: &[impl ToString]) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
