//! The books: claims become findings. Equal rule and key are one finding; confidence climbs and never drops; a finding that is
//! over may open again; each code has at most so many open at a time. No detector knows any of this.

use std::collections::{BTreeMap, BTreeSet};

use super::shelf::Shelf;
use super::{Claim, Confidence, Finding, Key, Rule, Severity, State};
use crate::event::{Cited, LeftOpen, VantageId};
use crate::value::{Outside, Span, Timestamp};

/// At most one update of a finding in this span of packet time (findings.md 1.2).
const UPDATE_EVERY: Span = Span::secs(10);
/// A claim within this span after the end opens the same finding again (findings.md 1.2).
const REOPEN_WITHIN: Span = Span::secs(600);
/// Stretches in doubt that are told apart; further ones are taken together.
const MOST_DOUBTS: usize = 256;
/// What is assumed of a finding that overlaps such a stretch.
const IN_DOUBT: &str = "held at likely, since this capture itself is incomplete";
/// So long what an earlier run left open is taken to be so, unless it is seen again or seen to be over.
const RECALLED_FOR: Span = Span::secs(600);
/// What is assumed of it.
const EARLIER: &str = "it was found by an earlier run of netdiag, and is taken to last";
/// Frames that are kept as evidence from the beginning; one more is kept from the end.
const FIRST_FRAMES: usize = 4;

/// All findings so far.
#[derive(Debug, Default)]
pub struct Ledger {
    findings: Vec<Finding>,
    /// By code.
    shelves: BTreeMap<&'static str, Shelf>,
    told: Vec<Timestamp>,
    /// Claims whose words nobody has asked for so far, by the index of their finding.
    unsaid: BTreeMap<usize, Claim>,
    /// Stretches of captures that are in doubt.
    doubts: Vec<(VantageId, Timestamp, Timestamp)>,
    /// Findings that another one tells now, by index.
    absorbed: BTreeSet<usize>,
    /// Findings of an earlier run that nobody has claimed since, and until when that is waited for.
    recalled: BTreeMap<usize, Timestamp>,
    /// How much of the headline of a finding that is over was there before it was, by index.
    said: BTreeMap<usize, usize>,
    /// Findings that doubt has lowered, and nobody was told so far.
    lowered: Vec<usize>,
}

/// Something about a finding changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is new.
    Opened,
    /// It climbed to a higher confidence or severity.
    Climbed,
    /// Its numbers grew.
    Updated,
    /// It is over.
    Resolved,
    /// It opened again.
    Reopened,
    /// It was open when an earlier run ended, and is taken to be so still.
    Recalled,
    /// It was held at a lower confidence, since its capture is found to be incomplete.
    Lowered,
}

impl Ledger {
    /// The first moment is known: what was claimed before it, from what holds from the beginning, begins with it.
    pub fn begin(&mut self, first: Timestamp) {
        for finding in self.findings.iter_mut().filter(|f| f.first == Timestamp::MIN) {
            (finding.first, finding.last) = (first, finding.last.max(first));
        }
        self.told.fill(first);
    }

    /// Enters a claim of `rule`, made at `now`. Tells which finding changed and how, when that is worth telling.
    pub fn raise(&mut self, rule: &'static Rule, mut claim: Claim, now: Timestamp) -> Option<(usize, Change)> {
        debug_assert!(
            rule.permits(claim.confidence, claim.severity),
            "{} at {}/{}",
            rule.code,
            claim.confidence,
            claim.severity
        );
        self.doubt(&claim);
        if self.is_doubted(claim.vantage, claim.first.unwrap_or(now), now)
            && let Some(severity) = rule.severity_in_doubt(claim.confidence)
        {
            claim = claim.spelled();
            (claim.confidence, claim.severity) = (Confidence::Likely, severity);
            claim.assumptions.push(IN_DOUBT.to_owned());
        }
        match self.known(rule, &claim.key) {
            Some(at) if self.findings.get(at).is_some_and(|f| f.is_current(now) && f.is_meant(&claim)) => {
                self.update(at, claim, now)
            }
            _ => self.open(rule, claim, now),
        }
    }

