//! Chains of rules as packet filters have them, as far as the port and the destination of a frame decide: what they drop for certain. A rule that
//! looks at more may or may not hold; it counts only where either way comes to the same.

use crate::event::Drop;
use crate::value::{Mac, Outside};

/// Chains on one another that are followed: more than libvirt stacks.
const DEEPEST: usize = 16;
/// Pairs of ports and destinations that are tried, and rules looked at for each.
const MOST: usize = 4_096;

/// One filter: its chains, by name.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub chains: Vec<Chain>,
}

/// Rules in order.
#[derive(Debug)]
pub(super) struct Chain {
    pub name: String,
    /// Whether a frame that a bridge forwards passes it on its own.
    pub is_on_the_way: bool,
    /// The ports whose frames do; all where it does not say.
    pub ports: Option<Vec<String>>,
    /// What becomes of a frame for which no rule decides.
    pub policy: Verdict,
    pub rules: Vec<Rule>,
}

/// What a rule looks at, and what it decides.
#[derive(Debug)]
pub(super) struct Rule {
    /// The ports; with `*` at its end all whose names begin so. All where it does not say.
    pub ports: Option<Vec<String>>,
    /// The destinations. All where it does not say.
    pub to: Option<Vec<Mac>>,
    /// It looks at more than that.
    pub is_narrower: bool,
    pub verdict: Verdict,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Drop,
    /// Its way through this base chain ends well.
    Accept,
    Return,
    /// The next rule decides.
    Continue,
    Jump(String),
    Goto(String),
    /// Something else, that is not understood.
    Unknown,
}

/// Where a chain leaves a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Dropped,
    Passed,
    Returned,
    Doubtful,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Maybe,
}

impl Filter {
    /// What is dropped for certain, of the ports that rules name and the destinations that they name, bridges' own among them.
    pub fn drops(&self) -> Vec<Drop> {
        let rules = || self.chains.iter().flat_map(|chain| &chain.rules);
        let chains = self.chains.iter().flat_map(|chain| chain.ports.iter().flatten());
        let mut ports: Vec<&str> =
            rules().flat_map(|rule| rule.ports.iter().flatten()).chain(chains).map(String::as_str).collect();
        ports.push("*");
        let mut to: Vec<Mac> = rules().flat_map(|rule| rule.to.iter().flatten()).copied().collect();
        to.extend([Mac::BRIDGES, Mac::PVST]);
        for_each_once(&mut ports);
        for_each_once(&mut to);
        let pairs = ports.iter().flat_map(|port| to.iter().map(move |to| (*port, *to))).take(MOST);
        pairs
            .filter(|(port, to)| self.is_dropped(port, *to))
            .map(|(port, to)| Drop { port: Outside::from(port), to })
            .collect()
    }

    fn is_dropped(&self, port: &str, to: Mac) -> bool {
        let mut left = MOST;
        let base =
            self.chains.iter().filter(|chain| chain.is_on_the_way && is_of(port, chain.ports.as_deref()) == Holds::Yes);
        base.into_iter().any(|chain| self.fate(chain, port, to, DEEPEST, &mut left) == Fate::Dropped)
    }

    fn fate(&self, chain: &Chain, port: &str, to: Mac, depth: usize, left: &mut usize) -> Fate {
        for rule in &chain.rules {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Fate::Doubtful;
            }
            let holds = rule.holds(port, to);
            if holds == Holds::No {
                continue;
            }
            let Some(fate) = self.decides(&rule.verdict, port, to, depth, left) else { continue };
            match (holds, fate) {
                // Dropped, or the next rule decides; a chain that was jumped to and came back decides nothing.
                (Holds::Maybe, Fate::Dropped) => {}
                (_, Fate::Returned) if matches!(rule.verdict, Verdict::Jump(_)) => {}
                (Holds::Maybe, _) => return Fate::Doubtful,
                (_, fate) => return fate,
            }
        }
        self.decides(&chain.policy, port, to, depth, left).unwrap_or(Fate::Returned)
    }

    fn decides(&self, verdict: &Verdict, port: &str, to: Mac, depth: usize, left: &mut usize) -> Option<Fate> {
        let named = |name: &String| self.chains.iter().find(|chain| chain.name == *name);
        Some(match verdict {
            Verdict::Drop => Fate::Dropped,
            Verdict::Accept => Fate::Passed,
            Verdict::Return => Fate::Returned,
            Verdict::Continue => return None,
            Verdict::Unknown => Fate::Doubtful,
            Verdict::Jump(name) | Verdict::Goto(name) => match (named(name), depth.checked_sub(1)) {
                (Some(chain), Some(depth)) => self.fate(chain, port, to, depth, left),
                _ => Fate::Doubtful,
            },
        })
    }
}

impl Rule {
    fn holds(&self, port: &str, to: Mac) -> Holds {
        let is_to = self.to.as_ref().is_none_or(|all| all.contains(&to));
        match (is_of(port, self.ports.as_deref()), is_to, self.is_narrower) {
            (Holds::No, ..) | (_, false, _) => Holds::No,
            (Holds::Yes, _, false) => Holds::Yes,
            _ => Holds::Maybe,
        }
    }
}

/// Whether all that `port` stands for are among `ports`, or none, or some.
fn is_of(port: &str, ports: Option<&[String]>) -> Holds {
    let Some(ports) = ports else { return Holds::Yes };
    let (name, is_many) = port.strip_suffix('*').map_or((port, false), |start| (start, true));
    let holds = |pattern: &String| match pattern.strip_suffix('*') {
        Some(start) if name.starts_with(start) => Holds::Yes,
        Some(start) if is_many && start.starts_with(name) => Holds::Maybe,
        None if pattern == name && !is_many => Holds::Yes,
        None if is_many && pattern.starts_with(name) => Holds::Maybe,
        _ => Holds::No,
    };
    let mut found = Holds::No;
    for pattern in ports {
        match holds(pattern) {
            Holds::Yes => return Holds::Yes,
            Holds::Maybe => found = Holds::Maybe,
            Holds::No => {}
        }
    }
    found
}

fn for_each_once<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}
