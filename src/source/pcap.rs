//! pcap files (draft-ietf-opsawg-pcap): micro- and nanoseconds, both byte orders, versions 2.0 to 2.x, and the "modified" record header of Alexey Kuznetsov's patches.
//! Not handled: the further variants that Wireshark guesses from the contents (AIX, Nokia, Red Hat's SS990915), and versions 1.x and 543.0.

use super::error::{Part, SourceError, Trouble};
use super::packing::{Packing, format_name};
use super::scout::Scout;
use super::unpack::Position;
use super::window::{Order, Window};
use super::{Interface, Source, Step, Told};
use crate::event::{Direction, Offload, Record};
use crate::value::{Outside, Timestamp};
use crate::wire::LinkType;

/// Bytes of the file header.
const FILE_HEADER: usize = 24;
/// Bytes of a record header.
const HEADER: usize = 16;
/// Bytes of a record header in the modified format: an interface index, a protocol and a packet type more.
const MODIFIED_HEADER: usize = 24;
/// Longest record that is taken, whatever the file header says: tcpdump's and Wireshark's largest snap length.
const MOST: u32 = 262_144;

/// A pcap file that is being read.
pub(super) struct Pcap {
    path: Outside,
    window: Window,
    position: Position,
    packing: Option<Packing>,
    layout: Layout,
    interface: [Interface; 1],
    number: u64,
    found: Found,
    is_over: bool,
}

/// How the records of a file are laid out.
#[derive(Clone, Copy)]
struct Layout {
    order: Order,
    header: usize,
    /// Nanoseconds in a unit of the fraction.
    unit: i64,
    swap: Swap,
}

/// Which of the two lengths comes first.
#[derive(Clone, Copy)]
enum Swap {
    /// The captured one.
    No,
    /// The captured one or the other; the captured one is never the larger.
    Maybe,
    /// The original one.
    Yes,
}

/// The record at the beginning of the window.
#[derive(Clone, Copy, Default)]
struct Found {
    time: Timestamp,
    wire_len: u32,
    /// Bytes with the header; 0 before the first record.
    span: usize,
}

impl Pcap {
    /// Whether these are the first bytes of a pcap file.
    pub(super) fn is_magic(first: &[u8]) -> bool {
        Layout::from_magic(first).is_some()
    }

    /// Reads the file header at the beginning of `window`.
    pub(super) fn new(
        path: Outside,
        mut window: Window,
        packing: Option<Packing>,
        position: Position,
    ) -> Result<Self, SourceError> {
        window.fill(FILE_HEADER);
        let header = Layout::from_magic(window.bytes())
            .and_then(|layout| Some((layout, layout.order.words::<6>(window.bytes())?)));
        let Some((mut layout, [_, version, _, _, snap_len, link])) = header else {
            let kind = window.cut("file header", FILE_HEADER);
            return Err(SourceError::whole(path, kind));
        };
        let (major, minor) = layout.order.halves(version);
        if major != 2 {
            return Err(SourceError::whole(path, Trouble::Version { major, minor, known: 2 }));
        }
        // libpcap: the lengths were the other way round before 2.3; in 2.3 some writers did so and some did not.
        layout.swap = match minor {
            0..=2 => Swap::Yes,
            3 => Swap::Maybe,
            _ => Swap::No,
        };
        window.skip(FILE_HEADER);
        let interface = Interface {
            name: None,
            description: None,
            // The upper half holds the length of a frame check sequence and reserved bits.
            link: LinkType::from_pcap(link & 0xffff),
            snap_len,
            filter: None,
            tells_offload: false,
            dropped: 0,
            missed: 0,
            end: None,
        };
        Ok(Self {
            path,
            window,
            position,
            packing,
            layout,
            interface: [interface],
            number: 0,
            found: Found::default(),
            is_over: false,
        })
    }

    /// Moves to the next record.
    fn step(&mut self) -> Result<Step, Trouble> {
        self.window.skip(self.found.span);
        self.found.span = 0;
        let header = self.layout.header;
        let have = self.window.fill(header);
        if have == 0 && !self.window.has_trouble() {
            return Ok(Step::End);
        }
        self.number = self.number.saturating_add(1);
        let Some(found) = self.layout.found(self.window.bytes()) else {
            return Err(self.window.cut("record header", header));
        };
        if found.captured(header) > MOST as usize {
            let (length, most) = (found.captured(header) as u64, u64::from(MOST));
            return Err(Trouble::TooLong { what: "record", length, most });
        }
        if have < found.span && self.window.fill(found.span) < found.span {
            return Err(self.window.cut("record", found.span));
        }
        self.found = found;
        Ok(Step::Record)
    }