    /// Takes up what an earlier run left open, at `now`; a rule that does not exist any more, or would not say so, has nothing left open.
    pub fn recall(&mut self, rule: &'static Rule, left: &LeftOpen, now: Timestamp) -> Option<(usize, Change)> {
        let severity = Severity::ALL.into_iter().find(|severity| severity.to_string() == left.severity.raw())?;
        let confidence = Confidence::ALL.into_iter().find(|sure| sure.to_string() == left.confidence.raw())?;
        let (key, first) = (Key::recalled(left), left.first.min(now));
        if !rule.permits(confidence, severity) || self.known(rule, &key).is_some() {
            return None;
        }
        let claim = Claim::new(key, confidence, severity, left.headline.to_string())
            .seen(first, left.count)
            .until(left.last.max(first).min(now))
            .assuming(EARLIER);
        let (at, _) = self.open(rule, claim, now)?;
        if let Some(finding) = self.findings.get_mut(at) {
            finding.episodes = left.episodes.max(1);
        }
        self.recalled.insert(at, now.after(RECALLED_FOR));
        Some((at, Change::Recalled))
    }

    /// What is open of `rule` is taken to last, unless it is not claimed again for too long after `now`: whoever claimed it has forgotten it.
    pub fn await_again(&mut self, rule: &'static Rule, now: Timestamp) -> Vec<Key> {
        let is_open = |at: &usize, f: &Finding| {
            f.state == State::Open && std::ptr::eq(f.rule, rule) && !self.absorbed.contains(at)
        };
        let open: Vec<_> =
            (0..).zip(&self.findings).filter(|(at, f)| is_open(at, f)).map(|(at, f)| (at, f.key.clone())).collect();
        self.recalled.extend(open.iter().map(|(at, _)| (*at, now.after(RECALLED_FOR))));
        open.into_iter().map(|(_, key)| key).collect()
    }

