//! The capture itself: what it lost, cut, hid or mixed up.

use super::super::dhcp::{ack, discover, offer, select};
use super::super::frame::frame;
use super::super::tcp::{End, Talk, Who};
use super::super::{GUEST, GUEST_IP, NEIGHBOUR, NEIGHBOUR_IP, Pcapng, SERVER, SERVER_IP, Shot, at, pcap, pcap_cut};
use super::dhcp::{self, in_order, leased, others};
use super::host::the_issue;
use super::{Case, c_tags, case, echo};

const CLIENT: End = End { mac: SERVER, ip: SERVER_IP, port: 51_000 };
const SERVICE: End = End { mac: GUEST, ip: GUEST_IP, port: 8_080 };

pub fn cases() -> Vec<Case> {
    vec![
        case("cap/drops-in-statistics", "bond0.pcapng", drops()),
        case("cap/acknowledged-and-not-captured", "bond0.pcap", pcap(acknowledged_unseen())),
        case("cap/loss-in-the-middle", "bond0.pcap", pcap(loss_in_the_middle())),
        case("cap/snap-length-cuts-dhcp", "bond0.pcap", pcap_cut(96, asking())),
        case("cap/snap-length-cuts-a-tag", "eth0.pcap", pcap(cut_in_the_tag())),
        case("cap/one-direction", "bond0.pcap", pcap(one_direction())),
        case("cap/one-direction-of-a-pair", "eth0.pcap", pcap(one_direction_of_a_pair())),
        case("cap/filter-shows-dhcp-only", "bond0.pcapng", dhcp_only()),
        case("cap/a-thousand-arp-frames-alone", "bond0.pcap", pcap(arp_alone())),
        case("cap/mirror-of-both-directions", "span.pcap", pcap(mirrored(|_| true))),
        case("healthy/mirror-of-both-directions-of-one-port", "span.pcap", pcap(mirrored(|i| i % 2 == 0))),
        case("cap/super-frames", "bond0.pcap", pcap(download(1_460))),
        case("cap/clock-jumps-back", "bond0.pcap", pcap(jump_back())),
        case("cap/clock-leaps-ahead-and-back", "bond0.pcap", pcap(leap())),
        case("healthy/clock-leaps-ahead-for-good", "bond0.pcap", pcap(leap_for_good())),
    ]
}

/// The kernel counted 12,400 frames that it could not keep.
fn drops() -> Vec<u8> {
    let shots: Vec<Shot> = (0..5).flat_map(|i| echo(f64::from(i), &c_tags(&[100]), i + 1, 100)).collect();
    Pcapng::with_interfaces(&["bond0"]).frames(shots).statistics(0, 9.0, 12_410, 12_400).bytes()
}

/// A download from `start` on, a segment each 20 ms; the capture misses twelve in a row while their acknowledgements come through.
fn download_with_loss(start: f64) -> Talk {
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(&[100]));
    for i in 0..40 {
        let t = start + 0.02 * f64::from(i);
        talk.say(t, Who::Called, 1_000);
        if (10..22).contains(&i) {
            talk.uncaptured();
        }
        talk.acknowledge(t + 0.001, Who::Caller);
    }
    talk
}

/// The same, and two seconds later a word: so long data may come late.
fn acknowledged_unseen() -> Vec<Shot> {
    download_with_loss(0.0).exchange(3.0, Who::Called, 1_000).shots()
}

/// A client asks in vain for over a minute, and the capture has its gap in that minute. Later another asks in vain, and no gap is near.
fn loss_in_the_middle() -> Vec<Shot> {
    let times = [0.0, 4.2, 12.1, 28.0, 59.5];
    in_order(vec![
        dhcp::asking(GUEST, &times),
        download_with_loss(20.0).shots(),
        dhcp::asking(NEIGHBOUR, &times.map(|t| 200.0 + t)),
        others(262.0),
    ])
}

/// Fifteen echo requests and their answers; those for which `is_copied` holds come again 12 µs later.
fn mirrored(is_copied: impl Fn(usize) -> bool) -> Vec<Shot> {
    let shots = (0..15).flat_map(|i| echo(f64::from(i), &c_tags(&[100]), i + 1, 100));
    let copies = |(i, shot): (usize, Shot)| {
        let copy = is_copied(i).then(|| shot.clone().later(12));
        std::iter::once(shot).chain(copy)
    };
    shots.enumerate().flat_map(copies).collect()
}

/// The same DISCOVER three times, of which 96 bytes were kept: not as far as the options.
fn asking() -> Vec<Shot> {
    [0.0, 4.2, 12.1].into_iter().map(|t| at(t, discover(0x3903_f326, GUEST).asked(&[100]))).collect()
}

/// Sixteen bytes were kept of frames that were 1,500 bytes long: what follows the tag cannot be told.
fn cut_in_the_tag() -> Vec<Shot> {
    let begun = super::super::frame().from(GUEST).to(SERVER).tag(100).cut_after_tags();
    (0..3).map(|i| at(f64::from(i), begun.clone()).of_length(1_500)).collect()
}