    /// There is nothing more: the file ends as it should, or is damaged.
    #[cold]
    fn end(&mut self, step: Result<Step, Trouble>) -> Result<Step, SourceError> {
        self.is_over = true;
        step.map_err(|kind| {
            let (part, offset) = (Part::Record(self.number), self.window.offset());
            SourceError { path: self.path.clone(), part, offset, kind }
        })
    }
}

impl Source for Pcap {
    fn advance(&mut self) -> Result<Step, SourceError> {
        if self.is_over {
            return Ok(Step::End);
        }
        match self.step() {
            Ok(Step::Record) => Ok(Step::Record),
            step => self.end(step),
        }
    }

    fn record(&self) -> Record<'_> {
        self.found.record(self.number, self.window.bytes(), self.layout.header)
    }

    fn run(&mut self, take: &mut dyn FnMut(Record<'_>, &[u8])) {
        if self.is_over {
            return;
        }
        self.window.skip(std::mem::take(&mut self.found.span));
        let (layout, header, mut rest) = (self.layout, self.layout.header, self.window.bytes());
        let mut scout = Scout::new(rest, |bytes| layout.split(bytes));
        while let Some(found) = layout.found(rest)
            && found.captured(header) <= MOST as usize
            && let Some(behind) = rest.get(found.span..)
        {
            self.number = self.number.saturating_add(1);
            take(found.record(self.number, rest, header), scout.next());
            rest = behind;
        }
        let left = rest.len();
        self.window.leave(left);
    }

    fn time(&self) -> Timestamp {
        self.found.time
    }

    fn told(&self) -> Told {
        Told { interfaces: self.interface.len(), dropped: 0 }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }

    fn format(&self) -> String {
        format_name("pcap", self.packing)
    }

    fn position(&self) -> u64 {
        self.position.bytes()
    }
}

impl Found {
    /// Its captured bytes, where the header has so many.
    #[inline]
    const fn captured(&self, header: usize) -> usize {
        self.span.saturating_sub(header)
    }

    /// The record at the beginning of `bytes`, whose header is so long.
    #[inline]
    fn record<'a>(&self, number: u64, bytes: &'a [u8], header: usize) -> Record<'a> {
        Record {
            interface: 0,
            number,
            time: self.time,
            wire_len: self.wire_len,
            direction: Direction::Unknown,
            offload: Offload::Unknown,
            bytes: bytes.get(header..self.span).unwrap_or_default(),
        }
    }
}

impl Layout {
    /// The record at the beginning of `bytes`, as its header tells; `None` where that is not whole.
    #[inline]
    fn found(&self, bytes: &[u8]) -> Option<Found> {
        let [second, fraction, first, last] = self.order.words(bytes.get(..self.header)?)?;
        let (captured, original) = match self.swap {
            Swap::No => (first, last),
            Swap::Maybe if first > last => (last, first),
            Swap::Maybe => (first, last),
            Swap::Yes => (last, first),
        };
        // A fraction of more than a second carries over by itself.
        let time = Timestamp::from_parts(i64::from(second), i64::from(fraction).saturating_mul(self.unit));
        let span = self.header.saturating_add(captured as usize);
        Some(Found { time, wire_len: original.max(captured), span })
    }

