//! Whole frames through the walk, put together by hand after the standards named at each layer.

use std::net::Ipv4Addr;

use super::{BpduKind, Kind, Kinds, Layer, Layers, LinkType, Overlay, Stop, StpFamily, Unopened, Why, decode};
use crate::value::Mac;

const GUEST: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 5];
const SWITCH: [u8; 6] = [0x00, 0x1c, 0x73, 0, 0, 1];

/// An Ethernet header, and what follows it.
fn ethernet(dst: [u8; 6], src: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &src, &ethertype.to_be_bytes(), payload].concat()
}

/// Four bytes of a tag without its TPID, and what follows.
fn tag(vid: u16, next: u16, payload: &[u8]) -> Vec<u8> {
    [&vid.to_be_bytes()[..], &next.to_be_bytes(), payload].concat()
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap()
}

/// An IPv4 packet from 10.0.0.5 to 10.0.0.9; `fragment` is the word of flags and offset.
fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [a, b] = length(20 + payload.len()).to_be_bytes();
    let [c, d] = fragment.to_be_bytes();
    let mut bytes = vec![0x45, 0, a, b, 0, 1, c, d, 64, protocol, 0, 0, 10, 0, 0, 5, 10, 0, 0, 9];
    bytes.extend(payload);
    bytes
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = length(8 + payload.len());
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// A segment from 22 to 4000 with ACK set.
fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 22, 0x0f, 0xa0, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    bytes.extend(payload);
    bytes
}

/// A DISCOVER without padding.
fn discover() -> Vec<u8> {
    let mut bytes = vec![1, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26];
    bytes.resize(28, 0);
    bytes.extend(GUEST);
    bytes.resize(236, 0);
    bytes.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 50, 4, 10, 20, 0, 15, 255]);
    bytes
}

fn config_bpdu() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 0x80, 0];
    bytes.extend(SWITCH);
    bytes.resize(35, 0);
    bytes
}

fn llc(sap: u8, payload: &[u8]) -> Vec<u8> {
    [&[sap, sap, 0x03], payload].concat()
}

fn wired(bytes: &[u8]) -> Layers<'_> {
    decode(LinkType::Ethernet, bytes, u32::try_from(bytes.len()).unwrap())
}

fn names(layers: &Layers<'_>) -> Vec<Kind> {
    layers.iter().map(Layer::kind).collect()
}

/// Tagged VXLAN that carries a tagged DISCOVER: the deepest of the everyday frames.
fn tunnelled() -> Vec<u8> {
    let inner = ethernet([0xff; 6], GUEST, 0x8100, &tag(7, 0x0800, &ipv4(17, 0, &udp(68, 67, &discover()))));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &inner].concat();
    ethernet(SWITCH, SWITCH, 0x88a8, &tag(20, 0x8100, &tag(100, 0x0800, &ipv4(17, 0, &udp(5000, 4789, &vxlan)))))
}

#[test]
fn a_tunnel_keeps_outer_and_inner_apart() {
    let bytes = tunnelled();
    let layers = wired(&bytes);
    let expected = [
        Kind::Ethernet,
        Kind::Vlan,
        Kind::Vlan,
        Kind::Ipv4,
        Kind::Udp,
        Kind::Vxlan,
        Kind::Ethernet,
        Kind::Vlan,
        Kind::Ipv4,
        Kind::Udp,
        Kind::Dhcp,
    ];
    assert_eq!(names(&layers), expected);
    assert_eq!(layers.tags().to_string(), "0x88a8:20.100");
    assert_eq!(layers.inner_tags().unwrap().to_string(), "7");
    assert_eq!((layers.overlay(), layers.has(Kind::VlanStack), layers.stop), (Some(Overlay::Vni(42)), true, None));
    assert_eq!((layers.link_src(), layers.inner_src()), (Some(Mac(SWITCH)), Some(Mac(GUEST))));
    assert_eq!((layers.link_dst(), layers.inner_dst()), (Some(Mac(SWITCH)), Some(Mac::BROADCAST)));
    assert!(layers.ip().unwrap().packet_len() > layers.inner_ip().unwrap().packet_len());
    assert_eq!(layers.summary().to_string(), "DHCP Discover, xid 0x3903f326, 10.20.0.15");
    assert_eq!(layers.udp().unwrap().dst_port(), 67);
}

