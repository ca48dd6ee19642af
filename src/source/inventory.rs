//! Who is who: addresses and names from what a cloud already keeps. `openstack port list -f json --long`, `virsh domiflist`, or lines of
//! `mac,name`. A line that makes no sense is refused by its number, and the rest used.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::{HostLog, SourceError};
use crate::event::{Fact, Guest, Name, Stamped};
use crate::value::{Mac, Outside};

/// The largest file that is read, in bytes: a cloud of 100,000 ports has a tenth of it.
const LARGEST: u64 = 256 << 20;

/// A port, as OpenStack lists it.
#[derive(Deserialize)]
struct Port {
    #[serde(rename = "MAC Address", alias = "mac_address")]
    mac: Option<String>,
    #[serde(rename = "Name", alias = "name")]
    name: Option<String>,
    #[serde(rename = "ID", alias = "id")]
    id: Option<String>,
}

/// Reads the inventory at `path`: names as facts, and one sentence for each line that was refused.
///
/// # Errors
/// When the file cannot be read, or is no inventory at all.
pub fn inventory(path: &Path) -> Result<HostLog, SourceError> {
    let file = Outside::from(path.to_string_lossy().as_ref());
    let size = fs::metadata(path).map_err(|error| SourceError::unreadable(&file, &error))?.len();
    if size > LARGEST {
        return Err(SourceError::nonsense(&file, "it is larger than 256 MiB, which no inventory is"));
    }
    let text = fs::read(path).map_err(|error| SourceError::unreadable(&file, &error))?;
    let text = String::from_utf8_lossy(&text);
    let source = Outside::from(path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default().as_ref());
    read(&file, &source, &text)
}

fn read(file: &Outside, source: &Outside, text: &str) -> Result<HostLog, SourceError> {
    let is_domiflist =
        || text.lines().any(|line| line.split_whitespace().eq(["Interface", "Type", "Source", "Model", "MAC"]));
    let mut log = if text.trim_start().starts_with('[') {
        ports(file, source, text)?
    } else if is_domiflist() {
        domiflist(file, text)
    } else {
        pairs(file, source, text)
    };
    log.close(file);
    Ok(log)
}

/// `openstack port list -f json --long`; a port without a name is called by its ID.
fn ports(file: &Outside, source: &Outside, text: &str) -> Result<HostLog, SourceError> {
    let ports: Vec<Port> =
        serde_json::from_str(text).map_err(|error| SourceError::nonsense(file, &error.to_string()))?;
    let mut log = HostLog::default();
    for (number, port) in (1_u64..).zip(ports) {
        let mac = port.mac.as_deref().and_then(|mac| mac.parse().ok());
        let name = port.name.filter(|name| !name.is_empty()).or(port.id);
        match (mac, name) {
            (Some(mac), Some(name)) => log.facts.push(named(mac, &name, source)),
            (None, _) => log.refuse(refused(file, "port", number, "it has no MAC address")),
            (_, None) => log.refuse(refused(file, "port", number, "it has neither a name nor an ID")),
        }
    }
    Ok(log)
}

/// `virsh domiflist`, once or for several domains, each below a line with its name.
fn domiflist(file: &Outside, text: &str) -> HostLog {
    let (mut log, mut domain) = (HostLog::default(), None);
    for (number, line) in (1_u64..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["Interface", "Type", "Source", "Model", "MAC"] => {}
            [rule] if rule.starts_with("---") => {}
            [name] => domain = Some(Outside::from(*name)),
            [tap, .., mac] => match mac.parse() {
                Ok(mac) => {
                    // A domain that does not run has no tap yet.
                    let tap = Some(Outside::from(*tap)).filter(|tap| tap.raw() != "-");
                    let guest = Guest { tap, mac, name: domain.clone() };
                    log.facts.push(Stamped { time: None, what: Fact::Guest(guest) });
                }
                Err(()) => log.refuse(refused(file, "line", number, "it does not end with a MAC address")),
            },
        }
    }
    log
}

/// Lines of `mac,name`; the first may say so.
fn pairs(file: &Outside, source: &Outside, text: &str) -> HostLog {
    let mut log = HostLog::default();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') || (number == 1 && line.to_ascii_lowercase().starts_with("mac,")) {
            continue;
        }
        let (mac, name) = line.split_once(',').unwrap_or((line, ""));
        let name = name.trim().trim_matches('"');
        match mac.trim().trim_matches('"').parse() {
            Ok(mac) if !name.is_empty() => log.facts.push(named(mac, name, source)),
            Ok(_) => log.refuse(refused(file, "line", number, "there is no name behind the address")),
            Err(()) => {
                let why = "it does not begin with a MAC address such as fa:16:3e:12:34:56";
                log.refuse(refused(file, "line", number, why));
            }
        }
    }
    log
}

fn named(mac: Mac, name: &str, source: &Outside) -> Stamped<Fact> {
    Stamped { time: None, what: Fact::Name(Name { mac, name: Outside::from(name), source: source.clone() }) }
}

fn refused(file: &Outside, part: &str, number: u64, why: &str) -> String {
    format!("{file}: {part} {number}: {why}; the others are used")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, usize) {
        let log = read(&Outside::from("file"), &Outside::from("file"), text).unwrap();
        let name = |fact: Stamped<Fact>| match fact.what {
            Fact::Name(name) => format!("{} {}", name.mac, name.name),
            Fact::Guest(Guest { tap, mac, name }) => {
                format!("{mac} {} behind {}", name.unwrap_or_default(), tap.unwrap_or_default())
            }
            other => panic!("{other:?}"),
        };
        (log.facts.into_iter().map(name).collect(), log.refused.len())
    }

    #[test]
    fn what_openstack_lists() {
        let text = r#"[{"ID": "4f1c", "Name": "", "MAC Address": "fa:16:3e:12:34:56", "Fixed IP Addresses": [], "Status": "ACTIVE"},
            {"ID": "77", "Name": "web-01", "MAC Address": "FA:16:3E:12:34:57"}, {"ID": "78", "Name": "nothing"}]"#;
        assert_eq!(names(text), (vec!["fa:16:3e:12:34:56 4f1c".into(), "fa:16:3e:12:34:57 web-01".into()], 1));
    }

    #[test]
    fn what_virsh_lists() {
        let text = "web-01\n Interface   Type     Source   Model    MAC\n-----------------------------------------------\n \
                    vnet3       bridge   br100    virtio   fa:16:3e:12:34:56\n -           bridge   br100    virtio   52:54:00:00:00:01\n";
        let want = ["fa:16:3e:12:34:56 web-01 behind vnet3".to_owned(), "52:54:00:00:00:01 web-01 behind ".to_owned()];
        assert_eq!(names(text), (want.to_vec(), 0));
    }

    #[test]
    fn lines_with_commas_and_strange_ones() {
        let text = "\u{feff}mac,name\nfa:16:3e:12:34:56,\"web-01\"\n\n# a note\nnonsense\nfa:16:3e:12:34:57,\nfa:16:3e:12:34:58,db, the old one\r\n";
        let want = ["fa:16:3e:12:34:56 web-01".to_owned(), "fa:16:3e:12:34:58 db, the old one".to_owned()];
        assert_eq!(names(text), (want.to_vec(), 2));
    }
}
