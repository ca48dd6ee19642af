//! Leases that were granted before a capture: what a DHCP server keeps of them, dnsmasq in `dnsmasq.leases` and ISC dhcpd in
//! `dhcpd.leases`. A line that makes no sense is refused by its number, and the rest used. DHCPv6, and hardware that is not Ethernet, are
//! passed over.

mod dhcpd;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{HostLog, SourceError};
use crate::event::{Fact, LeaseEnd, Stamped};
use crate::value::{Mac, Outside, Timestamp};

/// The largest file that is read, in bytes: a million leases have less.
const LARGEST: u64 = 256 << 20;
/// Seconds since 1970 that no clock shows any more; below, the server counts the length of its leases (dnsmasq's HAVE_BROKEN_RTC).
const LEAST_TIME: i64 = 1_000_000_000;

/// Reads the list of leases at `path`: the leases as facts, and one sentence for each line that was refused. With `is_followed` whoever
/// reads it goes on reading it.
///
/// # Errors
/// When the file cannot be read, or is far too large.
pub fn leases(path: &Path, is_followed: bool) -> Result<HostLog, SourceError> {
    let file = Outside::from(path.to_string_lossy().as_ref());
    let size = fs::metadata(path).map_err(|error| SourceError::unreadable(&file, &error))?.len();
    if size > LARGEST {
        return Err(SourceError::nonsense(&file, "it is larger than 256 MiB, which no list of leases is"));
    }
    let text = fs::read(path).map_err(|error| SourceError::unreadable(&file, &error))?;
    Ok(read(&file, &String::from_utf8_lossy(&text), is_followed))
}

fn read(file: &Outside, text: &str, is_followed: bool) -> HostLog {
    let mut log = if dhcpd::is_one(text) { dhcpd::read(file, text) } else { dnsmasq(file, text) };
    log.close(file);
    for fact in &mut log.facts {
        if let Fact::Lease(lease) = &mut fact.what {
            lease.followed |= is_followed;
        }
    }
    log
}

/// dnsmasq's list: a line a lease, `END MAC ADDRESS NAME CLIENT-ID`, the end in seconds since 1970, 0 for never.
fn dnsmasq(file: &Outside, text: &str) -> HostLog {
    let mut log = HostLog::default();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let words: Vec<&str> = line.split_ascii_whitespace().take(5).collect();
        match words.as_slice() {
            // The server's own identity, before its leases of IPv6.
            [] | ["duid", _] => {}
            [end, mac, address, ..] => match line_of(end, mac, address) {
                Ok(lease) => log.facts.extend(lease.map(told)),
                Err(why) => log.refuse(refused(file, number, why)),
            },
            _ => log.refuse(refused(file, number, "it is no `END MAC ADDRESS` as dnsmasq writes")),
        }
    }
    log
}

/// A lease as dnsmasq writes it; `None` if it is of no interest.
fn line_of(end: &str, mac: &str, address: &str) -> Result<Option<LeaseEnd>, &'static str> {
    let end: i64 = end.parse().map_err(|_| "it does not begin with the end of a lease in seconds since 1970")?;
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(None);
    }
    let address: Ipv4Addr = address.parse().map_err(|_| "its third word is no address")?;
    // Other hardware than Ethernet has its number in front: `20-80:00:…`.
    if mac.contains('-') {
        return Ok(None);
    }
    let mac: Mac = mac.parse().map_err(|()| "its second word is no MAC address such as fa:16:3e:12:34:56")?;
    let until = match end {
        0 => None,
        LEAST_TIME.. => Some(Timestamp::from_parts(end, 0)),
        _ => return Err("its end lies before 2001: this server has no clock, and tells how long leases last"),
    };
    Ok(Some(LeaseEnd { mac, address, until, followed: false, renews: None }))
}

fn told(lease: LeaseEnd) -> Stamped<Fact> {
    Stamped { time: None, what: Fact::Lease(lease) }
}

fn refused(file: &Outside, number: u64, why: &str) -> String {
    format!("{file}: line {number}: {why}; the others are used")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leases of a list in one line each, what was refused, and what breaks off.
    pub(super) fn shown(text: &str) -> (Vec<String>, Vec<String>) {
        let log = read(&Outside::from("list"), text, false);
        let lease = |fact: Stamped<Fact>| match fact.what {
            Fact::Lease(LeaseEnd { mac, address, until, followed, .. }) => {
                let until = until.map_or_else(|| "for ever".to_owned(), |until| until.clock());
                format!("{mac} {address} {until}{}", if followed { " followed" } else { "" })
            }
            other => panic!("{other:?}"),
        };
        (log.facts.into_iter().map(lease).collect(), log.refused.into_iter().chain(log.torn).collect())
    }

    #[test]
    fn what_dnsmasq_writes() {
        // From dnsmasq 2.90, with a lease for ever, one of IPv6, and one over InfiniBand.
        let text = "1793614200 fa:16:3e:12:34:56 10.20.0.15 web-01 ff:3e:12:34:56:00\n0 fa:16:3e:22:00:02 10.20.0.16 * *\n\
                    1793614200 20-80:00:02:08 10.20.0.17 * *\nduid 00:01:00:01:2d:1d\n1793614200 4134 fd00::15 web-01 00:01:00\n";
        let want = ["fa:16:3e:12:34:56 10.20.0.15 10:10:00.000000", "fa:16:3e:22:00:02 10.20.0.16 for ever"];
        assert_eq!(shown(text), (want.map(str::to_owned).to_vec(), Vec::new()));
        assert_eq!(shown(""), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_strange_line_is_refused_by_number_with_its_reason() {
        let text = "1793614200 fa:16:3e:12:34:56 10.20.0.15 * *\n600 fa:16:3e:12:34:56 10.20.0.15 * *\nnonsense\n\
                    soon fa:16:3e:12:34:56 10.20.0.15 * *\n1793614200 fa:16:3e:12 10.20.0.15 * *\n1793614200 fa:16:3e:12:34:56 10.20.0 * *";
        let (leases, refused) = shown(text);
        assert_eq!((leases.len(), refused.len()), (1, 5));
        assert!(refused[0].starts_with("list: line 2: its end lies before 2001"), "{refused:?}");
        assert!(refused[4].starts_with("list: line 6: its third word"), "{refused:?}");
    }

    #[test]
    fn no_text_makes_it_stumble() {
        let whole = "lease 10.0.0.5 {\n  starts 1 2026/11/02 10:00:00;\n  ends never;\n  hardware ethernet fa:16:3e:12:34:56;\n \
                     on commit { set x = \"}\\\"\"; }\n}\n1793614200 fa:16:3e:12:34:56 10.20.0.15 * *\n";
        for cut in (0..=whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            shown(&whole[..cut]);
            for strange in ["{", "}", ";", "\"", "\\", "#", "\n", "\u{0}", "lease", "ends -9223372036854775808;"] {
                shown(&format!("{}{strange}{}", &whole[..cut], &whole[cut..]));
            }
        }
        shown(&"{".repeat(1_000_000));
        shown(&"lease ".repeat(100_000));
        shown(&format!("lease 10.0.0.5 {{ ends {}; }}", "9 ".repeat(100_000)));
        shown(
            "9223372036854775807 fa:16:3e:12:34:56 10.20.0.15 * *\n99999999999999999999 fa:16:3e:12:34:56 10.20.0.15 * *",
        );
    }
}
