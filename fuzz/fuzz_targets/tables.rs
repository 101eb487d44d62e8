//! Feeds arbitrary bytes to the parser of answers of `PAGEMAP_SCAN`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::tables(bytes));
