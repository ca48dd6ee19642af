//! Headers behind which frames or packets travel that are not read: labels, shims, sessions, mirrors, and what is encrypted. They are told by the number
//! that announces them, so that a report can say what it has not seen; the bytes are left in `rest`.

use std::fmt;

/// What carries something that is not read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "each is the name of a protocol, which `name` spells")]
pub enum Unopened {
    Ah,
    Batman,
    BridgePortExtension,
    Capwap,
    CiscoMetadata,
    Erspan,
    Esp,
    EtherIp,
    FabricPath,
    Gtp,
    Hsr,
    IpComp,
    L2tp,
    MacInMac,
    Macsec,
    Mpls,
    Nsh,
    Ppp,
    Pppoe,
    RedundancyTag,
    Trill,
    Tzsp,
    VnTag,
    VxlanGpe,
    Wccp,
}

impl Unopened {
    /// By EtherType.
    pub(super) const fn by_type(ethertype: u16) -> Option<Self> {
        Some(match ethertype {
            // RFC 5332 section 3: unicast, and labels that the sender of a multicast chose.
            0x8847 | 0x8848 => Self::Mpls,
            // RFC 2516 section 4; 0x8863, by which a session is found, carries nothing.
            0x8864 => Self::Pppoe,
            0x880b => Self::Ppp,
            // IEEE 802.1AE clause 9.8.
            0x88e5 => Self::Macsec,
            // IEEE 802.1ah, now 802.1Q clause 9.5.
            0x88e7 => Self::MacInMac,
            0x8926 => Self::VnTag,
            // IEEE 802.1BR clause 7.5: the E-tag.
            0x893f => Self::BridgePortExtension,
            // IEEE 802.1CB clause 7.8: the R-tag.
            0xf1c1 => Self::RedundancyTag,
            // IEC 62439-3 clause 5.7.
            0x892f => Self::Hsr,
            // RFC 6325 section 3.1.
            0x22f3 => Self::Trill,
            0x8903 => Self::FabricPath,
            0x8909 => Self::CiscoMetadata,
            // RFC 8300 section 7.
            0x894f => Self::Nsh,
            0x4305 => Self::Batman,
            _ => return None,
        })
    }

    /// By what a GRE or GENEVE header says of its payload.
    pub(super) const fn carried(protocol: u16) -> Option<Self> {
        Some(match protocol {
            // Types I and II, and type III, of draft-foschiano-erspan.
            0x88be | 0x22eb => Self::Erspan,
            0x883e => Self::Wccp,
            protocol => return Self::by_type(protocol),
        })
    }

    /// By IP protocol number.
    pub(super) const fn by_protocol(protocol: u8) -> Option<Self> {
        Some(match protocol {
            50 => Self::Esp,
            51 => Self::Ah,
            97 => Self::EtherIp,
            108 => Self::IpComp,
            115 => Self::L2tp,
            // RFC 4023 section 3.
            137 => Self::Mpls,
            _ => return None,
        })
    }

    /// By the ports of UDP, and how `payload` begins: a port alone may be anybody's. What answers a client comes from the port, not to it.
    #[inline]
    pub(super) fn by_ports(dst: u16, src: u16, payload: &[u8]) -> Option<Self> {
        Self::by_port(dst, payload).or_else(|| Self::by_port(src, payload))
    }

    /// Whether anything of this kind is known by `port`.
    pub(super) const fn is_port(port: u16) -> bool {
        matches!(port, 1701 | 2152 | 4500 | 4790 | 5247 | 6635 | 37_008)
    }

    #[inline]
    fn by_port(port: u16, payload: &[u8]) -> Option<Self> {
        match (port, payload) {
            // RFC 2661 section 3.1: version 2, and the T bit not set; a control message carries nothing.
            (1701, [flags, version, ..]) if flags & 0x80 == 0 && version & 0x0f == 2 => Some(Self::L2tp),
            // 3GPP TS 29.281 clause 5.1: version 1, protocol type GTP, a G-PDU.
            (2152, [flags, 0xff, ..]) if flags & 0xf0 == 0x30 => Some(Self::Gtp),
            // RFC 3948 section 2: neither IKE, whose marker is zero, nor a keepalive of one byte.
            (4500, [spi @ .., _, _, _, _]) if spi.len() >= 4 && !spi.starts_with(&[0; 4]) => Some(Self::Esp),
            // draft-ietf-nvo3-vxlan-gpe: version 0, and the flags of the VNI and of the next protocol.
            (4790, [flags, 0, 0, _, ..]) if flags & 0x3c == 0x0c => Some(Self::VxlanGpe),
            // RFC 5415 section 4.1: version 0, a CAPWAP header or one of DTLS.
            (5247, [0 | 1, ..]) => Some(Self::Capwap),
            // RFC 7510 section 3.
            (6635, [_, _, _, _, ..]) => Some(Self::Mpls),
            (37_008, [1, 0..=5, ..]) => Some(Self::Tzsp),
            _ => None,
        }
    }

    /// As the field calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ah => "AH",
            Self::Batman => "batman-adv",
            Self::BridgePortExtension => "802.1BR",
            Self::Capwap => "CAPWAP",
            Self::CiscoMetadata => "Cisco metadata",
            Self::Erspan => "ERSPAN",
            Self::Esp => "ESP",
            Self::EtherIp => "EtherIP",
            Self::FabricPath => "FabricPath",
            Self::Gtp => "GTP-U",
            Self::Hsr => "HSR",
            Self::IpComp => "IPComp",
            Self::L2tp => "L2TP",
            Self::MacInMac => "802.1ah",
            Self::Macsec => "MACsec",
            Self::Mpls => "MPLS",
            Self::Nsh => "NSH",
            Self::Ppp => "PPP",
            Self::Pppoe => "PPPoE",
            Self::RedundancyTag => "802.1CB",
            Self::Trill => "TRILL",
            Self::Tzsp => "TZSP",
            Self::VnTag => "VN-Tag",
            Self::VxlanGpe => "VXLAN-GPE",
            Self::Wccp => "WCCP",
        }
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_announces_nothing() {
        // A keepalive, an IKE message, an L2TP control message, an echo of GTP: none carries a packet.
        let ike = [0, 0, 0, 0, 1, 2, 3, 4];
        for (port, payload) in [(4500, &[0xff][..]), (4500, &ike), (1701, &[0xc8, 2, 0, 20]), (2152, &[0x32, 1, 0, 4])]
        {
            assert_eq!(Unopened::by_ports(port, port, payload), None, "{port}");
        }
        for (port, payload, what) in [
            (4500, &[0, 0, 1, 0, 0, 0, 0, 1][..], Unopened::Esp),
            (1701, &[0x40, 2, 0, 20], Unopened::L2tp),
            (2152, &[0x30, 0xff, 0, 84], Unopened::Gtp),
            (4790, &[0x0c, 0, 0, 3, 0, 0, 9, 0], Unopened::VxlanGpe),
            (6635, &[0, 0x01, 0x01, 0xff], Unopened::Mpls),
            (37_008, &[1, 0, 0, 1, 1], Unopened::Tzsp),
        ] {
            assert_eq!(Unopened::by_ports(port, 40_000, payload), Some(what), "{what}");
            assert_eq!(Unopened::by_ports(40_000, port, payload), Some(what), "{what}");
            assert_eq!(Unopened::by_ports(port, 40_000, &payload[..1]), None, "{what}");
            assert_eq!(Unopened::by_ports(53, 40_000, payload), None, "{what}");
        }
    }
}
