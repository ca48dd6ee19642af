//! DHCP servers' lists of leases while they change: read at the start, and anew whenever the file is another.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::{HostLog, SourceError, leases};
use crate::event::{Fact, LeaseEnd, Stamped};
use crate::value::{Mac, Span, Timestamp};

/// How often a file is looked at.
const LOOK_EVERY: Span = Span::secs(1);

/// Lists that are followed.
#[derive(Debug, Default)]
pub struct Leases {
    files: Vec<Followed>,
    looked: Option<Timestamp>,
}

/// A list that is followed.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    /// What the file was when it was read; `None` where it may have been in the making.
    read: Option<Stamp>,
    told: BTreeMap<(Mac, Ipv4Addr), LeaseEnd>,
    is_lost: bool,
}

/// By what a file that was written is known: its node, its length, and when it was written.
type Stamp = (u64, u64, Option<SystemTime>);

impl Leases {
    /// Reads the lists at `paths`, and what is in them.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn open(paths: &[PathBuf], now: Timestamp) -> Result<(Self, HostLog), SourceError> {
        let (mut lists, mut all) = (Self::default(), HostLog::default());
        for path in paths {
            let log = leases(path, true)?;
            let mut file = Followed { path: path.clone(), read: None, told: BTreeMap::new(), is_lost: false };
            all.facts.extend(file.news(log.facts).into_iter().map(|what| Stamped { time: Some(now), what }));
            // A lease that breaks off is in the making.
            all.refused.extend(log.refused);
            lists.files.push(file);
        }
        Ok((lists, all))
    }

    /// What changed since it was asked last, and a sentence about each list that cannot be read any more.
    pub fn news(&mut self, now: Timestamp) -> (Vec<Fact>, Vec<String>) {
        let (mut facts, mut lost) = (Vec::new(), Vec::new());
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return (facts, lost);
        }
        self.looked = Some(now);
        for file in &mut self.files {
            match file.look() {
                Ok(news) => facts.extend(news),
                Err(error) if !file.is_lost => {
                    file.is_lost = true;
                    lost.push(format!("{error}; what becomes of its leases is not known until it can be read again"));
                    facts.extend(file.unfollowed());
                }
                Err(_) => {}
            }
        }
        (facts, lost)
    }
}

impl Followed {
    /// What is new in the file, if it is another than before.
    fn look(&mut self) -> Result<Vec<Fact>, SourceError> {
        let stamp = stamp(&self.path);
        if stamp.is_some() && stamp == self.read {
            return Ok(Vec::new());
        }
        let log = leases(&self.path, true)?;
        // What was written to while it was read is read once more.
        self.read = stamp.filter(|_| stamp == self::stamp(&self.path) && log.torn.is_none());
        if std::mem::take(&mut self.is_lost) {
            self.told.clear();
        }
        Ok(self.news(log.facts))
    }

    /// Those that were not told before.
    fn news(&mut self, facts: Vec<Stamped<Fact>>) -> Vec<Fact> {
        let mut is_news = |fact: &Fact| match fact {
            Fact::Lease(lease) => self.told.insert((lease.mac, lease.address), *lease) != Some(*lease),
            _ => true,
        };
        facts.into_iter().map(|fact| fact.what).filter(|fact| is_news(fact)).collect()
    }

    /// What was told, as nobody goes on telling it.
    fn unfollowed(&self) -> Vec<Fact> {
        self.told.values().map(|lease| Fact::Lease(LeaseEnd { followed: false, ..*lease })).collect()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some((about.ino(), about.len(), about.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "1793614200 fa:16:3e:12:34:56 10.20.0.15 web-01 *\n";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn lines(facts: Vec<Fact>) -> Vec<String> {
        facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect()
    }

    #[test]
    fn what_changes_is_told_once_and_what_is_lost_is_said() {
        let path = std::env::temp_dir().join(format!("netdiag-leases-{}", std::process::id()));
        fs::write(&path, LINE).unwrap();
        let (mut lists, log) = Leases::open(std::slice::from_ref(&path), at(0)).unwrap();
        assert_eq!((log.facts.len(), log.facts[0].time), (1, Some(at(0))));
        assert_eq!(lists.news(at(1)), (Vec::new(), Vec::new()));
        fs::write(&path, LINE.replace("4200", "4800")).unwrap();
        assert_eq!(lists.news(at(1)).0, Vec::new(), "not twice in a second");
        let renewed = r#"{"fact":"lease","mac":"fa:16:3e:12:34:56","address":"10.20.0.15","until":"2026-11-02T10:20:00.000000000Z""#;
        assert_eq!(lines(lists.news(at(2)).0), [format!("{renewed},\"followed\":true}}")]);
        fs::remove_file(&path).unwrap();
        let (facts, lost) = lists.news(at(3));
        assert_eq!((lines(facts), lost.len()), (vec![format!("{renewed}}}")], 1));
        assert_eq!(lists.news(at(4)), (Vec::new(), Vec::new()), "it is said once");
        fs::write(&path, LINE).unwrap();
        assert_eq!(lists.news(at(5)).0.len(), 1);
        fs::remove_file(&path).unwrap();
    }
}
