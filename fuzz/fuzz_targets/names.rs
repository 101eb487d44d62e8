//! Feeds arbitrary bytes to the parser of lists of names (`--files-from`).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::join::names(bytes));
