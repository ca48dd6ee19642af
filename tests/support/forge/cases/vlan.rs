//! VLAN: tags that should not be there, or not like that.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::super::dhcp::{discover, select};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SERVER, SERVER_IP, Shot, at, frame, pcap};
use super::{Case, c_tags, case, echo, echo_reply, echo_request};

pub fn cases() -> Vec<Case> {
    vec![
        case("vlan/stacked-by-accident", "bond0.pcap", pcap(stacked_pings(0.0, 5))),
        case("vlan/stacked-by-configuration", "bond0.pcap", pcap(single_tagged(0.0, 30, 4))),
        case("vlan/many-tenants-in-one", "bond0.pcap", pcap(many_tenants())),
        case("vlan/priority-tag", "eth0.pcap", pcap(priority_answered())),
        case("vlan/priority-tag-unanswered", "eth0.pcap", pcap(priority_unanswered())),
        case("vlan/reserved-vid-4095", "eth0.pcap", pcap(reserved())),
        case("vlan/tag-without-ethertype", "eth0.pcap", pcap(nothing_after_the_tag())),
        case("vlan/length-beyond-frame", "eth0.pcap", pcap(length_beyond_frame())),
        case("vlan/provider-bridging", "bond0.pcap", pcap(provider())),
        case("vlan/three-tags", "bond0.pcap", pcap(three_tags())),
        case("vlan/stacked-then-put-right", "bond0.pcap", pcap(put_right())),
        case("vlan/answers-leave-tagged", "bond0.pcap", pcap(left_on(5))),
        case("vlan/answers-tagged-then-put-right", "bond0.pcap", pcap(uneven_then_even())),
        case("vlan/not-carried-by-the-switch", "bond0.pcapng", on_bond(not_carried(5))),
        case("vlan/not-carried-and-two-ask", "bond0.pcapng", on_bond(not_carried(2))),
        case("vlan/not-carried-and-no-address", "bond0.pcapng", on_bond(no_address())),
        case("vlan/not-carried-then-allowed", "bond0.pcapng", on_bond(allowed_at_last())),
        case("healthy/vlan-of-one-node", "bond0.pcapng", on_bond(one_node())),
        case("healthy/vlan-served-on-this-node", "bond0.pcapng", on_bond(served_here())),
        case("healthy/vlan-only-comes-in", "bond0.pcapng", on_bond(only_in())),
        case("vlan/pre-standard-outside", "bond0.pcap", pcap(both_ways((0x9100, 2_000), (0x9100, 2_000)))),
        case("vlan/service-tag-inside", "bond0.pcap", pcap(service_inside())),
        case("vlan/another-kind-each-way", "bond0.pcap", pcap(both_ways((0x88a8, 2_000), (0x9100, 2_000)))),
        case("vlan/two-vlans-joined", "bond0.pcap", pcap(joined())),
        case("healthy/announced-in-each-vlan", "bond0.pcap", pcap(announced_in_each())),
        case("healthy/answers-with-a-priority", "bond0.pcap", pcap(uneven(0.0, &[], &[(0x8100, 5 << 13)], 5))),
        case("healthy/private-vlan-on-a-trunk", "bond0.pcap", pcap(private())),
        case("healthy/mirror-loses-tags-one-way", "mirror.pcap", pcap(mirror())),
        case("healthy/answered-by-the-other-way", "eth0.pcap", pcap(multi_homed())),
        case("healthy/answered-by-the-other-way-begun-later", "eth0.pcap", pcap(uneven(3.0, &[], &c_tags(&[30]), 5))),
    ]
}

/// `pairs` small echo pairs in 20.100, one every 0.2 s.
fn stacked_pings(start: f64, pairs: u16) -> Vec<Shot> {
    (0..pairs).flat_map(|i| echo(start + 0.2 * f64::from(i), &c_tags(&[20, 100]), i + 1, 100)).collect()
}

/// `pairs` small echo pairs in one VLAN, one a second.
fn single_tagged(start: f64, vid: u16, pairs: u16) -> Vec<Shot> {
    (0..pairs).flat_map(|i| echo(start + f64::from(i), &c_tags(&[vid]), i + 1, 100)).collect()
}

/// VLANs 100 to 129 of thirty tenants, all inside VLAN 20.
fn many_tenants() -> Vec<Shot> {
    (0..30).flat_map(|i| echo(0.1 * f64::from(i), &c_tags(&[20, 100 + i]), 1, 100)).collect()
}