#[test]
fn padding_is_not_payload() {
    let mut bytes = ethernet(SWITCH, GUEST, 0x0800, &ipv4(6, 0, &tcp(b"ab")));
    bytes.resize(60, 0);
    let layers = wired(&bytes);
    assert_eq!((layers.rest, layers.tcp().unwrap().payload_len()), (&b"ab"[..], 2));
    assert_eq!(layers.summary().to_string(), "TCP 10.0.0.5:22 > 10.0.0.9:4000 [ACK] seq 1 len 2");
    assert!(layers.inner_tags().is_none() && layers.tags().is_empty());
    assert_eq!((layers.inner_src(), layers.overlay()), (Some(Mac(GUEST)), None));
}

#[test]
fn what_the_capture_cut_is_cut_and_what_was_not_sent_is_short() {
    let bytes = ethernet(SWITCH, GUEST, 0x0800, &ipv4(6, 0, &tcp(&[7; 1_000])));
    let cut = decode(LinkType::Ethernet, &bytes[..40], 1_054);
    let why = Why::Cut { need: 20, have: 6 };
    assert_eq!(cut.stop, Some(Stop { layer: Kind::Tcp, offset: 34, why }));
    assert!(cut.kinds().intersects(Kinds::of(&[Kind::Cut])) && cut.has(Kind::Stopped));
    assert_eq!(cut.rest.len(), 6);
    let short = wired(&bytes[..60]);
    let why = Why::Short { need: 1_040, have: 46 };
    assert_eq!(short.stop, Some(Stop { layer: Kind::Ipv4, offset: 14, why }));
    assert_eq!((short.has(Kind::Cut), short.tcp().unwrap().payload_len()), (false, 6));
    // The payload alone is cut: nothing that is decoded is missing.
    let snapped = decode(LinkType::Ethernet, &bytes[..60], 1_054);
    assert_eq!((snapped.stop, snapped.tcp().unwrap().payload_len()), (None, 1_000));
}

#[test]
fn fragments_have_a_transport_header_once() {
    let first = ethernet(SWITCH, GUEST, 0x0800, &ipv4(17, 0x2000, &udp(1, 2, &[0; 1_000])[..24]));
    let layers = wired(&first);
    assert_eq!((layers.udp().unwrap().payload_len(), layers.stop), (16, None));
    assert!(layers.ip().unwrap().is_first_fragment());
    let later = ethernet(SWITCH, GUEST, 0x0800, &ipv4(17, 0x0003, &[9; 24]));
    assert_eq!(names(&wired(&later)), [Kind::Ethernet, Kind::Ipv4]);
    // A first fragment of eight bytes (RFC 1858) holds no TCP header, and nobody promised it.
    let tiny = ethernet(SWITCH, GUEST, 0x0800, &ipv4(6, 0x2000, &tcp(b"")[..8]));
    assert_eq!((names(&wired(&tiny)), wired(&tiny).stop), (vec![Kind::Ethernet, Kind::Ipv4], None));
}

#[test]
fn a_damaged_header_is_told_by_its_checksum() {
    // Words that add up to all ones (RFC 1071), without options and with.
    let plain = [0x45, 0, 0, 0x1c, 0, 1, 0, 0, 64, 17, 0x66, 0xc3, 10, 0, 0, 5, 10, 0, 0, 9];
    let with_option = [0x46, 0, 0, 0x20, 0, 1, 0, 0, 64, 17, 0x64, 0xbb, 10, 0, 0, 5, 10, 0, 0, 9, 1, 1, 0, 3];
    let is_sound = |packet: &[u8]| {
        let frame = ethernet(SWITCH, GUEST, 0x0800, &[packet, &udp(1, 2, &[])].concat());
        let layers = decode(LinkType::Ethernet, &frame, u32::try_from(frame.len()).unwrap());
        layers.iter().any(|layer| matches!(layer, Layer::Ipv4(ip) if ip.is_sound()))
    };
    assert!(is_sound(&plain));
    assert!(is_sound(&with_option));
    for at in [4, 6, 7, 12, 19] {
        let mut damaged = plain;
        damaged[at] ^= 0x20;
        assert!(!is_sound(&damaged), "byte {at}");
    }
    let mut unfilled = plain;
    unfilled[10..12].fill(0);
    assert!(is_sound(&unfilled), "left to the network card");
}

