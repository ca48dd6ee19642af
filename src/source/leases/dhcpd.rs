//! ISC dhcpd's list of leases (dhcpd.leases(5)): a log, in which the last word about an address and a client is the one that holds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{HostLog, LeaseEnd, refused, told};
use crate::value::{Mac, Outside, Span, Timestamp};

/// Words of a statement that are looked at; none that matters has more.
const MOST_WORDS: usize = 6;
/// Leases at most: more than any file of 256 MiB holds.
const MOST: usize = 2_000_000;
/// So much later than the end of a lease must the log go on before its silence means that nobody prolonged it.
const GOES_ON: Span = Span::secs(60);

/// Whether `text` looks like one: somewhere a line begins as dhcpd begins its statements.
pub(super) fn is_one(text: &str) -> bool {
    let begins = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("lease" | "server-duid" | "authoring-byte-order" | "failover"))
    };
    text.lines().any(begins)
}

/// Reads the log.
pub(super) fn read(file: &Outside, text: &str) -> HostLog {
    let mut log = HostLog::default();
    let mut words = Words { rest: text, line: 1 };
    let (mut last, mut latest) = (BTreeMap::new(), Timestamp::MIN);
    loop {
        let (statement, end) = words.statement();
        match (statement.get(0), end) {
            (Some("lease"), End::Open) => {
                let Some(entry) = words.lease(&statement) else {
                    log.torn = Some(refused(file, statement.line, "the lease that begins here breaks off"));
                    break;
                };
                latest = latest.max(entry.latest);
                match entry.lease() {
                    Ok(Some((key, kept))) if last.len() < MOST => drop(last.insert(key, kept)),
                    Ok(_) => {}
                    Err(why) => log.refuse(refused(file, statement.line, why)),
                }
            }
            (_, End::Open) if !words.skip() => {
                log.torn = Some(refused(file, statement.line, "what begins here breaks off"));
                break;
            }
            (_, End::Open | End::Statement) => {}
            (_, End::Close) => log.refuse(refused(file, words.line, "a brace closes that was not opened")),
            (None, End::Text) => break,
            (_, End::Text) => {
                log.torn = Some(refused(file, statement.line, "what begins here breaks off"));
                break;
            }
        }
    }
    for ((address, mac), kept) in last {
        let Kept::Lease { until, is_over } = kept else { continue };
        let followed = is_over || until.is_some_and(|until| until.after(GOES_ON) < latest);
        log.facts.push(told(LeaseEnd { mac, address, until, followed, renews: None }));
    }
    log
}

/// What a word of the log is about.
type Key = (Ipv4Addr, Mac);

/// The last word about an address and a client.
enum Kept {
    /// It is or was the client's; whether the server has taken it back by itself.
    Lease { until: Option<Timestamp>, is_over: bool },
    /// Nobody may have it: it was declined, or is in use by a stranger.
    Abandoned,
}

/// What a `lease` statement says.
#[derive(Default)]
struct Entry {
    address: Option<Ipv4Addr>,
    mac: Option<Mac>,
    is_other_hardware: bool,
    ends: Option<Result<Option<Timestamp>, ()>>,
    state: State,
    latest: Timestamp,
}

/// The binding state of a lease.
#[derive(Default)]
enum State {
    #[default]
    Active,
    Over,
    Abandoned,
}

impl Entry {
    fn take(&mut self, statement: &Statement<'_>) {
        let word = |at| statement.get(at).unwrap_or_default();
        match word(0) {
            "starts" | "cltt" => {
                if let Ok(Some(at)) = time(statement) {
                    self.latest = self.latest.max(at);
                }
            }
            "ends" => self.ends = Some(time(statement)),
            "hardware" if word(1) == "ethernet" => self.mac = word(2).parse().ok(),
            "hardware" => self.is_other_hardware = true,
            "binding" if word(1) == "state" => {
                self.state = match word(2) {
                    "active" => State::Active,
                    "abandoned" => State::Abandoned,
                    _ => State::Over,
                };
            }
            "abandoned" => self.state = State::Abandoned,
            _ => {}
        }
    }

