//! Tests of the pcapng reader, with blocks built from the fields of draft-ietf-opsawg-pcapng, section 4.

use super::super::open::open_reader;
use super::super::open::tests::{Read, read};
use super::*;
use crate::event::{Direction, Offload};
use crate::value::Timestamp;
use crate::wire::LinkType;

/// A block, in either order: type, length, body padded to four, length.
fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let word = |word: u32| if is_big { word.to_be_bytes() } else { word.to_le_bytes() };
    let padded = body.len().next_multiple_of(4);
    let length = word((padded + 12) as u32);
    let padding = vec![0; padded - body.len()];
    [&word(kind)[..], &length, body, &padding, &length].concat()
}

fn little(kind: u32, body: &[u8]) -> Vec<u8> {
    block(false, kind, body)
}

/// 4.1: magic, version 1.0, length not told.
fn section() -> Vec<u8> {
    little(SECTION, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")
}

fn big_section() -> Vec<u8> {
    block(true, SECTION, b"\x1a\x2b\x3c\x4d\0\x01\0\0\0\0\0\0\0\0\0\x07")
}

/// 4.2: Ethernet, snap length 96.
fn interface(options: &[u8]) -> Vec<u8> {
    little(1, &[b"\x01\0\0\0\x60\0\0\0", options].concat())
}

/// 4.3: `abc` of sixty bytes, 5 ticks.
fn packet(interface: u8, options: &[u8]) -> Vec<u8> {
    little(6, &[&[interface], &b"\0\0\0\0\0\0\0\x05\0\0\0\x03\0\0\0\x3c\0\0\0abc\0"[..], options].concat())
}

#[test]
fn a_run_ends_where_a_block_holds_more_than_a_frame() {
    let told = packet(0, b"\x02\0\x04\0\x01\0\0\0\0\0\0\0");
    let plain = packet(0, b"");
    let file = [section(), interface(b""), plain.clone(), plain.clone(), plain.clone(), told, plain].concat();
    let mut source = open_reader(Outside::from("x"), Box::new(std::io::Cursor::new(file))).unwrap();
    let mut numbers = Vec::new();
    while source.advance() == Ok(Step::Record) {
        numbers.push(vec![source.record().number]);
        let mut run = Vec::new();
        source.run(&mut |record, _| run.push(record.number));
        numbers.push(run);
    }
    assert_eq!(numbers, [vec![1], vec![2, 3], vec![4], vec![5]]);
}

#[test]
fn a_run_looks_three_frames_ahead_and_at_no_other_block() {
    // One byte of sixty, which tells the frames apart.
    let numbered =
        |number: u8| little(6, &[&b"\0\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\x3c\0\0\0"[..], &[number, 0, 0, 0]].concat());
    let frames: Vec<u8> = (1..=6).flat_map(numbered).collect();
    let file = [section(), interface(b""), frames, interface(b""), numbered(7)].concat();
    let mut source = open_reader(Outside::from("x"), Box::new(std::io::Cursor::new(file))).unwrap();
    assert_eq!(source.advance(), Ok(Step::Record));
    let mut run = Vec::new();
    source.run(&mut |record, ahead| run.push((record.bytes.to_vec(), ahead.to_vec())));
    let seen = |number: u8, ahead: &[u8]| (vec![number], ahead.to_vec());
    assert_eq!(run, [seen(2, &[5]), seen(3, &[6]), seen(4, b""), seen(5, b""), seen(6, b"")]);
}

fn error(parts: &[&[u8]]) -> (usize, String) {
    let Read { frames, error, .. } = read(parts);
    (frames.len(), error.unwrap_or_default())
}

#[test]
fn interfaces_count_on_over_sections_in_either_order() {
    // if_name, if_description, if_tsresol 9, if_filter as text, if_tsoffset 10 s.
    let options = b"\x02\0\x05\0bond0\0\0\0\x03\0\x02\0up\0\0\x09\0\x01\0\x09\0\0\0\x0b\0\x04\0\0arp\x0e\0\x08\0\x0a\0\0\0\0\0\0\0\0\0\0\0";
    let big_packet = b"\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\x01\0\0\0\x01z";
    let all = read(&[
        &section(),
        &interface(&[]),
        &interface(options),
        &packet(1, &[]),
        &big_section(),
        &block(true, 1, b"\0\x65\0\0\0\0\0\0"),
        &block(true, 6, big_packet),
    ]);
    assert_eq!((all.error, all.format.as_str()), (None, "pcapng"));
    let seen: Vec<_> = all.frames.iter().map(|f| (f.interface, f.number, f.time.nanos(), f.wire_len)).collect();
    assert_eq!(seen, [(1, 1, 10_000_000_005, 60), (2, 2, 7_000, 1)]);
    assert_eq!((all.frames[0].bytes.as_slice(), all.frames[1].bytes.as_slice()), (&b"abc"[..], &b"z"[..]));
    let [_, second, third] = all.interfaces.as_slice() else { panic!("three interfaces") };
    let named = [&second.name, &second.description, &second.filter].map(|t| t.as_ref().unwrap().to_string());
    assert_eq!(named, ["bond0", "up", "arp"]);
    assert_eq!((second.snap_len, third.snap_len, third.link), (96, 0, LinkType::RawIp));
}

#[test]
fn flags_tell_the_direction() {
    for (flags, way) in [(0, Direction::Unknown), (1, Direction::In), (2, Direction::Out), (3, Direction::Unknown)] {
        let all = read(&[&section(), &interface(&[]), &packet(0, &[2, 0, 4, 0, flags | 4, 0, 0, 0, 0, 0, 0, 0])]);
        assert_eq!((all.frames[0].direction, all.error), (way, None));
    }
}

#[test]
fn what_netdiag_wrote_tells_offloads_and_an_end_in_the_middle_is_none() {
    use crate::pcapng::{self, Counted, Described, Packet};

    let offloads = [Offload::None, Offload::Unsummed, Offload::Segmented { segment: 1_448 }, Offload::Unknown];
    for tells_offload in [false, true] {
        let mut file = Vec::new();
        pcapng::section(&mut file, "");
        let (link, name) = (LinkType::Ethernet, "bond0");
        let about = Described { name, description: "", link, snap_len: 96, filter: "arp", tells_offload };
        pcapng::interface(&mut file, &about);
        for (at, offload) in (1..).zip(offloads) {
            let frame = Packet {
                interface: 0,
                time: Timestamp::from_nanos(at),
                wire_len: 60,
                direction: Direction::Out,
                offload,
                tells_offload,
                bytes: b"abc",
                comments: &["why".to_owned()],
            };
            pcapng::packet(&mut file, &frame);
        }
        let mut source = open_reader(Outside::from("x"), Box::new(std::io::Cursor::new(file.clone()))).unwrap();
        let mut told = Vec::new();
        while source.advance() == Ok(Step::Record) {
            let record = source.record();
            assert_eq!((record.direction, record.wire_len, record.bytes), (Direction::Out, 60, &b"abc"[..]));
            told.push(record.offload);
        }
        assert_eq!(told, offloads);
        let described = &source.interfaces()[0];
        assert_eq!((described.snap_len, described.filter.as_ref().unwrap().raw()), (96, "arp"));
        // Statistics with an end, and a frame that is later than it.
        let time = Timestamp::from_nanos;
        let (start, end) = (time(1), Some(time(5)));
        let counted = Counted { interface: 0, time: time(5), start, end, delivered: 4, lost: 3, missed: 2 };
        pcapng::statistics(&mut file, &counted);
        let ended = |file: &[u8]| (read(&[file]).interfaces[0].end, read(&[file]).interfaces[0].dropped);
        assert_eq!(read(&[&file]).interfaces[0].missed, 2);
        assert_eq!(ended(&file), (Some(time(5)), 3));
        file.extend(packet(0, &[]));
        // 5 ticks of the frame are nanoseconds here: not later than the end.
        assert_eq!(ended(&file), (Some(time(5)), 3));
        let later = Packet {
            interface: 0,
            time: time(6),
            wire_len: 3,
            direction: Direction::In,
            offload: Offload::None,
            tells_offload,
            bytes: b"abc",
            comments: &[],
        };
        pcapng::packet(&mut file, &later);
        assert_eq!(ended(&file), (None, 3));
    }
}

#[test]
fn losses_are_summed_from_frames_and_taken_from_statistics() {
    // epb_dropcount 3, twice.
    let dropped = packet(0, b"\x04\0\x08\0\x03\0\0\0\0\0\0\0");
    // isb_endtime 9 s in microseconds, isb_ifdrop 4, isb_osdrop 1.
    let statistics = little(
        5,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x03\0\x08\0\0\0\0\0\x40\x54\x89\0\x05\0\x08\0\x04\0\0\0\0\0\0\0\x07\0\x08\0\x01\0\0\0\0\0\0\0",
    );
    let start = [section(), interface(&[]), dropped.clone()].concat();
    let one = |parts: &[&[u8]]| (read(parts).interfaces[0].dropped, read(parts).interfaces[0].end);
    assert_eq!(one(&[&start]), (3, None));
    assert_eq!(one(&[&start, &dropped]), (6, None));
    assert_eq!(
        one(&[&start, &statistics]),
        (3, Some(Timestamp::from_parts(9, 0))),
        "the frames tell of more than isb_osdrop"
    );
    let counts = |parts: &[&[u8]]| (read(parts).interfaces[0].dropped, read(parts).interfaces[0].missed);
    assert_eq!(counts(&[&section(), &interface(&[]), &statistics]), (1, 4), "what the card lost is not counted again");
    // Without isb_osdrop: as dumpcap writes it, of what the system dropped.
    let alone = little(5, b"\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x08\0\x04\0\0\0\0\0\0\0");
    assert_eq!(counts(&[&section(), &interface(&[]), &alone]), (4, 0));
    assert_eq!(one(&[&start, &statistics, &dropped]), (6, Some(Timestamp::from_parts(9, 0))));
    // Statistics of an interface that is not there spoil no frame, and are told at the end.
    let strange = little(5, b"\x09\0\0\0\0\0\0\0\0\0\0\0");
    let (frames, flaw) = error(&[&start, &strange, &dropped]);
    assert_eq!(frames, 2);
    assert!(flaw.ends_with("names interface 9, but its section has described only 1"));
}

#[test]
fn a_simple_packet_has_the_time_before_and_the_snap_length() {
    let simple = |original: u8, room: usize| little(3, &[&[original, 0, 0, 0][..], &vec![7; room]].concat());
    let all = read(&[&section(), &interface(&[]), &packet(0, &[]), &simple(3, 3), &simple(200, 96), &simple(60, 8)]);
    let seen: Vec<_> = all.frames.iter().map(|f| (f.time.nanos(), f.bytes.len(), f.wire_len)).collect();
    assert_eq!(seen, [(5_000, 3, 60), (5_000, 3, 3), (5_000, 96, 200), (5_000, 8, 60)]);
    assert!(error(&[&section(), &simple(3, 3)]).1.ends_with("names interface 0, but its section has described none"));
}

#[test]
fn an_obsolete_packet_block_and_blocks_that_are_skipped() {
    // Interface 0, two lost before it.
    let old = little(2, b"\0\0\x02\0\0\0\0\0\x05\0\0\0\x03\0\0\0\x02\0\0\0abc\0\x02\0\x04\0\x02\0\0\0");
    let names = little(4, b"\x01\0\x04\0\x0a\0\0\x01\0\0\0\0");
    let secrets = little(10, b"KLST\x02\0\0\0ab");
    let unread = [0xbad, 0x4000_0bad, 9, 0x8000_0001].map(|kind| little(kind, b"\xff\xff\xff\xff")).concat();
    let skipped = [names, secrets, unread].concat();
    let all = read(&[&section(), &skipped, &interface(&[]), &skipped, &old, &skipped]);
    assert_eq!((all.frames.len(), all.interfaces[0].dropped, all.error), (1, 2, None));
    // Wireshark gives numbers to two custom blocks and a journal entry, twice before the frame.
    assert_eq!(all.frames[0].number, 7);
    // More was captured than there was: what is there counts.
    assert_eq!((all.frames[0].wire_len, all.frames[0].direction), (3, Direction::Out));
}

#[test]
fn damage_comes_after_every_whole_frame_and_names_the_block() {
    let start = [section(), interface(&[]), packet(0, &[])].concat();
    let at = start.len();
    let after = |bytes: &[u8]| error(&[&start, bytes]);
    let said = |rest: &str| (1, format!("x: block 4 at byte {at}: {rest}"));
    assert_eq!(after(b"\x06\0\0\0\x07\0\0\0\0\0\0\0"), said("length 7 is not a multiple of 4"));
    let short = "length 8 is too short for a block of type 0x6, which has at least 12";
    assert_eq!(after(b"\x06\0\0\0\x08\0\0\0\x08\0\0\0"), said(short));
    let short = "length 16 is too short for a block of type 0x6, which has at least 32";
    assert_eq!(after(&little(6, &[0; 4])), said(short));
    assert_eq!(after(&packet(0, &[])[..20]), said("the file ends 20 bytes into a block of 36"));
    assert_eq!(after(b"\x06"), said("the file ends 1 byte into a block header of 12"));
    assert_eq!(after(&packet(7, &[])), said("names interface 7, but its section has described only 1"));
    assert_eq!(
        after(&packet(0, b"\x02\0\x09\0\0\0\0\0")),
        said("option 2 claims 9 bytes, but only 4 are left in the block")
    );
    assert!(
        after(b"\x06\0\0\0\x04\0\0\x01\0\0\0\0").1.contains("block of 16777220 bytes is over the limit of 16777216")
    );
    let mut unaligned = packet(0, &[]);
    unaligned[4] = 35;
    assert_eq!(after(&unaligned), said("length 35 is not a multiple of 4"));
    // The padding is there, but not in the lengths: the frame is whole, and the fault is told at the end.
    unaligned[32] = 35;
    let (frames, flaw) = after(&unaligned);
    assert_eq!(frames, 2);
    assert!(flaw.ends_with("length 35 is not a multiple of 4"));
    let mut unequal = packet(0, &[]);
    *unequal.last_mut().unwrap() = 1;
    assert!(after(&unequal).1.contains("length 36 at its start and 16777252 at its end differ"));
    let mut long = packet(0, &[]);
    long[20] = 5;
    assert_eq!(after(&long), said("holds 4 bytes of a frame that claims 5"));
    // An interface belongs to its section: the next one has none yet.
    let (count, text) = error(&[&start, &section(), &packet(0, &[])]);
    assert!(
        count == 1 && text.ends_with("block 5 at byte 112: names interface 0, but its section has described none"),
        "{text}"
    );
}

#[test]
fn a_section_of_another_version_or_order_is_refused() {
    let newer = little(SECTION, b"\x4d\x3c\x2b\x1a\x02\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    assert!(error(&[&newer]).1.contains("format version 2.0 is not known, only 1 is"));
    let strange = little(SECTION, b"abcd\x01\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(error(&[&strange]).1, "x: block 1 at byte 0: 0x61626364 is no byte-order magic of a section");
}
