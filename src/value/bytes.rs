//! Amounts of bytes as a person says them.

use std::fmt;

/// Bytes, shown in decimal units with one digit behind the point: `5.5 GB`, `200 kB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Units above the byte (ISO 80000-13), each a thousand times the one before.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return write!(f, "{} bytes", self.0);
        }
        // In tenths of the unit, rounded; what rounds up to a thousand is one of the next.
        let (mut tenth, mut unit) = (100_u64, 0_usize);
        let tenths = loop {
            let tenths = self.0.saturating_add(tenth / 2).div_euclid(tenth);
            if tenths < 10_000 {
                break tenths;
            }
            (tenth, unit) = (tenth.saturating_mul(1_000), unit.saturating_add(1));
        };
        let name = UNITS.get(unit).copied().unwrap_or("EB");
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, part) => write!(f, "{whole}.{part} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_unit_that_fits() {
        let said: Vec<String> =
            [0, 999, 1_000, 200_000, 999_960, 5_905_580_032, u64::MAX].map(|n| Bytes(n).to_string()).into();
        assert_eq!(said, ["0 bytes", "999 bytes", "1 kB", "200 kB", "1 MB", "5.9 GB", "18.4 EB"]);
    }
}
