//! The classic capture file (draft-ietf-opsawg-pcap): micro- and nanoseconds, both byte orders, and Kuznetzov's "modified" record header.

use super::error::Damage;
use super::window::{Order, Window};
use super::{Interface, Source, SourceError};
use crate::event::{Direction, Offload, Record};
use crate::value::{Outside, Timestamp};
use crate::wire::LinkType;

const FILE_HEADER: usize = 24;
/// The most bytes of a frame that libpcap and Wireshark write: a longer record is damage.
const LONGEST: u32 = 262_144;

/// A classic capture file.
pub struct Pcap {
    path: Outside,
    window: Window,
    form: Form,
    interface: [Interface; 1],
    number: u64,
    /// Bytes of the record at the window's beginning, its header included.
    current: usize,
    time: Timestamp,
    wire_len: u32,
}

/// How the file is written, as its first four bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    order: Order,
    /// Nanoseconds in one unit of the stamp's fraction.
    unit: i64,
    /// Bytes of a record's header.
    header: usize,
}

impl Form {
    fn from_magic(magic: [u8; 4]) -> Option<Self> {
        let form = |order, unit, header| Some(Self { order, unit, header });
        match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => form(Order::Little, 1_000, 16),
            [0xa1, 0xb2, 0xc3, 0xd4] => form(Order::Big, 1_000, 16),
            [0x4d, 0x3c, 0xb2, 0xa1] => form(Order::Little, 1, 16),
            [0xa1, 0xb2, 0x3c, 0x4d] => form(Order::Big, 1, 16),
            [0x34, 0xcd, 0xb2, 0xa1] => form(Order::Little, 1_000, 24),
            [0xa1, 0xb2, 0xcd, 0x34] => form(Order::Big, 1_000, 24),
            _ => None,
        }
    }
}

/// Whether a file that begins so is a classic capture.
pub fn is_magic(magic: [u8; 4]) -> bool {
    Form::from_magic(magic).is_some()
}

impl Pcap {
    /// Reads the file header from `window`.
    ///
    /// # Errors
    /// When the header is cut, or its version is not 2.
    pub fn open(path: Outside, mut window: Window) -> Result<Self, SourceError> {
        let whole = window.need(FILE_HEADER).map_err(|e| SourceError::unreadable(&path, &e))?;
        let place = Damage { unit: "header", number: 1, offset: 0 };
        let bytes = window.bytes();
        let form = bytes.first_chunk().copied().and_then(Form::from_magic);
        let (true, Some(form)) = (whole, form) else {
            let why = format!("the file ends after {} bytes of a header of {FILE_HEADER}", bytes.len());
            return Err(SourceError::damaged(&path, place, why));
        };
        let (major, minor) = (form.order.u16(bytes, 4), form.order.u16(bytes, 6));
        if major != 2 {
            let why = format!("version {major}.{minor} of the format is unknown; 2.4 is what every tool writes");
            return Err(SourceError::damaged(&path, place, why));
        }
        // The upper bits hold the length of a frame check sequence or are reserved, and readers must ignore what is reserved.
        let link = LinkType::from_pcap(form.order.u32(bytes, 20) & 0xffff);
        let interface = Interface {
            name: None,
            description: None,
            link,
            snap_len: form.order.u32(bytes, 16),
            filter: None,
            dropped: 0,
            end: None,
        };
        window.skip(FILE_HEADER);
        Ok(Self {
            path,
            window,
            form,
            interface: [interface],
            number: 0,
            current: 0,
            time: Timestamp::MIN,
            wire_len: 0,
        })
    }

    fn damaged(&self, why: String) -> SourceError {
        let place = Damage { unit: "record", number: self.number.saturating_add(1), offset: self.window.offset() };
        SourceError::damaged(&self.path, place, why)
    }

    fn need(&mut self, bytes: usize) -> Result<bool, SourceError> {
        self.window.need(bytes).map_err(|e| self.damaged(Outside::from(e.to_string().as_str()).to_string()))
    }
}

