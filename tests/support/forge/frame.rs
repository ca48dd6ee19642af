//! One Ethernet frame from words: addresses, tags of any depth and TPID, then what it carries.
//! IPv4, IPv6, UDP, TCP and ICMP headers and their checksums are etherparse's; tags, LLC, ARP and VXLAN are written here. Frames are as a capture shows
//! them where they leave: not padded to 60 bytes unless asked, no FCS.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6FlowLabel, Ipv6Header, TcpHeader, TcpOptionElement, UdpHeader,
};
use netdiag::value::Mac;

/// A frame as far as its tags: addresses and tags, outermost first.
#[derive(Clone, Debug)]
pub struct Link {
    from: Mac,
    to: Mac,
    tags: Vec<(u16, u16)>,
}

/// A packet as far as its IPv4 header.
#[derive(Clone, Debug)]
pub struct Ip {
    link: Link,
    from: Ipv4Addr,
    to: Ipv4Addr,
    hops: u8,
}

/// A packet as far as its UDP header.
#[derive(Clone, Debug)]
pub struct Udp {
    ip: Ip,
    ports: (u16, u16),
}

/// What a TCP segment says beside its ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; the flag is set unless it is 0.
    pub ack: u32,
    /// SYN, which carries this maximum segment size.
    pub syn: Option<u16>,
    /// FIN.
    pub fin: bool,
    /// Bytes that arrived beyond a hole: first and last plus one.
    pub beyond: Option<(u32, u32)>,
    /// RST.
    pub rst: bool,
    /// A window of zero: its sender takes no more.
    pub full: bool,
}

/// The start of every frame: to everybody, from nobody, untagged.
pub fn frame() -> Link {
    Link { from: Mac::ZERO, to: Mac::BROADCAST, tags: Vec::new() }
}

impl Link {
    /// Who sends it.
    pub fn from(mut self, mac: Mac) -> Self {
        self.from = mac;
        self
    }

    /// Who shall get it.
    pub fn to(mut self, mac: Mac) -> Self {
        self.to = mac;
        self
    }

    /// Who sends it, as told.
    pub fn sender(&self) -> Mac {
        self.from
    }

    /// One 802.1Q tag further in.
    pub fn tag(self, vid: u16) -> Self {
        self.tag_as(0x8100, vid)
    }

    /// One tag further in, by its TPID and whole control field (priority, eligibility, VLAN).
    pub fn tag_as(mut self, tpid: u16, tci: u16) -> Self {
        self.tags.push((tpid, tci));
        self
    }

    /// These 802.1Q tags, outermost first.
    pub fn tags(self, vids: &[u16]) -> Self {
        vids.iter().fold(self, |link, vid| link.tag(*vid))
    }

    /// Any EtherType (or 802.3 length) and what follows it.
    pub fn ethertype(&self, ethertype: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.as_far_as_the_tags();
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// `frame` filled with zeros to the 60 bytes that Ethernet asks for (64 with FCS), as the untagged frame was before the host put its tags on.
    pub fn padded(&self, mut frame: Vec<u8>) -> Vec<u8> {
        frame.resize(frame.len().max(60 + 4 * self.tags.len()), 0);
        frame
    }

    /// The frame ends after the last tag's control field: nothing says what it carries.
    pub fn cut_after_tags(&self) -> Vec<u8> {
        self.as_far_as_the_tags()
    }

    /// 802.3 with an LLC header of unnumbered information to and from the same service access point; the length is right.
    pub fn llc(&self, sap: u8, body: &[u8]) -> Vec<u8> {
        self.length_and(&[&[sap, sap, 3], body].concat())
    }

    /// 802.3 with SNAP: organisation and protocol.
    pub fn snap(&self, oui: [u8; 3], protocol: u16, body: &[u8]) -> Vec<u8> {
        self.length_and(&[&[0xaa, 0xaa, 3], &oui[..], &protocol.to_be_bytes(), body].concat())
    }

    /// An ARP request: who has `wanted`, tell `own`.
    pub fn arp_request(&self, own: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
        self.arp(1, own, Mac::ZERO, wanted)
    }

    /// An ARP reply: `own` is at the sender.
    pub fn arp_reply(&self, own: Ipv4Addr, asker: Ipv4Addr) -> Vec<u8> {
        self.arp(2, own, self.to, asker)
    }

    /// An IPv4 packet, time to live 64, don't fragment.
    pub fn ipv4(self, from: Ipv4Addr, to: Ipv4Addr) -> Ip {
        Ip { link: self, from, to, hops: 64 }
    }

    /// A TCP segment over IPv6, hop limit 64.
    pub fn tcp_over_ipv6(
        &self,
        ends: (Ipv6Addr, Ipv6Addr),
        ports: (u16, u16),
        segment: Segment,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut tcp = segment.header(ports);
        let ip = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: u16::try_from(tcp.header_len() + payload.len()).unwrap(),
            next_header: IpNumber::TCP,
            hop_limit: 64,
            source: ends.0.octets(),
            destination: ends.1.octets(),
        };
        tcp.checksum = tcp.calc_checksum_ipv6(&ip, payload).unwrap();
        self.ethertype(0x86dd, &[&ip.to_bytes()[..], &tcp.to_bytes(), payload].concat())
    }