#[test]
fn spanning_tree_needs_address_encapsulation_and_protocol() {
    let bridges = [0x01, 0x80, 0xc2, 0, 0, 0];
    let body = llc(0x42, &config_bpdu());
    let mut frame = ethernet(bridges, SWITCH, 38, &body);
    frame.resize(60, 0xee);
    let layers = wired(&frame);
    assert_eq!(layers.summary().to_string(), "STP config, root 8000.00:1c:73:00:00:01");
    assert_eq!((layers.stp().unwrap().kind(), layers.stop), (BpduKind::Config, None));
    // Tunnelled by a provider (L2PT), and GARP by the same access points.
    assert!(wired(&ethernet([0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xd0], SWITCH, 38, &body)).stp().is_none());
    assert!(wired(&ethernet(bridges, SWITCH, 7, &llc(0x42, &[0, 1, 1, 2]))).stp().is_none());
    let pvst = llc(0xaa, &[&[0x00, 0x00, 0x0c, 0x01, 0x0b][..], &config_bpdu()].concat());
    let frame = ethernet([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd], SWITCH, 0x8100, &tag(5, length(pvst.len()), &pvst));
    assert_eq!(wired(&frame).stp().unwrap().family(), StpFamily::Pvst);
}

#[test]
fn lengths_and_types() {
    let frame = ethernet(SWITCH, GUEST, 1_520, &[0; 46]);
    assert!(matches!(wired(&frame).stop, Some(Stop { layer: Kind::Llc, offset: 14, why: Why::Bad(_) })));
    // SNAP of RFC 1042 carries what Ethernet carries.
    let snap = llc(0xaa, &[&[0, 0, 0, 0x08, 0x00][..], &ipv4(6, 0, &tcp(b""))].concat());
    assert!(wired(&ethernet(SWITCH, GUEST, length(snap.len()), &snap)).tcp().is_some());
    // What MPLS, PPPoE, MACsec, 802.1ah and VN-tags carry is left alone.
    for ethertype in [0x8847, 0x8864, 0x88e5, 0x88e7, 0x8926] {
        let frame = ethernet(SWITCH, GUEST, ethertype, &[1; 46]);
        let layers = wired(&frame);
        assert_eq!((names(&layers), layers.stop, layers.rest.len()), (vec![Kind::Ethernet, Kind::Unopened], None, 46));
    }
}

#[test]
fn tags_of_any_depth_until_there_is_no_place() {
    let stack = |n: usize| {
        let tags = (0..n).fold(vec![0x08, 0x06], |behind, _| [&[0x81, 0x00, 0x00, 0x00][..], &behind].concat());
        [&[0xff; 6][..], &GUEST, &tags].concat()
    };
    let bytes = stack(14);
    let layers = wired(&bytes);
    assert_eq!((layers.tags().depth(), layers.has(Kind::PriorityTag)), (14, true));
    assert_eq!(layers.stop.map(|stop| stop.layer), Some(Kind::Arp));
    let bytes = stack(16);
    assert_eq!(wired(&bytes).stop, Some(Stop { layer: Kind::Vlan, offset: 74, why: Why::Deep }));
    let reserved = ethernet(SWITCH, GUEST, 0x8100, &tag(4095, 0x9999, &[]));
    assert!(wired(&reserved).has(Kind::ReservedTag) && !wired(&reserved).has(Kind::VlanStack));
}

#[test]
fn tunnels_end_at_the_fifth() {
    let nested = |n: usize| (0..n).fold(ipv4(6, 0, &tcp(b"")), |inner, _| ipv4(4, 0, &inner));
    let decode = |n: usize| {
        let bytes = nested(n);
        let layers = decode(LinkType::RawIp, &bytes, u32::try_from(bytes.len()).unwrap());
        (layers.tcp().is_some(), layers.stop.map(|stop| stop.why))
    };
    assert_eq!(decode(4), (true, None));
    assert_eq!(decode(5), (false, Some(Why::Deep)));
}

