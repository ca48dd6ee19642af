//! Any bytes behind the magic number of a pcap file: what stands before damage is judged, and damage is an error, never a failure.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "file.rs"]
mod file;

fuzz_target!(|input: &[u8]| file::judge(&[0xd4, 0xc3, 0xb2, 0xa1], input));
