//! Sizes that are declared: by DHCP, by routers, by switch ports, by the host itself.

use std::net::Ipv6Addr;

use super::super::dhcp::{ack, discover, offer, select};
use super::super::{GUEST, GUEST_IP, Pcapng, SERVER, SERVER_IP, SWITCH, Shot, at, frame, pcap};
use super::{Case, c_tags, case, echo};

pub fn cases() -> Vec<Case> {
    vec![
        case("mtu/dhcp-promises-too-much", "bond0.pcap", pcap(boot(&[20, 100], 1_500))),
        case("mtu/dhcp-and-router-differ", "bond0.pcap", pcap([advertised(1_450), boot(&[100], 1_500)].concat())),
        case("mtu/switch-port-takes-less", "eth0.pcapng", beside_a_switch(1_518)),
        case("mtu/bridge-way-out-takes-less", "bond0.pcap", pcap(echo(0.0, &c_tags(&[100]), 1, 100))),
        case("healthy/declared-sizes-agree", "bond0.pcap", pcap([advertised(1_450), boot(&[100], 1_450)].concat())),
        case("healthy/switch-port-takes-jumbo", "eth0.pcapng", beside_a_switch(9_236)),
    ]
}

/// The guest is given its address, and `mtu` with it (option 26).
fn boot(tags: &[u16], mtu: u16) -> Vec<Shot> {
    let told =
        |message: super::super::dhcp::Message| message.option(26, &mtu.to_be_bytes()).told(tags, SERVER, SERVER_IP);
    vec![
        at(1.0, discover(0x3903, GUEST).asked(tags)),
        at(1.001, told(offer(0x3903, GUEST, SERVER_IP, GUEST_IP))),
        at(1.002, select(0x3903, GUEST, SERVER_IP, GUEST_IP).asked(tags)),
        at(1.003, told(ack(0x3903, GUEST, SERVER_IP, GUEST_IP))),
    ]
}

/// A router of VLAN 100 advertises `mtu`.
fn advertised(mtu: u32) -> Vec<Shot> {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let all = netdiag::value::Mac([0x33, 0x33, 0, 0, 0, 1]);
    vec![at(0.0, frame().from(SERVER).to(all).tag(100).router_advertisement(router, mtu))]
}

/// The switch says by LLDP how large a frame its port takes.
fn beside_a_switch(max_frame: u16) -> Vec<u8> {
    let word = at(0.5, frame().from(SWITCH).lldp_with_max_frame("sw-1", "Ethernet35", max_frame)).inward();
    Pcapng::with_interfaces(&["eth0"]).frames([vec![word], echo(1.0, &c_tags(&[100]), 1, 100)].concat()).bytes()
}
