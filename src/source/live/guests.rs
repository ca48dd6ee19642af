//! Whose tap is whose, where the host keeps it: libvirt's run-time files, and the external identifiers of Open vSwitch's interfaces. Both are
//! only read, where they are there and may be read; what may not be read is said once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::event::{Fact, Guest};
use crate::value::{Mac, Outside};

/// Where libvirt keeps what runs, one file a domain.
const LIBVIRT: &str = "/run/libvirt/qemu";
/// Where Open vSwitch's database listens.
const OPEN_VSWITCH: &str = "/run/openvswitch/db.sock";
/// Bytes of one domain's file, and of the database's answer, at most.
const MOST: u64 = 16 << 20;
/// The database is on this machine: it answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// Names in the external identifiers by which a guest is called, the clearest first (Neutron, Nova, XAPI).
const NAMES: [&str; 4] = ["vm-name", "vm-id", "vm-uuid", "iface-id"];

/// What was told of guests so far.
#[derive(Debug, Default)]
pub struct Guests {
    told: BTreeSet<(Mac, Outside, Outside)>,
    is_refusal_told: bool,
}

impl Guests {
    /// What the host knows of its guests now and was not told before.
    pub fn news(&mut self) -> Vec<Fact> {
        let mut refusals = Vec::new();
        let mut found = Vec::new();
        for (what, guests) in
            [("libvirt", libvirt(Path::new(LIBVIRT))), ("Open vSwitch", open_vswitch(Path::new(OPEN_VSWITCH)))]
        {
            match guests {
                Ok(guests) => found.extend(guests),
                // Neither must be there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => refusals.push(format!("{what} does not tell: {error}")),
            }
        }
        let mut news = Vec::new();
        for guest in found {
            let key = (guest.mac, guest.tap.clone().unwrap_or_default(), guest.name.clone().unwrap_or_default());
            if self.told.insert(key) {
                news.push(Fact::Guest(guest));
            }
        }
        if !refusals.is_empty() && !self.is_refusal_told {
            self.is_refusal_told = true;
            let why = Outside::from(refusals.join("; ").as_str());
            news.push(Fact::Missing { what: Outside::from("guest"), why });
        }
        news
    }
}

/// The guests of the domains whose run-time files lie in `folder`.
fn libvirt(folder: &Path) -> io::Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "xml") && fs::metadata(&path)?.len() <= MOST {
            // A domain that ended meanwhile has taken its file with it.
            guests.extend(fs::read_to_string(&path).map(|text| domain(&text)).unwrap_or_default());
        }
    }
    Ok(guests)
}

/// The guest's interfaces in the run-time file of a domain.
fn domain(text: &str) -> Vec<Guest> {
    let Ok(document) = roxmltree::Document::parse(text) else { return Vec::new() };
    let Some(domain) = document.descendants().find(|node| node.has_tag_name("domain")) else { return Vec::new() };
    let child = |node: roxmltree::Node<'_, '_>, tag: &str, name: &str| {
        let found = node.children().find(|child| child.has_tag_name(tag))?;
        found.attribute(name).map(str::to_owned)
    };
    let name = domain.children().find(|node| node.has_tag_name("name")).and_then(|node| node.text());
    let interfaces = domain.descendants().filter(|node| node.has_tag_name("interface"));
    let guest = |interface| {
        Some(Guest {
            tap: child(interface, "target", "dev").map(|tap| Outside::from(tap.as_str())),
            mac: child(interface, "mac", "address")?.parse().ok()?,
            name: name.map(Outside::from),
        })
    };
    interfaces.filter_map(guest).collect()
}

/// The guests behind the interfaces of Open vSwitch, from its database (RFC 7047 section 4.1.3: one transaction that selects).
fn open_vswitch(socket: &Path) -> io::Result<Vec<Guest>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let question = r#"{"id":1,"method":"transact","params":["Open_vSwitch",{"op":"select","table":"Interface","where":[],"columns":["name","external_ids"]}]}"#;
    stream.write_all(question.as_bytes())?;
    // The answer is one JSON document, and the connection stays open behind it.
    let mut answers = serde_json::Deserializer::from_reader(stream.take(MOST)).into_iter::<Value>();
    match answers.next() {
        Some(Ok(answer)) => Ok(interfaces(&answer)),
        Some(Err(error)) => Err(error.into()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The guests in the database's answer; a map is `["map", [[key, value], …]]` there (RFC 7047 section 5.1).
fn interfaces(answer: &Value) -> Vec<Guest> {
    let rows = answer.pointer("/result/0/rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let guest = |row: &Value| {
        let pairs = row.pointer("/external_ids/1")?.as_array()?;
        let value = |key: &str| {
            let pair = pairs.iter().find(|pair| pair.pointer("/0").and_then(Value::as_str) == Some(key))?;
            pair.pointer("/1")?.as_str()
        };
        Some(Guest {
            tap: row.pointer("/name").and_then(Value::as_str).map(Outside::from),
            mac: value("attached-mac")?.parse().ok()?,
            name: NAMES.iter().find_map(|key| value(key)).map(Outside::from),
        })
    };
    rows.iter().filter_map(guest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(guests: Vec<Guest>) -> Vec<String> {
        let shown = |g: Guest| format!("{} {} {}", g.mac, g.tap.unwrap_or_default(), g.name.unwrap_or_default());
        guests.into_iter().map(shown).collect()
    }

    #[test]
    fn a_domain_that_runs() {
        let text = "<domstatus state='running'><monitor path='x'/><domain type='kvm' id='3'><name>web-01</name><devices>\
            <interface type='bridge'><mac address='fa:16:3e:12:34:56'/><source bridge='br100'/><target dev='vnet3'/></interface>\
            <interface type='user'><mac address='52:54:00:00:00:01'/></interface></devices></domain></domstatus>";
        assert_eq!(shown(domain(text)), ["fa:16:3e:12:34:56 vnet3 web-01", "52:54:00:00:00:01  web-01"]);
        assert_eq!(shown(domain("<domstatus><dom")), [""; 0]);
    }

    #[test]
    fn what_open_vswitch_answers() {
        let answer = r#"{"id":1,"error":null,"result":[{"rows":[
            {"name":"tap3f","external_ids":["map",[["attached-mac","fa:16:3e:12:34:56"],["iface-id","77"],["vm-uuid","4f1c"]]]},
            {"name":"br-int","external_ids":["map",[]]}]}]}"#;
        assert_eq!(shown(interfaces(&serde_json::from_str(answer).unwrap())), ["fa:16:3e:12:34:56 tap3f 4f1c"]);
        assert_eq!(shown(interfaces(&Value::Null)), [""; 0]);
    }
}
