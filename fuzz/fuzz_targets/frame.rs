//! Any bytes as frames: layers lie inside the frame, a summary can be made of them, and no tracker or detector fails over them.
//! The first two bytes choose the link type; after that each frame has its length in two bytes, and its moment in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdiag::engine::Engine;
use netdiag::event::{Direction, Offload, Place, Record, Vantage, VantageId};
use netdiag::settings::Settings;
use netdiag::value::{Span, Timestamp};
use netdiag::wire::{LinkType, decode};

fuzz_target!(|input: &[u8]| {
    let Some((link, mut rest)) = input.split_first_chunk::<2>() else { return };
    let link = LinkType::from_pcap(u16::from_be_bytes(*link).into());
    let mut engine = Engine::new(Settings::default());
    let vantage = VantageId::default();
    // What a file is called, which nobody has to believe.
    let (is_named, is_placed) = (false, false);
    engine.add_vantage(
        vantage,
        Vantage { place: Place::Bond, is_named, is_placed, ..Vantage::called("bond0", link) },
    );
    let mut time = Timestamp::from_parts(1_000_000, 0);
    let mut number = 0;
    while let Some(([high, low, step], bytes)) = rest.split_first_chunk::<3>() {
        let wire_len = u16::from_be_bytes([*high, *low]);
        let (bytes, behind) = bytes.split_at(usize::from(wire_len).min(bytes.len()));
        rest = behind;
        layers_lie_inside(link, bytes, wire_len.into());
        // The scale is that of the timers: from a tenth of a second to minutes.
        time = time.after(Span::millis(i64::from(*step) * i64::from(*step) * 4));
        number += 1;
        let (direction, offload) = (Direction::Unknown, Offload::Unknown);
        let record = Record { interface: 0, number, time, wire_len: wire_len.into(), direction, offload, bytes };
        engine.frame(record, vantage, link, time);
    }
    engine.close(Some(time), true);
    let report = engine.finish(Vec::new());
    assert_eq!(report.lost.internal_errors, 0);
});

fn layers_lie_inside(link: LinkType, bytes: &[u8], wire_len: u32) {
    let layers = decode(link, bytes, wire_len);
    assert!(layers.rest.is_empty() || bytes.as_ptr_range().contains(&layers.rest.as_ptr()));
    assert!(layers.rest.len() <= bytes.len());
    assert!(layers.stop.is_none_or(|stop| stop.offset <= wire_len as usize));
    let _ = layers.summary().to_string();
}
