//! Feeds arbitrary bytes to the parser of `/proc/PID/numa_maps`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::numa_maps(bytes));
