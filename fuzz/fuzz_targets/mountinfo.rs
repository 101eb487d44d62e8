//! Feeds arbitrary bytes to the parser of `/proc/PID/mountinfo`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::mountinfo(bytes));
