//! DHCP options (RFC 2132): in order, through overloaded fields (option 52), and joined where they were split (RFC 3396).

use std::net::Ipv4Addr;

/// Where an option stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Area {
    /// The option field.
    Options,
    /// The `file` field, by overload.
    File,
    /// The `sname` field, by overload.
    Sname,
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DhcpOption<'a> {
    /// Its number, 1 to 254.
    pub code: u8,
    /// Its value.
    pub value: &'a [u8],
    /// Where it stands.
    pub area: Area,
}

/// The options of a message, in order.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    file: &'a [u8],
    sname: &'a [u8],
    area: Area,
    overload: u8,
    has_end: bool,
    is_overrun: bool,
}

/// The value of an option, in as many pieces as it was split into.
#[derive(Clone, Debug)]
pub struct OptionValue<'a> {
    first: &'a [u8],
    behind: Options<'a>,
    code: u8,
}

/// Numbers of the options of a message, by their remainders of 31: of most that are not among them it tells so. The lowest bit tells whether
/// the options end as they should.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held(u32);

impl<'a> Options<'a> {
    pub(super) const fn new(options: &'a [u8], file: &'a [u8], sname: &'a [u8]) -> Self {
        Self { rest: options, file, sname, area: Area::Options, overload: 0, has_end: false, is_overrun: false }
    }

    /// The next option with this number; what is passed over is not looked at.
    fn next_of(&mut self, code: u8) -> Option<DhcpOption<'a>> {
        loop {
            // Padding and the end have no length, and an overload tells of other fields: those are for `next`.
            while let [other, len, behind @ ..] = self.rest
                && *other != code
                && !matches!(other, 0 | 52 | 255)
                && let Some(rest) = behind.get(usize::from(*len)..)
            {
                self.rest = rest;
            }
            let option = self.next()?;
            if option.code == code {
                return Some(option);
            }
        }
    }

    /// Goes on in the next overloaded field; `false` if there is none.
    fn go_on(&mut self) -> bool {
        let file = self.area == Area::Options && self.overload & 1 != 0;
        let sname = self.area != Area::Sname && self.overload & 2 != 0;
        if file {
            (self.area, self.rest) = (Area::File, self.file);
        } else if sname {
            (self.area, self.rest) = (Area::Sname, self.sname);
        } else {
            self.rest = &[];
        }
        file || sname
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = DhcpOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.rest {
                [] => {
                    if !self.go_on() {
                        return None;
                    }
                }
                [0, behind @ ..] => self.rest = behind,
                [255, ..] => {
                    self.has_end |= self.area == Area::Options;
                    self.rest = &[];
                }
                [code, behind @ ..] => {
                    let value = behind.split_first().and_then(|(len, behind)| behind.split_at_checked((*len).into()));
                    let Some((value, rest)) = value else {
                        self.is_overrun = true;
                        self.rest = &[];
                        continue;
                    };
                    self.rest = rest;
                    if *code == 52 && self.area == Area::Options {
                        self.overload = value.first().copied().unwrap_or(0);
                    }
                    return Some(DhcpOption { code: *code, value, area: self.area });
                }
            }
        }
    }
}

impl<'a> OptionValue<'a> {
    pub(super) fn find(mut options: Options<'a>, code: u8) -> Option<Self> {
        let first = options.next_of(code)?;
        Some(Self { first: first.value, behind: options, code })
    }

    /// The first piece; the whole value unless it was split.
    pub const fn first(&self) -> &'a [u8] {
        self.first
    }

    /// The pieces, in order; together they are the value.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (code, mut behind) = (self.code, self.behind.clone());
        std::iter::once(self.first).chain(std::iter::from_fn(move || Some(behind.next_of(code)?.value)))
    }

    /// The whole value, by itself.
    pub fn to_bytes(&self) -> Box<[u8]> {
        let mut whole = self.first.to_vec();
        self.pieces().skip(1).for_each(|piece| whole.extend_from_slice(piece));
        whole.into()
    }

    /// Whether the whole value is `bytes`.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let mut rest = Some(bytes);
        self.pieces().for_each(|piece| rest = rest.and_then(|rest| rest.strip_prefix(piece)));
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.pieces().fold(0, |sum, piece| sum.saturating_add(piece.len()))
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `N` bytes, over pieces; `None` if there are fewer.
    pub fn fixed<const N: usize>(&self) -> Option<[u8; N]> {
        if let Some(whole) = self.first.first_chunk() {
            return Some(*whole);
        }
        let mut out = [0; N];
        let mut bytes = self.pieces().flatten();
        for byte in &mut out {
            *byte = *bytes.next()?;
        }
        Some(out)
    }

    /// The value as one byte.
    pub fn byte(&self) -> Option<u8> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    /// The value as 16 bits.
    pub fn short(&self) -> Option<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// The value as 32 bits.
    pub fn word(&self) -> Option<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// The value as an address.
    pub fn ip(&self) -> Option<Ipv4Addr> {
        self.fixed::<4>().map(Ipv4Addr::from)
    }
}

