//! Filters: Wireshark display filters that several rules need, and what capture filters keep from rules.

use std::fmt::Display;
use std::net::IpAddr;

use crate::event::{Protocol, Vantage, VantageId};

/// Rules, by the beginning of their codes, and the protocols of which each must be seen whole.
static LIVES_ON: &[(&str, &[Protocol])] = &[
    ("ARP", &[Protocol::Arp]),
    ("DHCP", &[Protocol::Dhcp]),
    ("TCP", &[Protocol::Tcp]),
    ("SVC", &[Protocol::Tcp]),
    ("STP", &[Protocol::Bpdu]),
    ("HOST001", &[Protocol::Arp, Protocol::Tcp]),
    ("HOST002", &[Protocol::Arp, Protocol::Tcp]),
];

/// Why the rule `code` cannot be checked, where the filter of each capture hides what it lives on.
pub fn hidden_from(code: &str, vantages: &[(VantageId, Vantage)]) -> Option<String> {
    let (_, needed) = LIVES_ON.iter().find(|(rules, _)| code.starts_with(rules))?;
    let hidden = |(_, vantage): &(VantageId, Vantage)| {
        let hidden = vantage.hidden(needed);
        (!hidden.is_empty()).then(|| (vantage.filter.as_ref().map(ToString::to_string).unwrap_or_default(), hidden))
    };
    let (filter, protocols) = vantages.first().and_then(hidden)?;
    vantages.iter().all(|vantage| hidden(vantage).is_some()).then(|| {
        let protocols: Vec<&str> = protocols.into_iter().map(Protocol::name).collect();
        format!("the capture filter '{filter}' hides {}", protocols.join(" and "))
    })
}

/// Packets from or to `host`.
pub fn host(host: IpAddr) -> String {
    network(host, host)
}

/// Frames of the interface called `name`: letters, digits and a few marks stand as they are, every other byte by its number, so that
/// nothing in a name ends the text or the quotes of a shell around the filter.
pub fn interface(name: &str) -> String {
    let mut shown = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'/' | b'-') {
            shown.push(char::from(byte));
        } else {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    format!("frame.interface_name == \"{shown}\"")
}

/// Packets from or to `network`, which is written as it prints, of the family of `address`.
pub fn network(address: IpAddr, network: impl Display) -> String {
    let field = if address.is_ipv4() { "ip.addr" } else { "ipv6.addr" };
    format!("{field} == {network}")
}