    /// When the next finding of an earlier run has not been claimed again for too long.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.recalled.values().min().copied()
    }

    /// Ends findings of an earlier run that were not claimed again until `now`.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(usize, Change)> {
        let due: Vec<usize> = self.recalled.iter().filter(|(_, until)| **until <= now).map(|(at, _)| *at).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let why = format!("it was not seen again in the {RECALLED_FOR} after it was looked for anew");
        due.into_iter().filter_map(|at| self.end(at, &why, now)).collect()
    }

    /// What is open, for a later run.
    pub fn left(&mut self) -> impl Iterator<Item = LeftOpen> {
        self.say_all();
        let open = (0..).zip(&self.findings).filter(|(at, f)| f.state == State::Open && !self.absorbed.contains(at));
        open.map(|(_, finding)| LeftOpen {
            code: Outside::from(finding.rule.code),
            key: finding.key.parts().map(|(name, value)| (Outside::from(name), value.clone())).collect(),
            severity: Outside::from(finding.severity.to_string().as_str()),
            confidence: Outside::from(finding.confidence.to_string().as_str()),
            headline: Outside::whole(finding.headline.clone()),
            first: finding.first,
            last: finding.last,
            count: finding.count,
            episodes: finding.episodes,
        })
    }

    /// Says that the finding of `rule` and `key` is over, for the reason `why`.
    pub fn resolve(&mut self, rule: &'static Rule, key: &Key, why: &str, now: Timestamp) -> Option<(usize, Change)> {
        let at = self.known(rule, key)?;
        self.end(at, why, now)
    }

    fn end(&mut self, at: usize, why: &str, now: Timestamp) -> Option<(usize, Change)> {
        self.recalled.remove(&at);
        let finding = self.findings.get_mut(at).filter(|f| f.state == State::Open)?;
        self.unsaid.remove(&at).into_iter().for_each(|claim| finding.say(claim));
        finding.state = State::Resolved;
        finding.resolved = Some(now);
        self.said.insert(at, finding.headline.len());
        self.shelves.entry(finding.rule.code).or_default().close();
        finding.headline = format!("{} Resolved after {}: {why}.", finding.headline, now.since(finding.first));
        Some((at, Change::Resolved))
    }

    /// Says that the finding of `rule` and `key` is told by a wider one from now on, for the reason `why`: it leaves the report.
    pub fn absorb(&mut self, rule: &'static Rule, key: &Key, why: &str, now: Timestamp) -> Option<(usize, Change)> {
        let change = self.resolve(rule, key, why, now)?;
        self.shelves.entry(rule.code).or_default().by_key.retain(|_, at| *at != change.0);
        self.absorbed.insert(change.0);
        Some(change)
    }

    /// What a part of keys says is known better now: of findings that were made at one of `vantages`, it says `to` from now on. Whoever still
    /// speaks of them by the old key is understood.
    pub fn rename(&mut self, vantages: &[VantageId], (part, from): (&str, &str), to: &str) {
        for (at, finding) in self.findings.iter_mut().enumerate() {
            let is_there = finding.vantage.is_some_and(|vantage| vantages.contains(&vantage));
            if !is_there || finding.key.part(part) != Some(from) {
                continue;
            }
            let key = finding.key.renamed(part, to);
            let known = std::mem::replace(&mut finding.key, key.clone());
            let by_key = &mut self.shelves.entry(finding.rule.code).or_default().by_key;
            let told_by = *by_key.entry(key).or_insert(at);
            if told_by != at {
                // The same was found where the network already had this name.
                by_key.insert(known, told_by);
                self.absorbed.insert(at);
            }
        }
    }

    /// Findings that doubt has lowered since this was asked last.
    pub fn lowered(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.lowered)
    }

    /// The finding with index `at`.
    pub fn finding(&self, at: usize) -> Option<&Finding> {
        self.findings.get(at)
    }

    /// All findings in order of opening, and how many more of which code were only counted.
    pub fn into_findings(mut self) -> (Vec<Finding>, Vec<(&'static str, u64)>) {
        self.say_all();
        let kept = (0..).zip(self.findings).filter(|(at, _)| !self.absorbed.contains(at)).map(|(_, finding)| finding);
        let left_out = self.shelves.into_iter().map(|(code, shelf)| (code, shelf.left_out)).filter(|(_, n)| *n > 0);
        (kept.collect(), left_out.collect())
    }

    /// The finding of `rule` that stands under `key`, by index.
    fn known(&self, rule: &Rule, key: &Key) -> Option<usize> {
        self.shelves.get(rule.code)?.by_key.get(key).copied()
    }

    fn open(&mut self, rule: &'static Rule, claim: Claim, now: Timestamp) -> Option<(usize, Change)> {
        let shelf = self.shelves.entry(rule.code).or_default();
        if !shelf.has_room() {
            shelf.left_out = shelf.left_out.saturating_add(1);
            return None;
        }
        let at = self.findings.len();
        shelf.add(claim.key.clone(), at);
        self.findings.push(Finding::from_claim(rule, claim, now));
        self.told.push(now);
        Some((at, Change::Opened))
    }

    fn update(&mut self, at: usize, claim: Claim, now: Timestamp) -> Option<(usize, Change)> {
        self.recalled.remove(&at);
        let finding = self.findings.get_mut(at)?;
        let reopened = finding.state == State::Resolved;
        let climbed = claim.confidence > finding.confidence
            || (claim.confidence == finding.confidence && claim.severity > finding.severity);
        if reopened {
            finding.state = State::Open;
            finding.resolved = None;
            // A weaker claim does not change the words, but how they ended is no longer true.
            finding.headline.truncate(self.said.remove(&at).unwrap_or(usize::MAX));
            finding.episodes = finding.episodes.saturating_add(1);
            self.shelves.entry(finding.rule.code).or_default().reopen();
        }
        let told = self.told.get_mut(at)?;
        let change = match (reopened, climbed, now.since(*told) >= UPDATE_EVERY) {
            (true, ..) => Some(Change::Reopened),
            (_, true, _) => Some(Change::Climbed),
            (.., true) => Some(Change::Updated),
            _ => None,
        };
        // What is claimed again and again is put into words where somebody is told.
        if let Some(claim) = finding.take(claim, now) {
            self.unsaid.insert(at, claim);
        }
        if change.is_some() {
            *told = now;
            self.unsaid.remove(&at).into_iter().for_each(|claim| finding.say(claim));
        }
        Some((at, change?))
    }

    /// Puts into words what is claimed.
    fn say_all(&mut self) {
        for (at, claim) in std::mem::take(&mut self.unsaid) {
            if let Some(finding) = self.findings.get_mut(at) {
                finding.say(claim);
            }
        }
    }

    /// Notes what `claim` puts in doubt: what was found there already is held at `likely`, too (findings.md 1.1).
    fn doubt(&mut self, claim: &Claim) {
        let (Some(vantage), Some((from, until))) = (claim.vantage, claim.doubted) else { return };
        let is_touched =
            |(v, f, u): &&mut (VantageId, Timestamp, Timestamp)| *v == vantage && *f <= until && from <= *u;
        if let Some((_, f, u)) = self.doubts.iter_mut().find(is_touched) {
            (*f, *u) = ((*f).min(from), (*u).max(until));
        } else if self.doubts.len() < MOST_DOUBTS {
            self.doubts.push((vantage, from, until));
        } else if let Some((_, f, u)) = self.doubts.iter_mut().rfind(|(v, ..)| *v == vantage) {
            (*f, *u) = ((*f).min(from), (*u).max(until));
        }
        let is_within = |f: &Finding| f.vantage == Some(vantage) && f.first <= until && from <= f.last;
        for (at, finding) in self.findings.iter_mut().enumerate().filter(|(_, finding)| is_within(finding)) {
            if let Some(severity) = finding.rule.severity_in_doubt(finding.confidence) {
                self.unsaid.remove(&at).into_iter().for_each(|claim| finding.say(claim));
                (finding.confidence, finding.severity) = (Confidence::Likely, severity);
                finding.assumptions.push(IN_DOUBT.to_owned());
                self.lowered.push(at);
            }
        }
    }

    fn is_doubted(&self, vantage: Option<VantageId>, first: Timestamp, now: Timestamp) -> bool {
        self.doubts.iter().any(|(v, from, until)| Some(*v) == vantage && first <= *until && *from <= now)
    }
}

