//! gzip (RFC 1952) with several members. Kept apart from `flate2`'s own reader because that throws away what it unpacked in the call that finds the damage.
//! Not handled: the file name, comment and time of a member.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Bytes unpacked at once; at least deflate's window of 32 KiB, which the inflater hands out whole before it tells of damage.
const PIECE: usize = 64 * 1024;

/// RFC 1952, 2.3.1: a checksum of the header follows it.
const HEADER_CRC: u8 = 0x02;
/// RFC 1952, 2.3.1: an extra field follows.
const EXTRA: u8 = 0x04;
/// RFC 1952, 2.3.1: a name follows, then zero.
const NAME: u8 = 0x08;
/// RFC 1952, 2.3.1: a comment follows, then zero.
const COMMENT: u8 = 0x10;
/// RFC 1952, 2.3.1.2: must be zero.
const RESERVED: u8 = 0xe0;

/// Unpacks gzip members one after the other.
pub(super) struct Gunzip {
    from: Box<dyn BufRead + Send>,
    inflate: Decompress,
    crc: Crc,
    ready: Vec<u8>,
    start: usize,
    end: usize,
    next: Next,
}

/// What comes next in the packed stream.
enum Next {
    /// A member, or the end.
    Header,
    /// More of a member.
    Body,
    /// The checksum and length of a member.
    Trailer,
    /// Nothing: it is damaged.
    Damage(ErrorKind, &'static str),
    /// Nothing: the damage was told.
    Nothing,
}

impl Gunzip {
    /// An unpacker of `from`.
    pub(super) fn new(from: Box<dyn BufRead + Send>) -> Self {
        let inflate = Decompress::new(false);
        Self { from, inflate, crc: Crc::new(), ready: vec![0; PIECE], start: 0, end: 0, next: Next::Header }
    }

    /// The header of a member; `false` at the end of the stream.
    fn header(&mut self) -> io::Result<bool> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let [0x1f, 0x8b, method, flags, _, _, _, _, _, _] = self.exact()? else {
            return Err(damage("after the end of a gzip stream there are bytes that are none"));
        };
        if method != 8 || flags & RESERVED != 0 {
            return Err(damage("a gzip header asks for something that no standard knows"));
        }
        if flags & EXTRA != 0 {
            let length = u64::from(u16::from_le_bytes(self.exact()?));
            if io::copy(&mut (&mut self.from).take(length), &mut io::sink())? < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && self.exact()? != [0] {}
        }
        if flags & HEADER_CRC != 0 {
            self.exact::<2>()?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        Ok(true)
    }

    /// Unpacks a piece into `ready`, and says what comes next.
    fn body(&mut self) -> io::Result<Next> {
        let input = self.from.fill_buf()?;
        let is_over = input.is_empty();
        let (was_in, was_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, &mut self.ready, FlushDecompress::None);
        let taken = self.inflate.total_in().saturating_sub(was_in);
        let given = self.inflate.total_out().saturating_sub(was_out);
        self.from.consume(usize::try_from(taken).unwrap_or_default());
        (self.start, self.end) = (0, usize::try_from(given).unwrap_or_default());
        self.crc.update(self.ready.get(..self.end).unwrap_or_default());
        Ok(match status {
            Ok(Status::StreamEnd) => Next::Trailer,
            Ok(_) if given == 0 && is_over => Next::Damage(ErrorKind::UnexpectedEof, "it ends in the middle"),
            Ok(_) if given == 0 && taken == 0 => Next::Damage(ErrorKind::InvalidData, "it does not go on"),
            Ok(_) => Next::Body,
            Err(_) => Next::Damage(ErrorKind::InvalidData, "a code that deflate does not know"),
        })
    }

    /// Compares what was unpacked with the checksum and length of its member.
    fn trailer(&mut self) -> io::Result<()> {
        let sum = u32::from_le_bytes(self.exact()?);
        let amount = u32::from_le_bytes(self.exact()?);
        if (sum, amount) == (self.crc.sum(), self.crc.amount()) {
            return Ok(());
        }
        Err(damage("its checksum does not agree with what was unpacked"))
    }

    fn exact<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Gunzip {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            // Whatever fails below has failed for good.
            match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Header if !self.header()? => return Ok(0),
                Next::Header => self.next = Next::Body,
                Next::Body => self.next = self.body()?,
                Next::Trailer => {
                    self.trailer()?;
                    self.next = Next::Header;
                }
                Next::Damage(kind, why) => return Err(io::Error::new(kind, why)),
                Next::Nothing => return Ok(0),
            }
        }
        let mut ready = self.ready.get(self.start..self.end).unwrap_or_default();
        let count = ready.read(to)?;
        self.start = self.start.saturating_add(count);
        Ok(count)
    }
}

fn damage(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// `netdiag` in one stored block of deflate (RFC 1951, 3.2.4), with every optional field of the header; the sum is zlib's.
    const MEMBER: &[u8] =
        b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x03\0abcname\0comment\0hc\x01\x07\0\xf8\xffnetdiag\xc6\x0e\xfc\x4e\x07\0\0\0";

    fn read(parts: &[&[u8]]) -> (Vec<u8>, Option<String>) {
        let mut out = Vec::new();
        let mut from = Gunzip::new(Box::new(Cursor::new(parts.concat())));
        let trouble = from.read_to_end(&mut out).err().map(|e| e.to_string());
        assert_eq!(from.read(&mut [0]).unwrap(), 0, "trouble is told once");
        (out, trouble)
    }

    #[test]
    fn members_follow_each_other() {
        assert_eq!(read(&[MEMBER, MEMBER]), (b"netdiagnetdiag".to_vec(), None));
    }

    #[test]
    fn damage_is_told_after_what_came_before() {
        let cut = read(&[MEMBER, &MEMBER[..MEMBER.len() - 11]]);
        assert_eq!(cut, (b"netdiagnetd".to_vec(), Some("it ends in the middle".into())));
        let mut wrong = MEMBER.to_vec();
        *wrong.last_mut().unwrap() = 1;
        assert_eq!(read(&[&wrong]).1.as_deref(), Some("its checksum does not agree with what was unpacked"));
        assert_eq!(read(&[MEMBER, b"more than ten bytes"]).0, b"netdiag");
        assert!(read(&[MEMBER, b"\x1f\x8b"]).1.is_some());
        // A stored block, then one of the reserved type 3 (RFC 1951, 3.2.3).
        let bad = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\0\x07\0\xf8\xffnetdiag\x07";
        assert_eq!(read(&[bad]), (b"netdiag".to_vec(), Some("a code that deflate does not know".into())));
    }
}
