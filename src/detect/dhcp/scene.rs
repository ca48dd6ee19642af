//! For tests: DHCP messages of RFC 2131 figure 1 made byte by byte, and what the engine finds in them at given milliseconds.
#![cfg(test)]

use std::net::Ipv4Addr;

use crate::engine::Engine;
use crate::event::{Direction, Offload, Record, Vantage, VantageId};
use crate::finding::Report;
use crate::settings::Settings;
use crate::value::{Mac, Span, Timestamp};
use crate::wire::{DhcpKind, LinkType};

/// A message, or with `Say::arp` and `Say::ping` another frame.
#[derive(Clone, Debug)]
pub struct Say {
    kind: Option<DhcpKind>,
    client: u8,
    xid: u32,
    server: Option<u8>,
    yiaddr: u8,
    ciaddr: u8,
    wanted: u8,
    giaddr: u8,
    lease: u32,
    secs: u16,
    vid: u16,
    is_pxe: bool,
    is_to_all: bool,
    is_ping: bool,
    words: &'static str,
}

impl Say {
    const fn new(kind: DhcpKind, client: u8) -> Self {
        let xid = 0x100 + client as u32;
        Self {
            kind: Some(kind),
            client,
            xid,
            server: None,
            yiaddr: 0,
            ciaddr: 0,
            wanted: 0,
            giaddr: 0,
            lease: 0,
            secs: 0,
            vid: 0,
            is_pxe: false,
            is_to_all: false,
            is_ping: false,
            words: "",
        }
    }

    pub const fn discover(client: u8) -> Self {
        Self::new(DhcpKind::Discover, client)
    }

    pub const fn offer(client: u8, server: u8) -> Self {
        Self { server: Some(server), yiaddr: client, ..Self::new(DhcpKind::Offer, client) }
    }

    pub const fn request(client: u8, server: u8) -> Self {
        Self { server: Some(server), ..Self::new(DhcpKind::Request, client) }
    }

    pub const fn reboot(client: u8) -> Self {
        Self::new(DhcpKind::Request, client)
    }

    pub const fn renew(client: u8) -> Self {
        Self { ciaddr: client, ..Self::new(DhcpKind::Request, client) }
    }

    pub const fn rebind(client: u8) -> Self {
        Self { is_to_all: true, ..Self::renew(client) }
    }

    pub const fn ack(client: u8, server: u8) -> Self {
        Self { server: Some(server), yiaddr: client, ..Self::new(DhcpKind::Ack, client) }
    }

    pub const fn nak(client: u8, server: u8) -> Self {
        Self { server: Some(server), ..Self::new(DhcpKind::Nak, client) }
    }

    pub const fn arp(client: u8) -> Self {
        Self { kind: None, ..Self::new(DhcpKind::Discover, client) }
    }

    /// An echo request from the client's address to the server (RFC 792).
    pub const fn ping(client: u8) -> Self {
        Self { is_ping: true, ..Self::arp(client) }
    }

    /// The client declines an address (option 50).
    pub const fn decline(client: u8, address: u8) -> Self {
        Self { wanted: address, ..Self::new(DhcpKind::Decline, client) }
    }

    /// It has this address already.
    pub const fn holding(self, address: u8) -> Self {
        Self { ciaddr: address, ..self }
    }

    pub const fn release(client: u8) -> Self {
        Self { ciaddr: client, ..Self::new(DhcpKind::Release, client) }
    }

    /// Another address than the client's usual one.
    pub const fn giving(self, yiaddr: u8) -> Self {
        Self { yiaddr, ..self }
    }