    /// A router advertisement to all nodes whose one option is this MTU (RFC 4861 section 4.6.4).
    pub fn router_advertisement(&self, router: Ipv6Addr, mtu: u32) -> Vec<u8> {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        self.advertisement((router, all), 1_800, &[&[5, 1, 0, 0][..], &mtu.to_be_bytes()].concat())
    }

    /// A router advertisement to all nodes that hands out addresses of `prefix`, 64 bits long, for a day (RFC 4861 section 4.6.2).
    pub fn prefix_advertisement(&self, router: Ipv6Addr, lifetime: u16, prefix: Ipv6Addr) -> Vec<u8> {
        let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let day = 86_400_u32.to_be_bytes();
        let option = [&[3, 4, 64, 0xc0][..], &day, &day, &[0; 4], &prefix.octets()].concat();
        self.advertisement((router, all), lifetime, &option)
    }

    /// Hop limit 64; timers unspecified.
    fn advertisement(&self, ends: (Ipv6Addr, Ipv6Addr), lifetime: u16, options: &[u8]) -> Vec<u8> {
        let [high, low] = lifetime.to_be_bytes();
        let kind = Icmpv6Type::Unknown { type_u8: 134, code_u8: 0, bytes5to8: [64, 0, high, low] };
        self.icmpv6(kind, ends, &[&[0; 8], options].concat())
    }

    /// A neighbour advertisement about `target` with these flags and the sender's address (RFC 4861 section 4.4).
    pub fn neighbour_advertisement(&self, ends: (Ipv6Addr, Ipv6Addr), target: Ipv6Addr, flags: u8) -> Vec<u8> {
        self.discovery(136, flags, ends, target, 2)
    }

    /// A neighbour solicitation for `target` (RFC 4861 section 4.3); one from no address does not name the sender's on the link.
    pub fn neighbour_solicitation(&self, ends: (Ipv6Addr, Ipv6Addr), target: Ipv6Addr) -> Vec<u8> {
        self.discovery(135, 0, ends, target, 1)
    }

    fn discovery(&self, kind: u8, flags: u8, ends: (Ipv6Addr, Ipv6Addr), target: Ipv6Addr, option: u8) -> Vec<u8> {
        let named = if ends.0.is_unspecified() { Vec::new() } else { [&[option, 1][..], &self.from.0].concat() };
        let body = [&target.octets()[..], &named].concat();
        let kind = Icmpv6Type::Unknown { type_u8: kind, code_u8: 0, bytes5to8: [flags, 0, 0, 0] };
        self.icmpv6(kind, ends, &body)
    }

    fn icmpv6(&self, kind: Icmpv6Type, (from, to): (Ipv6Addr, Ipv6Addr), body: &[u8]) -> Vec<u8> {
        let icmp = Icmpv6Header::with_checksum(kind, from.octets(), to.octets(), body).unwrap();
        let ip = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: u16::try_from(icmp.header_len() + body.len()).unwrap(),
            next_header: IpNumber::IPV6_ICMP,
            hop_limit: 255,
            source: from.octets(),
            destination: to.octets(),
        };
        self.ethertype(0x86dd, &[&ip.to_bytes()[..], &icmp.to_bytes(), body].concat())
    }

    fn as_far_as_the_tags(&self) -> Vec<u8> {
        let mut bytes = [self.to.0, self.from.0].concat();
        for (tpid, tci) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(tci.to_be_bytes());
        }
        bytes
    }

    fn length_and(&self, body: &[u8]) -> Vec<u8> {
        self.ethertype(u16::try_from(body.len()).unwrap(), body)
    }

    fn arp(&self, operation: u16, own: Ipv4Addr, other: Mac, wanted: Ipv4Addr) -> Vec<u8> {
        let mut body = vec![0, 1, 8, 0, 6, 4];
        body.extend(operation.to_be_bytes());
        body.extend(self.from.0);
        body.extend(own.octets());
        body.extend(other.0);
        body.extend(wanted.octets());
        self.ethertype(0x0806, &body)
    }
}

