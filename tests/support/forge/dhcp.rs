//! DHCP messages (RFC 2131, options of RFC 2132) in any shape a story needs, and the exchanges that most stories share.

use std::net::Ipv4Addr;

use netdiag::value::Mac;

use super::frame::frame;

/// A DHCP message, options in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Message {
    op: u8,
    xid: u32,
    secs: u16,
    flags: u16,
    ciaddr: Ipv4Addr,
    yiaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    hops: u8,
    chaddr: Mac,
    options: Vec<u8>,
}

/// A client asks who has an address for it.
pub fn discover(xid: u32, client: Mac) -> Message {
    Message::new(1, xid, client, 1).option(55, &[1, 3, 6, 51])
}

/// A server offers `address`.
pub fn offer(xid: u32, client: Mac, server: Ipv4Addr, address: Ipv4Addr) -> Message {
    Message::new(2, xid, client, 2).yours(address).server(server).lease(server)
}

/// A boot server offers where to boot from, and no address (PXE 2.1 section 2.2.3).
pub fn proxy_offer(xid: u32, client: Mac, server: Ipv4Addr) -> Message {
    Message::new(2, xid, client, 2).server(server).option(60, b"PXEClient")
}

/// A client takes the offer of `server` (SELECTING, RFC 2131 section 4.3.2).
pub fn select(xid: u32, client: Mac, server: Ipv4Addr, address: Ipv4Addr) -> Message {
    Message::new(1, xid, client, 3).server(server).option(50, &address.octets())
}

/// A client that has `address` wants to keep it (RENEWING).
pub fn renew(xid: u32, client: Mac, address: Ipv4Addr) -> Message {
    Message { ciaddr: address, ..Message::new(1, xid, client, 3) }
}

/// A client gives `address` back.
pub fn release(xid: u32, client: Mac, server: Ipv4Addr, address: Ipv4Addr) -> Message {
    Message { ciaddr: address, ..Message::new(1, xid, client, 7).server(server) }
}

/// A client that was given `address` finds that somebody else has it.
pub fn decline(xid: u32, client: Mac, server: Ipv4Addr, address: Ipv4Addr) -> Message {
    Message::new(1, xid, client, 4).option(50, &address.octets()).server(server)
}

/// A client that has `address` asks for everything else.
pub fn inform(xid: u32, client: Mac, address: Ipv4Addr) -> Message {
    Message { ciaddr: address, ..Message::new(1, xid, client, 8).option(55, &[1, 3, 6, 15, 252]) }
}

/// A server grants `address`.
pub fn ack(xid: u32, client: Mac, server: Ipv4Addr, address: Ipv4Addr) -> Message {
    Message::new(2, xid, client, 5).yours(address).server(server).lease(server)
}

/// A server refuses, in words.
pub fn nak(xid: u32, client: Mac, server: Ipv4Addr, why: &str) -> Message {
    Message::new(2, xid, client, 6).server(server).option(56, why.as_bytes())
}

impl Message {
    fn new(op: u8, xid: u32, chaddr: Mac, kind: u8) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        let (ciaddr, yiaddr, giaddr, options) = (none, none, none, Vec::new());
        let fresh = Self { op, xid, secs: 0, flags: 0, ciaddr, yiaddr, giaddr, hops: 0, chaddr, options };
        fresh.option(53, &[kind])
    }

    /// One more option.
    pub fn option(mut self, code: u8, value: &[u8]) -> Self {
        self.options.extend([code, u8::try_from(value.len()).unwrap()]);
        self.options.extend(value);
        self
    }

    /// Without an option.
    pub fn without(mut self, code: u8) -> Self {
        let mut at = 0;
        while at < self.options.len() {
            let len = usize::from(self.options[at + 1]) + 2;
            if self.options[at] == code {
                self.options.drain(at..at + len);
            } else {
                at += len;
            }
        }
        self
    }

    /// Handed on by a relay with this address, as the one in a row with this number.
    pub fn relayed(mut self, relay: Ipv4Addr, hops: u8) -> Self {
        (self.giaddr, self.hops) = (relay, hops);
        self
    }

    /// The client asks for its answer by broadcast.
    pub fn by_broadcast(mut self) -> Self {
        self.flags = 0x8000;
        self
    }

    /// For how many seconds the client has been trying.
    pub fn secs(mut self, secs: u16) -> Self {
        self.secs = secs;
        self
    }

    /// The address given, or none in a proxy's offer.
    pub fn yours(mut self, address: Ipv4Addr) -> Self {
        self.yiaddr = address;
        self
    }

    /// For so many seconds instead of a day (option 51).
    pub fn lasting(mut self, seconds: u32) -> Self {
        let at = self.options.windows(2).position(|pair| pair == [51, 4]).unwrap() + 2;
        self.options[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
        self
    }

    /// With this router instead of the server itself (option 3).
    pub fn router(self, router: Ipv4Addr) -> Self {
        self.without(3).option(3, &router.octets())
    }

    fn server(self, server: Ipv4Addr) -> Self {
        self.option(54, &server.octets())
    }

    /// A day, in a /24 whose router is the server: long enough that no rule about short leases stirs.
    fn lease(self, router: Ipv4Addr) -> Self {
        self.option(51, &86_400_u32.to_be_bytes()).option(1, &[255, 255, 255, 0]).option(3, &router.octets())
    }

    /// The message as UDP carries it, filled to the 300 bytes of BOOTP (RFC 1542 section 2.1).
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.op, 1, 6, self.hops];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.ciaddr.octets());
        bytes.extend(self.yiaddr.octets());
        bytes.extend([0; 4]);
        bytes.extend(self.giaddr.octets());
        bytes.extend(self.chaddr.0);
        bytes.extend([0; 10 + 64 + 128]);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        bytes.extend(&self.options);
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }

    /// As a client without an address sends it: to everybody.
    pub fn asked(&self, tags: &[u16]) -> Vec<u8> {
        let link = frame().from(self.chaddr).tags(tags);
        link.ipv4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).udp(68, 67).dhcp(self)
    }

    /// As a client with an address sends it to the server that it knows.
    pub fn asked_of(&self, tags: &[u16], server: Mac, server_ip: Ipv4Addr) -> Vec<u8> {
        frame().from(self.chaddr).to(server).tags(tags).ipv4(self.ciaddr, server_ip).udp(68, 67).dhcp(self)
    }

    /// As a server answers one client (RFC 2131 section 4.1: to the address given, at the client's hardware address).
    pub fn told(&self, tags: &[u16], server: Mac, server_ip: Ipv4Addr) -> Vec<u8> {
        frame().from(server).to(self.chaddr).tags(tags).ipv4(server_ip, self.yiaddr).udp(67, 68).dhcp(self)
    }

    /// As a server tells everybody: a refusal, or an answer without an address.
    pub fn told_all(&self, tags: &[u16], server: Mac, server_ip: Ipv4Addr) -> Vec<u8> {
        frame().from(server).tags(tags).ipv4(server_ip, Ipv4Addr::BROADCAST).udp(67, 68).dhcp(self)
    }
}
