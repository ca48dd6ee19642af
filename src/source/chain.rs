//! A recording that went on in further files (`bond0.pcapng`, `bond0.00001.pcapng`, …), as one source: frame numbers go on, losses add up, and an
//! interface that each file describes anew is one. A gap between the files, because the oldest were given up for newer ones, is none.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Trouble;
use super::{Interface, NO_RECORD, Source, SourceError, Step, open};
use crate::event::Record;

/// The name of a recording's file: `bond0.pcapng`, then `bond0.00001.pcapng` and so on.
pub(super) fn part(stem: &str, number: u32) -> String {
    if number == 0 { format!("{stem}.pcapng") } else { format!("{stem}.{number:05}.pcapng") }
}

/// The stem and the number that are in a name which `part` gave.
fn of_part(name: &str) -> Option<(&str, u32)> {
    let plain = name.strip_suffix(".pcapng")?;
    // Five digits at least: `eth0.100` is a VLAN device.
    let numbered = plain.rsplit_once('.').filter(|(_, digits)| digits.len() >= 5);
    match numbered.and_then(|(stem, digits)| Some((stem, digits.parse().ok()?))) {
        Some((stem, number)) if part(stem, number) == name => Some((stem, number)),
        _ => Some((plain, 0)),
    }
}

/// The files that are there of the recording whose first one was called `first`, in order; none of those in `others`.
pub(super) fn parts(folder: &Path, first: &str, others: &[&str]) -> Vec<PathBuf> {
    let Some((stem, 0)) = of_part(first) else { return vec![folder.join(first)] };
    let names =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut parts: Vec<(u32, String)> = names
        .filter(|name| name == first || !others.contains(&name.as_str()))
        .filter_map(|name| Some((of_part(&name).filter(|(of, _)| *of == stem)?.1, name)))
        .collect();
    parts.sort();
    if parts.is_empty() {
        // That it is not there is told where it is opened.
        return vec![folder.join(first)];
    }
    parts.into_iter().map(|(_, name)| folder.join(name)).collect()
}

/// Files that are read one after the other.
pub(super) struct Chain {
    /// Those that are still to come, the next one last.
    paths: Vec<PathBuf>,
    /// The one that is read.
    now: Option<Box<dyn Source>>,
    files: usize,
    format: String,
    /// The interfaces of all files, each once.
    interfaces: Vec<Interface>,
    /// For each interface of the file that is read, where it stands among all, and what was lost there before this file: dropped, missed.
    places: Vec<(usize, (u64, u64))>,
    /// Frames before the file that is read, and bytes of the files before.
    frames: u64,
    bytes: u64,
    /// Whether the recording was not finished, so that its last file may break off.
    is_unfinished: bool,
    /// The first damage: it is told when all files are read.
    damage: Option<SourceError>,
}

impl Chain {
    /// The files at `paths`, in this order; with `is_unfinished` the last of them may break off, as it does when its writer is killed.
    ///
    /// # Errors
    /// Where the first cannot be opened.
    pub(super) fn open(mut paths: Vec<PathBuf>, is_unfinished: bool) -> Result<Self, SourceError> {
        paths.reverse();
        let files = paths.len();
        let mut chain = Self {
            paths,
            now: None,
            files,
            format: String::new(),
            interfaces: Vec::new(),
            places: Vec::new(),
            frames: 0,
            bytes: 0,
            is_unfinished,
            damage: None,
        };
        chain.go_on();
        match chain.damage.take() {
            Some(damage) if files == 1 => Err(damage),
            damage => {
                chain.damage = damage;
                Ok(chain)
            }
        }
    }

    /// Opens the next file that can be; `false` if there is none.
    fn go_on(&mut self) -> bool {
        if let Some(done) = self.now.take() {
            self.frames = self.frames.saturating_add(done.record().number);
            self.bytes = self.bytes.saturating_add(done.position());
        }
        self.places.clear();
        while let Some(path) = self.paths.pop() {
            match open(&path) {
                Ok(source) => {
                    self.format = source.format();
                    self.now = Some(source);
                    return true;
                }
                Err(damage) => self.note(damage),
            }
        }
        false
    }

    /// Remembers damage, unless it is how an unfinished recording ends.
    fn note(&mut self, damage: SourceError) {
        let breaks_off = match &damage.kind {
            Trouble::Cut { .. } | Trouble::Empty => true,
            // Not even its first word is there.
            Trouble::NotCapture(first) => first.len() < 4,
            _ => false,
        };
        if !(self.is_unfinished && self.paths.is_empty() && breaks_off) {
            self.damage.get_or_insert(damage);
        }
    }

    /// Takes over what the file that is read tells of its interfaces.
    fn learn(&mut self) {
        let Some(now) = &self.now else { return };
        for told in now.interfaces().iter().skip(self.places.len()) {
            let is_it = |known: &Interface| {
                (&known.name, known.link, known.snap_len, &known.filter)
                    == (&told.name, told.link, told.snap_len, &told.filter)
            };
            let taken: Vec<usize> = self.places.iter().map(|(place, _)| *place).collect();
            let known = (0..).zip(&self.interfaces).find(|(at, known)| is_it(known) && !taken.contains(at));
            match known {
                Some((at, known)) => self.places.push((at, (known.dropped, known.missed))),
                None => {
                    self.places.push((self.interfaces.len(), (0, 0)));
                    self.interfaces.push(Interface { dropped: 0, missed: 0, end: None, ..told.clone() });
                }
            }
        }
        for (told, (place, (dropped, missed))) in now.interfaces().iter().zip(&self.places) {
            if let Some(known) = self.interfaces.get_mut(*place) {
                known.dropped = dropped.saturating_add(told.dropped);
                known.missed = missed.saturating_add(told.missed);
                known.end = told.end;
            }
        }
    }
}