    /// The frame of the record at the beginning of `bytes`, and what lies behind the record.
    #[inline]
    fn split<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (record, behind) = bytes.split_at_checked(self.found(bytes)?.span)?;
        Some((record.get(self.header..)?, behind))
    }

    fn from_magic(first: &[u8]) -> Option<Self> {
        let magic = first.first_chunk::<4>()?;
        [Order::Big, Order::Little].into_iter().find_map(|order| {
            let (unit, header) = match order.u32(*magic) {
                0xa1b2_c3d4 => (1_000, HEADER),
                0xa1b2_3c4d => (1, HEADER),
                0xa1b2_cd34 => (1_000, MODIFIED_HEADER),
                _ => return None,
            };
            Some(Self { order, header, unit, swap: Swap::No })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::open_reader;
    use super::super::open::tests::{Read, read};
    use super::*;

    /// Little-endian, microseconds, version 2.4, snap length 65535, Ethernet (draft-ietf-opsawg-pcap, 4).
    const LITTLE: &[u8] = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0";
    /// Big-endian, nanoseconds, raw IP, with a frame check sequence of four bytes told in the upper bits.
    const BIG: &[u8] = b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x10\x24\0\0\x65";
    /// 1 s, 2,000,003 µs, three bytes of sixty.
    const RECORD: &[u8] = b"\x01\0\0\0\x83\x84\x1e\0\x03\0\0\0\x3c\0\0\0abc";

    #[test]
    fn a_record_is_read_in_either_order_and_unit() {
        let all = read(&[LITTLE, RECORD, RECORD]);
        assert_eq!(all.frames.len(), 2);
        assert_eq!(all.frames[1].number, 2);
        assert_eq!(all.frames[0].time, Timestamp::from_parts(3, 3_000));
        assert_eq!((all.frames[0].wire_len, all.frames[0].bytes.as_slice()), (60, &b"abc"[..]));
        assert_eq!((all.interfaces[0].link, all.interfaces[0].snap_len), (LinkType::Ethernet, 65_535));
        assert_eq!((all.format.as_str(), all.error), ("pcap", None));

        // The record says more captured than there was on the wire; and it is longer than the snap length of 16.
        let all = read(&[BIG, b"\0\0\0\x01\0\0\0\x09\0\0\0\x14\0\0\0\x02", &[7; 20]]);
        assert_eq!(all.frames[0].time, Timestamp::from_nanos(1_000_000_009));
        assert_eq!((all.frames[0].wire_len, all.frames[0].bytes.len()), (20, 20));
        assert_eq!((all.interfaces[0].link, all.error), (LinkType::RawIp, None));
    }

    #[test]
    fn a_run_ends_before_a_record_that_is_not_whole() {
        let file = [LITTLE, RECORD, RECORD, RECORD, RECORD, RECORD, &RECORD[..18]].concat();
        let mut source = open_reader(Outside::from("x"), Box::new(std::io::Cursor::new(file))).unwrap();
        assert_eq!((source.advance(), source.record().number), (Ok(Step::Record), 1));
        let mut run = Vec::new();
        source.run(&mut |record, ahead| run.push((record.number, record.bytes.len(), ahead.len())));
        assert_eq!(run, [(2, 3, 3), (3, 3, 0), (4, 3, 0), (5, 3, 0)]);
        assert_eq!(source.advance().unwrap_err().part, Part::Record(6));
    }

    #[test]
    fn the_modified_header_has_eight_bytes_more() {
        let header = [b"\x34\xcd\xb2\xa1", &LITTLE[4..]].concat();
        let all = read(&[&header, &RECORD[..16], b"\x02\0\0\0\x08\0\x04\0", b"abc"]);
        assert_eq!((all.frames[0].bytes.as_slice(), all.error), (&b"abc"[..], None));
    }

    #[test]
    fn old_versions_have_the_lengths_the_other_way_round() {
        let swapped = b"\x01\0\0\0\0\0\0\0\x3c\0\0\0\x03\0\0\0abc";
        for (minor, record) in [(1, &swapped[..]), (2, swapped), (3, swapped), (3, RECORD), (4, RECORD)] {
            let mut header = LITTLE.to_vec();
            header[6] = minor;
            let all = read(&[&header, record]);
            assert_eq!((all.frames[0].wire_len, all.frames[0].bytes.as_slice(), all.error), (60, &b"abc"[..], None));
        }
    }

    #[test]
    fn damage_comes_after_every_whole_frame() {
        let error = |parts: &[&[u8]]| {
            let Read { frames, error, .. } = read(parts);
            (frames.len(), error.unwrap_or_default())
        };
        let (count, said) = error(&[LITTLE, RECORD, &RECORD[..18]]);
        assert_eq!((count, said.as_str()), (1, "x: record 2 at byte 43: the file ends 18 bytes into a record of 19"));
        let (count, said) = error(&[LITTLE, RECORD, &RECORD[..1]]);
        assert_eq!(
            (count, said.as_str()),
            (1, "x: record 2 at byte 43: the file ends 1 byte into a record header of 16")
        );
        let (count, said) = error(&[LITTLE, RECORD, b"\0\0\0\0\0\0\0\0\x01\0\x04\0\x01\0\x04\0", &[0; 300_000]]);
        assert!(count == 1 && said.contains("record of 262145 bytes is over the limit of 262144"), "{said}");
        assert_eq!(error(&[&LITTLE[..10]]), (0, "x: the file ends 10 bytes into a file header of 24".into()));
        let old = [b"\xd4\xc3\xb2\xa1\x1f\x02\0\0", &LITTLE[8..]].concat();
        assert!(error(&[&old]).1.starts_with("x: format version 543.0 is not known, only 2 is; "));
    }
}
