//! Text that comes from packets, files and names. It is hostile until it leaves through one of the ways out below.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Bytes of outside text that are kept; what is longer ends in `…`.
const MOST: usize = 256;

/// Text from outside the program: names, options, file paths. `Display` is `for_terminal`, so that it cannot leave raw by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct Outside(String);

impl Outside {
    /// Takes bytes as UTF-8 where they are, as `\x..` where they are not; keeps at most 256 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
            if text.len() > MOST {
                break;
            }
        }
        Self::from(text.as_str())
    }

    /// Takes text that was our own before it was written to a file, whole.
    pub const fn whole(text: String) -> Self {
        Self(text)
    }

    /// As it came. For comparing and for opening files; never for output.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For a terminal or a log: control, direction and zero-width characters are spelled out.
    pub fn for_terminal(&self) -> Cow<'_, str> {
        spell_out(&self.0)
    }
}

/// `text` of our own with what came into it from outside made fit for a terminal, and one line.
pub fn spelled_out(text: String) -> String {
    match spell_out(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(spelled) => spelled,
    }
}

/// `text` with every character that could move a cursor, start a line, or turn the reading direction spelled out as `\u{..}`.
fn spell_out(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether all of it can be seen in ASCII, as nearly everything can; asked of many bytes at once.
fn is_plain(text: &str) -> bool {
    text.as_bytes().chunks(16).all(|bytes| bytes.iter().fold(true, |so_far, byte| so_far & matches!(byte, b' '..=b'~')))
}

/// C0, DEL, C1, line and paragraph separators, bidirectional controls, zero-width characters, the byte order mark.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

impl From<&str> for Outside {
    fn from(text: &str) -> Self {
        if text.len() <= MOST {
            return Self(text.to_owned());
        }
        let mut kept: String = text.char_indices().take_while(|(i, _)| *i < MOST).map(|(_, c)| c).collect();
        kept.push('…');
        Self(kept)
    }
}

impl Serialize for Outside {
    /// As for a terminal: JSON leaves DEL, C1 and direction controls as they are, and JSON is read in terminals too.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.for_terminal())
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.for_terminal())
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_reaches_a_terminal() {
        let text = Outside::from_bytes(b"web\x1b[2J\r\n\xff\xc2\x9b\xe2\x80\xae.txt");
        assert_eq!(text.to_string(), r"web\u{1b}[2J\u{d}\u{a}\xff\u{9b}\u{202e}.txt");
        assert_eq!(Outside::from("bond0").to_string(), "bond0");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        let text = Outside::from_bytes(&[b'a'; 1_000]);
        assert_eq!(text.raw().chars().count(), MOST + 1);
        assert!(text.raw().ends_with('…'));
    }
}
