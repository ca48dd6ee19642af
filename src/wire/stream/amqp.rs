//! AMQP 0-9-1: frames of `type, channel, size, payload, 0xCE` (section 4.2.3). A message is a method that says where it goes, a content header
//! that says how large it is, and its body in further frames (section 4.2.6).

use crate::wire::window::{field, piece};

/// A frame that holds a method.
pub(super) const METHOD: u8 = 1;
/// A frame that holds the header of a content.
pub(super) const HEADER: u8 = 2;
/// A frame that holds a piece of a body.
const BODY: u8 = 3;
/// A frame that says that its sender is there.
const HEARTBEAT: u8 = 8;
/// The byte with which every frame ends.
const END: u8 = 0xce;
/// The class of methods about the connection, and that of those that move messages.
const CONNECTION: u16 = 10;
const BASIC: u16 = 60;
/// Frames of one segment that are read.
const MOST: usize = 64;

/// Part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A method that says where the next message of its channel goes.
    Address(Address<'a>),
    /// The header of a content.
    Header {
        /// The channel.
        channel: u16,
        /// Bytes of the body.
        body: u64,
        /// Bytes of the segment up to the end of the header.
        behind: u32,
    },
    /// The connection is to be closed, for this reason (section 1.8): 320 is that an operator wants it so.
    Close {
        /// The reply code.
        code: u16,
    },
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The channel.
    pub channel: u16,
    /// Whether the broker hands it to a consumer; else a client gives it to the broker.
    pub is_delivery: bool,
    /// To which exchange; empty for the default one.
    pub exchange: &'a [u8],
    /// By which routing key.
    pub routing_key: &'a [u8],
}

/// Whether a payload that begins with `head`, whose first byte is the type of a method's or a content header's frame, begins as AMQP: both are
/// short, and one of the classes 10 to 90.
pub(super) const fn begins(head: &[u8; 20]) -> bool {
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let class = u16::from_be_bytes([head[7], head[8]]);
    size >= 4 && size < 0x1_0000 && class >= 10 && class <= 90
}

/// The parts of messages in `payload`, as far as they are captured.
pub fn parts(payload: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut at = 0_usize;
    let frames = std::iter::from_fn(move || {
        let frame = Frame::at(payload, at)?;
        at = frame.behind;
        Some(frame)
    });
    frames.take(MOST).filter_map(|frame| frame.part())
}

struct Frame<'a> {
    kind: u8,
    channel: u16,
    payload: &'a [u8],
    behind: usize,
}

impl<'a> Frame<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let header: [u8; 7] = piece(bytes, at)?;
        let size = usize::try_from(u32::from_be_bytes(field(&header, 3))).ok()?;
        let begins = at.checked_add(7)?;
        let ends = begins.checked_add(size)?;
        let kind = *header.first()?;
        let is_known = matches!(kind, METHOD | HEADER | BODY | HEARTBEAT);
        let is_ended = bytes.get(ends).is_none_or(|byte| *byte == END);
        let payload = bytes.get(begins..ends.min(bytes.len()))?;
        let frame =
            Self { kind, channel: u16::from_be_bytes(field(&header, 1)), payload, behind: ends.checked_add(1)? };
        (is_known && is_ended).then_some(frame)
    }

    fn part(&self) -> Option<Part<'a>> {
        let class = u16::from_be_bytes(piece(self.payload, 0)?);
        if (self.kind, class) == (METHOD, CONNECTION) {
            let (method, code) = (piece(self.payload, 2)?, piece(self.payload, 4)?);
            return (method == 50_u16.to_be_bytes()).then_some(Part::Close { code: u16::from_be_bytes(code) });
        }
        if class != BASIC {
            return None;
        }
        let channel = self.channel;
        if self.kind == HEADER {
            let (weight, body) =
                (u16::from_be_bytes(piece(self.payload, 2)?), u64::from_be_bytes(piece(self.payload, 4)?));
            // Reserved since 0-9-1 (section 4.2.6.1).
            let behind = u32::try_from(self.behind).ok()?;
            return (weight == 0).then_some(Part::Header { channel, body, behind });
        }
        let mut fields = Fields(self.payload.get(4..)?);
        let is_delivery = match (self.kind, u16::from_be_bytes(piece(self.payload, 2)?)) {
            // Publish: a reserved number.
            (METHOD, 40) => {
                fields.skip(2)?;
                false
            }
            // Deliver: the consumer's tag, the delivery's, and whether it was delivered before.
            (METHOD, 60) => {
                fields.text()?;
                fields.skip(9)?;
                true
            }
            // Get-Ok: the delivery's tag, and whether it was delivered before.
            (METHOD, 71) => {
                fields.skip(9)?;
                true
            }
            _ => return None,
        };
        let (exchange, routing_key) = (fields.text()?, fields.text()?);
        Some(Part::Address(Address { channel, is_delivery, exchange, routing_key }))
    }
}

/// The fields of a method, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// A short string (section 4.2.5.3).
    fn text(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand after section 4.2: a publication on channel 1 to exchange `nova` by key `reply_7f`, of a body of 5.5 GiB.
    const PUBLISH: &[u8] = b"\x01\x00\x01\x00\x00\x00\x15\x00\x3c\x00\x28\x00\x00\x04nova\x08reply_7f\x00\xce";
    const HEAD: &[u8] = b"\x02\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x00\x00\x00\x00\x01\x60\x00\x00\x00\x00\x00\xce";

    #[test]
    fn a_publication_says_where_it_goes_and_how_large_it_is() {
        let bytes = [PUBLISH, HEAD, b"\x03\x00\x01\x00\x02\x00\x00{\"oslo"].concat();
        let address = Address { channel: 1, is_delivery: false, exchange: b"nova", routing_key: b"reply_7f" };
        let behind = u32::try_from(PUBLISH.len() + HEAD.len()).unwrap();
        let header = Part::Header { channel: 1, body: 0x1_6000_0000, behind };
        assert_eq!(parts(&bytes).collect::<Vec<_>>(), [Part::Address(address), header]);
        assert!(begins(bytes.first_chunk().unwrap()) && begins(HEAD.first_chunk().unwrap()));
    }

    #[test]
    fn a_delivery_has_a_consumer_before_it() {
        let bytes =
            b"\x01\x00\x02\x00\x00\x00\x19\x00\x3c\x00\x3c\x02c1\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x06scheds\xce";
        let address = Address { channel: 2, is_delivery: true, exchange: b"", routing_key: b"scheds" };
        assert_eq!(parts(bytes).collect::<Vec<_>>(), [Part::Address(address)]);
    }

    #[test]
    fn a_connection_is_closed_for_a_reason() {
        let close = b"\x01\x00\x00\x00\x00\x00\x12\x00\x0a\x00\x32\x01\x40\x07because\x00\x00\x00\x00\xce";
        assert_eq!(parts(close).collect::<Vec<_>>(), [Part::Close { code: 320 }]);
        assert!(begins(close.first_chunk().unwrap()));
        // Close-Ok.
        assert_eq!(parts(b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x33\xce").count(), 0);
    }

    #[test]
    fn what_does_not_end_as_a_frame_is_none() {
        let mut bytes = [PUBLISH, HEAD].concat();
        let end = PUBLISH.len() - 1;
        bytes[end] = 0;
        assert_eq!(parts(&bytes).count(), 0);
        assert_eq!(parts(&PUBLISH[..12]).count(), 0);
        assert_eq!(parts(&[0xff; 64]).count(), 0);
        assert_eq!(parts(&[8, 0, 0, 0, 0, 0, 0, END].repeat(1_000)).count(), 0);
    }
}