impl Source for Chain {
    fn advance(&mut self) -> Result<Step, SourceError> {
        while let Some(now) = &mut self.now {
            let step = now.advance();
            self.learn();
            match step {
                Ok(Step::End) => {}
                Ok(step) => return Ok(step),
                Err(damage) => self.note(damage),
            }
            self.go_on();
        }
        self.damage.take().map_or(Ok(Step::End), Err)
    }

    fn record(&self) -> Record<'_> {
        let Some(now) = &self.now else { return NO_RECORD };
        let mut record = now.record();
        record.number = record.number.saturating_add(self.frames);
        record.interface = match self.places.get(record.interface as usize) {
            Some((place, _)) => u32::try_from(*place).unwrap_or(u32::MAX),
            None => u32::MAX,
        };
        record
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn format(&self) -> String {
        match self.files {
            1 => self.format.clone(),
            files => format!("{} ({files} files)", self.format),
        }
    }

    fn position(&self) -> u64 {
        self.bytes.saturating_add(self.now.as_ref().map_or(0, |now| now.position()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Direction, Offload};
    use crate::pcapng::{self, Counted, Described, Packet};
    use crate::value::{Outside, Timestamp};
    use crate::wire::LinkType;

    #[test]
    fn a_part_is_told_by_its_name() {
        assert_eq!(of_part("bond0.pcapng"), Some(("bond0", 0)));
        assert_eq!(of_part("bond0.00012.pcapng"), Some(("bond0", 12)));
        assert_eq!(of_part("eth0.100.pcapng"), Some(("eth0.100", 0)));
        assert_eq!(of_part("eth0.100.123456.pcapng"), Some(("eth0.100", 123_456)));
        // Not as we write it.
        assert_eq!(of_part("eth0.000123.pcapng"), Some(("eth0.000123", 0)));
        assert_eq!(of_part("bond0.pcap"), None);
    }

    /// A file of `bond0` with a frame at each of these moments, and so many lost at its end; `end` where it is told.
    fn file(times: &[i64], lost: u64, end: Option<i64>) -> Vec<u8> {
        let mut out = Vec::new();
        let (link, name) = (LinkType::Ethernet, "bond0");
        pcapng::section(&mut out, "");
        let about = Described { name, description: "", link, snap_len: 0, filter: "", tells_offload: true };
        pcapng::interface(&mut out, &about);
        for time in times {
            let frame = Packet {
                interface: 0,
                time: Timestamp::from_nanos(*time),
                wire_len: 60,
                direction: Direction::In,
                offload: Offload::None,
                tells_offload: true,
                bytes: b"frame",
                comments: &[],
            };
            pcapng::packet(&mut out, &frame);
        }
        let (time, start) = (Timestamp::from_nanos(9), Timestamp::from_nanos(0));
        let counted = Counted {
            interface: 0,
            time,
            start,
            end: end.map(Timestamp::from_nanos),
            delivered: times.len() as u64,
            lost,
            missed: 10 * lost,
        };
        pcapng::statistics(&mut out, &counted);
        out
    }

    /// Writes `files` as the parts of `bond0` in a folder called `name`, and reads them: number and time of each frame, the interfaces, the damage.
    fn read(name: &str, files: &[&[u8]], is_unfinished: bool) -> (Vec<(u64, i64)>, Vec<Interface>, Option<String>) {
        let folder = std::env::temp_dir().join(format!("netdiag-chain-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (number, bytes) in (0..).zip(files) {
            fs::write(folder.join(part("bond0", number)), bytes).unwrap();
        }
        fs::write(folder.join("bond1.00001.pcapng"), b"of another").unwrap();
        let mut chain = Chain::open(parts(&folder, "bond0.pcapng", &[]), is_unfinished).unwrap();
        let (mut frames, mut damage) = (Vec::new(), None);
        loop {
            match chain.advance() {
                Ok(Step::Record) => frames.push((chain.record().number, chain.record().time.nanos())),
                Ok(_) => break,
                Err(error) => damage = Some(error.to_string()),
            }
        }
        fs::remove_dir_all(&folder).unwrap();
        (frames, chain.interfaces().to_vec(), damage)
    }

    #[test]
    fn numbers_go_on_and_losses_add_up() {
        let files = [file(&[1, 2], 3, Some(2)), file(&[], 0, Some(4)), file(&[5], 4, Some(6))];
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let (frames, interfaces, damage) = read("whole", &files, false);
        assert_eq!((frames, damage), (vec![(1, 1), (2, 2), (3, 5)], None));
        let [bond] = interfaces.as_slice() else { panic!("one interface, not {interfaces:?}") };
        assert_eq!(
            (bond.dropped, bond.missed, bond.end, bond.tells_offload),
            (7, 70, Some(Timestamp::from_nanos(6)), true)
        );
        assert_eq!(bond.name, Some(Outside::from("bond0")));
    }

    #[test]
    fn only_the_end_of_an_unfinished_recording_may_break_off() {
        let (first, last) = (file(&[1, 2], 0, Some(2)), file(&[3, 4], 0, None));
        for cut in 0..last.len() {
            let last = &last[..cut];
            let (frames, _, damage) = read("torn", &[&first, last], true);
            assert_eq!(damage, None, "{cut}");
            assert!(frames.len() >= 2 && frames.len() <= 4, "{cut}");
        }
        let torn = &last[..last.len() - 1];
        assert!(read("middle", &[torn, &first], true).2.unwrap().contains("the file ends"));
        assert!(read("finished", &[&first, torn], false).2.unwrap().contains("the file ends"));
        assert_eq!(read("middle", &[torn, &first], true).0, [(1, 3), (2, 4), (3, 1), (4, 2)]);
    }
}