#[test]
fn other_link_headers() {
    let packet = ipv4(17, 0, &udp(68, 67, &discover()));
    let sll = [&[0, 4, 0, 1, 0, 6][..], &GUEST, &[0, 0, 0x81, 0x00], &tag(9, 0x0800, &packet)].concat();
    let layers = decode(LinkType::LinuxSll, &sll, 0);
    assert_eq!((layers.tags().to_string().as_str(), layers.cooked_packet_type()), ("9", Some(4)));
    assert_eq!((layers.link_src(), layers.link_dst(), layers.inner_tags()), (Some(Mac(GUEST)), None, None));
    let sll2 = [&[0, 4, 0, 0, 0, 0, 0, 3, 0, 1, 2, 6][..], &SWITCH, &[0, 0], &llc(0x42, &config_bpdu())].concat();
    assert!(decode(LinkType::LinuxSll2, &sll2, 0).stp().is_some());
    for (link, header) in [(LinkType::RawIp, &[][..]), (LinkType::Null, &[2, 0, 0, 0]), (LinkType::Loop, &[0, 0, 0, 2])]
    {
        let bytes = [header, &packet].concat();
        let layers = decode(link, &bytes, 0);
        assert_eq!(layers.dhcp().unwrap().requested(), Some(Ipv4Addr::new(10, 20, 0, 15)));
    }
    let unknown = decode(LinkType::Other(105), &packet, 0);
    assert_eq!((unknown.as_slice().len(), unknown.stop, unknown.rest), (0, None, &packet[..]));
    assert_eq!(unknown.summary().to_string(), "not decoded");
}

#[test]
fn what_is_not_read_is_named_and_left() {
    // A label with the bottom-of-stack bit and 64 hops, and a packet behind it.
    let labelled = [&[0, 0x01, 0x01, 64][..], &ipv4(17, 0, &udp(68, 67, &discover()))].concat();
    let frame = ethernet(SWITCH, GUEST, 0x8100, &tag(9, 0x8847, &labelled));
    let layers = wired(&frame);
    assert_eq!((layers.unopened(), layers.tags().to_string().as_str()), (Some(Unopened::Mpls), "9"));
    assert!(layers.rest.starts_with(&labelled) && layers.dhcp().is_none() && layers.stop.is_none());
    assert!(layers.summary().to_string().starts_with("VLAN 9"));
    // GRE with a sequence number, and ERSPAN type II behind it; PPTP with data, and an acknowledgement without.
    let gre = |header: &[u8]| wired(&ethernet(SWITCH, GUEST, 0x0800, &ipv4(47, 0, header))).unopened();
    assert_eq!(gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0x14, 0, 10, 0, 0, 0, 0]), Some(Unopened::Erspan));
    assert_eq!(gre(&[0x30, 0x01, 0x88, 0x0b, 0, 2, 0, 7, 0, 0, 0, 1, 0xff, 0x03]), Some(Unopened::Ppp));
    assert_eq!(gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 1]), None);
    assert_eq!(gre(&[0, 0, 0, 0]), None);
    let encrypted = ethernet(SWITCH, GUEST, 0x0800, &ipv4(50, 0, &[0, 0, 0x10, 0, 0, 0, 0, 1]));
    let esp = wired(&encrypted);
    assert_eq!((esp.unopened(), esp.summary().to_string().contains("10.")), (Some(Unopened::Esp), true));
    let opened = tunnelled();
    assert_eq!(wired(&opened).unopened(), None);
}

#[test]
fn a_frame_cut_anywhere_keeps_its_layers_and_blames_nobody() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.resize(28, 3);
    let bridges = [0x01, 0x80, 0xc2, 0, 0, 0];
    let frames = [
        tunnelled(),
        ethernet([0xff; 6], GUEST, 0x0806, &arp),
        ethernet(bridges, SWITCH, 38, &llc(0x42, &config_bpdu())),
        ethernet(SWITCH, GUEST, 0x0800, &ipv4(1, 0, &[3, 4, 0, 0, 0, 0, 5, 0x78, 0x45, 0, 0, 0])),
    ];
    for frame in &frames {
        let whole = wired(frame);
        assert_eq!(whole.stop, None);
        for n in 0..frame.len() {
            let cut = decode(LinkType::Ethernet, &frame[..n], length(frame.len()).into());
            assert!(names(&whole).starts_with(&names(&cut)), "{n} of {}", frame.len());
            if let Some(stop) = cut.stop {
                assert!(matches!(stop.why, Why::Cut { need, have } if need > have && stop.offset <= n), "{n}: {stop}");
            }
            let sent = wired(&frame[..n]);
            assert!(!matches!(sent.stop.map(|stop| stop.why), Some(Why::Cut { .. })), "{n}");
        }
    }
}
