//! Feeds arbitrary bytes to the parser of ranges of a file (`--range`) and intervals (`-w`).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::cli::ranges(bytes));
