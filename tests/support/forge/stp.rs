//! Bridge protocol data units and their neighbours: configuration, TCN, RST, MST, PVST+; GARP, LACP, LLDP, which look like them and are not.
//! (IEEE 802.1Q-2018 clause 14; 802.1AX clause 6.4; 802.1AB clause 8.)

use netdiag::value::Mac;

use super::frame::Link;

/// The group address of bridges, IEEE 802.1Q-2018 table 8-1.
pub const BRIDGES: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
/// Cisco's group address for one tree a VLAN.
pub const PVST: Mac = Mac([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd]);
/// The group address of slow protocols, LACP among them.
pub const SLOW: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 2]);
/// The group address of GVRP.
pub const GVRP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0x21]);

/// A bridge that thinks itself root and says so on its first port, with the timers of the standard.
#[derive(Clone, Copy, Debug)]
pub struct Bridge {
    /// Priority, with the VLAN in its low twelve bits for PVST+.
    pub priority: u16,
    /// Its address.
    pub mac: Mac,
}

impl Bridge {
    /// Version 0, type 0: 35 bytes.
    pub fn config(self) -> Vec<u8> {
        self.body(0, 0, 0)
    }

    /// Version 2: a designated port that learns and forwards; 36 bytes.
    pub fn rst(self) -> Vec<u8> {
        [self.body(2, 2, 0x3c), vec![0]].concat()
    }

    /// Version 3, in a region with every VLAN in instance 0: 102 bytes.
    pub fn mst(self, region: &str) -> Vec<u8> {
        // The digest of the default map, as 802.1Q-2018 table 13-2 gives it.
        const DEFAULT_MAP: [u8; 16] =
            [0xac, 0x36, 0x17, 0x7f, 0x50, 0x28, 0x3c, 0xd4, 0xb8, 0x38, 0x21, 0xd8, 0xab, 0x26, 0xde, 0x62];
        let mut name = region.as_bytes().to_vec();
        name.resize(32, 0);
        [&self.body(3, 2, 0x7c)[..], &[0, 0, 64, 0], &name, &[0, 1], &DEFAULT_MAP, &[0; 4], &self.id(), &[20]].concat()
    }

    /// Version 0 with the VLAN after it, as PVST+ has it.
    pub fn pvst(self, vlan: u16) -> Vec<u8> {
        [&self.config()[..], &[0, 0, 0, 0, 2], &vlan.to_be_bytes()].concat()
    }

    fn id(self) -> [u8; 8] {
        let [p, q] = self.priority.to_be_bytes();
        let [a, b, c, d, e, f] = self.mac.0;
        [p, q, a, b, c, d, e, f]
    }

    /// Protocol 0, the root and the sender the same, cost 0, port 0x8001, age 0, maximum 20 s, hello 2 s, delay 15 s in 1/256 s.
    fn body(self, version: u8, kind: u8, flags: u8) -> Vec<u8> {
        let timers = [0, 0, 20, 0, 2, 0, 15, 0];
        [&[0, 0, version, kind, flags][..], &self.id(), &[0; 4], &self.id(), &[0x80, 0x01], &timers].concat()
    }
}

/// A BPDU of a bridge that need not be root: who it thinks is, how far away, and since when it has not heard of it.
#[derive(Clone, Copy, Debug)]
pub struct Hello {
    /// Protocol version: 0 STP, 2 RSTP.
    pub version: u8,
    /// Topology change 0x01, learning 0x10, forwarding 0x20, designated 0x0c.
    pub flags: u8,
    /// The root.
    pub root: Bridge,
    /// The cost to it.
    pub cost: u32,
    /// The sender.
    pub bridge: Bridge,
    /// Its port.
    pub port: u16,
    /// Seconds since the root spoke.
    pub age: u8,
}

impl Hello {
    /// A root's own, version 0, on port 0x8001.
    pub fn of(bridge: Bridge) -> Self {
        Self { version: 0, flags: 0, root: bridge, cost: 0, bridge, port: 0x8001, age: 0 }
    }

    /// The BPDU: 35 bytes, or 36 of RSTP.
    pub fn bytes(self) -> Vec<u8> {
        let kind = if self.version == 2 { 2 } else { 0 };
        let head = [0, 0, self.version, kind, self.flags];
        let (cost, port) = (self.cost.to_be_bytes(), self.port.to_be_bytes());
        let mut body = [&head[..], &self.root.id(), &cost, &self.bridge.id(), &port].concat();
        body.extend([self.age, 0, 20, 0, 2, 0, 15, 0]);
        body.extend(if self.version == 2 { &[0][..] } else { &[] });
        body
    }

    /// The BPDU with the VLAN behind it, as PVST+ has it.
    pub fn pvst(self, vlan: u16) -> Vec<u8> {
        let mut body = self.bytes();
        body.resize(36, 0);
        [&body[..], &[0, 0, 0, 2], &vlan.to_be_bytes()].concat()
    }
}

/// One end of an aggregated link, as LACP tells it.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// The system.
    pub system: Mac,
    /// Ports with the same key may form one link.
    pub key: u16,
    /// The port.
    pub port: u16,
    /// Activity 0x01, fast 0x02, aggregation 0x04, in step 0x08, collecting 0x10, distributing 0x20, defaulted 0x40, expired 0x80.
    pub state: u8,
}

impl Port {
    /// A port that is active, fast and in step.
    pub fn in_step(system: Mac, port: u16) -> Self {
        Self { system, key: 15, port, state: 0x3f }
    }

