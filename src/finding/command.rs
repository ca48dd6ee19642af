//! A command that an operator pastes into a shell, most often as root: our own words as they are, and every word from elsewhere quoted
//! (POSIX.1-2017, Shell Command Language 2.2). It can be made in no other way.

use std::fmt::{Display, Write};

use serde::Serialize;

use crate::value::spelled_out;

/// What stands in a command for an interface that nobody named.
pub const IFACE: &str = "IFACE";
/// What stands in a command for a word that a program would take for an option.
const NAME: &str = "NAME";
/// Bytes of an interface's name at most: IFNAMSIZ of `linux/if.h` without the byte that ends it.
const LONGEST: usize = 15;

/// A command, or several lines of them; empty where no command does it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Command(String);

impl From<&'static str> for Command {
    fn from(ours: &'static str) -> Self {
        Self(ours.to_owned())
    }
}

impl Command {
    /// `ours` with each `{}` replaced by the next of `words`, as one word of a shell whatever is in it. Not for use inside double quotes.
    pub fn with(ours: &'static str, words: &[&dyn Display]) -> Self {
        let mut text = String::with_capacity(ours.len().saturating_mul(2));
        let (mut rest, mut is_quoted) = (ours, false);
        for word in words {
            let Some((part, behind)) = rest.split_once("{}") else { break };
            text.push_str(part);
            is_quoted ^= part.matches('\'').count() % 2 == 1;
            put(&mut text, is_quoted, &word.to_string());
            rest = behind;
        }
        Self(text + rest)
    }

    /// This command, then `next`.
    #[must_use]
    pub fn then(mut self, next: &Self) -> Self {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(&next.0);
        self
    }

    /// With a remark for the reader, which a shell leaves out.
    #[must_use]
    pub fn remark(mut self, remark: impl Display) -> Self {
        let _ = write!(self.0, "   # {}", spelled_out(remark.to_string()));
        self
    }

    /// As it is pasted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a Linux interface may be called so, and a program takes the name for one: what begins with a dash is an option to it.
/// The kernel's own rule is `dev_valid_name`, which allows `;`, `$` and quotes.
pub fn is_device_name(name: &str) -> bool {
    let is_odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    (1..=LONGEST).contains(&name.len())
        && !name.starts_with('-')
        && name != "."
        && name != ".."
        && !name.contains(is_odd)
}

/// Puts `word` behind `text`: as it is where a shell reads nothing into it, else in quotes, or kept in the quotes that are open there.
fn put(text: &mut String, is_quoted: bool, word: &str) {
    let word = spelled_out(word.to_owned());
    let begins = text.is_empty() || text.ends_with(char::is_whitespace);
    if begins && !is_quoted && word.starts_with('-') {
        text.push_str(NAME);
    } else if word.chars().all(is_plain) && !word.is_empty() {
        text.push_str(&word);
    } else {
        // The one character that ends such quotes is put in by leaving them for a moment.
        let inside = word.replace('\'', r"'\''");
        let quote = if is_quoted { "" } else { "'" };
        let _ = write!(text, "{quote}{inside}{quote}");
    }
}

/// Characters that no shell reads anything into, wherever in a word they stand.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '@' | '/' | '-' | '+' | ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_one_word() {
        let shown = |name: &str| Command::with("ip -s link show {}", &[&name]).0;
        assert_eq!(shown("bond0.20"), "ip -s link show bond0.20");
        assert_eq!(shown("a;reboot"), "ip -s link show 'a;reboot'");
        assert_eq!(shown("$(reboot)"), "ip -s link show '$(reboot)'");
        assert_eq!(shown("it's"), r"ip -s link show 'it'\''s'");
        assert_eq!(shown("a\nreboot"), r"ip -s link show 'a\u{a}reboot'");
        assert_eq!(shown("-all"), "ip -s link show NAME");
        assert_eq!(shown(""), "ip -s link show ''");
    }

    #[test]
    fn a_word_inside_quotes_stays_inside() {
        let shown = |name: &str| Command::with("ip link | grep '@{}:'", &[&name]).0;
        assert_eq!(shown("vlan20"), "ip link | grep '@vlan20:'");
        assert_eq!(shown("';reboot;'"), r"ip link | grep '@'\'';reboot;'\'':'");
        let twice = Command::with("echo '{}' {}", &[&"it's", &"a;b"]);
        assert_eq!(twice.as_str(), r"echo 'it'\''s' 'a;b'");
    }

    /// A real shell is the judge: what it makes of the word is the word.
    #[test]
    fn a_shell_reads_the_word_as_it_was() {
        for word in [
            "a;reboot", "$(id)", "`id`", "it's", "a\"b", "a b", "*", "~", "!x", "a\\", "&", "|", "#", "{a,b}", "ü",
            "-n",
        ] {
            for (ours, prefix) in [("printf %s x{}", "x"), ("printf %s 'x{}'", "x")] {
                let command = Command::with(ours, &[&word]);
                let out = std::process::Command::new("sh").args(["-c", command.as_str()]).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{prefix}{word}"), "{}", command.as_str());
            }
        }
    }

    #[test]
    fn a_name_that_is_no_interface_s_is_told() {
        for name in ["bond0", "tap3f2a91c0-5d", "a;reboot", "eth0:1"] {
            assert!(is_device_name(name), "{name}");
        }
        for name in ["", ".", "..", "-all", "a b", "a/b", "a\nb", "incident-of-monday", r"\Device\NPF_{1A2B}"] {
            assert!(!is_device_name(name), "{name}");
        }
    }
}
