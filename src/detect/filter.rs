//! Wireshark display filters that several rules need.

use std::fmt::Display;
use std::net::IpAddr;

/// Packets from or to `host`.
pub fn host(host: IpAddr) -> String {
    network(host, host)
}

/// Packets from or to `network`, which is written as it prints, of the family of `address`.
pub fn network(address: IpAddr, network: impl Display) -> String {
    let field = if address.is_ipv4() { "ip.addr" } else { "ipv6.addr" };
    format!("{field} == {network}")
}