/// A mirror of one direction only: 220 segments, no acknowledgement.
fn one_direction() -> Vec<Shot> {
    let mut talk = Talk::midway(CLIENT, SERVICE, &c_tags(&[100]));
    for i in 0..220 {
        talk.say(0.05 * f64::from(i), Who::Called, 16);
    }
    talk.shots()
}

/// One member of a bond: it carries the neighbour's upload, whose acknowledgements come in by the other member; pings come and go.
fn one_direction_of_a_pair() -> Vec<Shot> {
    let neighbour = End { mac: NEIGHBOUR, ip: NEIGHBOUR_IP, port: 40_000 };
    let mut upload = Talk::midway(neighbour, End { port: 443, ..CLIENT }, &c_tags(&[100]));
    for i in 0..205 {
        upload.say(0.01 * f64::from(i), Who::Caller, 16);
    }
    in_order(vec![
        upload.shots(),
        Talk::midway(CLIENT, SERVICE, &c_tags(&[100])).exchange(0.5, Who::Caller, 81).shots(),
    ])
}

/// A download in one tag with segmentation left to the card: buffers of five segments, all acknowledged.
pub fn download(mss: u16) -> Vec<Shot> {
    download_in(&c_tags(&[100]), mss)
}

/// The same in any tags.
pub fn download_in(tags: &[(u16, u16)], mss: u16) -> Vec<Shot> {
    let mut talk = Talk::new(CLIENT, SERVICE, tags);
    talk.handshake(0.0, mss).exchange(0.1, Who::Caller, 81);
    for i in 0..3 {
        talk.exchange(0.2 + 0.1 * f64::from(i), Who::Called, 5 * usize::from(mss));
    }
    talk.shots()
}

/// The eighth frame is stamped 3.2 s before the seventh: the clock was set.
fn jump_back() -> Vec<Shot> {
    let pings = |start: f64| (0..4).flat_map(move |i| echo(start + f64::from(i), &c_tags(&[100]), i + 1, 100));
    let mut before: Vec<Shot> = pings(0.0).collect();
    before.truncate(7);
    // Frame 7 is the request at 3.0 s; its answer comes 1 ms later by a clock that now runs 3.201 s behind.
    let after = pings(0.0).skip(7).chain(pings(4.0)).map(|s| s.later(-3_201_000));
    before.into_iter().chain(after).collect()
}

/// One question and its answer are stamped an hour ahead; then a client gets its lease within 30 ms.
fn leap() -> Vec<Shot> {
    let mut shots = echo(0.0, &c_tags(&[100]), 1, 100);
    shots.extend(echo(1.0, &c_tags(&[100]), 2, 100).into_iter().map(|s| s.later(3_600_000_000)));
    shots.extend(leased(2.0, 0x3903_f326));
    shots.extend((3..6).flat_map(|i| echo(f64::from(i), &c_tags(&[100]), i, 100)));
    shots
}

/// A ping each second; a client has asked twice for an address when the clock is set five hours ahead, and gets it at its third question.
fn leap_for_good() -> Vec<Shot> {
    let pings = (0..60).flat_map(|i| echo(f64::from(i), &c_tags(&[100]), i, 100));
    let asks = [40.2, 44.2].map(|t| at(t, discover(0x5a5a, NEIGHBOUR).secs((t - 40.2) as u16).asked(&[100])));
    let lease = [
        at(48.2, discover(0x5a5a, NEIGHBOUR).secs(8).asked(&[100])),
        at(48.21, offer(0x5a5a, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP).told(&[100], SERVER, SERVER_IP)),
        at(48.22, select(0x5a5a, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP).asked(&[100])),
        at(48.23, ack(0x5a5a, NEIGHBOUR, SERVER_IP, NEIGHBOUR_IP).told(&[100], SERVER, SERVER_IP)),
    ];
    let shots = in_order(vec![pings.collect(), asks.to_vec(), lease.to_vec()]);
    let set = at(46.5, Vec::new()).nanos();
    let ahead = |shot: Shot| if shot.nanos() > set { shot.later(5 * 3_600_000_000) } else { shot };
    shots.into_iter().map(ahead).collect()
}

/// The Issue, of which a filter kept DHCP.
fn dhcp_only() -> Vec<u8> {
    // Ports 67 and 68 behind one tag and an IPv4 header without options.
    let is_dhcp = |shot: &Shot| shot.bytes().get(27) == Some(&17) && shot.bytes().get(38) == Some(&0);
    let shots = the_issue().into_iter().filter(is_dhcp).collect();
    Pcapng::filtered("bond0", "vlan 100 and (udp port 67 or udp port 68)").frames(shots).bytes()
}

/// A station finds another five hundred times; nothing else was captured.
fn arp_alone() -> Vec<Shot> {
    let found = |i: u32| {
        let ask = frame().from(SERVER).to(GUEST).tag(100).arp_request(SERVER_IP, GUEST_IP);
        let answer = frame().from(GUEST).to(SERVER).tag(100).arp_reply(GUEST_IP, SERVER_IP);
        let t = 2.0 * f64::from(i);
        [at(t, ask), at(t + 0.0004, answer)]
    };
    (0..500).flat_map(found).collect()
}