    /// The last word; `None` where it is of no interest.
    fn lease(&self) -> Result<Option<(Key, Kept)>, &'static str> {
        let address = self.address.ok_or(
            "the lease names no IPv4 address; a client's list, such as dhclient.leases, does not tell whose lease it is",
        )?;
        let Some(mac) = self.mac else {
            // An address that nobody has, or that a client without Ethernet has.
            return Ok(None);
        };
        if self.is_other_hardware {
            return Ok(None);
        }
        let kept = match (&self.state, self.ends) {
            (State::Abandoned, _) => Kept::Abandoned,
            (_, Some(Err(()))) => return Err("the lease ends at no time that dhcpd writes"),
            (_, None) => return Ok(None),
            (state, Some(Ok(until))) => Kept::Lease { until, is_over: matches!(state, State::Over) },
        };
        Ok(Some(((address, mac), kept)))
    }
}

/// The time in a statement: `ends 1 2026/11/02 10:10:00;` in UTC, `ends epoch 1793614200;`, or `ends never;`.
fn time(statement: &Statement<'_>) -> Result<Option<Timestamp>, ()> {
    match (statement.get(1), statement.get(2), statement.get(3)) {
        (Some("never"), None, _) => Ok(None),
        (Some("epoch"), Some(seconds), _) => {
            let seconds: i64 = seconds.parse().map_err(drop)?;
            Ok(Some(Timestamp::from_parts(seconds, 0)))
        }
        (Some(_), Some(date), Some(clock)) => {
            let text = format!("{}T{clock}Z", date.replace('/', "-"));
            Timestamp::parse(&text).map(Some).ok_or(())
        }
        _ => Err(()),
    }
}

/// The first words of a statement, and the line that it begins in.
struct Statement<'a> {
    words: [Option<&'a str>; MOST_WORDS],
    line: u64,
}

impl<'a> Statement<'a> {
    fn get(&self, at: usize) -> Option<&'a str> {
        self.words.get(at).copied().flatten()
    }
}

/// How a statement ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With a semicolon.
    Statement,
    /// With a brace that opens.
    Open,
    /// With a brace that closes.
    Close,
    /// With the text.
    Text,
}