    /// Nobody: what is said of a partner that has not been heard.
    pub fn nobody() -> Self {
        Self { system: Mac::ZERO, key: 0, port: 0, state: 0 }
    }

    fn tlv(self, kind: u8) -> Vec<u8> {
        let (key, port) = (self.key.to_be_bytes(), self.port.to_be_bytes());
        [&[kind, 20, 0x80, 0][..], &self.system.0, &key, &[0, 255], &port, &[self.state, 0, 0, 0]].concat()
    }
}

/// A topology change notification: 4 bytes.
pub fn tcn() -> Vec<u8> {
    vec![0, 0, 0, 0x80]
}

impl Link {
    /// An IEEE BPDU in its LLC frame, to the bridges, padded as on a wire.
    pub fn bpdu(self, body: &[u8]) -> Vec<u8> {
        let link = self.to(BRIDGES);
        link.padded(link.llc(0x42, body))
    }

    /// A PVST+ BPDU in its SNAP frame, padded as on a wire.
    pub fn pvst_bpdu(self, body: &[u8]) -> Vec<u8> {
        let link = self.to(PVST);
        link.padded(link.snap([0, 0, 0x0c], 0x010b, body))
    }

    /// GVRP: LLC 42 like STP, but protocol identifier 1; one "join in" for VLAN 20.
    pub fn gvrp(self) -> Vec<u8> {
        let link = self.to(GVRP);
        link.padded(link.llc(0x42, &[0, 1, 1, 4, 2, 0, 20, 0, 0]))
    }

    /// A LACPDU of 110 bytes: actor and partner in step, fast.
    pub fn lacp(self, partner: Mac) -> Vec<u8> {
        let side =
            |kind: u8, mac: Mac| [&[kind, 20, 0x80, 0][..], &mac.0, &[0, 15, 0, 255, 0, 1, 0x3f, 0, 0, 0]].concat();
        let mut body = [&[1, 1][..], &side(1, self.sender()), &side(2, partner), &[3, 16, 0, 0]].concat();
        body.resize(110, 0);
        self.to(SLOW).ethertype(0x8809, &body)
    }

    /// A LACPDU that says of its two ends what is told.
    pub fn lacp_from(self, actor: Port, partner: Port) -> Vec<u8> {
        let mut body = [&[1, 1][..], &actor.tlv(1), &partner.tlv(2), &[3, 16, 0, 0]].concat();
        body.resize(110, 0);
        self.to(SLOW).ethertype(0x8809, &body)
    }

    /// LLDP of a named system and port, 120 s, whose untagged frames are `vlan` and whose port takes frames of 9214 bytes.
    pub fn lldp_with_vlan(self, system: &str, port: &str, vlan: u16) -> Vec<u8> {
        self.lldp_told(system, port, vlan, 9_214)
    }

    /// LLDP of a named system and port, 120 s, whose untagged frames are VLAN 1 and whose port takes frames of `max_frame` bytes.
    pub fn lldp_with_max_frame(self, system: &str, port: &str, max_frame: u16) -> Vec<u8> {
        self.lldp_told(system, port, 1, max_frame)
    }

    fn lldp_told(self, system: &str, port: &str, vlan: u16, max_frame: u16) -> Vec<u8> {
        let tlv = |kind: u8, value: &[u8]| [&[kind << 1, value.len() as u8], value].concat();
        let (mac, [v, w], [x, y]) = (self.sender().0, vlan.to_be_bytes(), max_frame.to_be_bytes());
        let chassis = tlv(1, &[&[4], &mac[..]].concat());
        let named = [tlv(2, &[&[5], port.as_bytes()].concat()), tlv(3, &[0, 120]), tlv(5, system.as_bytes())].concat();
        let port_vlan = tlv(127, &[0x00, 0x80, 0xc2, 1, v, w]);
        let max_frame = tlv(127, &[0x00, 0x12, 0x0f, 4, x, y]);
        let link = self.to(Mac([0x01, 0x80, 0xc2, 0, 0, 0x0e]));
        link.padded(link.ethertype(0x88cc, &[&chassis[..], &named, &port_vlan, &max_frame, &[0, 0]].concat()))
    }

    /// CDP: a device and its port, for 180 s; native VLAN 1 (Cisco's published format, version 2).
    pub fn cdp(self, device: &str, port: &str) -> Vec<u8> {
        let tlv = |kind: u16, value: &[u8]| {
            [&kind.to_be_bytes()[..], &(value.len() as u16 + 4).to_be_bytes(), value].concat()
        };
        let body =
            [&[2, 180, 0, 0][..], &tlv(1, device.as_bytes()), &tlv(3, port.as_bytes()), &tlv(10, &[0, 1])].concat();
        let link = self.to(Mac([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]));
        link.padded(link.snap([0, 0, 0x0c], 0x2000, &body))
    }

    /// A pause frame: stop for so many quanta (IEEE 802.3 annex 31B).
    pub fn pause(self, quanta: u16) -> Vec<u8> {
        let [a, b] = quanta.to_be_bytes();
        self.padded(self.ethertype(0x8808, &[0, 1, a, b]))
    }

    /// LLDP to `group`, which may be the bridges' own: chassis and port by address, 120 s.
    pub fn lldp(self, group: Mac) -> Vec<u8> {
        let mac = self.sender().0;
        let link = self.to(group);
        let body = [&[2, 7, 4][..], &mac, &[4, 7, 3], &mac, &[6, 2, 0, 120, 0, 0]].concat();
        link.padded(link.ethertype(0x88cc, &body))
    }
}