impl Source for Pcap {
    fn advance(&mut self) -> Result<bool, SourceError> {
        self.window.skip(self.current);
        self.current = 0;
        let Form { order, unit, header } = self.form;
        if !self.need(header)? {
            return match self.window.bytes().len() {
                0 => Ok(false),
                have => Err(self.damaged(format!("the file ends {have} bytes into a record header of {header}"))),
            };
        }
        let bytes = self.window.bytes();
        let (seconds, fraction) = (order.u32(bytes, 0), order.u32(bytes, 4));
        let (captured, original) = (order.u32(bytes, 8), order.u32(bytes, 12));
        if captured > LONGEST {
            return Err(self
                .damaged(format!("it claims {captured} bytes, and no capture keeps more than {LONGEST} of a frame")));
        }
        let whole = header.saturating_add(captured as usize);
        if !self.need(whole)? {
            let have = self.window.bytes().len();
            return Err(self.damaged(format!("the file ends {have} bytes into a record of {whole}")));
        }
        self.number = self.number.saturating_add(1);
        self.current = whole;
        self.time = Timestamp::from_parts(i64::from(seconds), i64::from(fraction).saturating_mul(unit));
        self.wire_len = original.max(captured);
        Ok(true)
    }

    fn record(&self) -> Record<'_> {
        Record {
            interface: 0,
            number: self.number,
            time: self.time,
            wire_len: self.wire_len,
            direction: Direction::Unknown,
            offload: Offload::Unknown,
            bytes: self.window.bytes().get(self.form.header..self.current).unwrap_or(&[]),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }

    fn format(&self) -> String {
        "pcap".to_owned()
    }

    fn position(&self) -> u64 {
        self.window.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(order: Order, magic: u32, records: &[(u32, u32, u32, u32, &[u8])]) -> Vec<u8> {
        let n32 = |n: u32| if order == Order::Little { n.to_le_bytes() } else { n.to_be_bytes() };
        let n16 = |n: u16| if order == Order::Little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut out = n32(magic).to_vec();
        out.extend([n16(2), n16(4)].concat());
        out.extend([n32(0), n32(0), n32(65_535), n32(1)].concat());
        for (seconds, fraction, captured, original, bytes) in records {
            out.extend([n32(*seconds), n32(*fraction), n32(*captured), n32(*original)].concat());
            out.extend(*bytes);
        }
        out
    }

    fn read(bytes: Vec<u8>) -> (Vec<(i64, u32, usize)>, Option<String>) {
        let window = Window::new(Box::new(std::io::Cursor::new(bytes)));
        let mut source = match Pcap::open(Outside::from("f.pcap"), window) {
            Ok(source) => source,
            Err(error) => return (Vec::new(), Some(error.to_string())),
        };
        let mut records = Vec::new();
        loop {
            match source.advance() {
                Ok(true) => {
                    let record = source.record();
                    records.push((record.time.nanos(), record.wire_len, record.bytes.len()));
                }
                Ok(false) => return (records, None),
                Err(error) => return (records, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn both_orders_and_both_resolutions() {
        for order in [Order::Little, Order::Big] {
            let micro = file(order, 0xa1b2_c3d4, &[(1, 2, 3, 60, b"abc")]);
            assert_eq!(read(micro), (vec![(1_000_002_000, 60, 3)], None));
            let nano = file(order, 0xa1b2_3c4d, &[(1, 2, 3, 3, b"abc")]);
            assert_eq!(read(nano), (vec![(1_000_000_002, 3, 3)], None));
        }
    }

    #[test]
    fn whole_records_before_the_damage_are_read() {
        let mut bytes = file(Order::Little, 0xa1b2_c3d4, &[(1, 0, 3, 3, b"abc"), (2, 0, 3, 3, b"abc")]);
        bytes.pop();
        let (records, error) = read(bytes);
        assert_eq!(records.len(), 1);
        assert_eq!(error.as_deref(), Some("f.pcap: record 2 at byte 43: the file ends 18 bytes into a record of 19"));
        let (_, error) = read(file(Order::Big, 0xa1b2_c3d4, &[(1, 0, 1 << 30, 3, b"abc")]));
        assert!(error.unwrap().contains("it claims 1073741824 bytes"));
    }

    #[test]
    fn a_million_microseconds_are_a_second() {
        let (records, _) = read(file(Order::Little, 0xa1b2_c3d4, &[(1, 1_500_000, 0, 0, b"")]));
        assert_eq!(records, [(2_500_000_000, 0, 0)]);
    }
}
