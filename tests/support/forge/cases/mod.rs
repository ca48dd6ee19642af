//! Every forged case: the folder below `captures/` and the capture files in it. The truth is not here: it is written by hand beside the captures.

use super::{GUEST, GUEST_IP, Link, SERVER, SERVER_IP, Shot, at, frame};

mod amqp;
mod arp;
mod because;
mod cap;
mod declared;
mod dhcp;
mod dhcp_answers;
mod dhcp_habits;
mod dhcp_lease;
mod dhcp_servers;
mod discovery;
mod elsewhere;
mod flooded;
mod fragments;
mod guard;
mod healthy;
mod healthy_dhcp;
mod healthy_life;
mod host;
mod http;
mod l2;
mod lacp;
mod mtu;
mod nfs;
mod odd_bpdus;
mod path_mtu;
mod ra;
mod reach;
mod reach_many;
mod rivals;
mod silent;
mod stp;
mod tcp;
mod tree;
mod vlan;

/// A forged case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its folder below `captures/`.
    pub folder: &'static str,
    /// Its capture files by name.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    [
        vlan::cases(),
        mtu::cases(),
        declared::cases(),
        path_mtu::cases(),
        fragments::cases(),
        tcp::cases(),
        dhcp::cases(),
        dhcp_lease::cases(),
        dhcp_servers::cases(),
        dhcp_answers::cases(),
        dhcp_habits::cases(),
        ra::cases(),
        stp::cases(),
        guard::cases(),
        tree::cases(),
        lacp::cases(),
        odd_bpdus::cases(),
        l2::cases(),
        flooded::cases(),
        cap::cases(),
        healthy::cases(),
        healthy_dhcp::cases(),
        arp::cases(),
        reach::cases(),
        reach_many::cases(),
        rivals::cases(),
        discovery::cases(),
        silent::cases(),
        host::cases(),
        healthy_life::cases(),
        elsewhere::cases(),
        because::cases(),
        amqp::cases(),
        nfs::cases(),
        http::cases(),
    ]
    .concat()
}

fn case(folder: &'static str, file: &'static str, bytes: Vec<u8>) -> Case {
    Case { folder, files: vec![(file, bytes)] }
}

/// 802.1Q tags with these VLANs, outermost first.
fn c_tags(vids: &[u16]) -> Vec<(u16, u16)> {
    vids.iter().map(|vid| (0x8100, *vid)).collect()
}

fn tagged(link: Link, tags: &[(u16, u16)]) -> Link {
    tags.iter().fold(link, |link, (tpid, tci)| link.tag_as(*tpid, *tci))
}

/// The server asks, the guest answers 1 ms later: an echo pair of IPv4 packets `length` bytes long.
fn echo(seconds: f64, tags: &[(u16, u16)], seq: u16, length: usize) -> Vec<Shot> {
    vec![echo_request(seconds, tags, seq, length), echo_reply(seconds + 0.001, tags, seq, length)]
}

fn echo_request(seconds: f64, tags: &[(u16, u16)], seq: u16, length: usize) -> Shot {
    let link = tagged(frame().from(SERVER).to(GUEST), tags);
    at(seconds, link.ipv4(SERVER_IP, GUEST_IP).ping(seq, length)).inward()
}

fn echo_reply(seconds: f64, tags: &[(u16, u16)], seq: u16, length: usize) -> Shot {
    let link = tagged(frame().from(GUEST).to(SERVER), tags);
    at(seconds, link.ipv4(GUEST_IP, SERVER_IP).pong(seq, length)).outward()
}
