//! Feeds arbitrary bytes to the parser of `/proc/meminfo`, and `memory.stat` of a control group.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::machine::meminfo(bytes));
