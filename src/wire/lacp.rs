//! Link aggregation control (IEEE 802.1AX-2014 clause 6.4.2.3): actor and partner. The collector and what version 2 adds are not read.

use std::fmt;

use super::stop::Why;
use super::window::{Window, field};
use crate::value::Mac;

/// A LACPDU.
#[derive(Clone, Copy, Debug)]
pub struct Lacp<'a> {
    header: &'a [u8; 42],
}

/// What a LACPDU says of one end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LacpEnd {
    /// Priority of the system; lower decides.
    pub system_priority: u16,
    /// The system.
    pub system: Mac,
    /// Ports with the same key may form one link.
    pub key: u16,
    /// Priority of the port.
    pub port_priority: u16,
    /// The port.
    pub port: u16,
    /// Activity 0x01, short timeout 0x02, aggregation 0x04, synchronisation 0x08, collecting 0x10, distributing 0x20, defaulted 0x40, expired 0x80.
    pub state: u8,
}

impl<'a> Lacp<'a> {
    /// Reads from the subtype on, which is 1.
    pub(super) fn parse(window: &mut Window<'a>) -> Result<Self, Why> {
        let header = window.take::<42>()?;
        match header {
            [_, _, 1, 20, ..] => {}
            _ => return Err(Why::Bad("the actor of a LACPDU is not type 1, length 20")),
        }
        if field::<2>(header, 22) != [2, 20] {
            return Err(Why::Bad("the partner of a LACPDU is not type 2, length 20"));
        }
        window.take_all();
        Ok(Self { header })
    }

    /// The version.
    pub const fn version(&self) -> u8 {
        self.header[1]
    }

    /// What the sender says of itself.
    pub fn actor(&self) -> LacpEnd {
        self.end(4)
    }

    /// What the sender believes of the other end.
    pub fn partner(&self) -> LacpEnd {
        self.end(24)
    }

    fn end(&self, at: usize) -> LacpEnd {
        let [p, q, a, b, c, d, e, g, k, l, r, s, m, n, state] = field::<15>(self.header, at);
        LacpEnd {
            system_priority: u16::from_be_bytes([p, q]),
            system: Mac([a, b, c, d, e, g]),
            key: u16::from_be_bytes([k, l]),
            port_priority: u16::from_be_bytes([r, s]),
            port: u16::from_be_bytes([m, n]),
            state,
        }
    }
}

impl LacpEnd {
    /// Whether it speaks without being spoken to.
    pub const fn is_active(&self) -> bool {
        self.state & 0x01 != 0
    }

    /// Whether it wants a LACPDU each second, not each thirty.
    pub const fn is_fast(&self) -> bool {
        self.state & 0x02 != 0
    }

    /// Whether the port may be one of several.
    pub const fn is_aggregatable(&self) -> bool {
        self.state & 0x04 != 0
    }

    /// Whether the port is in the right aggregate.
    pub const fn is_synchronised(&self) -> bool {
        self.state & 0x08 != 0
    }

    /// Whether frames are taken in.
    pub const fn is_collecting(&self) -> bool {
        self.state & 0x10 != 0
    }

    /// Whether frames are sent out.
    pub const fn is_distributing(&self) -> bool {
        self.state & 0x20 != 0
    }

    /// Whether it uses settings of its own for a partner that never spoke.
    pub const fn is_defaulted(&self) -> bool {
        self.state & 0x40 != 0
    }

    /// Whether the partner has been silent too long.
    pub const fn is_expired(&self) -> bool {
        self.state & 0x80 != 0
    }
}

impl fmt::Display for Lacp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (actor, partner) = (self.actor(), self.partner());
        write!(f, "LACP actor {} key {} port {} state 0x{:02x}", actor.system, actor.key, actor.port, actor.state)?;
        write!(f, ", partner {} state 0x{:02x}", partner.system, partner.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after IEEE 802.1AX-2014 figure 6-7.
    fn pdu() -> Vec<u8> {
        let mut bytes = vec![1, 1, 1, 20, 0x80, 0, 0x00, 0x1c, 0x73, 0, 0, 1, 0, 9, 0x80, 0, 0, 3, 0x3d, 0, 0, 0];
        bytes.extend([2, 20, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x42, 0, 0, 0]);
        bytes.resize(110, 0);
        bytes
    }

    #[test]
    fn both_ends() {
        let bytes = pdu();
        let lacp = Lacp::parse(&mut Window::new(&bytes, 110)).unwrap();
        let text = "LACP actor 00:1c:73:00:00:01 key 9 port 3 state 0x3d, partner 00:00:00:00:00:00 state 0x42";
        assert_eq!(lacp.to_string(), text);
        let (actor, partner) = (lacp.actor(), lacp.partner());
        assert!(actor.is_active() && actor.is_synchronised() && actor.is_distributing() && !actor.is_fast());
        assert!(partner.is_fast() && partner.is_defaulted() && !partner.is_collecting() && !partner.is_expired());
        assert_eq!((actor.system_priority, actor.port_priority, lacp.version()), (0x8000, 0x8000, 1));
    }

    #[test]
    fn what_is_not_an_actor_is_bad() {
        let mut bytes = pdu();
        bytes[23] = 19;
        assert!(matches!(Lacp::parse(&mut Window::new(&bytes, 110)), Err(Why::Bad(_))));
        assert_eq!(Lacp::parse(&mut Window::new(&bytes[..40], 110)).unwrap_err(), Why::Cut { need: 42, have: 40 });
    }
}
