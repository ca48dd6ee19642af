//! Why a DHCP server may be silent, and what mends it: to all clients of a network, or to one of them. Text of DHCP001 only.

use crate::finding::{Claim, Command};

/// With the causes and remedies of a server that answers nobody.
pub(super) fn nobody(claim: Claim) -> Claim {
    claim
        .cause("no DHCP server runs for this network: dnsmasq or the DHCP agent has died or was never started")
        .cause("the VLAN is not carried all the way to the server: a trunk or switch port lacks it")
        .cause("the host's link to the network is down or passes nothing")
        .step("See whether the server runs and listens", "ss -lnup 'sport = :67'; pgrep -a dnsmasq")
        .step("With Neutron, see whether its agents are alive", "openstack network agent list --agent-type dhcp")
        .step("Look on the server's side whether the questions arrive", "tcpdump -eni any 'udp port 67'")
        .step("Start the server again", "systemctl restart neutron-dhcp-agent")
}

/// With the causes and remedies of a server that answers others, but not `client`.
pub(super) fn only_this_client(claim: Claim, client: &str) -> Claim {
    claim
        .cause("the server does not know this hardware address, and one that serves known clients only stays silent")
        .cause("the pool of addresses is used up")
        .cause("a filter against spoofed addresses drops what this client sends")
        .cause("the client's switch port or bridge port does not forward yet (spanning tree)")
        .step(
            "See whether the server knows the client",
            Command::with("grep -r {} /var/lib/neutron/dhcp /var/lib/nova/networks", &[&client]),
        )
        .step("Read what the server says about it", Command::with("journalctl -t dnsmasq-dhcp | grep {}", &[&client]))
        .step(
            "Look whether the questions reach the server",
            Command::with("tcpdump -eni any 'udp port 67 and ether host {}'", &[&client]),
        )
}
