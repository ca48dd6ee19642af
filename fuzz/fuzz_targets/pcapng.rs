//! Any bytes behind the type of a pcapng section header: what stands before damage is judged, and damage is an error, never a failure.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "file.rs"]
mod file;

fuzz_target!(|input: &[u8]| file::judge(&[0x0a, 0x0d, 0x0d, 0x0a], input));
