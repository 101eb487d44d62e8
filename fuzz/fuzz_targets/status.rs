//! Feeds arbitrary bytes to the parser of `/proc/PID/status`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::status(bytes));