    /// In these words (option 56).
    pub const fn saying(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    /// For so many seconds (option 51).
    pub const fn lease(self, lease: u32) -> Self {
        Self { lease, ..self }
    }

    /// The client has been trying for so many seconds.
    pub const fn secs(self, secs: u16) -> Self {
        Self { secs, ..self }
    }

    pub const fn xid(self, xid: u32) -> Self {
        Self { xid, ..self }
    }

    pub const fn via(self, giaddr: u8) -> Self {
        Self { giaddr, ..self }
    }

    /// With one tag (IEEE 802.1Q).
    pub const fn tagged(self, vid: u16) -> Self {
        Self { vid, ..self }
    }

    pub const fn pxe(self) -> Self {
        Self { is_pxe: true, ..self }
    }

    /// An offer of a boot server: no address.
    pub const fn without_address(self) -> Self {
        Self { yiaddr: 0, ..self }
    }

    fn is_answer(&self) -> bool {
        matches!(self.kind, Some(DhcpKind::Offer | DhcpKind::Ack | DhcpKind::Nak))
    }

    /// Ethernet, IPv4 (RFC 791), UDP (RFC 768), DHCP (RFC 2131 figure 1) with magic and options 53, 54, 60.
    fn bytes(&self) -> Vec<u8> {
        let client = [0xfa, 0x16, 0x3e, 0, 0, self.client];
        if self.is_ping {
            let header = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, self.client, 10, 0, 0, 9];
            let macs = [[0x0c, 0xc4, 0x7a, 0, 0, 9], client].concat();
            return [&macs[..], &[8, 0], &header, &[8, 0, 0, 0, 0, 1, 0, 1]].concat();
        }
        let Some(kind) = self.kind else {
            // An ARP request for 10.0.0.1 (RFC 826), by a client that has an address or (a probe, RFC 5227) has none.
            let head = [&[0xff; 6][..], &client, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &client].concat();
            let own = if self.ciaddr == 0 { [0; 4] } else { [10, 0, 0, self.ciaddr] };
            return [&head[..], &own, &[0; 6], &[10, 0, 0, 1]].concat();
        };
        let ip = |last: u8| if last == 0 { [0; 4] } else { [10, 0, 0, last] };
        let mut options = vec![99, 130, 83, 99, 53, 1, kind.number()];
        if let Some(server) = self.server {
            options.extend([54, 4]);
            options.extend(ip(server));
        }
        if self.wanted > 0 {
            options.extend([50, 4]);
            options.extend(ip(self.wanted));
        }
        if !self.words.is_empty() {
            options.extend([56, u8::try_from(self.words.len()).unwrap()]);
            options.extend(self.words.as_bytes());
        }
        if self.lease > 0 {
            options.extend([51, 4]);
            options.extend(self.lease.to_be_bytes());
        }
        if self.is_pxe {
            options.extend([60, 9]);
            options.extend(b"PXEClient");
        }
        options.push(255);
        let mut dhcp = vec![if self.is_answer() { 2 } else { 1 }, 1, 6, 0];
        dhcp.extend(self.xid.to_be_bytes());
        dhcp.extend(self.secs.to_be_bytes());
        dhcp.extend([0; 2]);
        for last in [self.ciaddr, self.yiaddr, 0, self.giaddr] {
            dhcp.extend(ip(last));
        }
        dhcp.extend(client);
        dhcp.resize(236, 0);
        dhcp.extend(options);
        let udp_len = u16::try_from(dhcp.len() + 8).unwrap();
        let (ports, src, dst, macs) = if self.is_answer() {
            let macs = [client, [0x0c, 0xc4, 0x7a, 0, 0, self.server.unwrap_or(9)]].concat();
            ([0, 67, 0, 68], ip(self.server.unwrap_or(9)), ip(self.client), macs)
        } else if self.ciaddr != 0 && !self.is_to_all {
            ([0, 68, 0, 67], ip(self.ciaddr), ip(9), [[0x0c, 0xc4, 0x7a, 0, 0, 9], client].concat())
        } else {
            ([0, 68, 0, 67], [0; 4], [255; 4], [[0xff; 6], client].concat())
        };
        let [high, low] = (udp_len + 20).to_be_bytes();
        let header = [0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0];
        let [tag_high, tag_low] = self.vid.to_be_bytes();
        let tag: &[u8] = if self.vid == 0 { &[] } else { &[0x81, 0, tag_high, tag_low] };
        [&macs[..], tag, &[8, 0], &header, &src, &dst, &ports, &udp_len.to_be_bytes(), &[0, 0], &dhcp].concat()
    }
}

/// The hardware address of a client.
pub fn mac(client: u8) -> Mac {
    Mac([0xfa, 0x16, 0x3e, 0, 0, client])
}

/// An address as messages carry it.
pub fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// What is found when this is heard at an interface called `name`, at these milliseconds, in a capture that ends at `end`.
pub fn play(name: &str, end: i64, said: &[(i64, Say)]) -> Report {
    let mut engine = Engine::new(Settings::default());
    let at = VantageId::default();
    let link = LinkType::Ethernet;
    engine.add_vantage(at, Vantage::called(name, link));
    for (number, (ms, say)) in (1..).zip(said) {
        let bytes = say.bytes();
        let time = moment(*ms);
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let (direction, offload) = (Direction::Unknown, Offload::Unknown);
        let record = Record { interface: 0, number, time, wire_len, direction, offload, bytes: &bytes };
        engine.frame(record, at, link, time);
    }
    engine.close(Some(moment(end)), false);
    engine.finish(Vec::new())
}

/// The findings of a rule, one line each: levels, state, key.
pub fn found(code: &str, report: &Report) -> Vec<String> {
    let of_code = report.findings.iter().filter(|f| f.rule.code == code);
    let line = |f: &crate::finding::Finding| {
        let key: Vec<String> = f.key.parts().map(|(_, value)| value.raw().to_owned()).collect();
        format!("{}/{} {:?} {}", f.confidence, f.severity, f.state, key.join(" "))
    };
    of_code.map(line).collect()
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_parts(1_000_000, 0).after(Span::millis(ms))
}
