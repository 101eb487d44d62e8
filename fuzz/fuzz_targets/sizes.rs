//! Feeds arbitrary bytes to the parser of sizes, ranges of addresses, lists of columns.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::sizes(bytes));
