//! Feeds arbitrary bytes to the parser of filter expressions (`--filter`).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::filter(bytes));
