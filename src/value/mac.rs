//! The 48-bit MAC address and its prefixes (IEEE 802-2014 clause 8). Lists of them live in the settings, not here.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A 48-bit MAC address, in wire order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The group address of bridges (IEEE 802.1Q-2018 table 8-1).
    pub const BRIDGES: Self = Self([0x01, 0x80, 0xc2, 0, 0, 0]);
    /// The group address of bridges that speak PVST+.
    pub const PVST: Self = Self([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd]);
    /// ff:ff:ff:ff:ff:ff, to every station.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// 00:00:00:00:00:00, which no station has.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether the group bit is set: multicast or broadcast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether one station can own it: neither group nor zero.
    pub fn is_station(self) -> bool {
        !self.is_group() && self != Self::ZERO
    }

    /// Whether the address starts with the bytes of `prefix`.
    pub fn starts_with(self, prefix: &[u8]) -> bool {
        self.0.starts_with(prefix)
    }

    /// The address that libvirt gives a guest's tap: the guest's own with fe in front.
    pub const fn of_tap(self) -> Self {
        let [_, b, c, d, e, f] = self.0;
        Self([0xfe, b, c, d, e, f])
    }
}

/// The first bytes of addresses that one maker or program gives out, one to six.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacPrefix {
    bytes: Mac,
    len: usize,
}

impl MacPrefix {
    /// Whether `mac` begins so.
    pub fn matches(self, mac: Mac) -> bool {
        mac.0.iter().zip(self.bytes.0).take(self.len).all(|(a, b)| *a == b)
    }

    /// Whether `mac` is what libvirt makes of an address that begins so for the guest's tap: a prefix of one byte tells nothing then.
    pub fn matches_tap(self, mac: Mac) -> bool {
        let tap = Self { bytes: self.bytes.of_tap(), ..self };
        self.len > 1 && tap.matches(mac)
    }
}

impl Hash for Mac {
    /// As one number, which a hasher takes in one step.
    fn hash<H: Hasher>(&self, to: &mut H) {
        let [a, b, c, d, e, f] = self.0;
        to.write_u64(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digit = |four: u8| DIGITS.get(usize::from(four)).copied().unwrap_or(b'0');
        // Addresses are written in every line of every report: a format of six numbers takes five times as long.
        let mut text = [b':'; 17];
        for (place, byte) in text.chunks_mut(3).zip(self.0) {
            if let [high, low, ..] = place {
                (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ();

    /// Reads six pairs of hexadecimal digits with colons between.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl FromStr for MacPrefix {
    type Err = ();

    /// Reads one to six pairs of hexadecimal digits with colons between.
    fn from_str(text: &str) -> Result<Self, ()> {
        let len = text.split(':').count();
        let rest = "00:".repeat(Mac::ZERO.0.len().saturating_sub(len));
        let bytes = format!("{text}:{rest}").trim_end_matches(':').parse()?;
        Ok(Self { bytes, len })
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes.to_string();
        f.write_str(text.get(..self.len.saturating_mul(3).saturating_sub(1)).unwrap_or_default())
    }
}

impl Serialize for MacPrefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MacPrefix {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(|()| serde::de::Error::custom("not the beginning of a MAC address such as fa:16:3e"))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(|()| serde::de::Error::custom("not a MAC address such as fa:16:3e:12:34:56"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_colons() {
        let mac: Mac = "fa:16:3e:24:e7:22".parse().unwrap();
        assert_eq!(mac.to_string(), "fa:16:3e:24:e7:22");
        assert!(mac.is_station());
        assert_eq!(mac.of_tap().to_string(), "fe:16:3e:24:e7:22");
        assert!("fa:16:3e:24:e7".parse::<Mac>().is_err());
        assert!("fa:16:3e:24:e7:22:00".parse::<Mac>().is_err());
        assert!(!Mac::BROADCAST.is_station());
    }

    #[test]
    fn a_prefix_is_one_byte_to_six() {
        let mac: Mac = "fa:16:3e:24:e7:22".parse().unwrap();
        let prefix: MacPrefix = "FA:16:3e".parse().unwrap();
        assert_eq!(prefix.to_string(), "fa:16:3e");
        assert!(prefix.matches(mac) && prefix.matches_tap(mac.of_tap()) && !prefix.matches_tap(mac));
        let (short, whole) = ("fa".parse::<MacPrefix>().unwrap(), "fa:16:3e:24:e7:22".parse::<MacPrefix>().unwrap());
        assert!(short.matches(mac) && !short.matches_tap(mac.of_tap()) && whole.matches(mac));
        for wrong in ["", "fa:", "fa16", "fa:16:3e:24:e7:22:01", "zz"] {
            assert!(wrong.parse::<MacPrefix>().is_err(), "{wrong}");
        }
    }
}
