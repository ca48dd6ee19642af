//! `host.jsonl`: one fact about the host a line. A line that cannot be read is refused by its number, and the rest is used.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::SourceError;
use crate::event::{Fact, Stamped};
use crate::value::Outside;

/// Bytes of one line at most: the longest fact has some 500.
const LONGEST: u64 = 65_536;
/// Refused lines that are told one by one.
const MOST_REFUSED: usize = 20;
/// Lines at most: a host with 100,000 forwarding entries has fewer.
const MOST: usize = 1_000_000;

/// The facts of a host log, and one sentence for each line that was refused.
#[derive(Debug, Default)]
pub struct HostLog {
    /// What could be read, in the order of the file.
    pub facts: Vec<Stamped<Fact>>,
    /// What could not: path, line number and reason of the first, and how many more there were.
    pub refused: Vec<String>,
    /// The same of a last line that has no end, as where whoever wrote it was killed.
    pub torn: Option<String>,
    /// Refused lines past those that are told one by one.
    more: u64,
}

impl HostLog {
    /// Reads the host log at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or read; a line that makes no sense is refused, not an error.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = Outside::from(path.to_string_lossy().as_ref());
        let file = File::open(path).map_err(|e| SourceError::unreadable(&name, &e))?;
        Self::read(&name, BufReader::new(file)).map_err(|e| SourceError::unreadable(&name, &e))
    }

    /// Reads the host log called `name`.
    ///
    /// # Errors
    /// When it cannot be read; a line that makes no sense is refused, not an error.
    pub fn read(name: &Outside, mut from: impl BufRead) -> std::io::Result<Self> {
        let mut log = Self::default();
        let mut line = Vec::new();
        for number in 1..=MOST {
            line.clear();
            let taken = std::io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut line)?;
            if taken == 0 {
                log.close(name);
                return Ok(log);
            }
            let is_cut = taken as u64 == LONGEST && line.last() != Some(&b'\n');
            if is_cut {
                from.skip_until(b'\n')?;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let fact = if is_cut { Err("the line is longer than 64 KiB".to_owned()) } else { parse(&line) };
            let is_whole = is_cut || line.last() == Some(&b'\n');
            match fact {
                Ok(fact) => log.facts.push(fact),
                Err(why) => {
                    let said = format!("{name}: line {number}: {why}; the other lines are used");
                    if is_whole { log.refuse(said) } else { log.torn = Some(said) }
                }
            }
        }
        log.close(name);
        log.refused.push(format!("{name}: line {MOST}: more lines than a host has facts; the lines before are used"));
        Ok(log)
    }

    /// A line is refused, for the reason that `said` gives.
    pub(super) fn refuse(&mut self, said: String) {
        if self.refused.len() < MOST_REFUSED {
            self.refused.push(said);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Nothing more comes from the file called `name`.
    pub(super) fn close(&mut self, name: &Outside) {
        match std::mem::take(&mut self.more) {
            0 => {}
            more => self.refused.push(format!("{name}: {more} more lines make no sense; the others are used")),
        }
    }
}

fn parse(line: &[u8]) -> Result<Stamped<Fact>, String> {
    serde_json::from_slice(line).map_err(|e| Outside::from(e.to_string().as_str()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_makes_no_sense_is_refused_by_number() {
        let text = b"{\"fact\":\"missing\",\"what\":\"fdb\",\"why\":\"not permitted\"}\n\nnonsense\n{\"fact\":\"link\",\"name\":\"bond0\",\"kind\":\"bond\"}\n";
        let log = HostLog::read(&Outside::from("host.jsonl"), &text[..]).unwrap();
        assert_eq!(log.facts.len(), 2);
        assert_eq!(log.refused.len(), 1);
        assert!(log.refused[0].starts_with("host.jsonl: line 3: "), "{}", log.refused[0]);
    }

    #[test]
    fn a_file_of_nonsense_is_refused_in_few_words() {
        let log = HostLog::read(&Outside::from("h"), "\u{1b}[2J\n".repeat(10_000).as_bytes()).unwrap();
        assert_eq!(log.refused.len(), MOST_REFUSED + 1);
        assert!(log.refused[MOST_REFUSED].contains("9980 more"), "{}", log.refused[MOST_REFUSED]);
    }

    #[test]
    fn a_line_that_breaks_off_is_told_apart() {
        let text = b"{\"fact\":\"missing\",\"what\":\"fdb\",\"why\":\"not permitted\"}\n{\"fact\":\"li";
        let log = HostLog::read(&Outside::from("host.jsonl"), &text[..]).unwrap();
        assert_eq!((log.facts.len(), log.refused.len()), (1, 0));
        assert!(log.torn.unwrap().starts_with("host.jsonl: line 2: "));
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let text = vec![b'a'; 200_000];
        let log = HostLog::read(&Outside::from("h"), &text[..]).unwrap();
        assert!(log.facts.is_empty() && log.refused[0].contains("64 KiB"));
    }
}
