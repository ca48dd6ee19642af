//! What can be wrong with a source: one sentence with the path, the place, and the reason.

use std::io;

use crate::value::Outside;

/// What is wrong with a source. Everything before the place was whole and was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {}{why}", place.map_or_else(String::new, |p| format!("{p}: ")))]
pub struct SourceError {
    /// The file, as it was named.
    pub path: Outside,
    /// Where in the file; after unpacking, if it is compressed.
    pub place: Option<Damage>,
    /// What is wrong there, and what can be done where that is not obvious.
    pub why: String,
}

/// A place in a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// `block`, `record` or `header`.
    pub unit: &'static str,
    /// Its number in the file, from 1.
    pub number: u64,
    /// The offset of its first byte.
    pub offset: u64,
}

impl SourceError {
    /// The system will not let the file be opened or read.
    pub fn unreadable(path: &Outside, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "reading it is not permitted to this user".to_owned(),
            io::ErrorKind::IsADirectory => "it is a folder without a case.toml; name the captures in it".to_owned(),
            _ => Outside::from(error.to_string().as_str()).to_string(),
        };
        Self { path: path.clone(), place: None, why }
    }

    /// The file as a whole makes no sense.
    pub fn nonsense(path: &Outside, why: &str) -> Self {
        Self { path: path.clone(), place: None, why: Outside::from(why).to_string() }
    }

    /// The file is damaged at one place.
    pub fn damaged(path: &Outside, place: Damage, why: String) -> Self {
        Self { path: path.clone(), place: Some(place), why }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at byte {}", self.unit, self.number, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_place_and_reason() {
        let place = Damage { unit: "block", number: 41, offset: 90_212 };
        let error =
            SourceError::damaged(&Outside::from("bond0.pcapng"), place, "length 7 is not a multiple of 4".to_owned());
        assert_eq!(error.to_string(), "bond0.pcapng: block 41 at byte 90212: length 7 is not a multiple of 4");
    }
}