impl Ip {
    /// With so many hops left to live.
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// "Destination unreachable" with this code about the packet in `frame`, which has one tag; it quotes the header and eight bytes.
    pub fn unreachable(&self, code: u8, frame: &[u8]) -> Vec<u8> {
        let quoted = &frame[18..46];
        let header = etherparse::icmpv4::DestUnreachableHeader::from_values(code, 0).unwrap();
        let kind = Icmpv4Type::DestinationUnreachable(header);
        let ip = self.header(IpNumber::ICMP, 8 + quoted.len());
        self.finish(&ip, &[&Icmpv4Header::with_checksum(kind, quoted).to_bytes()[..], quoted].concat())
    }

    /// A UDP datagram between two ports.
    pub fn udp(self, from: u16, to: u16) -> Udp {
        Udp { ip: self, ports: (from, to) }
    }

    /// A TCP segment between two ports.
    pub fn tcp(&self, ports: (u16, u16), segment: Segment, payload: &[u8]) -> Vec<u8> {
        let mut tcp = segment.header(ports);
        let ip = self.header(IpNumber::TCP, tcp.header_len() + payload.len());
        tcp.checksum = tcp.calc_checksum_ipv4(&ip, payload).unwrap();
        self.finish(&ip, &[&tcp.to_bytes()[..], payload].concat())
    }

    /// A frame of the network `key` in a GRE tunnel.
    pub fn gre(&self, key: u32, inner: &[u8]) -> Vec<u8> {
        let ip = self.header(IpNumber::GRE, 8 + inner.len());
        self.finish(&ip, &[&[0x20, 0, 0x65, 0x58], &key.to_be_bytes()[..], inner].concat())
    }