/// A text that is read word by word.
struct Words<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Words<'a> {
    /// The next statement.
    fn statement(&mut self) -> (Statement<'a>, End) {
        let (mut words, mut count) = ([None; MOST_WORDS], 0_usize);
        self.blank();
        let line = self.line;
        loop {
            self.blank();
            let end = match self.rest.chars().next() {
                None => End::Text,
                Some(';') => End::Statement,
                Some('{') => End::Open,
                Some('}') => End::Close,
                Some(_) => {
                    let word = self.word();
                    if let Some(place) = words.get_mut(count) {
                        *place = Some(word);
                    }
                    count = count.saturating_add(1);
                    continue;
                }
            };
            // A brace that closes may stand behind a statement without its semicolon: it is left for the next look.
            if end != End::Text && (end != End::Close || count == 0) {
                self.advance(1);
            }
            let end = if end == End::Close && count > 0 { End::Statement } else { end };
            return (Statement { words, line }, end);
        }
    }

    /// The rest of a `lease` statement that began with `head`; `None` if it breaks off.
    fn lease(&mut self, head: &Statement<'_>) -> Option<Entry> {
        let address = head.get(1).and_then(|word| word.parse().ok());
        let mut entry = Entry { address, latest: Timestamp::MIN, ..Entry::default() };
        loop {
            let (statement, end) = self.statement();
            match end {
                End::Statement => entry.take(&statement),
                End::Open if self.skip() => {}
                End::Close => return Some(entry),
                End::Open | End::Text => return None,
            }
        }
    }

    /// Passes over what a brace has opened; whether it is closed.
    fn skip(&mut self) -> bool {
        let mut depth = 1_u64;
        while depth > 0 {
            match self.statement().1 {
                End::Open => depth = depth.saturating_add(1),
                End::Close => depth = depth.saturating_sub(1),
                End::Statement => {}
                End::Text => return false,
            }
        }
        true
    }

    /// The next word, or what stands in quotation marks as one.
    fn word(&mut self) -> &'a str {
        let Some(inside) = self.rest.strip_prefix('"') else {
            let is_over = |c: char| c.is_ascii_whitespace() || matches!(c, ';' | '{' | '}' | '#' | '"');
            return self.take(self.rest.find(is_over).unwrap_or(self.rest.len()));
        };
        let mut is_escaped = false;
        let is_over = |c: char| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        };
        let length = inside.find(is_over).unwrap_or(inside.len());
        self.advance(1);
        let word = self.take(length);
        self.advance(usize::from(!self.rest.is_empty()));
        word
    }

    /// Passes over blanks and comments.
    fn blank(&mut self) {
        loop {
            let length = self.rest.find(|c: char| !c.is_ascii_whitespace()).unwrap_or(self.rest.len());
            self.advance(length);
            if !self.rest.starts_with('#') {
                return;
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        let lines = word.bytes().filter(|b| *b == b'\n').count() as u64;
        (self.rest, self.line) = (rest, self.line.saturating_add(lines));
        word
    }

    fn advance(&mut self, length: usize) {
        self.take(length);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;

    /// As dhcpd 4.4.3 writes it, shortened.
    const LIST: &str = r#"# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
server-duid "\000\001}{\000;\"";

lease 10.20.0.15 {
  starts 1 2026/11/02 10:00:00;
  ends 1 2026/11/02 10:10:00;
  cltt 1 2026/11/02 10:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet fa:16:3e:12:34:56;
  uid "\377>\0224V\000";
  client-hostname "}; lease {";
}
lease 10.20.0.16 {
  starts epoch 1793613600; # Mon Nov 02 10:00:00 2026
  ends never;
  binding state active;
  hardware ethernet fa:16:3e:22:00:02;
  on commit { if 1 = 1 { set x = "a"; } else { set x = "b"; } }
}
lease 10.20.0.17 {
  starts 1 2026/11/02 09:00:00;
  ends 1 2026/11/02 09:10:00;
  binding state free;
  hardware ethernet fa:16:3e:22:00:03;
}
lease 10.20.0.18 {
  ends 1 2026/11/02 10:05:00;
  binding state abandoned;
  hardware ethernet fa:16:3e:22:00:04;
}
lease 10.20.0.19 {
  ends 1 2026/11/02 10:05:00;
  hardware token-ring 00:00:00:00:00:01;
}
lease 10.20.0.15 {
  starts 1 2026/11/02 10:05:00;
  ends 1 2026/11/02 10:15:00;
  binding state active;
  hardware ethernet fa:16:3e:12:34:56;
}
"#;

    fn refused(text: &str) -> String {
        let (_, refused) = shown(text);
        assert_eq!(refused.len(), 1, "{refused:?}");
        refused[0].clone()
    }

    #[test]
    fn what_dhcpd_writes() {
        let want = [
            "fa:16:3e:12:34:56 10.20.0.15 10:15:00.000000",
            "fa:16:3e:22:00:02 10.20.0.16 for ever",
            "fa:16:3e:22:00:03 10.20.0.17 09:10:00.000000 followed",
        ];
        assert_eq!(shown(LIST), (want.map(str::to_owned).to_vec(), Vec::new()));
    }

    #[test]
    fn a_log_that_goes_on_past_an_end_tells_that_nobody_prolonged_it() {
        let later = "lease 10.20.0.99 {\n starts 1 2026/11/02 10:16:01;\n ends 1 2026/11/02 11:00:00;\n hardware ethernet fa:16:3e:22:00:09;\n}\n";
        let (leases, _) = shown(&format!("{LIST}{later}"));
        assert_eq!(leases[0], "fa:16:3e:12:34:56 10.20.0.15 10:15:00.000000 followed");
        assert_eq!(leases[3], "fa:16:3e:22:00:09 10.20.0.99 11:00:00.000000");
    }

    #[test]
    fn what_is_strange_is_refused_by_its_line() {
        let never = LIST.replace("ends 1 2026/11/02 10:10:00", "ends 1 2026/13/02 10:10:00");
        assert!(refused(&never).starts_with("list: line 5: the lease ends at no time"));
        let torn = LIST.rsplit_once("  hardware").unwrap().0;
        assert!(refused(torn).starts_with("list: line 38: the lease that begins here breaks off"), "{}", refused(torn));
        assert_eq!(shown(torn).0.len(), 3, "what stands before is used");
        let client = "lease {\n  interface \"eth0\";\n  fixed-address 10.20.0.15;\n}\n";
        assert!(refused(client).contains("line 1: the lease names no IPv4 address; a client's list"));
        assert!(refused(&format!("}}\n{LIST}")).starts_with("list: line 1: a brace closes"));
    }
}