/// VLAN 0, priority 3, both asked and answered: who receives this, understands it.
fn priority_answered() -> Vec<Shot> {
    let asked = frame().from(NEIGHBOUR).to(SERVER).tag_as(0x8100, 3 << 13);
    let answered = frame().from(SERVER).to(NEIGHBOUR);
    let pair = |i: u16| {
        let ping = asked.clone().ipv4(NEIGHBOUR_IP, SERVER_IP).ping(i, 100);
        let pong = answered.clone().ipv4(SERVER_IP, NEIGHBOUR_IP).pong(i, 100);
        [at(f64::from(i), ping), at(f64::from(i) + 0.001, pong)]
    };
    (1..=3).flat_map(pair).collect()
}

/// The same question in VLAN 0 three times and never answered, then untagged and answered at once; and then in VLAN 0 again.
fn priority_unanswered() -> Vec<Shot> {
    let asker = frame().from(NEIGHBOUR);
    let in_zero = |t| at(t, asker.clone().tag_as(0x8100, 3 << 13).arp_request(NEIGHBOUR_IP, SERVER_IP));
    vec![
        in_zero(0.0),
        in_zero(1.0),
        in_zero(2.0),
        at(4.0, asker.arp_request(NEIGHBOUR_IP, SERVER_IP)),
        at(4.001, frame().from(SERVER).to(NEIGHBOUR).arp_reply(SERVER_IP, NEIGHBOUR_IP)),
        at(6.0, frame().from(NEIGHBOUR).to(SERVER).ipv4(NEIGHBOUR_IP, SERVER_IP).ping(1, 100)),
        at(6.001, frame().from(SERVER).to(NEIGHBOUR).ipv4(SERVER_IP, NEIGHBOUR_IP).pong(1, 100)),
    ]
}

fn reserved() -> Vec<Shot> {
    let ask = |i: u8| {
        let wanted = Ipv4Addr::new(10, 20, 0, 100 + i);
        at(f64::from(i), frame().from(GUEST).tag(4095).arp_request(GUEST_IP, wanted))
    };
    [(0..3).map(ask).collect(), echo(4.0, &[], 1, 100)].concat()
}

/// Sixteen bytes on the wire: addresses, TPID, control field. Nothing was cut by the capture.
fn nothing_after_the_tag() -> Vec<Shot> {
    let broken = frame().from(GUEST).to(SERVER).tag(100).cut_after_tags();
    let mut shots: Vec<Shot> = (0..3).map(|i| at(f64::from(i), broken.clone())).collect();
    shots.extend(echo(4.0, &[], 1, 100));
    shots
}

/// An 802.3 length of 1,000 in frames of 64 bytes.
fn length_beyond_frame() -> Vec<Shot> {
    let broken = frame().from(GUEST).to(SERVER).tag(100).ethertype(1_000, &[0xe0; 46]);
    let mut shots: Vec<Shot> = (0..3).map(|i| at(f64::from(i), broken.clone())).collect();
    shots.extend(echo(4.0, &[], 1, 100));
    shots
}

/// A service tag outside, a customer tag inside; small packets, and one as large as a guest sends.
fn provider() -> Vec<Shot> {
    let stack = |vid| [(0x88a8, 2_000), (0x8100, vid)];
    [echo(0.0, &stack(100), 1, 100), echo(1.0, &stack(101), 2, 100), echo(2.0, &stack(100), 3, 1_500)].concat()
}

/// VLAN 20 three times over: each pass through a loop has added a tag.
fn three_tags() -> Vec<Shot> {
    (0..3).flat_map(|i| echo(f64::from(i), &c_tags(&[20, 20, 20]), i + 1, 100)).collect()
}

/// Stacked for a second; then the VLAN device is put on the bond, and VLAN 100 runs there by itself for 78 s.
fn put_right() -> Vec<Shot> {
    let after = (0..40).flat_map(|i| echo(2.0 + 2.0 * f64::from(i), &c_tags(&[100]), i + 100, 100));
    stacked_pings(0.0, 5).into_iter().chain(after).collect()
}

/// `pairs` echo pairs, one a second: the guest is asked with the tags `there` and answers with the tags `back`.
fn uneven(start: f64, there: &[(u16, u16)], back: &[(u16, u16)], pairs: u16) -> Vec<Shot> {
    let pair = |i: u16| {
        let t = start + f64::from(i);
        [echo_request(t, there, i + 1, 100), echo_reply(t + 0.001, back, i + 1, 100)]
    };
    (0..pairs).flat_map(pair).collect()
}