impl Finding {
    pub(super) fn from_claim(rule: &'static Rule, claim: Claim, now: Timestamp) -> Self {
        let mut finding = Self {
            id: 0,
            rule,
            severity: claim.severity,
            confidence: claim.confidence,
            state: State::Open,
            key: claim.key.clone(),
            headline: String::new(),
            names: Vec::new(),
            first: claim.first.unwrap_or(now),
            last: claim.last.or(claim.first).unwrap_or(now),
            resolved: None,
            count: 0,
            episodes: 1,
            numbers: Vec::new(),
            evidence: Vec::new(),
            ways: Vec::new(),
            filter: String::new(),
            causes: Vec::new(),
            remedy: Vec::new(),
            assumptions: Vec::new(),
            vantage: claim.vantage,
            uplink: claim.uplink.clone(),
            explains: Vec::new(),
            explained_by: None,
        };
        if let Some(claim) = finding.take(claim, now) {
            finding.say(claim);
        }
        finding
    }

    /// Whether a claim at `now` belongs to this finding and not to a new one.
    fn is_current(&self, now: Timestamp) -> bool {
        self.resolved.is_none_or(|over| now.since(over) <= REOPEN_WITHIN)
    }

    /// Whether a claim by its key, or by one that it had, speaks of this finding: by an old key only whoever speaks of the same place does.
    fn is_meant(&self, claim: &Claim) -> bool {
        self.key == claim.key || claim.vantage.is_none() || self.vantage == claim.vantage
    }

    /// Takes in what was seen; the claim comes back if the finding is to be told in its words.
    fn take(&mut self, mut claim: Claim, now: Timestamp) -> Option<Claim> {
        self.first = self.first.min(claim.first.unwrap_or(now));
        self.last = self.last.max(claim.last.unwrap_or(now));
        self.count = self.count.max(claim.count);
        for cited in claim.evidence.drain(..) {
            self.cite(cited);
        }
        // The words follow the surest claim, so that a later, weaker one does not water them down.
        let is_surest = (claim.confidence, claim.severity) >= (self.confidence, self.severity);
        if !is_surest && !claim.corrects {
            return None;
        }
        self.confidence = self.confidence.max(claim.confidence);
        self.severity = claim.severity;
        Some(claim)
    }

    /// Tells it in the words of `claim`.
    fn say(&mut self, claim: Claim) {
        let claim = claim.spelled();
        self.headline = claim.headline;
        self.numbers = claim.numbers;
        self.filter = claim.filter;
        self.causes = claim.causes;
        self.remedy = claim.remedy;
        self.assumptions = claim.assumptions;
        if !claim.ways.is_empty() {
            self.ways = claim.ways;
        }
    }

