//! Feeds arbitrary bytes to the parser of `/proc/PID/maps`, and the heads of smaps.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::maps(bytes));