/// The same from the untagged network to VLAN 20, and what is known by ARP is asked for once more, as after five seconds of use.
fn left_on(pairs: u16) -> Vec<Shot> {
    let ask = at(2.5, frame().from(SERVER).to(GUEST).arp_request(SERVER_IP, GUEST_IP));
    let answer = at(2.501, frame().from(GUEST).to(SERVER).tag(20).arp_reply(GUEST_IP, SERVER_IP));
    let mut shots = uneven(0.0, &[], &c_tags(&[20]), pairs);
    shots.extend([ask, answer]);
    shots.sort_by_key(Shot::nanos);
    shots
}

/// Answers wear VLAN 20 for five seconds, and nothing for the 80 s after.
fn uneven_then_even() -> Vec<Shot> {
    [left_on(5), uneven(5.0, &[], &[], 80)].concat()
}

/// A private VLAN: the hosts of isolated VLAN 101 ask, the router answers in the primary VLAN 100, ARP and all.
fn private() -> Vec<Shot> {
    let ask = |t| at(t, frame().from(GUEST).tag(101).arp_request(GUEST_IP, SERVER_IP));
    let answer = |t| at(t, frame().from(SERVER).to(GUEST).tag(100).arp_reply(SERVER_IP, GUEST_IP));
    let arp = (0..3).flat_map(|i| [ask(20.0 + 30.0 * f64::from(i)), answer(20.001 + 30.0 * f64::from(i))]);
    uneven(0.0, &c_tags(&[100]), &c_tags(&[101]), 5).into_iter().chain(arp).collect()
}

/// A mirror shows what comes in at a port as it is and what goes out with its tag: the guest asks by ARP twice a minute, as one does who is
/// answered, and pings.
fn mirror() -> Vec<Shot> {
    let ask = |t| at(t, frame().from(GUEST).arp_request(GUEST_IP, SERVER_IP));
    let answer = |t| at(t, frame().from(SERVER).to(GUEST).tag(20).arp_reply(SERVER_IP, GUEST_IP));
    let arp = (0..4).flat_map(|i| [ask(10.0 + 30.0 * f64::from(i)), answer(10.001 + 30.0 * f64::from(i))]);
    uneven(0.0, &[], &c_tags(&[20]), 5).into_iter().chain(arp).collect()
}

/// A server with an address in the untagged network and one in VLAN 30: it is asked in the one and answers by the other, where its way back lies.
fn multi_homed() -> Vec<Shot> {
    let own = (0..2).flat_map(|i| echo(0.2 + f64::from(i), &c_tags(&[30]), 100 + i, 100));
    own.chain(uneven(3.0, &[], &c_tags(&[30]), 5)).collect()
}

/// In one file that tells directions, in order of time, beside VLAN 20, in which an echo pair passes each second for forty seconds.
fn on_bond(shots: Vec<Shot>) -> Vec<u8> {
    let beside = (0..40).flat_map(|i| echo(f64::from(i), &c_tags(&[20]), i + 1, 100));
    let mut shots: Vec<Shot> = shots.into_iter().chain(beside).collect();
    shots.sort_by_key(Shot::nanos);
    Pcapng::with_interfaces(&["bond0"]).frames(shots).bytes()
}

/// A guest of VLAN 105 on this node.
fn tenant(i: u8) -> (Mac, Ipv4Addr) {
    (Mac([0xfa, 0x16, 0x3e, 0x69, 0, i]), Ipv4Addr::new(10, 105, 0, 10 + i))
}

/// The gateway of VLAN 105.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 105, 0, 1);

/// A guest of VLAN 105 asks for `wanted`.
fn asks(seconds: f64, (mac, ip): (Mac, Ipv4Addr), wanted: Ipv4Addr) -> Shot {
    at(seconds, frame().from(mac).tag(105).arp_request(ip, wanted)).outward()
}

/// So many guests of VLAN 105 ask for their gateway three times, a second apart, and again ten seconds later; nothing comes back.
fn not_carried(guests: u8) -> Vec<Shot> {
    let times = [5.0, 6.0, 7.0, 15.0, 16.0, 17.0];
    (0..guests).flat_map(|i| times.map(|t| asks(t + 0.1 * f64::from(i), tenant(i), GATEWAY))).collect()
}

/// Two guests of VLAN 105 ask for an address; nobody offers any.
fn no_address() -> Vec<Shot> {
    let ask = |i: u8, t: f64| {
        let discover = discover(0x6900 + u32::from(i), tenant(i).0).secs(t as u16);
        at(2.0 + t + 0.1 * f64::from(i), discover.asked(&[105])).outward()
    };
    (0..2).flat_map(|i| [0.0, 4.0, 12.0, 28.0].map(|t| ask(i, t))).collect()
}