    /// Keeps the first four frames and the last.
    fn cite(&mut self, cited: Cited) {
        if self.evidence.iter().any(|kept| kept.at == cited.at) {
            return;
        }
        if self.evidence.len() > FIRST_FRAMES {
            self.evidence.truncate(FIRST_FRAMES);
        }
        self.evidence.push(cited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    static RULE: Rule = Rule {
        code: "TEST001",
        name: "test",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: "",
    };

    fn claim(key: u32, confidence: Confidence, severity: Severity) -> Claim {
        Claim::new(Key::new().with("n", key), confidence, severity, format!("It is {confidence}."))
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn a_finding_climbs_and_never_drops() {
        let mut ledger = Ledger::default();
        let likely = || claim(1, Confidence::Likely, Severity::Warning);
        assert_eq!(ledger.raise(&RULE, likely(), at(0)), Some((0, Change::Opened)));
        let sure = claim(1, Confidence::Confirmed, Severity::Error);
        assert_eq!(ledger.raise(&RULE, sure, at(1)), Some((0, Change::Climbed)));
        assert_eq!(ledger.raise(&RULE, likely(), at(2)), None);
        let finding = ledger.finding(0).unwrap();
        assert_eq!((finding.confidence, finding.headline.as_str()), (Confidence::Confirmed, "It is confirmed."));
    }

    #[test]
    fn what_is_over_opens_again_within_ten_minutes_and_is_new_after() {
        let mut ledger = Ledger::default();
        let likely = || claim(1, Confidence::Likely, Severity::Warning);
        ledger.raise(&RULE, likely(), at(0));
        let key = likely().key;
        assert_eq!(ledger.resolve(&RULE, &key, "it stopped", at(10)), Some((0, Change::Resolved)));
        assert_eq!(ledger.resolve(&RULE, &key, "it stopped", at(11)), None);
        assert_eq!(ledger.raise(&RULE, likely(), at(600)), Some((0, Change::Reopened)));
        ledger.resolve(&RULE, &key, "it stopped", at(610));
        assert_eq!(ledger.raise(&RULE, likely(), at(1_300)), Some((1, Change::Opened)));
        assert_eq!(ledger.into_findings().0.first().map(|f| f.episodes), Some(2));
    }

    #[test]
    fn what_holds_from_the_beginning_begins_with_the_first_moment() {
        let mut ledger = Ledger::default();
        let key = claim(1, Confidence::Likely, Severity::Warning).key;
        ledger.raise(&RULE, claim(1, Confidence::Likely, Severity::Warning), Timestamp::MIN);
        ledger.begin(at(5));
        ledger.resolve(&RULE, &key, "it stopped", at(10));
        let finding = ledger.finding(0).unwrap();
        assert_eq!(
            (finding.first, finding.headline.as_str()),
            (at(5), "It is likely. Resolved after 5.0 s: it stopped.")
        );
    }

    #[test]
    fn a_network_that_is_known_better_is_called_so_and_its_findings_answer_to_both_names() {
        let mut ledger = Ledger::default();
        let here = VantageId::default();
        let made = |domain, vantage| Claim {
            key: Key::new().with("domain", domain),
            vantage: Some(vantage),
            ..claim(1, Confidence::Likely, Severity::Warning)
        };
        ledger.raise(&RULE, made("untagged", here), at(0));
        ledger.rename(&[here], ("domain", "untagged"), "100");
        assert_eq!(ledger.raise(&RULE, made("100", here), at(1)), None);
        assert_eq!(ledger.resolve(&RULE, &made("untagged", here).key, "it ended", at(2)), Some((0, Change::Resolved)));
        // Elsewhere what is untagged is another network.
        let elsewhere = VantageId { lane: 1, interface: 0 };
        ledger.raise(&RULE, made("untagged", elsewhere), at(3));
        let findings = ledger.into_findings().0;
        let names: Vec<_> = findings.iter().map(|f| f.key.part("domain")).collect();
        assert_eq!(names, [Some("100"), Some("untagged")]);
    }

    #[test]
    fn what_comes_back_weaker_keeps_its_words_but_not_their_end() {
        let mut ledger = Ledger::default();
        let (sure, likely) = (Confidence::Confirmed, Confidence::Likely);
        ledger.raise(&RULE, claim(1, sure, Severity::Error), at(0));
        let key = claim(1, sure, Severity::Error).key;
        for again in [10, 20] {
            ledger.resolve(&RULE, &key, "it stopped", at(again - 5));
            assert_eq!(
                ledger.raise(&RULE, claim(1, likely, Severity::Warning), at(again)),
                Some((0, Change::Reopened))
            );
            assert_eq!(ledger.finding(0).unwrap().headline, "It is confirmed.");
        }
        ledger.resolve(&RULE, &key, "it stopped", at(25));
        assert_eq!(ledger.finding(0).unwrap().headline, "It is confirmed. Resolved after 25.0 s: it stopped.");
    }

    #[test]
    fn what_overlaps_a_doubt_is_held_at_likely_whichever_comes_first() {
        static CAP: Rule = Rule { levels: &[(Confidence::Confirmed, Severity::Warning)], ..RULE };
        let mut ledger = Ledger::default();
        let here = Some(VantageId::default());
        let sure = |key, first| Claim {
            vantage: here,
            first: Some(at(first)),
            ..claim(key, Confidence::Confirmed, Severity::Error)
        };
        ledger.raise(&RULE, sure(1, 0), at(10));
        ledger.raise(&RULE, sure(2, 15), at(20));
        let doubt = Claim { vantage: here, ..claim(9, Confidence::Confirmed, Severity::Warning) };
        ledger.raise(&CAP, doubt.doubting(at(18), at(30)), at(30));
        assert_eq!((ledger.lowered(), ledger.lowered()), (vec![1], vec![]));
        ledger.raise(&RULE, sure(3, 29), at(40));
        ledger.raise(&RULE, sure(4, 31), at(40));
        let levels: Vec<Confidence> = ledger.into_findings().0.iter().map(|f| f.confidence).collect();
        let (likely, confirmed) = (Confidence::Likely, Confidence::Confirmed);
        assert_eq!(levels, [confirmed, likely, confirmed, likely, confirmed]);
    }

    #[test]
    fn what_an_earlier_run_left_open_keeps_its_beginning_and_ends() {
        let mut earlier = Ledger::default();
        for key in 1..4 {
            earlier.raise(&RULE, claim(key, Confidence::Likely, Severity::Warning), at(5));
        }
        earlier.resolve(&RULE, &claim(3, Confidence::Likely, Severity::Warning).key, "it stopped", at(6));
        let left: Vec<LeftOpen> = earlier.left().collect();
        assert_eq!(left.len(), 2);
        let mut ledger = Ledger::default();
        let told: Vec<_> = left.iter().map(|left| ledger.recall(&RULE, left, at(100))).collect();
        assert_eq!(told, [Some((0, Change::Recalled)), Some((1, Change::Recalled))]);
        assert_eq!(ledger.recall(&RULE, &left[0], at(100)), None, "once");
        // One is seen again, and then seen to be over; the other is never heard of again.
        assert_eq!(
            ledger.raise(&RULE, claim(1, Confidence::Confirmed, Severity::Error), at(130)),
            Some((0, Change::Climbed))
        );
        assert_eq!(ledger.next_deadline(), Some(at(700)));
        assert_eq!(ledger.expire(at(700)), [(1, Change::Resolved)]);
        let key = claim(1, Confidence::Confirmed, Severity::Error).key;
        assert_eq!(ledger.resolve(&RULE, &key, "it stopped", at(800)), Some((0, Change::Resolved)));
        let finding = ledger.finding(0).unwrap();
        assert_eq!((finding.first, &finding.assumptions[..]), (at(5), &[][..]));
        assert!(finding.headline.ends_with("Resolved after 13 min 15 s: it stopped."), "{}", finding.headline);
    }

    #[test]
    fn what_no_rule_would_say_is_not_recalled() {
        let mut earlier = Ledger::default();
        earlier.raise(&RULE, claim(1, Confidence::Likely, Severity::Warning), at(5));
        let left = earlier.left().next().unwrap();
        let strange = [
            LeftOpen { severity: Outside::from("critical"), ..left.clone() },
            LeftOpen { confidence: Outside::from("sure"), ..left.clone() },
        ];
        let mut ledger = Ledger::default();
        assert!(strange.iter().all(|left| ledger.recall(&RULE, left, at(9)).is_none()));
        // A clock that was set back since: nothing begins after now.
        ledger.recall(&RULE, &LeftOpen { first: at(50), last: at(60), ..left }, at(9));
        let finding = ledger.finding(0).unwrap();
        assert_eq!((finding.first, finding.last), (at(9), at(9)));
    }

    #[test]
    fn one_code_cannot_scroll_the_others_away() {
        let mut ledger = Ledger::default();
        for key in 0..1_000 {
            ledger.raise(&RULE, claim(key, Confidence::Likely, Severity::Warning), at(0));
        }
        let (findings, more) = ledger.into_findings();
        assert_eq!((findings.len(), more), (50, vec![("TEST001", 950)]));
    }
}
