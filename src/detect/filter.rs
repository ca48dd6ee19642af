//! Wireshark display filters that several rules need.

use std::fmt::Display;
use std::net::IpAddr;

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
