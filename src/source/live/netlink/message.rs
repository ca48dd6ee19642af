//! The frame of netlink (RFC 3549 section 2.3, netlink(7)): messages in a datagram, attributes in a message; all numbers in the machine's byte order.
//! Kept apart from what they mean. Attributes that netdiag does not know are passed over, so that a newer kernel is no trouble.

use crate::value::Outside;

/// Bytes of a message header.
pub(in crate::source::live) const HEADER: usize = 16;
/// `NLMSG_ERROR`, `NLMSG_DONE`, `NLMSG_OVERRUN` (linux/netlink.h).
pub(in crate::source::live) const ERROR: u16 = 2;
/// The end of an answer.
pub(in crate::source::live) const DONE: u16 = 3;
/// The kernel says that messages were lost.
pub(in crate::source::live) const OVERRUN: u16 = 4;
/// `NLM_F_DUMP_INTR`: the answer is not of one moment.
pub(in crate::source::live) const INTERRUPTED: u16 = 0x10;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const ASK_FOR_ALL: u16 = 0x301;
/// The bits of an attribute's type that are its type: the others say "nested" and "big-endian".
const TYPE: u16 = 0x3fff;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::live) struct Message<'a> {
    /// What it is: `RTM_NEWLINK`, …
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The number of the request that it answers; 0 for news.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of a datagram; ends, and says so, where a length makes no sense.
#[derive(Debug)]
pub(in crate::source::live) struct Messages<'a> {
    rest: &'a [u8],
}

/// A datagram whose lengths make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::live) struct Broken;

/// One attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::live) struct Attribute<'a> {
    /// What it is, without the bits that tell how it is written.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

/// The attributes of a message, or inside an attribute; ends where a length makes no sense.
#[derive(Clone, Debug)]
pub(in crate::source::live) struct Attributes<'a> {
    rest: &'a [u8],
}

/// The messages of `datagram`.
pub(in crate::source::live) const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// The attributes in `bytes`.
pub(in crate::source::live) const fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// A request for all there is of `kind`, with `body` after the header.
pub(in crate::source::live) fn request(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
    let header = [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &ASK_FOR_ALL.to_ne_bytes(),
        &sequence.to_ne_bytes(),
        // The kernel knows who asks.
        &[0; 4],
        body,
    ];
    header.concat()
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = split(&mut self.rest);
        if message.is_none() {
            self.rest = &[];
        }
        Some(message.ok_or(Broken))
    }
}

fn split<'a>(rest: &mut &'a [u8]) -> Option<Message<'a>> {
    let whole: &'a [u8] = rest;
    let length = usize::try_from(u32_at(whole, 0)?).ok()?;
    let body = whole.get(HEADER..length)?;
    *rest = whole.get(aligned(length)..).unwrap_or(&[]);
    Some(Message { kind: u16_at(whole, 4)?, flags: u16_at(whole, 6)?, sequence: u32_at(whole, 8)?, body })
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let whole = self.rest;
        let length = usize::from(u16_at(whole, 0)?);
        let kind = u16_at(whole, 2)? & TYPE;
        let Some(value) = whole.get(4..length) else {
            self.rest = &[];
            return None;
        };
        self.rest = whole.get(aligned(length)..).unwrap_or(&[]);
        Some(Attribute { kind, value })
    }
}

impl<'a> Attribute<'a> {
    /// The value as one byte.
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// The value as two bytes.
    pub fn u16(&self) -> Option<u16> {
        u16_at(self.value, 0)
    }

    /// The value as two bytes in network order, as the kernel keeps EtherTypes.
    pub fn u16_of_network(&self) -> Option<u16> {
        self.u16().map(u16::from_be)
    }

    /// The value as four bytes.
    pub fn u32(&self) -> Option<u32> {
        u32_at(self.value, 0)
    }

    /// The value as an array of exactly `N` bytes.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.value.try_into().ok()
    }

    /// The value as text without its end mark. Names are bytes to the kernel: they need not be UTF-8.
    pub fn text(&self) -> Outside {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        Outside::from_bytes(self.value.get(..end).unwrap_or_default())
    }

    /// The attributes inside the value.
    pub const fn nested(&self) -> Attributes<'a> {
        attributes(self.value)
    }
}

/// Two bytes of `bytes` from `at`.
pub(in crate::source::live) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

/// Four bytes of `bytes` from `at`.
pub(in crate::source::live) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// Messages and attributes begin at multiples of four.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_request_is_what_iproute2_sends() {
        // `ip link` under strace: RTM_GETLINK, NLM_F_REQUEST|NLM_F_DUMP, and a body of one attribute.
        let bytes = request(18, 7, &[0x11, 0, 0, 0]);
        assert_eq!(bytes, [20, 0, 0, 0, 18, 0, 1, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0x11, 0, 0, 0]);
        let message = messages(&bytes).next().unwrap().unwrap();
        assert_eq!((message.kind, message.sequence, message.body), (18, 7, &[0x11, 0, 0, 0][..]));
    }

    #[test]
    fn lengths_that_make_no_sense_end_it() {
        let mut bytes = request(18, 1, &[1, 2, 3]);
        bytes.extend([0; 1]);
        bytes.extend(request(19, 2, &[]));
        let kinds: Vec<u16> = messages(&bytes).map(|m| m.unwrap().kind).collect();
        assert_eq!(kinds, [18, 19], "the second begins at a multiple of four");
        for cut in 1..bytes.len() {
            let is_whole = messages(&bytes[..cut]).all(|message| message.is_ok());
            assert_eq!(is_whole, [19, 20].contains(&cut), "{cut}");
        }
        assert_eq!(messages(&[3, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).next(), Some(Err(Broken)));
        let short = [3u16.to_ne_bytes(), 1u16.to_ne_bytes()].concat();
        assert_eq!(attributes(&short).next(), None);
        let long = [9u16.to_ne_bytes(), 1u16.to_ne_bytes(), [0, 0]].concat();
        assert_eq!(attributes(&long).next(), None);
    }

    #[test]
    fn an_attribute_is_text_number_or_nest() {
        let inner = [6u16.to_ne_bytes(), 1u16.to_ne_bytes(), 20u16.to_ne_bytes(), [0, 0]].concat();
        let outer = [&12u16.to_ne_bytes()[..], &(0x8000u16 | 18).to_ne_bytes(), &inner].concat();
        let nest = attributes(&outer).next().unwrap();
        assert_eq!((nest.kind, nest.nested().next().and_then(|a| a.u16())), (18, Some(20)));
        let name = Attribute { kind: 3, value: b"eth\xff\x1b\0\0" };
        assert_eq!(name.text().to_string(), "eth\\xff\\u{1b}");
        assert_eq!((name.u8(), Attribute { kind: 3, value: &[] }.u32()), (Some(b'e'), None));
    }
}
