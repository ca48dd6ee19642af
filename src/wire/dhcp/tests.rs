//! DHCP messages, written by hand after RFC 2131 figure 1.

use super::*;

/// An offer of 10.20.0.15 for an hour from 10.20.0.2, through a relay.
fn offer() -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 1, 0x39, 0x03, 0xf3, 0x26, 0, 3, 0x80, 0, 0, 0, 0, 0, 10, 20, 0, 15];
    bytes.extend([0, 0, 0, 0, 10, 20, 0, 1, 0xfa, 0x16, 0x3e, 0x12, 0x34, 0x56]);
    bytes.resize(236, 0);
    bytes.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 2, 54, 4, 10, 20, 0, 2, 51, 4, 0, 0, 0x0e, 0x10]);
    bytes.extend([82, 6, 1, 1, b'7', 2, 1, b'9', 26, 2, 0x05, 0xaa, 255]);
    bytes
}

fn parse(bytes: &[u8], wire: u32) -> (Dhcp<'_>, Option<Why>) {
    let mut window = Window::new(bytes, wire);
    (Dhcp::parse(&mut window, 0).unwrap(), window.fault)
}

#[test]
fn an_offer() {
    let bytes = offer();
    let (dhcp, cut) = parse(&bytes, 0);
    assert_eq!(dhcp.to_string(), "DHCP Offer, xid 0x3903f326, 10.20.0.15");
    assert_eq!((dhcp.op(), dhcp.htype(), dhcp.hlen(), dhcp.hops(), dhcp.secs()), (2, 1, 6, 1, 3));
    assert_eq!((dhcp.giaddr(), dhcp.server_id()), (Ipv4Addr::new(10, 20, 0, 1), Some(Ipv4Addr::new(10, 20, 0, 2))));
    assert_eq!((dhcp.lease(), dhcp.mtu(), dhcp.t1(), dhcp.is_broadcast()), (Some(3_600), Some(1_450), None, true));
    assert_eq!(dhcp.chaddr().to_string(), "fa:16:3e:12:34:56");
    assert_eq!(dhcp.relay().collect::<Vec<_>>(), [(1, &b"7"[..]), (2, &b"9"[..])]);
    assert!(cut.is_none() && dhcp.has_sound_options());
}

#[test]
fn cut_by_the_capture_is_not_bootp() {
    let bytes = offer();
    let wire = u32::try_from(bytes.len()).unwrap();
    let (dhcp, cut) = parse(&bytes[..60], wire);
    assert_eq!(dhcp.to_string(), "DHCP or BOOTP, cut, xid 0x3903f326, 10.20.0.15");
    assert_eq!(cut, Some(Why::Cut { need: bytes.len(), have: 60 }));
    assert!(!dhcp.has_magic() && !dhcp.has_message_type() && dhcp.has_sound_options());
}

#[test]
fn bootp_has_no_type() {
    let mut bytes = offer();
    bytes.truncate(236);
    bytes[0] = 1;
    let (dhcp, cut) = parse(&bytes, 236);
    assert_eq!(dhcp.to_string(), "BOOTP request, xid 0x3903f326, 10.20.0.15");
    assert!(cut.is_none() && !dhcp.has_message_type());
    assert!(Dhcp::is_here(&Window::new(&bytes, 236)) && !Dhcp::is_here(&Window::new(&bytes[..235], 235)));
}
