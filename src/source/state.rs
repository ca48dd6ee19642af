//! What a live run leaves to a later one: facts in one versioned JSON document. It is written beside the old one, brought to the disk and then
//! put in its place, so that there is a whole one at every moment.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::event::Fact;
use crate::value::{Outside, Timestamp};

/// The version of the document.
const SCHEMA: &str = "netdiag.state/1";
/// The document in its folder.
const FILE: &str = "state.json";
/// The largest document that is read, in bytes: a hundred thousand leases and all findings have a third of it.
const LARGEST: u64 = 64 << 20;

/// What a run knew when it wrote that down.
#[derive(Debug, Deserialize, Serialize)]
pub struct State {
    schema: String,
    /// When.
    pub written: Timestamp,
    /// What a later run should know: leases that last, and findings that are open.
    pub facts: Vec<Fact>,
}

impl State {
    /// What is known at `written`.
    pub fn new(written: Timestamp, facts: Vec<Fact>) -> Self {
        Self { schema: SCHEMA.to_owned(), written, facts }
    }

    /// Reads the state in `folder`; `None` if there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, SourceError> {
        let (path, name) = named(folder);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SourceError::unreadable(&name, &error)),
        };
        let mut text = Vec::new();
        let taken = file.take(LARGEST.saturating_add(1)).read_to_end(&mut text);
        if taken.map_err(|error| SourceError::unreadable(&name, &error))? as u64 > LARGEST {
            return Err(SourceError::nonsense(&name, "it is larger than 64 MiB, which no state is"));
        }
        let state: Self =
            serde_json::from_slice(&text).map_err(|error| SourceError::nonsense(&name, &error.to_string()))?;
        if state.schema != SCHEMA {
            let schema = Outside::from(state.schema.as_str());
            return Err(SourceError::nonsense(&name, &format!("its schema is {schema}, and not {SCHEMA}")));
        }
        Ok(Some(state))
    }

    /// Writes the state into `folder`, which is made if it is not there. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written; then the old one is as it was.
    pub fn write(&self, folder: &Path) -> Result<(), SourceError> {
        let (path, name) = named(folder);
        let text = serde_json::to_vec(self).map_err(|error| SourceError::unwritable_for(&path, &error.to_string()))?;
        let new = path.with_extension("json.tmp");
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| SourceError::unwritable(&name, &error))
    }
}

/// The document's path, and as it is shown.
fn named(folder: &Path) -> (PathBuf, Outside) {
    let path = folder.join(FILE);
    let name = Outside::from(path.to_string_lossy().as_ref());
    (path, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{LeaseEnd, LeftOpen};
    use crate::value::Mac;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("netdiag-state-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn facts() -> Vec<Fact> {
        let at = Timestamp::from_parts(1_793_613_600, 0);
        let (mac, address) = (Mac([0xfa, 0x16, 0x3e, 1, 2, 3]), [10, 20, 0, 15].into());
        let left = LeftOpen {
            code: Outside::from("DHCP001"),
            key: vec![(Outside::from("client"), Outside::from("fa:16:3e:01:02:03"))],
            severity: Outside::from("error"),
            confidence: Outside::from("confirmed"),
            headline: Outside::whole("It asks. ".repeat(100)),
            first: at,
            last: at,
            count: 3,
            episodes: 1,
        };
        vec![
            Fact::Lease(LeaseEnd { mac, address, until: Some(at), followed: false, renews: Some(at) }),
            Fact::Finding(left),
        ]
    }

    #[test]
    fn what_is_written_is_read_and_written_anew() {
        let folder = folder("whole");
        assert!(State::read(&folder).unwrap().is_none());
        for second in 0..3 {
            let at = Timestamp::from_parts(second, 0);
            State::new(at, facts()).write(&folder).unwrap();
            let read = State::read(&folder).unwrap().unwrap();
            assert_eq!((read.written, read.facts), (at, facts()));
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_state_is_one_sentence() {
        let folder = folder("none");
        State::new(Timestamp::from_parts(1, 0), facts()).write(&folder).unwrap();
        let whole = fs::read(folder.join(FILE)).unwrap();
        let refused = |text: &[u8]| {
            fs::write(folder.join(FILE), text).unwrap();
            State::read(&folder).unwrap_err().to_string()
        };
        for cut in (0..whole.len()).step_by(7) {
            assert_eq!(refused(&whole[..cut]).lines().count(), 1);
        }
        let other = String::from_utf8(whole).unwrap().replace("state/1", "state/2");
        assert!(refused(other.as_bytes()).ends_with("its schema is netdiag.state/2, and not netdiag.state/1"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
