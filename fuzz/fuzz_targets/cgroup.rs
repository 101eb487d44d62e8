//! Feeds arbitrary bytes to the parser of `/proc/PID/cgroup`, and groups as users name them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::cgroup(bytes));