    /// An echo request whose IPv4 packet is `length` bytes long.
    pub fn ping(&self, seq: u16, length: usize) -> Vec<u8> {
        self.echo(Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 0x4e44, seq }), length)
    }

    /// The answer to `ping`.
    pub fn pong(&self, seq: u16, length: usize) -> Vec<u8> {
        self.echo(Icmpv4Type::EchoReply(IcmpEchoHeader { id: 0x4e44, seq }), length)
    }

    /// A host's word that nothing listens at the port that the packet in `frame` was sent to. It quotes the header and eight bytes.
    pub fn nobody_there(&self, frame: &[u8]) -> Vec<u8> {
        let packet = &frame[frame.windows(2).position(|w| w == [0x08, 0x00]).unwrap() + 2..];
        let quoted = &packet[..28];
        let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
        let ip = self.header(IpNumber::ICMP, 8 + quoted.len());
        self.finish(&ip, &[&Icmpv4Header::with_checksum(kind, quoted).to_bytes()[..], quoted].concat())
    }

    /// A router's word that the packet in `frame`, which is as long as that, is too large for a hop that takes `mtu` bytes. It quotes the header
    /// and eight bytes.
    pub fn too_big(&self, mtu: u16, frame: &[u8]) -> Vec<u8> {
        let packet = &frame[frame.windows(2).position(|w| w == [0x08, 0x00]).unwrap() + 2..];
        let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu });
        let quoted = &packet[..28];
        let ip = self.header(IpNumber::ICMP, 8 + quoted.len());
        self.finish(&ip, &[&Icmpv4Header::with_checksum(kind, quoted).to_bytes()[..], quoted].concat())
    }

    /// A UDP datagram with `payload` bytes in pieces of L = `length` at most, `id` being their common number.
    pub fn udp_in_pieces(&self, ports: (u16, u16), id: u16, payload: usize, length: usize) -> Vec<Vec<u8>> {
        self.in_pieces(ports, id, &pattern(u32::from(id), payload), length)
    }

    /// A frame of VXLAN network `vni` in pieces of L = `length` at most.
    pub fn vxlan_in_pieces(&self, vni: u32, inner: &[u8], id: u16, length: usize) -> Vec<Vec<u8>> {
        let payload = [&[8, 0, 0, 0], &(vni << 8).to_be_bytes()[..], inner].concat();
        self.in_pieces((49_152, 4_789), id, &payload, length)
    }

    fn in_pieces(&self, ports: (u16, u16), id: u16, payload: &[u8], length: usize) -> Vec<Vec<u8>> {
        let whole = self.header(IpNumber::UDP, 8 + payload.len());
        let udp = UdpHeader::with_ipv4_checksum(ports.0, ports.1, &whole, payload).unwrap();
        let body = [&udp.to_bytes()[..], payload].concat();
        let room = (length - Ipv4Header::MIN_LEN) / 8 * 8;
        let pieces = body.chunks(room).enumerate().map(|(i, piece)| {
            let mut ip = self.header(IpNumber::UDP, piece.len());
            (ip.identification, ip.dont_fragment) = (id, false);
            ip.more_fragments = (i + 1) * room < body.len();
            ip.fragment_offset = IpFragOffset::try_new((i * room / 8) as u16).unwrap();
            ip.header_checksum = ip.calc_header_checksum();
            self.finish(&ip, piece)
        });
        pieces.collect()
    }

    fn echo(&self, kind: Icmpv4Type, length: usize) -> Vec<u8> {
        let payload = pattern(0, length - Ipv4Header::MIN_LEN - 8);
        let ip = self.header(IpNumber::ICMP, 8 + payload.len());
        self.finish(&ip, &[&Icmpv4Header::with_checksum(kind, &payload).to_bytes()[..], &payload].concat())
    }

    fn header(&self, protocol: IpNumber, payload: usize) -> Ipv4Header {
        let length = u16::try_from(payload).unwrap();
        let mut ip = Ipv4Header::new(length, self.hops, protocol, self.from.octets(), self.to.octets()).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        ip
    }

    fn finish(&self, ip: &Ipv4Header, payload: &[u8]) -> Vec<u8> {
        self.link.ethertype(0x0800, &[&ip.to_bytes()[..], payload].concat())
    }
}

impl Udp {
    /// The datagram with this payload.
    pub fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        let ip = self.ip.header(IpNumber::UDP, 8 + payload.len());
        let udp = UdpHeader::with_ipv4_checksum(self.ports.0, self.ports.1, &ip, payload).unwrap();
        self.ip.finish(&ip, &[&udp.to_bytes()[..], payload].concat())
    }

    /// The datagram with a DHCP message.
    pub fn dhcp(&self, message: &super::dhcp::Message) -> Vec<u8> {
        self.bytes(&message.bytes())
    }

    /// The datagram with a frame of VXLAN network `vni` (RFC 7348 section 5).
    pub fn vxlan(&self, vni: u32, inner: &[u8]) -> Vec<u8> {
        self.bytes(&[&[8, 0, 0, 0], &(vni << 8).to_be_bytes()[..], inner].concat())
    }
}

impl Segment {
    fn header(&self, ports: (u16, u16)) -> TcpHeader {
        let mut tcp = TcpHeader::new(ports.0, ports.1, self.seq, 64_240);
        tcp.acknowledgment_number = self.ack;
        tcp.ack = self.ack != 0;
        tcp.fin = self.fin;
        tcp.rst = self.rst;
        if self.full {
            tcp.window_size = 0;
        }
        if let Some(mss) = self.syn {
            tcp.syn = true;
            tcp.set_options(&[TcpOptionElement::MaximumSegmentSize(mss)]).unwrap();
        }
        if let Some(block) = self.beyond {
            tcp.set_options(&[TcpOptionElement::SelectiveAcknowledgement(block, [None; 3])]).unwrap();
        }
        tcp
    }
}

/// `length` bytes of payload that differ along a stream, from its byte `start` on.
pub fn pattern(start: u32, length: usize) -> Vec<u8> {
    // 251 is prime: no repeat lines up with a segment.
    (0..length).map(|i| ((start as usize + i) % 251) as u8).collect()
}