/// Five ask in vain; at 25 s the VLAN is allowed, and the gateway answers.
fn allowed_at_last() -> Vec<Shot> {
    let answered = (0..5).flat_map(|i| {
        let t = 25.0 + 0.1 * f64::from(i);
        let answer = frame().from(SERVER).to(tenant(i).0).tag(105).arp_reply(GATEWAY, tenant(i).1);
        [asks(t, tenant(i), GATEWAY), at(t + 0.001, answer).inward()]
    });
    not_carried(5).into_iter().chain(answered).collect()
}

/// All guests of VLAN 105 live on this node: each asks once for another, who answers here, and only the questions leave. Two keep asking for a
/// third that was switched off.
fn one_node() -> Vec<Shot> {
    let once = (0..4).map(|i| asks(8.0 + 7.0 * f64::from(i), tenant(i), tenant((i + 1) % 4).1));
    let gone = (0..2).flat_map(|i| [5.0, 6.0, 7.0].map(|t| asks(t + 0.1 * f64::from(i), tenant(i), tenant(9).1)));
    gone.chain(once).collect()
}

/// VLAN 105 is served on this node: three guests ask for an address and take what they are offered; only what is broadcast leaves.
fn served_here() -> Vec<Shot> {
    let boot = |i: u8| {
        let (mac, ip) = tenant(i);
        let (xid, t) = (0x6900 + u32::from(i), 3.0 + 10.0 * f64::from(i));
        [
            at(t, discover(xid, mac).asked(&[105])).outward(),
            at(t + 3.5, discover(xid, mac).secs(3).asked(&[105])).outward(),
            at(t + 3.6, select(xid, mac, GATEWAY, ip).asked(&[105])).outward(),
        ]
    };
    (0..3).flat_map(boot).collect()
}

/// VLAN 105 comes in and nobody here uses it: others ask for their gateway, which is somewhere else, too.
fn only_in() -> Vec<Shot> {
    let ask = |i: u8, t: f64| at(t, frame().from(tenant(i).0).tag(105).arp_request(tenant(i).1, GATEWAY)).inward();
    (0..5).flat_map(|i| [4.0, 14.0, 24.0].map(|t| ask(i, t + f64::from(i)))).collect()
}

/// Four echo pairs in VLAN 100 inside an outer tag, which is `there` one way and `back` the other.
fn both_ways(there: (u16, u16), back: (u16, u16)) -> Vec<Shot> {
    uneven(0.0, &[there, (0x8100, 100)], &[back, (0x8100, 100)], 4)
}

/// A service tag inside a customer tag, both ways.
fn service_inside() -> Vec<Shot> {
    uneven(0.0, &[(0x8100, 20), (0x88a8, 2_000)], &[(0x8100, 20), (0x88a8, 2_000)], 4)
}

/// A guest bridges its interfaces in VLAN 100 and VLAN 105: what three stations of the one ask is heard 200 µs later in the other.
fn joined() -> Vec<Shot> {
    let ask = |i: u8, vid| frame().from(tenant(i).0).tag(vid).arp_request(tenant(i).1, GATEWAY);
    let pair = |i: u8| {
        let t = 2.0 * f64::from(i);
        let answer = frame().from(SERVER).to(tenant(i).0).tag(100).arp_reply(GATEWAY, tenant(i).1);
        [at(t, ask(i, 100)), at(t + 0.0002, ask(i, 105)), at(t + 0.001, answer)]
    };
    (0..4).flat_map(pair).collect()
}

/// A gateway with one address in two VLANs announces itself in both at once; stations ask for it each in their own.
fn announced_in_each() -> Vec<Shot> {
    let announce = |t, vid| at(t, frame().from(SERVER).tag(vid).arp_request(GATEWAY, GATEWAY));
    let ask = |t, i: u8, vid| at(t, frame().from(tenant(i).0).tag(vid).arp_request(tenant(i).1, GATEWAY));
    let answer = |t, i: u8, vid| at(t, frame().from(SERVER).to(tenant(i).0).tag(vid).arp_reply(GATEWAY, tenant(i).1));
    let round = |i: u8| {
        let (t, vid) = (3.0 * f64::from(i), if i.is_multiple_of(2) { 100 } else { 105 });
        [announce(t, 100), announce(t + 0.0001, 105), ask(t + 1.0, i, vid), answer(t + 1.001, i, vid)]
    };
    (0..4).flat_map(round).collect()
}