/// The value of the first option `code` in `field`; `None` also where that tells of another field before.
pub(super) fn first_of(mut field: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        match field {
            [0, behind @ ..] => field = behind,
            [52 | 255, ..] => return None,
            [other, len, behind @ ..] if *other == code => return behind.get(..usize::from(*len)),
            [_, len, behind @ ..] => field = behind.get(usize::from(*len)..)?,
            _ => return None,
        }
    }
}

impl Held {
    /// Those of `options`.
    pub fn of(mut options: Options<'_>) -> Self {
        let held = options.by_ref().fold(0, |held, option| held | Self::bit(option.code));
        Self(held | u32::from(options.has_end && !options.is_overrun))
    }

    /// Whether the options end, and none is longer than its field.
    pub const fn is_sound(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the option `code` may be among them.
    #[inline]
    pub const fn may_hold(self, code: u8) -> bool {
        self.0 & Self::bit(code) != 0
    }

    const fn bit(code: u8) -> u32 {
        2 << (code % 31)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DhcpKind;
    use super::*;

    #[test]
    fn a_split_option_is_one_value() {
        // Written by hand after RFC 3396: option 51 in halves, with option 53 between.
        let options = [51, 2, 0, 0, 53, 1, 2, 51, 2, 0x0e, 0x10, 255];
        let value = OptionValue::find(Options::new(&options, &[], &[]), 51).unwrap();
        assert_eq!((value.word(), value.len(), value.first()), (Some(3_600), 4, &[0, 0][..]));
        assert_eq!(*value.to_bytes(), [0, 0, 0x0e, 0x10]);
        assert!(value.is(&[0, 0, 0x0e, 0x10]) && !value.is(&[0, 0, 0x0e]) && !value.is(&[0, 0, 0x0e, 0x10, 0]));
        let kind = OptionValue::find(Options::new(&options, &[], &[]), 53).unwrap().byte().map(DhcpKind::from_number);
        assert_eq!(kind, Some(DhcpKind::Offer));
        let held = Held::of(Options::new(&options, &[], &[]));
        assert!(held.is_sound() && held.may_hold(51) && held.may_hold(53) && !held.may_hold(54));
        assert_eq!(
            (first_of(&options, 53), first_of(&options, 51), first_of(&options, 54)),
            (Some(&[2][..]), Some(&[0, 0][..]), None)
        );
    }

    #[test]
    fn overload_goes_on_in_file_and_then_in_sname() {
        // Written by hand after RFC 2131 section 4.1.
        let options = [52, 1, 3, 255];
        let all: Vec<_> = Options::new(&options, &[12, 1, b'a', 255, 7], &[15, 1, b'b', 0]).collect();
        let found: Vec<_> = all.iter().map(|o| (o.code, o.value, o.area)).collect();
        let expected = [(52, &[3][..], Area::Options), (12, &[b'a'][..], Area::File), (15, &[b'b'][..], Area::Sname)];
        assert_eq!(found, expected);
    }

    #[test]
    fn options_are_sound_that_end_in_their_field() {
        let is_sound = |options: &[u8]| Held::of(Options::new(options, &[], &[])).is_sound();
        assert!(is_sound(&[53, 1, 1, 0, 0, 255]));
        assert!(!is_sound(&[53, 1, 1]) && !is_sound(&[53, 1, 1, 12, 9, b'x', 255]));
        // A file field that overloads itself would never end.
        let looped = [52, 1, 1, 255];
        assert_eq!(Options::new(&looped, &looped, &[]).count(), 2);
    }
}
